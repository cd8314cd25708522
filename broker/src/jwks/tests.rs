//! Tokens of issuers, right ones and every other kind; and when keys are fetched.

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use super::{
    testing::{Published, Signer},
    *,
};

const NOW: i64 = 1_800_000_000;

fn now() -> Time {
    Time::from_millis(NOW * 1000).unwrap()
}

fn expected() -> Expected {
    Expected::of("https://idp.example.com", "emote")
}

fn claims() -> Value {
    json!({"iss": "https://idp.example.com", "aud": "emote", "exp": NOW + 300, "iat": NOW, "sub": "ada"})
}

/// Keys that were fetched once.
async fn keys(set: &Value) -> (Jwks, Arc<Published>) {
    let published = Arc::new(Published::default());
    published.set(Some(set.to_string()));
    let jwks = Jwks::from(Arc::clone(&published));
    jwks.refresh().await;
    (jwks, published)
}

#[tokio::test]
async fn each_algorithm_is_taken_with_its_own_kind_of_key() {
    for algorithm in Algorithm::ALL {
        let signer = Signer::new("1", algorithm);
        let (jwks, _) = keys(&json!({"keys": [signer.jwk()]})).await;
        let verified = jwks.verify(&signer.token(algorithm, &claims()), &expected(), now()).await;
        assert_eq!(verified.map(Value::Object), Ok(claims()), "{algorithm:?}");
        for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            // The header names another algorithm than the one that signed.
            let header = json!({"alg": other.name(), "kid": "1"});
            let forged = signer.token_with(algorithm, &header, &claims());
            assert!(jwks.verify_now(&forged, &expected(), now()).is_err(), "{algorithm:?} as {other:?}");
            let only = Expected { algorithms: vec![other], ..expected() };
            let refused = jwks.verify_now(&signer.token(algorithm, &claims()), &only, now()).unwrap_err();
            assert_eq!(refused, Refused::Header("`alg` is none that is taken here"));
        }
    }
}

/// RFC 7515, A.2 and A.3; RFC 8037, A.4. Their payloads say nothing that is expected here, which is found out after the
/// signature was right.
#[tokio::test]
async fn the_signatures_of_the_standards_examples_are_right() {
    let claims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    for (key, token, refused) in [
        (
            json!({"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}),
            format!("eyJhbGciOiJSUzI1NiJ9.{claims}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"),
            Refused::Claim { claim: "iss", problem: "another issuer's" },
        ),
        (
            json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}),
            format!("eyJhbGciOiJFUzI1NiJ9.{claims}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"),
            Refused::Claim { claim: "iss", problem: "another issuer's" },
        ),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg".to_owned(),
            Refused::Malformed("its payload is no JSON object"),
        ),
    ] {
        let (jwks, _) = keys(&json!({"keys": [key]})).await;
        assert_eq!(jwks.verify_now(&token, &expected(), now()).unwrap_err(), refused);
        let cut = &token[..token.len() - 4];
        assert!(matches!(jwks.verify_now(cut, &expected(), now()), Err(Refused::Signature | Refused::Malformed(_))));
        let changed = token.replacen("eyJpc3MiOiJqb2Ui", "eyJpc3MiOiJqb2Uj", 1).replacen("RXhhbX", "SXhhbX", 1);
        assert_eq!(jwks.verify_now(&changed, &expected(), now()).unwrap_err(), Refused::Signature);
    }
}

