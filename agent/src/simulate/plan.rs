//! What a Mac's day brings, drawn for one local date: when somebody sits before it, and what happens meanwhile. Nothing
//! here knows what an agent makes of it.

use super::random::Random;
use super::state::{APPS, PACKAGES};
use super::who::{Use, Who};

pub(super) const SECOND: i64 = 1_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// Where a Mac is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Home,
    Office,
    Away,
}

/// How FileVault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vault {
    On,
    Off,
    Encrypting,
}

/// Something that happens to a Mac.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is awake when the day begins, and the agent is installed.
    Contact,
    Boot,
    Shutdown,
    Sleep,
    Wake,
    Login,
    Logout,
    Locked(bool),
    Unplugged(bool),
    BatteryLow,
    Dock(bool),
    /// Somebody chose to shut down or, if so it says, to restart.
    EndingBegun(bool),
    AgentStopped,
    AgentCrashed,
    AgentStarted,
    /// What is said from here on is not sent before [`Step::Online`].
    Offline,
    Online,
    Go(Place),
    Vpn(bool),
    Renamed,
    DiskLow(bool),
    Stick(bool),
    Admin(bool),
    Helper(bool),
    Vault(Vault),
    Firewall(bool),
    XProtect,
    Enrolled(bool),
    Profile(bool),
    /// By place in the table of apps.
    AppInstalled(u8),
    AppRemoved(u8),
    AppUpdated(u8),
    /// By place in the table of packages.
    Package(u8),
    LaunchItem(bool),
    /// The system found an update of itself.
    Pending,
    /// Another version of the system was installed, and is there after the next boot.
    Updated,
}

/// Milliseconds since local midnight, and what happens then.
pub(super) type Planned = (i64, Step);

/// Somebody sits before the Mac, or it runs by itself.
#[derive(Debug, Clone, Copy)]
struct Session {
    from: i64,
    to: i64,
    place: Place,
}

/// The plan of the local date `day` (days since 1970), in order. `off` is whether the Mac was shut down, before and after.
pub(super) fn plan(who: &Who, day: i64, off: &mut bool) -> Vec<Planned> {
    let mut random = Random::of(&[who.seed, u64::from(who.index), day.unsigned_abs(), 2]);
    let works = is_weekday(day);
    let sessions = sessions(who, works, &mut random);
    let mut steps = Vec::new();
    for (place, session) in sessions.iter().enumerate() {
        let last = place + 1 == sessions.len();
        if who.usage != Use::Unattended {
            sit_down(who, session, works, *off, &mut random, &mut steps);
            *off = last && random.chance(150);
            get_up(who, session, *off, &mut random, &mut steps);
        }
    }
    if !sessions.is_empty() && works {
        let session = random.pick(&sessions);
        happenings(&session, &mut random, &mut steps);
    }
    // What happens at once happens in the order it was thought of.
    steps.sort_by_key(|(at, _)| *at);
    steps
}

/// 1970 began on a Thursday.
fn is_weekday(day: i64) -> bool {
    (day + 3).rem_euclid(7) < 5
}

fn sessions(who: &Who, works: bool, random: &mut Random) -> Vec<Session> {
    if who.usage == Use::Unattended {
        return vec![Session { from: 0, to: DAY, place: Place::Office }];
    }
    let place = match who.usage {
        Use::Remote => Place::Home,
        Use::Traveller => Place::Away,
        _ => Place::Office,
    };
    if !works {
        let from = random.around(14 * HOUR, 5 * HOUR);
        let to = from + random.between(20, 180) * MINUTE;
        let used = random.chance(if who.laptop { 150 } else { 10 });
        let place = if who.laptop { Place::Home } else { place };
        return if used { vec![Session { from, to, place }] } else { Vec::new() };
    }
    if random.chance(70) {
        return Vec::new();
    }
    let arrives = random.around(9 * HOUR, 75 * MINUTE);
    let leaves = random.around(17 * HOUR + 40 * MINUTE, 120 * MINUTE);
    let mut sessions = Vec::new();
    if who.usage == Use::Office && random.chance(350) {
        let from = arrives - random.between(60, 100) * MINUTE;
        sessions.push(Session { from, to: from + random.between(8, 25) * MINUTE, place: Place::Home });
    }
    let pauses = if who.laptop { random.between(0, 4) } else { random.between(0, 1) };
    cut(arrives, leaves, place, pauses, random, &mut sessions);
    if who.laptop && random.chance(250) {
        let from = leaves + random.between(90, 150) * MINUTE;
        let place = if place == Place::Office { Place::Home } else { place };
        sessions.push(Session { from, to: from + random.between(15, 70) * MINUTE, place });
    }
    sessions
}

