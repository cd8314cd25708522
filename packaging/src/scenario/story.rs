//! What happens, in order, and what should come of it.

use std::collections::BTreeSet;

use anyhow::ensure;
use emote_proto::{EventId, Time};
use serde_json::json;

use super::{Expectation, Mac, Sent, Sight, Webhooks, assets, nanomdm, okta};

/// Whoever leaves.
const LEAVER: &str = "ada@example.com";
/// Whoever stays.
const COLLEAGUE: &str = "grace@example.com";

const EVENTS: &str = "EVENTS";
const MDM: &str = "MDM";
const SLACK: &str = "Slack";
const ANSWER: &str = "answer";

/// One run of the story.
#[derive(Debug, Clone)]
pub struct Story {
    /// What vendors' event ids of this run have in them.
    pub run: String,
    /// When it all happens.
    pub at: Time,
    /// The leaver's Mac that has an agent.
    pub own: Mac,
    /// The leaver's other Mac, without an agent.
    pub second: Mac,
    /// A colleague's Mac, which must not be locked.
    pub colleagues: Mac,
}

/// Something that was played.
#[derive(Debug, Clone)]
pub struct Step {
    /// What it was.
    pub what: &'static str,
    /// About whom or what.
    pub about: String,
    /// What is special about it.
    pub note: Option<&'static str>,
    /// The event that it became.
    pub event: Option<EventId>,
    /// How its webhooks were answered; empty where it came another way.
    pub sent: Vec<Sent>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Nothing but a line in the log comes of it.
    Stored,
    Enrolled(Mac),
    Forged(Mac),
    Emitted,
    Deactivated,
}

impl Story {
    /// A run on the Mac with this serial number.
    pub fn new(serial: &str, run: &str, at: Time) -> Self {
        let mac = |serial: &str, name: &str, owner: &str| Mac {
            serial: serial.to_owned(),
            name: name.to_owned(),
            owner: owner.to_owned(),
        };
        Self {
            run: run.to_owned(),
            at,
            own: mac(serial, "ada-mbp", LEAVER),
            second: mac("C02EMOTE0002", "ada-mini", LEAVER),
            colleagues: mac("C02EMOTE0003", "grace-air", COLLEAGUE),
        }
    }

    /// Plays it. `emit` has the agent say something, and gives that event's id.
    pub async fn play(
        &self,
        webhooks: &Webhooks,
        emit: impl AsyncFnOnce() -> anyhow::Result<EventId>,
    ) -> anyhow::Result<Vec<Step>> {
        let macs = [&self.own, &self.second, &self.colleagues];
        let mut steps = Vec::new();
        for mac in macs {
            let sent = webhooks.assets(assets::record(mac)).await?;
            let about = format!("{} of {}", mac.name, mac.owner);
            steps.push(step("assets     asset.updated", about, vec![sent], Kind::Stored)?);
        }
        for mac in macs {
            let id = |message: &str| format!("{}-{message}-{}", self.run, mac.serial);
            let sent = webhooks.nanomdm(nanomdm::authenticate(mac, &id("authenticate"), self.at)).await?;
            steps.push(step("nanomdm    device.enroll_start", describe(mac), vec![sent], Kind::Stored)?);
            let body = nanomdm::token_update(mac, &id("token"), self.at);
            let mut sent = vec![webhooks.nanomdm(body.clone()).await?];
            let again = mac == &self.own;
            if again {
                sent.push(webhooks.nanomdm(body).await?);
            }
            let mut enrolled = step("nanomdm    device.enroll", describe(mac), sent, Kind::Enrolled(mac.clone()))?;
            enrolled.note = again.then_some("sent twice, byte for byte");
            steps.push(enrolled);
        }
        steps.push(self.forge(webhooks).await?);
        let emitted = Step {
            what: "agent      security.changed",
            about: describe(&self.own),
            note: Some("communicate and log are true"),
            event: Some(emit().await?),
            sent: Vec::new(),
            kind: Kind::Emitted,
        };
        steps.push(emitted);
        let body = okta::deactivated(LEAVER, &self.run, self.at);
        let sent = vec![webhooks.okta(body.clone()).await?, webhooks.okta(body).await?];
        let mut left = step("okta       user.deactivated", LEAVER.to_owned(), sent, Kind::Deactivated)?;
        left.note = Some("sent twice, as vendors retry");
        steps.push(left);
        Ok(steps)
    }

    async fn forge(&self, webhooks: &Webhooks) -> anyhow::Result<Step> {
        // A Mac that nothing else names, so that any trace of it in EVENTS comes from here.
        let mac = Mac {
            serial: format!("FORGED{}", self.run.to_uppercase()),
            name: "forged".to_owned(),
            owner: LEAVER.to_owned(),
        };
        let id = format!("{}-forged", self.run);
        let sent = webhooks.forged_nanomdm(nanomdm::authenticate(&mac, &id, self.at)).await?;
        Ok(Step {
            what: "nanomdm    forged webhook",
            about: "signed with another key".to_owned(),
            note: None,
            event: None,
            sent: vec![sent],
            kind: Kind::Forged(mac),
        })
    }

