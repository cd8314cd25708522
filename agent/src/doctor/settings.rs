//! What the settings say, from all their layers: each thing that is wrong, and whether there is a server at all.

use super::Finding;
use crate::settings::{DEFAULT_FILE, DOMAIN, Loaded, Origin, Problem};

/// The findings of what was loaded; `refuses` tells of what keeps the agent from starting.
pub(crate) fn settings(loaded: &Loaded, refuses: impl Fn(&Problem) -> bool) -> Vec<Finding> {
    let mut findings: Vec<Finding> = loaded.problems.iter().map(|problem| finding(problem, refuses(problem))).collect();
    if loaded.settings.servers.is_empty() {
        findings.push(Finding::fail(
            "server",
            "no layer of the settings names one that can be used: events wait on this machine",
            format!(
                "say where NATS is: `server` in a configuration profile ({DOMAIN}) or in {DEFAULT_FILE}, or --server; \
                 `emote-agent config show` tells what each layer says"
            ),
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("settings", format!("they are right; servers {}", loaded.settings.server_names())));
    }
    findings
}

fn finding(problem: &Problem, refused: bool) -> Finding {
    let check = if problem.key.is_empty() { "settings".to_owned() } else { format!("settings {}", problem.key) };
    let place = problem.place.as_ref().map(|place| format!(", {place}")).unwrap_or_default();
    let said = format!("{} ({}{place})", problem.problem, problem.layer.words());
    let where_to = match problem.layer {
        Origin::Flag => "put the flag right",
        Origin::Environment => "put the variable EMOTE_AGENT_… right",
        Origin::Managed => "put the configuration profile right",
        Origin::File | Origin::Default => "put the file right",
    };
    if refused {
        return Finding::fail(check, said, format!("{where_to}: the agent does not start"));
    }
    if problem.disconnects() {
        return Finding::fail(
            check,
            said,
            format!("{where_to}, or put a file there: until then there is no connection"),
        );
    }
    let used = problem.used.as_ref().map(|used| format!("; until then it uses {used}")).unwrap_or_default();
    Finding::warn(check, said, format!("{where_to}{used}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;
    use crate::settings::Places;

    /// Check, outcome, and all that is said.
    fn found(toml: &str, flags: &[(&str, &str)]) -> Vec<(String, Outcome, String)> {
        let dir = tempfile::tempdir().unwrap();
        let (file, managed) = (dir.path().join("agent.toml"), dir.path().join("none.plist"));
        std::fs::write(&file, toml).unwrap();
        let mut places = Places { file: Some(file), managed: Some(managed), ..Places::default() };
        for (key, text) in flags {
            places.flags.set(key, (*text).into());
        }
        let findings = settings(&places.load(), |problem| places.refuses(problem));
        let all = findings.into_iter();
        all.map(|f| (f.check, f.outcome, format!("{} → {}", f.said, f.remedy.unwrap_or_default()))).collect()
    }

    #[test]
    fn what_is_wrong_is_a_finding_each_with_place_and_remedy() {
        let right = found("server = 'tls://a'", &[]);
        assert_eq!(right, [("settings".into(), Outcome::Ok, "they are right; servers tls://a:4222 → ".into())]);
        let all = found("server = 'tls://a'\nhartbeat = 1\nca = '/nowhere.pem'", &[("poll", "1ms")]);
        for (check, outcome, said) in [
            ("settings hartbeat", Outcome::Warn, "agent.toml, line 2, column 1) → put the file right"),
            ("settings ca", Outcome::Fail, "until then there is no connection"),
            ("settings poll", Outcome::Fail, "(flag) → put the flag right: the agent does not start"),
        ] {
            let (_, found, text) = all.iter().find(|(name, ..)| name == check).unwrap();
            assert!(*found == outcome && text.contains(said), "{check}: {text}");
        }
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn no_server_from_any_layer_is_a_failure_and_so_is_a_file_that_is_named_and_missing() {
        let none = found("poll = '1m'", &[]);
        assert!(none.len() == 1 && none[0].1 == Outcome::Fail && none[0].2.contains("--server"), "{none:?}");
        assert_eq!(found("", &[("server", "tls://a")])[0].1, Outcome::Ok);
        let missing = Places { file: Some("/nowhere.toml".into()), ..Places::default() };
        let findings = settings(&missing.load(), |problem| missing.refuses(problem));
        assert!(findings[0].outcome == Outcome::Fail && findings[0].said.contains("/nowhere.toml"), "{findings:?}");
    }
}
