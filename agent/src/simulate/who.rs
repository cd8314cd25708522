//! Who a simulated Mac is: drawn from seed and place in the fleet, the same every time, and plainly invented. Kept
//! nowhere, as it is quickly drawn again.

use emote_proto::{Device, EventId};

use super::random::Random;
use emote_proto::{Serial, SerialError};

/// What a Mac is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Carried between home and office.
    Office,
    /// Mostly at home, with a VPN.
    Remote,
    /// On the road.
    Traveller,
    /// Stands on a desk in an office.
    Desk,
    /// Runs day and night with nobody before it.
    Unattended,
}

/// A simulated Mac.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) seed: u64,
    pub(super) index: u32,
    pub(super) serial: Serial,
    pub(super) model: &'static str,
    pub(super) laptop: bool,
    pub(super) usage: Use,
    pub(super) first: &'static str,
    pub(super) last: &'static str,
    /// Minutes ahead of UTC; there is no daylight saving time here.
    pub(super) zone: i64,
    /// Place in [`VERSIONS`] before today.
    pub(super) version: u8,
    /// For addresses and the like.
    pub(super) dice: u64,
}

/// Version and build, oldest first; the builds are invented.
pub(super) const VERSIONS: &[(&str, &str)] =
    &[("15.7.8", "24G820"), ("26.5.2", "25F84"), ("26.6.1", "25G72"), ("27.0.1", "26A434"), ("27.1", "26B82")];

/// Model identifier, what people call it, whether it has a lid, weight.
const MODELS: &[(&str, &str, bool, u64)] = &[
    ("Mac14,2", "MacBook Air", true, 22),
    ("Mac15,12", "MacBook Air", true, 20),
    ("Mac16,1", "MacBook Pro", true, 20),
    ("Mac15,6", "MacBook Pro", true, 20),
    ("Mac15,5", "iMac", false, 8),
    ("Mac16,10", "Mac mini", false, 7),
    ("Mac14,13", "Mac Studio", false, 3),
];

/// Minutes ahead of UTC of an office, weight.
const ZONES: &[(i64, u64)] = &[(60, 35), (0, 12), (-300, 22), (-480, 16), (330, 6), (540, 9)];

const FIRST: &[&str] = &[
    "Ada", "Alan", "Amir", "Anita", "Barbara", "Carla", "Chidi", "Dana", "Donald", "Edsger", "Elena", "Emil", "Fatima",
    "Grace", "Hedy", "Ines", "Jan", "Joan", "Ken", "Kenji", "Lea", "Linus", "Margaret", "Maya", "Mei", "Nadia", "Noor",
    "Olga", "Omar", "Priya", "Radia", "Rosa", "Sam", "Sofia", "Tariq", "Tomas", "Uma", "Vera", "Wei", "Yuki",
];

const LAST: &[&str] = &[
    "Abebe", "Alvarez", "Baker", "Becker", "Chen", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Gupta",
    "Hansen", "Haas", "Ito", "Ivanova", "Jensen", "Kaya", "Keller", "Kim", "Kowalski", "Lange", "Lopez", "Mbeki",
    "Meyer", "Moreau", "Nakamura", "Novak", "Okafor", "Olsen", "Park", "Patel", "Peters", "Rossi", "Sato", "Schmidt",
    "Silva", "Singh", "Smith", "Tanaka", "Weber",
];

impl Who {
    /// The Mac at `index` of the fleet of `seed`.
    pub(super) fn new(seed: u64, index: u32) -> Result<Self, SerialError> {
        let mut random = Random::of(&[seed, u64::from(index), 1]);
        let (model, _, laptop, _) = MODELS[random.weighted(MODELS.iter().map(|model| model.3))];
        let usage = match (laptop, random.between(0, 99)) {
            (true, 0..=69) => Use::Office,
            (true, 70..=96) => Use::Remote,
            (true, _) => Use::Traveller,
            (false, 0..=69) => Use::Desk,
            (false, _) => Use::Unattended,
        };
        Ok(Self {
            seed,
            index,
            serial: Serial::new(format!("SIM{}{index:05}", letters(seed)))?,
            model,
            laptop,
            usage,
            first: random.pick(FIRST),
            last: random.pick(LAST),
            zone: ZONES[random.weighted(ZONES.iter().map(|zone| zone.1))].0,
            version: u8::try_from(random.weighted([10, 15, 15, 60].into_iter())).unwrap_or(0),
            dice: random.next(),
        })
    }

    /// Short name of the owner's account.
    pub(super) fn account(&self) -> String {
        format!("{}{}", &self.first[..1], self.last).to_lowercase()
    }

    /// The computer's name on the network, as it was given first or after it was renamed.
    pub(super) fn hostname(&self, renamed: bool) -> String {
        let kind = MODELS.iter().find(|model| model.0 == self.model).map_or("Mac", |model| model.1).replace(' ', "-");
        match renamed {
            false => format!("{}s-{kind}.local", self.first),
            true => format!("{}.local", self.serial),
        }
    }

    /// What its events say of it.
    pub(super) fn device(&self, renamed: bool, version: u8) -> Device {
        let uuid = EventId::derived(&["simulated", self.serial.as_str()]).to_string().to_uppercase();
        Device {
            hardware_uuid: Some(uuid),
            name: Some(self.hostname(renamed)),
            model: Some(self.model.into()),
            os_version: Some(VERSIONS[usize::from(version) % VERSIONS.len()].0.into()),
            ..Device::default()
        }
    }
}

/// Four letters for a seed, so that the fleets of two seeds are other Macs.
fn letters(seed: u64) -> String {
    let mut random = Random::of(&[seed, 0]);
    (0..4).map(|_| char::from(random.pick(b"ABCDEFGHJKLMNPQRSTUVWXYZ"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_has_serial_numbers_of_its_own_that_are_plainly_invented() {
        let of = |seed| (0..2_000).map(move |index| Who::new(seed, index).unwrap().serial.to_string());
        let mut serials: Vec<String> = of(7).chain(of(8)).collect();
        assert!(serials.iter().all(|serial| serial.starts_with("SIM")));
        serials.sort();
        serials.dedup();
        assert_eq!(serials.len(), 4_000);
    }

    #[test]
    fn a_mac_is_the_same_whenever_it_is_drawn() {
        assert_eq!(Who::new(7, 3).unwrap(), Who::new(7, 3).unwrap());
        let who = Who::new(7, 3).unwrap();
        assert!(who.account().bytes().all(|byte| byte.is_ascii_lowercase()));
        assert_eq!(who.device(false, who.version).model.as_deref(), Some(who.model));
    }
}
