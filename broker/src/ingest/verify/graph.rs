//! Microsoft Graph's change notifications: each item of `value` holds the `clientState` of its subscription. There is no
//! signature, so the sender is authenticated and the body is not.
//!
//! One request may hold notifications of several subscriptions; one whose `clientState` is wrong refuses them all. What
//! Graph says of a subscription itself (`lifecycleEvent`) comes in the same shape. Rich notifications (`encryptedContent`)
//! are taken for what stands beside the content, which is not decrypted.
//! <https://learn.microsoft.com/graph/change-notifications-delivery-webhooks>

use std::path::Path;

use emote_proto::{Time, Trust};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Check, Proof, Scheme, SecretRefs, Secrets};
use crate::{
    config::Problems,
    ingest::{Denied, Refusal, Request, Unverified},
};

/// `graph: {client_state: ${env:NAME}}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    client_state: SecretRefs,
}

struct ClientState(Secrets);

/// A name that stands there twice is an error, so that what is checked is what is read later.
#[derive(Deserialize)]
struct Collection {
    value: Vec<Notification>,
}

#[derive(Deserialize)]
struct Notification {
    #[serde(rename = "clientState")]
    client_state: Option<String>,
}

impl Scheme for Spec {
    fn validate(&self, _: &mut Problems) {}

    fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>> {
        Some(Box::new(ClientState(self.client_state.resolve("graph.client_state", folder, problems)?)))
    }
}

impl Check for ClientState {
    fn check(&self, request: &Request<Unverified>, _: Time) -> Result<Proof, Refusal> {
        let collection: Collection = serde_json::from_slice(&request.body).map_err(|_| {
            Denied::new("the body is no collection of notifications: {\"value\": [{\"clientState\": …}]}")
        })?;
        let right = |one: &Notification| self.0.hold(one.client_state.as_deref().unwrap_or_default().as_bytes());
        // All are compared, so that the time does not tell which one was wrong.
        let all = collection.value.iter().fold(!collection.value.is_empty(), |all, one| all & right(one));
        if all {
            return Ok(Trust::Authenticated.into());
        }
        Err(Denied::new("the clientState of a notification is missing or wrong, or there is no notification").into())
    }

    fn hide(&self, decoded: &mut Value) {
        let items = decoded.get_mut("value").and_then(Value::as_array_mut);
        for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
            item.remove("clientState");
        }
    }
}
