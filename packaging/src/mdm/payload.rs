//! A configuration profile and its payloads, with the keys that all of them have (Apple's `TopLevel.yaml` and
//! `CommonPayloadKeys.yaml` in <https://github.com/apple/device-management>).

use plist::{Dictionary, Value};
use uuid::Uuid;

/// Of every UUID that is made of an identifier: drawn once, never to change.
const NAMESPACE: Uuid = Uuid::from_u128(0x6a3c_51d0_8b1f_5e27_9d44_0c7e_b2a9_13f6);

/// A payload: its type, and the keys of that type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Payload {
    /// Apple's type, or the domain of managed preferences.
    pub(super) kind: &'static str,
    /// The last part of its identifier: no two payloads of a profile share one.
    pub(super) part: String,
    /// What people see.
    pub(super) title: String,
    /// What the type says.
    pub(super) content: Dictionary,
}

/// A profile for the whole Mac.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Profile<'a> {
    /// By which a newer one replaces it.
    pub(super) identifier: String,
    /// What people see.
    pub(super) title: &'a str,
    /// What it is for.
    pub(super) about: &'a str,
    /// Whose.
    pub(super) organization: &'a str,
    /// In their order.
    pub(super) payloads: Vec<Payload>,
}

impl Profile<'_> {
    /// The property list.
    pub(super) fn plist(self) -> Vec<u8> {
        let payloads = self.payloads.iter().map(|payload| {
            let identifier = format!("{}.{}", self.identifier, payload.part);
            let mut content = payload.content.clone();
            content.extend(head(payload.kind, &identifier, &payload.title, self.organization));
            Value::Dictionary(content)
        });
        let content = Value::Array(payloads.collect());
        let mut root = Dictionary::from_iter([("PayloadContent", content), ("PayloadScope", "System".into())]);
        root.extend(head("Configuration", &self.identifier, self.title, self.organization));
        root.insert("PayloadDescription".to_owned(), self.about.into());
        emote_proto::deploy::xml(root)
    }
}

fn head(kind: &str, identifier: &str, title: &str, organization: &str) -> [(String, Value); 6] {
    let texts = [
        ("PayloadDisplayName", title.to_owned()),
        ("PayloadIdentifier", identifier.to_owned()),
        ("PayloadOrganization", organization.to_owned()),
        ("PayloadType", kind.to_owned()),
        ("PayloadUUID", uuid(&[identifier])),
    ];
    let [a, b, c, d, e] = texts.map(|(key, text)| (key.to_owned(), Value::from(text)));
    [a, b, c, d, e, ("PayloadVersion".to_owned(), 1.into())]
}

/// The same UUID (version 5) for the same texts, in upper case as Apple's tools write them.
pub(super) fn uuid(of: &[&str]) -> String {
    Uuid::new_v5(&NAMESPACE, of.join("\n").as_bytes()).as_hyphenated().to_string().to_uppercase()
}
