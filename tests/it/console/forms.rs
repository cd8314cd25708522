//! What other pages, other names and strange requests try.

use emote_tests::{Browser, Stack};
use reqwest::Method;
use serde_json::json;

use super::{signed_in, token, url};

/// An action that the local token may do, and that changes nothing here.
const ACTION: &str = "/api/v1/held/deny";

#[tokio::test]
async fn an_action_needs_the_word_of_its_own_session() {
    let stack = Stack::new().start().await;
    let (browser, other) = (signed_in(&stack).await, signed_in(&stack).await);
    let (word, others) = (browser.word().await, other.word().await);
    assert!(word != others && word.len() == 43);
    let body = json!({"rule": "no-such-rule", "reason": "a test"});
    for (sent, status) in [
        (None, 403),
        (Some(""), 403),
        (Some("wrong"), 403),
        (Some(others.as_str()), 403),
        (Some(browser.cookies()["emote"].as_str()), 403),
        (Some(word.as_str()), 404),
    ] {
        let mut request = browser.request(Method::POST, ACTION).header("origin", &browser.url).json(&body);
        if let Some(sent) = sent {
            request = request.header("x-csrf-token", sent);
        }
        let answered = browser.send(request).await;
        assert_eq!(answered.status, status, "{sent:?}: {answered:?}");
        assert!(answered.json()["remedy"].is_string(), "{answered:?}");
    }
    // Forms of pages carry it in a field.
    let form =
        |word: &str| [("rule", "no-such-rule".to_owned()), ("reason", "a test".to_owned()), ("csrf", word.to_owned())];
    for (word, status) in [("", 403), (others.as_str(), 403), (word.as_str(), 404)] {
        let fields = form(word);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(key, value)| (*key, value.as_str())).collect();
        assert_eq!(browser.post("/held/deny", &fields).await.status, status, "{word}");
    }
    // Signing out is an action too.
    assert_eq!(browser.post("/logout", &[]).await.status, 403);
    assert_eq!(browser.post("/logout/everywhere", &[("csrf", &others)]).await.status, 403);
    assert_eq!(browser.get("/api/v1/me").await.status, 200);
}

#[tokio::test]
async fn an_action_comes_from_a_page_of_ours() {
    let stack = Stack::new().start().await;
    let browser = signed_in(&stack).await;
    let word = browser.word().await;
    let own = browser.url.clone();
    for (headers, status) in [
        (vec![], 403),
        (vec![("origin", own.as_str())], 404),
        (vec![("sec-fetch-site", "same-origin")], 404),
        (vec![("origin", "null")], 403),
        (vec![("origin", "http://127.0.0.1:1")], 403),
        (vec![("origin", "https://evil.example.com")], 403),
        (vec![("origin", own.as_str()), ("sec-fetch-site", "cross-site")], 403),
        (vec![("sec-fetch-site", "same-site")], 403),
    ] {
        let fields = [("rule", "no-such-rule"), ("reason", "a test"), ("csrf", word.as_str())];
        let request = browser.form("/held/deny", &fields);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        assert_eq!(browser.send(request).await.status, status, "{headers:?}");
    }
    // Nor is anybody signed in from another page.
    let fresh = browser.beside();
    let request = fresh.form("/login", &[("token", &token(&stack))]).header("origin", "https://evil.example.com");
    assert_eq!(fresh.send(request).await.status, 403);
    assert!(fresh.cookies().is_empty());
}

#[tokio::test]
async fn foreign_names_are_not_answered() {
    let stack = Stack::new().start().await;
    let browser = signed_in(&stack).await;
    let port = stack.broker.console;
    for (host, status) in [
        (format!("127.0.0.1:{port}"), 200),
        (format!("localhost:{port}"), 200),
        ("localhost".to_owned(), 200),
        (format!("[::1]:{port}"), 200),
        ("evil.example.com".to_owned(), 421),
        (format!("evil.example.com:{port}"), 421),
        (format!("127.0.0.1.evil.example.com:{port}"), 421),
        ("localhost@evil.example.com".to_owned(), 421),
        ("192.168.1.1".to_owned(), 421),
    ] {
        for path in ["/api/v1/me", "/login", "/static/console.css", "/nowhere"] {
            let answered = browser.send(browser.request(Method::GET, path).header("host", &host)).await;
            let expected = if status == 200 && path == "/nowhere" { 404 } else { status };
            assert_eq!(answered.status, expected, "{host} {path}");
        }
    }
}

