//! The alternative for whoever has a PKI: client certificates that the MDM brings onto Macs (SCEP, ACME), and a
//! nats-server that finds its users by them (`verify_and_map`). There are no templates there: a user a Mac, written out.
//!
//! The same two accounts, the same subjects: what is written is made of [`Role`] and [`SHARED`].

use std::fmt::Write as _;

use emote_proto::{NodeKey, Serial};
use serde_json::Value;

use super::{account::Kind, authority::SHARED, role::Role};

/// Where the serial number stands in the name of a certificate.
const SERIAL: &str = "{serial}";

/// Why no users can be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MtlsError {
    /// A name of certificates without a serial number would be everybody's.
    #[error("the name of certificates has to hold {{serial}} once, as in CN={{serial}} or {{serial}}.macs.example.com")]
    Name,
    /// It would end the text it is put into.
    #[error("the name of certificates holds a character that has no place there: quotes, backslash, line breaks")]
    Character,
    /// A line that is no serial number.
    #[error("line {line}: {error}")]
    Serial {
        /// Which, from 1.
        line: usize,
        /// What is wrong.
        error: emote_proto::SerialError,
    },
    /// Two Macs cannot be one user.
    #[error("line {line}: {serial} is there already")]
    Twice {
        /// Which, from 1.
        line: usize,
        /// The serial number.
        serial: Serial,
    },
    /// None at all.
    #[error("there is no serial number in it: one a line")]
    None,
}

/// How certificates name a Mac: as nats-server tells it from the subject (`CN={serial},O=Example`), or a DNS name among the
/// subject's alternative names (`{serial}.macs.example.com`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateName(String);

impl CertificateName {
    /// Checks and takes the name.
    pub fn new(text: &str) -> Result<Self, MtlsError> {
        let bad = |c: char| c.is_control() || matches!(c, '"' | '\\' | '$');
        if text.matches(SERIAL).count() != 1 {
            Err(MtlsError::Name)
        } else if text.contains(bad) {
            Err(MtlsError::Character)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    fn of(&self, serial: &Serial) -> String {
        self.0.replace(SERIAL, serial.as_str())
    }
}

impl std::str::FromStr for CertificateName {
    type Err = MtlsError;
    fn from_str(text: &str) -> Result<Self, MtlsError> {
        Self::new(text)
    }
}

/// Serial numbers of a file: one a line, `#` begins a comment.
pub fn serials(text: &str) -> Result<Vec<Serial>, MtlsError> {
    let mut found = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        let serial = Serial::new(text).map_err(|error| MtlsError::Serial { line, error })?;
        if !seen.insert(serial.clone()) {
            return Err(MtlsError::Twice { line, serial });
        }
        found.push(serial);
    }
    if found.is_empty() { Err(MtlsError::None) } else { Ok(found) }
}

/// Who is who by their certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Users {
    /// The name in a broker's.
    pub broker: String,
    /// The name in the administrator's, and under which its orders are.
    pub admin: (String, NodeKey),
    /// The Macs.
    pub serials: Vec<Serial>,
    /// The name in theirs.
    pub device: CertificateName,
}

impl Users {
    /// The part of nats-server's configuration that says who may do what.
    pub fn configuration(&self) -> String {
        let Self { broker, admin: (admin, name), serials, device } = self;
        let exports =
            each(&SHARED, |shared| format!("{{{}: {:?}, accounts: [DEVICES]}}", word(shared.kind), shared.subject));
        let imports = each(&SHARED, |shared| {
            format!("{{{}: {{account: EMOTE, subject: {:?}}}}}", word(shared.kind), shared.subject)
        });
        let devices = each(serials, |serial| {
            let may = permissions(&Role::Device.of_serial(serial));
            format!("{{user: {:?}, permissions: {may}}}", device.of(serial))
        });
        let may = permissions(&Role::Admin.of(name));
        format!(
            "system_account: SYS\n\
             accounts {{\n  SYS {{}}\n  EMOTE {{\n    jetstream: enabled\n    exports: [\n{exports}    ]\n    users: [\n\
             \x20     {{user: {broker:?}}}\n      {{user: {admin:?}, permissions: {may}}}\n    ]\n  }}\n\
             \x20 DEVICES {{\n    imports: [\n{imports}    ]\n    users: [\n{devices}    ]\n  }}\n}}\n"
        )
    }
}

fn each<T>(all: &[T], line: impl Fn(&T) -> String) -> String {
    all.iter().fold(String::new(), |mut text, one| {
        let _ = writeln!(text, "      {}", line(one));
        text
    })
}

fn permissions(claims: &Value) -> String {
    let list = |way: &str| claims[way]["allow"].to_string();
    format!("{{publish: {{allow: {}}}, subscribe: {{allow: {}}}}}", list("pub"), list("sub"))
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Service => "service",
        Kind::Stream => "stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(serials: &[&str], device: &str) -> Users {
        Users {
            broker: "CN=broker".into(),
            admin: ("CN=ada".into(), NodeKey::new("ada").unwrap()),
            serials: serials.iter().map(|serial| Serial::new(*serial).unwrap()).collect(),
            device: CertificateName::new(device).unwrap(),
        }
    }

    #[test]
    fn each_mac_has_its_own_events_and_inbox() {
        let text = users(&["C01", "C02"], "{serial}.macs.example.com").configuration();
        let line = r#"{user: "C02.macs.example.com", permissions: {publish: {allow: ["events.agent.C02.>"]}, subscribe: {allow: ["_INBOX.C02.>"]}}}"#;
        assert!(text.contains(line), "{text}");
        assert!(text.contains(r#"{service: "events.agent.*.>", accounts: [DEVICES]}"#), "{text}");
        assert!(text.contains(r#"{stream: {account: EMOTE, subject: "_INBOX.*.identity"}}"#), "{text}");
    }

    #[test]
    fn names_of_certificates_hold_the_serial_number_and_nothing_that_ends_a_text() {
        for good in ["CN={serial}", "{serial}.macs.example.com", "CN={serial},O=Example"] {
            assert!(CertificateName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "CN=mac", "{serial}{serial}", "CN=\"{serial}", "CN={serial}\n", "$X{serial}", "CN=\\{serial}"] {
            assert!(CertificateName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn serial_numbers_are_read_a_line_and_each_is_there_once() {
        let read = |text: &str| serials(text).map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(read("# Macs\nC01\n\n C02 # Ada's\n"), Ok(vec!["C01".to_owned(), "C02".to_owned()]));
        assert!(matches!(read("C01\n*\n"), Err(MtlsError::Serial { line: 2, .. })));
        assert!(matches!(read("C01\nC01\n"), Err(MtlsError::Twice { line: 2, .. })));
        assert_eq!(read("# none\n"), Err(MtlsError::None));
    }
}
