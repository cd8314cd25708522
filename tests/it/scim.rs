//! Users and groups that are provisioned by SCIM, with a real server behind them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use emote_tests::{Broker, Posted, Stack, planted, until, until_some};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};

const SOURCE: &str = "preset: scim-okta\nsettings: {token: \"${file:secrets/scim-token}\"}\n";

async fn ask(stack: &Stack, method: Method, path: &str, body: &Value) -> Posted {
    ask_at(stack, stack.broker.port, method, path, body).await
}

async fn ask_at(stack: &Stack, port: u16, method: Method, path: &str, body: &Value) -> Posted {
    let url = format!("http://127.0.0.1:{port}/in/people/scim/v2/{path}");
    let mut request = stack.http.request(method, url).bearer_auth(stack.secret("scim-token"));
    if !body.is_null() {
        request = request.header("Content-Type", "application/scim+json").body(body.to_string());
    }
    stack.send(request).await
}

/// Asks until it is answered, as a client does; what was done already is refused as such.
async fn insist(stack: &Stack, method: Method, path: &str, body: &Value) -> Posted {
    until_some("the SCIM request is done", async || {
        let posted = ask(stack, method.clone(), path, body).await;
        assert!(matches!(posted.status, 0 | 200 | 201 | 204 | 404 | 409 | 503), "{posted:?}");
        (!matches!(posted.status, 0 | 503)).then_some(posted)
    })
    .await
}

/// Kills these brokers, one after the other, until all is done or it was often enough; how often.
async fn killing(brokers: &mut [Broker], kills: &AtomicUsize, done: &AtomicBool) {
    const MOST: usize = 12;
    let mut random = StdRng::seed_from_u64(20_261_126);
    while kills.load(Ordering::Relaxed) < MOST && !done.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(random.random_range(150..700))).await;
        let at = kills.load(Ordering::Relaxed) % brokers.len();
        brokers[at].kill();
        brokers[at].start().await;
        kills.fetch_add(1, Ordering::Relaxed);
    }
}

/// A quick machine goes on until it was disturbed often enough.
const FEWEST_KILLS: usize = 4;

fn has_more_to_go(done: usize, kills: &AtomicUsize) -> bool {
    done < 2_000 && kills.load(Ordering::Relaxed) < FEWEST_KILLS
}

/// How often each happened to whom.
async fn told(stack: &Stack) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    for event in stack.settled().await {
        let event = event.json();
        if event["source"] == "people" {
            let about = event.pointer("/user/id").or_else(|| event.pointer("/info/group")).cloned().unwrap_or_default();
            let key = format!("{}.{} {}", event["scope"], event["action"], about).replace('"', "");
            *told.entry(key).or_default() += 1;
        }
    }
    told
}

#[tokio::test]
async fn users_and_groups_are_provisioned_and_each_change_is_one_event() {
    let stack = Stack::new().secret("scim-token").file("sources/people.yaml", SOURCE).start().await;
    let unknown = stack.http.get(format!("{}/scim/v2/Users", stack.url("people"))).bearer_auth("wrong");
    let refused = stack.send(unknown).await;
    assert_eq!((refused.status, &refused.body["status"]), (401, &json!("401")));

    let none = ask(&stack, Method::GET, "Users?filter=userName%20eq%20%22ada%40example.com%22", &Value::Null).await;
    assert_eq!((none.status, &none.body["totalResults"]), (200, &json!(0)));
    let password = planted("scim-password");
    let ada = json!({"userName": "ada@example.com", "active": true, "password": password});
    let made = ask(&stack, Method::POST, "Users", &ada).await;
    assert_eq!(made.status, 201, "{made:?}");
    let other = json!({"userName": "ada@example.com", "active": false});
    assert_eq!(ask(&stack, Method::POST, "Users", &other).await.status, 409);
    let again = ask(&stack, Method::POST, "Users", &ada).await;
    assert_eq!((again.status, &again.body["id"]), (201, &made.body["id"]), "who was not answered asks again");
    let id = made.body["id"].as_str().unwrap();
    let group = json!({"displayName": "Engines", "members": [{"value": id}]});
    let group = ask(&stack, Method::POST, "Groups", &group).await.body["id"].as_str().unwrap().to_owned();
    let off = json!({"Operations": [{"op": "replace", "value": {"active": false}}]});
    assert_eq!(ask(&stack, Method::PATCH, &format!("Users/{id}"), &off).await.status, 200);
    let out = json!({"Operations": [{"op": "Remove", "path": "members", "value": [{"value": id}]}]});
    assert_eq!(ask(&stack, Method::PATCH, &format!("Groups/{group}"), &out).await.status, 204);
    assert_eq!(ask(&stack, Method::DELETE, &format!("Users/{id}"), &Value::Null).await.status, 204);
    assert_eq!(ask(&stack, Method::GET, &format!("Users/{id}"), &Value::Null).await.status, 404);
    let expected = [
        "group.created Engines",
        "group.member_added ada@example.com",
        "group.member_removed ada@example.com",
        "user.created ada@example.com",
        "user.deactivated ada@example.com",
        "user.deleted ada@example.com",
    ];
    assert_eq!(told(&stack).await, expected.map(|key| (key.to_owned(), 1)).into());
    // What was deleted is gone from the bucket.
    let found = ask(&stack, Method::GET, "Users", &Value::Null).await;
    assert_eq!(found.body["totalResults"], 0);
}

