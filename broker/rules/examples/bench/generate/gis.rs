//! Parcels of land: about 900 bytes each, mostly decimals of 15 to 18 digits that few rules look at.

use super::random::Random;
use std::fmt::Write as _;

/// Popular ones first.
const STREETS: [&str; 48] = [
    "HARBOR",
    "MISSION HILL",
    "FULLERTON",
    "MADISON",
    "LINDEN",
    "JEFFERS",
    "CLAYTON",
    "BEACHWOOD",
    "HYLAND",
    "CHESTNUT",
    "DOLOREN",
    "SHERIDING",
    "ALBION",
    "BLAKE",
    "RHINESTONE",
    "ACORN",
    "DRUMM",
    "BLUXOM",
    "KEARNEY",
    "LARKE",
    "SANTIAGO",
    "NORIEGO",
    "QUINCE",
    "VALLEJA",
    "WASHBURNE",
    "ORTEGAS",
    "PACHECA",
    "TARAVAL",
    "ULLOAN",
    "VICENTA",
    "WAWONE",
    "YORBAN",
    "ANZON",
    "BALBOAN",
    "CABRILLA",
    "FULTONIA",
    "GEARING",
    "CLEMENTINE",
    "LAKE SHORE",
    "RHODE",
    "ACTONVALE",
    "BLYTHEDALE",
    "DRAKE",
    "FUNSTONE",
    "VACATION",
    "GRIMM",
    "VACHERIL",
    "UNKNOWN",
];
const TYPES: [(usize, Option<&str>); 8] = [
    (55, Some("ST")),
    (25, Some("AVE")),
    (5, None),
    (5, Some("WAY")),
    (4, Some("DR")),
    (3, Some("BLVD")),
    (2, Some("TER")),
    (1, Some("CT")),
];

/// One event before it is written.
pub(super) struct Parcel {
    pub(super) map_lot: String,
    lot: String,
    block: String,
    number: String,
    pub(super) from: String,
    to: String,
    street: &'static str,
    street_type: Option<&'static str>,
    odd: bool,
    /// Those without a geometry have no corners.
    pub(super) corners: Vec<(f64, f64)>,
    spaced: bool,
}

/// With `spaced` there is a blank behind each colon and comma, as in the reference's file.
pub(super) fn parcels(random: &mut Random, count: usize, spaced: bool) -> Vec<Parcel> {
    let (mut block, mut lot, mut street): (_, _, &'static str) = (1, 0, STREETS[0]);
    let parcels = (0..count).map(|_| {
        lot += 1;
        if random.percent(5) {
            (block, lot) = (1 + random.below(9_999), 1);
        }
        if random.percent(20) {
            street = *random.popular(&STREETS);
        }
        parcel(random, (block, lot), street, spaced)
    });
    parcels.collect()
}

fn parcel(random: &mut Random, (block, lot): (usize, usize), street: &'static str, spaced: bool) -> Parcel {
    let house = random.below(3_000);
    let (block, number) = (format!("{block:04}"), format!("{lot:03}"));
    // Flats share the lot of their house on the map.
    let shared = if random.percent(15) { "001" } else { &number };
    let (x, y) = (-122.515 + 0.15 * random.fraction(), 37.708 + 0.12 * random.fraction());
    let corners = if random.below(500) == 0 { 0 } else { 4 + random.below(3) + random.below(7) };
    let near = |random: &mut Random| (x + 0.001 * random.fraction(), y + 0.001 * random.fraction());
    Parcel {
        map_lot: format!("{block}{shared}"),
        lot: format!("{block}{number}"),
        block,
        number,
        from: house.to_string(),
        to: (house + 2 * random.below(5)).to_string(),
        street,
        street_type: *random.weighted(&TYPES),
        odd: house % 2 == 1,
        corners: (0..corners).map(|_| near(random)).collect(),
        spaced,
    }
}

impl Parcel {
    /// A single block of land, and not several.
    fn is_one(&self) -> bool {
        self.corners.len() < 12
    }

    pub(super) fn to_json(&self) -> String {
        let json = self.compact();
        // None of the values has a colon or a comma.
        if self.spaced { json.replace(':', ": ").replace(',', ", ") } else { json }
    }

    fn compact(&self) -> String {
        let Self { map_lot, lot, block, number, from, to, street, .. } = self;
        let street_type = self.street_type.map_or("null".to_owned(), |name| format!("\"{name}\""));
        let odd = if self.odd { "O" } else { "E" };
        let geometry = self.geometry().unwrap_or_else(|| "null".to_owned());
        format!(
            r#"{{"type":"Feature","properties":{{"MAPBLKLOT":"{map_lot}","BLKLOT":"{lot}","BLOCK_NUM":"{block}","LOT_NUM":"{number}","FROM_ST":"{from}","TO_ST":"{to}","STREET":"{street}","ST_TYPE":{street_type},"ODD_EVEN":"{odd}"}},"geometry":{geometry}}}"#
        )
    }

    fn geometry(&self) -> Option<String> {
        let first = corner(self.corners.first()?);
        let mut all = String::new();
        for (place, each) in self.corners.iter().chain(self.corners.first()).enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let _ = write!(all, "{comma}{}", corner(each));
        }
        let kind = if self.is_one() { "Polygon" } else { "MultiPolygon" };
        Some(format!(r#"{{"type":"{kind}","firstCoordinates":{first},"coordinates":[[{all}]]}}"#))
    }
}

fn corner((x, y): &(f64, f64)) -> String {
    format!(r#"{{"x":{x},"y":{y},"z":0.0}}"#)
}
