//! TLS as a client: 1.2 or 1.3, the system's roots or a CA of one's own, and perhaps a certificate to show.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::super::connections::Tls;
use crate::private::{self, Readers};

/// Reads the files. They are read for each connection: what has changed is taken up with the next one.
pub(super) fn config(tls: &Tls) -> Result<Arc<ClientConfig>, String> {
    let unusable = |error: private::FileError| error.to_string();
    let failed = |error: rustls::Error| format!("TLS cannot be set up: {error}");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(failed)?;
    let builder = match &tls.ca {
        None => builder.with_platform_verifier().map_err(failed)?,
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for certificate in private::certificates(ca).map_err(unusable)? {
                roots.add(certificate).map_err(|error| format!("{}: {error}", ca.display()))?;
            }
            builder.with_root_certificates(roots)
        }
    };
    let config = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            let chain = private::certificates(certificate).map_err(unusable)?;
            let key = private::key(key, Readers::Group).map_err(unusable)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| format!("certificate and key: {error}"))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}
