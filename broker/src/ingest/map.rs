//! From decoded JSON to events: a jq program over the body gives none, one or many objects in the shape of an event.
//!
//! The program sees the variables `$headers` (names in lower case; without what proves the sender), `$signed` (those of
//! them that the signature covers; null where the sender signs nothing), `$query` and `$source`. What it gives is completed
//! so:
//!
//! - **id**: `event_id`, the vendor's own name of the event (any text), gives an id derived from it and the source, so
//!   that the vendor's retry is the same event; where several outputs share one, the later ones are told apart by their
//!   count. Without it the id is derived from the output's place and what the sender signed as the message's own id (a
//!   webhook-id, the `jti` of a token), else from the SHA-256 of the body: the same again is the same event. With `dedupe:
//!   none` that last case gives ids of their own instead, but where a time was signed the same body and time are still one. An `id` the program gives is taken
//!   as it is, if the sender was verified; else it counts as `event_id`, lest a stranger take another source's ids.
//! - **source** is the source's name; **trust** is what verification found; **cause** is never taken from outside.
//! - **user.id** is put in lower case, and a device that is known by its UDID only is looked up.
//!
//! Null outputs are no events.
//!
//! Vendors change what they send. What the program makes no event of is not lost for that: it becomes one event
//! `source.unmapped` with the body as `info.raw` and what is wrong as `info.problem`, beside those that could be made.
//! `unmapped: refuse` answers the sender with 422 instead, for senders that are told what to do better.

use axum::http::{HeaderMap, header};
use emote_proto::{Draft, EventId, Name, Time, Trust, limits};
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Aliases, NoAliases, Refusal, Request, Verified, conform::Conformity, verify::Mark};
use crate::jq::{JqError, Program};

/// The variables of a map's program.
const VARIABLES: [&str; 4] = ["$headers", "$signed", "$query", "$source"];

/// Headers that are secrets whatever the source's scheme is.
const SECRET_HEADERS: [header::HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// How much is kept of a body that is larger than an event may be, in characters: in JSON one has up to 6 bytes.
pub(super) const MAX_CUT: usize = limits::MAX_EVENT / 8;

/// How events without a vendor's id are told apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dedupe {
    /// The same body is the same event.
    #[default]
    Body,
    /// Each request is another event.
    None,
}

/// What becomes of a body that the map makes no event of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unmapped {
    /// It is an event as it came.
    #[default]
    Keep,
    /// Its sender is told.
    Refuse,
}

/// When a request came, and randomness for ids that are not derived.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Now.
    pub now: Time,
    /// Drawn for this request.
    pub random: [u8; 16],
}

impl Moment {
    /// Now.
    pub fn drawn() -> Result<Self, Refusal> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| Refusal::Internal("no randomness to be had"))?;
        Ok(Self { now: jiff::Timestamp::now().into(), random })
    }
}

/// A map, ready to run.
#[derive(Debug)]
pub(super) struct Mapping {
    pub(super) source: Name,
    pub(super) program: Program,
    pub(super) dedupe: Dedupe,
    /// An event whose own time is older is refused.
    pub(super) max_age: Option<SignedDuration>,
    pub(super) unmapped: Unmapped,
    pub(super) conformity: Conformity,
}

impl Mapping {
    pub(super) fn compile(text: &str) -> Result<Program, JqError> {
        Program::compile(text, &VARIABLES)
    }

    /// The events that `decoded`, the body of `request`, stands for.
    pub(super) fn drafts(
        &self,
        request: &Request<Verified>,
        decoded: &Value,
        hidden: (Option<&str>, Option<&str>),
        aliases: &dyn Aliases,
        moment: &Moment,
    ) -> Result<Vec<Draft>, Refusal> {
        let headers = visible_headers(&request.headers, hidden.0);
        let mut query = request.query.clone();
        if let Some(name) = hidden.1 {
            query.remove(name);
        }
        let signed = request.signed().map(|names| {
            let signed = headers.iter().filter(|(name, _)| names.contains(name));
            signed.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>()
        });
        let signed = signed.map_or(Value::Null, Value::Object);
        let variables = [Value::Object(headers), signed, Value::Object(query), Value::from(self.source.as_str())];
        let (trust, mark) = (request.trust(), request.mark());
        let mut ids = Ids { source: &self.source, trust, vendors: Vec::new(), body: &request.body, mark };
        let outputs = match self.program.run(decoded, &variables) {
            Ok(outputs) => outputs,
            Err(error) => {
                let (output, problem) = match error {
                    JqError::NotJson { index, problem } => (Some(index), problem),
                    error => (None, format!("the map: {error}")),
                };
                let refusal = Refusal::Unmapped { output, problem };
                return Ok(vec![self.kept(refusal, decoded, &mut ids, 0, moment)?]);
            }
        };
        let (mut drafts, mut unmapped) = (Vec::with_capacity(outputs.len()), None);
        let count = outputs.len();
        for (at, output) in outputs.into_iter().enumerate().filter(|(_, output)| !output.is_null()) {
            let draft = self.draft(output, &mut ids, at, aliases, moment).and_then(small_enough);
            match draft.map_err(|problem| Refusal::Unmapped { output: Some(at), problem }) {
                Ok(draft) if self.is_stale(&draft, moment.now) => return Err(Refusal::Stale(at)),
                Ok(draft) => drafts.push(draft),
                Err(refusal) => unmapped = unmapped.or(Some(refusal)),
            }
        }
        if let Some(refusal) = unmapped {
            drafts.push(self.kept(refusal, decoded, &mut ids, count, moment)?);
        }
        Ok(self.conformity.held(drafts))
    }

