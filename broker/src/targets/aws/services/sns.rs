//! SNS `Publish`. To a FIFO topic a job goes once, and what is of one node goes in order.

use serde_json::{Value, json};

use super::super::{
    super::{serial, wire::Answer},
    call::Call,
    service::{Does, One, Read, required},
    words::{Word, attributes, bytes, said},
};
use crate::{
    config::fields::Fields,
    core::Job,
    jq::{Program, xml},
};

#[derive(Debug)]
struct Sns {
    topic: String,
    subject: Word,
    group: Word,
    attributes: Option<Program>,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Read> {
    let topic = required(fields, "topic", "topic: arn:aws:sns:eu-central-1:123456789012:emote");
    let subject = Word::read(fields, "subject", 99);
    let group = Word::read(fields, "group", 128);
    let attributes = fields.jq("attributes");
    let topic = topic?;
    if !topic.starts_with("arn:") {
        fields.problem("topic", "a topic is named by its ARN");
    }
    if !topic.ends_with(".fifo") && fields.has("group") {
        fields.problem("group", "only a FIFO topic has groups: its name ends with .fifo");
    }
    let does = Sns { topic: topic.clone(), subject, group, attributes };
    Some(Read::new("sns", &topic, Does::One(std::sync::Arc::new(does))))
}

impl One for Sns {
    fn call(&self, job: &Job, context: &Value, value: Option<Value>) -> Result<Call, String> {
        let message = String::from_utf8(bytes(&said(context, value))).map_err(|error| error.to_string())?;
        let mut pairs = vec![
            ("Action".to_owned(), "Publish".to_owned()),
            ("Version".to_owned(), "2010-03-31".to_owned()),
            ("TopicArn".to_owned(), self.topic.clone()),
            ("Message".to_owned(), message),
        ];
        pairs.extend(self.subject.given(context)?.map(|subject| ("Subject".to_owned(), subject)));
        if self.topic.ends_with(".fifo") {
            let group = match self.group.given(context)? {
                Some(group) => group,
                None => serial(job).unwrap_or("-").to_owned(),
            };
            pairs.push(("MessageGroupId".to_owned(), group));
            pairs.push(("MessageDeduplicationId".to_owned(), job.id.token()));
        }
        if let Some(program) = &self.attributes {
            for (index, (name, kind, text)) in attributes(program, context)?.into_iter().enumerate() {
                let at = format!("MessageAttributes.entry.{}", index.saturating_add(1));
                pairs.push((format!("{at}.Name"), name));
                pairs.push((format!("{at}.Value.DataType"), kind.to_owned()));
                pairs.push((format!("{at}.Value.StringValue"), text));
            }
        }
        Call::form(&pairs)
    }

    fn accepted(&self, answer: &Answer) -> Result<Value, String> {
        let reply = xml::parse(answer.body.trim().as_bytes()).unwrap_or_default();
        Ok(json!({"id": reply.pointer("/PublishResponse/PublishResult/MessageId")}))
    }
}
