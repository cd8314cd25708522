//! What Macs report, in Emote's event shape: about 430 bytes each.

use super::fleet::{Fleet, Mac};
use super::random::Random;

/// How often each kind of event happens in a fleet: weight, scope, action.
pub(super) const KINDS: [(usize, (&str, &str)); 24] = [
    (20, ("agent", "heartbeat")),
    (14, ("device", "checkin")),
    (5, ("device", "inventory")),
    (4, ("device", "wake")),
    (4, ("device", "sleep")),
    (2, ("device", "boot")),
    (1, ("device", "enroll")),
    (9, ("session", "login")),
    (6, ("session", "logout")),
    (9, ("session", "lock")),
    (9, ("session", "unlock")),
    (7, ("app", "updated")),
    (3, ("app", "installed")),
    (2, ("app", "removed")),
    (8, ("network", "changed")),
    (5, ("power", "changed")),
    (2, ("disk", "low")),
    (2, ("disk", "mounted")),
    (1, ("profile", "installed")),
    (1, ("profile", "removed")),
    (1, ("os", "updated")),
    (1, ("security", "changed")),
    (1, ("account", "created")),
    (1, ("account", "promoted")),
];

pub(super) fn event(random: &mut Random, fleet: &Fleet) -> String {
    let (scope, action) = *random.weighted(&KINDS);
    let Mac { serial, udid, name, model, system, owner, address } = random.pick(&fleet.macs);
    let info = info(random, fleet, scope, action, address);
    let (source, trust) = *random.weighted(&[
        (80, ("agent", "authenticated")),
        (15, ("jamf", "verified")),
        (5, ("nanomdm", "unverified")),
    ]);
    let mut json = format!(
        r#"{{"id":"{}","time":"{}","source":"{source}","scope":"{scope}","action":"{action}""#,
        id(random),
        time(random)
    );
    json += &format!(
        r#","device":{{"uuid":"{serial}","udid":"{udid}","name":"{name}","model":"{model}","os_version":"{system}"}}"#
    );
    // A heartbeat and the like come from the Mac itself and from nobody.
    if random.percent(60) {
        json +=
            &format!(r#","user":{{"id":"{}","name":"{}","department":"{}"}}"#, owner.id, owner.name, owner.department);
    }
    let log = random.percent(85);
    json += &format!(r#","info":{info},"communicate":{},"log":{log},"trust":"{trust}"}}"#, random.percent(10));
    json
}

fn id(random: &mut Random) -> String {
    let mut hex = |length| random.text("0123456789abcdef", length);
    format!("0198{}-{}-7{}-a{}-{}", hex(4), hex(4), hex(3), hex(3), hex(12))
}

fn time(random: &mut Random) -> String {
    let mut below = |end| random.below(end);
    format!("2026-03-{:02}T{:02}:{:02}:{:02}.{:03}Z", below(28) + 1, below(24), below(60), below(60), below(1_000))
}

fn info(random: &mut Random, fleet: &Fleet, scope: &str, action: &str, address: &str) -> String {
    match (scope, action) {
        ("app", _) => format!(r#"{{"app":{}}}"#, app(random, fleet)),
        ("device", "inventory") => inventory(random, fleet),
        ("network", _) => {
            let network = random.popular(&fleet.networks);
            let signal = 30 + random.below(60);
            format!(
                r#"{{"network":{{"ssid":"{network}","ip":"{address}","signal":-{signal},"vpn":{}}}}}"#,
                random.percent(30)
            )
        }
        ("power", _) => {
            let (level, cycles) = (random.below(101), random.below(1_200));
            format!(r#"{{"battery":{{"level":{level},"cycles":{cycles},"charging":{}}}}}"#, random.percent(50))
        }
        ("disk", _) => {
            format!(r#"{{"disk":{{"free_gb":{:.1},"total_gb":494.4,"volume":"Data"}}}}"#, 40.0 * random.fraction())
        }
        ("security", _) => {
            format!(r#"{{"filevault":{},"firewall":{},"gatekeeper":true}}"#, random.percent(70), random.percent(60))
        }
        ("profile", _) => format!(r#"{{"profile":{{"identifier":"com.example.profile.{}"}}}}"#, random.below(40)),
        ("agent", _) => {
            format!(
                r#"{{"version":"0.1.{}","uptime_s":{},"spooled":{}}}"#,
                random.below(4),
                random.below(900_000),
                random.below(3)
            )
        }
        _ => format!(
            r#"{{"reason":{},"uptime_s":{}}}"#,
            random.pick(&["null", r#""user""#, r#""policy""#]),
            random.below(900_000)
        ),
    }
}

fn app(random: &mut Random, fleet: &Fleet) -> String {
    let (bundle, major, minor) = (random.popular(&fleet.apps), random.below(30), random.below(10));
    format!(r#"{{"bundle_id":"{bundle}","version":"{major}.{minor}","size_mb":{:.1}}}"#, 900.0 * random.fraction())
}

fn inventory(random: &mut Random, fleet: &Fleet) -> String {
    let count = 2 + random.below(5);
    let apps: Vec<String> = (0..count).map(|_| app(random, fleet)).collect();
    let free = 480.0 * random.fraction();
    format!(
        r#"{{"apps":[{}],"disk":{{"free_gb":{free:.1},"total_gb":494.4}},"filevault":{}}}"#,
        apps.join(","),
        random.percent(90)
    )
}
