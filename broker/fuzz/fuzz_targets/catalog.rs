//! What vendors send, and what is fetched from them, through the maps of the catalogue: the first line is a preset's name
//! and perhaps a Content-Type, the rest is the body. No map fails for it, and what it gives are events.
#![no_main]

use std::{collections::BTreeMap, sync::LazyLock};

use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use emote::ingest::{Moment, NoAliases, Plan, Refusal, Request, SourceSpec, catalog};
use emote_proto::{Name, Time, limits};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

static PLANS: LazyLock<BTreeMap<&str, Plan>> = LazyLock::new(|| {
    let plan = |entry: &'static emote::catalog::Entry<catalog::Body>| {
        let spec = serde_json::from_value(json!({"preset": entry.name, "verify": "none"}));
        let spec: SourceSpec = spec.expect("a source");
        (entry.name, spec.validate(&Name::new("it").expect("a name")).expect("a right source"))
    };
    catalog::all().iter().map(plan).collect()
});

fuzz_target!(|data: &[u8]| {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(line) = std::str::from_utf8(&data[..end]) else { return };
    let (name, content_type) = line.split_once(' ').unwrap_or((line, "application/json"));
    let (Some(plan), Ok(content_type)) = (PLANS.get(name), HeaderValue::from_str(content_type)) else { return };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", content_type);
    let request = Request::new(headers, "", Bytes::copy_from_slice(&data[end + 1..]));
    let moment = Moment { now: Time::from_millis(1_800_000_000_000).expect("a time"), random: [0; 16] };
    match plan.rehearse(request, &NoAliases, &moment) {
        Ok(drafts) => {
            for draft in drafts {
                assert!(draft.to_json().len() <= limits::MAX_EVENT && draft.id.is_some());
                draft.subject(Name::new("it").expect("a name")).expect("a subject");
            }
        }
        Err(Refusal::Undecodable(_) | Refusal::Type { .. } | Refusal::Unmapped { .. }) => {}
        Err(refusal) => panic!("{name}: {refusal:?}"),
    }
});
