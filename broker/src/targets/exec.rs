//! `exec`: runs a program of this machine.
//!
//! ```yaml
//! kind: exec
//! program: /usr/local/lib/emote/open-ticket
//! args: ["--queue", "clients", "--", {jq: .event.device.uuid}]
//! env: {TICKETS_TOKEN: "${env:TICKETS_TOKEN}"}
//! timeout: 30s
//! ```
//!
//! What it is given and what its end means stands in [`super::program`]. No shell reads any of it. It runs in a process
//! group of its own that ends with it, or in time, within bounds of memory, computing and open files, and its environment
//! is empty but for what is named. Which programs may be run at all, the machine's own `emote.yaml` says ([`allow`]); that is
//! looked at before every run.

mod allow;
mod launch;
mod process;

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;

use self::process::{Order, run};
pub use self::{
    allow::Allowed,
    launch::{Bounds, LAUNCH_COMMAND, NOT_LAUNCHED, launch},
};
use super::{
    Outcome, Target,
    program::{Contract, Given, ProgramSpec},
    spec::{Setup, Unresolved},
};
use crate::{
    config::{Problems, Settings, fields::Fields},
    core::Job,
    private,
};

const DEFAULT_MEMORY: u64 = 1 << 30;
const DEFAULT_CPU: u32 = 60;
const DEFAULT_FILES: u32 = 256;
/// Exit codes that say nothing of the job: the launcher could not become the program, perhaps for lack of memory or because
/// its file is being written; or it was asked to end by SIGHUP, SIGINT or SIGTERM, as shells tell it.
pub(super) const PASSING: [u32; 4] = [NOT_LAUNCHED as u32, 128 + 1, 128 + 2, 128 + 15];
/// With less, hardly a program starts.
const MIN_MEMORY: u64 = 16 << 20;

#[derive(Debug)]
struct Spec {
    program: PathBuf,
    common: Arc<ProgramSpec>,
    cwd: PathBuf,
    user: Option<String>,
    memory: u64,
    cpu: u32,
    files: u32,
}

struct Exec {
    program: PathBuf,
    common: Arc<ProgramSpec>,
    contract: Contract,
    cwd: PathBuf,
    bounds: Bounds,
    allowed: Allowed,
    within: Duration,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    let mut path = |key: &'static str| {
        fields.parsed(key, |value| {
            let path = value.as_str().map(PathBuf::from).filter(|path| path.is_absolute());
            path.ok_or_else(|| "expected an absolute path".to_owned())
        })
    };
    let (program, cwd) = (path("program"), path("cwd"));
    let program = fields.require("program", program, "program: /usr/local/lib/emote/open-ticket");
    let common = Arc::new(ProgramSpec::read(fields, &PASSING));
    let user = fields.text("user");
    let memory = fields.size("memory").unwrap_or(DEFAULT_MEMORY);
    if memory < MIN_MEMORY {
        fields.problem("memory", "is too little for any program: give 16MiB or more");
    }
    let cpu = fields.duration("cpu", Duration::from_secs(1)..=Duration::from_secs(3600));
    let cpu = cpu.and_then(|cpu| u32::try_from(cpu.as_secs()).ok()).unwrap_or(DEFAULT_CPU);
    let files = fields.number("files", 8..=65_536).unwrap_or(DEFAULT_FILES);
    let cwd = cwd.unwrap_or_else(|| PathBuf::from("/"));
    Some(Box::new(Spec { program: program?, common, cwd, user, memory, cpu, files }))
}

impl Unresolved for Spec {
    fn is_shown(&self) -> bool {
        true
    }

    fn allowed(&self, settings: &Settings, problems: &mut Problems) {
        problems.take("program", settings.exec.names(&self.program));
        for name in self.common.variables() {
            problems.take(&format!("env.{name}"), settings.exec.variable(name));
        }
    }

    fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Box<dyn Target>> {
        let contract = self.common.resolve("exec", self.program.display().to_string(), setup, problems)?;
        let allowed = setup.settings.map(|settings| settings.exec.clone()).unwrap_or_default();
        let mut bounds = Bounds {
            memory: Some(self.memory),
            cpu: Some(self.cpu.into()),
            files: Some(self.files.into()),
            ..Bounds::default()
        };
        // What would be done is shown wherever somebody asks; the program need not be there.
        let mut cwd = self.cwd.clone();
        if !setup.stands_in() {
            problems.take("program", allowed.program(&self.program));
            for name in self.common.variables() {
                problems.take(&format!("env.{name}"), allowed.variable(name));
            }
            let found = private::ours_alone(&self.cwd).map_err(|error| error.to_string());
            if let Some((real, _)) = problems.take("cwd", found) {
                cwd = real;
            }
            if let Some(user) = &self.user {
                let (uid, gid) = problems.take("user", ids_of(user))?;
                (bounds.uid, bounds.gid) = (Some(uid), Some(gid));
            }
        }
        Some(Box::new(Exec {
            program: self.program.clone(),
            common: Arc::clone(&self.common),
            contract,
            cwd,
            bounds,
            allowed,
            within: setup.delivery.timeout,
        }))
    }
}

/// The ids of a user and of their group: as the machine knows them by name, or the numbers themselves.
fn ids_of(user: &str) -> Result<(u32, u32), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root can run programs as somebody else, and this is not root: leave it out".to_owned());
    }
    let numbers = user.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    if let Some(numbers) = numbers {
        return Ok(numbers);
    }
    let users = std::fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
    // name:password:uid:gid:…, passwd(5)
    let found = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then(|| Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?)))?
    });
    found.ok_or_else(|| "there is no such user in /etc/passwd: name one, or give the numbers as UID:GID".to_owned())
}

#[async_trait::async_trait]
impl Target for Exec {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        let Given { args, env, input } = match self.contract.given(&self.common, job, input) {
            Ok(given) => given,
            Err(outcome) => return *outcome,
        };
        // Since it was made ready, somebody may have put another one there, or have opened it to others.
        let program = match self.allowed.program(&self.program) {
            Ok(program) => program,
            Err(reason) => return Outcome::retry(reason),
        };
        let bounds = self.bounds.clone();
        let order = Order { program, args, env, cwd: self.cwd.clone(), bounds, within: self.within };
        match run(order, input).await {
            Ok(ran) => self.contract.outcome(&self.common, job, &ran),
            Err(error) => Outcome::retry(format!("{} cannot be started: {error}", self.contract.about())),
        }
    }
}

#[cfg(test)]
mod tests;
