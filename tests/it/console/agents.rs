//! Agents at the console: who sees and orders what, and that it comes to what the command line's orders come to.

use emote_proto::enroll::{EnrollRequest, EnrollmentToken};
use emote_tests::{Browser, Idp, Stack, Stored, User, client_secret, private_file, until};
use serde_json::{Value, json};

use super::{
    SECRET, ada, at, oidc,
    pages::{EVIL, assert_only_text},
};
use crate::enroll::{
    mac::{self, Mac, denied, waits},
    office::{Office, change},
    policies::shut_out,
};

const SERIAL: &str = "C02XL0GTJGH5";

/// An office whose console knows this provider.
async fn office(idp: &Idp) -> Office {
    let mut office = Office::open("approve").await;
    office.secure.broker.stop().await;
    change(&office.secure.config, "\nconsole:\n", &format!("\nconsole:\n{}", oidc(idp)));
    private_file(&office.secure.file(SECRET), &client_secret());
    office.secure.broker.start().await;
    office
}

async fn as_(office: &Office, idp: &Idp, group: &str) -> Browser {
    let browser = Browser::at(&at(office.secure.broker.console));
    assert_eq!(browser.sign_in_at(idp, &ada(group)).await.status, 303);
    browser
}

/// Sends a form of the console's, with what every form has.
async fn send(browser: &Browser, path: &str, reason: &str, serials: &[&str]) -> (u16, String) {
    let word = browser.word().await;
    let fields = [("csrf", word.as_str()), ("reason", reason)];
    let fields: Vec<_> = fields.into_iter().chain(serials.iter().map(|serial| ("serials", *serial))).collect();
    let answered = browser.post(path, &fields).await;
    (answered.status, answered.body)
}

/// The order of this kind: who gave it, and what it says.
async fn order(office: &Office, action: &str) -> Value {
    let events = office.streams.read("EVENTS", &format!("events.admin.*.agent.{action}")).await;
    let [event] = events.as_slice() else { panic!("{action}: {events:?}") };
    let event: Value = Stored::json(event);
    assert_eq!(event["user"]["id"], "ada@example.com (oidc)", "{event}");
    event["info"].clone()
}

