//! Who gets a credential, and who loses it.

use emote_proto::Serial;
use serde::Deserialize;
use serde_json::json;

use super::{Asked, Done, Refusal, list, read};
use crate::{
    console::order::agents::{self, Became, StillIn, choose, shut_out},
    identity::order::{MAX_SERIALS, What},
};

const EXAMPLE: &str = r#"{"serials": ["C02XL0GTJGH5"], "reason": "ordered by IT"}"#;

/// Which agents. A name may carry the key that was looked at, `SERIAL/KEY`: so do those on forms, where several are ticked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(deserialize_with = "list")]
    serials: Vec<String>,
    /// The key of a single one, by its fingerprint or in whole.
    fingerprint: Option<String>,
}

pub(super) async fn approve(asked: Asked) -> Result<Done, Refusal> {
    let registry = asked.registry.ok_or_else(Refusal::no_credentials)?;
    let named = read::<Named>(asked.fields, EXAMPLE)?.keys()?;
    // They are in order, so those of one serial number stand together.
    if let Some(two) = named.windows(2).find(|two| two[0].0 == two[1].0) {
        let error = format!("several keys of {}: a Mac has one", two[0].0);
        return Err(Refusal::bad(error, "Let the one in that the Mac shows, and deny the others."));
    }
    let mut chosen = Vec::with_capacity(named.len());
    for (serial, key) in named {
        let none = || {
            let error = format!("{serial} never asked for a credential");
            Refusal::not_found(error, "/agents and /api/v1/agents list those that did.")
        };
        let device = registry.device(&serial).await?.record.ok_or_else(none)?;
        let key = choose(&device, key.as_deref())?;
        chosen.push((serial, key));
    }
    let became = agents::approve(&asked.bus, &chosen, &asked.signature).await?;
    done(
        &became,
        "approved: let in when they ask again: within a minute or two, or an hour where they were shut out before.",
        &[],
    )
}

/// Denies, or has keys changed.
pub(super) async fn order(asked: Asked, what: What) -> Result<Done, Refusal> {
    let (became, _) = ordered(asked, what).await?;
    let word = if what == What::Rotate { "told to change their keys." } else { "denied." };
    done(&became, word, &[])
}

pub(super) async fn revoke(asked: Asked) -> Result<Done, Refusal> {
    let bus = asked.bus.clone();
    let (became, serials) = ordered(asked, What::Revoke).await?;
    let (_, still_in) = shut_out(&bus, &serials).await?;
    let text = match still_in.as_slice() {
        [] => "revoked: NATS has closed their connections and lets them in no more.".to_owned(),
        left => {
            let left: Vec<String> = left.iter().map(ToString::to_string).collect();
            format!("revoked, but {}", left.join("\n"))
        }
    };
    done(&became, &text, &still_in)
}

async fn ordered(asked: Asked, what: What) -> Result<(Became, Vec<Serial>), Refusal> {
    asked.registry.ok_or_else(Refusal::no_credentials)?;
    let named = read::<Named>(asked.fields, EXAMPLE)?;
    if named.fingerprint.is_some() {
        return Err(Refusal::bad("a fingerprint is for approving", format!("For example {EXAMPLE}.")));
    }
    let mut serials: Vec<Serial> = named.keys()?.into_iter().map(|(serial, _)| serial).collect();
    serials.dedup();
    let became = agents::order(&asked.bus, what, &serials, &asked.signature).await?;
    Ok((became, serials))
}

fn done(became: &Became, what: &str, still_in: &[StillIn]) -> Result<Done, Refusal> {
    if let Some(trouble) = became.trouble() {
        let rest = match became.done.as_slice() {
            [] => String::new(),
            done => format!(" (but {}: {what})", done.join(", ")),
        };
        return Err(anyhow::anyhow!("{trouble}{rest}").into());
    }
    let still_in = still_in.iter().map(|left| json!({"serial": left.serial, "key": left.key, "until": left.until}));
    let detail = json!({"serials": became.done, "still_in": still_in.collect::<Vec<_>>()});
    Ok(Done { text: format!("{} {what}", became.done.len()), detail })
}

impl Named {
    /// Each once, in order of the serial numbers, with the key that was said.
    fn keys(self) -> Result<Vec<(Serial, Option<String>)>, Refusal> {
        let bad = |error: String| Refusal::bad(error, format!("For example {EXAMPLE}."));
        let mut named = self.serials;
        named.sort_unstable();
        named.dedup();
        if !(1..=MAX_SERIALS).contains(&named.len()) {
            return Err(bad(format!("it must be said which ones, at most {MAX_SERIALS} at a time")));
        }
        let fingerprint = self.fingerprint.filter(|key| !key.is_empty());
        if fingerprint.is_some() && (named.len() > 1 || named.iter().any(|name| name.contains('/'))) {
            return Err(bad("the fingerprint is the key of one Mac".to_owned()));
        }
        let read = |name: String| {
            let (serial, key) = name.split_once('/').map_or((name.as_str(), None), |(one, key)| (one, Some(key)));
            let serial = Serial::new(serial).map_err(|error| bad(error.to_string()))?;
            Ok((serial, key.map(str::to_owned).or_else(|| fingerprint.clone())))
        };
        let mut read = named.into_iter().map(read).collect::<Result<Vec<_>, Refusal>>()?;
        // By what they mean: one serial number may be written in several ways.
        read.sort_unstable_by(|(one, of_one), (other, of_other)| {
            (one.as_str(), of_one).cmp(&(other.as_str(), of_other))
        });
        read.dedup();
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn agents_are_named_alone_or_with_the_key_that_was_looked_at() {
        let keys = |fields: Value| {
            let Value::Object(fields) = fields else { return None };
            let keys = read::<Named>(fields, "").and_then(Named::keys).ok()?;
            Some(
                keys.into_iter().map(|(serial, key)| (serial.to_string(), key.unwrap_or_default())).collect::<Vec<_>>(),
            )
        };
        let many: Vec<String> = (0..501).map(|n| format!("C{n}")).collect();
        for (fields, expected) in [
            (json!({"serials": "C02"}), Some(vec![("C02", "")])),
            (json!({"serials": ["C03", "C02", "C03"]}), Some(vec![("C02", ""), ("C03", "")])),
            (json!({"serials": ["C02"], "fingerprint": "ABCD"}), Some(vec![("C02", "ABCD")])),
            (json!({"serials": ["C02"], "fingerprint": ""}), Some(vec![("C02", "")])),
            (json!({"serials": ["C02/UA", "C03/UB"]}), Some(vec![("C02", "UA"), ("C03", "UB")])),
            (json!({"serials": ["c03", "C02", "C03"]}), Some(vec![("C02", ""), ("C03", "")])),
            (
                json!({"serials": ["C02/UA", "D01/UC", "c02/UB"]}),
                Some(vec![("C02", "UA"), ("C02", "UB"), ("D01", "UC")]),
            ),
            (json!({"serials": ["C02", "C03"], "fingerprint": "ABCD"}), None),
            (json!({"serials": ["C02/UA"], "fingerprint": "ABCD"}), None),
            (json!({"serials": []}), None),
            (json!({"serials": many}), None),
            (json!({"serials": ["C02.>"]}), None),
            (json!({"serials": ["/UA"]}), None),
            (json!({"serials": ["C02"], "all": true}), None),
            (json!({}), None),
        ] {
            let expected: Option<Vec<(String, String)>> =
                expected.map(|all| all.into_iter().map(|(serial, key)| (serial.to_owned(), key.to_owned())).collect());
            assert_eq!(keys(fields.clone()), expected, "{fields}");
        }
    }
}
