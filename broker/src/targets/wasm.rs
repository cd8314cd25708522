//! `wasm`: runs a WebAssembly module, a command of WASI preview 1, inside the broker.
//!
//! ```yaml
//! kind: wasm
//! module: modules/open-ticket.wasm     # in the configuration folder
//! sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! fuel: 1000000000
//! memory: 64MiB
//! ```
//!
//! What it is given and what its end means stands in [`super::program`], as for `exec`; but a module reaches nothing else: no
//! file, no network, no other process ([`host`]). It is bounded by fuel, which instructions use up, by memory and by `timeout`.
//! Each job has an instance of its own. Modules are each machine's own, as secrets are; `sha256` says in the target's file
//! which one it must be, so that all machines run the same.

mod host;
mod module;

use std::{
    path::{Component, Path},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::Value;

use self::module::{Run, Source};
use super::{
    Outcome, Target,
    program::{Contract, Given, ProgramSpec},
    spec::{Setup, Unresolved},
};
use crate::{
    config::{Problems, fields::Fields},
    core::Job,
};

const DEFAULT_FUEL: u32 = 1_000_000_000;
const DEFAULT_MEMORY: u64 = 128 << 20;
const MAX_MEMORY: u64 = 4 << 30;

#[derive(Debug)]
struct Spec {
    module: String,
    sha256: Option<String>,
    common: Arc<ProgramSpec>,
    fuel: u32,
    memory: u64,
}

struct Wasm {
    source: Arc<Source>,
    name: String,
    common: Arc<ProgramSpec>,
    contract: Contract,
    fuel: u32,
    memory: u64,
    within: Duration,
}

/// Stops a run that nobody waits for any more.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) fn read(fields: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    let module = fields.parsed("module", |value| {
        let path = value.as_str().filter(|path| {
            let mut parts = Path::new(path).components();
            !path.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
        });
        path.map(str::to_owned).ok_or_else(|| "expected a path inside the configuration folder".to_owned())
    });
    let module = fields.require("module", module, "module: modules/open-ticket.wasm");
    let sha256 = fields.parsed("sha256", |value| {
        let text = value.as_str().map(str::to_ascii_lowercase);
        let is_hash = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        text.filter(is_hash).ok_or_else(|| "expected 64 hexadecimal digits, as sha256sum prints them".to_owned())
    });
    let common = Arc::new(ProgramSpec::read(fields, &[]));
    let fuel = fields.number("fuel", 1..=u32::MAX).unwrap_or(DEFAULT_FUEL);
    let memory = fields.size("memory").unwrap_or(DEFAULT_MEMORY);
    if memory > MAX_MEMORY {
        fields.problem("memory", "is more than a module can have: 4GiB at most");
    }
    Some(Box::new(Spec { module: module?, sha256, common, fuel, memory }))
}

impl Unresolved for Spec {
    fn is_shown(&self) -> bool {
        true
    }

    fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Box<dyn Target>> {
        let contract = self.common.resolve("wasm", self.module.clone(), setup, problems)?;
        let source = Source::new(setup.folder.join(&self.module), self.sha256.clone());
        // What would be done is shown wherever somebody asks; the module need not be there.
        if !setup.stands_in() {
            problems.take("module", source.ready())?;
        }
        Some(Box::new(Wasm {
            source: Arc::new(source),
            name: self.module.clone(),
            common: Arc::clone(&self.common),
            contract,
            fuel: self.fuel,
            memory: self.memory,
            within: setup.delivery.timeout,
        }))
    }
}

#[async_trait::async_trait]
impl Target for Wasm {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        let Given { args, env, input } = match self.contract.given(&self.common, job, input) {
            Ok(given) => given,
            Err(outcome) => return *outcome,
        };
        let stop = Stop(Arc::default());
        let run = Run {
            args: std::iter::once(self.name.clone()).chain(args).collect(),
            env: env.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect(),
            input,
            memory: self.memory,
            fuel: self.fuel.into(),
            // Whoever waits for all of it waits a little longer than this.
            within: self.within.mul_f32(0.95),
            stopped: Arc::clone(&stop.0),
        };
        let source = Arc::clone(&self.source);
        let ran = tokio::task::spawn_blocking(move || source.ready().map(|module| module.run(run))).await;
        drop(stop);
        match ran {
            Ok(Ok(ran)) => self.contract.outcome(&self.common, job, &ran),
            // Somebody may put it right.
            Ok(Err(reason)) => Outcome::retry(reason),
            Err(error) => Outcome::retry(format!("{} could not be run: {error}", self.source.path().display())),
        }
    }
}

#[cfg(test)]
mod tests;
