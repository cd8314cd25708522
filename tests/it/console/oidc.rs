//! Signing in at a provider, and what may be tried on the way.

use emote_tests::{Browser, Idp, Signed, Stack};
use reqwest::Url;
use serde_json::{Value, json};

use super::{ada, told, url, with_oidc};

#[tokio::test]
async fn a_provider_lets_people_in_whichever_way_it_signs() {
    for signed in [Signed::Rs256, Signed::Es256] {
        let idp = Idp::signing(signed).await;
        let stack = with_oidc(&idp, Stack::new()).await;
        let browser = Browser::at(&url(&stack));
        let away = browser.get("/login/oidc?next=/held").await;
        let authorize = Url::parse(&away.header("location")).unwrap();
        let asked: std::collections::BTreeMap<String, String> = authorize.query_pairs().into_owned().collect();
        assert_eq!(asked["redirect_uri"], "http://localhost:8482/login/oidc/callback");
        assert!(["state", "nonce", "code_challenge"].iter().all(|key| asked[*key].len() == 43), "{asked:?}");
        let back = browser.come_back(&idp.lets_in(&authorize, &ada("approvers"))).await;
        assert_eq!((back.status, back.header("location")), (303, "/held".to_owned()), "{back:?} {:?}", idp.refused());
        assert_eq!(browser.cookies().len(), 1, "what was for the way is gone");
        let me = browser.get("/api/v1/me").await.json();
        assert_eq!((me["who"].as_str(), me["role"].as_str()), (Some("ada@example.com (oidc)"), Some("approver")));
        let told = told(&stack, "signed_in").await;
        assert_eq!(
            (&told[0]["by"], &told[0]["how"], &told[0]["role"]),
            (&json!("ada@example.com (oidc)"), &json!("oidc"), &json!("approver"))
        );
        assert_eq!(told[0]["subject"], format!("{} ada-1", idp.issuer));
        // What is secret on the way is told nowhere; what the provider gave is looked for at the end of every test.
        let events: Vec<String> = stack
            .streams
            .events()
            .await
            .iter()
            .map(|event| String::from_utf8_lossy(&event.payload).into_owned())
            .collect();
        for secret in [&asked["state"], &asked["nonce"], &browser.cookies()["emote"]] {
            assert!(!stack.logged().contains(secret) && !events.iter().any(|event| event.contains(secret)), "{secret}");
        }
    }
}

/// What is changed in a token that is right otherwise.
type Twist = fn(&mut Value);

#[tokio::test]
async fn a_token_that_is_not_right_in_every_way_opens_nothing() {
    let idp = Idp::start().await;
    let stack = with_oidc(&idp, Stack::new()).await;
    let twists: &[(&str, Twist)] = &[
        ("another issuer", |claims| claims["iss"] = json!("https://evil.example.com")),
        ("almost the issuer", |claims| claims["iss"] = json!(format!("{}/", claims["iss"].as_str().unwrap()))),
        ("no issuer", |claims| drop(claims.as_object_mut().unwrap().remove("iss"))),
        ("another audience", |claims| claims["aud"] = json!("other")),
        ("no audience", |claims| drop(claims.as_object_mut().unwrap().remove("aud"))),
        ("several, for another", |claims| claims["aud"] = json!(["emote", "other"])),
        ("another party", |claims| claims["azp"] = json!("other")),
        ("another nonce", |claims| claims["nonce"] = json!("x")),
        ("no nonce", |claims| drop(claims.as_object_mut().unwrap().remove("nonce"))),
        ("over", |claims| claims["exp"] = json!(jiff::Timestamp::now().as_second() - 120)),
        ("without an end", |claims| drop(claims.as_object_mut().unwrap().remove("exp"))),
        ("old", |claims| claims["iat"] = json!(jiff::Timestamp::now().as_second() - 3600)),
        ("to come", |claims| claims["nbf"] = json!(jiff::Timestamp::now().as_second() + 3600)),
        ("nobody's", |claims| drop(claims.as_object_mut().unwrap().remove("sub"))),
    ];
    for (what, twist) in twists {
        idp.twist(*twist);
        refused(&stack, &idp, what).await;
    }
    idp.twist(|_| {});
    for signed in [Signed::None, Signed::Hs256, Signed::Spoiled] {
        idp.sign(signed);
        refused(&stack, &idp, &format!("{signed:?}")).await;
    }
    idp.sign(Signed::Rs256);
    let browser = Browser::at(&url(&stack));
    assert_eq!(browser.sign_in_at(&idp, &ada("viewers")).await.status, 303, "and else it is right");
    // Keys that are not published are nobody's.
    idp.rotate(false);
    refused(&stack, &idp, "an unknown key").await;
    assert_eq!(told(&stack, "signed_in").await.len(), 1);
}

async fn refused(stack: &Stack, idp: &Idp, what: &str) {
    let browser = Browser::at(&url(stack));
    let back = browser.sign_in_at(idp, &ada("admins")).await;
    assert_eq!(back.status, 401, "{what}: {back:?}");
    assert!(back.body.contains("The sign-in did not work"), "{what}: {back:?}");
    assert!(browser.cookies().is_empty(), "{what}");
    assert_eq!(browser.get("/api/v1/me").await.status, 401, "{what}");
}

