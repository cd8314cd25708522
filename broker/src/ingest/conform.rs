//! `schema` of a source: what becomes of an event that its map makes and that is not as its schema says.
//!
//! Nothing is lost and nothing goes round: a violation is told by `events.<source>.<node>.schema.violation`, whose id
//! derives from the event's, and which is itself held against nothing. With `report` the event goes its way beside it; with
//! `enforce` it stands in `info.raw` of the violation instead, so that no rule takes it for what it is not.

use std::sync::Arc;

use emote_proto::{Draft, EventId, Token, limits};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::map::MAX_CUT;
use crate::schema::events::{Verdict, Vocabulary};

/// Whether events are held against their schemas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Conform {
    /// They are not.
    #[default]
    Off,
    /// What is wrong is told, and the event is taken.
    Report,
    /// What is wrong is told in place of the event.
    Enforce,
}

/// A source's own, with the schemas there are.
#[derive(Clone, Default)]
pub(super) struct Conformity {
    pub(super) mode: Conform,
    /// Those of the configuration; what is built in where there are none.
    pub(super) vocabulary: Option<Arc<Vocabulary>>,
}

impl std::fmt::Debug for Conformity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Conformity").field(&self.mode).finish()
    }
}

impl Conformity {
    /// The drafts that go on.
    pub(super) fn held(&self, drafts: Vec<Draft>) -> Vec<Draft> {
        if self.mode == Conform::Off {
            return drafts;
        }
        let vocabulary = self.vocabulary.as_deref().unwrap_or_else(|| Vocabulary::built_in());
        let mut held = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let Ok(value) = serde_json::to_value(&draft) else {
                held.push(draft);
                continue;
            };
            let Some(violation) = vocabulary.check(&value).and_then(|verdict| self.violation(&draft, value, &verdict))
            else {
                held.push(draft);
                continue;
            };
            if self.mode == Conform::Report {
                held.push(draft);
            }
            held.push(violation);
        }
        held
    }

    /// The event that tells of it; none where that cannot be said, so that the event itself goes on.
    fn violation(&self, draft: &Draft, value: Value, verdict: &Verdict) -> Option<Draft> {
        let event = draft.id?;
        let id = EventId::derived(&["schema", "violation", &event.to_string()]);
        let info = verdict.info(event, draft.scope.as_str(), draft.action.as_str());
        let made = |info: Value| {
            let mut told = Draft::new(Token::new("schema").ok()?, Token::new("violation").ok()?);
            (told.id, told.time, told.source, told.trust) = (Some(id), draft.time, draft.source.clone(), draft.trust);
            (told.device, told.user, told.info) = (draft.device.clone(), draft.user.clone(), Some(info.into()));
            (told.to_json().len() <= limits::MAX_EVENT).then_some(told)
        };
        if self.mode == Conform::Report {
            return made(info);
        }
        let with = |raw: Value, cut_from: Option<usize>| {
            let mut info = info.clone();
            info["raw"] = raw;
            if let Some(length) = cut_from {
                info["cut_from"] = json!(length);
            }
            made(info)
        };
        let text = value.to_string();
        with(value, None).or_else(|| with(text.chars().take(MAX_CUT).collect::<String>().into(), Some(text.len())))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use bytes::Bytes;
    use emote_proto::Name;

    use super::*;
    use crate::ingest::{Moment, NoAliases, Request, SourceSpec};

    fn drafts(mode: &str, body: &Value) -> Vec<Value> {
        let yaml = format!("verify: none\ndecode: json\nmap: .[]\nschema: {mode}\n");
        let spec: SourceSpec = serde_saphyr::from_str(&yaml).unwrap();
        let plan = spec.validate(&Name::new("hr").unwrap()).unwrap_or_else(|problems| panic!("{problems:?}"));
        let moment = Moment { now: "2026-11-26T06:41:00Z".parse().unwrap(), random: [0; 16] };
        let request = Request::new(HeaderMap::new(), "", Bytes::from(body.to_string()));
        let drafts = plan.rehearse(request, &NoAliases, &moment).unwrap();
        drafts.iter().map(|draft| serde_json::to_value(draft).unwrap()).collect()
    }

    fn shown(drafts: &[Value]) -> Vec<String> {
        let word = |draft: &Value, key: &str| draft[key].as_str().unwrap_or_default().to_owned();
        drafts.iter().map(|draft| format!("{}.{}", word(draft, "scope"), word(draft, "action"))).collect()
    }

    #[test]
    fn an_event_that_is_not_as_its_schema_says_is_told_kept_or_replaced() {
        let right = json!({"scope": "source", "action": "poll_failed", "info": {"reason": "away"}});
        let wrong = json!({"scope": "source", "action": "poll_failed", "info": {"reason": 7}, "user": {"id": "Ada@example.com"}});
        let body = json!([right, wrong]);
        assert_eq!(shown(&drafts("off", &body)), ["source.poll_failed", "source.poll_failed"]);
        assert_eq!(shown(&drafts("report", &body)), ["source.poll_failed", "source.poll_failed", "schema.violation"]);
        let enforced = drafts("enforce", &body);
        assert_eq!(shown(&enforced), ["source.poll_failed", "schema.violation"]);
        let told = &enforced[1];
        assert_eq!(told["user"]["id"], "ada@example.com", "it is about the same node");
        assert_eq!(told["info"]["raw"]["info"]["reason"], 7);
        assert_eq!(told["info"]["violations"][0]["pointer"], "/info/reason");
        assert_eq!(told["info"]["schema"], "source");
        assert_eq!(drafts("enforce", &body), enforced, "the same body is the same violation");
        assert_eq!(Vocabulary::built_in().check(told), None, "which is as its own schema says");
    }

    #[test]
    fn one_that_is_as_large_as_an_event_may_be_is_kept_as_far_as_there_is_room() {
        let wrong = json!([{"scope": "source", "action": "poll_failed", "info": {"reason": ["x".repeat(261_900)]}}]);
        let told = drafts("enforce", &wrong).remove(0);
        assert!(told.to_string().len() <= limits::MAX_EVENT);
        assert!(told["info"]["cut_from"].as_u64().is_some_and(|length| length > 261_900));
    }
}
