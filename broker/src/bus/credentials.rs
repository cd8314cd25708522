//! A NATS credentials file ([`emote_proto::creds`]). It is read anew at every connection, so that new credentials are used
//! without a restart.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

use async_nats::Auth;
use emote_proto::{
    creds::{self, Credentials},
    jwt::Claims,
};

use super::BusError;
use crate::private::{self, FileError, Readers};

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialsError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{path} is no NATS credentials file: {problem}")]
    Content { path: PathBuf, problem: String },
}

/// Signs the server's `nonce` with what the file at `path` holds.
pub(super) fn sign(path: &Path, nonce: &[u8]) -> Result<Auth, CredentialsError> {
    let text = private::read(path, Readers::Owner)?;
    let content =
        |problem: &dyn Display| CredentialsError::Content { path: path.to_owned(), problem: problem.to_string() };
    let Credentials { jwt, key } = creds::parse(&text).map_err(|error| content(&error))?;
    let mut auth = Auth::new();
    auth.signature = Some(key.sign(nonce).map_err(|_| content(&"its seed cannot sign"))?);
    auth.jwt = Some(jwt.to_owned());
    Ok(auth)
}

/// Whether the file at `path` can be connected with, as far as it says itself.
pub fn check_credentials(path: &Path) -> Result<(), BusError> {
    let signed = sign(path, b"");
    signed.map(drop).map_err(|error| BusError::Settings(error.to_string()))
}

/// Whether the file at `path` is of somebody who may speak to the system account's services and to nothing else, as its own
/// JWT says. Who may everything in that account cannot be told from others.
pub(super) fn is_of_system_account(path: &Path) -> bool {
    let claims = private::read(path, Readers::Owner)
        .ok()
        .and_then(|text| Claims::unverified(creds::parse(&text).ok()?.jwt).ok());
    let allowed = claims.and_then(|claims| claims.nats["pub"]["allow"].as_array().cloned()).unwrap_or_default();
    !allowed.is_empty() && allowed.iter().all(|subject| subject.as_str().is_some_and(|it| it.starts_with("$SYS.")))
}

/// The name of the user that the file at `path` is of.
pub(super) fn user_name(path: &Path) -> Option<String> {
    let text = private::read(path, Readers::Owner).ok()?;
    Claims::unverified(creds::parse(&text).ok()?.jwt).ok().map(|claims| claims.name).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    use nkeys::KeyPair;

    #[test]
    fn a_file_signs_if_it_is_whole_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("emote.creds");
        let user = KeyPair::new_user();
        let seed = user.seed().unwrap();
        let jwt = "-----BEGIN NATS USER JWT-----\r\na.b.c\r\n------END NATS USER JWT------\r\n";
        let key = format!("-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------");
        let check = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            sign(&path, b"nonce").map_err(|error| error.to_string())
        };
        for (text, mode, told) in [
            (String::new(), 0o600, "there is no user JWT in it"),
            (jwt.to_owned(), 0o600, "there is no seed in it"),
            (format!("{jwt}{}", key.replace(&seed, "SUA")), 0o600, "its seed is damaged"),
            (format!("{jwt}{key}"), 0o640, "(mode 640): take that right away with chmod 600"),
            (format!("{jwt}{key}"), 0o604, "chmod 600"),
        ] {
            let error = check(&text, mode).err().unwrap();
            assert!(error.contains(told) && !error.contains(&seed), "{error}");
        }
        let auth = check(&format!("{jwt}\n*** IMPORTANT ***\n\n{key}"), 0o400).unwrap();
        assert_eq!(auth.jwt.as_deref(), Some("a.b.c"));
        user.verify(b"nonce", &auth.signature.unwrap()).unwrap();
        assert!(sign(folder.path(), b"").err().unwrap().to_string().contains("it is no plain file"));
        assert!(sign(&folder.path().join("none"), b"").err().unwrap().to_string().contains("No such file"));
    }

    #[test]
    fn who_speaks_to_the_system_account_alone_is_known_by_what_it_may_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("emote.creds");
        let part = |value: serde_json::Value| data_encoding::BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let of_system = |allow: serde_json::Value| {
            let (user, account) = (KeyPair::new_user(), KeyPair::new_account().public_key());
            let body = serde_json::json!({"iss": account, "sub": user.public_key(), "nats": {"pub": {"allow": allow}}});
            let jwt = format!("{}.{}.c2ln", part(serde_json::json!({"alg": "ed25519-nkey"})), part(body));
            let seed = user.seed().unwrap();
            std::fs::write(
                &path,
                format!("-----BEGIN NATS USER JWT-----\n{jwt}\n-----BEGIN USER NKEY SEED-----\n{seed}\n"),
            )
            .unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            is_of_system_account(&path)
        };
        let told = [
            serde_json::json!(["$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.SERVER.PING.>"]),
            serde_json::json!(["$SYS.REQ.USER.INFO", "events.>"]),
            serde_json::json!([">"]),
            serde_json::json!([]),
            serde_json::Value::Null,
        ];
        assert_eq!(told.map(of_system), [true, false, false, false, false]);
        assert!(!is_of_system_account(&folder.path().join("none")));
    }
}
