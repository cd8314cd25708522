//! The first page: brokers, targets, and what waits for somebody.

use maud::{Markup, html};

use super::{ago, page};
use crate::{
    console::{
        http::{
            answer::{Answer, Refusal},
            visit::Call,
        },
        view::{
            sources,
            targets::{View, part, percent},
        },
    },
    identity::Fleet,
};

pub(in crate::console::http) async fn show(call: Call) -> Result<Answer, Refusal> {
    let view = View::ask(call.visit.bus()).await?;
    let sources_view = sources::View::ask(call.visit.bus()).await?;
    let agents = match call.visit.registry() {
        Ok(registry) => Some(Fleet::of(&registry.devices().await?, view.now).waiting),
        Err(_) => None,
    };
    let main = html! {
        @if let Some(note) = view.note() { p role="alert" .trouble { (note) } }
        (waiting(&view, agents))
        (brokers(&view))
        (sources(&sources_view))
        (targets(&view))
    };
    Ok(Answer::Page(page(&call, "/", "Overview", &main)))
}

/// `agents` are those that wait for a credential, where any are given out.
fn waiting(view: &View, agents: Option<u64>) -> Markup {
    let (held, dead) = (view.held.values().sum::<u64>(), view.dead.values().sum::<u64>());
    html! {
        ul .tiles {
            li { a href="/held" { strong { (held) } " held " (if held == 1 { "job" } else { "jobs" }) } }
            li { a href="/dead" { strong { (dead) } " dead " (if dead == 1 { "letter" } else { "letters" }) } }
            @if let Some(agents) = agents { li { a href="/agents" { strong { (agents) } (if agents == 1 { " agent waits" } else { " agents wait" }) } } }
        }
    }
}

fn brokers(view: &View) -> Markup {
    html! {
        div .wide { table {
            caption { "Brokers" }
            thead { tr { th scope="col" { "Broker" } th scope="col" { "Host" } th scope="col" { "Part" } th scope="col" { "Since" } th scope="col" { "Entry" } th scope="col" { "Version" } } }
            tbody {
                @for broker in &view.brokers {
                    tr {
                        th scope="row" { (broker.id) }
                        td { (broker.host) }
                        td { (part(broker.role)) @if let Some(trouble) = &broker.trouble { span .trouble { ": " (trouble) } } }
                        td { (ago(broker.started, view.now)) }
                        td .number { "#" (broker.position) }
                        td { (broker.version) }
                    }
                }
            }
        } }
    }
}

fn sources(view: &sources::View) -> Markup {
    let rows = view.rows();
    html! {
        div .wide { table {
            caption { "Sources" }
            thead { tr { th scope="col" { "Source" } th scope="col" { "Kind" } th scope="col" { "State" } th scope="col" { "Last heard" } th scope="col" { "Events" } th scope="col" { "Refused" } th scope="col" { "Last error" } } }
            tbody {
                @for row in &rows {
                    tr {
                        th scope="row" { (row.name) }
                        td { (row.kind) }
                        td { (row.state) }
                        td { @if let Some(heard) = row.heard { (ago(heard, view.now)) } @else { "–" } }
                        td .number { (row.events) }
                        td .number { (row.refused.values().sum::<u64>()) }
                        td .text { @if let Some((at, error)) = &row.last_error { (ago(*at, view.now)) " ago: " (error) } }
                    }
                }
            }
        } }
        @if rows.is_empty() { p { "There are no sources: put a file into sources/ and apply the folder." } }
    }
}

fn targets(view: &View) -> Markup {
    let rows = view.rows();
    html! {
        div .wide { table {
            caption { "Targets" }
            thead { tr { th scope="col" { "Target" } th scope="col" { "Kind" } th scope="col" { "State" } th scope="col" { "Waiting" } th scope="col" { "Oldest" } th scope="col" { "Attempts" } th scope="col" { "Success" } th scope="col" { "Last error" } } }
            tbody {
                @for row in &rows {
                    tr {
                        th scope="row" { (row.name) }
                        td { (row.kind) }
                        td { (row.state.shown(view.now)) @if let Some(reason) = row.state.reason() { ": " (reason) } }
                        td .number { (row.backlog.jobs) }
                        td { @if let Some(oldest) = row.backlog.oldest { (ago(oldest, view.now)) } @else { "–" } }
                        td .number { (row.attempts) }
                        td .number { (percent(row.succeeded, row.attempts)) }
                        td .text { @if let Some(error) = &row.last_error { (ago(error.at, view.now)) " ago: " (error.reason) } }
                    }
                }
            }
        } }
        @if rows.is_empty() { p { "There are no targets: put a file into targets/ and apply the folder." } }
    }
}
