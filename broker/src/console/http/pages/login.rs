//! The page to sign in at.

use maud::{Markup, html};

use super::{document, encoded};
use crate::console::http::{path::LocalPath, session::Person, visit::Visit};

/// The page; `told` is what went wrong before.
pub(in crate::console::http) fn page(visit: &Visit, next: &LocalPath, told: Option<&str>) -> Markup {
    let (token, oidc) = (visit.console.token.is_some(), visit.console.oidc.is_some());
    let main = html! {
        @if let Some(told) = told { p role="alert" .trouble { (told) } }
        @if oidc {
            p { a .button href={ "/login/oidc?next=" (encoded(next.as_str())) } { "Sign in with your organisation" } }
        }
        @if token {
            form method="post" action="/login" .stacked {
                input type="hidden" name="next" value=(next.as_str());
                label for="token" { "Local token" }
                input type="password" id="token" name="token" required autocomplete="off" autofocus[!oidc]
                    aria-describedby="where";
                p #where .note { "It is in the file " code { "console-token" } " of the broker's data folder." }
                button { "Sign in" }
            }
        }
    };
    document("Sign in", &html! {}, &main)
}

/// Somebody is known, and has no role here.
pub(in crate::console::http) fn no_role(person: &Person) -> Markup {
    let main = html! {
        p role="alert" { "You are signed in at your organisation as " strong { (person.name) } ", but none of your groups has a role here." }
        p { "Ask an admin of Emote to give one of them a role (emote.yaml: " code { "console.oidc.roles" } "), then sign in again." }
        p { a href="/login" { "To the sign-in" } }
    };
    document("No role yet", &html! {}, &main)
}
