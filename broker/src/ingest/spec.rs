//! A source as it stands in `sources/<name>.yaml`, and how it becomes a [`Plan`].

use std::collections::BTreeMap;

use emote_proto::{Name, source};
use serde::Deserialize;

use super::{
    DecodeSpec, Dedupe, HandshakeSpec, Plan, VerifySpec,
    catalog::{self, Entry},
    map::Mapping,
    verify::OneOrMore,
};
use crate::config::Problems;

/// Largest body that a source takes where it says nothing else, in bytes.
const DEFAULT_MAX_BODY: usize = 1024 * 1024;
/// Largest body that a source may ask for, in bytes.
const MAX_MAX_BODY: usize = 16 * 1024 * 1024;

/// Sources whose events others believe because of the name: no webhook may speak as one of them.
const RESERVED: [&str; 3] = [source::AGENT, source::BROKER, source::ADMIN];

/// An HTTP source: a preset of the catalogue, or all of it by hand. What stands beside a preset replaces the preset's.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// The name of a catalogue entry.
    pub preset: Option<String>,
    /// What the entry asks for; secrets by reference, and several where any of them is right.
    #[serde(default)]
    pub(super) settings: BTreeMap<String, OneOrMore>,
    /// How the sender proves who it is.
    pub verify: Option<VerifySpec>,
    /// In which notation bodies come; `auto` where neither this nor a preset says.
    pub decode: Option<DecodeSpec>,
    /// The jq program that gives events.
    pub map: Option<String>,
    /// What the vendor asks of a URL before it sends to it.
    pub handshake: Option<HandshakeSpec>,
    /// Largest body in bytes; 1 MiB where not said.
    pub max_body: Option<usize>,
    /// What tells events apart that the vendor gives no id.
    #[serde(default)]
    pub dedupe: Dedupe,
}

impl SourceSpec {
    /// Checks everything that can be checked without secrets, and says all that is wrong at once.
    pub fn validate(&self, name: &Name) -> Result<Plan, Problems> {
        let mut problems = Problems::default();
        if RESERVED.contains(&name.as_str()) {
            problems.add("", format!("a source cannot be named {name}: Emote itself speaks under that name"));
        }
        let entry = self.entry(&mut problems);
        let verify = self.verify(name, entry, &mut problems);
        if let Some(verify) = &verify {
            let mut inner = Problems::default();
            verify.validate(&mut inner);
            problems.add_all("verify", inner);
        }
        let handshake = self.handshake.clone().or_else(|| entry?.handshake.clone());
        let handshake = handshake.or_else(|| verify.as_ref()?.handshake());
        if let Some(handshake) = &handshake {
            let mut inner = Problems::default();
            handshake.validate(&mut inner);
            problems.add_all("handshake", inner);
        }
        let decode = self.decode.clone().or_else(|| entry?.decode.clone()).unwrap_or_else(DecodeSpec::auto);
        let decoder = decode.validate(&mut problems);
        let program = self.map(entry, &mut problems).and_then(|map| problems.take("map", Mapping::compile(map)));
        let max_body = self.max_body.unwrap_or(DEFAULT_MAX_BODY);
        if max_body == 0 || max_body > MAX_MAX_BODY {
            problems.add("max_body", format!("bytes, from 1 to {MAX_MAX_BODY}"));
        }
        match (verify, decoder, program) {
            (Some(verify), Some(decoder), Some(program)) if problems.is_empty() => {
                let mapping = Mapping { source: name.clone(), program, dedupe: self.dedupe };
                Ok(Plan { verify, decoder, mapping, handshake, max_body })
            }
            _ => Err(problems),
        }
    }

    fn entry(&self, problems: &mut Problems) -> Option<&'static Entry> {
        let Some(preset) = &self.preset else {
            if !self.settings.is_empty() {
                problems.add("settings", "are for a preset, and there is none");
            }
            return None;
        };
        let entry = catalog::find(preset);
        if entry.is_none() {
            let names: Vec<_> = catalog::all().iter().map(|entry| entry.name).collect();
            problems.add("preset", format!("{preset:?} is not in the catalogue; expected one of {}", names.join(", ")));
        }
        let entry = entry?;
        for setting in self.settings.keys().filter(|setting| !entry.settings.contains_key(*setting)) {
            let known: Vec<_> = entry.settings.keys().map(String::as_str).collect();
            problems.add(
                format!("settings.{setting}"),
                format!(
                    "{preset} has no such setting; it has {}",
                    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
                ),
            );
        }
        Some(entry)
    }

    fn verify(&self, name: &Name, entry: Option<&Entry>, problems: &mut Problems) -> Option<VerifySpec> {
        match (&self.verify, entry) {
            (Some(verify), _) => Some(verify.clone()),
            (None, Some(entry)) => entry.verify(name, &self.settings, problems),
            (None, None) => {
                if self.preset.is_none() {
                    problems.add("verify", "say how the sender proves who it is, such as `verify: {bearer: {token: \"${env:TOKEN}\"}}`, or `verify: none`");
                }
                None
            }
        }
    }

    fn map<'a>(&'a self, entry: Option<&'a Entry>, problems: &mut Problems) -> Option<&'a str> {
        let map = self.map.as_deref().or_else(|| entry.map(Entry::map));
        if map.is_none() && self.preset.is_none() {
            problems.add(
                "map",
                "say what events a body stands for: a jq program, or `preset: json` for bodies that are events",
            );
        }
        map
    }
}
