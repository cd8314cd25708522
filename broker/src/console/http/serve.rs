//! Requests to their routes, and what every answer carries.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::Response,
    routing::{MethodFilter, on},
};

use super::{
    Console, actions,
    answer::{Kind, Refusal},
    enter,
    routes::{self, Route, Run},
    visit::{Call, Visit},
};

/// On every answer. No script runs, nothing is loaded from elsewhere, nobody frames it, nobody keeps it.
const HEADERS: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // With no-referrer browsers would send our own forms with `Origin: null` (Fetch, 3.1).
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
];
const HSTS: &str = "max-age=31536000";

/// All routes, behind what every request goes through.
pub(super) fn router(console: Arc<Console>) -> Router {
    let mut router = Router::new();
    for (path, route) in routes::all() {
        let filter = if route.method == "GET" { MethodFilter::GET } else { MethodFilter::POST };
        let console = Arc::clone(&console);
        let handler = move |request: Request| answer(Arc::clone(&console), route, request);
        router = router.route(&path, on(filter, handler));
    }
    let nothing = async |request: Request| Refusal::nothing_here().into_response(kind_of(request.uri().path()));
    let other = async |request: Request| {
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this is not done so", "GET reads, POST does.");
        refusal.into_response(kind_of(request.uri().path()))
    };
    router
        .fallback(nothing)
        .method_not_allowed_fallback(other)
        .layer(middleware::from_fn(move |request, next| guarded(Arc::clone(&console), request, next)))
}

fn kind_of(path: &str) -> Kind {
    if path.starts_with("/api/") { Kind::Api } else { Kind::Page }
}

/// Refuses what is not for us or too much, and puts the headers on whatever is answered.
async fn guarded(console: Arc<Console>, request: Request, next: Next) -> Result<Response, Infallible> {
    let kind = kind_of(request.uri().path());
    let mut response = match (console.names.host(request.uri(), request.headers()), console.requests.try_acquire()) {
        (None, _) => {
            let remedy = "Use the address that emote.yaml says (console: url), or this machine's own.";
            Refusal::new(StatusCode::MISDIRECTED_REQUEST, "this is not called so", remedy).into_response(kind)
        }
        (Some(_), Err(_)) => {
            let remedy = "Try again in a moment.";
            let mut refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too much at once", remedy);
            refusal.retry_after = Some(1);
            refusal.into_response(kind)
        }
        (Some(_), Ok(_permit)) => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if console.jar.secure {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    Ok(response)
}

async fn answer(console: Arc<Console>, route: Route, request: Request) -> Response {
    let kind = route.kind;
    let path = request.uri().path_and_query().map(|all| all.as_str().to_owned()).unwrap_or_default();
    match run(console, route, request).await {
        Ok(answer) => answer.into_response(),
        // A person is shown the way in, and back to what they wanted to see.
        Err(refusal) if refusal.status == StatusCode::UNAUTHORIZED && kind == Kind::Page && route.method == "GET" => {
            enter::to_login(&path).into_response()
        }
        Err(refusal) => refusal.into_response(kind),
    }
}

async fn run(console: Arc<Console>, route: Route, request: Request) -> Result<super::answer::Answer, Refusal> {
    let visit = Visit::of(console, route.kind, request).await?;
    match route.run {
        Run::Open(run) => run(visit).await,
        Run::For(least, run) => run(call(visit, least).await?).await,
        Run::Act(least, action) => actions::act(call(visit, least).await?, action).await,
    }
}

/// Who it is, whether they may, and whether they mean it.
async fn call(mut visit: Visit, least: super::Role) -> Result<Call, Refusal> {
    let who = enter::who(&visit).await?;
    if who.role < least {
        let error = format!("this is for {least}s; you are {}", who.role);
        return Err(Refusal::new(StatusCode::FORBIDDEN, error, "Ask an admin for the role."));
    }
    let reads = visit.only_reads();
    if !reads && who.session.is_some() && enter::is_from_us(&visit) != Some(true) {
        return Err(Refusal::foreign());
    }
    let fields = visit.fields().await?;
    if !reads && !enter::has_form_word(&visit, &who, &fields) {
        return Err(Refusal::foreign());
    }
    Ok(Call { visit, who, fields })
}
