//! A mail from a job: to whom, what it says, and how later ones are known to belong to it (RFC 5322, MIME).
//!
//! Nothing that a job says can add a header or a recipient: control characters end an address and are spaces in a subject.

use emote_proto::EventId;
use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Mailbox, MessageBuilder, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
};
use serde_json::{Map, Value};

use super::super::{programs::context, summary::Summary};
use crate::{
    config::{fields::kind, text::clip},
    core::Job,
    jq::Program,
};

/// The most recipients: every server takes as many (RFC 5321, 4.5.3.1.8).
pub(super) const MAX_RECIPIENTS: usize = 100;
/// The longest address with its name, in bytes.
const MAX_ADDRESS: usize = 512;
/// The longest subject, in characters.
const MAX_SUBJECT: usize = 250;
/// The largest text, in bytes.
const MAX_TEXT: usize = 1024 * 1024;
/// What an input may say where the target's file does not say what a mail says.
const KEYS: [&str; 7] = ["bcc", "cc", "html", "reply_to", "subject", "text", "to"];

/// What a target's file says of its mails.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) from: Mailbox,
    pub(super) to: Option<People>,
    pub(super) cc: Option<People>,
    pub(super) bcc: Option<People>,
    pub(super) reply_to: Option<People>,
    pub(super) subject: Option<Program>,
    pub(super) text: Option<Program>,
    pub(super) html: Option<Program>,
    /// Headers that are the same in each mail.
    pub(super) headers: Vec<(HeaderName, String)>,
    /// Whether mails about one node belong together.
    pub(super) threads: bool,
}

/// Somebody.
#[derive(Debug)]
pub(super) enum People {
    Fixed(Vec<Mailbox>),
    /// A program that gives an address, a list of them, or null for nobody.
    Found(Program),
}

/// A mail as it is handed over.
#[derive(Debug)]
pub(super) struct Mail {
    /// Of the envelope, as are the recipients.
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) message_id: String,
    pub(super) subject: String,
    pub(super) bytes: Vec<u8>,
}

/// What a job has to say.
#[derive(Debug, Default)]
struct Said {
    subject: Option<String>,
    text: Option<String>,
    html: Option<String>,
}

