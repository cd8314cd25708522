//! Under which names this is reached, and which pages may send forms. Against DNS rebinding: a foreign name that is made to
//! point here is not answered. Pure.

use axum::http::{HeaderMap, Uri, header, uri::Authority};

use super::spec::{ConsoleSpec, Origin};
use crate::loopback::is_loopback;

/// The names that are ours.
#[derive(Debug, Clone)]
pub(super) struct Names {
    listen: String,
    url: Option<Origin>,
    tls: bool,
}

impl Names {
    /// As the configuration says.
    pub(super) fn of(spec: &ConsoleSpec) -> Self {
        let listen = match spec.listen.address.ip() {
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            std::net::IpAddr::V4(ip) => ip.to_string(),
        };
        Self { listen, url: spec.url.clone(), tls: spec.listen.certificate.is_some() }
    }

    /// Whether browsers reach this by TLS. Off this machine in plain text something in front must do it.
    pub(super) fn secure(&self) -> bool {
        self.tls || self.url.as_ref().is_some_and(Origin::is_secure) || !is_loopback(&self.listen)
    }

    /// The host and port that a request is for, if that is us.
    pub(super) fn host(&self, uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
        let mut named = headers.get_all(header::HOST).iter();
        let host: Authority = named.next()?.to_str().ok()?.parse().ok()?;
        let alone = named.next().is_none() && uri.authority().is_none_or(|other| *other == host);
        (alone && self.is_ours(&host)).then_some(host)
    }

    fn is_ours(&self, host: &Authority) -> bool {
        let name = host.host();
        let of_url = self.url.as_ref().is_some_and(|url| url.host().eq_ignore_ascii_case(name));
        !host.as_str().contains('@') && (is_loopback(name) || name == self.listen || of_url)
    }

    /// Whether a page of ours sent this, as far as the browser says; `None` where it says nothing.
    pub(super) fn is_same_origin(&self, host: &Authority, headers: &HeaderMap) -> Option<bool> {
        let origin = headers.get(header::ORIGIN).map(|origin| self.is_origin(host, origin.to_str().unwrap_or("null")));
        let site = headers.get("sec-fetch-site").map(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
        match (origin, site) {
            (None, None) => None,
            (origin, site) => Some(origin.unwrap_or(true) && site.unwrap_or(true)),
        }
    }

    fn is_origin(&self, host: &Authority, origin: &str) -> bool {
        let scheme = if self.tls { "https" } else { "http" };
        self.url.as_ref().is_some_and(|url| url.as_str() == origin) || origin == format!("{scheme}://{host}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(listen: &str, url: Option<&str>) -> Names {
        let mut spec = ConsoleSpec { url: url.map(|url| Origin::parse(url).unwrap()), ..ConsoleSpec::default() };
        spec.listen.address = listen.parse().unwrap();
        Names::of(&spec)
    }

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in all {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn only_our_own_names_are_answered() {
        let names = names("192.0.2.7:8482", Some("https://emote.example.com"));
        for (host, ours) in [
            ("localhost", true),
            ("localhost:9999", true),
            ("127.0.0.1:8482", true),
            ("[::1]:8482", true),
            ("192.0.2.7:8482", true),
            ("emote.example.com", true),
            ("EMOTE.example.com:443", true),
            ("evil.example.com", false),
            ("localhost.evil.example.com", false),
            ("emote.example.com.", false),
            ("emote.example.com@evil.example.com", false),
            ("evil@localhost", false),
            ("192.0.2.8", false),
            ("0.0.0.0", false),
            ("", false),
        ] {
            let found = names.host(&"/".parse().unwrap(), &headers(&[("host", host)]));
            assert_eq!(found.is_some(), ours, "{host}");
        }
        assert!(names.host(&"/".parse().unwrap(), &headers(&[])).is_none());
        assert!(names.host(&"/".parse().unwrap(), &headers(&[("host", "localhost"), ("host", "localhost")])).is_none());
        let absolute: Uri = "http://evil.example.com/".parse().unwrap();
        assert!(names.host(&absolute, &headers(&[("host", "localhost")])).is_none());
    }

    #[test]
    fn only_our_own_pages_may_send_forms() {
        let names = names("127.0.0.1:8482", Some("https://emote.example.com"));
        let host: Authority = "localhost:8482".parse().unwrap();
        for (sent, expected) in [
            (&[][..], None),
            (&[("origin", "http://localhost:8482")], Some(true)),
            (&[("origin", "https://emote.example.com")], Some(true)),
            (&[("origin", "https://localhost:8482")], Some(false)),
            (&[("origin", "http://localhost:9999")], Some(false)),
            (&[("origin", "http://evil.example.com")], Some(false)),
            (&[("origin", "https://emote.example.com.evil.example.com")], Some(false)),
            (&[("origin", "null")], Some(false)),
            (&[("sec-fetch-site", "same-origin")], Some(true)),
            (&[("sec-fetch-site", "none")], Some(true)),
            (&[("sec-fetch-site", "same-site")], Some(false)),
            (&[("sec-fetch-site", "cross-site")], Some(false)),
            (&[("origin", "http://localhost:8482"), ("sec-fetch-site", "cross-site")], Some(false)),
            (&[("origin", "http://evil.example.com"), ("sec-fetch-site", "same-origin")], Some(false)),
        ] {
            assert_eq!(names.is_same_origin(&host, &headers(sent)), expected, "{sent:?}");
        }
    }

    #[test]
    fn cookies_are_for_tls_unless_all_of_it_is_on_this_machine() {
        assert!(!names("127.0.0.1:8482", None).secure());
        assert!(names("127.0.0.1:8482", Some("https://emote.example.com")).secure());
        assert!(names("0.0.0.0:8482", None).secure());
    }
}
