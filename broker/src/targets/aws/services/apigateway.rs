//! API Gateway: a request to an API of one's own that lets in who signs (`AWS_IAM`). The job's id goes along as
//! `Idempotency-Key`.

use http::{HeaderValue, Method, header::CONTENT_TYPE};
use serde_json::{Value, json};

use super::super::{
    super::wire::{Answer, idempotency_key},
    call::Call,
    service::{Does, One, Read, optional, required},
    words::{bytes_as, said},
};
use crate::{config::fields::Fields, core::Job};

const METHODS: [Method; 5] = [Method::DELETE, Method::GET, Method::PATCH, Method::POST, Method::PUT];

#[derive(Debug)]
struct ApiGateway {
    method: Method,
    path: String,
    content_type: HeaderValue,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Read> {
    let api = required(fields, "api", "api: a1b2c3d4e5");
    let stage = optional(fields, "stage");
    let path = optional(fields, "path").unwrap_or_default();
    let method = optional(fields, "method").unwrap_or_else(|| "POST".to_owned());
    let method = METHODS.into_iter().find(|known| known.as_str() == method).unwrap_or_else(|| {
        fields.problem("method", "expected one of DELETE, GET, PATCH, POST, PUT");
        Method::POST
    });
    let content_type = fields.text("content_type").unwrap_or_else(|| "application/json".to_owned());
    let content_type =
        HeaderValue::from_str(&content_type).map_err(|_| fields.problem("content_type", "not a media type")).ok();
    let (api, content_type) = (api?, content_type?);
    if !api.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        fields.problem("api", "not the id of an API");
        return None;
    }
    let stage = stage.filter(|stage| stage != "$default").map(|stage| format!("/{stage}")).unwrap_or_default();
    let path = format!("{stage}/{}", path.trim_start_matches('/'));
    // What is percent-encoded is signed in two ways, depending on who checks.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte);
    if !path.bytes().all(plain) || path.split('/').any(|part| part == "." || part == "..") {
        fields.problem("path", "may have letters, digits and -._~: between its slashes");
        return None;
    }
    let does = ApiGateway { method, path: path.clone(), content_type };
    let read = Read::new("execute-api", &api, Does::One(std::sync::Arc::new(does)));
    Some(Read { host: format!("{api}.execute-api"), about: format!("{api}{path}"), ..read })
}

impl One for ApiGateway {
    fn call(&self, job: &Job, context: &Value, value: Option<Value>) -> Result<Call, String> {
        let mut call = Call::rest(&self.path, &Value::Null).content_type(&self.content_type);
        if self.method == Method::GET && value.is_none() {
            call.headers.retain(|(name, _)| *name != CONTENT_TYPE);
            call.body = Vec::new();
        } else {
            call.body = bytes_as(&said(context, value), &self.content_type);
        }
        call.method = self.method.clone();
        call.header("idempotency-key", &idempotency_key(&job.id)).map_err(|error| error.to_string())
    }

    fn accepted(&self, _: &Answer) -> Result<Value, String> {
        Ok(json!({"method": self.method.as_str()}))
    }
}
