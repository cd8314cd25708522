//! The real agent with the real broker, from a token to being shut out.

use emote_tests::{Agent, until};
use serde_json::json;

use super::office::Office;

#[tokio::test]
async fn an_agent_enrols_speaks_changes_its_key_and_is_shut_out() {
    let office = Office::open("approve").await;
    let token = office.token(&["--serial", "C02XL0GTJGH5"]).await;
    let folder = office.secure.config.with_file_name("agents");
    let mut agent = Agent::new("C02XL0GTJGH5", &folder, &office.secure.logs, &office.secure.url());
    agent.env("EMOTE_AGENT_ENROLLMENT_TOKEN", &token.to_line());
    agent.env("EMOTE_AGENT_CA", office.secure.file("nats/ca.pem").to_str().unwrap());
    agent.start().await;
    office.event("C02XL0GTJGH5", "enrollment_requested").await;
    office.told(&["agents", "approve", "C02XL0GTJGH5", "-m", "ordered by IT"]).await;
    // It asks again when it is started, not only after the minute that it was told to wait.
    agent.kill();
    agent.start().await;
    let enrolled = office.event("C02XL0GTJGH5", "enrolled").await;
    let said = async |action: &str| {
        let subject = format!("events.agent.C02XL0GTJGH5.{action}");
        !office.streams.read("EVENTS", &subject).await.is_empty()
    };
    until("it speaks", async || said("device.inventory").await).await;
    office.told(&["agents", "rotate", "C02XL0GTJGH5"]).await;
    let changed = office.event("C02XL0GTJGH5", "key_changed").await;
    assert_ne!(changed["info"]["key"], enrolled["info"]["key"]);
    until("its old key is shut out", async || {
        let device = office.device("C02XL0GTJGH5").await;
        device["shut"][0]["pushed"] == true && device["key"]["key"] == changed["info"]["key"]
    })
    .await;
    let event = agent.emit(json!({"scope": "test", "action": "after"})).await.unwrap();
    until("it speaks with the new key", async || said("test.after").await).await;
    assert!(!event.is_empty());
    let revoked = office.told(&["agents", "revoke", "C02XL0GTJGH5", "-m", "stolen"]).await;
    assert!(revoked.contains("closed its connection"), "{revoked}");
    agent.emit(json!({"scope": "test", "action": "too_late"})).await.unwrap();
    // An order behind it is in the log; what the agent says is not.
    let refused = office.refused(&["agents", "rotate", "C02XL0GTJGH5"]).await;
    assert!(refused.contains("has no credential"), "{refused}");
    assert!(!said("test.too_late").await);
    agent.kill();
}
