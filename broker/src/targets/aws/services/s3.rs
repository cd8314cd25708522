//! S3 `PutObject`: an object a job, whose key is the same however often it is tried.

use http::{HeaderValue, Method};
use serde_json::{Value, json};

use super::super::{
    super::wire::Answer,
    call::{self, Call},
    service::{Does, One, Read, required},
    words::{Word, bytes_as, said},
};
use crate::{config::fields::Fields, core::Job};

const MAX_KEY: usize = 1024;

#[derive(Debug)]
struct S3 {
    /// The bucket, where the path names it.
    bucket: Option<String>,
    key: Word,
    content_type: HeaderValue,
    storage_class: Option<String>,
    kms_key: Option<String>,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Read> {
    let bucket = required(fields, "bucket", "bucket: emote-events");
    let key = Word::read(fields, "key", MAX_KEY);
    let content_type = fields.text("content_type").unwrap_or_else(|| "application/json".to_owned());
    let content_type =
        HeaderValue::from_str(&content_type).map_err(|_| fields.problem("content_type", "not a media type")).ok();
    let storage_class = super::super::service::optional(fields, "storage_class");
    let kms_key = super::super::service::optional(fields, "kms_key");
    let (bucket, content_type) = (bucket?, content_type?);
    if !bucket.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte)) {
        fields.problem("bucket", "not the name of a bucket");
        return None;
    }
    // A dot in the name would be one more label than the certificate has; elsewhere than at AWS there may be no names.
    let in_path = bucket.contains('.') || fields.has("endpoint");
    let host = if in_path { "s3".to_owned() } else { format!("{bucket}.s3") };
    let does = S3 { bucket: in_path.then(|| bucket.clone()), key, content_type, storage_class, kms_key };
    Some(Read { host, ..Read::new("s3", &bucket, Does::One(std::sync::Arc::new(does))) })
}

impl One for S3 {
    fn call(&self, job: &Job, context: &Value, value: Option<Value>) -> Result<Call, String> {
        let key = match self.key.given(context)? {
            Some(key) => key,
            None => {
                let time = job.event.time.to_string();
                format!("events/{}/{}.json", time.get(..10).unwrap_or_default().replace('-', "/"), job.id.token())
            }
        };
        if key.len() > MAX_KEY || key.starts_with('/') || key.split('/').any(|part| part == "." || part == "..") {
            return Err("key: has . or .. between slashes, begins with one, or is longer than 1024 bytes".to_owned());
        }
        let key = call::path(&key);
        let path = match &self.bucket {
            Some(bucket) => format!("/{bucket}/{key}"),
            None => format!("/{key}"),
        };
        let mut call = Call::rest(&path, &Value::Null).content_type(&self.content_type);
        call.method = Method::PUT;
        call.body = bytes_as(&said(context, value), &self.content_type);
        let headers = [
            ("x-amz-storage-class", self.storage_class.as_deref()),
            ("x-amz-server-side-encryption", self.kms_key.as_ref().map(|_| "aws:kms")),
            ("x-amz-server-side-encryption-aws-kms-key-id", self.kms_key.as_deref()),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                call = call.header(name, value).map_err(|error| format!("{name}: {error}"))?;
            }
        }
        Ok(call)
    }

    fn accepted(&self, answer: &Answer) -> Result<Value, String> {
        Ok(json!({"etag": answer.headers.get("etag"), "version": answer.headers.get("x-amz-version-id")}))
    }
}
