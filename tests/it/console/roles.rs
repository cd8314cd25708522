//! Who may do what: each role at each route of the table.

use emote::console::http::{Listed, Role, table};
use emote_tests::{Answered, Browser, Idp, Stack};
use serde_json::{Value, json};

use super::{ada, signed_in, token, told, url, with_oidc};

/// Asks for a route as somebody who means it would.
async fn ask(browser: &Browser, route: &Listed) -> Answered {
    let path = route.path.replace("{key}", "C02").replace("{letter}", "1").replace("{serial}", "C02");
    let word = browser.word().await;
    match (route.method, path.starts_with("/api/")) {
        ("GET", _) => browser.get(&path).await,
        (_, true) => browser.post_json(&path, &json!({"reason": "a test", "none": "such"})).await,
        (_, false) => browser.post(&path, &[("csrf", &word), ("reason", "a test"), ("none", "such")]).await,
    }
}

#[tokio::test]
async fn no_route_is_open_to_less_than_its_least_role() {
    let idp = Idp::start().await;
    let stack = with_oidc(&idp, Stack::new()).await;
    let mut refused = 0;
    for role in [None].into_iter().chain(Role::ALL.map(Some)) {
        let browser = Browser::at(&url(&stack));
        for route in table() {
            if let Some(role) = role
                && browser.get("/api/v1/me").await.status != 200
            {
                let back = browser.sign_in_at(&idp, &ada(&format!("{role}s"))).await;
                assert_eq!((back.status, back.header("location").as_str()), (303, "/"), "{back:?}");
            }
            let answered = ask(&browser, &route).await;
            let shown = format!("{role:?} at {route:?}: {answered:?}");
            match (route.least, role) {
                (None, _) => assert_ne!(answered.status, 403, "{shown}"),
                (Some(least), Some(role)) if role >= least => {
                    assert!(![401, 403].contains(&answered.status), "{shown}");
                }
                (Some(_), Some(_)) => {
                    refused += 1;
                    assert_eq!(answered.status, 403, "{shown}");
                    assert!(answered.body.contains("an admin for the role"), "{shown}");
                }
                (Some(_), None) if route.method == "GET" && !route.path.starts_with("/api/") => {
                    assert_eq!(answered.status, 303, "{shown}");
                    assert!(answered.header("location").starts_with("/login"), "{shown}");
                }
                (Some(_), None) => assert_eq!(answered.status, 401, "{shown}"),
            }
        }
    }
    assert!(refused >= 16, "{refused}");
    let orders = stack.streams.read("EVENTS", "events.admin.>").await;
    let orders: Vec<&str> = orders.iter().map(|event| event.subject.as_str()).collect();
    assert!(orders.is_empty(), "nothing came of any of it: {orders:?}");
}

#[tokio::test]
async fn only_what_signs_people_in_is_open_to_anybody() {
    let open: Vec<String> = table().into_iter().filter(|route| route.least.is_none()).map(|route| route.path).collect();
    assert_eq!(open, ["/login", "/login", "/login/oidc", "/login/oidc/callback", "/static/console.css"]);
    let admin: Vec<String> =
        table().into_iter().filter(|route| route.least == Some(Role::Admin)).map(|route| route.path).collect();
    let actions = ["agents/revoke", "agents/rotate", "config/rollback"];
    let expected = actions.map(|action| [format!("/api/v1/{action}"), format!("/{action}")]).concat();
    assert_eq!(admin, expected);
}

#[tokio::test]
async fn whoever_has_no_role_is_told_kindly_and_does_not_come_in() {
    let idp = Idp::start().await;
    let stack = with_oidc(&idp, Stack::new()).await;
    let browser = Browser::at(&url(&stack));
    for groups in
        [json!(["everybody"]), json!([]), Value::Null, json!({"admins": true}), json!("admins,x"), json!(["Admins"])]
    {
        let mut claims = ada("none");
        claims["groups"] = groups.clone();
        let back = browser.sign_in_at(&idp, &claims).await;
        assert_eq!(back.status, 403, "{groups}");
        assert!(
            back.body.contains("ada@example.com") && back.body.contains("none of your groups has a role"),
            "{back:?}"
        );
        assert!(!browser.cookies().contains_key("emote"));
        assert_eq!(browser.get("/api/v1/me").await.status, 401);
    }
    assert_eq!(told(&stack, "sign_in_failed").await[0]["reason"], "no role: ada@example.com (oidc)");
    assert!(told(&stack, "signed_in").await.is_empty());
}

#[tokio::test]
async fn what_a_role_is_worth_is_what_the_configuration_says_now() {
    let idp = Idp::start().await;
    let mut stack = with_oidc(&idp, Stack::new()).await;
    let (ada_, local) = (Browser::at(&url(&stack)), signed_in(&stack).await);
    ada_.sign_in_at(&idp, &ada("admins")).await;
    assert_eq!(ada_.get("/api/v1/me").await.json()["role"], "admin");
    stack.broker.stop().await;
    let settings = std::fs::read_to_string(stack.config.join("emote.yaml")).unwrap();
    let settings =
        settings.replace("viewer: [viewers]", "viewer: [viewers, admins]").replace("admin: [admins]", "admin: [roots]");
    std::fs::write(stack.config.join("emote.yaml"), format!("{settings}  local_token: false\n")).unwrap();
    stack.broker.start().await;
    assert_eq!(ada_.get("/api/v1/me").await.json()["role"], "viewer");
    // The local token is off: neither it nor what it opened counts any more.
    assert_eq!(local.get("/api/v1/me").await.status, 401);
    assert_eq!(local.beside().post("/login", &[("token", &token(&stack))]).await.status, 401);
    assert!(!local.beside().get("/login").await.body.contains("Local token"));
}
