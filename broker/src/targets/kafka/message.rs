//! The requests that are made of a broker, and their answers (kafka.apache.org/protocol, "Protocol Messages"), in versions
//! that brokers have from Kafka 1.0 to 4: `Metadata` 4, `Produce` 3 to 8, `SaslHandshake` 1, `SaslAuthenticate` 0 and 1.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use super::{
    failure::{Code, Failure},
    primitive::{Malformed, Reader, Writer},
};

/// What can be asked, and in which versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Api {
    pub(super) key: i16,
    pub(super) name: &'static str,
    pub(super) versions: RangeInclusive<i16>,
}

pub(super) const PRODUCE: Api = Api { key: 0, name: "Produce", versions: 3..=8 };
pub(super) const METADATA: Api = Api { key: 3, name: "Metadata", versions: 4..=4 };
pub(super) const SASL_HANDSHAKE: Api = Api { key: 17, name: "SaslHandshake", versions: 1..=1 };
pub(super) const API_VERSIONS: Api = Api { key: 18, name: "ApiVersions", versions: 0..=0 };
pub(super) const SASL_AUTHENTICATE: Api = Api { key: 36, name: "SaslAuthenticate", versions: 0..=1 };

/// In `acks`: all that are in step have it.
const ALL: i16 = -1;

/// What a broker can be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Versions(Vec<(i16, RangeInclusive<i16>)>);

/// What a cluster says of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    /// By number: host and port.
    pub(super) brokers: Vec<(i32, String, i32)>,
    /// Why there is no such topic.
    pub(super) error: Option<Code>,
    /// Of each partition, in their order, the number of its leader.
    pub(super) leaders: Vec<i32>,
}

/// A batch that is to be stored.
pub(super) struct Batch<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) records: Vec<u8>,
}

/// What became of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// Shared: an answer may name many partitions of a topic with a long name.
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// The offset of its first record.
    pub(super) offset: Result<i64, Failure>,
}

impl Versions {
    pub(super) fn read(answer: &[u8]) -> Result<Result<Self, Code>, Malformed> {
        let mut reader = Reader::new(answer);
        if let Some(code) = Code::of(reader.i16()?) {
            return Ok(Err(code));
        }
        reader.array(|reader| Ok((reader.i16()?, reader.i16()?..=reader.i16()?))).map(|versions| Ok(Self(versions)))
    }

    /// The newest version in which both speak.
    pub(super) fn of(&self, api: &Api) -> Result<i16, Failure> {
        let theirs = self.0.iter().find_map(|(key, versions)| (*key == api.key).then_some(versions));
        let newest =
            theirs.map(|theirs| (*theirs.start().max(api.versions.start()), *theirs.end().min(api.versions.end())));
        match newest {
            Some((oldest, newest)) if oldest <= newest => Ok(newest),
            _ => Err(Failure::Lasting(format!(
                "the broker does not take {} in a version from {} to {}: it is to be of Kafka 1.0 or newer, or to do as one",
                api.name,
                api.versions.start(),
                api.versions.end()
            ))),
        }
    }
}

/// Asks for a topic, which is not created by it.
pub(super) fn metadata(topic: &str) -> Vec<u8> {
    Writer::default().count(1).text(Some(topic)).i8(0).take()
}

pub(super) fn described(answer: &[u8]) -> Result<Described, Malformed> {
    let mut reader = Reader::new(answer);
    reader.i32()?;
    let brokers = reader.array(|reader| {
        let broker = (reader.i32()?, reader.text()?, reader.i32()?);
        reader.nullable_text()?;
        Ok(broker)
    })?;
    reader.nullable_text()?;
    reader.i32()?;
    let mut topics = reader.array(|reader| {
        let error = Code::of(reader.i16()?);
        reader.text()?;
        reader.flag()?;
        Ok((error, reader.array(leader)?))
    })?;
    let (error, mut partitions) = topics.pop().ok_or(Malformed)?;
    partitions.sort_unstable();
    // Where one is missing, a key would be in another partition than it is for others.
    let whole = partitions.iter().enumerate().all(|(at, (index, _))| usize::try_from(*index) == Ok(at));
    let leaders = partitions.into_iter().map(|(_, leader)| leader).collect();
    if whole { Ok(Described { brokers, error, leaders }) } else { Err(Malformed) }
}

