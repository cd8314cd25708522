//! The `archive` section of `emote.yaml`.

use std::{path::PathBuf, time::Duration};

use super::{
    fields::{Fields, expected},
    shape::Form,
};
use crate::archive::{ArchiveSpec, Place, Wire};

const SIZES: std::ops::RangeInclusive<u64> = 1024..=256 << 20;
const AGES: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
const DEFAULT_SIZE: usize = 64 << 20;
const DEFAULT_AGE: Duration = Duration::from_secs(300);

/// Keys of which kind of store they are.
const KEYS: [(&str, &[&str]); 8] = [
    ("region", &["s3"]),
    ("endpoint", &["s3", "az"]),
    ("access_key_id", &["s3"]),
    ("secret_access_key", &["s3"]),
    ("service_account", &["gs"]),
    ("account", &["az"]),
    ("account_key", &["az"]),
    ("ca", &["s3", "gs", "az"]),
];

/// What `to` looks like.
const PLACES: &[&str] = &["s3://bucket/emote", "gs://bucket/emote", "az://container/emote", "archive"];

/// `to: s3://bucket/prefix`, and what that takes.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<ArchiveSpec> {
    let to = fields.formed("to", Form::Text(PLACES), |value| {
        let text = value.as_str().ok_or_else(|| expected("a text", value))?;
        parse(text)
    });
    let to = fields.require("to", to, "to: s3://bucket/emote, or a folder");
    let size = fields.size("size");
    if size.is_some_and(|size| !SIZES.contains(&size)) {
        fields.problem("size", "expected a size from 1KiB to 256MiB");
    }
    let age = fields.duration("age", AGES).unwrap_or(DEFAULT_AGE);
    let conditional_puts = fields.flag("conditional_puts").unwrap_or(true);
    let place = match &to {
        Some(to) => place(to, fields),
        None => {
            // Their own problems are told, and not that they are unknown.
            KEYS.iter().for_each(|(key, _)| _ = fields.has(key));
            _ = fields.has("insecure");
            None
        }
    };
    let size = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(DEFAULT_SIZE);
    Some(ArchiveSpec { place: place?, prefix: to?.prefix, size, age, conditional_puts })
}

/// An address, taken apart.
struct To {
    /// `s3`, `gs`, `az`, or nothing for a folder.
    scheme: &'static str,
    bucket: String,
    prefix: String,
}

