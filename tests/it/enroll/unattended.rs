//! What is ordered while no broker runs.

use super::{
    mac::{Mac, enrolled},
    office::Office,
};

#[tokio::test]
async fn a_token_that_is_made_while_no_broker_runs_holds_as_soon_as_one_does() {
    let mut office = Office::open("open").await;
    office.secure.broker.stop().await;
    let (out, config) = (office.secure.config.join("token.txt"), office.secure.config.display().to_string());
    let create = ["agents", "token", "create", "--config", &config, "--out", out.to_str().unwrap()];
    let made = office.emote(&create).await;
    let said = String::from_utf8(made.stderr).unwrap();
    assert!(made.status.success(), "{said}");
    assert!(said.contains("will be carried out") && said.contains("as soon as a broker"), "{said}");
    let token = std::fs::read_to_string(&out).unwrap().parse().unwrap();
    assert!(!office.told(&["agents", "token", "ls"]).await.contains(&said[6..22]), "nobody has taken note of it");
    office.secure.broker.start().await;
    emote_tests::until("a broker has taken note of it", async || {
        office.told(&["agents", "token", "ls", "-o", "json"]).await.lines().count() == 1
    })
    .await;
    enrolled(Mac::new("C02XL0GTJGH5").ask(&office.secure, &token).await);
}
