//! The setting `proxy`: `none`, `system`, or `http://[user:${file:/path}@]host:port`. A password is named by its file and
//! never written out.

use std::path::PathBuf;
use std::str::FromStr;

/// How connections to `wss://` servers leave the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// Directly.
    None,
    /// As the system's network settings say (macOS).
    System,
    /// Through this one.
    Http(HttpProxy),
}

/// An HTTP proxy that knows CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProxy {
    /// Name or address, an IPv6 one without brackets.
    pub host: String,
    /// TCP.
    pub port: u16,
    /// Who asks.
    pub login: Option<Login>,
}

/// A name, and the file that holds the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The file.
    pub password: PathBuf,
}

impl Default for Proxy {
    fn default() -> Self {
        if cfg!(target_os = "macos") { Self::System } else { Self::None }
    }
}

impl std::fmt::Display for HttpProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Without who asks.
impl std::fmt::Display for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::System => f.write_str("system"),
            Self::Http(proxy) => write!(f, "http://{proxy}"),
        }
    }
}

impl FromStr for Proxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "system" => Ok(Self::System),
            _ => text.strip_prefix("http://").and_then(http).map(Self::Http).ok_or_else(|| {
                "expected none, system, http://host:port, or http://user:${file:/path}@host:port".into()
            }),
        }
    }
}

fn http(text: &str) -> Option<HttpProxy> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (login, place) = match text.rsplit_once('@') {
        Some((login, place)) => (Some(self::login(login)?), place),
        None => (None, text),
    };
    let (host, port) = place.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty() && host.chars().all(plain)).then(|| HttpProxy { host: host.into(), port, login })
}

fn login(text: &str) -> Option<Login> {
    let (user, reference) = text.split_once(':')?;
    let path = reference.strip_prefix("${file:")?.strip_suffix('}')?;
    (!user.is_empty() && path.starts_with('/')).then(|| Login { user: user.into(), password: path.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, host: &str, port: u16, login: Option<(&str, &str)>) {
        let login = login.map(|(user, path)| Login { user: user.into(), password: path.into() });
        assert_eq!(text.parse(), Ok(Proxy::Http(HttpProxy { host: host.into(), port, login })), "{text}");
    }

    #[test]
    fn a_proxy_is_none_the_systems_or_an_address_and_its_password_a_file() {
        assert_eq!(("none".parse(), "system".parse()), (Ok(Proxy::None), Ok(Proxy::System)));
        check("http://proxy.example.com:3128", "proxy.example.com", 3128, None);
        check("http://[::1]:8080/", "::1", 8080, None);
        check("http://ada:${file:/etc/p@ss:word}@10.0.0.1:80", "10.0.0.1", 80, Some(("ada", "/etc/p@ss:word")));
        for bad in [
            "",
            "proxy.example.com:3128",
            "https://proxy:3128",
            "http://proxy",
            "http://proxy:0",
            "http://:80",
            "http://a b:80",
            "http://ada:secret@proxy:80",
            "http://ada:${file:relative}@proxy:80",
        ] {
            assert!(bad.parse::<Proxy>().is_err(), "{bad}");
        }
    }
}
