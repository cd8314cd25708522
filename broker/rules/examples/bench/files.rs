//! Workloads as files: events as JSON lines, rules as an object of classes.

use crate::measure::{Class, Events, Workload};
use anyhow::{Context as _, Result, ensure};
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

const GZIP: [u8; 2] = [0x1f, 0x8b];

pub(crate) fn read(events: &Path, rules: &Path) -> Result<Workload> {
    let name = events.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let events = read_events(events).with_context(|| format!("reading the events {}", events.display()))?;
    let classes = read_rules(rules).with_context(|| format!("reading the rules {}", rules.display()))?;
    Ok(Workload { name, events, classes })
}

/// Writes a workload as `NAME.events.jsonl.gz` and `NAME.rules.json`.
pub(crate) fn write(folder: &Path, workload: &Workload) -> Result<()> {
    let writing = |path: &Path| format!("writing {}", path.display());
    std::fs::create_dir_all(folder).with_context(|| writing(folder))?;
    let path = folder.join(format!("{}.events.jsonl.gz", workload.name));
    write_events(&path, &workload.events).with_context(|| writing(&path))?;
    eprintln!("written: {}", path.display());
    let path = folder.join(format!("{}.rules.json", workload.name));
    let class = |class: &Class| format!("\"{}\": [\n  {}\n]", class.name, class.patterns.join(",\n  "));
    let classes: Vec<String> = workload.classes.iter().map(class).collect();
    std::fs::write(&path, format!("{{\n{}\n}}\n", classes.join(",\n"))).with_context(|| writing(&path))?;
    eprintln!("written: {}", path.display());
    Ok(())
}

fn read_events(path: &Path) -> Result<Events> {
    let mut text = std::fs::read(path)?;
    if text.starts_with(&GZIP) {
        let mut plain = Vec::new();
        MultiGzDecoder::new(text.as_slice()).read_to_end(&mut plain).context("unpacking it")?;
        text = plain;
    }
    let events = Events::from_lines(text);
    ensure!(events.len() > 0, "there is no event in it; one JSON object a line is expected");
    let first: Result<BTreeMap<String, IgnoredAny>, _> = serde_json::from_slice(events.get(0));
    first.context("its first line is no event; one JSON object a line is expected")?;
    Ok(events)
}

fn write_events(path: &Path, events: &Events) -> Result<()> {
    let mut packed = GzEncoder::new(File::create(path)?, Compression::fast());
    for event in events.iter() {
        packed.write_all(event)?;
        packed.write_all(b"\n")?;
    }
    packed.finish()?;
    Ok(())
}

fn read_rules(path: &Path) -> Result<Vec<Class>> {
    let text = std::fs::read_to_string(path)?;
    let classes: Classes<'_> = serde_json::from_str(&text).context("expected {\"CLASS\": [PATTERN, …], …}")?;
    let classes: Vec<Class> = classes.0.into_iter().map(class).collect::<Result<_>>()?;
    ensure!(!classes.is_empty(), "there is no class in it; expected {{\"CLASS\": [PATTERN, …], …}}");
    Ok(classes)
}

fn class((name, patterns): (String, Vec<&RawValue>)) -> Result<Class> {
    let patterns = patterns.into_iter().map(|pattern| match pattern.get() {
        text if text.starts_with('"') => serde_json::from_str(text),
        text => Ok(text.to_owned()),
    });
    let patterns = patterns.collect::<Result<Vec<String>, _>>()?;
    ensure!(!patterns.is_empty(), "class {name} has no pattern");
    Ok(Class { name, patterns })
}

/// The classes in the file's order, each pattern as it is written there.
struct Classes<'t>(Vec<(String, Vec<&'t RawValue>)>);

impl<'t> serde::Deserialize<'t> for Classes<'t> {
    fn deserialize<D: serde::Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder).map(Self)
    }
}

struct InOrder;

impl<'t> Visitor<'t> for InOrder {
    type Value = Vec<(String, Vec<&'t RawValue>)>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object of classes, each a list of patterns")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut classes = Vec::new();
        while let Some(class) = map.next_entry()? {
            classes.push(class);
        }
        Ok(classes)
    }
}
