//! On a cluster of three servers with the accounts that `emote init --secure` makes.

use emote_tests::until;
use serde_json::json;

use super::{
    mac::{Mac, denied},
    office::Office,
    policies::shut_out,
};

#[tokio::test]
async fn with_one_server_of_three_killed_macs_enrol_and_speak_and_are_shut_out() {
    let (mut cluster, mut office) = Office::in_cluster("open").await;
    let token = office.token(&[]).await;
    let (mac, late) = (Mac::new("C02XL0GTJGH5"), Mac::new("C0FFEE000000"));
    let user = mac.enrolled(&office.secure, &token).await;
    mac.say(&office.secure.connect(&user).await, "started", json!({})).await;
    cluster.whole(&office.streams).await;

    let killed = cluster.kill_leader(&office.streams, "EVENTS").await;
    let (here, there) = ((killed + 1) % 3, (killed + 2) % 3);
    office.go_to(&cluster.members[here]).await;
    let lates = late.enrolled(&office.secure, &token).await;
    let others = office.secure.connect(&lates).await;
    late.say(&others, "started", json!({})).await;
    let connected = office.secure.connect(&user).await;
    mac.say(&connected, "heartbeat", json!({})).await;
    until("the two that are left have it all", async || office.streams.are_whole(2).await).await;
    // A cluster that has just lost a leader may not answer in time, and says so: whoever gives the order gives it again.
    until("it can be ordered", async || {
        let output = office.emote(&["agents", "revoke", "C02XL0GTJGH5", "-m", "stolen"]).await;
        assert!(matches!(output.status.code(), Some(0 | 4)), "{output:?}");
        output.status.success()
    })
    .await;
    connected.told("disconnected").await;
    for server in [here, there] {
        office.go_to(&cluster.members[server]).await;
        shut_out(&office.secure, &user).await;
        assert!(denied(mac.ask(&office.secure, &token).await).contains("revoked"));
    }

    // Who was away when it was said learns of it when the broker next looks: each minute, and as it begins to lead.
    cluster.start_member(killed).await;
    cluster.whole(&office.streams).await;
    assert_eq!(office.secure.broker.stop().await, Some(0));
    office.secure.broker.start().await;
    until("it is told", async || office.secure.broker.logged("a nats-server that was away") == 1).await;
    office.go_to(&cluster.members[killed]).await;
    shut_out(&office.secure, &user).await;
    late.say(&office.secure.connect(&lates).await, "heartbeat", json!({})).await;
    assert_eq!(others.errors(), Vec::<String>::new(), "nobody else was shut out");
    for (serial, action, times) in
        [("C02XL0GTJGH5", "enrolled", 1), ("C0FFEE000000", "enrolled", 1), ("C02XL0GTJGH5", "revoked", 1)]
    {
        assert_eq!(office.events(serial, action).await.len(), times, "{serial} {action}");
    }
}
