//! A server and its clients: what Okta and Entra send, what they are told, and what events come of it.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use emote_proto::Name;
use serde_json::{Value, json};

use self::bench::Bench;
use super::{
    Failed, Refusal, Untold,
    kind::{ENTERPRISE, Kind},
};

mod bench;
mod together;

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

#[tokio::test]
async fn a_user_lives_from_post_to_delete() {
    let bench = Bench::new();
    let body = json!({
        "schemas": [Kind::User.schema(), ENTERPRISE], "userName": "Ada@Example.com", "externalId": "00uada",
        "name": {"givenName": "Ada", "familyName": "Lovelace"}, "password": "hunter2", "groups": [], "active": "True",
        "emails": [{"primary": true, "value": "ada@example.com", "type": "work"}], ENTERPRISE: {"department": "R&D"},
    });
    let (status, made) = bench.done(Method::POST, "scim/v2/Users", body.clone()).await;
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(made["active"], true);
    assert!(made.get("password").is_none() && !made.to_string().contains("hunter2"));
    assert_eq!(made["meta"]["location"], format!("https://emote.example.com/in/hr/scim/v2/Users/{id}"));
    let event = bench.stream.events.lock().unwrap()[0].clone();
    let user = json!({"id": "ada@example.com", "name": "Ada Lovelace", "email": "ada@example.com",
        "external_id": "00uada", "scim_id": id});
    assert_eq!((&event["user"], &event["info"]["attributes"]["department"]), (&user, &json!("R&D")));
    assert!(!event.to_string().contains("hunter2"));
    assert_eq!(bench.told(), ["user.created ada@example.com"]);
    bench.minutes_pass(6);
    assert_eq!(bench.refused(Method::POST, "Users", body.clone()).await, (409, Some("uniqueness")));

    let found = async |path: String| bench.done(Method::GET, &path, Value::Null).await.1["totalResults"].clone();
    for (filter, count) in [
        ("userName eq \"ADA@example.com\"", 1),
        ("userName eq \"bob@example.com\"", 0),
        ("externalId eq \"00uada\"", 1),
        ("emails.value eq \"ada@example.com\"", 1),
        (&format!("id eq \"{id}\""), 1),
        ("id eq \"no\"", 0),
    ] {
        let filter = filter.replace(' ', "%20").replace('"', "%22").replace('@', "%40");
        assert_eq!(found(format!("scim/v2/Users?filter={filter}&startIndex=1&count=100")).await, count, "{filter}");
    }
    assert_eq!(
        bench.refused(Method::GET, "Users?filter=meta.created+pr", Value::Null).await,
        (400, Some("invalidFilter"))
    );

    let mut put = body;
    put["name"]["givenName"] = json!("Augusta");
    put["active"] = json!(false);
    bench.done(Method::PUT, &format!("Users/{id}"), put.clone()).await;
    assert_eq!(bench.told(), ["user.deactivated ada@example.com", "user.updated ada@example.com"]);
    bench.done(Method::PUT, &format!("Users/{id}"), put).await;
    assert!(bench.told().is_empty(), "the same again changes nothing");
    assert_eq!(bench.done(Method::DELETE, &format!("Users/{id}"), Value::Null).await.0, StatusCode::NO_CONTENT);
    assert_eq!(bench.told(), ["user.deleted ada@example.com"]);
    assert_eq!(bench.refused(Method::GET, &format!("Users/{id}"), Value::Null).await, (404, None));
    assert_ne!(bench.user("ada@example.com").await, id, "who comes back is another resource");
}