/// From `from` to `to`, with the lid closed up to `pauses` times.
fn cut(from: i64, to: i64, place: Place, pauses: i64, random: &mut Random, sessions: &mut Vec<Session>) {
    let (mut begun, room) = (from, 20 * MINUTE);
    let mut closed: Vec<i64> = (0..pauses).map(|_| random.between(from + room, to - room)).collect();
    closed.sort_unstable();
    for at in closed {
        let opened = at + random.between(4, 45) * MINUTE;
        if at >= begun + room && opened + room <= to {
            sessions.push(Session { from: begun, to: at, place });
            begun = opened;
        }
    }
    sessions.push(Session { from: begun, to, place });
}

/// From the lid's opening to its closing.
fn sit_down(who: &Who, session: &Session, works: bool, off: bool, random: &mut Random, steps: &mut Vec<Planned>) {
    let Session { from, to, place } = *session;
    let (begins, unlocks) = if off { (Step::Boot, Step::Login) } else { (Step::Wake, Step::Locked(false)) };
    let begun = from + if off { random.between(25_000, 90_000) } else { random.between(3_000, 25_000) };
    steps.extend([(from, begins), (begun, unlocks)]);
    if who.laptop && random.chance(800) {
        steps.push((from + random.between(5_000, 90_000), Step::Unplugged(false)));
    }
    if has_dock(who, place) {
        steps.push((from + random.between(5_000, 60_000), Step::Dock(true)));
    }
    let mut breaks = begun + random.between(40, 110) * MINUTE;
    while breaks + 30 * MINUTE < to {
        let back = breaks + random.between(3, 25) * MINUTE;
        steps.extend([(breaks, Step::Locked(true)), (back, Step::Locked(false))]);
        breaks = back + random.between(40, 110) * MINUTE;
    }
    steps.push((from + random.between(2_000, 11_000), Step::Go(place)));
    let tunnelled = place != Place::Office && works && (who.usage != Use::Office || random.chance(500));
    if tunnelled {
        steps.push((from + random.between(60_000, 180_000), Step::Vpn(true)));
        if random.chance(700) {
            steps.push((to - random.between(5_000, 30_000), Step::Vpn(false)));
        }
    }
}

fn has_dock(who: &Who, place: Place) -> bool {
    who.laptop && place == Place::Office && who.dice % 5 < 2
}

/// The lid's closing.
fn get_up(who: &Who, session: &Session, off: bool, random: &mut Random, steps: &mut Vec<Planned>) {
    let to = session.to;
    if has_dock(who, session.place) {
        steps.push((to - random.between(9_000, 40_000), Step::Dock(false)));
    }
    if who.laptop && random.chance(600) {
        steps.push((to - random.between(9_000, 80_000), Step::Unplugged(true)));
    }
    if who.laptop && random.chance(20) {
        steps.push((to - random.between(4_000, 8_000), Step::BatteryLow));
    }
    if off {
        let begun = to - random.between(4_000, 12_000);
        steps.extend([(begun, Step::EndingBegun(false)), (to - 2_000, Step::Logout), (to, Step::Shutdown)]);
    } else {
        steps.extend([(to - random.between(500, 2_000), Step::Locked(true)), (to, Step::Sleep)]);
    }
}

