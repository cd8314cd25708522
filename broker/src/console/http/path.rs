//! Paths of this console: where somebody is sent after signing in. Never to another host.

use axum::http::HeaderValue;

/// Longest that is followed.
const MAX_PATH: usize = 500;

/// A path of ours, with its query: begins with one slash, and holds what URLs may hold and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocalPath(String);

impl LocalPath {
    /// The first page.
    pub(super) fn root() -> Self {
        Self("/".to_owned())
    }

    /// The page to sign in at; `query` is what this program wrote.
    pub(super) fn login(query: &str) -> Self {
        Self(format!("/login{query}"))
    }

    /// Reads what a browser sent; what leads elsewhere is refused, and so is what is no page.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes = text.bytes();
        let begins = bytes.next() == Some(b'/') && !matches!(bytes.next(), Some(b'/' | b'\\'));
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%?=&+:@".contains(&byte));
        let is_page = !["/login", "/logout", "/api/"].iter().any(|prefix| text.starts_with(prefix));
        (begins && plain && is_page && text.len() <= MAX_PATH).then(|| Self(text.to_owned()))
    }

    /// As it stands in a link.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// As it stands in a header.
    pub(super) fn to_header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or_else(|_| HeaderValue::from_static("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_host() {
        for (text, fine) in [
            ("/", true),
            ("/nodes/C02%2F1?after=x&n=5", true),
            ("/events?node=ada@example.com", true),
            ("", false),
            ("nodes", false),
            ("//evil.example.com", false),
            ("/\\evil.example.com", false),
            ("/\t/evil.example.com", false),
            ("https://evil.example.com", false),
            ("/nodes\r\nSet-Cookie: a=b", false),
            ("/nodes%0d%0a", true),
            ("/a\u{e9}", false),
            ("/login", false),
            ("/logout", false),
            ("/api/v1/me", false),
            ("javascript:alert(1)", false),
        ] {
            assert_eq!(LocalPath::parse(text).is_some(), fine, "{text:?}");
        }
        assert!(LocalPath::parse(&format!("/{}", "a".repeat(500))).is_none());
    }
}
