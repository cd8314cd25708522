//! Keys that are not what they should be are refused before any harm is done.

use super::office::{Office, change};

#[tokio::test]
async fn a_broker_does_not_start_with_a_key_that_is_bound_to_another_role_or_to_none() {
    let mut office = Office::open("open").await;
    office.secure.broker.stop().await;
    for (file, told, code) in [
        ("enroll", "is bound to other permissions", 1),
        ("devices-account", "is bound to no role", 1),
        ("service", "is no signing key of the account", 1),
        ("operator", "is not the seed of an account's key", 3),
    ] {
        let before = std::fs::read_to_string(office.secure.file("emote.yaml")).unwrap();
        change(
            &office.secure.config,
            "device_key: \"${file:secrets/device.nk}\"",
            &format!("device_key: \"${{file:secrets/{file}.nk}}\""),
        );
        office.secure.broker.begin();
        assert_eq!(office.secure.broker.wait().await, Some(code), "{file}");
        let log = std::fs::read_to_string(office.secure.logs.join("broker.log")).unwrap();
        assert!(log.contains(told), "{file}: {log}");
        std::fs::write(office.secure.file("emote.yaml"), before).unwrap();
    }
}

#[tokio::test]
async fn without_the_system_account_the_key_is_tried() {
    let mut office = Office::open("open").await;
    office.secure.broker.stop().await;
    change(&office.secure.config, "operator_key:", "# operator_key:");
    change(&office.secure.config, "operator_jwt:", "# operator_jwt:");
    change(&office.secure.config, "system_credentials:", "# system_credentials:");
    office.secure.broker.start().await;
    office.token(&[]).await;
    office.secure.broker.stop().await;
    change(&office.secure.config, "device.nk", "devices-account.nk");
    office.secure.broker.begin();
    assert_eq!(office.secure.broker.wait().await, Some(1));
    let log = std::fs::read_to_string(office.secure.logs.join("broker.log")).unwrap();
    assert!(log.contains("is bound to no role") && log.contains("nsc edit signing-key"), "{log}");
}

#[tokio::test]
async fn a_token_that_could_do_more_than_ask_is_never_shown() {
    let office = Office::open("open").await;
    let config = office.secure.config.to_str().unwrap();
    let out = office.secure.config.join("token.txt");
    let create = ["agents", "token", "create", "--config", config, "--out", out.to_str().unwrap()];
    change(&office.secure.config, "secrets/enroll.nk", "secrets/devices-account.nk");
    let said = office.refused(&create).await;
    assert!(said.contains("is bound to no role"), "{said}");
    assert!(!out.exists(), "nothing is left of it");
    change(&office.secure.config, "secrets/devices-account.nk", "secrets/enroll.nk");
    office.told(&create).await;
    let line = std::fs::read_to_string(&out).unwrap();
    assert!(line.starts_with("emote1:"), "it is there");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&out).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(office.refused(&create).await.contains("exists"), "a file that is there is left alone");
}