#[tokio::test]
async fn a_mac_is_let_in_from_the_page_and_shut_out_by_an_admin() {
    let idp = Idp::start().await;
    let office = office(&idp).await;
    let [viewer, approver, admin] = ["viewers", "approvers", "admins"].map(|group| as_(&office, &idp, group));
    let (viewer, approver, admin) = (viewer.await, approver.await, admin.await);
    assert!(viewer.get("/agents").await.body.contains("Nobody waits."));
    let token = office.token(&[]).await;
    let mac = Mac::new(SERIAL);
    waits(mac.ask(&office.secure, &token).await);

    let looked = viewer.get("/agents").await.body;
    assert!(looked.contains(&mac.fingerprint()) && looked.contains("no MDM knows it"), "{looked}");
    assert!(looked.contains("Approvers decide") && !looked.contains("<button>Let in"), "{looked}");
    assert!(viewer.get("/").await.body.contains("<strong>1</strong> agent waits"));
    assert!(viewer.get("/").await.body.contains(r#"<a href="/agents">Agents</a>"#));
    let named = format!("{SERIAL}/{}", mac.pair.public_key());
    assert_eq!(send(&viewer, "/agents/approve", "x", &[&named]).await.0, 403);

    let page = approver.get("/agents").await.body;
    assert!(page.contains(&format!(r#"name="serials" value="{named}""#)), "{page}");
    assert_eq!(send(&approver, "/agents/approve", "", &[&named]).await.0, 400, "a reason is needed");
    waits(mac.ask(&office.secure, &token).await);
    let (status, done) = send(&approver, "/agents/approve", "ordered by IT", &[&named]).await;
    assert!(status == 200 && done.contains("1 approved"), "{done}");
    let user: User = mac.enrolled(&office.secure, &token).await;
    let info = json!({"serials": [SERIAL], "key": mac.pair.public_key(), "reason": "ordered by IT"});
    assert_eq!(order(&office, "approve_ordered").await, info);

    let connected = office.secure.connect(&user).await;
    mac.say(&connected, "started", json!({})).await;
    until("its node says so", async || {
        let page = viewer.get(&format!("/nodes/{SERIAL}")).await;
        page.body.contains("enrolled, ends in 29d") || page.body.contains("enrolled, ends in 30d")
    })
    .await;
    let one = viewer.get(&format!("/api/v1/agents/{SERIAL}")).await.json();
    assert_eq!(one["device"], office.device(SERIAL).await);
    assert_eq!(one["mdm"]["mdm"], "unknown");
    let page = approver.get(&format!("/agents/{SERIAL}")).await.body;
    assert!(page.contains("approve by ada@example.com (oidc)") && !page.contains("/agents/revoke"), "{page}");
    assert_eq!(send(&approver, "/agents/revoke", "stolen", &[SERIAL]).await.0, 403);

    assert!(admin.get(&format!("/agents/{SERIAL}")).await.body.contains("/agents/revoke"));
    let revoked = admin.post_json("/api/v1/agents/revoke", &json!({"serials": [SERIAL], "reason": "stolen"})).await;
    assert_eq!((revoked.status, &revoked.json()["still_in"]), (200, &json!([])), "{revoked:?}");
    assert!(revoked.json()["done"].as_str().unwrap().contains("closed their connections"), "{revoked:?}");
    connected.told("disconnected").await;
    shut_out(&office.secure, &user).await;
    assert_eq!(order(&office, "revoke_ordered").await, json!({"serials": [SERIAL], "reason": "stolen"}));
    let (status, page) = send(&admin, "/agents/rotate", "x", &[SERIAL]).await;
    assert!(status == 409 && page.contains("it has no credential"), "{page}");
}

#[tokio::test]
async fn an_approval_at_the_console_is_of_one_key_and_of_those_that_asked() {
    let idp = Idp::start().await;
    let office = office(&idp).await;
    let (approver, admin) = (as_(&office, &idp, "approvers").await, as_(&office, &idp, "admins").await);
    let token = office.token(&[]).await;
    let (mac, impostor, other) = (Mac::new(SERIAL), Mac::new(SERIAL), Mac::new("C0FFEE000000"));
    for asks in [&mac, &impostor, &other] {
        waits(asks.ask(&office.secure, &token).await);
    }
    let keys = [&mac, &impostor].map(|mac| format!("{SERIAL}/{}", mac.pair.public_key()));
    for (body, status, said) in [
        (json!({"serials": [SERIAL], "reason": "x"}), 409, "several keys ask"),
        (json!({"serials": [SERIAL], "fingerprint": other.fingerprint(), "reason": "x"}), 409, "no key"),
        (json!({"serials": keys, "reason": "x"}), 400, "a Mac has one"),
        (json!({"serials": [SERIAL, "C404"], "reason": "x"}), 409, "several keys ask"),
        (json!({"serials": ["C404"], "reason": "x"}), 404, "never asked"),
        (json!({"serials": ["C02.>"], "reason": "x"}), 400, "no serial number"),
        (json!({"serials": [], "reason": "x"}), 400, "which ones"),
        (json!({"serials": [SERIAL]}), 400, "a reason"),
    ] {
        let answered = approver.post_json("/api/v1/agents/approve", &body).await;
        assert!(answered.status == status && answered.body.contains(said), "{body}: {answered:?}");
    }
    assert!(office.streams.read("EVENTS", "events.admin.*.agent.approve_ordered").await.is_empty());

    let body = json!({"serials": [SERIAL], "fingerprint": mac.fingerprint(), "reason": "ordered by IT"});
    let done = approver.post_json("/api/v1/agents/approve", &body).await;
    assert_eq!((done.status, &done.json()["serials"]), (200, &json!([SERIAL])), "{done:?}");
    mac.enrolled(&office.secure, &token).await;
    let waiting = approver.get("/api/v1/agents?state=waiting").await.json();
    let serials: Vec<&Value> =
        waiting["agents"].as_array().unwrap().iter().map(|one| &one["device"]["serial"]).collect();
    assert_eq!((serials, &waiting["more"]), (vec![&json!(SERIAL), &json!("C0FFEE000000")], &json!(false)));
    let page = approver.get("/agents").await.body;
    assert!(page.contains("is enrolled with another key"), "{page}");

    let named = [keys[1].as_str(), "C0FFEE000000"];
    let (status, done) = send(&approver, "/agents/deny", "not ours", &named).await;
    assert!(status == 200 && done.contains("2 denied"), "{done}");
    denied(impostor.ask(&office.secure, &token).await);
    denied(other.ask(&office.secure, &token).await);
    let (status, page) = send(&approver, "/agents/deny", "again", &["C0FFEE000000", "C404"]).await;
    assert!(status == 409 && page.contains("C404: no agent") && page.contains("C0FFEE000000: denied"), "{page}");

    let (status, done) = send(&admin, "/agents/rotate", "a new year", &[SERIAL]).await;
    assert!(status == 200 && done.contains("1 told to change"), "{done}");
    assert!(admin.get("/agents?state=enrolled").await.body.contains("is to change its key"));
    let after = admin.get(&format!("/api/v1/agents?after={SERIAL}")).await.json();
    assert_eq!(after["agents"][0]["device"]["serial"], "C0FFEE000000");
    for (path, status) in [("?state=lost", 400), ("/C404", 404), ("/%3Cb%3E", 404), ("/%00", 404)] {
        assert_eq!(admin.get(&format!("/api/v1/agents{path}")).await.status, status, "{path}");
        assert_eq!(admin.get(&format!("/agents{path}")).await.status, status, "{path}");
    }
}

async fn asks_as(mac: &Mac, agent: &str, office: &Office, token: &EnrollmentToken) {
    let connected = office.secure.connect(&User::from(token)).await;
    let request = EnrollRequest::sign(token.id(), mac.serial.clone(), &mac.pair, mac::now(), agent).unwrap();
    waits(mac::ask(&connected.client, token, serde_json::to_vec(&request).unwrap()).await);
}

#[tokio::test]
async fn what_agents_and_admins_write_is_text_on_the_pages_of_agents() {
    let idp = Idp::start().await;
    let office = office(&idp).await;
    let admin = as_(&office, &idp, "admins").await;
    let token = office.token(&["--name", EVIL[0]]).await;
    for (n, evil) in EVIL.iter().enumerate() {
        let (mac, again) = (Mac::new(&format!("C{n}")), Mac::new(&format!("C{n}")));
        asks_as(&mac, evil, &office, &token).await;
        office.told(&["agents", "approve", mac.serial.as_str(), "-m", evil]).await;
        mac.enrolled(&office.secure, &token).await;
        asks_as(&again, evil, &office, &token).await;
    }
    let encoded = |text: &str| serde_urlencoded::to_string([("", text)]).unwrap()[1..].replace('+', "%20");
    let mut paths = vec!["/".to_owned(), "/agents".to_owned(), "/agents?state=enrolled".to_owned()];
    for (n, evil) in EVIL.iter().enumerate() {
        paths.push(format!("/agents/C{n}"));
        for path in ["/agents/", "/agents?state=", "/agents?after=", "/agents?state=enrolled&after="] {
            paths.push(format!("{path}{}", encoded(evil)));
        }
    }
    let mut seen = 0;
    for path in paths {
        let page = admin.get(&path).await;
        assert!([200, 400, 404].contains(&page.status), "{path}: {page:?}");
        assert_only_text(&path, &page.body);
        seen += usize::from(page.body.contains("alert(1)"));
    }
    assert!(seen >= 6, "the text itself is shown: {seen}");
    let (status, page) = send(&admin, "/agents/deny", EVIL[0], &[&format!("C0/{}", EVIL[1])]).await;
    assert_eq!(status, 200, "{page}");
    let (_, page) = send(&admin, "/agents/approve", EVIL[0], &[&format!("C1/{}", EVIL[1])]).await;
    assert!(page.contains("alert(1)"), "{page}");
    assert_only_text("/agents/approve", &page);
}

#[tokio::test]
async fn a_broker_that_gives_out_no_credentials_says_so_kindly() {
    let stack = Stack::new().agent(SERIAL).start().await;
    let browser = super::signed_in(&stack).await;
    until("it is known", async || browser.get(&format!("/api/v1/nodes/{SERIAL}")).await.status == 200).await;
    for path in ["", &format!("/{SERIAL}")] {
        let (page, api) =
            (browser.get(&format!("/agents{path}")).await, browser.get(&format!("/api/v1/agents{path}")).await);
        assert!(page.status == 404 && page.body.contains("emote init --secure"), "{page:?}");
        assert_eq!((api.status, &api.json()["error"]), (404, &json!("this broker gives out no credentials")));
    }
    for action in ["approve", "deny", "revoke", "rotate"] {
        let body = json!({"serials": [SERIAL], "reason": "x"});
        let answered = browser.post_json(&format!("/api/v1/agents/{action}"), &body).await;
        assert!(answered.status == 404 && answered.body.contains("gives out no credentials"), "{answered:?}");
    }
    assert!(stack.streams.read("EVENTS", "events.admin.>").await.is_empty());
    for path in ["/", &format!("/nodes/{SERIAL}")] {
        let page = browser.get(path).await.body;
        assert!(!page.contains("/agents") && !page.contains("credential"), "{page}");
    }
}

#[tokio::test]
async fn what_the_mdm_says_is_what_those_say_whose_word_counts() {
    let mut office = Office::open("approve").await;
    office.believes("manual: authenticated").await;
    let token = office.token(&[]).await;
    waits(Mac::new(SERIAL).ask(&office.secure, &token).await);
    let enroll = json!({"scope": "device", "action": "enroll"}).to_string();
    let subject = format!("events.manual.{SERIAL}.device.enroll");
    office.streams.js.publish(subject, enroll.into()).await.unwrap().await.unwrap();
    until("it is said", async || office.told(&["agents", "pending"]).await.contains("the MDM enrolled it")).await;
    office.secure.broker.stop().await;
    let without = office.told(&["agents", "pending"]).await;
    assert!(without.contains("no broker answers"), "{without}");
    change(&office.secure.config, "enrollment: approve ", "mdm: [nanomdm]\n  enrollment: approve ");
    office.secure.broker.start().await;
    until("no other's word counts", async || {
        office.told(&["agents", "show", SERIAL]).await.contains("no MDM knows it")
    })
    .await;
}
