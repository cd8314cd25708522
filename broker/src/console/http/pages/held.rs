//! Jobs that wait for somebody's word.

use maud::{Markup, html};

use super::{ago, may, node_link, page, reason, word};
use crate::{
    bus::HeldJob,
    console::{
        http::{
            answer::{Answer, Refusal},
            api::MAX_LISTED,
            enter,
            role::Role,
            visit::Call,
        },
        view::words,
    },
};

pub(in crate::console::http) async fn show(call: Call) -> Result<Answer, Refusal> {
    let held = call.visit.bus().all_held(None).await?;
    let some = &held[..held.len().min(MAX_LISTED)];
    let main = html! {
        p { "A destructive target has a budget. What goes beyond it waits here until somebody lets it through, or says that it is never to be done. Either is an event, with who said it and why." }
        @if held.is_empty() { p { "Nothing is held." } }
        @else if may(&call, Role::Approver) { (approving(&call, some)) (denying(&call, some)) }
        @else { (table(some, false)) p .note { "Approvers decide on them." } }
        @if held.len() > some.len() { p { "These are the oldest of " (held.len()) "." } }
    };
    Ok(Answer::Page(page(&call, "/held", "Held jobs", &main)))
}

fn approving(call: &Call, held: &[HeldJob]) -> Markup {
    html! {
        form method="post" action="/held/approve" {
            (word(call))
            (table(held, true))
            div .act { (reason("why-approve")) button { "Approve what is ticked" } }
        }
    }
}

/// A word on everything that is held of a rule.
fn denying(call: &Call, held: &[HeldJob]) -> Markup {
    let mut rules: Vec<&str> = held.iter().map(|held| held.job.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    html! {
        h2 { "Deny" }
        form method="post" action="/held/deny" .act {
            (word(call))
            label for="rule" { "Everything that is held of" }
            select id="rule" name="rule" { @for rule in rules { option value=(rule) { (rule) } } }
            (reason("why-deny"))
            button { "Deny" }
        }
    }
}

fn table(held: &[HeldJob], ticks: bool) -> Markup {
    let now = enter::now();
    html! {
        div .wide { table {
            caption .quiet { "Held jobs, the oldest first" }
            thead { tr { @if ticks { th scope="col" { "Tick" } } th scope="col" { "Held for" } th scope="col" { "Rule" } th scope="col" { "Target" } th scope="col" { "Node" } th scope="col" { "Why" } } }
            tbody {
                @for HeldJob { job, since } in held {
                    @let node = job.node_key();
                    tr {
                        @if ticks {
                            td { input type="checkbox" name="jobs" value=(job.id.as_str())
                                aria-label={ (job.rule) " for " (node.as_deref().unwrap_or("no node")) }; }
                        }
                        td { (ago(*since, now)) }
                        td { (job.rule) }
                        td { (job.target) }
                        td { @if let Some(node) = &node { (node_link(node)) } @else { "–" } }
                        td .text { (words::clip(job.held.as_deref().unwrap_or_default(), 300)) }
                    }
                }
            }
        } }
    }
}