    /// The events that each of these stands for. What gives no name of its own to an event is told apart by its place.
    pub(super) fn all_drafts(
        &self,
        request: &Request<Verified>,
        events: Vec<Value>,
        hidden: (Option<&str>, Option<&str>),
        aliases: &dyn Aliases,
        moment: &Moment,
    ) -> Result<Vec<Draft>, Refusal> {
        let body = data_encoding::HEXLOWER.encode(&Sha256::digest(&request.body));
        let mut drafts = Vec::with_capacity(events.len());
        for (at, mut event) in events.into_iter().enumerate() {
            if let Value::Object(event) = &mut event {
                event.entry("event_id").or_insert_with(|| format!("{body} {at}").into());
            }
            drafts.extend(self.drafts(request, &event, hidden, aliases, moment)?);
        }
        Ok(drafts)
    }

    /// The event that a body becomes of which the map made none, or not all; `refusal` says why.
    fn kept(
        &self,
        refusal: Refusal,
        decoded: &Value,
        ids: &mut Ids<'_>,
        at: usize,
        moment: &Moment,
    ) -> Result<Draft, Refusal> {
        if self.unmapped == Unmapped::Refuse {
            return Err(refusal);
        }
        let problem = refusal.to_string();
        let mut kept = |info| {
            let output = json!({"scope": "source", "action": "unmapped", "info": info});
            self.draft(output, ids, at, &NoAliases, moment).and_then(small_enough)
        };
        if let Ok(draft) = kept(json!({"problem": problem, "raw": decoded})) {
            return Ok(draft);
        }
        // What is too large is kept as far as there is room.
        let text = decoded.to_string();
        let start: String = text.chars().take(MAX_CUT).collect();
        kept(json!({"problem": problem, "raw": start, "cut_from": text.len()})).map_err(|_| refusal)
    }

    fn is_stale(&self, draft: &Draft, now: Time) -> bool {
        let age = draft.time.map(|time| i128::from(now.millis_since(time)));
        self.max_age.zip(age).is_some_and(|(most, age)| age > most.as_millis())
    }

    fn draft(
        &self,
        output: Value,
        ids: &mut Ids<'_>,
        at: usize,
        aliases: &dyn Aliases,
        moment: &Moment,
    ) -> Result<Draft, String> {
        let Value::Object(mut output) = output else {
            return Err("an event is an object such as {\"scope\": \"device\", \"action\": \"enroll\"}".to_owned());
        };
        output.remove("cause");
        output.remove("trust");
        if let Some(said) = output.remove("source").filter(|said| !said.is_null() && said != self.source.as_str()) {
            return Err(format!("the field \"source\" is {said}, but the source is {}", self.source));
        }
        let id = ids.take(&mut output, at, self.dedupe, moment)?;
        let mut draft = Draft::from_value(Value::Object(output)).map_err(|error| error.to_string())?;
        draft.id = Some(id);
        draft.source = Some(self.source.clone());
        draft.trust = Some(ids.trust);
        if let Some(user) = &mut draft.user {
            user.id = user.id.take().map(|id| id.to_lowercase());
        }
        if let Some(device) = draft.device.as_mut().filter(|device| device.uuid.is_none()) {
            device.uuid = device.udid.as_deref().and_then(|udid| aliases.serial_of(udid, ids.trust));
        }
        draft.node().map_err(|error| error.to_string())?;
        Ok(draft)
    }
}

