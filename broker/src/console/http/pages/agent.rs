//! One agent: its keys, what the MDM says of it, what was ordered, and what may be.

use emote_proto::{Time, enroll::UserKey};
use maud::{Markup, html};

use super::{ago, may, node_link, page, reason, word};
use crate::{
    console::{
        http::{
            answer::{Answer, Refusal},
            api::agents::asked_agent,
            enter,
            role::Role,
            visit::Call,
        },
        order::agents::could_be_let_in,
        view::{
            agents::{self, Vouches, ends, remarks},
            words,
        },
    },
    identity::record::{DeviceRecord, State, Word},
};

/// Characters of what others wrote.
const MAX_SHOWN: usize = 300;

pub(in crate::console::http) async fn show(call: Call) -> Result<Answer, Refusal> {
    let device = asked_agent(&call.visit).await?;
    let vouches = Vouches::ask(call.visit.bus(), [&device.serial]).await?;
    let now = enter::now();
    let remarks = remarks(&device, now);
    let main = html! {
        dl {
            dt { "State" } dd { (device.state.word()) }
            dt { "Node" } dd { (node_link(device.serial.as_str())) }
            dt { "The MDM" } dd { (vouches.text(&device.serial)) }
            @if !remarks.is_empty() { dt { "Remarks" } dd { (remarks) } }
            @if let Some(ordered) = &device.ordered {
                dt { "Last ordered" }
                dd { (ordered.what) " by " (words::clip(&ordered.by, MAX_SHOWN)) ", " (ago(ordered.at, now)) " ago"
                    @if let Some(reason) = &ordered.reason { ": " (words::clip(reason, MAX_SHOWN)) } }
            }
            @if let Some(duplicate) = &device.duplicate {
                dt { "Two machines" } dd .trouble { (ago(duplicate.told, now)) " ago: " (words::clip(&duplicate.seen, MAX_SHOWN)) }
            }
        }
        (keys(&device, now))
        (deciding(&call, &device))
        (taking(&call, &device))
    };
    Ok(Answer::Page(page(&call, "/agents", &format!("Agent {}", device.serial), &main)))
}

/// The credential that it has, or where it stands; for the page of the node.
pub(super) fn standing(device: &DeviceRecord, now: Time) -> String {
    let mut standing = device.state.word().to_owned();
    if let Some(key) = device.key.as_ref().filter(|_| device.state == State::Enrolled) {
        standing = format!("{standing}, ends in {}", ends(key.expires, now));
    }
    let remarks = remarks(device, now);
    if remarks.is_empty() { standing } else { format!("{standing}: {remarks}") }
}

fn keys(device: &DeviceRecord, now: Time) -> Markup {
    html! {
        div .wide { table {
            caption { "Keys" }
            thead { tr { th scope="col" { "Fingerprint" } th scope="col" { "Where it stands" } th scope="col" { "Since" } th scope="col" { "Token" } th scope="col" { "Agent" } th scope="col" { "In whole" } } }
            tbody {
                @if let Some(key) = &device.key {
                    tr {
                        th scope="row" { code { (key.key.fingerprint()) } }
                        td { @if device.state == State::Enrolled { "credential of " (key.issued.to_string()) ", ends in " (ends(key.expires, now)) } @else { "was let in; now " (device.state.word()) } }
                        td { (ago(key.since, now)) }
                        td { @if let Some(token) = &key.token { (token) } @else { "–" } }
                        td .text { (words::clip(&key.agent, MAX_SHOWN)) }
                        td .text { code { (key.key.as_str()) } }
                    }
                }
                @for asked in &device.asked {
                    tr {
                        th scope="row" { code { (asked.key.fingerprint()) } }
                        td { "asked: " (agents::word(asked)) }
                        td { (ago(asked.at, now)) }
                        td { @if let Some(token) = &asked.token { (token) } @else { "–" } }
                        td .text { (words::clip(&asked.agent, MAX_SHOWN)) }
                        td .text { code { (asked.key.as_str()) } }
                    }
                }
                @for shut in &device.shut {
                    tr {
                        th scope="row" { code { (shut.key.fingerprint()) } }
                        td { "old: " (agents::shut(shut, now)) }
                        td {} td {} td {}
                        td .text { code { (shut.key.as_str()) } }
                    }
                }
            }
        } }
    }
}

/// Whether a key is let in.
fn deciding(call: &Call, device: &DeviceRecord) -> Markup {
    let approved = |key: &UserKey| device.asked.iter().any(|one| one.key == *key && one.word == Some(Word::Approved));
    let keys: Vec<&UserKey> = could_be_let_in(device).filter(|key| !approved(key)).collect();
    let deniable = device.asked.iter().any(|asked| asked.word != Some(Word::Denied));
    html! {
        @if may(call, Role::Approver) {
            @if !keys.is_empty() {
                h2 { "Let in" }
                form method="post" action="/agents/approve" .act {
                    (word(call))
                    label for="key" { "The key" }
                    select id="key" name="serials" { @for key in keys { option value={ (device.serial) "/" (key.as_str()) } { (key.fingerprint()) } } }
                    (reason("why-approve"))
                    button { "Approve" }
                }
            }
            @if deniable {
                h2 { "Deny" }
                (ordering(call, device, "/agents/deny", "why-deny", "Deny every key that asks"))
            }
        }
    }
}

/// What admins may do with a credential.
fn taking(call: &Call, device: &DeviceRecord) -> Markup {
    html! {
        @if may(call, Role::Admin) && device.key.is_some() {
            @if device.state != State::Revoked {
                h2 { "Take the credential away" }
                p { "NATS closes its connection, and lets it in no more." }
                (ordering(call, device, "/agents/revoke", "why-revoke", "Revoke"))
            }
            @if device.state == State::Enrolled {
                h2 { "Change the key" }
                (ordering(call, device, "/agents/rotate", "why-rotate", "Have it make itself a new key"))
            }
        }
    }
}

fn ordering(call: &Call, device: &DeviceRecord, action: &str, id: &str, button: &str) -> Markup {
    html! {
        form method="post" action=(action) .act {
            (word(call))
            input type="hidden" name="serials" value=(device.serial);
            (reason(id))
            button .risky { (button) }
        }
    }
}
