//! What an error of a connection means to a person: above all, that something else than NATS answered.
//!
//! The library tells errors as texts; these are async-nats 0.51's, tokio-websockets 0.13's and rustls 0.23's.

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

/// Texts of a certificate that is not the server's.
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

/// Says of `server` what `error` means.
pub(super) fn explain(server: &str, error: &str) -> String {
    if error.contains(CERTIFICATE) {
        return format!(
            "{server} shows a certificate that is not trusted ({error}): captive portal, or a proxy that opens TLS?"
        );
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_else_than_nats_is_told_as_such() {
        for (error, said) in [
            ("IO error: invalid server operation: 'HTTP/1.1 302 Found'", "answered like a web page: captive portal?"),
            ("IO error: expected HTTP 101 Switching Protocols, got status code 200 OK", "like a web page"),
            ("IO error: received corrupt message of type InvalidContentType", "like a web page"),
            ("IO error: invalid peer certificate: UnknownIssuer", "not trusted"),
            ("IO error: received fatal alert: UnknownCA", "does not take the client certificate"),
            ("IO error: received fatal alert: CertificateRequired", "asks for a client certificate"),
            ("IO error: Connection refused (os error 111)", "a: IO error: Connection refused"),
        ] {
            assert!(explain("a", error).contains(said), "{error}");
        }
    }
}
