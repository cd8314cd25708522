//! Five rules per operator, of the kind the reference's benchmark has.

use super::gis::Parcel;
use crate::measure::Class;
use serde_json::{Value, json};

pub(super) fn classes(parcels: &[Parcel]) -> Vec<Class> {
    let drawn: Vec<&Parcel> = parcels.iter().filter(|parcel| !parcel.corners.is_empty()).collect();
    if drawn.is_empty() {
        return Vec::new();
    }
    let x = |part: usize| drawn[(drawn.len() - 1) * part / 8].corners[0].0;
    let y = |part: usize| drawn[(drawn.len() - 1) * part / 8].corners[0].1;
    let numeric = |fields: &str| {
        let coordinates = |kind: Value, axis: &str, test: Value| json!({"geometry": {"type": kind, fields: {axis: [{"numeric": test}]}}});
        vec![
            coordinates(json!(["Polygon"]), "x", json!(["=", x(3)])),
            coordinates(json!(["MultiPolygon"]), "z", json!(["=", 0])),
            coordinates(json!(["Polygon"]), "x", json!(["<", -122.4160])),
            coordinates(json!(["Polygon"]), "x", json!([">", -122.4160])),
            coordinates(json!(["Polygon"]), "x", json!([">", -122.4647, "<", -122.4063])),
        ]
    };
    let corner = |x: Value, y: Value| json!({"geometry": {"coordinates": {"x": x, "y": y}}});
    let range = |from: f64, to: f64| json!([{"numeric": [">=", from, "<", to]}]);
    vec![
        class("exact", exact(parcels)),
        class("wildcard", texts("MAPBLKLOT", "wildcard", &["143*", "2*0*1*7", "*218", "3*5*2"], &["VAC*IL"])),
        class("prefix", texts("", "prefix", &[], &["AC", "BL", "DR", "FU", "RH"])),
        class("suffix", texts("", "suffix", &[], &["ON", "KE", "MM", "ING", "GO"])),
        class("ignore-case", ignoring_case()),
        class("numeric", numeric("firstCoordinates")),
        class("anything-but", anything_but(&parcels[parcels.len() / 2].from)),
        class("complex-arrays", numeric("coordinates")),
        class(
            "one-element",
            vec![
                corner(range(-122.45, -122.44), range(37.75, 37.76)),
                corner(range(-122.40, -122.38), range(37.71, 37.73)),
                corner(json!([x(1)]), json!([y(1)])),
                corner(json!([x(2)]), json!([y(5)])),
                corner(json!([{"numeric": ["<", -122.51]}]), json!([{"numeric": [">", 37.82]}])),
            ],
        ),
        class("or", alternatives(&parcels[parcels.len() / 3].map_lot, x(4))),
        class("exists", exists()),
    ]
}

fn class(name: &str, patterns: Vec<Value>) -> Class {
    Class { name: name.to_owned(), patterns: patterns.iter().map(Value::to_string).collect() }
}

fn properties(field: &str, test: Value) -> Value {
    json!({"properties": {field: [test]}})
}

/// One operator with these values of `field`, and these of the street.
fn texts(field: &str, operator: &str, values: &[&str], streets: &[&str]) -> Vec<Value> {
    let of = |field, value: &&str| properties(field, json!({operator: value}));
    values.iter().map(|value| of(field, value)).chain(streets.iter().map(|value| of("STREET", value))).collect()
}

/// Three lots that exist, the last of them shared by flats, and two that may not.
fn exact(parcels: &[Parcel]) -> Vec<Value> {
    let at = |part: usize| parcels[(parcels.len() - 1) * part / 4].map_lot.as_str();
    let first_of_block = format!("{}001", &at(3)[..4]);
    let lots = [at(1), at(2), &first_of_block, "1430022", "2607117"];
    lots.map(|lot| properties("MAPBLKLOT", json!(lot))).into()
}

fn ignoring_case() -> Vec<Value> {
    let streets = ["jeffers", "bEaChWoOd", "HyLand", "CHESTNUT"].map(|street| ("STREET", street));
    let tests = streets.into_iter().chain([("ST_TYPE", "st")]);
    tests.map(|(field, value)| properties(field, json!({"equals-ignore-case": value}))).collect()
}

fn anything_but(house: &str) -> Vec<Value> {
    let but = |value: &str| json!({"anything-but": [value]});
    vec![
        properties("STREET", but("FULLERTON")),
        properties("STREET", but("MADISON")),
        properties("ST_TYPE", but("ST")),
        json!({"geometry": {"type": [but("Polygon")]}}),
        properties("FROM_ST", but(house)),
    ]
}

fn alternatives(lot: &str, x: f64) -> Vec<Value> {
    let street = |name: &str| json!({"STREET": [name]});
    vec![
        json!({"properties": {"ST_TYPE": ["AVE"], "$or": [street("BLAKE"), street("DRUMM"), {"FROM_ST": ["441"]}]}}),
        json!({"$or": [{"properties": {"MAPBLKLOT": [lot]}}, {"geometry": {"firstCoordinates": {"x": [x]}}}]}),
        json!({"$or": [{"properties": {"STREET": [{"prefix": "RH"}]}}, {"properties": {"STREET": [{"suffix": "MM"}]}}]}),
        json!({
            "geometry": {"type": ["MultiPolygon"]},
            "properties": {"$or": [{"ODD_EVEN": ["O"], "ST_TYPE": ["CT"]}, {"ODD_EVEN": ["E"], "ST_TYPE": ["TER"]}]},
        }),
        json!({
            "$or": [{"type": ["Point"]}, {"geometry": {"type": ["Polygon"]}}],
            "properties": {"$or": [street("ACORN"), {"LOT_NUM": ["007"]}]},
        }),
    ]
}

fn exists() -> Vec<Value> {
    let (present, absent) = (json!([{"exists": true}]), json!([{"exists": false}]));
    vec![
        json!({"geometry": {"firstCoordinates": {"x": absent}}}),
        json!({"properties": {"NOTE": present}}),
        json!({"properties": {"STREET": ["BLAKE"], "ST_TYPE": present}}),
        json!({"properties": {"STREET": ["GRIMM"], "NOTE": absent}}),
        json!({"geometry": {"coordinates": {"z": present}}, "properties": {"ODD_EVEN": ["O"]}}),
    ]
}
