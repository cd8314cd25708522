//! Cookies. Under TLS their names begin with `__Host-`: then no other host, and no page without TLS, can have set them.

use axum::http::{HeaderMap, header};

/// Longest `Cookie` header that is looked at.
const MAX_COOKIES: usize = 8 * 1024;

/// What a cookie is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cookie {
    /// The session's id.
    Session,
    /// Which browser began to sign in at the provider.
    Flow,
}

/// How cookies are set here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Jar {
    /// Browsers reach this by TLS.
    pub(super) secure: bool,
}

impl Jar {
    fn name(self, cookie: Cookie) -> &'static str {
        match (self.secure, cookie) {
            (true, Cookie::Session) => "__Host-emote",
            (true, Cookie::Flow) => "__Host-emote-login",
            (false, Cookie::Session) => "emote",
            (false, Cookie::Flow) => "emote-login",
        }
    }

    /// The value of a cookie; of several of one name none is believed.
    pub(super) fn read(self, headers: &HeaderMap, cookie: Cookie) -> Option<String> {
        let name = self.name(cookie);
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut found = lines
            .filter(|line| line.len() <= MAX_COOKIES)
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned());
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// The `Set-Cookie` for a value, which is of letters that cookies may have.
    pub(super) fn set(self, cookie: Cookie, value: &str, seconds: u64) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", self.name(cookie))
    }

    /// The `Set-Cookie` that takes it away.
    pub(super) fn clear(self, cookie: Cookie) -> String {
        self.set(cookie, "", 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_say_whose_they_are() {
        let secure = Jar { secure: true };
        let set = "__Host-emote=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(secure.set(Cookie::Session, "abc", 60), set);
        assert_eq!(Jar { secure: false }.clear(Cookie::Session), "emote=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn of_two_cookies_of_one_name_none_is_believed() {
        let read = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::COOKIE, line.parse().unwrap());
            }
            Jar { secure: true }.read(&headers, Cookie::Session)
        };
        assert_eq!(read(&["a=b; __Host-emote=x; c=d"]).as_deref(), Some("x"));
        assert_eq!(read(&["a=b", "__Host-emote=x"]).as_deref(), Some("x"));
        assert_eq!(read(&["__Host-emote=x; __Host-emote=y"]), None);
        assert_eq!(read(&["__Host-emote=x", "__Host-emote=y"]), None);
        assert_eq!(read(&["emote=x", "__host-emote=x", "__Host-emote"]), None);
    }
}
