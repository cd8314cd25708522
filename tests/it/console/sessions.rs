//! Signing in with the local token, and how long that is good.

use std::os::unix::fs::PermissionsExt as _;

use emote_tests::{Browser, Stack, planted, private_file, until};
use sha2::{Digest, Sha256};

use super::{signed_in, token, told, url};

#[tokio::test]
async fn the_local_token_opens_it_and_is_told_nowhere() {
    let stack = Stack::new().start().await;
    let file = stack.config.join("data/console-token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let browser = Browser::at(&url(&stack));
    let answered = browser.get("/nodes?after=C02").await;
    assert_eq!((answered.status, answered.header("location")), (303, "/login?next=%2Fnodes%3Fafter%3DC02".to_owned()));
    let login = browser.get("/login?next=%2Fnodes%3Fafter%3DC02").await;
    assert!(login.body.contains(r#"value="/nodes?after=C02""#), "{}", login.body);
    let token = token(&stack);
    assert_eq!(token.len(), 43);
    let answered = browser.post("/login", &[("token", &token), ("next", "/nodes?after=C02")]).await;
    assert_eq!((answered.status, answered.header("location")), (303, "/nodes?after=C02".to_owned()));
    let cookie = answered.header("set-cookie");
    assert!(cookie.starts_with("emote=") && cookie.ends_with("; HttpOnly; SameSite=Lax"), "{cookie}");
    assert_eq!(browser.get("/").await.status, 200);
    let me = browser.get("/api/v1/me").await.json();
    assert_eq!((me["who"].as_str(), me["role"].as_str()), (Some("local token"), Some("admin")));

    let program = Browser::at(&url(&stack));
    let request = program.request(reqwest::Method::GET, "/api/v1/me").bearer_auth(&token);
    let me = program.send(request).await.json();
    assert_eq!((me["who"].as_str(), me["csrf"].as_str()), (Some("local token"), None));
    for wrong in ["", "x", &token[1..], &token.to_lowercase()] {
        let request = program.request(reqwest::Method::GET, "/api/v1/me").bearer_auth(wrong);
        assert_eq!(program.send(request).await.status, 401, "{wrong}");
    }

    let signed_in = told(&stack, "signed_in").await;
    assert_eq!(signed_in.len(), 1);
    assert_eq!(signed_in[0]["by"], "local token");
    assert!(signed_in[0]["from"].as_str().unwrap().starts_with("127.1."), "{signed_in:?}");
    let logged = stack.logged();
    assert!(logged.contains("data/console-token"), "{logged}");
    let id = &browser.cookies()["emote"];
    for event in stack.streams.events().await {
        let text = String::from_utf8_lossy(&event.payload).into_owned();
        assert!(!text.contains(&token) && !text.contains(id), "{text}");
    }
    assert!(!logged.contains(&token) && !logged.contains(id));
}

#[tokio::test]
async fn a_sign_in_gives_a_new_session_and_ends_the_one_before() {
    let stack = Stack::new().start().await;
    let browser = Browser::at(&url(&stack));
    // An id that somebody else put into the browser is nobody's.
    let planted = "A".repeat(43);
    browser.keep("emote", &planted);
    assert_eq!(browser.get("/").await.status, 303);
    browser.post("/login", &[("token", &token(&stack))]).await;
    let first = browser.cookies()["emote"].clone();
    assert_ne!(first, planted);
    browser.post("/login", &[("token", &token(&stack))]).await;
    assert_ne!(browser.cookies()["emote"], first);
    assert_eq!(browser.get("/api/v1/me").await.status, 200);
    for old in [planted, first] {
        let other = browser.beside();
        other.keep("emote", &old);
        assert_eq!(other.get("/api/v1/me").await.status, 401);
    }
}

#[tokio::test]
async fn signing_out_ends_one_session_or_all_of_them() {
    let mut stack = Stack::new().start().await;
    let (one, two, three) = (signed_in(&stack).await, signed_in(&stack).await, signed_in(&stack).await);
    let (id, word) = (one.cookies()["emote"].clone(), one.word().await);
    let out = one.post("/logout", &[("csrf", &word)]).await;
    assert_eq!((out.status, out.header("location")), (303, "/login".to_owned()));
    assert!(one.cookies().is_empty());
    one.keep("emote", &id);
    assert_eq!(one.get("/api/v1/me").await.status, 401, "the id is worth nothing any more");
    assert_eq!(two.get("/api/v1/me").await.status, 200);
    let word = two.word().await;
    assert_eq!(two.post("/logout/everywhere", &[("csrf", &word)]).await.status, 303);
    assert_eq!(three.get("/api/v1/me").await.status, 401);
    let four = signed_in(&stack).await;
    assert_eq!(four.get("/api/v1/me").await.status, 200);
    assert_eq!(told(&stack, "signed_out").await.len(), 2);

    // Sessions are all brokers', and outlive each of them.
    let mut other = stack.other_broker();
    other.start().await;
    let there = Browser::at(&format!("http://127.0.0.1:{}", other.console));
    there.keep("emote", &four.cookies()["emote"]);
    assert_eq!(there.get("/api/v1/me").await.status, 200);
    stack.broker.stop().await;
    stack.broker.start().await;
    assert_eq!(four.get("/api/v1/me").await.status, 200);
    let word = there.word().await;
    there.post("/logout", &[("csrf", &word)]).await;
    assert_eq!(four.get("/api/v1/me").await.status, 401);
    other.kill();
}

#[tokio::test]
async fn a_session_ends_when_it_is_old_or_was_not_used() {
    let stack = Stack::new().start().await;
    let bucket = stack.streams.js.get_key_value("emote-sessions").await.unwrap();
    let ago = |hours: i64| (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours)).to_string();
    for (field, hours, good) in [("began", 11, true), ("began", 12, false), ("seen", 0, true), ("seen", 1, false)] {
        let browser = signed_in(&stack).await;
        let id = data_encoding::BASE64URL_NOPAD.decode(browser.cookies()["emote"].as_bytes()).unwrap();
        let key = format!("session.{}", data_encoding::HEXLOWER.encode(&Sha256::digest(&id)));
        let mut session: serde_json::Value =
            serde_json::from_slice(&bucket.get(&key).await.unwrap().expect("it is kept under its hash")).unwrap();
        session[field] = ago(hours).into();
        bucket.put(&key, session.to_string().into()).await.unwrap();
        let status = browser.get("/api/v1/me").await.status;
        assert_eq!(status, if good { 200 } else { 401 }, "{field} {hours} hours ago");
    }
}

#[tokio::test]
async fn under_tls_cookies_are_for_tls_alone() {
    let own = rcgen::generate_simple_self_signed(["emote.example.com".to_owned()]).unwrap();
    let tls = "  certificate: secrets/c.pem\n  key: secrets/k.pem\n  url: https://emote.example.com\n";
    let mut stack = Stack::new().lines("emote.yaml", tls).without_broker().start().await;
    private_file(&stack.config.join("secrets/c.pem"), &own.cert.pem());
    private_file(&stack.config.join("secrets/k.pem"), &own.signing_key.serialize_pem());
    stack.broker.start().await;
    let browser = Browser::at(&format!("https://127.0.0.1:{}", stack.broker.console));
    let answered = browser.post("/login", &[("token", &token(&stack))]).await;
    let cookie = answered.header("set-cookie");
    assert!(cookie.starts_with("__Host-emote=") && cookie.contains("; Path=/;"), "{cookie}");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Lax; Secure") && !cookie.contains("Domain"), "{cookie}");
    assert_eq!(answered.header("strict-transport-security"), "max-age=31536000");
    assert_eq!(browser.get("/api/v1/me").await.status, 200);
    let word = browser.word().await;
    let from = async |origin: &str| {
        let request = browser.form("/held/deny", &[("rule", "none"), ("reason", "a test"), ("csrf", &word)]);
        browser.send(request.header("origin", origin)).await.status
    };
    assert_eq!(from("https://emote.example.com").await, 404);
    assert_eq!(from(&browser.url.replace("https", "http")).await, 403, "the same place without TLS is another");
}

#[tokio::test]
async fn behind_a_proxy_tries_are_counted_by_who_is_behind_it() {
    let stack = Stack::new().lines("emote.yaml", "  trusted_proxies: [127.1.0.0/16]\n").start().await;
    let (proxy, token) = (Browser::at(&url(&stack)), token(&stack));
    let sign_in = async |from: &str, token: &str| {
        let request = proxy.form("/login", &[("token", token)]).header("x-forwarded-for", from);
        proxy.send(request.header("origin", &proxy.url)).await.status
    };
    for n in 0..12 {
        // What the guesser writes in front changes nothing.
        let status = sign_in(&format!("198.51.100.{n}, 192.0.2.1"), "wrong").await;
        assert_eq!(status, if n < 10 { 401 } else { 429 }, "{n}");
    }
    assert_eq!(sign_in("192.0.2.2", "wrong").await, 401, "others are not held up");
    assert_eq!(sign_in("192.0.2.2", &token).await, 303);
    assert_eq!(sign_in("nobody", &token).await, 400);
    assert_eq!(told(&stack, "signed_in").await[0]["from"], "192.0.2.2");
}

#[tokio::test]
async fn deleting_the_token_makes_another_and_closes_what_it_opened() {
    let stack = Stack::new().start().await;
    let file = stack.config.join("data/console-token");
    let browser = signed_in(&stack).await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(browser.get("/api/v1/me").await.status, 401, "also where nobody has tried to sign in since");
    assert!(file.exists());

    let browser = signed_in(&stack).await;
    let before = token(&stack);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(browser.beside().post("/login", &[("token", &before)]).await.status, 401);
    assert_ne!(token(&stack), before);
    assert_eq!(browser.get("/api/v1/me").await.status, 401);
    assert_eq!(signed_in(&stack).await.get("/api/v1/me").await.status, 200);
}

#[tokio::test]
async fn guessing_is_slowed_down_and_does_not_fill_the_log() {
    let stack = Stack::new().start().await;
    let (guesser, other) = (Browser::at(&url(&stack)), Browser::at(&url(&stack)));
    let mut answers = Vec::new();
    for n in 0..40 {
        answers.push(guesser.post("/login", &[("token", &planted(&format!("guess-{n}")))]).await);
    }
    let (failed, late): (Vec<_>, Vec<_>) = answers.iter().partition(|answered| answered.status == 401);
    assert!((10..=12).contains(&failed.len()), "{}", failed.len());
    assert!(failed.iter().all(|one| one.body == failed[0].body), "every failure is answered alike");
    assert!(late.iter().all(|one| one.status == 429 && !one.header("retry-after").is_empty()));
    // Who has the right one is let in all the same: a script with an old token must not shut out the one beside it.
    assert_eq!(guesser.beside().post("/login", &[("token", &token(&stack))]).await.status, 303);
    let bearer = async |token: &str| {
        let request = guesser.request(reqwest::Method::GET, "/api/v1/me").bearer_auth(token);
        guesser.send(request).await.status
    };
    assert_eq!((bearer(&token(&stack)).await, bearer(&planted("guess")).await), (200, 429), "and guesses are not");
    assert_eq!(other.post("/login", &[("token", &token(&stack))]).await.status, 303, "others are not held up");
    until("failures are told", async || told(&stack, "sign_in_failed").await.len() == failed.len()).await;

    // From many addresses: all together are slowed down, and the log is told of few.
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let guesser = Browser::at(&url(&stack));
        for _ in 0..10 {
            statuses.push(guesser.post("/login", &[("token", &planted("guess"))]).await.status);
        }
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    let told = told(&stack, "sign_in_failed").await;
    assert!((20..=24).contains(&told.len()), "{}", told.len());
    assert!(!told.iter().any(|info| info.to_string().contains("guess")), "{told:?}");
}
