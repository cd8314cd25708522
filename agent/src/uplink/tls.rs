//! Whom the agent trusts, and what it shows of itself, in TLS: roots and client certificate, read at each connection.

use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};

use super::secret::{self, SecretError};
use crate::settings::Settings;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error(transparent)]
    File(#[from] SecretError),
    #[error("{path}: no certificate that can be used is in it: {problem}")]
    Certificate { path: PathBuf, problem: String },
    #[error("{path}: no key that can be used is in it: {problem}")]
    Key { path: PathBuf, problem: String },
    #[error("the certificate of `certificate` and its key do not go together: {0}")]
    Pair(rustls::Error),
    #[error("the trusted certificates: there are none")]
    NoRoots,
}

/// Whether the library can do by itself what is asked for.
pub(super) fn is_usual(settings: &Settings) -> bool {
    settings.ca_certificates.is_none() && settings.certificate.is_none()
}

/// As `settings` say.
pub(super) async fn config(settings: &Settings) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder().with_root_certificates(roots(settings).await?);
    let Some(path) = &settings.certificate else { return Ok(builder.with_no_client_auth()) };
    let (chain, key_path) = match &settings.key {
        Some(key) => (secret::read_anyway(path).await?, key),
        // The key is in it too.
        None => (secret::read(path).await?, path),
    };
    let key = zeroize::Zeroizing::new(secret::read(key_path).await?);
    let failed = |problem: pem::Error| TlsError::Key { path: key_path.clone(), problem: problem.to_string() };
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(failed)?;
    builder.with_client_auth_cert(certificates(path, &chain)?, key).map_err(TlsError::Pair)
}

/// Those of the settings and no others, or else the system's.
async fn roots(settings: &Settings) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    if let Some(path) = &settings.ca {
        let text = secret::read_anyway(path).await?;
        store.add_parsable_certificates(certificates(path, &text)?);
    }
    if let Some(text) = &settings.ca_certificates {
        store.add_parsable_certificates(certificates(Path::new("ca_certificates"), text)?);
    }
    if settings.ca.is_none() && settings.ca_certificates.is_none() {
        let native = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
        store.add_parsable_certificates(native.map(|found| found.certs).unwrap_or_default());
    }
    if store.is_empty() { Err(TlsError::NoRoots) } else { Ok(store) }
}

fn certificates(path: &Path, text: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |problem: String| TlsError::Certificate { path: path.to_owned(), problem };
    let read = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    match read {
        Ok(found) if found.is_empty() => Err(failed("there is no -----BEGIN CERTIFICATE-----".into())),
        Ok(found) => Ok(found),
        Err(error) => Err(failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn a_certificate_needs_its_own_key_and_that_nobody_else_reads_it() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let dir = tempfile::tempdir().unwrap();
        let made = |name: &str| {
            let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
            (made.cert.pem(), made.signing_key.serialize_pem())
        };
        let ((certificate, key), (_, other)) = (made("a"), made("b"));
        let write = |name: &str, text: &str, mode| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let file = write("a.pem", &certificate, 0o644);
        let both = write("both.pem", &format!("{certificate}{key}"), 0o600);
        let exposed = write("exposed.pem", &format!("{certificate}{key}"), 0o644);
        let base = Settings { ca_certificates: Some(certificate.clone()), ..Settings::of_toml("") };
        for (certificate, key, said) in [
            (&file, Some(write("a.key", &key, 0o600)), ""),
            (&both, None, ""),
            (&exposed, None, "chmod 600"),
            (&file, Some(write("x.key", &key, 0o640)), "chmod 600"),
            (&file, Some(write("b.key", &other, 0o600)), "do not go together"),
            (&file, Some(write("c.key", "none", 0o600)), "no key"),
            (&write("d.pem", "none", 0o644), Some(write("a.key", &key, 0o600)), "no certificate"),
        ] {
            let settings = Settings { certificate: Some(certificate.clone()), key, ..base.clone() };
            let error = config(&settings).await.err().map_or_else(String::new, |error| error.to_string());
            assert!(error.contains(said) && error.is_empty() == said.is_empty(), "{said}: {error}");
        }
    }

    #[tokio::test]
    async fn roots_are_those_of_the_file_and_of_the_text_and_damaged_ones_are_told() {
        let root = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap().cert.pem();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, root("a")).unwrap();
        let both = Settings { ca: Some(file), ca_certificates: Some(root("b")), ..Settings::of_toml("") };
        assert_eq!(roots(&both).await.unwrap().len(), 2);
        let text = "-----BEGIN CERTIFICATE-----\nZmls\n-----END CERTIFICATE-----".to_owned();
        let damaged = Settings { ca_certificates: Some(text), ..Settings::of_toml("") };
        assert!(matches!(roots(&damaged).await, Err(TlsError::NoRoots)));
    }
}