impl Plan {
    /// The mail for a job, or why there can be none.
    pub(super) fn mail(&self, job: &Job, input: &Value) -> Result<Mail, String> {
        let sees = Value::Object(context(job, input, &Value::Null));
        let own = self.own(job, input)?;
        let people = |key: &'static str, of_target: &Option<People>| match (own.and_then(|own| own.get(key)), of_target)
        {
            (Some(value), _) => found(key, value),
            (None, Some(People::Fixed(people))) => Ok(people.clone()),
            (None, Some(People::Found(program))) => found(key, &program.only(key, &sees)?),
            (None, None) => Ok(Vec::new()),
        };
        let (to, cc, bcc) = (people("to", &self.to)?, people("cc", &self.cc)?, people("bcc", &self.bcc)?);
        let reply_to = people("reply_to", &self.reply_to)?;
        let said = self.said(job, input, own, &sees)?;
        let domain = self.from.email.domain().to_owned();
        let message_id = format!("<{}@{domain}>", EventId::derived(&["mail", job.id.as_str()]));
        let mut builder = Message::builder().from(self.from.clone()).message_id(Some(message_id.clone()));
        let mut recipients = Vec::new();
        for (people, add) in [
            (to, MessageBuilder::to as fn(MessageBuilder, Mailbox) -> MessageBuilder),
            (cc, MessageBuilder::cc),
            (bcc, MessageBuilder::bcc),
        ] {
            for mailbox in people {
                recipients.push(mailbox.email.clone());
                builder = add(builder, mailbox);
            }
        }
        builder = reply_to.into_iter().fold(builder, MessageBuilder::reply_to);
        recipients.sort();
        recipients.dedup();
        match recipients.len() {
            0 => return Err("there is nobody to send it to: set `to` in the target or in the rule's input".to_owned()),
            more if more > MAX_RECIPIENTS => {
                return Err(format!("{more} recipients; a mail may have {MAX_RECIPIENTS}"));
            }
            _ => {}
        }
        if let Some(node) = job.node_key().filter(|_| self.threads) {
            let first = format!("<{}@{domain}>", EventId::derived(&["mails about", job.target.as_str(), &node]));
            builder = builder.in_reply_to(first.clone()).references(first);
        }
        // Nobody who is away answers it (RFC 3834, 5).
        builder = header(builder, HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated");
        builder = self.headers.iter().fold(builder, |builder, (name, value)| header(builder, name.clone(), value));
        let subject = subject(&said.subject.unwrap_or_default());
        let envelope = Envelope::new(Some(self.from.email.clone()), recipients).map_err(|error| error.to_string())?;
        let to = envelope.to().iter().map(ToString::to_string).collect();
        let message =
            with_body(builder.subject(subject.clone()).envelope(envelope), said.text, said.html, &message_id)?;
        Ok(Mail { from: self.from.email.to_string(), to, message_id, subject, bytes: message.formatted() })
    }

    /// The input, where it says itself what the mail is.
    fn own<'a>(&self, job: &Job, input: &'a Value) -> Result<Option<&'a Map<String, Value>>, String> {
        if job.input.is_none() || self.text.is_some() || self.html.is_some() {
            return Ok(None);
        }
        match input {
            Value::Object(own) => match own.keys().find(|key| !KEYS.contains(&key.as_str())) {
                Some(key) => Err(format!("the input has {key:?}: expected some of {}", KEYS.join(", "))),
                None => Ok(Some(own)),
            },
            Value::String(_) | Value::Null => Ok(None),
            other => Err(format!("the input must be a text or an object with text or html, not {}", kind(other))),
        }
    }

    fn said(&self, job: &Job, input: &Value, own: Option<&Map<String, Value>>, sees: &Value) -> Result<Said, String> {
        let word = |key: &'static str, program: &Option<Program>| {
            let value = match (own.and_then(|own| own.get(key)), program) {
                (Some(value), _) => value.clone(),
                (None, Some(program)) => program.only(key, sees)?,
                (None, None) => Value::Null,
            };
            match value {
                Value::Null => Ok(None),
                Value::String(text) if text.len() > MAX_TEXT => Err(format!("{key}: more than {MAX_TEXT} bytes")),
                Value::String(text) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
                other => Err(format!("{key}: expected a text, found {}", kind(&other))),
            }
        };
        let mut said = Said {
            subject: word("subject", &self.subject)?,
            text: word("text", &self.text)?,
            html: word("html", &self.html)?,
        };
        let summary = Summary::of(job);
        if said.text.is_none() && said.html.is_none() {
            said.text = match (own, input) {
                (Some(_), _) => return Err("the input has neither text nor html: there is nothing to send".to_owned()),
                _ if self.text.is_some() || self.html.is_some() => {
                    return Err("neither text nor html say anything: there is nothing to send".to_owned());
                }
                (None, Value::String(text)) if job.input.is_some() => Some(text.clone()),
                _ => Some(told(&summary)),
            };
        }
        said.subject = said.subject.or_else(|| Some(summary.line()));
        Ok(said)
    }
}

/// What a rule without input says.
fn told(summary: &Summary) -> String {
    let mut lines = vec![summary.what.clone(), String::new()];
    lines.extend(summary.facts().map(|(label, value)| format!("{label}: {value}")));
    lines.extend([String::new(), summary.origin.clone(), String::new()]);
    lines.join("\n")
}

/// One line of it.
fn subject(text: &str) -> String {
    let line: Vec<&str> =
        text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty()).collect();
    clip(&line.join(" "), MAX_SUBJECT)
}

fn header(builder: MessageBuilder, name: HeaderName, value: &str) -> MessageBuilder {
    builder.raw_header(HeaderValue::new(name, value.to_owned()))
}

/// As text, as HTML, or as the same in both (RFC 2046, 5.1.4). The boundary is the same whenever the mail is.
fn with_body(
    builder: MessageBuilder,
    text: Option<String>,
    html: Option<String>,
    message_id: &str,
) -> Result<Message, String> {
    let made = match (text, html) {
        (Some(text), Some(html)) => {
            let boundary = EventId::derived(&["boundary", message_id]).to_string();
            let both = MultiPart::alternative().boundary(boundary);
            builder.multipart(both.singlepart(SinglePart::plain(text)).singlepart(SinglePart::html(html)))
        }
        (None, Some(html)) => builder.singlepart(SinglePart::html(html)),
        (text, None) => builder.singlepart(SinglePart::plain(text.unwrap_or_default())),
    };
    made.map_err(|error| error.to_string())
}

