//! What is written of certificates and of enrolment tokens. Pure.

use emote_proto::enroll::EnrollmentToken;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::keys::Context;
use super::value::Value;

/// For templates: no server takes it.
pub(super) const EXAMPLE_TOKEN: &str = "emote1:eyJhbGciOiJlZDI1NTE5LW5rZXkifQ.\
    eyJpc3MiOiJBQk5RQkU1REU3T0VYRERNRzJUS1FCMjVRQk9DTkRGVzVDWVJOMlRKWFhPSkZDSEdLMjdLQzZYQSIsIm5hbWUiOiJl\
    eGFtcGxlMjAyNiIsInN1YiI6IlVCWkpYSVVQSEo2T0RMU1hXMldBM05TTEZKM0dCM1ZHQUFFRTNJUjVUWlVNRDVRQUlMVklMR0pKIn0.c2ln:\
    SUAP74CGJUQEM2LFLDX7C7C3FGJFYYOVZFERV2LQTDIQWJBUZQ43GPPCAI";
/// For templates: no certificate is in it.
pub(super) const EXAMPLE_CERTIFICATE: &str =
    "-----BEGIN CERTIFICATE-----\nZmlsbCBpbiB5b3Vycw==\n-----END CERTIFICATE-----";

/// Keys of which one is enough: the second goes before the first where one layer says both.
pub(super) const EITHER: &[(&str, &str)] =
    &[("token_file", "credentials"), ("enrollment_token_file", "enrollment_token")];

/// Checks an enrolment token.
pub(super) fn token(value: &Value, _: Context) -> Result<(), String> {
    let Value::Secret(secret) = value else { return Ok(()) };
    secret.expose().parse::<EnrollmentToken>().map(drop).map_err(|error| error.to_string())
}

/// Checks that there are certificates, not what is in them.
pub(super) fn certificates(value: &Value, _: Context) -> Result<(), String> {
    let Value::Text(pem) = value else { return Ok(()) };
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        certificate.map_err(|_| "it is no PEM: -----BEGIN CERTIFICATE----- and base64 behind it".to_owned())?;
        count += 1;
    }
    if count == 0 { Err("there is no -----BEGIN CERTIFICATE----- in it".into()) } else { Ok(()) }
}

/// An enrolment token for people: its name.
pub(super) fn shown(secret: &super::value::Secret) -> String {
    let token = secret.expose().parse::<EnrollmentToken>();
    token.map_or_else(|_| "a secret".into(), |token| format!("token {}", token.id()))
}

#[cfg(test)]
mod tests {
    use super::super::value::Secret;
    use super::*;

    #[test]
    fn what_is_no_token_and_no_certificate_is_said_without_its_content() {
        let token = |text: &str| token(&Value::Secret(Secret::new(text)), Context::default());
        assert_eq!(token(&format!(" {EXAMPLE_TOKEN}\n")), Ok(()));
        let error = token("emote1:hunter2").unwrap_err();
        assert!(error.contains("emote agents token create") && !error.contains("hunter2"), "{error}");
        let certificates = |text: &str| certificates(&Value::Text(text.into()), Context::default());
        assert_eq!(certificates(EXAMPLE_CERTIFICATE), Ok(()));
        assert_eq!(certificates(&format!("{EXAMPLE_CERTIFICATE}\n{EXAMPLE_CERTIFICATE}\n")), Ok(()));
        for (text, said) in [
            ("", "there is no"),
            ("hunter2", "there is no"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----", "no PEM"),
            ("-----BEGIN CERTIFICATE-----\nZmls", "no PEM"),
        ] {
            assert!(certificates(text).unwrap_err().contains(said), "{text}");
        }
    }
}