#[tokio::test]
async fn every_answer_carries_headers_against_misuse() {
    let stack = Stack::new().start().await;
    let browser = signed_in(&stack).await;
    for path in ["/", "/login", "/nodes", "/api/v1/me", "/api/v1/nowhere", "/nowhere", "/static/console.css", "/dead/x"]
    {
        let answered = browser.get(path).await;
        let policy = answered.header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("-inline") && !policy.contains("-eval"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("access-control-allow-origin", ""),
            // There is no TLS here.
            ("strict-transport-security", ""),
        ] {
            assert_eq!(answered.header(name), value, "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn no_path_leads_to_a_file() {
    let stack = Stack::new().start().await;
    let browser = signed_in(&stack).await;
    let own = token(&stack);
    let mut tried = Vec::new();
    let steps =
        ["..", "..%2f", "%2e%2e/", "..%252f", "%252e%252e%252f", "..%5c", "....//", "%00", "..;/", "%c0%ae%c0%ae/"];
    for base in ["/static/", "/nodes/", "/dead/", "/api/v1/nodes/", "/api/v1/dead/", "/"] {
        for step in steps {
            for file in ["data/console-token", "emote.yaml", "etc/passwd"] {
                tried.push(format!("{base}{}{file}", step.repeat(4)));
            }
        }
    }
    for path in tried {
        // As it stands: a client would tidy it up.
        let text = raw(
            &stack,
            &format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: emote={}\r\nConnection: close\r\n\r\n",
                browser.cookies()["emote"]
            ),
        )
        .await;
        let status: u16 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!([400, 404].contains(&status), "{path}: {text}");
        assert!(!text.contains(&own) && !text.contains("root:") && !text.contains("servers:"), "{path}: {text}");
    }
}

/// Sends these bytes, and reads what comes until the end.
async fn raw(stack: &Stack, request: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", stack.broker.console)).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    socket.read_to_end(&mut text).await.unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn nothing_that_is_sent_becomes_a_header_or_leads_away() {
    let stack = Stack::new().start().await;
    for next in [
        "//evil.example.com",
        "https://evil.example.com",
        "/\\evil.example.com",
        "\\\\evil.example.com",
        "/%09/evil.example.com",
        "/nodes\r\nSet-Cookie: planted=1",
        "/nodes\nLocation: https://evil.example.com",
        "javascript:alert(1)",
        "/login",
        "/api/v1/me",
    ] {
        let browser = Browser::at(&url(&stack));
        let page = browser.get(&format!("/login?{}", serde_urlencoded::to_string([("next", next)]).unwrap())).await;
        assert_eq!(page.status, 200);
        assert!(
            !page.body.contains("evil.example.com") || page.body.contains(r#"value="/%09/evil"#),
            "{next}: {}",
            page.body
        );
        let answered = browser.post("/login", &[("token", &token(&stack)), ("next", next)]).await;
        let location = answered.header("location");
        assert_eq!(answered.status, 303);
        assert!(location == "/" || location == "/%09/evil.example.com", "{next:?} leads to {location}");
        assert!(!browser.cookies().contains_key("planted"));
    }
    // A path that is sent on to the login is ours, or left out.
    let text = raw(&stack, "GET //evil.example.com/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 404"), "{text}");
}

#[tokio::test]
async fn bodies_are_bounded_and_of_their_type() {
    let stack = Stack::new().start().await;
    let browser = signed_in(&stack).await;
    let word = browser.word().await;
    let post = |path: &str, kind: &str, body: String| {
        browser
            .request(Method::POST, path)
            .header("origin", &browser.url)
            .header("x-csrf-token", &word)
            .header("content-type", kind)
            .body(body)
    };
    let large = json!({"rule": "x".repeat(70_000), "reason": "r"}).to_string();
    for (request, status) in [
        (post(ACTION, "application/json", large.clone()), 413),
        (post("/held/deny", "application/x-www-form-urlencoded", format!("rule={}", "x".repeat(70_000))), 413),
        (post(ACTION, "text/plain", json!({"rule": "r", "reason": "r"}).to_string()), 415),
        (post(ACTION, "application/x-www-form-urlencoded", "rule=r&reason=r".to_owned()), 415),
        (post("/held/deny", "multipart/form-data; boundary=x", "--x--".to_owned()), 415),
        (post(ACTION, "application/json", "[1]".to_owned()), 400),
        (post(ACTION, "application/json", "{".repeat(5_000)), 400),
        (post(ACTION, "application/json", json!({"rule": "r"}).to_string()), 400),
        (post(ACTION, "application/json", json!({"rule": "*", "reason": "r"}).to_string()), 400),
        (post(ACTION, "application/json", json!({"rule": "r", "reason": "a\r\nb"}).to_string()), 400),
        (post(ACTION, "application/json", json!({"rule": "r", "reason": "r", "by": "somebody"}).to_string()), 400),
    ] {
        let answered = browser.send(request).await;
        assert_eq!(answered.status, status, "{answered:?}");
    }
    // Without a length, too.
    let chunks = format!("{:x}\r\n{}\r\n", 1000, "x".repeat(1000)).repeat(70);
    let head = format!(
        "POST {ACTION} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        token(&stack)
    );
    let text = raw(&stack, &format!("{head}{chunks}0\r\n\r\n")).await;
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
    assert_eq!(browser.send(browser.request(Method::PUT, ACTION)).await.status, 405);
    assert_eq!(browser.send(browser.request(Method::DELETE, "/api/v1/nodes")).await.status, 405);
}
