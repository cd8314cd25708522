//! `deploy.yaml`: where Macs fetch the agent's package, which target installs it for orders, and how long that may take. It
//! is part of the set of rules: whoever folds must come to the same jobs and find the same installs overdue.

use std::{path::Path, time::Duration};

use emote_proto::{Name, deploy::check_url};

use super::{Problems, Report, fields::Fields, shape::Form};
use crate::{core::Deploying, targets::Validated};

/// The file, in the configuration folder.
pub(super) const FILE: &str = "deploy.yaml";
/// A Mac that sleeps over a weekend is in no trouble.
const OVERDUE_AFTER: Duration = Duration::from_secs(72 * 3600);
const AGES: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 3600);

/// Reads the file's fields; and which target it names, also where the others are wrong.
pub(crate) fn of(fields: &mut Fields<'_>) -> (Option<Name>, Option<Deploying>) {
    let url = fields.formed("url", Form::Text(&["https://emote.example.com"]), |value| {
        let url = value.as_str().unwrap_or_default();
        check_url(url).map_err(|error| error.to_string())?;
        let path = url.trim_start_matches("https://").split_once('/').map_or("", |(_, path)| path);
        if path.contains(['?', '#']) || url.contains(['?', '#']) {
            return Err("the brokers' own address, without ? and #".to_owned());
        }
        Ok(url.trim_end_matches('/').to_owned())
    });
    let url = fields.require("url", url, "url: https://emote.example.com");
    let target = fields.formed("target", Form::Text(&["install-agent"]), |value| {
        Name::new(value.as_str().unwrap_or_default()).map_err(|error| error.to_string())
    });
    let target = fields.require("target", target, "target: install-agent");
    let overdue_after = fields.duration("overdue_after", AGES).unwrap_or(OVERDUE_AFTER);
    let overdue_after = i64::try_from(overdue_after.as_millis()).unwrap_or(i64::MAX);
    let deploying = url.zip(target.clone()).map(|(url, target)| Deploying { url, target, overdue_after });
    (target, deploying)
}

/// Holds the target that it names against those there are: it installs the agent.
pub(super) fn check(name: &Name, targets: &[Validated], names: &[Name], problems: &mut Problems) {
    let installs: Vec<&str> = installing(targets).map(|target| target.name.as_str()).collect();
    // One in which something is wrong is told of at its own place.
    let is_broken = names.contains(name) && !targets.iter().any(|target| target.name == *name);
    if installs.contains(&name.as_str()) || is_broken {
        return;
    }
    let which = match installs.as_slice() {
        [] => {
            "there is none that does: describe one in targets/NAME.yaml, such as preset: nanomdm with action: install_agent"
                .to_owned()
        }
        some => format!("expected one of {}", some.join(", ")),
    };
    let what = if names.contains(name) { "does not install the agent" } else { "is no target" };
    problems.add("target", format!("{name} {what}: {which}"));
}

/// Tells of targets that install the agent where nothing says from where.
pub(super) fn is_missed(targets: &[Validated], report: &mut Report) {
    for target in installing(targets) {
        let file = format!("targets/{}.yaml", target.name);
        report.add(
            Path::new(&file),
            format!("it installs the agent, and {FILE} is missing, which says where Macs fetch that (url, target)"),
        );
    }
}

fn installing(targets: &[Validated]) -> impl Iterator<Item = &Validated> {
    targets.iter().filter(|target| target.policy.installs_agent)
}