fn small_enough(draft: Draft) -> Result<Draft, String> {
    match draft.to_json().len() {
        length if length > limits::MAX_EVENT => {
            Err(format!("{length} bytes: an event may have at most {}", limits::MAX_EVENT))
        }
        _ => Ok(draft),
    }
}

/// Gives the outputs of one request their ids.
struct Ids<'a> {
    source: &'a Name,
    trust: Trust,
    /// The vendor's ids seen so far.
    vendors: Vec<String>,
    body: &'a [u8],
    /// What was signed beside the body.
    mark: Option<&'a Mark>,
}

impl Ids<'_> {
    fn take(
        &mut self,
        output: &mut Map<String, Value>,
        at: usize,
        dedupe: Dedupe,
        moment: &Moment,
    ) -> Result<EventId, String> {
        let own = text(output.remove("id"), "id")?;
        let vendors = text(output.remove("event_id"), "event_id")?;
        let body = || data_encoding::HEXLOWER.encode(&Sha256::digest(self.body));
        let part = |kind, id: &str| EventId::derived(&["source", self.source.as_str(), kind, id, &at.to_string()]);
        match (own, vendors) {
            (Some(id), _) if self.trust > Trust::Unverified => {
                id.parse().map_err(|_| format!("the field \"id\" is no UUID: give {id:?} as \"event_id\""))
            }
            (_, Some(id)) | (Some(id), None) => Ok(self.derived(id)),
            (None, None) => Ok(match (self.mark, dedupe) {
                (Some(Mark::Id(id)), _) => part("message", id),
                (_, Dedupe::Body) => part("body", &body()),
                (Some(Mark::Time(time)), Dedupe::None) => part("signed", &format!("{time} {}", body())),
                (None, Dedupe::None) => fresh(moment, at),
            }),
        }
    }

    fn derived(&mut self, id: String) -> EventId {
        let before = self.vendors.iter().filter(|other| **other == id).count();
        let derived = match before {
            0 => EventId::derived(&["source", self.source.as_str(), &id]),
            _ => EventId::derived(&["source", self.source.as_str(), &id, &before.to_string()]),
        };
        self.vendors.push(id);
        derived
    }
}

/// A version 7 id of its own for each output of a request.
fn fresh(moment: &Moment, at: usize) -> EventId {
    let digest = Sha256::new().chain_update(moment.random).chain_update(at.to_be_bytes()).finalize();
    let mut random = [0; 10];
    random.copy_from_slice(&digest[..10]);
    EventId::fresh(u64::try_from(moment.now.as_millis()).unwrap_or_default(), &random)
}

/// An id may be a number at the vendor's; null and the empty string are none.
fn text(value: Option<Value>, field: &str) -> Result<Option<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(format!("the field {field:?}: expected a string")),
    }
}

