//! Messages asked for one by one, of the stream's leader, in JSON: a form that every client can be given, whatever is in them.

use async_nats::{
    Client,
    jetstream::{self, ErrorCode},
};
use emote_proto::Time;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ReadError, ordered::Failed};

#[derive(Deserialize)]
struct Answer {
    message: Option<Raw>,
    error: Option<jetstream::Error>,
}

/// A message as STREAM.MSG.GET gives it.
#[derive(Deserialize)]
pub(super) struct Raw {
    pub(super) subject: String,
    pub(super) seq: u64,
    /// In base64.
    #[serde(default)]
    pub(super) hdrs: String,
    /// In base64.
    #[serde(default)]
    pub(super) data: String,
    pub(super) time: jiff::Timestamp,
}

/// The first message behind `position` under one of `filters` (none for all).
pub(super) async fn first_behind(
    client: &Client,
    stream: &str,
    filters: &[String],
    position: u64,
) -> Result<Option<Raw>, Failed> {
    let filters = if filters.is_empty() { vec![">"] } else { filters.iter().map(String::as_str).collect() };
    let behind = position.saturating_add(1);
    let asked = filters.into_iter().map(|filter| get(client, stream, json!({"seq": behind, "next_by_subj": filter})));
    let found = futures_util::future::try_join_all(asked).await?;
    Ok(found.into_iter().flatten().min_by_key(|message| message.seq))
}

/// The first message that was stored at this time or later.
pub(super) async fn first_since(client: &Client, stream: &str, since: Time) -> Result<Option<Raw>, Failed> {
    get(client, stream, json!({"start_time": since, "next_by_subj": ">"})).await
}

async fn get(client: &Client, stream: &str, asked: Value) -> Result<Option<Raw>, Failed> {
    let subject = format!("$JS.API.STREAM.MSG.GET.{stream}");
    let answer = client.request(subject, asked.to_string().into()).await.map_err(|error| Failed::for_now(&error))?;
    match serde_json::from_slice(&answer.payload).map_err(|error| Failed::for_now(&error))? {
        Answer { error: Some(failure), .. } => match failure.error_code() {
            ErrorCode::NO_MESSAGE_FOUND => Ok(None),
            ErrorCode::STREAM_NOT_FOUND => Err(Failed::ForGood(ReadError(failure.to_string()))),
            _ => Err(Failed::for_now(&failure)),
        },
        Answer { message, .. } => Ok(message),
    }
}
