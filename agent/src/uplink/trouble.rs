//! What an error of a connection means to a person, and which setting it is about: what does not fit in a certificate, or
//! that something else than NATS answered.
//!
//! The library tells errors as texts; these are async-nats 0.51's, tokio-websockets 0.13's and rustls 0.23's.

use crate::settings::Settings;

/// Texts of an answer that is HTTP where something else belongs.
const WEB_PAGE: &[&str] = &[
    "invalid server operation: 'HTTP/",
    "invalid server operation: '<",
    "received corrupt message of type",
    "expected HTTP 101",
    "missing required header",
    "upgrade header value",
    "connection header value",
    "mismatching Sec-WebSocket-Accept",
    "invalid HTTP",
];

/// Begins the text of a certificate that is not taken for the server's.
const CERTIFICATE: &str = "invalid peer certificate";

/// Texts of a server that says no to the client's certificate, once it has seen it (RFC 8446, 6.2).
const REFUSED: &[&str] = &[
    "received fatal alert: BadCertificate",
    "received fatal alert: CertificateExpired",
    "received fatal alert: CertificateRevoked",
    "received fatal alert: UnknownCA",
    "received fatal alert: CertificateUnknown",
    "received fatal alert: UnsupportedCertificate",
];
/// The same, of a server that has seen none.
const REQUIRED: &str = "received fatal alert: CertificateRequired";

/// Says of `server` what `error` means, where `settings` are in force.
pub(super) fn explain(server: &str, settings: &Settings, error: &str) -> String {
    if let Some((_, problem)) = error.split_once(CERTIFICATE) {
        return format!("{server}: {} ({error})", certificate(settings, problem));
    }
    if error.contains(REQUIRED) {
        return format!("{server}: it asks for a client certificate: set `certificate` and `key` ({error})");
    }
    if REFUSED.iter().any(|text| error.contains(text)) {
        return format!("{server}: it does not take the client certificate of `certificate` ({error})");
    }
    if WEB_PAGE.iter().any(|text| error.contains(text)) {
        return format!("{server} answered like a web page: captive portal? ({error})");
    }
    format!("{server}: {error}")
}

/// What does not fit, and where to look.
fn certificate(settings: &Settings, problem: &str) -> String {
    let says = |texts: &[&str]| texts.iter().any(|text| problem.contains(text));
    if says(&["UnknownIssuer", "BadSignature"]) {
        return format!("its certificate is not by {}", authorities(settings));
    }
    if says(&["not valid for name", "NotValidForName"]) {
        return "its certificate is for other names than the one in `server`: write one there that it is for".into();
    }
    if says(&["not valid yet", "NotValidYet"]) {
        return "its certificate does not hold yet: is the clock of this machine right?".into();
    }
    if says(&["expired", "Expired"]) {
        return "its certificate is over: renew it at the server, if the clock of this machine is right".into();
    }
    "its certificate cannot be used: look at the one that the server is given".into()
}

/// Whom is trusted, and what would change that.
fn authorities(settings: &Settings) -> String {
    match (&settings.ca, &settings.ca_certificates) {
        (Some(file), None) => format!("an authority in {}: compare `ca` with the server's authority", file.display()),
        (None, Some(_)) => "an authority in `ca_certificates`: compare it with the server's authority".into(),
        (Some(file), Some(_)) => {
            let file = file.display();
            format!("an authority in {file} or in `ca_certificates`: compare `ca` and it with the server's authority")
        }
        (None, None) => {
            "an authority that this system trusts: if the server's is one of your own, put it into `ca` or \
                         `ca_certificates`"
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_does_not_fit_is_told_with_what_and_the_setting_to_look_at() {
        let said = |settings: &str, problem: &str| {
            explain("a", &Settings::of_toml(settings), &format!("TLS error: invalid peer certificate: {problem}"))
        };
        let pem = "ca_certificates = '''-----BEGIN CERTIFICATE-----\nZmls\n-----END CERTIFICATE-----'''";
        let name = "certificate not valid for name \"b\"; certificate is only valid for DnsName(\"c\")";
        let expired = "certificate expired: verification time 9 (UNIX), but certificate is not valid after 8";
        for (settings, problem, expected) in [
            ("", "UnknownIssuer", "trusts: if the server's is one of your own, put it into `ca`"),
            ("ca = '/ca.pem'", "UnknownIssuer", "not by an authority in /ca.pem: compare `ca`"),
            (pem, "UnknownIssuer", "not by an authority in `ca_certificates`: compare it"),
            (&format!("ca = '/ca.pem'\n{pem}"), "BadSignature", "in /ca.pem or in `ca_certificates`"),
            ("", name, "for other names than the one in `server`: write one there that it is for (TLS error"),
            ("", name, "only valid for DnsName(\"c\")"),
            ("", "NotValidForName", "for other names"),
            ("", expired, "is over: renew it at the server"),
            ("", "certificate not valid yet: verification time 7 (UNIX)", "clock of this machine"),
            ("", "CaUsedAsEndEntity", "cannot be used"),
        ] {
            let said = said(settings, problem);
            assert!(said.contains(expected) && !said.contains("portal"), "{problem}: {said}");
        }
    }

    #[test]
    fn something_else_than_nats_is_told_as_such() {
        for (error, said) in [
            ("IO error: invalid server operation: 'HTTP/1.1 302 Found'", "answered like a web page: captive portal?"),
            ("IO error: expected HTTP 101 Switching Protocols, got status code 200 OK", "like a web page"),
            ("IO error: received corrupt message of type InvalidContentType", "like a web page"),
            ("IO error: received fatal alert: UnknownCA", "does not take the client certificate"),
            ("IO error: received fatal alert: CertificateRequired", "asks for a client certificate"),
            ("IO error: Connection refused (os error 111)", "a: IO error: Connection refused"),
        ] {
            assert!(explain("a", &Settings::of_toml(""), error).contains(said), "{error}");
        }
    }
}