#[tokio::test]
async fn keys_that_a_provider_changes_are_fetched_again() {
    let idp = Idp::start().await;
    // The first sign-in is with the second key: what was published before was never fetched.
    let stack = with_oidc(&idp, Stack::new()).await;
    idp.rotate(true);
    let browser = Browser::at(&url(&stack));
    assert_eq!(browser.sign_in_at(&idp, &ada("viewers")).await.status, 303);
}

#[tokio::test]
async fn a_sign_in_is_taken_up_once_and_by_the_browser_that_began_it() {
    let idp = Idp::start().await;
    let stack = with_oidc(&idp, Stack::new()).await;
    let begin = async |browser: &Browser| {
        let away = browser.get("/login/oidc").await;
        idp.lets_in(&Url::parse(&away.header("location")).unwrap(), &ada("admins"))
    };
    let with = |query: &[(String, String)], key: &str, value: Option<&str>| {
        let mut query: Vec<(String, String)> = query.iter().filter(|(name, _)| name != key).cloned().collect();
        query.extend(value.map(|value| (key.to_owned(), value.to_owned())));
        query
    };
    // State and code.
    for (key, value) in [
        ("state", None),
        ("state", Some("x")),
        ("state", Some("")),
        ("code", None),
        ("code", Some("another")),
        ("error", Some("access_denied")),
        ("iss", Some("https://evil.example.com")),
    ] {
        let browser = Browser::at(&url(&stack));
        let query = begin(&browser).await;
        let back = browser.come_back(&with(&query, key, value)).await;
        assert_eq!(back.status, 401, "{key} {value:?}: {back:?}");
        assert_eq!(browser.get("/api/v1/me").await.status, 401);
    }
    // Another browser's: whoever is sent a link of somebody else's sign-in is not signed in as them.
    let (one, other) = (Browser::at(&url(&stack)), Browser::at(&url(&stack)));
    let query = begin(&one).await;
    assert_eq!(other.come_back(&query).await.status, 401, "it never began one");
    begin(&other).await;
    assert_eq!(other.come_back(&query).await.status, 401, "it began another one");
    assert_eq!(one.come_back(&query).await.status, 303, "which takes nothing from the one who did");
    // Once.
    let session = one.cookies()["emote"].clone();
    let again = one.beside();
    again.keep("emote-login", "x");
    assert_eq!(again.come_back(&query).await.status, 401);
    assert_eq!(one.come_back(&query).await.status, 401);
    assert_eq!(one.cookies()["emote"], session);
    // A code with another one's verifier: the provider sees that it is not who asked.
    let (mine, theirs) = (Browser::at(&url(&stack)), Browser::at(&url(&stack)));
    let (own, foreign) = (begin(&mine).await, begin(&theirs).await);
    let code = foreign.iter().find(|(key, _)| key == "code").unwrap().1.clone();
    assert_eq!(mine.come_back(&with(&own, "code", Some(&code))).await.status, 401);
    assert_eq!(idp.refused(), Some("wrong verifier"));
    // The session that somebody planted before is not the one that they get.
    let fixed = Browser::at(&url(&stack));
    fixed.keep("emote", &session);
    fixed.sign_in_at(&idp, &ada("viewers")).await;
    assert_ne!(fixed.cookies()["emote"], session);
}

#[tokio::test]
async fn a_provider_that_is_not_itself_or_away_is_not_asked_for_anybody() {
    for (what, change) in [
        ("another issuer", (|document| document["issuer"] = json!("https://evil.example.com")) as Twist),
        ("no PKCE", |document| document["code_challenge_methods_supported"] = json!(["plain"])),
        ("keys in the clear", |document| document["jwks_uri"] = json!("http://evil.example.com/keys")),
        ("codes in the clear", |document| document["token_endpoint"] = json!("http://evil.example.com/token")),
        ("a page that is a script", |document| document["authorization_endpoint"] = json!("javascript:alert(1)")),
        ("nothing", |document| *document = Value::Null),
    ] {
        let idp = Idp::start().await;
        idp.document(change);
        let stack = with_oidc(&idp, Stack::new()).await;
        let browser = Browser::at(&url(&stack));
        let answered = browser.get("/login/oidc").await;
        assert_eq!(answered.status, 502, "{what}: {answered:?}");
        assert!(answered.body.contains("cannot be used now"), "{what}: {answered:?}");
        assert!(browser.cookies().is_empty());
    }
}

#[tokio::test]
async fn a_provider_that_says_who_answers_must_say_so() {
    let idp = Idp::start().await;
    idp.document(|document| document["authorization_response_iss_parameter_supported"] = json!(true));
    let stack = with_oidc(&idp, Stack::new()).await;
    for (issuer, status) in
        [(None, 401), (Some("https://evil.example.com".to_owned()), 401), (Some(idp.issuer.clone()), 303)]
    {
        let browser = Browser::at(&url(&stack));
        let away = browser.get("/login/oidc").await;
        let mut query = idp.lets_in(&Url::parse(&away.header("location")).unwrap(), &ada("admins"));
        query.extend(issuer.map(|issuer| ("iss".to_owned(), issuer)));
        assert_eq!(browser.come_back(&query).await.status, status);
    }
}