/// The people that a value names: an address, or a list of them; nobody for null.
fn found(key: &str, value: &Value) -> Result<Vec<Mailbox>, String> {
    let each = match value {
        Value::Null => &[],
        Value::Array(each) => each.as_slice(),
        one => std::slice::from_ref(one),
    };
    let read = |value: &Value| match value {
        Value::String(text) => mailbox(text).map_err(|error| format!("{key}: {error}")),
        other => Err(format!("{key}: expected an address, found {}", kind(other))),
    };
    each.iter().take(MAX_RECIPIENTS.saturating_add(1)).map(read).collect()
}

/// `ada@example.com`, or `Ada <ada@example.com>`. A domain is written as DNS knows it.
pub(super) fn mailbox(text: &str) -> Result<Mailbox, String> {
    let wrong = || format!("{:?} is no address: for example it@example.com or IT <it@example.com>", clip(text, 100));
    if text.len() > MAX_ADDRESS || text.chars().any(char::is_control) {
        return Err(wrong());
    }
    let (name, address) = match text.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((name, address)) => (name.trim(), address),
        None => ("", text.trim()),
    };
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    let (user, domain) = address.rsplit_once('@').ok_or_else(wrong)?;
    let domain = if domain.is_ascii() { domain.to_ascii_lowercase() } else { ascii(domain).ok_or_else(wrong)? };
    // A local part in quotes may hold what would end an address in a command.
    if user.contains(['<', '>', '"', '\\', ' ']) {
        return Err(wrong());
    }
    let address = Address::new(user, domain).map_err(|_| wrong())?;
    Ok(Mailbox::new(Some(name.to_owned()).filter(|name| !name.is_empty()), address))
}

/// A domain as DNS knows it (RFC 5891).
fn ascii(domain: &str) -> Option<String> {
    let url: reqwest::Url = format!("https://{domain}/").parse().ok()?;
    url.domain().filter(|_| url.path() == "/" && url.port().is_none()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_may_have_a_name_and_names_one_mailbox() {
        for (text, expected) in [
            ("ada@example.com", Some((None, "ada@example.com"))),
            (" Ada Lovelace <ada@Example.com> ", Some((Some("Ada Lovelace"), "ada@example.com"))),
            ("\"Lovelace, Ada\" <ada@example.com>", Some((Some("Lovelace, Ada"), "ada@example.com"))),
            ("Zoë <zoë@example.com>", Some((Some("Zoë"), "zoë@example.com"))),
            ("it@bücher.example", Some((None, "it@xn--bcher-kva.example"))),
            ("ada", None),
            ("", None),
            ("@example.com", None),
            ("ada@", None),
            ("ada@example.com\r\nBcc: eve@example.com", None),
            ("ada@example.com, eve@example.com", None),
            ("ada@example.com> SIZE=1 <eve@example.com", None),
            ("\"a b\"@example.com", None),
            ("\"a>b\"@example.com", None),
            ("ada@exa mple.com", None),
            ("ada@bücher.example:25/x", None),
            ("ada@bücher.example\u{0}", None),
        ] {
            let found = mailbox(text).ok().map(|mailbox| (mailbox.name, mailbox.email.to_string()));
            let expected = expected.map(|(name, address)| (name.map(str::to_owned), address.to_owned()));
            assert_eq!(found, expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_address_is_one_word_of_a_command(text in any::<String>()) {
            if let Ok(mailbox) = mailbox(&text) {
                let address = mailbox.email.to_string();
                prop_assert!(!address.contains(|c: char| c.is_control() || c.is_whitespace() || "<>".contains(c)));
            }
        }

        #[test]
        fn a_subject_is_one_line(text in "[a-c\\PC\\r\\n\\t\u{85}\u{2028}]{0,300}") {
            let subject = subject(&text);
            prop_assert!(!subject.contains(|c: char| c.is_control()) && subject.chars().count() <= MAX_SUBJECT);
        }
    }
}
