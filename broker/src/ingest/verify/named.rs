//! Vendors' own ways to sign with a shared secret, so that nobody has to know their construction: `github: {secret: …}`.

use std::path::Path;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Check, Scheme, SecretRefs,
    hmac::{self, Encoding},
    signed_time,
};
use crate::config::Problems;

/// `github: {secret: ${env:NAME}}`, and `tolerance` where the sender signs a time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    secret: SecretRefs,
    /// How far the signed time may lie from now, either way.
    #[schemars(with = "Option<crate::ingest::spec::Length>")]
    tolerance: Option<SignedDuration>,
}

/// How a vendor signs.
pub(super) struct Named {
    name: &'static str,
    header: &'static str,
    encoding: Encoding,
    prefix: &'static str,
    message: &'static str,
    timestamp_header: Option<&'static str>,
}

/// <https://developer.apple.com/documentation/appstoreconnectapi/webhook-notifications>
pub(super) const APP_STORE_CONNECT: Named = Named {
    name: "app_store_connect",
    header: "X-Apple-Signature",
    encoding: Encoding::Hex,
    prefix: "hmacsha256=",
    message: "{body}",
    timestamp_header: None,
};

/// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
pub(super) const GITHUB: Named = Named {
    name: "github",
    header: "X-Hub-Signature-256",
    encoding: Encoding::Hex,
    prefix: "sha256=",
    message: "{body}",
    timestamp_header: None,
};

/// <https://www.kolide.com/docs/developers/webhooks>: no word for the scheme stands before the signature.
pub(super) const KOLIDE: Named = Named {
    name: "kolide",
    header: "Authorization",
    encoding: Encoding::Hex,
    prefix: "",
    message: "{body}",
    timestamp_header: None,
};

/// <https://github.com/micromdm/nanomdm/blob/main/docs/operations-guide.md>
pub(super) const NANOMDM: Named = Named {
    name: "nanomdm",
    header: "X-Hmac-Signature",
    encoding: Encoding::Base64,
    prefix: "",
    message: "{body}",
    timestamp_header: None,
};

/// <https://docs.slack.dev/authentication/verifying-requests-from-slack>
pub(super) const SLACK: Named = Named {
    name: "slack",
    header: "X-Slack-Signature",
    encoding: Encoding::Hex,
    prefix: "v0=",
    message: "v0:{timestamp}:{body}",
    timestamp_header: Some("X-Slack-Request-Timestamp"),
};

/// <https://developer.zendesk.com/documentation/webhooks/verifying/>
pub(super) const ZENDESK: Named = Named {
    name: "zendesk",
    header: "X-Zendesk-Webhook-Signature",
    encoding: Encoding::Base64,
    prefix: "",
    message: "{timestamp}{body}",
    timestamp_header: Some("X-Zendesk-Webhook-Signature-Timestamp"),
};

impl Named {
    /// The scheme with an administrator's settings.
    pub(super) fn with<'s>(&'static self, spec: &'s Spec) -> Of<'s> {
        Of { named: self, spec }
    }
}

/// A vendor's way to sign, and its secrets.
pub(super) struct Of<'s> {
    named: &'static Named,
    spec: &'s Spec,
}

impl Scheme for Of<'_> {
    fn validate(&self, problems: &mut Problems) {
        let path = format!("{}.tolerance", self.named.name);
        match (self.spec.tolerance, self.named.timestamp_header) {
            (Some(_), None) => problems.add(path, "means nothing here: this sender signs no time"),
            (Some(tolerance), Some(_)) => signed_time::validate(tolerance, &path, problems),
            (None, _) => {}
        }
    }

    fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>> {
        let secrets = self.spec.secret.resolve(&format!("{}.secret", self.named.name), folder, problems)?;
        let keys = secrets.iter().map(|secret| hmac::Key::new(secret.as_bytes().to_vec())).collect();
        let tolerance = self.spec.tolerance.unwrap_or(signed_time::TOLERANCE);
        let Named { header, encoding, prefix, message, timestamp_header, .. } = self.named;
        let message = problems.take(self.named.name, hmac::pieces(message))?;
        let timestamp = timestamp_header.map(|name| (name.to_lowercase(), tolerance));
        let prefix = (*prefix).to_owned();
        let signature =
            hmac::Signature { keys, header: header.to_lowercase(), encoding: *encoding, prefix, message, timestamp };
        Some(Box::new(signature))
    }
}
