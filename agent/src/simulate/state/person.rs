//! What the person before it does: logs in, locks the screen, closes the lid, plugs things in.

use std::iter;

use emote_proto::{EventId, Time};

use super::Part;
use crate::gather::Gather;
use crate::simulate::who::Who;
use crate::sources::{ending, peripherals, power, session, sleep};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct Session {
    /// Since when the owner is logged in.
    pub(in crate::simulate) since: Option<i64>,
    pub(in crate::simulate) locked: bool,
}

impl Part for Session {
    type Source = session::Sessions;
    fn snapshot(self, who: &Who) -> session::Snapshot {
        let Some(since) = self.since else { return session::Snapshot::default() };
        let id = EventId::derived(&["simulated session", who.serial.as_str(), &since.to_string()]);
        let session = session::Session {
            uid: Some(502),
            name: Some(format!("{} {}", who.first, who.last)),
            id: Some(id.to_string().to_uppercase()),
            locked: self.locked,
        };
        session::Snapshot { sessions: iter::once((who.account(), session)).gather(), console: Some(who.account()) }
    }
}

/// When it last fell asleep and woke.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct Sleep {
    pub(in crate::simulate) slept: Option<i64>,
    pub(in crate::simulate) woke: Option<i64>,
}

impl Part for Sleep {
    type Source = sleep::Sleep;
    fn snapshot(self, _who: &Who) -> sleep::Snapshot {
        let turn = |at, asleep| sleep::Turn { at, asleep, reason: None };
        let turns = self.slept.map(|at| turn(at, true)).into_iter().chain(self.woke.map(|at| turn(at, false)));
        let mut turns: sleep::Snapshot = turns.collect();
        turns.sort_by_key(|turn| turn.at);
        turns
    }
}

/// The last time that somebody chose to shut down or, if so it says, to restart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct Ending {
    pub(in crate::simulate) begun: Option<(i64, bool)>,
}

impl Ending {
    /// What the machine is about to do.
    pub(in crate::simulate) fn under_way(self, now: Time) -> Option<&'static str> {
        self.moment()?.under_way(now)
    }

    fn moment(self) -> Option<ending::Moment> {
        let what = |restart| if restart { ending::What::Restart } else { ending::What::Shutdown };
        self.begun.map(|(at, restart)| ending::Moment { what: what(restart), cancelled: false, at })
    }
}

impl Part for Ending {
    type Source = ending::Ending;
    fn snapshot(self, _who: &Who) -> ending::Snapshot {
        self.moment()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct Power {
    pub(in crate::simulate) unplugged: bool,
    pub(in crate::simulate) low: bool,
}

impl Part for Power {
    type Source = power::Power;
    fn snapshot(self, who: &Who) -> power::Snapshot {
        let cycles = who.dice % 700;
        let battery = power::Battery {
            condition: if cycles > 640 { power::Condition::Worn } else { power::Condition::Good },
            health_percent: u8::try_from(100 - cycles / 31).ok(),
            cycle_count: Some(cycles),
        };
        let batteries = who.laptop.then(|| ("InternalBattery-0".to_owned(), battery));
        let source = if who.laptop && self.unplugged { power::Supply::Battery } else { power::Supply::Ac };
        let low = Some(9).filter(|_| who.laptop && self.low);
        power::Snapshot { source, low, batteries: batteries.into_iter().gather() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct Peripherals {
    pub(in crate::simulate) dock: bool,
    pub(in crate::simulate) stick: bool,
}

impl Part for Peripherals {
    type Source = peripherals::Peripherals;
    fn snapshot(self, who: &Who) -> peripherals::Snapshot {
        let text = |text: &str| Some(text.to_owned());
        let dock = peripherals::Peripheral {
            bus: peripherals::Bus::Thunderbolt,
            location: text("0x1"),
            vendor: text("Example"),
            product: text("Desk Dock"),
            vendor_id: text("00ff"),
            product_id: text("0d0c"),
            serial: Some(format!("{:016x}", who.dice)),
        };
        let stick = peripherals::Peripheral {
            bus: peripherals::Bus::Usb,
            location: text("0x00200000"),
            vendor: text("Example"),
            product: text("USB Stick"),
            vendor_id: text("1209"),
            product_id: text("0001"),
            serial: Some(format!("{:08X}", who.dice >> 32)),
        };
        self.dock.then_some(dock).into_iter().chain(self.stick.then_some(stick)).gather()
    }
}