/// A partition's index and its leader, -1 where there is none.
fn leader(reader: &mut Reader<'_>) -> Result<(i32, i32), Malformed> {
    reader.i16()?;
    let found = (reader.i32()?, reader.i32()?);
    for _ in ["replicas", "in step"] {
        reader.array(Reader::i32)?;
    }
    Ok(found)
}

/// Asks for batches to be stored, within `timeout`, by all brokers that are in step. A partition may have one of them.
pub(super) fn produce(batches: &[Batch<'_>], timeout: Duration) -> Vec<u8> {
    let mut writer = Writer::default();
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    writer.text(None).i16(ALL).i32(millis).count(batches.len());
    for batch in batches {
        writer.text(Some(batch.topic)).count(1).i32(batch.partition).bytes(&batch.records);
    }
    writer.take()
}

/// What became of each batch, and for how long nothing more is to be sent over that connection: from version 6 on the broker
/// has answered at once, and reads nothing before that time is over (KIP-219).
pub(super) fn stored(answer: &[u8], version: i16) -> Result<(Vec<Stored>, Duration), Malformed> {
    let mut reader = Reader::new(answer);
    let topics = reader.array(|reader| {
        let topic: Arc<str> = reader.text()?.into();
        let partitions = reader.array(|reader| partition(reader, version))?;
        Ok(partitions.into_iter().map(move |(partition, offset)| Stored {
            topic: Arc::clone(&topic),
            partition,
            offset,
        }))
    })?;
    let throttled = u64::try_from(reader.i32()?).map(Duration::from_millis).unwrap_or_default();
    let rest = if version >= 6 { throttled } else { Duration::ZERO };
    Ok((topics.into_iter().flatten().collect(), rest))
}

fn partition(reader: &mut Reader<'_>, version: i16) -> Result<(i32, Result<i64, Failure>), Malformed> {
    let (index, code, offset) = (reader.i32()?, Code::of(reader.i16()?), reader.i64()?);
    reader.i64()?;
    if version >= 5 {
        reader.i64()?;
    }
    let mut said = None;
    if version >= 8 {
        let of_records = reader.array(|reader| {
            reader.i32()?;
            reader.nullable_text()
        })?;
        said = reader.nullable_text()?.or_else(|| of_records.into_iter().flatten().next());
    }
    Ok((index, code.map_or(Ok(offset), |code| Err(Failure::refused(code, said.as_deref())))))
}

pub(super) fn sasl_handshake(mechanism: &str) -> Vec<u8> {
    Writer::default().text(Some(mechanism)).take()
}

/// Where the broker does not take the mechanism that was named: why, and which it takes; none where nobody logs in there.
pub(super) fn handshaken(answer: &[u8]) -> Result<Option<(Code, Vec<String>)>, Malformed> {
    let mut reader = Reader::new(answer);
    let code = Code::of(reader.i16()?);
    let mechanisms = reader.array(Reader::text)?;
    Ok(code.map(|code| (code, mechanisms)))
}

pub(super) fn sasl_authenticate(said: &[u8]) -> Vec<u8> {
    Writer::default().bytes(said).take()
}

/// What the broker says to a step of a login.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Authenticated<'a> {
    /// Why it was refused.
    pub(super) refused: Option<String>,
    pub(super) said: &'a [u8],
    /// How long the login holds, where it ends.
    pub(super) life: Option<Duration>,
}

pub(super) fn authenticated(answer: &[u8], version: i16) -> Result<Authenticated<'_>, Malformed> {
    let mut reader = Reader::new(answer);
    let code = Code::of(reader.i16()?);
    let message = reader.nullable_text()?;
    let refused = code.map(|code| code.says(message.as_deref()));
    let said = reader.bytes()?;
    let life = if version >= 1 { reader.i64()? } else { 0 };
    let life = u64::try_from(life).ok().filter(|life| *life > 0).map(Duration::from_millis);
    Ok(Authenticated { refused, said, life })
}

#[cfg(test)]
mod tests;
