//! What an error of a connection to NATS means to a person, and what to do about it. Pure.
//!
//! The libraries tell errors as texts; these are async-nats 0.51's and rustls 0.23's.

use std::path::Path;

use async_nats::jetstream::{
    self,
    context::{GetStreamError, GetStreamErrorKind},
    stream::{ConsumerError, ConsumerErrorKind},
};

/// What it means that a stream or bucket of Emote's is not there.
pub(super) const NOT_BEGUN: &str = "no broker has ever run on this NATS: start `emote serve --config DIR` first (`emote dev DIR` \
    brings a NATS of its own). Where nothing was applied yet, it begins with the rules of that folder, so that these need not be applied";

/// Whether the server said that there is no such stream, rather than nothing.
pub(super) fn is_not_there(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let of_stream = error.downcast_ref::<GetStreamError>().map(GetStreamError::kind);
        let of_consumer = error.downcast_ref::<ConsumerError>().map(ConsumerError::kind);
        let refused = error.downcast_ref::<jetstream::Error>().map(jetstream::Error::code);
        let of_stream = of_stream.and_then(|kind| match kind {
            GetStreamErrorKind::JetStream(refusal) => Some(refusal.code()),
            _ => None,
        });
        let of_consumer = of_consumer.and_then(|kind| match kind {
            ConsumerErrorKind::JetStream(refusal) => Some(refusal.code()),
            _ => None,
        });
        if refused.or(of_stream).or(of_consumer) == Some(404) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What `error` means, where it is of TLS or credentials. `ca` is the file of the certificate authority that is trusted, if one is named.
pub(super) fn explain(error: &str, ca: Option<&Path>) -> Option<String> {
    let has = |words: &[&str]| words.iter().any(|word| error.contains(word));
    let about = if has(&["CaUsedAsEndEntity"]) {
        "its certificate is that of a CA itself: give the server one that the CA signed".to_owned()
    } else if has(&["UnknownIssuer", "BadSignature", "invalid peer certificate: Other"]) {
        match ca {
            Some(ca) => format!(
                "its certificate is not signed by the CA in {}: is it the right file (nats.ca, --ca), and no older one?",
                ca.display()
            ),
            None => {
                "its certificate is signed by no CA that this machine trusts: name its CA (nats.ca, --ca, EMOTE_CA), or the folder that does (--config)"
                    .to_owned()
            }
        }
    } else if has(&["certificate not valid for name", "NotValidForName"]) {
        "its certificate is for other names: connect by a name that it has, or have it made for this one".to_owned()
    } else if has(&["certificate expired", "invalid peer certificate: Expired"]) {
        "its certificate has expired: renew it at the server; or this machine's clock is wrong".to_owned()
    } else if has(&["certificate not valid yet", "NotValidYet"]) {
        "its certificate is not valid yet: is this machine's clock right?".to_owned()
    } else if has(&["received corrupt message", "InvalidContentType"]) {
        "it does not speak TLS there: give the server a certificate (nats-server: tls {…}), or say insecure: true \
         (--insecure) where the network itself is trusted"
            .to_owned()
    } else if has(&[
        "CertificateRequired",
        "fatal alert: BadCertificate",
        "fatal alert: UnknownCA",
        "fatal alert: CertificateUnknown",
    ]) {
        "it wants a client certificate of a CA that it knows: name one (nats.certificate and nats.key, --cert and --key)"
            .to_owned()
    } else if has(&["fatal alert: ProtocolVersion", "fatal alert: HandshakeFailure", "PeerIncompatible"]) {
        "it offers nothing that is safe enough: TLS 1.2 or newer is needed".to_owned()
    } else if has(&["AuthError(", "authorization violation", "authentication error"]) {
        "it does not let us in: are the credentials the right ones, and neither expired nor revoked?".to_owned()
    } else {
        return None;
    };
    Some(about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_what_to_do() {
        let ca = Some(Path::new("tls/ca.pem"));
        for (error, ca, said) in [
            ("IO error: invalid peer certificate: UnknownIssuer", ca, "not signed by the CA in tls/ca.pem"),
            ("IO error: invalid peer certificate: UnknownIssuer", None, "name its CA (nats.ca, --ca, EMOTE_CA)"),
            ("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))", ca, "that of a CA itself"),
            ("invalid peer certificate: certificate expired: verification time 1", ca, "has expired: renew it"),
            ("invalid peer certificate: certificate not valid for name \"a\"", ca, "for other names"),
            ("IO error: received corrupt message of type InvalidContentType", ca, "does not speak TLS"),
            ("received fatal alert: CertificateRequired", ca, "wants a client certificate"),
            ("authorization violation: nats: authorization violation", ca, "neither expired nor revoked"),
            ("received fatal alert: ProtocolVersion", ca, "TLS 1.2 or newer"),
        ] {
            assert!(explain(error, ca).is_some_and(|about| about.contains(said)), "{error}");
        }
        assert_eq!(explain("IO error: Connection refused (os error 111)", None), None);
    }
}
