//! What there is, and who may have it: one line a page, one a question, one an action. An action is there twice: as
//! `POST /api/v1/NAME` for programs and as `POST /NAME` for the forms of pages.

use futures_util::future::BoxFuture;

use super::{
    actions,
    answer::{Answer, Kind, Refusal},
    api, login, pages,
    role::Role,
    visit::{Call, Visit},
};

type Outcome = Result<Answer, Refusal>;

/// What answers.
#[derive(Clone, Copy)]
pub(super) enum Run {
    /// Anybody.
    Open(fn(Visit) -> BoxFuture<'static, Outcome>),
    /// Those who have this role or a higher one.
    For(Role, fn(Call) -> BoxFuture<'static, Outcome>),
    /// The same, with an action of this name.
    Act(Role, &'static actions::Action),
}

/// A way in.
#[derive(Clone, Copy)]
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    pub(super) run: Run,
}

/// A route as it is to those who look at the table: what it is called, and who may use it (`None`: anybody).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Such as `/api/v1/nodes/{key}`.
    pub path: String,
    /// The least role.
    pub least: Option<Role>,
}

macro_rules! ways {
    ($($method:literal $path:literal $kind:ident $run:expr;)*) => {
        &[$(Route { method: $method, path: $path, kind: Kind::$kind, run: $run },)*]
    };
}

#[rustfmt::skip]
const ROUTES: &[Route] = ways! {
    "GET"  "/login"                  Page Run::Open(|visit| Box::pin(login::page(visit)));
    "POST" "/login"                  Page Run::Open(|visit| Box::pin(login::with_token(visit)));
    "GET"  "/login/oidc"             Page Run::Open(|visit| Box::pin(login::begin(visit)));
    "GET"  "/login/oidc/callback"    Page Run::Open(|visit| Box::pin(login::back(visit)));
    "GET"  "/static/console.css"     Page Run::Open(|_| Box::pin(async { Ok(Answer::Css(pages::CSS)) }));
    "POST" "/logout"                 Page Run::For(Role::Viewer, |call| Box::pin(login::out(call)));
    "POST" "/logout/everywhere"      Page Run::For(Role::Viewer, |call| Box::pin(login::out_everywhere(call)));

    "GET"  "/"                       Page Run::For(Role::Viewer, |call| Box::pin(pages::overview::show(call)));
    "GET"  "/nodes"                  Page Run::For(Role::Viewer, |call| Box::pin(pages::nodes::list(call)));
    "GET"  "/nodes/{key}"            Page Run::For(Role::Viewer, |call| Box::pin(pages::node::show(call)));
    "GET"  "/events"                 Page Run::For(Role::Viewer, |call| Box::pin(pages::events::show(call)));
    "GET"  "/agents"                 Page Run::For(Role::Viewer, |call| Box::pin(pages::agents::list(call)));
    "GET"  "/agents/{serial}"        Page Run::For(Role::Viewer, |call| Box::pin(pages::agent::show(call)));
    "GET"  "/held"                   Page Run::For(Role::Viewer, |call| Box::pin(pages::held::show(call)));
    "GET"  "/dead"                   Page Run::For(Role::Viewer, |call| Box::pin(pages::dead::list(call)));
    "GET"  "/dead/{letter}"          Page Run::For(Role::Viewer, |call| Box::pin(pages::dead::show(call)));

    "GET"  "/api/v1/me"              Api  Run::For(Role::Viewer, |call| Box::pin(api::me(call)));
    "GET"  "/api/v1/brokers"         Api  Run::For(Role::Viewer, |call| Box::pin(api::brokers(call)));
    "GET"  "/api/v1/nodes"           Api  Run::For(Role::Viewer, |call| Box::pin(api::nodes(call)));
    "GET"  "/api/v1/nodes/{key}"     Api  Run::For(Role::Viewer, |call| Box::pin(api::node(call)));
    "GET"  "/api/v1/events"          Api  Run::For(Role::Viewer, |call| Box::pin(api::events(call)));
    "GET"  "/api/v1/rules"           Api  Run::For(Role::Viewer, |call| Box::pin(api::rules(call)));
    "GET"  "/api/v1/sources"         Api  Run::For(Role::Viewer, |call| Box::pin(api::sources(call)));
    "GET"  "/api/v1/targets"         Api  Run::For(Role::Viewer, |call| Box::pin(api::targets(call)));
    "GET"  "/api/v1/agents"          Api  Run::For(Role::Viewer, |call| Box::pin(api::agents::list(call)));
    "GET"  "/api/v1/agents/{serial}" Api  Run::For(Role::Viewer, |call| Box::pin(api::agents::one(call)));
    "GET"  "/api/v1/deploy"          Api  Run::For(Role::Viewer, |call| Box::pin(api::deploy(call)));
    "GET"  "/api/v1/held"            Api  Run::For(Role::Viewer, |call| Box::pin(api::held(call)));
    "GET"  "/api/v1/dead"            Api  Run::For(Role::Viewer, |call| Box::pin(api::dead(call)));
    "GET"  "/api/v1/dead/{letter}"   Api  Run::For(Role::Viewer, |call| Box::pin(api::letter(call)));
    "GET"  "/api/v1/config/history"  Api  Run::For(Role::Viewer, |call| Box::pin(api::history(call)));
    "GET"  "/api/v1/config/current"  Api  Run::For(Role::Viewer, |call| Box::pin(api::current(call)));
};

/// Everything there is: those above, and each action twice.
pub(super) fn all() -> Vec<(String, Route)> {
    let acts = actions::ACTIONS.iter().flat_map(|action| {
        let run = Run::Act(action.least, action);
        let route = |kind| Route { method: "POST", path: action.name, kind, run };
        [(format!("/api/v1/{}", action.name), route(Kind::Api)), (format!("/{}", action.name), route(Kind::Page))]
    });
    ROUTES.iter().map(|route| (route.path.to_owned(), *route)).chain(acts).collect()
}

/// The table, for those who want to look at it.
pub fn table() -> Vec<Listed> {
    let listed = |(path, route): (String, Route)| {
        let least = match route.run {
            Run::Open(_) => None,
            Run::For(least, _) | Run::Act(least, _) => Some(least),
        };
        Listed { method: route.method, path, least }
    };
    all().into_iter().map(listed).collect()
}
