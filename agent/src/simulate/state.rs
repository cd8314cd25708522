//! What there is to see on a simulated Mac, in a few bytes, and the snapshots that the agent's sources would take of it.
//! Events come from the sources' own `diff`, so that they cannot drift from what a real agent says.
//!
//! A source more is one struct that implements [`Part`] and one word in `parts!`.

mod machine;
mod managed;
mod person;
mod software;

use std::time::Duration;

use emote_proto::Draft;
use serde_json::Value;

use super::plan::{Place, Step, Vault};
use super::who::{Use, VERSIONS, Who};
use crate::sources::Source;
use machine::{Accounts, Boot, Disk, Network, Os};
use managed::{Mdm, Profiles, Security};
use person::{Ending, Peripherals, Power, Session, Sleep};
pub(super) use software::{APPS, PACKAGES};
use software::{Apps, LaunchItems, Packages, Updates};

/// What one source sees.
trait Part: Copy + PartialEq {
    type Source: Source;
    fn snapshot(self, who: &Who) -> <Self::Source as Source>::Snapshot;
}

macro_rules! parts {
    ($($name:ident: $part:ident,)*) => {
        /// All of it.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub(super) struct State { $(pub(super) $name: $part,)* }

        /// The events that lead from `old` to `new`, each with how often its source looks.
        pub(super) fn changes(who: &Who, old: &State, new: &State) -> Vec<(Draft, Duration)> {
            let mut drafts = Vec::new();
            $(compare(who, old.$name, new.$name, &mut drafts);)*
            drafts
        }

        /// What each source sees the first time.
        pub(super) fn inventory(who: &Who, state: &State) -> Vec<(&'static str, Value)> {
            vec![$(seen(who, state.$name),)*]
        }
    };
}

parts! {
    boot: Boot,
    os: Os,
    network: Network,
    disk: Disk,
    accounts: Accounts,
    security: Security,
    mdm: Mdm,
    profiles: Profiles,
    apps: Apps,
    packages: Packages,
    updates: Updates,
    launch_items: LaunchItems,
    session: Session,
    power: Power,
    peripherals: Peripherals,
    ending: Ending,
    sleep: Sleep,
}

fn compare<P: Part>(who: &Who, old: P, new: P, drafts: &mut Vec<(Draft, Duration)>) {
    if old != new {
        let found = P::Source::diff(&old.snapshot(who), &new.snapshot(who));
        drafts.extend(found.into_iter().map(|draft| (draft, P::Source::INTERVAL)));
    }
}

fn seen<P: Part>(who: &Who, part: P) -> (&'static str, Value) {
    (P::Source::NAME, P::Source::inventory(&part.snapshot(who)))
}

impl State {
    /// As it was the day before; `booted` is seconds since 1970.
    pub(super) fn new(who: &Who, booted: u64, place: Place) -> Self {
        let logged_in =
            i64::try_from(booted).ok().map(|seconds| seconds * 1_000).filter(|_| who.usage != Use::Unattended);
        Self {
            boot: Boot { booted },
            os: Os { version: who.version },
            network: Network { place, vpn: false, renamed: false },
            disk: Disk { low: false, stick: false },
            accounts: Accounts { admin: who.dice.is_multiple_of(5), helper: false },
            security: Security {
                vault: if who.dice % 13 == 1 { Vault::Off } else { Vault::On },
                firewall: who.dice % 7 > 1,
                xprotect: 0,
            },
            mdm: Mdm { enrolled: who.dice % 41 != 3 },
            profiles: Profiles { managed: who.dice % 41 != 3, wifi: None },
            apps: Apps::new(who),
            packages: Packages { last: None },
            updates: Updates { pending: usize::from(who.version) + 1 < VERSIONS.len() && who.dice % 17 < 9 },
            launch_items: LaunchItems { added: false },
            session: Session { since: logged_in, locked: true },
            power: Power { unplugged: false, low: false },
            peripherals: Peripherals { dock: false, stick: false },
            ending: Ending { begun: None },
            sleep: Sleep { slept: None, woke: None },
        }
    }

    /// What the system says of `step` before it happens or as soon as it has.
    pub(super) fn tell(&mut self, step: Step, at: i64) {
        match step {
            Step::Sleep => self.sleep.slept = Some(at),
            Step::Wake => self.sleep.woke = Some(at),
            Step::EndingBegun(restart) => self.ending.begun = Some((at, restart)),
            _ => {}
        }
    }

    /// What `step` changes at `at` (milliseconds since 1970).
    pub(super) fn apply(&mut self, step: Step, at: i64) {
        match step {
            Step::Boot => {
                self.boot.booted = u64::try_from(at / 1_000).unwrap_or(0);
                self.network.vpn = false;
                self.session = Session { since: None, locked: false };
            }
            Step::Sleep => self.network.vpn = false,
            Step::Login => self.session = Session { since: Some(at), locked: false },
            Step::Logout => self.session.since = None,
            Step::Locked(is) => self.session.locked = is,
            Step::Unplugged(is) => self.power = Power { unplugged: is, low: false },
            Step::BatteryLow => self.power.low = self.power.unplugged,
            Step::Dock(is) => self.peripherals.dock = is,
            Step::Go(place) => self.network.place = place,
            Step::Vpn(is) => self.network.vpn = is,
            Step::Renamed => self.network.renamed = true,
            Step::DiskLow(is) => self.disk.low = is,
            Step::Stick(is) => (self.disk.stick, self.peripherals.stick) = (is, is),
            Step::Admin(is) => self.accounts.admin = is,
            Step::Helper(is) => self.accounts.helper = is,
            // What is encrypted is not encrypted again.
            Step::Vault(Vault::On) if self.security.vault != Vault::Encrypting => {}
            Step::Vault(Vault::Encrypting) if self.security.vault != Vault::Off => {}
            Step::Vault(vault) => self.security.vault = vault,
            Step::Firewall(is) => self.security.firewall = is,
            Step::XProtect => self.security.xprotect += 1,
            Step::Enrolled(is) => {
                self.mdm.enrolled = is;
                self.profiles = Profiles { managed: is, wifi: None };
            }
            Step::Profile(is) => self.profiles.wifi = is.then_some(at).filter(|_| self.profiles.managed),
            Step::AppInstalled(app) => self.apps.installed |= 1 << app,
            Step::AppRemoved(app) => self.apps.installed &= !(1 << app),
            Step::AppUpdated(app) => self.apps.updated |= 1 << app,
            Step::Package(package) => self.packages.last = Some((at, package)),
            Step::Pending => self.updates.pending = self.os.version < newest(),
            Step::LaunchItem(is) => self.launch_items.added = is,
            Step::Updated if self.os.version < newest() => {
                self.os.version = newest();
                self.updates.pending = false;
                self.packages.last = Some((at, u8::MAX));
            }
            _ => {}
        }
    }
}

/// Place of the newest version.
fn newest() -> u8 {
    u8::try_from(VERSIONS.len() - 1).unwrap_or(0)
}
