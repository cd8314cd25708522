//! Who signs: credentials of the usual chain (environment, profile, SSO, web identity, container, instance) or of the
//! file, by reference, and the role that is assumed with them. They are kept until shortly before they expire.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};
use reqsign_aws_v4::{
    AssumeRoleCredentialProvider, Credential, DefaultCredentialProvider, RequestSigner, StaticCredentialProvider,
};
use reqsign_core::{Context, ProvideCredential, ProvideCredentialChain, Signer, hash::hex_sha256, time::Timestamp};

use super::{
    super::{
        Outcome, address,
        spec::Setup,
        wire::{header_value, quote},
    },
    service::{optional, required},
    surroundings,
};
use crate::config::{Problems, Secret, SecretRef, fields::Fields, text::Template};

/// An example for a message: what a session is called.
const SESSION: &str = "emote";
/// How long keys are used that do not say when they expire: a file or the environment may have others by then.
const KEPT: Duration = Duration::from_secs(15 * 60);
const PAYLOAD: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// What a target file says of it.
#[derive(Debug)]
pub(super) struct IdentityRef {
    keys: Option<Keys>,
    profile: Option<String>,
    role: Option<Role>,
    sts: Option<Template>,
    insecure: bool,
}

#[derive(Debug)]
struct Keys {
    id: Template,
    secret: SecretRef,
    token: Option<SecretRef>,
}

#[derive(Debug)]
struct Role {
    arn: String,
    session: String,
    external_id: Option<String>,
}

/// Signs requests to one service in one region.
pub(super) struct Identity {
    signer: Signer<Credential>,
    /// What must not be shown.
    pub(super) secrets: Vec<Secret>,
}

pub(super) fn read(fields: &mut Fields<'_>, insecure: bool) -> IdentityRef {
    let has_keys = fields.has("access_key_id") || fields.has("secret_access_key") || fields.has("session_token");
    let (id, secret) = (fields.template("access_key_id"), fields.secret("secret_access_key"));
    let token = fields.secret("session_token");
    let keys = if has_keys {
        let id = fields.require("access_key_id", id, "access_key_id: ${env:EMOTE_AWS_KEY_ID}");
        let secret = fields.require("secret_access_key", secret, "secret_access_key: ${env:EMOTE_AWS_SECRET}");
        id.zip(secret).map(|(id, secret)| Keys { id, secret, token })
    } else {
        None
    };
    let profile = optional(fields, "profile");
    if has_keys && profile.is_some() {
        fields.problem("profile", "there are keys in the file already");
    }
    let role = fields.object("role", |fields| {
        let arn = required(fields, "arn", "arn: arn:aws:iam::123456789012:role/emote");
        let session = optional(fields, "session_name").unwrap_or_else(|| SESSION.to_owned());
        let external_id = optional(fields, "external_id");
        arn.map(|arn| Role { arn, session, external_id })
    });
    let sts = if fields.has("sts_endpoint") {
        address::read(
            fields,
            "sts_endpoint",
            insecure,
            "sts_endpoint: https://vpce-0a1b.sts.eu-central-1.vpce.amazonaws.com",
        )
    } else {
        None
    };
    IdentityRef { keys, profile, role: role.flatten(), sts, insecure }
}

impl IdentityRef {
    /// With its secrets, for requests to what signatures call `service`.
    pub(super) fn resolve(
        &self,
        service: &str,
        region: &str,
        setup: &Setup<'_>,
        problems: &mut Problems,
    ) -> Option<Identity> {
        let sts = match &self.sts {
            None => None,
            Some(sts) => Some(address::resolve(sts, "sts_endpoint", self.insecure, setup, problems)?.0),
        };
        let context =
            surroundings::context(sts).map_err(|error| format!("no HTTP client can be made: {}", error.without_url()));
        let context = problems.take("", context)?;
        let mut secrets = Vec::new();
        let chain = match &self.keys {
            Some(keys) => {
                let id = problems.take("access_key_id", setup.filled(&keys.id))?.text;
                let secret = problems.take("secret_access_key", setup.secret(&keys.secret))?;
                let mut provider = StaticCredentialProvider::new(id.expose(), secret.expose());
                if let Some(token) = &keys.token {
                    let token = problems.take("session_token", setup.secret(token))?;
                    problems.take("session_token", header_value(&token))?;
                    provider = provider.with_session_token(token.expose());
                    secrets.push(token);
                }
                secrets.push(secret);
                DefaultCredentialProvider::with_chain(ProvideCredentialChain::new().push(provider))
            }
            None => match &self.profile {
                // Whoever names a profile means it, whatever is in the environment.
                Some(profile) => DefaultCredentialProvider::builder()
                    .no_env()
                    .no_web_identity()
                    .no_process()
                    .no_ecs()
                    .no_imds()
                    .with_profile(profile)
                    .build(),
                None => DefaultCredentialProvider::builder().no_process().build(),
            },
        };
        let (chain, requests) = (Kept(chain), RequestSigner::new(service, region));
        let signer = match &self.role {
            None => Signer::new(context, chain, requests),
            Some(role) => {
                let sts = Signer::new(context.clone(), chain, RequestSigner::new("sts", region));
                let mut provider = AssumeRoleCredentialProvider::new(role.arn.clone(), sts)
                    .with_role_session_name(role.session.clone())
                    .with_region(region.to_owned())
                    .with_regional_sts_endpoint();
                if let Some(id) = &role.external_id {
                    provider = provider.with_external_id(id.clone());
                }
                Signer::new(context, provider, requests)
            }
        };
        Some(Identity { signer, secrets })
    }
}

/// Credentials that are looked for again in a while, even if they do not expire.
#[derive(Debug)]
struct Kept(DefaultCredentialProvider);

impl ProvideCredential for Kept {
    type Credential = Credential;

    async fn provide_credential(&self, context: &Context) -> reqsign_core::Result<Option<Credential>> {
        let found = self.0.provide_credential(context).await?;
        Ok(found.map(|credential| Credential {
            expires_in: credential.expires_in.or_else(|| Some(Timestamp::now() + KEPT)),
            ..credential
        }))
    }
}

impl Identity {
    /// The headers of `request` and those that sign it, with its body.
    pub(super) async fn sign(&self, mut request: Parts, body: &[u8]) -> Result<HeaderMap, Outcome> {
        let hash = HeaderValue::from_str(&hex_sha256(body)).map_err(Outcome::never)?;
        request.headers.insert(PAYLOAD, hash);
        match self.signer.sign(&mut request, None).await {
            Ok(()) => Ok(request.headers),
            Err(error) => Err(Outcome::retry(format!(
                "no credentials to sign with: {}; give access_key_id and secret_access_key, a profile, or a role to the machine",
                quote(&error.to_string())
            ))),
        }
    }
}
