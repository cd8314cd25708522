//! What sources have in common: property lists in files, facts that may not be known, fingerprints.

use std::collections::BTreeMap;
use std::path::Path;

use plist::{Dictionary, Value as Plist};
use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ObserveError;
use crate::platform::{Host, plist as property_list};

/// The property list at `path`, of at most `most` bytes; `None` where there is no such file.
pub(super) fn read_plist(host: &dyn Host, path: &str, most: usize) -> Result<Option<Plist>, ObserveError> {
    let bytes = match host.read(Path::new(path), most) {
        Err(error) if error.is_missing() => return Ok(None),
        bytes => bytes?,
    };
    let value = property_list::parse(&bytes).map_err(|error| ObserveError::Answer(format!("{path}: {error}")))?;
    Ok(Some(value))
}

/// The same of a list that is a dictionary.
pub(super) fn read_dictionary(host: &dyn Host, path: &str, most: usize) -> Result<Option<Dictionary>, ObserveError> {
    let Some(list) = read_plist(host, path, most)? else { return Ok(None) };
    list.into_dictionary().map(Some).ok_or_else(|| ObserveError::Answer(format!("{path}: it is no dictionary")))
}

/// An object of those `facts` that are known, and of `key`, which says whose they are.
pub(super) fn info(key: (&str, &str), facts: &impl Serialize) -> Value {
    let mut info = Map::new();
    info.insert(key.0.to_owned(), key.1.into());
    info.extend(known(facts));
    Value::Object(info)
}

/// The same of `to`, with `from` and `to` in whole beside it.
pub(super) fn change<T: Serialize>(key: (&str, &str), from: &T, to: &T) -> Value {
    let mut info = info(key, to);
    info["from"] = known(from).into();
    info["to"] = known(to).into();
    info
}

/// Those of the `facts` that are known.
pub(super) fn known(facts: &impl Serialize) -> Map<String, Value> {
    let Value::Object(mut facts) = json!(facts) else { return Map::new() };
    facts.retain(|_, value| !value.is_null());
    facts
}

/// What `old` knew of the entries below `folder`, for when it cannot be listed.
pub(super) fn below<'a, T: Clone>(
    old: Option<&'a BTreeMap<String, T>>,
    folder: &str,
) -> impl Iterator<Item = (String, T)> + use<'a, T> {
    let prefix = format!("{folder}/");
    let entries = old.into_iter().flat_map(move |old| {
        let prefix = prefix.clone();
        old.range(prefix.clone()..).take_while(move |(path, _)| path.starts_with(&prefix))
    });
    entries.map(|(path, entry)| (path.clone(), entry.clone()))
}

/// Leaves at most `most` of `items`. Those known before stay, so that one more takes none of them away.
pub(super) fn bound<T>(items: &mut Vec<T>, most: usize, is_known: impl Fn(&T) -> bool) {
    if items.len() > most {
        let (mut kept, new): (Vec<T>, Vec<T>) = std::mem::take(items).into_iter().partition(&is_known);
        kept.extend(new);
        kept.truncate(most);
        *items = kept;
    }
}

/// Eight bytes that differ where `bytes` do.
pub(super) fn fingerprint(bytes: &[u8]) -> u64 {
    digest(&SHA256, bytes).as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Facts {
        name: &'static str,
        team: Option<&'static str>,
    }

    #[test]
    fn a_fingerprint_is_what_it_was_when_it_was_written() {
        // FIPS 180-4: SHA-256 of "abc" begins so. Snapshots on disks hold it.
        assert_eq!(fingerprint(b"abc"), 0xba78_16bf_8f01_cfea);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let (one, two) = (Facts { name: "a", team: None }, Facts { name: "a", team: Some("t") });
        assert_eq!(info(("path", "/a"), &one), json!({"path": "/a", "name": "a"}));
        let change = change(("path", "/a"), &two, &one);
        assert_eq!(change, json!({"path": "/a", "name": "a", "from": {"name": "a", "team": "t"}, "to": {"name": "a"}}));
    }

    #[test]
    fn below_a_folder_is_not_beside_it() {
        let old = ["/a", "/a b/c", "/a/b", "/a/b/c", "/ab"].map(|path| (path.to_owned(), ())).into();
        let paths = |folder: &str| below(Some(&old), folder).map(|(path, ())| path).collect::<Vec<_>>();
        assert_eq!(paths("/a"), ["/a/b", "/a/b/c"]);
        assert!(paths("/c").is_empty() && below::<()>(None, "/a").next().is_none());
    }

    #[test]
    fn where_there_are_too_many_those_known_stay() {
        for (most, expected) in [(6, vec![0, 1, 2, 3, 4, 5]), (4, vec![1, 3, 5, 0]), (2, vec![1, 3])] {
            let mut items: Vec<u8> = (0..6).collect();
            bound(&mut items, most, |item| item % 2 == 1);
            assert_eq!(items, expected);
        }
    }

    #[test]
    fn a_fingerprint_is_the_beginning_of_the_sha_256() {
        assert_eq!(format!("{:016x}", fingerprint(b"abc")), "ba7816bf8f01cfea");
    }
}
