//! Events and rules made up from a seed: parcels of land, shaped like the reference's benchmark, and a fleet of Macs.

mod device;
mod device_rules;
mod fleet;
mod gis;
mod gis_rules;
mod random;

use crate::measure::{Class, Events, Workload};
use random::Random;

/// The largest set of rules.
const LARGEST: usize = 10_000;

/// Both kinds of workload, with so many events each.
pub(crate) fn workloads(seed: u64, count: usize) -> Vec<Workload> {
    vec![gis(seed, count), device(seed, count)]
}

/// Parcels of land and, per operator, five rules about them.
fn gis(seed: u64, count: usize) -> Workload {
    let parcels = gis::parcels(&mut Random::new(seed), count, seed % 2 == 1);
    let classes = gis_rules::classes(&parcels);
    Workload { name: "gis".to_owned(), events: lines(parcels.iter().map(gis::Parcel::to_json)), classes }
}

/// What a fleet of Macs reports, and 100, 1,000 and 10,000 rules as configurations have them: mixed, and once more
/// without those that quamina does not know.
fn device(seed: u64, count: usize) -> Workload {
    let fleet = fleet::Fleet::new(&mut Random::new(seed));
    let mut random = Random::new(seed.wrapping_add(1));
    let events = lines((0..count).map(|_| device::event(&mut random, &fleet)));
    let mut random = Random::new(seed.wrapping_add(2));
    let mixed: Vec<String> = device_rules::rules(&mut random, &fleet).take(LARGEST + LARGEST / 4).collect();
    let portable: Vec<String> = mixed.iter().filter(|rule| device_rules::is_portable(rule)).cloned().collect();
    let classes = [("mixed", &mixed), ("portable", &portable)].into_iter().flat_map(|(name, rules)| {
        let sizes = [100, 1_000, LARGEST].into_iter();
        sizes.map(move |size| Class { name: format!("{name}-{size}"), patterns: rules[..size].to_vec() })
    });
    Workload { name: "device".to_owned(), events, classes: classes.collect() }
}

fn lines(events: impl Iterator<Item = String>) -> Events {
    Events::from_lines(events.fold(Vec::new(), |mut text, event| {
        text.extend(event.as_bytes());
        text.push(b'\n');
        text
    }))
}
