//! Pages: plain HTML that is whole without scripts. Whatever comes from outside goes through `maud`, which escapes it.

pub(super) mod agent;
pub(super) mod agents;
pub(super) mod dead;
pub(super) mod events;
pub(super) mod held;
pub(super) mod login;
pub(super) mod node;
pub(super) mod nodes;
pub(super) mod overview;

use emote_proto::Time;
use maud::{DOCTYPE, Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{answer::Refusal, role::Role, visit::Call};
use crate::console::view::words;

/// The only other thing that pages load.
pub(super) const CSS: &str = include_str!("console.css");

/// The pages, as they stand at the top of each.
const MENU: [(&str, &str); 6] = [
    ("/", "Overview"),
    ("/nodes", "Nodes"),
    (AGENTS, "Agents"),
    ("/events", "Events"),
    ("/held", "Held jobs"),
    ("/dead", "Dead letters"),
];
/// Only where the broker gives out credentials.
const AGENTS: &str = "/agents";

/// A page of somebody who is signed in. `at` is which of the menu it belongs to.
fn page(call: &Call, at: &str, title: &str, main: &Markup) -> Markup {
    let agents = call.visit.registry().is_ok();
    let menu = html! {
        nav aria-label="Pages" {
            ul {
                @for (path, name) in MENU.into_iter().filter(|(path, _)| agents || *path != AGENTS) {
                    li { a href=(path) aria-current=[(path == at).then_some("page")] { (name) } }
                }
            }
        }
        (signed_in(call))
    };
    document(title, &menu, main)
}

fn signed_in(call: &Call) -> Markup {
    html! {
        div .who {
            span { (call.who.person.shown()) " · " (call.who.role) }
            @if call.who.session.is_some() {
                form method="post" action="/logout" { (word(call)) button { "Sign out" } }
                form method="post" action="/logout/everywhere" { (word(call)) button { "Sign out everywhere" } }
            }
        }
    }
}

/// The hidden field that says that a form is of this session.
fn word(call: &Call) -> Markup {
    let word = call.who.session.as_ref().map(super::session::SessionId::form_word);
    html! { @if let Some(word) = word { input type="hidden" name="csrf" value=(word); } }
}

fn document(title: &str, top: &Markup, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Emote" }
                link rel="stylesheet" href="/static/console.css";
            }
            body {
                a .skip href="#main" { "To the content" }
                header { a .name href="/" { "Emote" } (top) }
                main id="main" tabindex="-1" { h1 { (title) } (main) }
            }
        }
    }
}

/// What speaks against it, for people.
pub(super) fn refusal(refusal: &Refusal) -> Markup {
    let main = html! {
        p role="alert" .trouble { (capital(&refusal.error)) "." }
        p { (refusal.remedy) }
        p { a href="/" { "To the overview" } }
    };
    document("This did not work", &html! {}, &main)
}

/// What was done.
pub(super) fn done(call: &Call, text: &str, back: &'static str) -> Markup {
    let main = html! { p role="status" .fine { (text) } p { a href=(back) { "Back" } } };
    page(call, back, "Done", &main)
}

/// The field for a reason. `id` tells it from others on the page.
fn reason(id: &str) -> Markup {
    html! {
        label for=(id) { "Reason, for the log" }
        input type="text" id=(id) name="reason" required maxlength="500" autocomplete="off";
    }
}

/// Whether a form for those of this role is shown.
fn may(call: &Call, least: Role) -> bool {
    call.who.role >= least
}

/// How long ago, with the time itself for those who want to know it.
fn ago(then: Time, now: Time) -> Markup {
    html! { time datetime=(then.to_string()) title=(then.to_string()) { (words::ago(then, now)) } }
}

fn node_link(key: &str) -> Markup {
    html! { a href={ "/nodes/" (encoded(key)) } { (key) } }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
