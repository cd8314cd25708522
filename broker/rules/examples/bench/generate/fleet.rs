//! The Macs, people, apps and places that device events and the rules about them have in common.

use super::random::Random;

const FIRST: [&str; 20] = [
    "ada",
    "alan",
    "barbara",
    "claude",
    "donald",
    "edsger",
    "frances",
    "grace",
    "hedy",
    "ines",
    "joan",
    "katherine",
    "leslie",
    "margaret",
    "niklaus",
    "ole",
    "radia",
    "sophie",
    "tim",
    "zoe",
];
const LAST: [&str; 24] = [
    "allen", "baker", "cerf", "dijkstra", "engel", "fischer", "goldberg", "hopper", "iverson", "jones", "keller",
    "lamport", "mueller", "naur", "osei", "perlman", "quist", "ritchie", "santos", "tanaka", "ueda", "virtanen",
    "wirth", "young",
];
const DOMAINS: [(usize, &str); 6] = [
    (60, "example.com"),
    (15, "sales.example.com"),
    (10, "lab.example.com"),
    (8, "example.org"),
    (5, "contractor.example.net"),
    (2, "board.example.com"),
];
pub(super) const DEPARTMENTS: [&str; 16] = [
    "Engineering",
    "Sales",
    "Design",
    "Finance",
    "Legal",
    "People",
    "Support",
    "Marketing",
    "Research",
    "Facilities",
    "Security",
    "Data",
    "Board",
    "Operations",
    "Quality",
    "Training",
];
pub(super) const SITES: [&str; 24] = [
    "BER", "LON", "FRA", "NYC", "SFO", "TYO", "PAR", "MUC", "AMS", "DUB", "ZRH", "VIE", "CPH", "OSL", "HEL", "WAW",
    "PRG", "MAD", "LIS", "MIL", "SIN", "SYD", "TOR", "AUS",
];
pub(super) const MODELS: [&str; 14] = [
    "Mac14,2",
    "Mac15,12",
    "Mac15,3",
    "Mac14,7",
    "Mac16,1",
    "Mac16,8",
    "MacBookPro18,3",
    "MacBookPro18,1",
    "MacBookAir10,1",
    "Macmini9,1",
    "Mac14,3",
    "iMac21,1",
    "Mac13,1",
    "Mac14,13",
];
pub(super) const SYSTEMS: [&str; 12] =
    ["15.6.1", "15.6", "15.5", "15.4.1", "14.7.7", "14.7.4", "14.6.1", "26.0", "26.0.1", "13.7.7", "13.6.9", "12.7.6"];
const VENDORS: [&str; 22] = [
    "apple",
    "microsoft",
    "adobe",
    "google",
    "tinyspeck",
    "figma",
    "jetbrains",
    "docker",
    "zoom",
    "1password",
    "spotify",
    "atlassian",
    "notion",
    "postman",
    "sublimetext",
    "github",
    "citrix",
    "vmware",
    "cisco",
    "crowdstrike",
    "mozilla",
    "panic",
];
const PRODUCTS: [&str; 18] = [
    "Mail", "Browser", "Editor", "Connect", "Meetings", "Desktop", "Studio", "Agent", "Updater", "Notes", "Draw",
    "Sheets", "Player", "Terminal", "Helper", "Remote", "Sync", "Vault",
];

pub(super) struct Mac {
    pub(super) serial: String,
    pub(super) udid: String,
    pub(super) name: String,
    pub(super) model: &'static str,
    pub(super) system: &'static str,
    pub(super) owner: User,
    pub(super) address: String,
}

#[derive(Clone)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) department: &'static str,
}

pub(super) struct Fleet {
    pub(super) macs: Vec<Mac>,
    /// Bundle ids, popular ones first.
    pub(super) apps: Vec<String>,
    pub(super) networks: Vec<String>,
}

impl Fleet {
    pub(super) fn new(random: &mut Random) -> Self {
        let macs = (0..4_000).map(|number| mac(random, number)).collect();
        let app = |place: usize| {
            let (vendor, product) = (VENDORS[place % VENDORS.len()], PRODUCTS[place / VENDORS.len() % PRODUCTS.len()]);
            format!("com.{vendor}.{product}{}", if place % 7 == 6 { ".beta" } else { "" })
        };
        let networks = SITES.iter().flat_map(|site| ["Corp", "Guest", "Lab"].map(|kind| format!("{site}-{kind}")));
        Self { macs, apps: (0..VENDORS.len() * PRODUCTS.len()).map(app).collect(), networks: networks.collect() }
    }
}

fn mac(random: &mut Random, number: usize) -> Mac {
    let owner = user(random, number);
    let site = *random.popular(&SITES);
    let name = match random.below(40) {
        0 => format!("Zoë’s MacBook Pro {number}"),
        1 => format!(r"B\u00fcro {site} \u2013 {number}"),
        2 => format!(r#"The \"loaner\" {number}"#),
        3..10 => format!("{site}-lab-{}-{number:04}", random.below(9)),
        _ => format!("{site}-{}-{number:04}", random.below(12)),
    };
    Mac {
        serial: format!("C02{}", random.text("0123456789CDFGHJKLMNPQRTVWXY", 9)),
        udid: [8, 4, 4, 4, 12].map(|length| random.text("0123456789ABCDEF", length)).join("-"),
        name,
        model: random.popular::<&str>(&MODELS),
        system: random.popular::<&str>(&SYSTEMS),
        owner,
        address: format!("10.{}.{}.{}", random.below(32), random.below(256), random.below(256)),
    }
}

fn user(random: &mut Random, number: usize) -> User {
    let (first, last) = (*random.pick(&FIRST), *random.pick(&LAST));
    let domain = random.weighted(&DOMAINS);
    let capital = |name: &str| format!("{}{}", name[..1].to_uppercase(), &name[1..]);
    User {
        id: format!("{first}.{last}{number}@{domain}"),
        name: format!("{} {}", capital(first), capital(last)),
        department: random.popular::<&str>(&DEPARTMENTS),
    }
}