fn visible_headers(headers: &HeaderMap, hidden: Option<&str>) -> Map<String, Value> {
    let visible = headers.iter().filter(|(name, _)| !SECRET_HEADERS.contains(name) && Some(name.as_str()) != hidden);
    visible.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::{NoAliases, Plan, SourceSpec, Taken, Unverified};
    use axum::http::HeaderValue;
    use bytes::Bytes;
    use serde_json::json;

    fn plan(map: &str, more: &str) -> Plan {
        let yaml = format!("verify: none\ndecode: json\n{more}\nmap: |\n  {map}");
        let spec: SourceSpec = serde_saphyr::from_str(&yaml).unwrap();
        spec.validate(&Name::new("hr").unwrap()).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    fn moment(seed: u8) -> Moment {
        Moment { now: "2026-11-23T06:41:00Z".parse().unwrap(), random: [seed; 16] }
    }

    fn request(body: &str) -> Request<Unverified> {
        Request::new(HeaderMap::new(), "", Bytes::copy_from_slice(body.as_bytes()))
    }

    fn drafts(map: &str, body: &Value) -> Result<Vec<Draft>, Refusal> {
        plan(map, "").rehearse(request(&body.to_string()), &NoAliases, &moment(0))
    }

    #[test]
    fn ids_come_from_the_vendors_own_or_from_the_body() {
        let ids = |map: &str, body: &str, more: &str, seed| -> Vec<EventId> {
            let drafts = plan(map, more).rehearse(request(body), &NoAliases, &moment(seed)).unwrap();
            drafts.iter().map(|draft| draft.id.unwrap()).collect()
        };
        let event = "{scope: \"a\", action: \"b\"}";
        let derived = |parts: &[&str]| EventId::derived(&[&["source", "hr"], parts].concat());
        assert_eq!(ids(&format!("{event} + {{event_id: .id}}"), "{\"id\": \"7\"}", "", 0), [derived(&["7"])]);
        assert_eq!(ids(&format!("{event} + {{event_id: .id}}"), "{\"id\": 7}", "", 0), [derived(&["7"])]);
        let shared = ids(&format!("({event}, {event}, {event}) + {{event_id: \"7\"}}"), "{}", "", 0);
        assert_eq!(shared, [derived(&["7"]), derived(&["7", "1"]), derived(&["7", "2"])]);
        let hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let by_body = ids(&format!("null, {event}, {event}"), "{}", "", 0);
        assert_eq!(by_body, [derived(&["body", hash, "1"]), derived(&["body", hash, "2"])]);
        assert_eq!(by_body, ids(&format!("null, {event}, {event}"), "{}", "", 1), "randomness plays no part");
        let fresh = |seed| ids(&format!("{event}, {event}"), "{}", "dedupe: none", seed);
        assert_ne!(fresh(0), fresh(1));
        assert_ne!(fresh(0)[0], fresh(0)[1]);
        assert_eq!(fresh(0)[0].unix_millis(), Some(1_795_416_060_000));
        let stranger = ids(&format!("{event} + {{id: \"a64c29d5-87af-5257-b215-b904e4a840d8\"}}"), "{}", "", 0);
        assert_eq!(
            stranger,
            [derived(&["a64c29d5-87af-5257-b215-b904e4a840d8"])],
            "an unverified sender takes no other's id"
        );
    }

    #[test]
    fn what_the_receiver_knows_is_not_taken_from_the_payload() {
        let body = json!({"scope": "user", "action": "created", "trust": "verified", "cause": {"depth": 0}, "source": "hr",
            "user": {"id": "Ada@Example.com"}});
        let draft = &drafts(".", &body).unwrap()[0];
        assert_eq!(draft.trust, Some(Trust::Unverified));
        assert_eq!(draft.cause, None);
        assert_eq!(draft.source.as_ref().map(Name::as_str), Some("hr"));
        assert_eq!(draft.user.as_ref().unwrap().id.as_deref(), Some("ada@example.com"));
    }

    #[test]
    fn a_device_known_by_its_udid_is_put_under_its_serial_number() {
        struct One;
        impl Aliases for One {
            fn serial_of(&self, udid: &str, _: Trust) -> Option<String> {
                (udid == "U1").then(|| "C02".to_owned())
            }
        }
        let plan = plan(".", "");
        for (device, node) in [
            (json!({"udid": "U1"}), Some("C02")),
            (json!({"udid": "U2"}), Some("U2")),
            (json!({"udid": "U1", "uuid": "C03"}), Some("C03")),
            (json!({}), None),
        ] {
            let body = json!({"scope": "device", "action": "checkin", "device": device}).to_string();
            let draft = &plan.rehearse(request(&body), &One, &moment(0)).unwrap()[0];
            assert_eq!(draft.node().unwrap().as_ref().map(|node| node.as_str()), node, "{device}");
        }
    }

    #[test]
    fn which_serial_number_is_followed_depends_on_what_was_proven() {
        struct Claimed;
        impl Aliases for Claimed {
            fn serial_of(&self, _: &str, trust: Trust) -> Option<String> {
                (trust == Trust::Unverified).then(|| "EVE".to_owned())
            }
        }
        let map = "map: '{scope: \"device\", action: \"checkin\", device: {udid: \"U1\"}}'";
        let folder = tempfile::tempdir().unwrap();
        crate::testing::secret(&folder.path().join("secret"), "s3cret");
        for (verify, node) in [("none", "EVE"), ("{query: {name: key, value: '${file:secret}'}}", "U1")] {
            let spec: SourceSpec = serde_saphyr::from_str(&format!("verify: {verify}\ndecode: json\n{map}")).unwrap();
            let source = spec.validate(&Name::new("hr").unwrap()).unwrap().resolve(folder.path()).unwrap();
            let request = Request::new(HeaderMap::new(), "key=s3cret", Bytes::from_static(b"{}"));
            let taken = source.take(request, &Claimed, &moment(0), std::time::Instant::now());
            let Ok(Taken::Events(drafts)) = taken else { panic!("{taken:?}") };
            assert_eq!(drafts[0].node().unwrap().unwrap().as_str(), node, "{verify}");
        }
    }

    #[test]
    fn what_is_no_event_says_which_and_why() {
        let body = json!({"a": [1]});
        let refused = |map: &str| {
            let refusing = plan(map, "unmapped: refuse");
            let refused = refusing.rehearse(request(&body.to_string()), &NoAliases, &moment(0)).unwrap_err();
            // Kept, it says the same.
            let kept = drafts(map, &body).unwrap();
            let kept = serde_json::to_value(kept.last().unwrap()).unwrap();
            assert_eq!(kept["scope"], "source");
            assert_eq!(kept["action"], "unmapped");
            assert_eq!(kept["info"], json!({"problem": refused.to_string(), "raw": body}), "{map}");
            refused.to_string()
        };
        insta::assert_snapshot!(refused("null, 1"), @r#"event 1 of the map: an event is an object such as {"scope": "device", "action": "enroll"}"#);
        insta::assert_snapshot!(refused("{scope: \"device\"}"), @r#"event 0 of the map: the field "action" is missing"#);
        insta::assert_snapshot!(refused("{scope: \"a\", action: \"b\", source: \"okta\"}"), @r#"event 0 of the map: the field "source" is "okta", but the source is hr"#);
        insta::assert_snapshot!(refused("{scope: \"a\", action: \"b\", device: {uuid: (\"x\" * 200)}}"), @r#"event 0 of the map: the field "device.uuid": a node key of 200 bytes: at most 128 are allowed"#);
        insta::assert_snapshot!(refused("{scope: \"a\", action: \"b\", event_id: {}}"), @r#"event 0 of the map: the field "event_id": expected a string"#);
        insta::assert_snapshot!(refused("{scope: \"a\", action: \"b\", info: (\"x\" * 300000)}"), @r#"event 0 of the map: 300115 bytes: an event may have at most 262144"#);
        insta::assert_snapshot!(refused(".a.b"), @r#"the map: cannot index [1] with "b""#);
        insta::assert_snapshot!(refused("range(5000) | null"), @"the map: more than 1000 outputs");
        assert_eq!(drafts("empty, null", &json!({})), Ok(vec![]));
    }

    #[test]
    fn what_can_be_mapped_is_and_the_rest_is_kept_as_it_came() {
        let body = json!([{"scope": "device", "action": "enroll"}, {"scope": "Device"}, 3]);
        let drafts = drafts(".[]", &body).unwrap();
        let shown: Vec<_> = drafts.iter().map(|draft| format!("{}.{}", draft.scope, draft.action)).collect();
        assert_eq!(shown, ["device.enroll", "source.unmapped"]);
        assert_ne!(drafts[0].id, drafts[1].id);
        let again = plan(".[]", "").rehearse(request(&body.to_string()), &NoAliases, &moment(9)).unwrap();
        assert_eq!(drafts, again, "the same body is the same events");
    }

    #[test]
    fn a_body_larger_than_an_event_is_kept_as_far_as_there_is_room() {
        for filling in ["x", "\u{1}", "ä"] {
            let body = json!({"a": filling.repeat(300_000)});
            let draft = drafts(".b.c.d | error", &body).unwrap().remove(0);
            assert!(draft.to_json().len() <= limits::MAX_EVENT);
            let draft = serde_json::to_value(draft).unwrap();
            assert_eq!(draft["info"]["cut_from"], body.to_string().len());
            assert!(body.to_string().starts_with(draft["info"]["raw"].as_str().unwrap()));
        }
    }

    #[test]
    fn a_map_sees_headers_and_query_but_no_credential() {
        let spec: SourceSpec = serde_saphyr::from_str(
            "verify: {query: {name: key, value: '${file:secret}'}}\nmap: '{scope: \"a\", action: \"b\", info: {headers: $headers, query: $query, source: $source}}'",
        )
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        crate::testing::secret(&folder.path().join("secret"), "s3cret");
        let source = spec.validate(&Name::new("hr").unwrap()).unwrap().resolve(folder.path()).unwrap();
        let headers = [
            ("content-type", "application/json"),
            ("authorization", "s3cret"),
            ("cookie", "s3cret"),
            ("x-event", "joined"),
        ];
        let headers =
            headers.into_iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
        let request = Request::new(headers, "key=s3cret&a=1&a=2", Bytes::from_static(b"{}"));
        let taken = source.take(request, &NoAliases, &moment(0), std::time::Instant::now());
        let Ok(Taken::Events(mut drafts)) = taken else { panic!("{taken:?}") };
        let draft = drafts.remove(0);
        let seen = json!({"headers": {"content-type": "application/json", "x-event": "joined"}, "query": {"a": ["1", "2"]}, "source": "hr"});
        assert_eq!(draft.info, Some(seen.into()));
        assert_eq!(draft.trust, Some(Trust::Authenticated));
    }
}
