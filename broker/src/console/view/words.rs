//! Events, times and texts in the words that people read them in, on the terminal and on pages.

use emote_proto::{Event, Time, source};
use serde_json::Value;

/// Longest summary of an event's details.
const SUMMARY: usize = 110;

/// Whether an event tells of something that went wrong.
pub(crate) fn is_trouble(event: &Event) -> bool {
    matches!(
        (event.scope.as_str(), event.action.as_str()),
        ("delivery", "dead")
            | ("event", "rejected")
            | ("rule", "loop_stopped")
            | ("schema", "violation")
            | ("agent", "gap" | "enrollment_denied" | "renewal_refused" | "duplicate" | "order_refused")
    )
}

/// What matters most in an event, in one line.
pub(crate) fn summary(event: &Event) -> String {
    let mut parts = Vec::new();
    let guarded = guarded(event);
    let info = event.info.as_deref().filter(|_| guarded.is_none());
    parts.extend(guarded);
    if let Some(cause) = &event.cause {
        parts.push(format!("← {}", cause.rule));
    }
    let device = event.device.as_ref();
    let named = [
        ("name", device.and_then(|device| device.name.clone())),
        ("os", device.and_then(|device| device.os_version.clone())),
        ("user", event.user_id().filter(|_| device.is_some()).map(str::to_owned)),
    ];
    parts.extend(named.into_iter().filter_map(|(key, value)| value.map(|value| format!("{key}={value}"))));
    if let Some(Value::Object(info)) = info {
        parts.extend(info.iter().map(|(key, value)| format!("{key}={}", plain(value))));
    }
    parts.extend(
        [("communicate", event.communicate), ("log", event.log)]
            .into_iter()
            .filter(|(_, flag)| *flag == Some(true))
            .map(|(name, _)| name.to_owned()),
    );
    clip(&parts.join(" "), SUMMARY)
}

/// Why a target's guard held or refused a job, then which: `held: REASON — lock-leavers → mdm-lock  C02XL0GTJGH5`. The
/// rest of such an event names ids, which cut off the reason where they come first.
fn guarded(event: &Event) -> Option<String> {
    let own = event.source.as_str() == source::BROKER && event.scope.as_str() == "guard";
    let action = Some(event.action.as_str()).filter(|action| own && matches!(*action, "held" | "refused"))?;
    let text = |key: &str| event.info_at(&[key]).and_then(Value::as_str);
    let (reason, rule, target) = (text("reason")?, text("rule")?, text("target")?);
    Some(format!("{action}: {reason} — {rule} → {target}  {}", node(event)))
}

/// Whom an event is about.
pub(crate) fn node(event: &Event) -> &str {
    event.serial().or(event.udid()).or(event.user_id()).unwrap_or("-")
}

/// A value without quotes where it is a text or an object of texts, and without line breaks or other control characters.
pub(crate) fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{key}: {}", plain(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    };
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// `06:41:00.123`
pub(crate) fn clock(time: Time) -> String {
    time.to_string().get(11..23).unwrap_or("?").to_owned()
}

/// At most `max` characters; what was cut shows as `…`. Control characters do not reach the terminal.
pub(crate) fn clip(text: &str, max: usize) -> String {
    let clean: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    crate::config::text::clip(&clean, max)
}

/// How long ago, in the largest unit that fits: `12s`, `5m`, `3h`, `2d`.
pub(crate) fn ago(then: Time, now: Time) -> String {
    let seconds = now.millis_since(then).max(0) / 1000;
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_guard_held_or_refused_says_why_before_it_says_what() {
        let reason = "5 jobs of this rule in 1 h are the budget of mdm-lock";
        let info = json!({"event": "018bcfe5-687b-7707-8707-070707070707", "reason": reason, "rule": "lock-leavers",
            "target": "mdm-lock", "job": "018bcfe5-687b-7707-8707-070707070707/lock-leavers/mdm-lock/C02XL0GTJGH5"});
        let of = |change: &dyn Fn(&mut Value)| {
            let mut json = json!({"id": "00000000-0000-7000-8000-000000000000", "time": "2026-01-01T06:41:00.123Z",
                "source": "broker", "scope": "guard", "action": "held", "device": {"uuid": "C02XL0GTJGH5"}, "info": info});
            change(&mut json);
            summary(&Event::parse(json.to_string().as_bytes()).unwrap())
        };
        let held =
            "held: 5 jobs of this rule in 1 h are the budget of mdm-lock — lock-leavers → mdm-lock  C02XL0GTJGH5";
        assert_eq!(of(&|_| {}), held);
        let refused = held.replacen("held", "refused", 1);
        assert_eq!(of(&|event| event["action"] = json!("refused")), refused);
        let chained = of(&|event| {
            let of = json!(event["id"]);
            event["cause"] = json!({"event": of, "root": of, "rule": "left", "target": "log", "depth": 1});
        });
        assert_eq!(chained, format!("{held} ← left"));
        let user = of(&|event| {
            event["user"] = json!({"id": "ada@example.com"});
            event.as_object_mut().unwrap().remove("device");
        });
        assert_eq!(user, held.replace("C02XL0GTJGH5", "ada@example.com"));
        let long = of(&|event| event["info"]["reason"] = json!("x".repeat(300)));
        assert!(long.starts_with("held: xxx") && long.ends_with('…'), "{long}");
        for foreign in [
            of(&|event| event["source"] = json!("manual")),
            of(&|event| event["info"]["reason"] = json!(5)),
            of(&|event| event["action"] = json!("approved")),
        ] {
            assert!(foreign.starts_with("event=018bcfe5"), "{foreign}");
        }
    }

    #[test]
    fn ages_are_short() {
        let at = |seconds: i64| Time::from_millis(seconds * 1000).unwrap();
        for (seconds, text) in [(0, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (200_000, "2d")] {
            assert_eq!(ago(at(0), at(seconds)), text);
        }
        assert_eq!(ago(at(5), at(0)), "0s");
    }
}
