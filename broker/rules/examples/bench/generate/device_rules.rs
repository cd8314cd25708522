//! Rules as an administrator's configuration has them: a few that concern many events, and the more there are, the
//! more of them are about one Mac, one person, one app or one place.

use super::device::KINDS;
use super::fleet::{DEPARTMENTS, Fleet, Mac, SITES, SYSTEMS};
use super::random::Random;
use serde_json::{Value, json};

/// One kind of rule.
type Kind = fn(&mut Random, &Fleet) -> Value;

/// Out of a hundred rules.
const SHARES: [(usize, Kind); 15] = [
    (18, one_mac),
    (10, one_person),
    (12, one_app),
    (10, department_macs),
    (9, prefix),
    (7, suffix),
    (8, wildcard),
    (4, ignoring_case),
    (7, numeric),
    (4, anything_but),
    (3, exists),
    (5, alternatives),
    (1, app_in_inventory),
    (1, address),
    (1, several_macs),
];

/// An endless list, so that a large set contains the small ones.
pub(super) fn rules(random: &mut Random, fleet: &Fleet) -> impl Iterator<Item = String> {
    let narrow = std::iter::repeat_with(|| random.weighted(&SHARES)(random, fleet));
    broad().into_iter().chain(narrow).map(|rule| rule.to_string())
}

