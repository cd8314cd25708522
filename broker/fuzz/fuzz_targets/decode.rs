//! A body in each notation: the first line is its Content-Type. Nothing panics, and what is read is JSON of bounded size.
#![no_main]

use std::{path::Path, sync::LazyLock, time::Instant};

use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use emote::ingest::{Moment, NoAliases, Request, Source, SourceSpec, Taken};
use emote_proto::{Name, Time};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

static SOURCE: LazyLock<Source> = LazyLock::new(|| {
    let spec = json!({"verify": "none", "decode": "auto", "map": "{scope: \"a\", action: \"b\", info: {is: .}}"});
    let spec: SourceSpec = serde_json::from_value(spec).expect("a source");
    let plan = spec.validate(&Name::new("it").expect("a name")).expect("a right source");
    plan.resolve(Path::new("/")).expect("nothing to resolve")
});

fuzz_target!(|data: &[u8]| {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(content_type) = HeaderValue::from_bytes(&data[..end]) else { return };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", content_type);
    let request = Request::new(headers, "", Bytes::copy_from_slice(&data[end + 1..]));
    let moment = Moment { now: Time::from_millis(1_800_000_000_000).expect("a time"), random: [0; 16] };
    match SOURCE.take(request, &NoAliases, &moment, Instant::now()) {
        Ok(Taken::Question(challenge)) => panic!("{challenge}"),
        Ok(Taken::Events(drafts)) => assert!(drafts.iter().all(|draft| draft.to_json().len() <= emote_proto::limits::MAX_EVENT)),
        Err(refusal) => assert!(refusal.status().is_client_error(), "{refusal:?}"),
    }
});
