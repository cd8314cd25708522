//! What an install's record tells of itself.

use super::*;

#[test]
fn who_ordered_it_and_why_stays_with_it() {
    let mut log = Log::deploying("1.2.3");
    let order = json!({"nodes": ["C02"], "reason": "HD-1234"});
    let body = json!({"user": {"id": "ada"}, "info": order});
    assert_eq!(log.event("admin.ada", "deploy.ordered", body).len(), 1);
    let shown = log.deployment();
    assert_eq!((shown.by.as_deref(), shown.note.as_deref()), (Some("ada"), Some("HD-1234")));

    let mut log = Log::deploying("1.2.3");
    log.mdm("device.enroll", json!({"install": true, "reason": "none of an order"}));
    let shown = log.deployment();
    assert_eq!((shown.by, shown.note), (None, None), "a rule ordered it");
}

#[test]
fn a_push_that_failed_is_told_until_the_mac_has_asked() {
    let mut log = Log::deploying("1.2.3");
    let job = log.ordered();
    let info = json!({"command_uuid": job.id.command_uuid(), "push_error": "no push certificate"});
    let told = log.ended(&job, "mdm.command_sent", info.clone());
    assert_eq!(told, ["deploy.started: not told to look: no push certificate"]);
    assert_eq!(log.deployment().reason.as_deref(), Some("not told to look: no push certificate"));
    log.answered(&job, "command_acknowledged", "Acknowledged");
    assert_eq!(log.deployment().reason, None);

    let mut log = Log::deploying("1.2.3");
    let job = log.ordered();
    log.answered(&job, "command_acknowledged", "Acknowledged");
    log.ended(&job, "mdm.command_sent", info);
    assert_eq!(log.deployment().reason, None, "it had asked by then");
}

#[test]
fn an_install_is_one_job_of_its_target_however_many_steps_are_told() {
    let mut log = Log::deploying("1.2.3");
    let job = log.ordered();
    log.sent(&job);
    let steps = [
        log.answered(&job, "command_acknowledged", "Acknowledged"),
        log.agent("agent.started", json!({"version": "1.2.3"})),
    ];
    assert_eq!(steps, [["deploy.acknowledged"], ["deploy.installed"]]);
    // The broker's own words, as they come back in the log.
    for step in ["deploy.started", "deploy.acknowledged", "deploy.installed"] {
        let body = json!({"device": {"uuid": "C02"}, "info": {}, "cause": job.cause()});
        log.event("broker.C02", step, body);
    }
    let tally = log.memory.tally(&crate::core::Tallied::Target(TARGET.to_owned())).unwrap();
    assert_eq!((tally.jobs, tally.done), (1, 1));
}
