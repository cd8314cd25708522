//! Jobs that were given up: the list, and one letter.

use maud::{Markup, html};
use serde_json::Value;

use super::{ago, may, node_link, page, reason, word};
use crate::{
    bus::DeadLetter,
    console::{
        http::{
            answer::{Answer, Refusal},
            api::{MAX_LISTED, asked_letters, one_letter},
            enter,
            role::Role,
            visit::Call,
        },
        view::words,
    },
};

/// Characters of an input or event that are shown.
const MAX_SHOWN: usize = 100_000;

pub(in crate::console::http) async fn list(call: Call) -> Result<Answer, Refusal> {
    let letters = asked_letters(&call.visit).await?;
    let some = &letters[..letters.len().min(MAX_LISTED)];
    let acts = may(&call, Role::Operator);
    let main = html! {
        p { "A job is given up when its target says that trying again would not help, or when it was tried often or long enough." }
        @if letters.is_empty() { p { "No dead letters." } }
        @else if acts {
            form method="post" action="/dead/redrive" {
                (word(&call))
                (table(some, true))
                div .act { (reason("why")) button { "Give out again" } button formaction="/dead/drop" .risky { "Throw away" } }
            }
        }
        @else { (table(some, false)) p .note { "Operators give them out again, or throw them away." } }
        @if letters.len() > some.len() { p { "These are the oldest of " (letters.len()) "." } }
    };
    Ok(Answer::Page(page(&call, "/dead", "Dead letters", &main)))
}

fn table(letters: &[DeadLetter], ticks: bool) -> Markup {
    let now = enter::now();
    html! {
        div .wide { table {
            caption .quiet { "Dead letters, the oldest first" }
            thead { tr { @if ticks { th scope="col" { "Tick" } } th scope="col" { "Letter" } th scope="col" { "Age" } th scope="col" { "Target" } th scope="col" { "Rule" } th scope="col" { "Node" } th scope="col" { "Attempts" } th scope="col" { "Reason" } } }
            tbody {
                @for letter in letters {
                    @let body = serde_json::from_slice::<Value>(&letter.payload).unwrap_or_default();
                    @let words = letter.subject.split('.').collect::<Vec<_>>();
                    tr {
                        @if ticks { td { input type="checkbox" name="letters" value=(letter.sequence) aria-label={ "Letter " (letter.sequence) }; } }
                        th scope="row" { a href={ "/dead/" (letter.sequence) } { (letter.sequence) } }
                        td { (ago(letter.stored, now)) }
                        td { (words.get(1).unwrap_or(&"–")) }
                        td { (words.get(2).unwrap_or(&"–")) }
                        td { @if let Some(node) = letter.job().and_then(|job| job.node_key()) { (node_link(&node)) } @else { "–" } }
                        td .number { @if let Some(attempts) = body["attempts"].as_u64() { (attempts) } @else { "–" } }
                        td .text { (words::clip(body["reason"].as_str().unwrap_or("–"), 300)) }
                    }
                }
            }
        } }
    }
}

pub(in crate::console::http) async fn show(call: Call) -> Result<Answer, Refusal> {
    let letter = one_letter(&call.visit).await?;
    let body: Value = serde_json::from_slice(&letter.payload).unwrap_or_default();
    let history = body["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    let main = html! {
        p { strong { (body["reason"].as_str().unwrap_or("No reason is given")) } }
        dl {
            dt { "Job" } dd { code { (letter.id) } }
            dt { "Given up" } dd { (letter.stored.to_string()) }
            dt { "Under" } dd { code { (letter.subject) } }
        }
        (attempts(history))
        @for (key, title) in [("input", "Input"), ("poison", "What could not be dealt with")] {
            @if !body[key].is_null() { h2 { (title) } (json(&body[key])) }
        }
        @if !body["job"]["event"].is_null() { h2 { "Event" } (json(&body["job"]["event"])) }
        @if may(&call, Role::Operator) {
            h2 { "What to do with it" }
            form method="post" action="/dead/redrive" .act {
                (word(&call))
                input type="hidden" name="letters" value=(letter.sequence);
                (reason("why"))
                button { "Give out again" }
                button formaction="/dead/drop" .risky { "Throw away" }
            }
        }
    };
    Ok(Answer::Page(page(&call, "/dead", &format!("Dead letter {}", letter.sequence), &main)))
}

fn attempts(history: &[Value]) -> Markup {
    let text = |attempt: &Value, key: &str| attempt[key].as_str().unwrap_or_default().to_owned();
    html! {
        @if !history.is_empty() {
            div .wide { table {
                caption { "Attempts" }
                thead { tr { th scope="col" { "When" } th scope="col" { "Outcome" } th scope="col" { "Why" } th scope="col" { "Took" } } }
                tbody {
                    @for attempt in history {
                        tr {
                            td { (text(attempt, "at")) }
                            td { (text(attempt, "outcome")) }
                            td { (text(attempt, "reason")) }
                            td .number { @if let Some(took) = attempt["took_ms"].as_u64() { (took) " ms" } }
                        }
                    }
                }
            } }
        }
    }
}

fn json(value: &Value) -> Markup {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    html! { pre tabindex="0" { (text.chars().take(MAX_SHOWN).collect::<String>()) } }
}
