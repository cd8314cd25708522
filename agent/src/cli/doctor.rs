//! `emote-agent doctor`.

use std::fmt::Write;
use std::sync::Arc;

use clap::Args;

use super::run::LayerArgs;
use super::{Exit, Failure, Output};
use crate::credential::{Machine, look};
use crate::doctor::{self, Finding, Outcome};
use crate::platform::{self, Host, Real};
use crate::uplink;

/// Try everything the agent needs, and say what to do about what is missing
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo emote-agent doctor
  sudo emote-agent doctor -o json | jq '.[] | select(.outcome == \"fail\")'

It changes nothing and sends no event, and goes by the settings that an agent started with the same flags and \
variables would use. It ends with 1 when something fails.")]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    layers: LayerArgs,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub(super) async fn run(arguments: DoctorArgs) -> Result<(), Failure> {
    let findings = examine(&arguments.layers).await?;
    super::print(&match arguments.output {
        Output::Json => super::pretty(&findings)?,
        Output::Table => table(&findings, super::has_colours()),
    })?;
    match findings.iter().filter(|finding| finding.outcome == Outcome::Fail).count() {
        0 => Ok(()),
        1 => Err((Exit::Failure, anyhow::anyhow!("one check failed"))),
        count => Err((Exit::Failure, anyhow::anyhow!("{count} checks failed"))),
    }
}

async fn examine(layers: &LayerArgs) -> Result<Vec<Finding>, Failure> {
    let places = layers.places();
    let loaded = places.load();
    let mut findings = doctor::settings(&loaded, |problem| places.refuses(problem));
    let settings = Arc::new(loaded.settings);
    findings.push(doctor::machine(&Real, settings.serial.as_ref()));
    findings.extend(doctor::folder(&settings.state_dir, settings.quota));
    let now = jiff::Timestamp::now().into();
    let status = layers.place.status().await.map_err(|(_, error)| format!("{error:#}"));
    findings.extend(doctor::running(status.as_ref().map_err(String::as_str), now));
    let serial = settings.serial.clone().or_else(|| platform::hardware(&Real).serial);
    let host: Arc<dyn Host> = Arc::new(Real);
    let seen = doctor::Seen {
        say_who: settings.say_who(),
        token: uplink::read_token(&settings).await,
        folder: look(&settings.state_dir).map_err(|error| error.to_string()),
        running: status.as_ref().ok().map(|status| &status.identity),
        conflict: status.as_ref().ok().and_then(|status| status.uplink.conflict),
        machine: serial.clone().map(|serial| Machine { serial, hardware_uuid: platform::hardware(&Real).uuid }),
    };
    findings.extend(doctor::identity(&seen, now));
    if let Some(serial) = serial {
        findings.extend(doctor::servers(&settings, &host, &serial).await);
    }
    findings.push(doctor::tools(&Real));
    let names: Vec<&str> = settings.sources.keys().copied().collect();
    let looks = tokio::task::spawn_blocking(move || doctor::sources(&Real, &names)).await;
    findings.extend(looks.map_err(|error| (Exit::Failure, error.into()))?);
    Ok(findings)
}

fn table(findings: &[Finding], colours: bool) -> String {
    let mut text = String::new();
    let width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
    for finding in findings {
        let (word, colour) = match finding.outcome {
            Outcome::Ok => ("ok", "32"),
            Outcome::Warn => ("warn", "33"),
            Outcome::Fail => ("FAIL", "31"),
            Outcome::Skipped => ("-", "2"),
        };
        let word = if colours { format!("\x1b[{colour}m{word:<6}\x1b[0m") } else { format!("{word:<6}") };
        // Writing to a string cannot fail.
        writeln!(text, "{word}{:<width$}  {}", finding.check, finding.said).ok();
        if let Some(remedy) = &finding.remedy {
            writeln!(text, "{:<6}{:<width$}  → {remedy}", "", "").ok();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_stands_below_what_is_wrong() {
        let findings = [Finding::ok("serial", "C02"), Finding::fail("agent", "nobody answers", "start it")];
        let expected = "\
ok    serial  C02
FAIL  agent   nobody answers
              → start it
";
        assert_eq!(table(&findings, false), expected);
        assert!(table(&findings, true).contains("\u{1b}[31mFAIL"));
    }
}
