//! What is learned of a Mac, and by which names it goes.

use super::*;

#[test]
fn a_udid_is_joined_to_its_serial_number_once_that_is_known() {
    let checkin = json!({"scope": ["device"], "action": ["checkin"]});
    let mut log = Log::new(vec![rule("a", &checkin, Fanout::Event, "t")]);
    let by_udid = json!({"scope": "device", "action": "checkin", "device": {"udid": "U1", "os_version": "15.1"}});
    assert_eq!(what(&log.entry("events.nanomdm.U1.device.checkin", &by_udid)), ["a>t@U1"]);
    assert!(log.node("U1").is_some());

    let both = json!({"scope": "device", "action": "enroll_start", "device": {"uuid": "C02", "udid": "U1"}});
    log.entry("events.nanomdm.C02.device.enroll_start", &both);
    assert!(log.node("U1").is_none(), "one Mac, one node");
    let node = log.node("C02").unwrap();
    assert_eq!(node.sources["nanomdm"]["os_version"].value, "15.1");
    assert_eq!((node.serial.as_deref(), node.udid.as_deref()), (Some("C02"), Some("U1")));

    assert_eq!(what(&log.entry("events.nanomdm.U1.device.checkin", &by_udid)), ["a>t@C02"]);
}

#[test]
fn what_nobody_proved_of_a_udid_is_followed_by_nothing_that_was_proven() {
    let checkin = json!({"scope": ["device"], "action": ["checkin"]});
    let device = |action: &str, device: Value, trust: &str| json!({"scope": "device", "action": action, "device": device, "trust": trust});
    let by_udid = device("checkin", json!({"udid": "U1", "os_version": "15.1"}), "verified");
    let forged = device("enroll", json!({"uuid": "EVE", "udid": "U1"}), "verified");
    let truth = device("enroll", json!({"uuid": "C02", "udid": "U1"}), "verified");
    for (source, trust) in [("forged", "verified"), ("nanomdm", "unverified")] {
        let mut log = Log::new(vec![rule("a", &checkin, Fanout::Event, "t")]);
        let forge = |log: &mut Log| {
            let event = Value::Object(
                forged.as_object().unwrap().clone().into_iter().chain([("trust".to_owned(), json!(trust))]).collect(),
            );
            log.entry(&format!("events.{source}.EVE.device.enroll"), &event);
        };
        forge(&mut log);
        assert_eq!(what(&log.entry("events.nanomdm.U1.device.checkin", &by_udid)), ["a>t@U1"], "{source}");
        let unproven = json!({"scope": "device", "action": "checkin", "device": {"udid": "U1"}});
        assert_eq!(what(&log.entry("events.forged.U1.device.checkin", &unproven)), ["a>t@EVE"], "of its own kind");
        forge(&mut log);
        assert!(log.node("U1").unwrap().proven, "what was proven of it stays where it is");

        log.entry("events.nanomdm.C02.device.enroll", &truth);
        forge(&mut log);
        let node = log.node("C02").unwrap();
        assert_eq!((node.udid.as_deref(), node.udid_unverified), (Some("U1"), false));
        assert_eq!(node.sources["nanomdm"]["os_version"].value, "15.1");
        assert_eq!(what(&log.entry("events.nanomdm.U1.device.checkin", &by_udid)), ["a>t@C02"], "{source}");
        assert_eq!(what(&log.entry("events.forged.U1.device.checkin", &unproven)), ["a>t@C02"], "once it is known");
    }
}

#[test]
fn a_command_goes_to_no_udid_that_nobody_proved() {
    let lock = json!({"scope": ["device"], "action": ["lost"]});
    let mut log = Log::new(vec![rule("lock", &lock, Fanout::Event, "mdm")]);
    let enroll = |udid: &str| json!({"scope": "device", "action": "enroll", "device": {"uuid": "C02", "udid": udid}, "trust": "verified"});
    let mut udid_of = |source: &str, told: Option<(&str, &str)>| {
        if let Some((by, udid)) = told {
            log.entry(&format!("events.{by}.C02.device.enroll"), &enroll(udid));
        }
        let jobs = log.entry(
            &format!("events.{source}.C02.device.lost"),
            &json!({"scope": "device", "action": "lost", "trust": "verified"}),
        );
        jobs[0].node.as_ref().unwrap().value()["udid"].clone()
    };
    assert_eq!(udid_of("nanomdm", Some(("forged", "OF-ANOTHER"))), Value::Null);
    assert_eq!(udid_of("forged", None), "OF-ANOTHER");
    assert_eq!(udid_of("nanomdm", Some(("nanomdm", "ITS-OWN"))), "ITS-OWN");
    assert_eq!(udid_of("nanomdm", Some(("forged", "OF-ANOTHER"))), "ITS-OWN");
    assert_eq!(udid_of("forged", None), "ITS-OWN");
}

