//! The `console` section of `emote.yaml`.

use super::fields::{Fields, expected};
use super::settings::{is_off, off, on_loopback, read_listener, read_proxies};
use super::shape::Form;
use crate::console::http::{ConsoleSpec, Issuer, OidcSpec, Origin, Role, RoleMap};

/// Longest text here.
const MAX_TEXT: usize = 500;

impl Default for ConsoleSpec {
    fn default() -> Self {
        Self { listen: on_loopback(8482), url: None, trusted_proxies: Vec::new(), local_token: true, oidc: None }
    }
}

/// `listen: off` for none.
pub(super) fn read(console: &mut Option<ConsoleSpec>, fields: &mut Fields<'_>) {
    fields.holds("listen", off());
    if fields.value("listen").is_some_and(is_off) {
        *console = None;
        for key in ["certificate", "key", "insecure", "url", "trusted_proxies", "local_token", "oidc"] {
            if fields.has(key) {
                fields.problem(key, "means nothing where listen is off");
            }
        }
        return;
    }
    let Some(spec) = console else { return };
    read_listener(&mut spec.listen, fields, "the console needs TLS");
    spec.url = fields.formed("url", Form::Text(&["https://emote.example.com"]), |value| {
        Origin::parse(value.as_str().ok_or_else(|| expected("a text", value))?).map_err(str::to_owned)
    });
    spec.trusted_proxies = read_proxies(fields);
    spec.oidc = fields.object("oidc", read_oidc).flatten();
    spec.local_token = fields.flag("local_token").unwrap_or(true);
    if !spec.local_token && !fields.has("oidc") {
        fields.problem("local_token", "without oidc nobody could sign in: say who may, or leave the token on");
    }
    if spec.url.is_none() && !fields.has("url") {
        if fields.has("oidc") {
            fields.problem(
                "url",
                "is missing: the provider sends browsers back to it, for example https://emote.example.com",
            );
        } else if !spec.listen.address.ip().is_loopback() {
            fields.problem("url", "is missing: off this machine only requests for its host are answered, for example https://emote.example.com");
        }
    }
}

fn read_oidc(fields: &mut Fields<'_>) -> Option<OidcSpec> {
    let issuer = fields.formed("issuer", Form::Text(&["https://idp.example.com"]), |value| {
        Issuer::parse(value.as_str().ok_or_else(|| expected("a text", value))?).map_err(str::to_owned)
    });
    let issuer = fields.require("issuer", issuer, "https://idp.example.com, as the provider gives it");
    let client_id = fields.text("client_id");
    let client_id = fields.require("client_id", client_id, "emote, as the provider knows it");
    let client_secret = fields.secret("client_secret");
    let scopes = words(fields, "scopes").unwrap_or_else(|| vec!["profile".to_owned(), "email".to_owned()]);
    if scopes.iter().any(|scope| scope.contains(|c: char| !c.is_ascii_graphic())) {
        fields.problem("scopes", "a scope is one word");
    }
    let roles = fields.object("roles", read_roles);
    let roles = fields.require("roles", roles, "{claim: groups, viewer: [it], admin: [emote-admins]}").flatten();
    Some(OidcSpec { issuer: issuer?, client_id: client_id?, client_secret, scopes, roles: roles? })
}

fn read_roles(fields: &mut Fields<'_>) -> Option<RoleMap> {
    let claim = fields.text("claim");
    let claim = fields.require("claim", claim, "groups");
    let mut values = std::collections::BTreeMap::new();
    for role in Role::ALL {
        if let Some(words) = words(fields, role.name()) {
            values.insert(role, words);
        }
    }
    if values.values().all(Vec::is_empty) {
        fields
            .problem("", "nobody would have a role: name values of the claim for viewer, operator, approver or admin");
    }
    Some(RoleMap { claim: claim?, values })
}

fn words(fields: &mut Fields<'_>, key: &'static str) -> Option<Vec<String>> {
    fields.list_of(key, Form::Text(&[]), |fields, path, value| match value.as_str() {
        Some(word) if !word.is_empty() && word.len() <= MAX_TEXT => Some(word.to_owned()),
        _ => {
            fields.problem(path, expected("a text", value));
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Problems, Settings};
    use serde_json::{Value, json};

    fn read(console: Value) -> (Option<ConsoleSpec>, Vec<String>) {
        let mut problems = Problems::default();
        let settings = Settings::read(json!({"console": console}).as_object().unwrap(), &mut problems);
        let told = problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message));
        (settings.console, told.collect())
    }

    fn oidc() -> Value {
        json!({"issuer": "https://idp.example.com", "client_id": "emote", "client_secret": "${env:S}",
            "roles": {"claim": "groups", "viewer": ["it"], "admin": ["root"]}})
    }

    #[test]
    fn the_console_is_for_this_machine_unless_it_is_said() {
        let (spec, problems) = read(json!({}));
        assert_eq!((spec.unwrap().listen.address.to_string(), problems), ("127.0.0.1:8482".to_owned(), vec![]));
        assert!(read(json!({"listen": "off"})).0.is_none());
        let (spec, problems) = read(json!({"url": "https://emote.example.com", "oidc": oidc(), "local_token": false}));
        let spec = spec.unwrap();
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(spec.oidc.unwrap().scopes, ["profile", "email"]);
        assert!(!spec.local_token);
    }

    #[test]
    fn what_is_wrong_with_it_is_told_at_its_place() {
        let without = |key: &str| {
            let mut oidc = oidc();
            oidc.as_object_mut().unwrap().remove(key);
            json!({"url": "https://e.example.com", "oidc": oidc})
        };
        let with = |key: &str, value: Value| {
            let mut oidc = oidc();
            oidc[key] = value;
            json!({"url": "https://e.example.com", "oidc": oidc})
        };
        for (console, told) in [
            (json!({"listen": "0.0.0.0:9", "insecure": true}), "console.url: is missing"),
            (
                json!({"listen": "0.0.0.0:9", "url": "https://e.example.com"}),
                "console.listen: off this machine the console needs TLS",
            ),
            (json!({"listen": "off", "url": "https://e.example.com"}), "console.url: means nothing"),
            (json!({"url": "http://e.example.com"}), "console.url: plain http"),
            (json!({"trusted_proxies": ["10.0.0.1/8"]}), "console.trusted_proxies[0]: \"10.0.0.1/8\" has bits"),
            (json!({"local_token": false}), "console.local_token: without oidc nobody"),
            (json!({"oidc": oidc()}), "console.url: is missing: the provider"),
            (without("issuer"), "console.oidc.issuer: is missing"),
            (without("client_id"), "console.oidc.client_id: is missing"),
            (without("roles"), "console.oidc.roles: is missing"),
            (with("issuer", json!("http://idp.example.com")), "console.oidc.issuer: a provider is reached over https"),
            (with("client_secret", json!("hunter2")), "console.oidc.client_secret: a secret is given by reference"),
            (with("roles", json!({"claim": "groups"})), "console.oidc.roles: nobody would have a role"),
            (with("roles", json!({"claim": "groups", "root": ["x"]})), "console.oidc.roles: nobody"),
            (with("scopes", json!(["a b"])), "console.oidc.scopes: a scope is one word"),
        ] {
            let (_, problems) = read(console.clone());
            assert!(problems.first().is_some_and(|first| first.starts_with(told)), "{console}: {problems:?}");
            assert!(!problems.iter().any(|problem| problem.contains("hunter2")), "{problems:?}");
        }
    }
}