    /// What should be seen after these steps were played, and nothing else.
    pub fn expectations(&self, steps: &[Step]) -> Vec<Expectation> {
        let mut all: Vec<Expectation> = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let mut expect = |what: String, seen| all.push(Expectation { step: number, what, seen });
            if let Some(event) = step.event {
                expect("stored once".to_owned(), stored(number, step, event));
            }
            match (&step.kind, step.event) {
                (Kind::Enrolled(mac), Some(event)) => self.enrolled(mac, event, &mut expect),
                (Kind::Emitted, Some(event)) => emitted(event, &self.own, &mut expect),
                (Kind::Deactivated, Some(event)) => self.deactivated(event, &mut expect),
                (Kind::Forged(mac), _) => forged(number, mac, &mut expect),
                _ => {}
            }
        }
        let rest = nothing_else(steps, &all);
        all.extend(rest);
        all
    }

    fn enrolled(&self, mac: &Mac, event: EventId, expect: &mut impl FnMut(String, Vec<(&'static str, Sight, usize)>)) {
        let set = json!({"enrolled": true, "enrolled_at": self.at.to_string()});
        let updated = result(event, "enrolled", ("asset", "updated"), mac, json!({"set": set}));
        let record = Sight::Record { serial: mac.serial.clone(), asset: set };
        let at = self.at.to_string().get(11..19).unwrap_or_default().to_owned();
        expect(format!("asset record: enrolled, at {at}"), vec![(EVENTS, updated, 1), ("record", record, 1)]);
        let item = json!({"Item": "DeviceName", "DeviceName": mac.name});
        let command = json!({"RequestType": "Settings", "Settings": [item]});
        let command = Sight::Command { event, rule: "name-from-asset", udid: mac.udid(), command };
        let sent = result(event, "name-from-asset", ("mdm", "command_sent"), mac, json!({"request_type": "Settings"}));
        expect(format!("named {} in the MDM, from the record", mac.name), vec![(MDM, command, 1), (EVENTS, sent, 1)]);
    }

    fn deactivated(&self, event: EventId, expect: &mut impl FnMut(String, Vec<(&'static str, Sight, usize)>)) {
        for mac in [&self.own, &self.second] {
            let command = json!({"RequestType": "DeviceLock", "PIN": null});
            let command = Sight::Command { event, rule: "lock-leavers", udid: mac.udid(), command };
            let sent =
                result(event, "lock-leavers", ("mdm", "command_sent"), mac, json!({"request_type": "DeviceLock"}));
            expect(format!("locked: {}", describe(mac)), vec![(MDM, command, 1), (EVENTS, sent, 1)]);
        }
        let lock = Sight::Lock { events: BTreeSet::from([event]), udid: self.colleagues.udid() };
        expect(format!("not locked: {}, which is another's", self.colleagues.name), vec![(MDM, lock, 0)]);
    }
}

/// A step by webhook. That its webhooks were taken is needed to go on at all; a forged one is not made here.
fn step(what: &'static str, about: String, sent: Vec<Sent>, kind: Kind) -> anyhow::Result<Step> {
    for sent in &sent {
        ensure!(
            sent.status == 200 && sent.events.len() == 1,
            "{what} was answered {} {}; expected 200 and one event",
            sent.status,
            sent.body.trim()
        );
    }
    let event = sent.first().and_then(|sent| sent.events.first()).copied();
    Ok(Step { what, about, note: None, event, sent, kind })
}

fn stored(number: usize, step: &Step, event: EventId) -> Vec<(&'static str, Sight, usize)> {
    let mut seen = vec![(EVENTS, Sight::Event(event), 1)];
    if step.sent.len() > 1 {
        // Each retry is told that the event is stored, under the same id.
        let answer = Sight::Answer { step: number, status: 200, event: Some(event) };
        seen.push((ANSWER, answer, step.sent.len()));
    }
    seen
}

fn emitted(event: EventId, mac: &Mac, expect: &mut impl FnMut(String, Vec<(&'static str, Sight, usize)>)) {
    let posted = result(event, "communicate", ("communicate", "slack_post"), mac, json!({}));
    expect(
        "told in Slack, because communicate is true".to_owned(),
        vec![(SLACK, Sight::Message(event), 1), (EVENTS, posted, 1)],
    );
    let written = result(event, "log", ("log", "written"), mac, json!({}));
    expect(
        "written to data/events.jsonl, because log is true".to_owned(),
        vec![("file", Sight::LogLine(event), 1), (EVENTS, written, 1)],
    );
}

fn forged(number: usize, mac: &Mac, expect: &mut impl FnMut(String, Vec<(&'static str, Sight, usize)>)) {
    let refused = Sight::Answer { step: number, status: 401, event: None };
    expect("refused: 401".to_owned(), vec![(ANSWER, refused, 1)]);
    let mentions = [&mac.serial, &mac.udid()].map(|text| (EVENTS, Sight::Mention(text.clone()), 0));
    expect("no trace of it".to_owned(), mentions.into());
}

/// Whatever is not on another line must not be there.
fn nothing_else(steps: &[Step], all: &[Expectation]) -> [Expectation; 3] {
    let events: BTreeSet<EventId> = steps.iter().filter_map(|step| step.event).collect();
    let wanted = |is_one: fn(&Sight) -> bool| {
        let seen = all.iter().flat_map(|expectation| &expectation.seen);
        seen.filter(|(_, sight, _)| is_one(sight)).map(|(_, _, wanted)| wanted).sum::<usize>()
    };
    let jobs = wanted(|sight| matches!(sight, Sight::Result { .. }));
    let calls = wanted(|sight| matches!(sight, Sight::Command { .. } | Sight::Message(_)));
    let expectation = |what, place, sight, wanted| Expectation {
        step: steps.len(),
        what: format!("{wanted} {what}, no other"),
        seen: vec![(place, sight, wanted)],
    };
    [
        expectation("jobs", "DELIVERIES", Sight::Jobs(events.clone()), jobs),
        expectation("result events", EVENTS, Sight::Results(events.clone()), jobs),
        expectation("calls", "MDM, Slack", Sight::Requests(events), calls),
    ]
}

fn result(
    event: EventId,
    rule: &'static str,
    what: (&'static str, &'static str),
    mac: &Mac,
    info: serde_json::Value,
) -> Sight {
    Sight::Result { event, rule, what, serial: Some(mac.serial.clone()), info }
}

/// A Mac in a few words. Where a machine has no serial number of the usual length its start must do.
fn describe(mac: &Mac) -> String {
    let short: String = mac.serial.chars().take(12).collect();
    let more = if short.len() < mac.serial.len() { "…" } else { "" };
    format!("{} {short}{more}", mac.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        scenario::{Observed, Secrets, verify},
        standins::{Reply, Request, StandIn, Vendor},
    };

    /// Takes what is signed rightly; the same body becomes the same event.
    struct Ingest(Secrets);

    impl Vendor for Ingest {
        fn answer(&self, request: &Request, _: &[Request]) -> Reply {
            let secrets = &self.0;
            let proven = match request.path.as_str() {
                "/in/nanomdm" => {
                    let signature = nanomdm::signature(&secrets.nanomdm_webhook_key, &request.body);
                    request.header(nanomdm::SIGNATURE_HEADER) == Some(&signature)
                }
                "/in/okta" => request.header("authorization") == Some(&secrets.okta_hook_secret),
                "/in/assets" => request.header("authorization") == Some(&format!("Bearer {}", secrets.assets_token)),
                _ => false,
            };
            let id = EventId::derived(&[&String::from_utf8_lossy(&request.body)]);
            if proven { (200, json!({"events": [id]}).to_string()) } else { (401, String::new()) }
        }
    }

    #[tokio::test]
    async fn what_is_played_and_what_is_expected_fit() {
        let secrets = Secrets {
            nanomdm_webhook_key: "k".into(),
            okta_hook_secret: "o".into(),
            assets_token: "a".into(),
            nanomdm_api_key: "m".into(),
        };
        let ingest = StandIn::start(Ingest(secrets.clone())).await.unwrap();
        let webhooks = Webhooks::new(ingest.url(), secrets).unwrap();
        let story = Story::new("C02XL0GTJGH5", "run1", "2026-03-04T05:06:07.891Z".parse().unwrap());
        let steps = story.play(&webhooks, async || Ok(EventId::derived(&["emitted"]))).await.unwrap();
        let expectations = story.expectations(&steps);

        let answers: Vec<_> = steps.iter().map(|step| step.sent.clone()).collect();
        let outcomes = verify(&expectations, &Observed { answers, ..Observed::default() });
        let met: Vec<&str> = expectations
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| outcome.is_met())
            .map(|(expectation, _)| expectation.what.as_str())
            .collect();
        assert_eq!(met, ["refused: 401", "no trace of it", "not locked: grace-air, which is another's"]);

        let all: Vec<&str> = expectations.iter().map(|expectation| expectation.what.as_str()).collect();
        let times = |what: &str| all.iter().filter(|text| text.starts_with(what)).count();
        assert_eq!((times("stored once"), times("asset record: enrolled, at 05:06:07")), (11, 3));
        assert_eq!((times("named"), times("locked: ada"), times("told in Slack")), (3, 2, 1));
        assert_eq!(all[all.len() - 3..], ["10 jobs, no other", "10 result events, no other", "6 calls, no other"]);
        let bodies: Vec<_> = ingest.requests().into_iter().map(|request| request.body).collect();
        assert_eq!(bodies.len(), 13);
        assert_eq!(bodies[4], bodies[5], "the enrolment again, byte for byte");
        assert_eq!(bodies[11], bodies[12], "the vendor's retry");
    }
}
