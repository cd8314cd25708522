//! Where the power comes from, whether it runs low, and how the batteries are. How full they are makes no event but below
//! 10 %, and then none until 15 % are there again; health is told when it is 2 % from what was told, cycles when they are
//! 50, so that nothing flickers. A machine without a battery is an ordinary one.
//!
//! macOS: `pmset -g batt`, and AppleSmartBattery, whose keys differ between Intel and Apple silicon (public recordings).
//! Linux: /sys/class/power_supply (Documentation/ABI/testing/sysfs-class-power).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ::plist::{Dictionary, Value as Plist};
use emote_proto::Draft;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ObserveError, Source};
use crate::gather::Gather;
use crate::platform::{Host, System, ioreg, tools};
use crate::vocabulary::Kind;

const LOW_PERCENT: u8 = 10;
const RECOVERED_PERCENT: u8 = 15;
/// Below this a battery holds less than its maker says it should.
const WORN_PERCENT: u8 = 80;
/// Tenths of a percent that health has to move by to be told again.
const HEALTH_STEP: u64 = 15;
const CYCLES_STEP: u64 = 50;
/// Batteries at most.
const MOST: usize = 16;
const SUPPLIES: &str = "/sys/class/power_supply";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) source: Supply,
    /// `Some(percent when that was noticed)` while low.
    pub(crate) low: Option<u8>,
    /// By name.
    pub(crate) batteries: BTreeMap<String, Battery>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Supply {
    Ac,
    Battery,
    Ups,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Battery {
    pub(crate) condition: Condition,
    /// Of what it held when it was new; as it was when it was last told.
    pub(crate) health_percent: Option<u8>,
    pub(crate) cycle_count: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Condition {
    Good,
    Worn,
    Failed,
}

/// What a system says before anything of it is compared.
#[derive(Debug, PartialEq)]
struct Answer {
    source: Supply,
    /// How full.
    percent: Option<u8>,
    batteries: BTreeMap<String, Measured>,
}

/// A battery's figures.
#[derive(Debug, Default, PartialEq)]
struct Measured {
    /// What it holds and held when it was new, in whatever unit.
    holds: Option<(u64, u64)>,
    cycles: Option<u64>,
    failed: Option<bool>,
}

pub(crate) struct Power;

impl Source for Power {
    const NAME: &'static str = "power";
    const ABOUT: &'static str = "power source, low battery and battery health";
    const VERSION: u8 = 1;
    const INTERVAL: Duration = Duration::from_secs(300);
    const DEBOUNCE: Duration = Duration::from_secs(1);
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let answer = match host.system() {
            System::Mac => mac(host)?,
            System::Linux => linux(host)?,
        };
        if answer.batteries.len() > MOST {
            return Err(ObserveError::Answer(format!("more than {MOST} batteries")));
        }
        let low = low(old.and_then(|old| old.low), answer.percent, !answer.batteries.is_empty());
        let batteries = answer.batteries.into_iter().map(|(name, measured)| {
            let before = old.and_then(|old| old.batteries.get(&name));
            let battery = measured.battery(before);
            (name, battery)
        });
        Ok(Snapshot { source: answer.source, low, batteries: batteries.gather() })
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        let mut drafts = Vec::new();
        if old.source != new.source {
            drafts.push(Kind::PowerChanged.draft(json!({"from": old.source, "to": new.source})));
        }
        match new.low {
            Some(percent) if old.low != new.low => {
                drafts.push(Kind::PowerLow.draft(json!({"percent": percent, "source": new.source})));
            }
            None if old.low.is_some() => drafts.push(Kind::PowerRecovered.draft(json!({"source": new.source}))),
            _ => {}
        }
        let gone = old.batteries.keys().filter(|name| !new.batteries.contains_key(*name));
        for name in gone.chain(new.batteries.keys()) {
            let (from, to) = (old.batteries.get(name), new.batteries.get(name));
            if from != to {
                drafts.push(Kind::BatteryChanged.draft(json!({"battery": name, "from": from, "to": to})));
            }
        }
        drafts
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        json!({"source": snapshot.source, "low": snapshot.low.is_some(), "batteries": snapshot.batteries})
    }
}

impl Measured {
    /// What is said of it, `before` having been said; what it does not say for the moment stays as it was.
    fn battery(&self, before: Option<&Battery>) -> Battery {
        let permille = self.holds.filter(|(_, new)| *new > 0);
        let permille = permille.map(|(now, new)| (now.saturating_mul(1000) / new).min(1000));
        let told = before.and_then(|before| before.health_percent);
        let is_near = |told: u8, permille: u64| (u64::from(told) * 10).abs_diff(permille) < HEALTH_STEP;
        let health_percent = permille.and_then(|permille| {
            let rounded = u8::try_from((permille + 5) / 10).ok();
            told.filter(|told| is_near(*told, permille)).or(rounded)
        });
        let health_percent = health_percent.or(told);
        let cycles = before.and_then(|before| before.cycle_count);
        let is_near = |told: u64, cycles: u64| (told..told.saturating_add(CYCLES_STEP)).contains(&cycles);
        let cycle_count =
            self.cycles.map(|count| cycles.filter(|told| is_near(*told, count)).unwrap_or(count)).or(cycles);
        let had_failed = before.is_some_and(|before| before.condition == Condition::Failed);
        let condition = match health_percent {
            _ if self.failed.unwrap_or(had_failed) => Condition::Failed,
            Some(percent) if percent < WORN_PERCENT => Condition::Worn,
            _ => Condition::Good,
        };
        Battery { condition, health_percent, cycle_count }
    }
}

/// Low stays low until it has clearly recovered, or there is no battery any more.
fn low(was: Option<u8>, percent: Option<u8>, has_battery: bool) -> Option<u8> {
    let Some(percent) = percent else { return was.filter(|_| has_battery) };
    let limit = if was.is_some() { RECOVERED_PERCENT } else { LOW_PERCENT };
    (percent < limit).then(|| was.unwrap_or(percent))
}

fn mac(host: &dyn Host) -> Result<Answer, ObserveError> {
    let text = host.run(&tools::PMSET_BATTERIES)?.successful(&tools::PMSET_BATTERIES)?;
    let (source, percent) = parse(&text)?;
    let entries = ioreg::entries(host, &tools::IOREG_BATTERY)?;
    let installed = entries.iter().filter(|entry| !says_no(entry, "BatteryInstalled"));
    let measured: Vec<Measured> = installed.map(mac_battery).collect();
    if measured.is_empty() && text.contains("InternalBattery") {
        return Err(ObserveError::Answer("pmset has a battery that ioreg has not".into()));
    }
    let name = |number: usize| format!("InternalBattery-{number}");
    let batteries = measured.into_iter().enumerate().map(|(number, measured)| (name(number), measured)).gather();
    Ok(Answer { source, percent, batteries })
}

/// Reads `Now drawing from 'AC Power'` and ` -InternalBattery-0 (id=…)\t14%; charging; 5:55 remaining present: true`. How
/// full is the Mac's own battery; that of a UPS where it has none.
fn parse(text: &str) -> Result<(Supply, Option<u8>), ObserveError> {
    let drawing = text.lines().find_map(|line| line.trim().strip_prefix("Now drawing from '")?.strip_suffix('\''));
    let source = match drawing {
        Some("AC Power") => Supply::Ac,
        Some("Battery Power") => Supply::Battery,
        Some("UPS Power") => Supply::Ups,
        Some(other) => return Err(ObserveError::Answer(format!("pmset: drawing from {other:.40?}"))),
        None => return Err(ObserveError::Answer("pmset does not say where the power comes from".into())),
    };
    let batteries = || text.lines().filter_map(|line| line.trim().strip_prefix('-'));
    let own = batteries().find(|line| line.starts_with("InternalBattery"));
    let Some(line) = own.or_else(|| batteries().next()) else { return Ok((source, None)) };
    let percent = line.split_once('%').and_then(|(before, _)| before.rsplit(char::is_whitespace).next()?.parse().ok());
    match percent.filter(|percent| *percent <= 100) {
        Some(percent) => Ok((source, Some(percent))),
        // A battery that has just been found is listed before it is known how full it is.
        None if line.contains("(no estimate)") || line.contains("present: false") => Ok((source, None)),
        None => Err(ObserveError::Answer("pmset does not say how full the battery is".into())),
    }
}

fn says_no(entry: &Dictionary, key: &str) -> bool {
    entry.get(key).and_then(Plist::as_boolean) == Some(false)
}

/// On Apple silicon `MaxCapacity` is a percentage, and newer systems keep some of it in `BatteryData`.
fn mac_battery(entry: &Dictionary) -> Measured {
    let data = entry.get("BatteryData").and_then(Plist::as_dictionary);
    let number = |key: &str| ioreg::number(entry, key).or_else(|| ioreg::number(data?, key));
    let milliampere_hours = number("MaxCapacity").filter(|capacity| *capacity > 100);
    let holds = number("NominalChargeCapacity").or_else(|| number("AppleRawMaxCapacity")).or(milliampere_hours);
    Measured {
        holds: holds.zip(number("DesignCapacity")),
        cycles: number("CycleCount"),
        failed: number("PermanentFailureStatus").map(|status| status != 0),
    }
}

fn linux(host: &dyn Host) -> Result<Answer, ObserveError> {
    let supplies = match host.list(Path::new(SUPPLIES)) {
        Ok(supplies) => supplies,
        Err(error) if error.is_missing() => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let (mut is_online, mut discharging, mut percents) = (false, None, Vec::new());
    let mut batteries = BTreeMap::new();
    for supply in supplies {
        let text = |file: &str| host.read_text(&format!("{SUPPLIES}/{}/{file}", supply.name)).ok();
        let number = |file: &str| text(file)?.parse::<u64>().ok();
        // A mouse has a battery too.
        let kind = text("type").filter(|_| text("scope").as_deref() != Some("Device"));
        match kind.as_deref() {
            Some("Mains" | "USB") => is_online |= number("online") == Some(1),
            Some(kind @ ("Battery" | "UPS")) if number("present") != Some(0) => {
                let is_discharging = text("status").as_deref() == Some("Discharging");
                let source = if kind == "UPS" { Supply::Ups } else { Supply::Battery };
                discharging = discharging.or(Some(source).filter(|_| is_discharging));
                percents.extend(number("capacity").filter(|percent| *percent <= 100));
                let held = |what: &str| number(&format!("{what}_full")).zip(number(&format!("{what}_full_design")));
                let measured = Measured {
                    holds: held("energy").or_else(|| held("charge")),
                    // 0 where it is not counted.
                    cycles: number("cycle_count").filter(|count| *count > 0),
                    failed: text("health").map(|health| health == "Dead"),
                };
                batteries.insert(supply.name.chars().take(64).collect(), measured);
            }
            _ => {}
        }
    }
    let source = discharging.filter(|_| !is_online).unwrap_or(Supply::Ac);
    let percent = percents.iter().sum::<u64>().checked_div(percents.len() as u64);
    Ok(Answer { source, percent: percent.and_then(|percent| u8::try_from(percent).ok()), batteries })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use proptest::prelude::*;

    #[test]
    fn pmset_says_where_the_power_comes_from_and_how_full_the_macs_own_battery_is() {
        let battery = |rest: &str| format!(" -InternalBattery-0 (id=22675555)\t{rest} present: true\n");
        let ups = " -Back-UPS ES 700 (id=1234)\t87%; discharging; (no estimate)\n";
        for (source, batteries, expected) in [
            ("AC Power", String::new(), (Supply::Ac, None)),
            ("AC Power", battery("100%; charged; 0:00 remaining"), (Supply::Ac, Some(100))),
            ("Battery Power", battery("9%; discharging; (no estimate)"), (Supply::Battery, Some(9))),
            ("Battery Power", format!("{ups}{}", battery("12%; discharging; 0:20")), (Supply::Battery, Some(12))),
            ("UPS Power", ups.into(), (Supply::Ups, Some(87))),
            ("AC Power", battery("(no estimate)"), (Supply::Ac, None)),
        ] {
            assert_eq!(parse(&format!("Now drawing from '{source}'\n{batteries}")).unwrap(), expected, "{batteries}");
        }
        for text in [
            "",
            "Now drawing from 'Solar Power'\n",
            "pmset: error",
            "Now drawing from 'AC Power'\n -InternalBattery-0\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_battery_is_low_once_until_it_has_clearly_recovered() {
        for (was, percent, is) in [
            (None, Some(10), None),
            (None, Some(9), Some(9)),
            (Some(9), Some(3), Some(9)),
            (Some(9), Some(14), Some(9)),
            (Some(9), Some(15), None),
            (Some(9), None, Some(9)),
        ] {
            assert_eq!(low(was, percent, true), is, "{was:?} {percent:?}");
        }
        assert_eq!(low(Some(9), None, false), None, "it was taken out");
    }

    #[test]
    fn health_and_cycles_are_said_again_only_when_they_have_clearly_moved() {
        let battery = |health: u8, cycles: u64| Battery {
            condition: if health < 80 { Condition::Worn } else { Condition::Good },
            health_percent: Some(health),
            cycle_count: Some(cycles),
        };
        for (before, holds, cycles, expected) in [
            (None, 914, 155, battery(91, 155)),
            (Some((91, 155)), 924, 204, battery(91, 155)),
            (Some((91, 155)), 896, 205, battery(91, 205)),
            (Some((91, 155)), 895, 155, battery(90, 155)),
            (Some((91, 155)), 1_300, 3, battery(100, 3)),
            (Some((80, 155)), 786, 155, battery(80, 155)),
            (Some((80, 155)), 785, 155, battery(79, 155)),
        ] {
            let measured = Measured { holds: Some((holds, 1_000)), cycles: Some(cycles), failed: Some(false) };
            let before = before.map(|(health, cycles)| battery(health, cycles));
            assert_eq!(measured.battery(before.as_ref()), expected, "{before:?} {holds} {cycles}");
        }
        let unknown = Measured { holds: Some((5, 0)), cycles: None, failed: Some(true) }.battery(None);
        assert_eq!(unknown, Battery { condition: Condition::Failed, health_percent: None, cycle_count: None });
    }

    #[test]
    fn what_a_battery_does_not_say_for_the_moment_stays_as_it_was() {
        for condition in [Condition::Worn, Condition::Failed] {
            let before = Battery { condition, health_percent: Some(70), cycle_count: Some(900) };
            assert_eq!(Measured::default().battery(Some(&before)), before);
            let cycles = Measured { cycles: Some(901), ..Measured::default() };
            assert_eq!(cycles.battery(Some(&before)), before);
        }
    }

    fn mac_host(pmset: &str, entry: &str) -> Recorded {
        let text = if entry.is_empty() {
            String::new()
        } else {
            format!("<plist version=\"1.0\"><array><dict>{entry}</dict></array></plist>")
        };
        Recorded::mac().tool(&tools::PMSET_BATTERIES, pmset).tool(&tools::IOREG_BATTERY, &text)
    }

    const ON_BATTERY: &str =
        "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=1)\t50%; discharging; 3:00 remaining\n";

    #[test]
    fn each_kind_of_mac_says_how_its_battery_is() {
        let numbers = |pairs: &[(&str, i64)]| -> String {
            pairs.iter().map(|(key, number)| format!("<key>{key}</key><integer>{number}</integer>")).collect()
        };
        let silicon = numbers(&[
            ("MaxCapacity", 100),
            ("AppleRawMaxCapacity", 4_100),
            ("DesignCapacity", 4_563),
            ("CycleCount", 87),
            ("NominalChargeCapacity", 4_200),
            ("PermanentFailureStatus", 0),
        ]);
        let newer = format!(
            "<key>BatteryData</key><dict>{}</dict>{}",
            numbers(&[("DesignCapacity", 5_000)]),
            numbers(&[("NominalChargeCapacity", 3_500), ("CycleCount", 900)])
        );
        let intel = numbers(&[
            ("MaxCapacity", 5_889),
            ("DesignCapacity", 6_559),
            ("CycleCount", 155),
            ("PermanentFailureStatus", 1),
        ]);
        for (entry, condition, health, cycles) in [
            (&silicon, Condition::Good, 92, 87),
            (&newer, Condition::Worn, 70, 900),
            (&intel, Condition::Failed, 90, 155),
        ] {
            let snapshot = Power::observe(&mac_host(ON_BATTERY, entry), None).unwrap();
            let battery = Battery { condition, health_percent: Some(health), cycle_count: Some(cycles) };
            assert_eq!(snapshot.batteries, [("InternalBattery-0".to_owned(), battery)].into());
        }
    }

    #[test]
    fn a_desktop_has_no_battery_and_a_laptop_does_not_lose_its_own() {
        let desktop = Power::observe(&mac_host("Now drawing from 'AC Power'\n", ""), None).unwrap();
        assert_eq!(desktop, Snapshot { source: Supply::Ac, low: None, batteries: BTreeMap::new() });
        let empty = "<key>BatteryInstalled</key><false/>";
        assert_eq!(Power::observe(&mac_host("Now drawing from 'AC Power'\n", empty), None).unwrap(), desktop);
        assert!(Power::observe(&mac_host(ON_BATTERY, ""), None).is_err());
        assert!(Power::observe(&Recorded::mac().tool(&tools::PMSET_BATTERIES, ON_BATTERY), None).is_err());
        assert_eq!(Power::observe(&Recorded::linux(), None).unwrap(), desktop);
    }

    #[test]
    fn linux_says_it_in_files() {
        let file = |host: Recorded, path: &str, text: &str| host.file(&format!("{SUPPLIES}/{path}"), text);
        let files = [
            ("BAT0/type", "Battery\n"),
            ("BAT0/status", "Discharging\n"),
            ("BAT0/capacity", "8\n"),
            ("BAT0/energy_full", "45000000\n"),
            ("BAT0/energy_full_design", "50000000\n"),
            ("BAT0/cycle_count", "0\n"),
            ("AC/type", "Mains\n"),
            ("AC/online", "0\n"),
            ("hidpp/type", "Battery\n"),
            ("hidpp/scope", "Device\n"),
            ("hidpp/capacity", "3\n"),
        ];
        let host = files.iter().fold(Recorded::linux(), |host, (path, text)| file(host, path, text));
        let unplugged = Power::observe(&host, None).unwrap();
        let battery = Battery { condition: Condition::Good, health_percent: Some(90), cycle_count: None };
        let batteries: BTreeMap<String, Battery> = [("BAT0".to_owned(), battery)].into();
        assert_eq!(unplugged, Snapshot { source: Supply::Battery, low: Some(8), batteries: batteries.clone() });
        let plugged = file(file(host, "AC/online", "1\n"), "BAT0/status", "Charging\n");
        let plugged = Power::observe(&plugged, Some(&unplugged)).unwrap();
        assert_eq!(plugged, Snapshot { source: Supply::Ac, low: Some(8), batteries });
        let drafts = Power::diff(&unplugged, &plugged);
        assert_eq!(drafts, [Kind::PowerChanged.draft(json!({"from": "battery", "to": "ac"}))]);
    }

    fn any_snapshot() -> impl Strategy<Value = Snapshot> {
        let condition = prop::sample::select(vec![Condition::Good, Condition::Worn, Condition::Failed]);
        let battery = (condition, prop::option::of(1_u8..3), prop::option::of(1_u64..3));
        let battery = battery.prop_map(|(condition, health_percent, cycle_count)| Battery {
            condition,
            health_percent,
            cycle_count,
        });
        let source = prop::sample::select(vec![Supply::Ac, Supply::Battery, Supply::Ups]);
        (source, prop::option::of(1_u8..3), prop::collection::btree_map("[ab]", battery, 0..3))
            .prop_map(|(source, low, batteries)| Snapshot { source, low, batteries })
    }

    fn replay(mut snapshot: Snapshot, drafts: &[Draft]) -> Snapshot {
        for draft in drafts {
            let info = draft.info.clone().unwrap().into_value();
            if Kind::PowerChanged.is(draft) {
                snapshot.source = serde_json::from_value(info["to"].clone()).unwrap();
            } else if Kind::BatteryChanged.is(draft) {
                let name = info["battery"].as_str().unwrap().to_owned();
                match serde_json::from_value::<Option<Battery>>(info["to"].clone()).unwrap() {
                    Some(battery) => snapshot.batteries.insert(name, battery),
                    None => snapshot.batteries.remove(&name),
                };
            } else {
                snapshot.low = info["percent"].as_u64().map(|percent| u8::try_from(percent).unwrap());
            }
        }
        snapshot
    }

    proptest! {
        #[test]
        fn replaying_the_events_over_the_old_snapshot_gives_the_new(old in any_snapshot(), new in any_snapshot()) {
            let drafts = Power::diff(&old, &new);
            prop_assert_eq!(drafts.is_empty(), old == new);
            prop_assert_eq!(replay(old, &drafts), new);
        }

        #[test]
        fn no_text_panics(text in any::<String>(), number in any::<u64>()) {
            let _ = Power::observe(&mac_host(&text, &text), None);
            let _ = parse(&format!("Now drawing from '{text}'\n -{text} {number}%"));
            let entry = format!("<key>CycleCount</key><integer>{number}</integer><key>MaxCapacity</key><integer>{number}\
                </integer><key>DesignCapacity</key><integer>{number}</integer>");
            let _ = Power::observe(&mac_host("Now drawing from 'AC Power'\n", &entry), None);
            let files = ["type", "capacity", "energy_full", "status"];
            let host = files.iter().fold(Recorded::linux(), |host, file| host.file(&format!("{SUPPLIES}/B/{file}"), &text));
            let _ = Power::observe(&host.file(&format!("{SUPPLIES}/B/type"), "Battery"), None);
        }
    }
}