/// Whether a rule has neither `$or` nor an operator inside `anything-but`: not every engine knows them.
pub(super) fn is_portable(rule: &str) -> bool {
    !rule.contains(r#""$or""#) && !rule.contains(r#""anything-but":{"#)
}

/// What every configuration has a few of.
fn broad() -> Vec<Value> {
    vec![
        json!({"communicate": [true], "log": [true]}),
        json!({"scope": ["security"], "log": [true]}),
        json!({"scope": ["device"], "action": ["enroll"]}),
        json!({"scope": ["disk"], "action": ["low"], "info": {"disk": {"free_gb": [{"numeric": ["<", 5]}]}}}),
        json!({"trust": ["unverified"], "scope": [{"anything-but": ["agent", "device"]}]}),
        json!({"scope": ["account"], "action": [{"prefix": "promo"}]}),
        json!({"source": ["jamf"], "scope": ["device", "app", "profile"]}),
        json!({"scope": ["session"], "action": ["login"], "user": {"id": [{"suffix": "@sales.example.com"}]}}),
    ]
}

fn one_mac(random: &mut Random, fleet: &Fleet) -> Value {
    rule(json!({"device": {"uuid": [mac(random, fleet).serial]}}), random)
}

fn one_person(random: &mut Random, fleet: &Fleet) -> Value {
    rule(json!({"user": {"id": [mac(random, fleet).owner.id]}}), random)
}

fn one_app(random: &mut Random, fleet: &Fleet) -> Value {
    let app = json!({"bundle_id": [random.pick(&fleet.apps)]});
    let place = department(random);
    let action = *random.pick(&["installed", "updated", "removed"]);
    of("app", action, json!({"info": {"app": app}, "user": place}))
}

/// A floor's Macs, or one vendor's apps.
fn prefix(random: &mut Random, fleet: &Fleet) -> Value {
    if random.percent(70) {
        let floor = format!("{}-{}-{}", random.pick(&SITES), random.below(12), random.below(4));
        return rule(json!({"device": {"name": [{"prefix": floor}]}}), random);
    }
    let app = random.pick(&fleet.apps);
    let vendor = &app[..=app.rfind('.').unwrap_or_default()];
    let place = department(random);
    of("app", "installed", json!({"info": {"app": {"bundle_id": [{"prefix": vendor}]}}, "user": place}))
}

/// What a department wants to know of its Macs, mostly of those at one site.
fn department_macs(random: &mut Random, _: &Fleet) -> Value {
    let mut fields = json!({"user": {"department": [random.popular(&DEPARTMENTS)]}});
    if random.percent(80) {
        fields["device"] = json!({"name": [{"prefix": format!("{}-", random.popular(&SITES))}]});
    }
    rule(fields, random)
}

/// The people of one domain, on one system version.
fn suffix(random: &mut Random, _: &Fleet) -> Value {
    let domains = ["@sales.example.com", "@lab.example.com", "@contractor.example.net", "@board.example.com"];
    let person = json!({"id": [{"suffix": random.pick(&domains)}], "department": [random.pick(&DEPARTMENTS)]});
    rule(json!({"user": person, "device": {"os_version": [random.pick(&SYSTEMS)]}}), random)
}

fn wildcard(random: &mut Random, _: &Fleet) -> Value {
    let name = match random.below(3) {
        0 => format!("{}-lab-{}-*{}", random.pick(&SITES), random.below(9), random.below(10)),
        1 => format!("{}-*-{:02}*", random.pick(&SITES), random.below(40)),
        _ => format!("*-{}-*{:02}", random.below(12), random.below(100)),
    };
    rule(json!({"device": {"name": [{"wildcard": name}]}}), random)
}

/// As somebody typed it.
fn ignoring_case(random: &mut Random, fleet: &Fleet) -> Value {
    if random.percent(50) {
        let network = random.pick(&fleet.networks).to_lowercase();
        let network = json!({"ssid": [{"equals-ignore-case": network}], "vpn": [false]});
        return of("network", "changed", json!({"info": {"network": network}, "user": department(random)}));
    }
    let id = mac(random, fleet).owner.id.to_uppercase();
    rule(json!({"user": {"id": [{"equals-ignore-case": id}]}}), random)
}

fn numeric(random: &mut Random, _: &Fleet) -> Value {
    let place = json!({"name": [{"prefix": format!("{}-{}-", random.pick(&SITES), random.below(12))}]});
    let number = random.below(100);
    let (scope, action, info) = match random.below(3) {
        0 => ("disk", "low", json!({"disk": {"free_gb": [{"numeric": ["<", number % 10 + 1]}]}})),
        1 => ("power", "changed", json!({"battery": {"cycles": [{"numeric": [">", 900 + number]}]}})),
        _ => (
            "power",
            "changed",
            json!({"battery": {"level": [{"numeric": [">=", number % 10, "<", number % 10 + 10]}]}}),
        ),
    };
    of(scope, action, json!({"info": info, "device": place}))
}

/// One Mac, unless it is its owner, or one department's, unless the model is the usual one.
fn anything_but(random: &mut Random, fleet: &Fleet) -> Value {
    let mac = mac(random, fleet);
    if random.percent(50) {
        let user = json!({"id": [{"anything-but": [mac.owner.id]}]});
        return json!({"scope": ["session"], "action": ["login"], "device": {"uuid": [mac.serial]}, "user": user});
    }
    let device = json!({"model": [{"anything-but": {"prefix": "Mac1"}}], "os_version": [random.pick(&SYSTEMS)]});
    let place = json!({"department": [random.pick(&DEPARTMENTS)], "id": [{"suffix": "@example.org"}]});
    rule(json!({"device": device, "user": place}), random)
}

fn exists(random: &mut Random, fleet: &Fleet) -> Value {
    let mac = mac(random, fleet);
    let (user, info) = if random.percent(50) {
        (json!({"id": [{"exists": false}]}), json!({"uptime_s": [{"exists": true}]}))
    } else {
        (json!({"id": [{"exists": true}]}), json!({"app": {"bundle_id": [{"exists": true}]}}))
    };
    json!({"device": {"uuid": [mac.serial]}, "user": user, "info": info})
}

fn alternatives(random: &mut Random, fleet: &Fleet) -> Value {
    let (one, other) = (mac(random, fleet), mac(random, fleet));
    let either = json!([{"device": {"uuid": [one.serial]}}, {"user": {"id": [other.owner.id]}}]);
    rule(json!({"$or": either}), random)
}

/// An app of an old version: both must be said of the same app.
fn app_in_inventory(random: &mut Random, fleet: &Fleet) -> Value {
    let version = format!("{}.", random.below(30));
    let apps = json!({"bundle_id": [random.pick(&fleet.apps)], "version": [{"prefix": version}]});
    of("device", "inventory", json!({"info": {"apps": apps}}))
}

fn address(random: &mut Random, _: &Fleet) -> Value {
    let network = format!("10.{}.{}.0/20", random.below(32), 16 * random.below(16));
    of("network", "changed", json!({"info": {"network": {"ip": [{"cidr": network}]}}, "user": department(random)}))
}

fn several_macs(random: &mut Random, fleet: &Fleet) -> Value {
    let serials: Vec<&str> = (0..3 + random.below(10)).map(|_| mac(random, fleet).serial.as_str()).collect();
    rule(json!({"device": {"uuid": serials}}), random)
}

fn mac<'f>(random: &mut Random, fleet: &'f Fleet) -> &'f Mac {
    random.pick(&fleet.macs)
}

fn department(random: &mut Random) -> Value {
    json!({"department": [random.pick(&DEPARTMENTS)]})
}

/// These fields of one kind of event, or of two of the same scope, or of all of it.
fn rule(mut fields: Value, random: &mut Random) -> Value {
    let (scope, action) = random.weighted(&KINDS);
    fields["scope"] = json!([scope]);
    let all: Vec<&str> =
        KINDS.iter().filter(|(_, (other, _))| other == scope).map(|(_, (_, action))| *action).collect();
    match random.below(10) {
        0..3 => {}
        3 => fields["action"] = json!([action, random.pick(&all)]),
        _ => fields["action"] = json!([action]),
    }
    fields
}

fn of(scope: &str, action: &str, mut fields: Value) -> Value {
    fields["scope"] = json!([scope]);
    fields["action"] = json!([action]);
    fields
}