/// What does not happen every day.
fn happenings(session: &Session, random: &mut Random, steps: &mut Vec<Planned>) {
    let (from, to) = (session.from + 5 * MINUTE, session.to - 2 * MINUTE);
    if to - from < 20 * MINUTE {
        return;
    }
    let mut pair = |random: &mut Random, first: Step, second: Option<Step>, least: i64, most: i64| {
        let at = random.between(from, to - least - SECOND);
        let then = (at + random.between(least, most)).min(to);
        steps.push((at, first));
        steps.extend(second.map(|second| (then, second)));
    };
    if random.chance(60) {
        pair(random, Step::Offline, Some(Step::Online), 15 * MINUTE, 3 * HOUR);
    }
    if random.chance(30) {
        pair(random, Step::Stick(true), Some(Step::Stick(false)), 2 * MINUTE, 40 * MINUTE);
    }
    if random.chance(8) {
        let recovers = random.chance(600).then_some(Step::DiskLow(false));
        pair(random, Step::DiskLow(true), recovers, 10 * MINUTE, 5 * HOUR);
    }
    if random.chance(12) {
        pair(random, Step::Admin(true), Some(Step::Admin(false)), 5 * MINUTE, 30 * MINUTE);
    }
    if random.chance(4) {
        let removed = random.chance(500).then_some(Step::Helper(false));
        pair(random, Step::Helper(true), removed, 5 * MINUTE, HOUR);
    }
    if random.chance(4) {
        pair(random, Step::Renamed, None, 0, 0);
    }
    if random.chance(60) {
        pair(random, Step::Vault(Vault::Encrypting), Some(Step::Vault(Vault::On)), 15 * MINUTE, 90 * MINUTE);
    }
    if random.chance(8) {
        pair(random, Step::Firewall(false), Some(Step::Firewall(true)), 3 * MINUTE, HOUR);
    }
    if random.chance(80) {
        pair(random, Step::XProtect, None, 0, 0);
    }
    if random.chance(25) {
        let removed = random.chance(100).then_some(Step::Profile(false));
        pair(random, Step::Profile(true), removed, 10 * MINUTE, HOUR);
    }
    if random.chance(4) {
        let again = random.chance(500).then_some(Step::Enrolled(true));
        pair(random, Step::Enrolled(false), again, 10 * MINUTE, HOUR);
    }
    if random.chance(5) {
        pair(random, Step::AgentCrashed, Some(Step::AgentStarted), 10 * SECOND, 11 * SECOND);
    }
    if random.chance(4) {
        pair(random, Step::AgentStopped, Some(Step::AgentStarted), 2 * SECOND, 30 * SECOND);
    }
    if random.chance(40) {
        pair(random, Step::Pending, None, 0, 0);
    }
    if random.chance(25) {
        let at = random.between(from, to - 18 * MINUTE);
        steps.push((at - MINUTE, Step::Pending));
        let takes = random.between(5, 17) * MINUTE;
        steps.extend([(at - 9 * SECOND, Step::EndingBegun(true)), (at - 3 * SECOND, Step::Logout)]);
        steps.extend([(at, Step::Shutdown), (at + SECOND, Step::Updated), (at + takes, Step::Boot)]);
        steps.push((at + takes + random.between(30, 60) * SECOND, Step::Login));
    }
    software(from, to, random, steps);
}

/// Apps and packages come and go; updates come often.
fn software(from: i64, to: i64, random: &mut Random, steps: &mut Vec<Planned>) {
    let mut some = |per_mille: u64, step: fn(u8) -> Step, among: usize| {
        if random.chance(per_mille) {
            let place = u8::try_from(random.next() % among as u64).unwrap_or(0);
            steps.push((random.between(from, to), step(place)));
        }
    };
    some(200, Step::AppUpdated, APPS.len());
    some(60, Step::AppUpdated, APPS.len());
    some(50, Step::AppInstalled, APPS.len());
    some(15, Step::AppRemoved, APPS.len());
    some(25, Step::Package, PACKAGES.len());
    some(10, |_| Step::LaunchItem(true), 1);
    some(5, |_| Step::LaunchItem(false), 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONDAY: i64 = 20_780;

    #[test]
    fn a_week_has_two_quiet_days() {
        assert_eq!(
            (0..7).map(|day| is_weekday(MONDAY + day)).collect::<Vec<_>>(),
            [true, true, true, true, true, false, false]
        );
        let busy = |day| {
            let planned = |index| plan(&Who::new(7, index).unwrap(), day, &mut false).len();
            (0..500).map(planned).sum::<usize>()
        };
        assert!(busy(MONDAY) > 4 * busy(MONDAY + 5));
    }

    #[test]
    fn who_is_awake_falls_asleep_before_waking_again() {
        for index in 0..3_000 {
            let who = Who::new(7, index).unwrap();
            let mut awake = who.usage == Use::Unattended;
            let mut off = false;
            for day in MONDAY..MONDAY + 7 {
                for (_, step) in plan(&who, day, &mut off) {
                    let after = match step {
                        Step::Boot | Step::Wake => true,
                        Step::Sleep | Step::Shutdown => false,
                        _ => continue,
                    };
                    assert_ne!(awake, after, "{step:?} of {index}");
                    awake = after;
                }
            }
        }
    }
}