#[tokio::test]
async fn every_form_of_patch_is_understood() {
    let bench = Bench::new();
    let id = bench.user("ada@example.com").await;
    bench.told();
    for (operations, at, value) in [
        (json!([{"op": "replace", "value": {"active": false}}]), "/active", json!(false)),
        (json!([{"op": "Replace", "path": "active", "value": "True"}]), "/active", json!(true)),
        (json!([{"op": "Replace", "path": "active", "value": "False"}]), "/active", json!(false)),
        (json!([{"op": "add", "path": "ACTIVE", "value": true}]), "/active", json!(true)),
        (json!({"op": "Add", "path": "title", "value": "Countess"}), "/title", json!("Countess")),
        (
            json!([{"op": "replace", "path": "emails[type eq \"work\"].value", "value": "a@example.com"}]),
            "/emails",
            json!([{"type": "work", "value": "a@example.com"}]),
        ),
        (
            json!([{"op": "Add", "path": "emails", "value": [{"type": "home", "value": "b@example.com", "primary": "true"}]}]),
            "/emails/1/primary",
            json!(true),
        ),
        (
            json!([{"op": "replace", "path": "emails[type eq \"work\"]", "value": {"primary": true}}]),
            "/emails/1/primary",
            json!(false),
        ),
        (json!([{"op": "remove", "path": "emails[type eq \"home\"]"}]), "/emails/1", Value::Null),
        (
            json!([{"op": "replace", "value": {"displayName": "Bjfe", "name.givenName": "Kkom",
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber": "Aklq"}}]),
            "/name/givenName",
            json!("Kkom"),
        ),
        (
            json!([{"op": "replace", "path": "name.familyName", "value": "Unua"}]),
            "/name",
            json!({"givenName": "Kkom", "familyName": "Unua"}),
        ),
        (json!([{"op": "remove", "path": "name.familyName"}]), "/name", json!({"givenName": "Kkom"})),
        (
            json!([{"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager", "value": "7"}]),
            "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/manager",
            json!({"value": "7"}),
        ),
        (
            json!([{"op": "add", "value": {ENTERPRISE: {"department": "R&D"}}}]),
            "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/employeeNumber",
            json!("Aklq"),
        ),
        (
            json!([{"op": "remove", "path": ENTERPRISE}]),
            "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
            Value::Null,
        ),
        (
            json!([{"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:nickName", "value": "A"}]),
            "/nickName",
            json!("A"),
        ),
        (json!([{"op": "replace", "path": "nickName", "value": null}]), "/nickName", Value::Null),
        (json!([{"op": "replace", "path": "roles", "value": "admin"}]), "/roles", json!([{"value": "admin"}])),
        (json!([{"op": "Remove", "path": "roles", "value": [{"value": "admin"}]}]), "/roles", Value::Null),
    ] {
        let user = bench.patched(&id, operations.clone()).await;
        assert_eq!(user.pointer(at).cloned().unwrap_or_default(), value, "{operations}");
    }
    let told = bench.told();
    assert_eq!(told.iter().filter(|event| event.contains("deactivated")).count(), 2, "{told:?}");
    bench.patched(&id, json!([{"op": "replace", "value": {"password": "hunter2"}}])).await;
    assert_eq!(bench.told(), ["user.password_changed ada@example.com"]);
    bench.patched(&id, json!([{"op": "replace", "path": "userName", "value": "augusta@example.com"}])).await;
    assert_eq!(bench.told(), ["user.updated augusta@example.com"]);
    let other = bench.user("ada@example.com").await;
    let body = json!({"Operations": [{"op": "replace", "path": "userName", "value": "augusta@example.com"}]});
    assert_eq!(bench.refused(Method::PATCH, &format!("Users/{other}"), body).await, (409, Some("uniqueness")));
}

#[tokio::test]
async fn what_is_wrong_is_said_in_scims_words() {
    let bench = Bench::new();
    let id = bench.user("ada@example.com").await;
    bench.told();
    let at = format!("Users/{id}");
    for (operations, status, kind) in [
        (json!([]), 400, Some("invalidSyntax")),
        (json!([{"op": "move"}]), 400, Some("invalidSyntax")),
        (json!(["x"]), 400, Some("invalidSyntax")),
        (json!([{"op": "remove"}]), 400, Some("noTarget")),
        (json!([{"op": "replace", "path": "emails[", "value": 1}]), 400, Some("invalidPath")),
        (json!([{"op": "replace", "path": "emails[type gt 1]", "value": 1}]), 400, Some("invalidPath")),
        (json!([{"op": "replace", "path": "active", "value": "perhaps"}]), 400, Some("invalidValue")),
        (json!([{"op": "replace", "value": "x"}]), 400, Some("invalidValue")),
        (json!([{"op": "remove", "path": "userName"}]), 400, Some("invalidValue")),
        (json!([{"op": "replace", "path": "id", "value": "x"}]), 400, Some("mutability")),
    ] {
        let refused = bench.refused(Method::PATCH, &at, json!({"Operations": operations})).await;
        assert_eq!(refused, (status, kind), "{operations}");
    }
    for (method, path, body, expected) in [
        (Method::POST, "Users", json!({"userName": ""}), (400, Some("invalidValue"))),
        (Method::POST, "Users", json!([]), (400, Some("invalidSyntax"))),
        (Method::POST, "Users", json!({"userName": {"a": 1}}), (400, Some("invalidValue"))),
        (Method::POST, "Users", json!({"userName": "x".repeat(600)}), (400, Some("invalidValue"))),
        (Method::POST, "Users", json!({"userName": "b", "title": "x".repeat(70_000)}), (413, None)),
        (
            Method::PATCH,
            "Users/none",
            json!({"Operations": [{"op": "add", "path": "title", "value": "x"}]}),
            (404, None),
        ),
        (Method::DELETE, "Users/a.b", Value::Null, (404, None)),
        (Method::GET, "Bulk", Value::Null, (404, None)),
        (Method::POST, &at, json!({}), (405, None)),
        (Method::GET, "Users?count=many", Value::Null, (400, Some("invalidValue"))),
    ] {
        assert_eq!(bench.refused(method, path, body).await, expected, "{path}");
    }
    assert!(bench.told().is_empty());
    let title = json!({"Operations": [{"op": "add", "path": "title", "value": "x"}]});
    let stale = bench.ask(&Method::PATCH, &at, &title, Some("W/\"999\"")).await;
    assert!(matches!(stale, Err(Failed::Scim(error)) if error.status == 412));
}

#[tokio::test]
async fn members_that_come_and_go_are_events_of_theirs() {
    let bench = Bench::new();
    let (ada, bob) = (bench.user("ada@example.com").await, bench.user("bob@example.com").await);
    bench.told();
    let body = json!({"displayName": "Engines", "members": [{"value": ada, "display": "Ada"}]});
    let (_, group) = bench.done(Method::POST, "scim/v2/Groups", body).await;
    let path = format!("scim/v2/Groups/{}", group["id"].as_str().unwrap());
    assert_eq!(bench.told(), ["group.created Engines", "group.member_added ada@example.com"]);
    for (operations, told) in [
        (
            json!([{"op": "remove", "path": format!("members[value eq \"{ada}\"]")},
                   {"op": "add", "path": "members", "value": [{"value": bob, "display": "bob"}]}]),
            vec!["group.member_removed ada@example.com", "group.member_added bob@example.com"],
        ),
        (json!([{"op": "Add", "path": "members", "value": [{"value": bob}]}]), vec![]),
        (
            json!([{"op": "replace", "path": "members", "value": [{"value": ada}, {"value": "gone", "display": "Eve@example.com"}]}]),
            vec![
                "group.member_removed bob@example.com",
                "group.member_added ada@example.com",
                "group.member_added eve@example.com",
            ],
        ),
        (
            json!([{"op": "Remove", "path": "members", "value": [{"$ref": null, "value": ada}]}]),
            vec!["group.member_removed ada@example.com"],
        ),
        (json!([{"op": "Remove", "path": "members", "value": []}]), vec![]),
        (
            json!([{"op": "replace", "value": {"id": "x", "displayName": "Analytical Engines"}}]),
            vec!["group.updated Analytical Engines"],
        ),
        (json!([{"op": "remove", "path": "members"}]), vec!["group.member_removed eve@example.com"]),
    ] {
        let (status, _) = bench.done(Method::PATCH, &path, json!({"schemas": [PATCH], "Operations": operations})).await;
        let mut found = bench.told();
        let mut told = told;
        found.sort();
        told.sort();
        assert_eq!(
            (status, found),
            (StatusCode::NO_CONTENT, told.into_iter().map(str::to_owned).collect()),
            "{operations}"
        );
    }
    let (_, seen) = bench.done(Method::GET, &format!("{path}?excludedAttributes=members"), Value::Null).await;
    assert!(seen.get("members").is_none() && seen["displayName"] == "Analytical Engines");
    bench.done(Method::DELETE, &path, Value::Null).await;
    assert_eq!(bench.told(), ["group.deleted Analytical Engines"]);
}

#[tokio::test]
async fn lists_come_in_pages_with_what_is_asked_for() {
    let bench = Bench::new();
    for name in ["a", "b", "c"] {
        bench.user(&format!("{name}@example.com")).await;
    }
    let (_, page) = bench.done(Method::GET, "Users?startIndex=2&count=1&attributes=userName", Value::Null).await;
    assert_eq!((&page["totalResults"], &page["startIndex"], &page["itemsPerPage"]), (&json!(3), &json!(2), &json!(1)));
    let keys: Vec<_> = page["Resources"][0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys.iter().map(String::as_str).collect::<BTreeSet<_>>(), ["id", "schemas", "userName"].into());
    let search = json!({"filter": "userName sw \"b\"", "count": 0});
    let (_, found) = bench.done(Method::POST, "Users/.search", search).await;
    assert_eq!((&found["totalResults"], &found["Resources"]), (&json!(1), &json!([])));
    for path in
        ["ServiceProviderConfig", "ResourceTypes", "ResourceTypes/User", "Schemas", &format!("Schemas/{ENTERPRISE}")]
    {
        assert_eq!(bench.done(Method::GET, path, Value::Null).await.0, StatusCode::OK, "{path}");
    }
}

/// What a body is, where nobody says how and where it was sent.
#[test]
fn a_body_alone_is_tried_out() {
    let told = |method: Option<&Method>, path: Option<&str>, body: Value| -> Vec<Value> {
        let events = super::rehearse(method, path, body.to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{body}: {error}"));
        events
            .into_iter()
            .map(|event| json!([event["scope"], event["action"], event.get("user").unwrap_or(&Value::Null)]))
            .collect()
    };
    let off = json!({"schemas": [PATCH], "Operations": [{"op": "Replace", "path": "active", "value": "False"}]});
    assert_eq!(told(None, None, off.clone()), [json!(["user", "deactivated", {}])]);
    assert_eq!(told(None, Some("/scim/v2/Users/7"), off), [json!(["user", "deactivated", {"scim_id": "7"}])]);
    let out = json!({"schemas": [PATCH], "Operations": [{"op": "remove", "path": "members[value eq \"7\"]"}]});
    assert_eq!(told(None, None, out), [json!(["group", "member_removed", {"scim_id": "7"}])]);
    let new = json!({"schemas": [Kind::User.schema()], "userName": "ada@example.com", "active": true});
    assert_eq!(told(None, None, new.clone()), [json!(["user", "created", {"id": "ada@example.com"}])]);
    assert_eq!(
        told(Some(&Method::PUT), Some("Users/7"), new),
        [json!(["user", "updated", {"id": "ada@example.com", "scim_id": "7"}])]
    );
    assert_eq!(
        told(Some(&Method::DELETE), Some("Users/7"), Value::Null),
        [json!(["user", "deleted", {"scim_id": "7"}])]
    );
    assert!(super::rehearse(None, None, b"{\"a\": 1}").is_err());
}