#[tokio::test]
async fn what_is_no_token_or_asks_for_more_is_refused_and_fetches_nothing() {
    let signer = Signer::new("1", Algorithm::Es256);
    let published = Arc::new(Published::default());
    published.set(Some(signer.set()));
    let jwks = Jwks::from(Arc::clone(&published));
    let part = |value: &str| BASE64URL_NOPAD.encode(value.as_bytes());
    let good = signer.token(Algorithm::Es256, &claims());
    let with = |header: Value| signer.token_with(Algorithm::Es256, &header, &claims());
    for (token, said) in [
        (String::new(), "three parts"),
        ("a.b".to_owned(), "three parts"),
        (format!("{good}."), "base64url"),
        (format!("{good}="), "base64url"),
        (good.replacen('.', "..", 1), "base64url"),
        (good.replacen('.', " .", 1), "base64url"),
        (format!("{}.e30.", part("{}")), "with `alg`"),
        (format!("{}.e30.", part(r#"{"alg":"ES256","alg":"none"}"#)), "with `alg`"),
        (format!("{}.e30.", part(r#"{"alg":"none"}"#)), "`alg` is none that is taken"),
        (format!("{}.e30.", part(r#"{"alg":"HS256","kid":"1"}"#)), "`alg` is none that is taken"),
        (format!("{}.e30.", part(r#"{"alg":"es256","kid":"1"}"#)), "`alg` is none that is taken"),
        (with(json!({"alg": "ES256", "crit": ["b64"], "b64": false})), "extension"),
        (with(json!({"alg": "ES256", "crit": []})), "extension"),
        ("x".repeat(MAX_TOKEN + 1), "too long"),
        (format!("{}.e30.", part(&json!({"alg": "ES256", "kid": "x".repeat(9000)}).to_string())), "header is too long"),
    ] {
        jwks.prepare(&token, &expected()).await;
        // `none` and HS256 are refused before there are keys, the rest as no tokens.
        let refused = jwks.verify_now(&token, &expected(), now()).unwrap_err().to_string();
        assert!(refused.contains(said), "{token}: {refused}");
    }
    assert_eq!(published.asked(), 0);
    assert!(jwks.verify(&good, &expected(), now()).await.is_ok());
}

#[tokio::test]
async fn claims_must_be_the_expected_ones() {
    let signer = Signer::new("1", Algorithm::EdDsa);
    let (jwks, _) = keys(&json!({"keys": [signer.jwk()]})).await;
    let young = Expected { max_age: Some(jiff::SignedDuration::from_mins(5)), ..expected() };
    let endless = Expected { expiry: Expiry::IfPresent, ..expected() };
    let typed = Expected { types: vec!["secevent+jwt".to_owned()], ..expected() };
    let claim = |claim, problem| Err(Refused::Claim { claim, problem });
    for (change, expected, result) in [
        (json!({}), expected(), Ok(())),
        (json!({"iss": null}), expected(), claim("iss", "another issuer's")),
        (json!({"iss": "https://idp.example.com/"}), expected(), claim("iss", "another issuer's")),
        (json!({"iss": ["https://idp.example.com"]}), expected(), claim("iss", "another issuer's")),
        (json!({"aud": "emote2"}), expected(), claim("aud", "somebody else's")),
        (json!({"aud": ["other", "emote"]}), expected(), Ok(())),
        (json!({"aud": []}), expected(), claim("aud", "somebody else's")),
        (json!({"aud": {"emote": true}}), expected(), claim("aud", "somebody else's")),
        (json!({}), Expected { audience: Vec::new(), ..expected() }, claim("aud", "somebody else's")),
        (json!({"exp": NOW - 59}), expected(), Ok(())),
        (json!({"exp": NOW - 60}), expected(), claim("exp", "past")),
        (json!({"exp": NOW as f64 - 60.5}), expected(), claim("exp", "past")),
        (json!({"exp": "soon"}), expected(), claim("exp", "no time")),
        (json!({"exp": null}), expected(), claim("exp", "no time")),
        (json!({"exp": i64::MAX}), expected(), Ok(())),
        (json!({"exp": -1e300}), expected(), claim("exp", "past")),
        (json!({"exp": NOW - 60}), endless.clone(), claim("exp", "past")),
        (json!({"nbf": NOW + 60}), expected(), Ok(())),
        (json!({"nbf": NOW + 61}), expected(), claim("nbf", "still to come")),
        (json!({"iat": NOW + 61}), expected(), claim("iat", "still to come")),
        (json!({"iat": NOW - 360}), young.clone(), Ok(())),
        (json!({"iat": NOW - 361}), young, claim("iat", "too long ago")),
        (json!({}), typed.clone(), Err(Refused::Header("`typ` is another"))),
    ] {
        let mut all = claims();
        all.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let token = signer.token(Algorithm::EdDsa, &all);
        assert_eq!(jwks.verify_now(&token, &expected, now()).map(drop), result, "{change}");
    }
    for (missing, expected, result) in [
        ("iss", expected(), claim("iss", "missing")),
        ("aud", expected(), claim("aud", "missing")),
        ("exp", expected(), claim("exp", "missing")),
        ("exp", endless, Ok(())),
        ("iat", expected(), Ok(())),
    ] {
        let mut all = claims();
        all.as_object_mut().unwrap().remove(missing);
        let token = signer.token(Algorithm::EdDsa, &all);
        assert_eq!(jwks.verify_now(&token, &expected, now()).map(drop), result, "without {missing}");
    }
    for (typ, right) in [("secevent+jwt", true), ("application/SecEvent+JWT", true), ("JWT", false)] {
        let header = json!({"alg": "EdDSA", "typ": typ});
        let token = signer.token_with(Algorithm::EdDsa, &header, &claims());
        assert_eq!(jwks.verify_now(&token, &typed, now()).is_ok(), right, "{typ}");
    }
}

#[tokio::test]
async fn only_keys_that_are_for_signatures_are_used() {
    let signer = Signer::new("1", Algorithm::Rs256);
    let token = signer.token(Algorithm::Rs256, &claims());
    for (change, right) in [
        (json!({}), true),
        (json!({"alg": "RS256"}), true),
        (json!({"alg": "PS256"}), false),
        (json!({"use": "enc"}), false),
        (json!({"key_ops": ["verify"]}), true),
        (json!({"key_ops": ["sign"]}), false),
        (json!({"kid": "2"}), false),
        (json!({"kty": "oct", "k": "c2VjcmV0"}), false),
        (json!({"n": "AQAB"}), false),
        (json!({"n": 5}), false),
    ] {
        let mut jwk = signer.jwk();
        jwk.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        // Beside one that can be used, else there would be no set.
        let (jwks, _) = keys(&json!({"keys": [jwk, Signer::new("3", Algorithm::Es256).jwk(), 5, {"kty": "EC"}]})).await;
        assert_eq!(jwks.verify_now(&token, &expected(), now()).is_ok(), right, "{change}");
    }
    for set in ["", "{}", "[]", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#] {
        assert!(key::read_set(set.as_bytes()).is_err(), "{set}");
    }
}

#[tokio::test]
async fn a_new_key_is_fetched_once_for_all_who_ask_and_not_again_within_a_minute() {
    let (old, new) = (Signer::new("1", Algorithm::Es256), Signer::new("2", Algorithm::Es256));
    let published = Arc::new(Published::default());
    published.set(Some(old.set()));
    let jwks = Jwks::from(Arc::clone(&published));
    let token = old.token(Algorithm::Es256, &claims());
    let all = futures_util::future::join_all((0..20).map(|_| async { jwks.verify(&token, &expected(), now()).await }));
    assert!(all.await.iter().all(Result::is_ok));
    assert_eq!(published.asked(), 1);
    published.set(Some(new.set()));
    let newer = new.token(Algorithm::Es256, &claims());
    assert_eq!(jwks.verify(&newer, &expected(), now()).await, Err(Refused::UnknownKey), "within the minute");
    assert!(jwks.verify(&token, &expected(), now()).await.is_ok());
    assert_eq!(published.asked(), 1);
    jwks.cache().age();
    let refused = jwks.verify_now(&newer, &expected(), now());
    assert!(matches!(refused, Err(Refused::NoKeys(_))), "a new key, perhaps: {refused:?}");
    assert!(jwks.verify(&newer, &expected(), now()).await.is_ok());
    assert_eq!(jwks.verify(&token, &expected(), now()).await, Err(Refused::UnknownKey), "it was taken back");
    assert_eq!(published.asked(), 2);
}

#[tokio::test]
async fn a_token_without_key_id_is_tried_with_all_keys_and_may_have_them_fetched() {
    let (one, two) = (Signer::new("1", Algorithm::EdDsa), Signer::new("2", Algorithm::EdDsa));
    let (jwks, published) = keys(&json!({"keys": [one.jwk()]})).await;
    let header = json!({"alg": "EdDSA"});
    let token = two.token_with(Algorithm::EdDsa, &header, &claims());
    assert_eq!(jwks.verify(&token, &expected(), now()).await, Err(Refused::Signature));
    published.set(Some(json!({"keys": [one.jwk(), two.jwk()]}).to_string()));
    jwks.cache().age();
    assert!(jwks.verify(&token, &expected(), now()).await.is_ok());
}

#[tokio::test]
async fn old_keys_serve_while_nobody_answers_and_without_any_it_is_said_why() {
    let signer = Signer::new("1", Algorithm::Es256);
    let (jwks, published) = keys(&json!({"keys": [signer.jwk()]})).await;
    published.set(None);
    jwks.cache().age();
    jwks.refresh().await;
    let token = signer.token(Algorithm::Es256, &claims());
    assert!(jwks.verify(&token, &expected(), now()).await.is_ok());
    assert_eq!(published.asked(), 2);
    let none = Jwks::from(published);
    let refused = none.verify(&token, &expected(), now()).await.unwrap_err();
    insta::assert_snapshot!(refused, @"the keys of the issuer cannot be had: nobody answers");
}

#[test]
fn the_same_address_is_fetched_for_all_who_name_it() {
    let url = |text: &str| text.parse::<KeysUrl>().unwrap();
    let (one, other) = (Jwks::at(&url("https://one.example.com/keys")), Jwks::at(&url("https://two.example.com/keys")));
    let (one, other) = (one.unwrap(), other.unwrap());
    let same = Jwks::at(&url("https://one.example.com/keys")).unwrap();
    assert!(Arc::ptr_eq(&one.0, &same.0) && !Arc::ptr_eq(&one.0, &other.0));
}

#[test]
fn keys_come_over_https_or_from_this_machine() {
    for (url, right) in [
        ("https://idp.example.com/keys", true),
        ("http://127.0.0.1:8080/keys", true),
        ("http://[::1]:8080/keys", true),
        ("http://localhost/keys", true),
        ("http://idp.example.com/keys", false),
        ("http://localhost.example.com/keys", false),
        ("http://127.0.0.1.example.com/keys", false),
        ("http://127.0.0.1@idp.example.com/keys", false),
        ("file:///etc/passwd", false),
        ("keys", false),
    ] {
        assert_eq!(url.parse::<KeysUrl>().is_ok(), right, "{url}");
    }
}

#[tokio::test]
async fn what_is_fetched_is_bounded_and_leads_nowhere_else() {
    use axum::{Router, http::StatusCode, response::Redirect, routing::get};
    let signer = Signer::new("1", Algorithm::EdDsa);
    let set = signer.set();
    let router = Router::new()
        .route("/keys", get(async move || set))
        .route("/away", get(async || Redirect::temporary("/keys")))
        .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/large", get(async || vec![b' '; 300_000]));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async { axum::serve(listener, router).await });
    let token = signer.token(Algorithm::EdDsa, &claims());
    for (path, said) in
        [("keys", ""), ("away", "answered 307"), ("broken", "answered 500"), ("large", "more than 262144")]
    {
        let jwks = Jwks::at(&format!("http://{address}/{path}").parse().unwrap()).unwrap();
        match jwks.verify(&token, &expected(), now()).await {
            Ok(_) => assert_eq!(path, "keys"),
            Err(refused) => assert!(!said.is_empty() && refused.to_string().contains(said), "{path}: {refused}"),
        }
    }
    serving.abort();
}
