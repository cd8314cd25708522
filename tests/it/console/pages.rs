//! The pages: whole without scripts, and what events bring is text on all of them.

use emote::console::http::table;
use emote_tests::{Browser, Idp, Stack, until};
use serde_json::{Value, json};

use super::{ada, url, with_oidc};

/// What would run, or break out of an attribute, where it were not text.
pub(super) const EVIL: [&str; 4] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</pre><svg/onload=alert(1)>",
];

const DANGER: &str = "kind: log\npath: danger.jsonl\ndestructive: true\nguard: {limit: 1}\n";
const LOST: &str = "pattern: {scope: [device], action: [lost]}\ntargets: [danger]\n";

/// Events, held jobs and dead letters that hold all of it.
async fn poison(stack: &Stack) {
    stack.slack.answer(|_| (404, Vec::new(), EVIL.join(" ")));
    for (n, evil) in EVIL.iter().enumerate() {
        let device = json!({"uuid": evil, "name": evil, "model": evil, "os_version": evil});
        for (action, more) in [("enroll", json!({"communicate": true})), ("lost", json!({}))] {
            let mut event = json!({"scope": "device", "action": action, "device": device, "user": {"id": evil, "name": evil},
                "info": {"text": evil, "name": evil, "owner": evil, "list": [evil], (evil.to_string()): n}});
            event.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
            let node = emote_proto::NodeKey::new(*evil).unwrap().to_subject_token();
            stack.streams.publish(&format!("events.manual.{node}.device.{action}"), event.to_string()).await;
        }
    }
}

#[tokio::test]
async fn what_events_bring_is_text_on_every_page() {
    let idp = Idp::start().await;
    let files = Stack::new().file("targets/danger.yaml", DANGER).file("rules/lost.yaml", LOST);
    let stack = with_oidc(&idp, files).await;
    let browser = Browser::at(&url(&stack));
    let mut claims = ada("admins");
    claims["email"] = json!(EVIL[0]);
    assert_eq!(browser.sign_in_at(&idp, &claims).await.status, 303);
    poison(&stack).await;
    until("jobs are held and dead", async || {
        let count = async |path: &str, key: &str| browser.get(path).await.json()[key].as_array().map_or(0, Vec::len);
        count("/api/v1/held", "held").await == 3 && count("/api/v1/dead", "letters").await == 4
    })
    .await;
    let letters = browser.get("/api/v1/dead").await.json();
    let letter = letters["letters"][0]["letter"].to_string();
    let encoded = |text: &str| serde_urlencoded::to_string([("", text)]).unwrap()[1..].replace('+', "%20");
    let mut paths: Vec<String> = table()
        .into_iter()
        .filter(|route| route.method == "GET" && !route.path.starts_with("/api/") && !route.path.contains("oidc"))
        .map(|route| route.path.replace("{letter}", &letter).replace("{serial}", "{key}"))
        .flat_map(|path| match path.contains("{key}") {
            true => EVIL.iter().map(|evil| path.replace("{key}", &encoded(evil))).collect(),
            false => vec![path],
        })
        .collect();
    for evil in EVIL {
        for path in [
            "/events?node=",
            "/events?source=",
            "/nodes?after=",
            "/login?next=",
            "/dead?target=",
            "/nowhere/",
            "/nodes/none-",
            "/dead/",
        ] {
            paths.push(format!("{path}{}", encoded(evil)));
        }
    }
    let mut seen = 0;
    for path in paths {
        let page = browser.get(&path).await;
        assert!([200, 400, 404].contains(&page.status), "{path}: {page:?}");
        assert_only_text(&path, &page.body);
        seen += usize::from(page.body.contains("&lt;script&gt;alert(1)"));
    }
    assert!(seen >= 7, "the text itself is shown: {seen}");
    for path in ["/api/v1/events", "/api/v1/nodes"] {
        assert!(browser.get(path).await.header("content-type").starts_with("application/json"));
    }
}

#[tokio::test]
async fn pages_hold_no_script_and_load_nothing_from_elsewhere() {
    let stack = Stack::new().agent("C02XL0GTJGH5").start().await;
    let browser = super::signed_in(&stack).await;
    until("it is known", async || browser.get("/api/v1/nodes/C02XL0GTJGH5").await.status == 200).await;
    for path in ["/login", "/", "/nodes", "/nodes/C02XL0GTJGH5", "/events", "/held", "/dead", "/nowhere"] {
        let page = browser.get(path).await;
        assert!(page.body.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{path}: {}", page.body);
        for tag in tags(&page.body) {
            let names = outside_quotes(tag);
            assert!(
                !names.starts_with("script") && !names.contains(" on") && !names.contains("style="),
                "{path}: <{tag}>"
            );
            assert!(!tag.contains("javascript:") && !tag.contains("://"), "{path}: <{tag}>");
        }
        for needed in ["<main id=\"main\"", "<h1>", "<title>", "href=\"#main\""] {
            assert!(page.body.contains(needed), "{path}: {needed}");
        }
        let (fields, labels) = (page.body.matches("type=\"text\"").count(), page.body.matches("<label for=").count());
        assert!(labels >= fields, "{path}: every field has a label");
    }
    let css = browser.beside().get("/static/console.css").await;
    assert_eq!((css.status, css.header("content-type").as_str()), (200, "text/css; charset=utf-8"));
    assert!(!css.body.contains("url(") && !css.body.contains("@import"));
    let none: Value = browser.get("/nodes/none").await.json();
    assert!(none.is_null());
}

/// Nothing on the page would run, or break out of an attribute.
pub(super) fn assert_only_text(path: &str, page: &str) {
    for tag in tags(page) {
        let name = tag.split([' ', '/']).find(|word| !word.is_empty()).unwrap_or_default();
        assert!(!["script", "img", "svg", "iframe", "object", "style"].contains(&name), "{path}: <{tag}>");
        let names = outside_quotes(tag);
        assert!(!names.contains('\'') && !names.contains(" on"), "{path}: <{tag}>");
    }
}

/// What stands between `<` and `>`: in texts and values neither stands as it is.
fn tags(page: &str) -> impl Iterator<Item = &str> {
    page.split('<').skip(1).map(|rest| rest.split_once('>').expect("a tag has an end").0)
}

/// A tag without the values of its attributes.
fn outside_quotes(tag: &str) -> String {
    tag.split('"').step_by(2).collect()
}
