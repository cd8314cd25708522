//! The latest events, the newest first.

use emote_proto::{Event, Time};
use maud::{Markup, html};

use super::{encoded, page};
use crate::console::{
    http::{
        answer::{Answer, Refusal},
        api::asked_events,
        visit::Call,
    },
    view::{self, words},
};

/// Events that are shown where nothing else is asked for.
const SHOWN: usize = 100;

pub(in crate::console::http) async fn show(call: Call) -> Result<Answer, Refusal> {
    let (filter, last) = asked_events(&call.visit, SHOWN)?;
    let filters = view::events::filters(call.visit.bus(), &filter).await;
    let found = view::events::latest(call.visit.bus(), filters, last).await?;
    let field = |name: &'static str, label: &str| {
        let value = call.visit.query(name).unwrap_or_default();
        html! { span { label for=(name) { (label) } input type="text" id=(name) name=(name) value=(value) autocomplete="off"; } }
    };
    let main = html! {
        form method="get" action="/events" .filter role="search" {
            (field("node", "Node")) (field("source", "Source")) (field("scope", "Scope")) (field("action", "Action"))
            button { "Show" }
        }
        (table(&found))
    };
    Ok(Answer::Page(page(&call, "/events", "Events", &main)))
}

/// Events as rows, the newest first.
pub(super) fn table(events: &[(u64, Event)]) -> Markup {
    html! {
        @if events.is_empty() { p { "No such events." } } @else {
            div .wide { table {
                caption .quiet { "Events, the newest first; times are UTC" }
                thead { tr { th scope="col" { "Entry" } th scope="col" { "Time" } th scope="col" { "Source" } th scope="col" { "Node" } th scope="col" { "What" } th scope="col" { "Details" } } }
                tbody {
                    @for (sequence, event) in events.iter().rev() {
                        tr .trouble[words::is_trouble(event)] {
                            td .number { "#" (sequence) }
                            td { time datetime=(event.time.to_string()) title=(event.time.to_string()) { (to_the_second(event.time)) } }
                            td { (event.source.as_str()) }
                            td { (of(event)) }
                            td { (event.scope.as_str()) "." (event.action.as_str()) }
                            td .text { (words::summary(event)) }
                        }
                    }
                }
            } }
        }
    }
}

/// `2026-01-01 06:41:00`
fn to_the_second(time: Time) -> String {
    time.to_string().get(..19).unwrap_or_default().replacen('T', " ", 1)
}

/// Whom it is about; a device's page is a click away.
fn of(event: &Event) -> Markup {
    let node = words::node(event);
    let device = event.serial().or(event.udid()).is_some();
    html! { @if device { a href={ "/nodes/" (encoded(node)) } { (words::clip(node, 60)) } } @else { (words::clip(node, 60)) } }
}
