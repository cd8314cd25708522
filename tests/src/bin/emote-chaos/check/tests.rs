use serde_json::json;

use super::*;
use crate::rules::BUDGET;

/// A small world in which everything is as it must be: twelve events that are doomed, one refused, one pair, one of a
/// user with two devices, and garbage in both streams.
fn good() -> Evidence {
    let mut world = Evidence::default();
    for device in ["D1", "D2"] {
        world.event("manual", device, "asset.updated", json!({"info": {"set": {"owner": "u"}}}));
    }
    for n in 1..=12 {
        let id = world.send("agent", "A1", "chaos.doom", json!({"n": n}), json!({}));
        world.job(&id, "each", "count", "", "http.request");
        world.job(&id, "doom", "doomed", "", if n > BUDGET { "held" } else { "http.request" });
    }
    let id = world.send("hooks", "D1", "chaos.tick", json!({"refuse": true}), json!({}));
    world.job(&id, "each", "count", "", "delivery.dead");
    let id = world.send("manual", "D2", "chaos.tick", json!({"pair": true}), json!({}));
    for (rule, target) in [("each", "count"), ("pair", "count"), ("pair", "mirror")] {
        world.job(&id, rule, target, "", "http.request");
    }
    let id = world.send("manual", "u", "user.gone", json!({}), json!({"id": "u"}));
    for device in ["/D1", "/D2"] {
        world.job(&id, "gone", "mirror", device, "http.request");
    }
    world.sent.push(Sent { key: "never-acknowledged".to_owned(), acknowledged: false });
    let sequence = world.event("manual", "-", "chaos.tick", json!({}));
    world.log.last_mut().unwrap().garbage = true;
    world.event("broker", "-", "event.rejected", json!({"info": {"sequence": sequence}}));
    world.jobs.push(Job { sequence: 900, subject: "deliver.count.junk".to_owned(), id: String::new(), garbage: true });
    world.dead.push(Letter { subject: "dead.count.junk".to_owned(), job: "junk/900".to_owned() });
    world.checkpoint = world.log.last().unwrap().sequence;
    world
}

impl Evidence {
    fn event(&mut self, source: &str, node: &str, what: &str, body: Value) -> u64 {
        let sequence = self.log.len() as u64 + 1;
        let (subject, id) = (format!("events.{source}.{node}.{what}"), format!("id-{sequence}"));
        self.log.push(Entry { sequence, subject, id, garbage: false, body });
        sequence
    }

    fn send(&mut self, source: &str, node: &str, what: &str, mut info: Value, user: Value) -> String {
        let key = format!("key-{}", self.log.len());
        info["key"] = json!(key);
        let sequence = self.event(source, node, what, json!({"info": info, "user": user}));
        self.sent.push(Sent { key, acknowledged: true });
        format!("id-{sequence}")
    }

    fn job(&mut self, event: &str, rule: &str, target: &str, device: &str, end: &str) {
        let id = format!("{event}/{rule}/{target}{device}");
        let sequence = self.jobs.len() as u64 + 1;
        let held = end == "held";
        let subject =
            if held { format!("held.{target}.{rule}.{sequence}") } else { format!("deliver.{target}.{rule}") };
        self.jobs.push(Job { sequence, subject, id: id.clone(), garbage: false });
        if held {
            self.event("broker", "A1", "guard.held", json!({"info": {"job": id}}));
            return;
        }
        let is_dead = end == "delivery.dead";
        // Tried twice, as a target in trouble is.
        for status in [500, if is_dead { 422 } else { 200 }] {
            let (target, job, event) = (target.to_owned(), id.clone(), event.to_owned());
            self.requests.push(Request { target, job, event, status });
        }
        if is_dead {
            self.dead.push(Letter { subject: format!("dead.{target}.{rule}"), job: id.clone() });
        }
        self.event("broker", "-", end, json!({"cause": {"job": id}}));
    }

    fn entry(&mut self, what: &str) -> usize {
        self.log.iter().position(|entry| entry.subject.ends_with(what)).unwrap()
    }
}

/// The checks that fail once the good world was changed so.
fn failing(change: impl FnOnce(&mut Evidence)) -> Vec<&'static str> {
    let mut world = good();
    change(&mut world);
    world.checkpoint = world.checkpoint.max(world.log.last().map_or(0, |entry| entry.sequence));
    judge(&world).into_iter().filter(|finding| !finding.problems.is_empty()).map(|finding| finding.what).collect()
}

fn check(fails: &str, change: impl FnOnce(&mut Evidence)) {
    let failing = failing(change);
    assert!(failing.iter().any(|what| what.contains(fails)), "{fails:?} is not among {failing:?}");
}

#[test]
fn in_a_good_world_everything_holds_and_every_check_looked_at_something() {
    let findings = judge(&good());
    for finding in &findings {
        assert!(finding.problems.is_empty(), "{finding:?}");
        assert!(finding.count > 0, "{finding:?}");
    }
    assert_eq!(repeated(&good()), 0);
}

#[test]
fn an_event_that_is_lost_is_found() {
    check("acknowledged is in EVENTS exactly once", |world| {
        let at = world.entry("chaos.tick");
        world.log.remove(at);
    });
}

