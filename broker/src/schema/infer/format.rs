//! What a text is, by its look. One that is of two formats is of the first.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A format that a text may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    /// RFC 3339.
    DateTime,
    /// `2026-11-26`.
    Date,
    Uuid,
    Ipv4,
    Ipv6,
    Email,
    Uri,
    /// The serial number of a device, as Apple's look: capitals and digits, both.
    Serial,
}

/// The serial numbers that are told by their look.
const SERIAL: &str = "^[A-Z0-9]{8,14}$";

impl Format {
    pub(super) fn of(text: &str) -> Option<Self> {
        const IN_ORDER: [Format; 8] = [
            Format::DateTime,
            Format::Date,
            Format::Uuid,
            Format::Ipv4,
            Format::Ipv6,
            Format::Email,
            Format::Uri,
            Format::Serial,
        ];
        IN_ORDER.into_iter().find(|format| format.fits(text))
    }

    fn fits(self, text: &str) -> bool {
        match self {
            Self::DateTime => text.len() >= 20 && text.contains('T') && text.parse::<jiff::Timestamp>().is_ok(),
            Self::Date => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
            Self::Uuid => is_uuid(text),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.contains(':') && text.parse::<Ipv6Addr>().is_ok(),
            Self::Email => is_email(text),
            Self::Uri => is_web_address(text),
            Self::Serial => is_serial(text),
        }
    }

    pub(super) fn write(self, schema: &mut Map<String, Value>) {
        let name = match self {
            Self::DateTime => "date-time",
            Self::Date => "date",
            Self::Uuid => "uuid",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Email => "email",
            Self::Uri => "uri",
            // JSON Schema has no name for it.
            Self::Serial => {
                schema.insert("pattern".to_owned(), SERIAL.into());
                return;
            }
        };
        schema.insert("format".to_owned(), name.into());
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_email(text: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    text.split_once('@').is_some_and(|(who, host)| {
        who.len() <= 64 && who.split('.').all(word) && host.contains('.') && host.split('.').all(is_label)
    })
}

fn is_label(label: &str) -> bool {
    let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    inner && !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
}

fn is_web_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/?=&:".contains(&byte);
    rest.and_then(|rest| rest.split(['/', '?']).next()).is_some_and(|host| host.split('.').all(is_label))
        && text.bytes().all(plain)
}

fn is_serial(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    (8..=14).contains(&text.len())
        && text.bytes().all(fits)
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_it_looks_like() {
        for (text, format) in [
            ("2026-11-26T08:00:00.123Z", Some(Format::DateTime)),
            ("2026-11-26T08:00:00+01:00", Some(Format::DateTime)),
            ("2026-11-26", Some(Format::Date)),
            ("2026-11-31", None),
            ("0475695A-6825-5747-bfbb-30f19064800e", Some(Format::Uuid)),
            ("192.0.2.7", Some(Format::Ipv4)),
            ("2001:db8::7", Some(Format::Ipv6)),
            ("ada@example.com", Some(Format::Email)),
            ("@ada", None),
            ("https://example.com/a?b=c", Some(Format::Uri)),
            ("https://", None),
            ("C02XL0GTJGH5", Some(Format::Serial)),
            ("20261126", None),
            ("INSTALLED", None),
            ("", None),
        ] {
            assert_eq!(Format::of(text), format, "{text}");
        }
    }
}
