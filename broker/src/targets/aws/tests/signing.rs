//! Signatures, computed anew and compared, and the credentials of a role.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    super::super::{
        Outcome,
        testing::{Stand, TOKEN, job, show},
    },
    yaml,
};

/// A request as it is signed: method, path, query, headers that are signed (in order), hash of the body.
struct Signed<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: &'a [(&'a str, &'a str)],
    payload: &'a str,
}

/// Signature Version 4, as <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
/// says it.
fn signature(secret: &str, date: &str, scope: &str, signed: &Signed<'_>) -> String {
    let headers: String = signed.headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let names: Vec<&str> = signed.headers.iter().map(|(name, _)| *name).collect();
    let Signed { method, path, query, payload, .. } = signed;
    let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{}\n{payload}", names.join(";"));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hash(canonical.as_bytes()));
    let keyed = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let key = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| keyed(&key, part));
    data_encoding::HEXLOWER.encode(&keyed(&key, &text))
}

fn hash(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

/// The computation that the next test holds the signatures to, held itself to what AWS publishes (aws-sig-v4-test-suite).
#[test]
fn known_signatures_are_computed() {
    let empty = hash(b"");
    let (host, date) = (("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z"));
    let form = ("content-type", "application/x-www-form-urlencoded");
    let of_form = hash(b"Param1=value1");
    for (signed, expected) in [
        (
            Signed { method: "GET", path: "/", query: "", headers: &[host, date], payload: &empty },
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            Signed { method: "POST", path: "/", query: "", headers: &[host, date], payload: &empty },
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            Signed {
                method: "GET",
                path: "/",
                query: "Param1=value1&Param2=value2",
                headers: &[host, date],
                payload: &empty,
            },
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            Signed { method: "POST", path: "/", query: "", headers: &[form, host, date], payload: &of_form },
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ] {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let found = signature(secret, "20150830T123600Z", "20150830/us-east-1/service/aws4_request", &signed);
        assert_eq!(found, expected, "{} {}", signed.method, signed.query);
    }
}

#[tokio::test]
async fn each_request_is_signed() {
    let fifo = "sns\ntopic: arn:aws:sns:eu-central-1:123456789012:emote\nsession_token: '${file:path}'";
    for (service, name) in [
        ("lambda\nfunction: f\nqualifier: '$LATEST'", "lambda"),
        ("s3\nbucket: emote\nkey: '\"a b+c/ä=&.json\"'", "s3"),
        ("eventbridge", "events"),
        ("stepfunctions\nstate_machine: arn:aws:states:eu-central-1:1:stateMachine:m", "states"),
        ("apigateway\napi: a1\npath: a/b~c", "execute-api"),
        (fifo, "sns"),
    ] {
        let stand = Stand::replying(&[(200, &[], "{}")]).await;
        stand.deliver(&yaml(service), &job(), &json!({"a": 1})).await;
        let text = stand.seen();
        let (head, body) = text.split_once("\n\n").unwrap();
        let mut lines = head.lines();
        let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
        headers.push(("host", stand.url.strip_prefix("http://").unwrap()));
        headers.sort_unstable();
        let header = |name: &str| headers.iter().find(|(found, _)| *found == name).unwrap().1;
        assert_eq!(header("x-amz-content-sha256"), hash(body.as_bytes()), "{service}");
        let authorization = header("authorization").strip_prefix("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/").unwrap();
        let (scope, rest) = authorization.split_once(", SignedHeaders=").unwrap();
        assert!(scope.ends_with(&format!("/eu-central-1/{name}/aws4_request")), "{scope}");
        let (names, found) = rest.split_once(", Signature=").unwrap();
        let signed: Vec<(&str, &str)> = names.split(';').map(|name| (name, header(name))).collect();
        assert!(
            headers.iter().all(|(name, _)| names.split(';').any(|signed| signed == *name) || *name == "authorization"),
            "{names}"
        );
        let signed = Signed { method, path, query, headers: &signed, payload: &hash(body.as_bytes()) };
        assert_eq!(found, signature(TOKEN, header("x-amz-date"), scope, &signed), "{service}\n{text}");
    }
}

#[tokio::test]
async fn a_role_is_assumed_and_its_credentials_are_kept() {
    let role =
        "eventbridge\nrole: {arn: 'arn:aws:iam::123456789012:role/emote', external_id: x-1}\nsts_endpoint: '%URL%'";
    let granted = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
        <AccessKeyId>ASIAEXAMPLEROLE00001</AccessKeyId><SecretAccessKey>s3cret</SecretAccessKey>\
        <SessionToken>session-token-1</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
        </Credentials></AssumeRoleResult></AssumeRoleResponse>";
    let written = r#"{"Entries":[{"EventId":"e-1"}]}"#;
    let stand = Stand::replying(&[(200, &[], granted), (200, &[], written)]).await;
    let yaml = yaml(role).replace("AKIDEXAMPLE", "AKIDEXAMPLE000000001");
    let target = stand.target(&yaml);
    for _ in 0..2 {
        let outcome = target.deliver(&job(), &json!({})).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }
    let seen = stand.seen();
    assert_eq!(seen.matches("Action=AssumeRole").count(), 1, "{seen}");
    assert!(seen.contains("ExternalId=x-1") && seen.contains("RoleSessionName=emote"), "{seen}");
    assert_eq!(seen.matches("Credential=ASIAEXAMPLEROLE00001/").count(), 2, "{seen}");
    assert_eq!(seen.matches("x-amz-security-token: session-token-1").count(), 2, "{seen}");
    // What the token of a session is nobody is told.
    stand.reply((400, &[], "no: session-token-1"));
    assert_eq!(show(&target.deliver(&job(), &json!({})).await), "never answered 400 Bad Request: no: …");
}