#[test]
fn an_event_that_is_doubled_is_found_even_under_another_id() {
    let double = |world: &mut Evidence| {
        let at = world.entry("chaos.tick");
        let sequence = world.log.len() as u64 + 1;
        world.log.push(Entry { sequence, id: "another".to_owned(), ..world.log[at].clone() });
    };
    check("acknowledged is in EVENTS exactly once", double);
    check("nobody sent", double);
    check("every job that the rules demand", double);
}

#[test]
fn an_event_that_nobody_sent_is_found() {
    check("nobody sent", |world| {
        world.event("manual", "-", "other.thing", json!({"info": {"key": "unknown"}}));
    });
}

#[test]
fn an_id_that_is_there_twice_is_found() {
    check("the same id", |world| {
        let last = world.log.last().unwrap().clone();
        world.log.push(Entry { sequence: last.sequence + 1, ..last });
    });
}

#[test]
fn agents_events_in_another_order_are_found() {
    check("in the order in which they happened", |world| {
        let first = world.entry("chaos.doom");
        world.log[first].body["info"]["n"] = json!(2);
    });
}

#[test]
fn a_fold_that_is_behind_is_found() {
    let mut world = good();
    world.checkpoint -= 1;
    assert_eq!(judge(&world).iter().filter(|finding| !finding.problems.is_empty()).count(), 1);
}

#[test]
fn a_job_that_is_missing_is_found() {
    for n in 0..good().jobs.len() - 1 {
        check("every job that the rules demand", |world| drop(world.jobs.remove(n)));
    }
}

#[test]
fn a_job_that_is_doubled_is_found() {
    let double = |world: &mut Evidence| world.jobs.push(world.jobs[0].clone());
    check("every job that the rules demand", double);
    check("no rule demands", double);
}

#[test]
fn a_job_that_no_rule_demands_is_found() {
    check("no rule demands", |world| world.jobs[0].id.push('x'));
}

#[test]
fn jobs_in_another_order_are_found() {
    check("in the order of the events", |world| world.jobs.swap(0, 4));
}

#[test]
fn a_budget_that_is_overdrawn_is_found() {
    check("budget", |world| {
        let held = world.jobs.iter().position(|job| job.subject.starts_with("held.")).unwrap();
        world.jobs[held].subject = "deliver.doomed.doom".to_owned();
    });
}

#[test]
fn a_held_job_that_nobody_is_told_of_is_found() {
    check("budget", |world| {
        let at = world.entry("guard.held");
        world.log.remove(at);
    });
}

#[test]
fn a_result_that_is_missing_or_doubled_or_another_is_found() {
    check("exactly one result", |world| {
        let at = world.entry("http.request");
        world.log.remove(at);
    });
    check("exactly one result", |world| {
        let at = world.entry("http.request");
        let sequence = world.log.len() as u64 + 1;
        world.log.push(Entry { sequence, id: "another".to_owned(), ..world.log[at].clone() });
    });
    check("exactly one result", |world| {
        let at = world.entry("http.request");
        world.log[at].subject = "events.broker.-.delivery.skipped".to_owned();
    });
}

#[test]
fn a_delivery_that_the_target_never_saw_is_found() {
    check("the target accepted", |world| {
        let job = world.requests[0].job.clone();
        world.requests.retain(|request| request.job != job);
    });
    check("the target accepted", |world| {
        world.requests.iter_mut().filter(|request| request.status == 200).take(1).for_each(|it| it.status = 500);
    });
}

#[test]
fn a_held_job_that_the_target_saw_is_found() {
    check("the target accepted", |world| {
        let held = world.jobs.iter().find(|job| job.subject.starts_with("held.")).unwrap().id.clone();
        world.requests[0].job = held;
    });
}

#[test]
fn a_dead_letter_that_is_missing_doubled_or_elsewhere_is_found() {
    check("is in DEAD exactly once", |world| drop(world.dead.remove(0)));
    check("is in DEAD exactly once", |world| world.dead.push(world.dead[0].clone()));
    check("is in DEAD exactly once", |world| world.dead[0].subject = "dead.other.each".to_owned());
    check("is in DEAD exactly once", |world| world.dead[0].job = world.jobs[0].id.clone());
}

#[test]
fn a_request_that_no_rule_demands_is_found() {
    check("asked for nothing but", |world| world.requests[0].job.push('x'));
    check("asked for nothing but", |world| world.requests[0].target = "mirror".to_owned());
    check("asked for nothing but", |world| world.requests[0].event = "id-1".to_owned());
}

#[test]
fn garbage_that_is_not_told_or_told_twice_or_of_something_good_is_found() {
    check("garbage", |world| {
        let at = world.entry("event.rejected");
        world.log.remove(at);
    });
    check("garbage", |world| {
        world.event("broker", "-", "event.rejected", json!({"info": {"sequence": 1}}));
    });
    check("garbage", |world| drop(world.dead.pop()));
}

#[test]
fn what_the_world_was_told_twice_is_counted_and_no_failure() {
    let mut world = good();
    let again = world.requests.iter().find(|request| request.status == 200).unwrap().clone();
    world.requests.push(again);
    assert_eq!(repeated(&world), 1);
    assert!(judge(&world).iter().all(|finding| finding.problems.is_empty()));
}