#[tokio::test]
async fn a_broker_killed_while_users_are_provisioned_tells_each_change_once() {
    const USERS: usize = 60;
    let mut stack = Stack::new().secret("scim-token").file("sources/people.yaml", SOURCE).start().await;
    let mut brokers = [stack.take_broker()];
    let (kills, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let killer = killing(&mut brokers, &kills, &done);
    let client = async {
        let mut users = 0;
        while users < USERS || has_more_to_go(users, &kills) {
            let n = users;
            users += 1;
            let name = format!("u{n}@example.com");
            insist(&stack, Method::POST, "Users", &json!({"userName": name, "active": true})).await;
            let path = format!("Users?filter=userName%20eq%20%22u{n}%40example.com%22");
            let found = insist(&stack, Method::GET, &path, &Value::Null).await;
            let id = found.body["Resources"][0]["id"].as_str().unwrap().to_owned();
            let off = json!({"Operations": [{"op": "Replace", "path": "active", "value": "False"}]});
            let user = insist(&stack, Method::PATCH, &format!("Users/{id}"), &off).await;
            assert_eq!(user.body["active"], false, "{user:?}");
            if n % 3 == 0 {
                insist(&stack, Method::DELETE, &format!("Users/{id}"), &Value::Null).await;
            }
        }
        done.store(true, Ordering::Relaxed);
        users
    };
    let ((), users) = tokio::join!(killer, client);
    [stack.broker] = brokers;
    assert!(kills.into_inner() >= FEWEST_KILLS);
    let mut expected = BTreeMap::new();
    for n in 0..users {
        let name = format!("u{n}@example.com");
        expected.insert(format!("user.created {name}"), 1);
        expected.insert(format!("user.deactivated {name}"), 1);
        if n % 3 == 0 {
            expected.insert(format!("user.deleted {name}"), 1);
        }
    }
    // What the last broker left untold, its successor tells.
    until("everything is told", async || told(&stack).await.len() == expected.len()).await;
    assert_eq!(told(&stack).await, expected);
    let left = ask(&stack, Method::GET, "Users?count=0", &Value::Null).await;
    assert_eq!(left.body["totalResults"], users - users.div_ceil(3));
}

/// What a user's title was and became, of each event that tells of it.
async fn titles(stack: &Stack) -> BTreeMap<String, Vec<(Value, Value)>> {
    let mut titles: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for event in stack.settled().await {
        let event = event.json();
        let (id, change) = (event["user"]["scim_id"].as_str(), event.pointer("/info/changes/title"));
        if let (Some(id), Some(change)) = (id, change) {
            titles.entry(id.to_owned()).or_default().push((change["from"].clone(), change["to"].clone()));
        }
    }
    titles
}

/// Where these changes lead, each of them taken once; none where they are not one after the other.
fn led_to(changes: &[(Value, Value)]) -> Option<Value> {
    let by_from: HashMap<&Value, &Value> = changes.iter().map(|(from, to)| (from, to)).collect();
    let (mut at, mut steps) = (&Value::Null, 0);
    while let Some(to) = by_from.get(at).filter(|_| steps < changes.len()) {
        (at, steps) = (to, steps + 1);
    }
    (steps == changes.len() && by_from.len() == changes.len()).then(|| at.clone())
}

#[tokio::test]
async fn of_two_brokers_that_change_the_same_users_and_are_killed_each_change_that_was_made_is_told_once() {
    const USERS: usize = 3;
    const CHANGES: usize = 45;
    let mut stack = Stack::new().secret("scim-token").file("sources/people.yaml", SOURCE).start().await;
    let mut ids = Vec::new();
    for n in 0..USERS {
        let user = json!({"userName": format!("u{n}@example.com"), "active": true});
        let made = ask(&stack, Method::POST, "Users", &user).await;
        ids.push(made.body["id"].as_str().unwrap().to_owned());
    }
    let mut brokers = [stack.take_broker(), stack.other_broker()];
    brokers[1].start().await;
    let ports = [brokers[0].port, brokers[1].port];
    let (kills, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (stack_ref, ids_ref, kills_ref) = (&stack, &ids, &kills);
    // Each try says something else: what a broker that was killed has done of it is in the chain, or is not.
    let client = async |at: usize| {
        let mut changes = 0;
        while changes < CHANGES || has_more_to_go(changes, kills_ref) {
            let n = changes;
            changes += 1;
            let path = format!("Users/{}", ids_ref[n % USERS]);
            let tries = AtomicUsize::new(0);
            until("the title is changed", async || {
                let title = format!("{at} {n} {}", tries.fetch_add(1, Ordering::Relaxed));
                let body = json!({"Operations": [{"op": "replace", "path": "title", "value": title}]});
                let posted = ask_at(stack_ref, ports[at], Method::PATCH, &path, &body).await;
                assert!(matches!(posted.status, 0 | 200 | 503), "{posted:?}");
                posted.status == 200
            })
            .await;
        }
    };
    let clients = async {
        tokio::join!(client(0), client(1));
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(killing(&mut brokers, &kills, &done), clients);
    assert!(kills.into_inner() >= FEWEST_KILLS);
    let [one, mut other] = brokers;
    stack.broker = one;
    let mut now = BTreeMap::new();
    for id in &ids {
        let user = ask(&stack, Method::GET, &format!("Users/{id}"), &Value::Null).await;
        now.insert(id.clone(), user.body["title"].clone());
    }
    let seen = async || -> BTreeMap<String, Value> {
        let all = titles(&stack).await;
        all.into_iter().filter_map(|(id, changes)| Some((id, led_to(&changes)?))).collect()
    };
    until("each change leads to the next, and the last to what the user is now", async || seen().await == now).await;
    let told = titles(&stack).await.values().map(Vec::len).sum::<usize>();
    assert!(told >= 2 * CHANGES, "{told} changes are told");
    other.kill();
}

/// Every check of a client that is not ours, where it is installed.
#[tokio::test]
async fn scim2_tester_finds_nothing_wrong() {
    let Ok(python) = std::env::var("EMOTE_TEST_SCIM_PYTHON") else {
        eprintln!(
            "LEFT OUT: EMOTE_TEST_SCIM_PYTHON names no Python that has scim2-tester; ./tests/run gets one where it can"
        );
        assert!(std::env::var_os("CI").is_none(), "scim2-tester is missing, and in CI that is a failure");
        return;
    };
    let stack = Stack::new().secret("scim-token").file("sources/people.yaml", SOURCE).start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/it/scim_tester.py");
    let url = format!("{}/scim/v2", stack.url("people"));
    let ended = tokio::process::Command::new(python)
        .args([script, &url])
        .env("SCIM_TOKEN", stack.secret("scim-token"))
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    let checks: usize = said.lines().last().and_then(|last| last.split(' ').next()?.parse().ok()).unwrap_or_default();
    assert!(checks >= 30, "{said}");
}
