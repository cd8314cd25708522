//! Agents: those that wait for somebody's word, and all of them, a page at a time.

use emote_proto::Time;
use maud::{Markup, html};

use super::{ago, encoded, may, page, reason, word};
use crate::{
    console::{
        http::{
            answer::{Answer, Refusal},
            api::agents::{Asked, Page},
            enter,
            role::Role,
            visit::Call,
        },
        view::{
            agents::{Vouches, Which, beside, ends, remarks},
            words,
        },
    },
    identity::record::{self, DeviceRecord, State},
};

/// Keys that wait which are shown: those that asked first.
const WAITING: usize = 200;

pub(in crate::console::http) async fn list(call: Call) -> Result<Answer, Refusal> {
    let asked = Asked::read(&call.visit)?;
    let devices = call.visit.registry()?.devices().await?;
    let mut waiting = waiting(&devices);
    let all = waiting.len();
    waiting.truncate(WAITING);
    let vouches = Vouches::ask(call.visit.bus(), waiting.iter().map(|(device, _)| &device.serial)).await?;
    let now = enter::now();
    let main = html! {
        p { "An agent has a credential that says which Mac it is. Who gets one, and who loses it, is an event, with who said it and why." }
        h2 { "Waiting" }
        @if waiting.is_empty() { p { "Nobody waits." } }
        @else if may(&call, Role::Approver) {
            p { "Compare the key with what " code { "emote-agent identity show" } " says on the Mac." }
            form method="post" action="/agents/approve" {
                (word(&call))
                (asking(&waiting, &vouches, true, now))
                div .act { (reason("why")) button { "Let in what is ticked" } button formaction="/agents/deny" .risky { "Deny" } }
            }
        }
        @else { (asking(&waiting, &vouches, false, now)) p .note { "Approvers decide on them." } }
        @if all > waiting.len() { p { "These asked first of " (all) "." } }
        h2 { "All agents" }
        (filter(asked.which))
        (table(&asked.page(&devices), asked.which, now))
    };
    Ok(Answer::Page(page(&call, "/agents", "Agents", &main)))
}

/// Keys that wait for a word, with their devices; the first one that asked is the first.
fn waiting(devices: &[DeviceRecord]) -> Vec<(&DeviceRecord, &record::Asked)> {
    let keys = devices.iter().flat_map(|device| device.asked.iter().map(move |asked| (device, asked)));
    let mut waiting: Vec<_> = keys.filter(|(_, asked)| asked.word.is_none()).collect();
    waiting.sort_by_key(|(_, asked)| asked.at);
    waiting
}

fn asking(waiting: &[(&DeviceRecord, &record::Asked)], vouches: &Vouches, ticks: bool, now: Time) -> Markup {
    html! {
        div .wide { table {
            caption .quiet { "Keys that ask, the first one first" }
            thead { tr { @if ticks { th scope="col" { "Tick" } } th scope="col" { "Serial number" } th scope="col" { "Key" } th scope="col" { "Asked" } th scope="col" { "Token" } th scope="col" { "Agent" } th scope="col" { "The MDM" } th scope="col" { "Remarks" } } }
            tbody {
                @for (device, asked) in waiting {
                    tr {
                        // The key goes with it: should another one ask meanwhile, it is not the one that was looked at.
                        @if ticks { td { input type="checkbox" name="serials" value={ (device.serial) "/" (asked.key.as_str()) } aria-label={ (device.serial) " with key " (asked.key.fingerprint()) }; } }
                        th scope="row" { (link(device)) }
                        td { code { (asked.key.fingerprint()) } }
                        td { (ago(asked.at, now)) " ago" }
                        td { @if let Some(token) = &asked.token { (token) } @else { "–" } }
                        td { (words::clip(&asked.agent, 40)) }
                        td { (vouches.text(&device.serial)) }
                        td .text { (beside(device)) }
                    }
                }
            }
        } }
    }
}

fn filter(which: Option<Which>) -> Markup {
    html! {
        form method="get" action="/agents" .filter role="search" {
            span {
                label for="state" { "State" }
                select id="state" name="state" {
                    option value="" { "any" }
                    @for one in Which::all() { option value=(one.word()) selected[which == Some(one)] { (one.word()) } }
                }
            }
            button { "Show" }
        }
    }
}

fn table(page: &Page, which: Option<Which>, now: Time) -> Markup {
    html! {
        @if page.devices.is_empty() { p { "None: an agent appears here when it asks for a credential, with a token of " code { "emote agents token create" } "." } }
        @else {
            div .wide { table {
                caption .quiet { "Agents by serial number" }
                thead { tr { th scope="col" { "Serial number" } th scope="col" { "State" } th scope="col" { "Key" } th scope="col" { "Ends in" } th scope="col" { "Agent" } th scope="col" { "Remarks" } } }
                tbody { @for device in &page.devices { (row(device, now)) } }
            } }
        }
        @if let Some(last) = page.devices.last().filter(|_| page.more) {
            p { a href={ "/agents?state=" (which.map(Which::word).unwrap_or_default()) "&after=" (encoded(last.serial.as_str())) } { "More" } }
        }
    }
}

fn row(device: &DeviceRecord, now: Time) -> Markup {
    let key = device.key.as_ref();
    html! {
        tr {
            th scope="row" { (link(device)) }
            td { (device.state.word()) }
            td { @if let Some(key) = key { code { (key.key.fingerprint()) } } @else { "–" } }
            td { @if let Some(key) = key.filter(|_| device.state == State::Enrolled) { (ends(key.expires, now)) } @else { "–" } }
            td { (key.map(|key| words::clip(&key.agent, 40)).unwrap_or_default()) }
            td .text { (remarks(device, now)) }
        }
    }
}

fn link(device: &DeviceRecord) -> Markup {
    html! { a href={ "/agents/" (encoded(device.serial.as_str())) } { (device.serial) } }
}