fn parse(text: &str) -> Result<To, String> {
    let wrong = || "expected s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or a folder".to_owned();
    let folder = |path: &str| To { scheme: "", bucket: path.to_owned(), prefix: String::new() };
    let Some((scheme, rest)) = text.split_once("://") else {
        return if text.is_empty() { Err(wrong()) } else { Ok(folder(text)) };
    };
    let scheme = match scheme {
        "s3" => "s3",
        "gs" => "gs",
        "az" => "az",
        "file" if rest.starts_with('/') => return Ok(folder(rest)),
        _ => return Err(wrong()),
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_matches('/');
    let fits = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let folders = prefix
        .split('/')
        .all(|folder| fits(folder) && folder != "." && folder != ".." && (prefix.is_empty() || !folder.is_empty()));
    if bucket.is_empty() || !fits(bucket) || !folders {
        return Err("buckets and folders are made of letters, digits, ., _ and -".to_owned());
    }
    Ok(To { scheme, bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

fn place(to: &To, fields: &mut Fields<'_>) -> Option<Place> {
    let what = match to.scheme {
        "s3" => "S3",
        "gs" => "Google Cloud Storage",
        "az" => "Azure",
        _ => "a folder",
    };
    for (key, schemes) in KEYS {
        if !schemes.contains(&to.scheme) && fields.has(key) {
            fields.problem(key, format!("means nothing for {what}"));
        }
    }
    let insecure = fields.flag("insecure").unwrap_or_default();
    if to.scheme.is_empty() && fields.has("insecure") {
        fields.problem("insecure", "means nothing for a folder");
    }
    let bucket = to.bucket.clone();
    let mut wire = || Wire { ca: fields.text("ca").map(PathBuf::from), insecure };
    match to.scheme {
        "s3" => {
            let wire = wire();
            let (id, key) = (fields.text("access_key_id"), fields.secret("secret_access_key"));
            if fields.has("access_key_id") != fields.has("secret_access_key") {
                fields.problem("", "access_key_id and secret_access_key go together");
            }
            let region = fields.text("region");
            let endpoint = endpoint(fields, insecure);
            Some(Place::S3 { bucket, region, endpoint, keys: id.zip(key), wire })
        }
        "gs" => {
            let wire = wire();
            Some(Place::Gcs { bucket, service_account: fields.secret("service_account"), wire })
        }
        "az" => {
            let wire = wire();
            let account = fields.text("account");
            let account = fields.require("account", account, "account: mystorage");
            let key = fields.secret("account_key");
            let endpoint = endpoint(fields, insecure);
            Some(Place::Azure { container: bucket, account: account?, key, endpoint, wire })
        }
        _ => Some(Place::Folder(PathBuf::from(bucket))),
    }
}

fn endpoint(fields: &mut Fields<'_>, insecure: bool) -> Option<String> {
    fields.formed("endpoint", Form::Text(&["https://minio.example.com:9000"]), |value| {
        let text = value.as_str().ok_or_else(|| expected("a text", value))?;
        if text.contains('@') {
            return Err("keys do not stand in the address: they are given by reference".to_owned());
        }
        match text.split_once("://") {
            Some(("https", rest)) if !rest.is_empty() => Ok(text.to_owned()),
            Some(("http", rest)) if !rest.is_empty() && insecure => Ok(text.to_owned()),
            Some(("http", _)) => {
                Err("plain http shows everybody what is archived: use https, or say insecure: true".to_owned())
            }
            _ => Err("expected an address such as https://minio.example.com:9000".to_owned()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Problems, Settings};
    use serde_json::{Value, json};

    fn read(archive: Value) -> (Option<ArchiveSpec>, Vec<String>) {
        let mut problems = Problems::default();
        let settings = Settings::read(json!({"archive": archive}).as_object().unwrap(), &mut problems);
        let told = problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message));
        (settings.archive, told.collect())
    }

    #[test]
    fn an_archive_is_a_folder_or_a_bucket() {
        for (archive, shown) in [
            (json!({"to": "archive"}), "archive"),
            (json!({"to": "file:///var/lib/emote/archive", "size": "1MiB", "age": "1h"}), "/var/lib/emote/archive"),
            (
                json!({"to": "s3://b/x/y/", "region": "eu-central-1", "access_key_id": "AK", "secret_access_key": "${env:S}"}),
                "s3://b/x/y",
            ),
            (json!({"to": "s3://b", "endpoint": "http://127.0.0.1:9000", "insecure": true}), "s3://b"),
            (json!({"to": "gs://b/p", "service_account": "${file:gcs.json}"}), "gs://b/p"),
            (json!({"to": "az://c", "account": "a", "account_key": "${env:S}"}), "az://c"),
        ] {
            let (spec, problems) = read(archive);
            assert_eq!((spec.unwrap().shown().as_str(), problems), (shown, vec![]));
        }
        assert!(Settings::default().archive.is_none());
    }

    #[test]
    fn what_is_wrong_with_it_is_told_at_its_place() {
        for (archive, told) in [
            (json!({}), "archive.to: is missing"),
            (json!({"to": "ftp://x"}), "archive.to: expected s3://"),
            (json!({"to": "s3://b/../c"}), "archive.to: buckets and folders"),
            (json!({"to": "a", "region": "x"}), "archive.region: means nothing for a folder"),
            (json!({"to": "gs://a", "access_key_id": "x"}), "archive.access_key_id: means nothing for Google"),
            (
                json!({"to": "s3://b", "secret_access_key": "hunter2"}),
                "archive.secret_access_key: a secret is given by reference",
            ),
            (json!({"to": "s3://b", "access_key_id": "x"}), "archive: access_key_id and secret_access_key go together"),
            (json!({"to": "s3://b", "endpoint": "http://x"}), "archive.endpoint: plain http"),
            (json!({"to": "s3://b", "endpoint": "https://k:s@x"}), "archive.endpoint: keys do not stand"),
            (json!({"to": "az://b"}), "archive.account: is missing"),
            (json!({"to": "a", "size": "1GiB"}), "archive.size: expected a size from"),
            (json!({"to": "a", "age": "2d"}), "archive.age: expected a length of time"),
            (json!({"to": "a", "bucket": "b"}), "archive.bucket: unknown key"),
        ] {
            let (_, problems) = read(archive.clone());
            assert!(problems.first().is_some_and(|first| first.starts_with(told)), "{archive}: {problems:?}");
            assert!(!problems.iter().any(|problem| problem.contains("hunter2")));
        }
    }
}