#[test]
fn a_mac_is_one_node_however_its_serial_number_is_written() {
    let mut log = Log::new(vec![rule("a", &json!({"device": {"uuid": ["C02"]}}), Fanout::Event, "t")]);
    let device = |uuid: &str| json!({"scope": "device", "action": "enroll", "device": {"uuid": uuid, "udid": "U1"}, "trust": "verified"});
    for (subject, uuid) in [("events.nanomdm.C02", "c02"), ("events.nanomdm.c02", "C02"), ("events.okta.c02", "c02")] {
        assert_eq!(what(&log.entry(&format!("{subject}.device.enroll"), &device(uuid))), ["a>t@C02"], "{subject}");
    }
    let by_udid = json!({"scope": "device", "action": "checkin", "device": {"udid": "U1"}, "trust": "verified"});
    assert_eq!(what(&log.entry("events.nanomdm.U1.device.checkin", &by_udid)), ["a>t@C02"]);
    let boot = json!({"scope": "device", "action": "boot"});
    assert_eq!(what(&log.entry("events.agent.C02.device.boot", &boot)), ["a>t@C02"]);
    assert_eq!(told(&log.entry("events.agent.c02.device.boot", &boot)).0, "event.rejected", "it has no credential");
    assert!(log.node("c02").is_none());
    let owner = json!({"scope": "asset", "action": "updated", "info": {"set": {"owner": "ada@x.io"}}});
    log.entry("events.assets.c02.asset.updated", &owner);
    assert_eq!(log.memory.devices_of("ada@x.io").unwrap(), ["C02".to_owned()].into());
}

#[test]
fn an_agent_speaks_for_its_own_mac_only() {
    let mut log = Log::new(Vec::new());
    let asset = json!({"scope": "asset", "action": "updated", "info": {"set": {"owner": "eve@x.io", "name": "mine"}}});
    log.entry("events.agent.C02.asset.updated", &asset);
    let udid =
        json!({"scope": "device", "action": "boot", "device": {"udid": "U-OF-ANOTHER"}, "user": {"id": "boss@x.io"}});
    log.raw("events.agent.C02.device.boot", None, json!({"device": {"uuid": "C02", "udid": "U-OF-ANOTHER"}, "scope": "device", "action": "boot", "user": udid["user"]}).to_string().as_bytes());
    let node = log.node("C02").unwrap();
    assert!(node.asset.is_empty(), "the asset record is not the Mac's to write");
    assert_eq!(node.owner(), None, "nor is its owner");
    assert_eq!((node.udid.as_deref(), log.memory.serial_of("U-OF-ANOTHER").unwrap()), (None, None));
    assert_eq!(log.memory.devices_of("boss@x.io").unwrap().len(), 0);
}

#[test]
fn who_signs_in_on_a_mac_does_not_come_to_own_it() {
    let mut log = Log::new(Vec::new());
    let say = |scope: &str, action: &str, user: &str| json!({"scope": scope, "action": action, "device": {"uuid": "C02"}, "user": {"id": user}});
    log.entry("events.nanomdm.C02.device.enroll", &say("device", "enroll", "ada@x.io"));
    log.entry("events.okta.C02.session.login", &say("session", "login", "grace@x.io"));
    log.entry("events.nanomdm.C02.device.checkin", &say("device", "checkin", "ada"));
    let node = log.node("C02").unwrap();
    assert_eq!((node.owner(), &node.sources["okta"]["last_user"].value), (Some("ada@x.io"), &json!("grace@x.io")));
}
