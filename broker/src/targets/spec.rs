//! A target file: read, validated without secrets, then resolved with them.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use emote_proto::Name;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    DeliverySettings, KINDS, Script, Target,
    catalog::Body,
    policy,
    preset::{self, Origins},
};
use crate::{
    catalog::Entry,
    config::{
        Problems, Secret, SecretError, SecretRef, Settings,
        explore::explore,
        fields::Fields,
        nearest,
        shape::{Form, Shape},
        text::{Filled, Template},
    },
    core::Policy,
};

/// The content of `targets/<name>.yaml`, as it was written.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub struct TargetSpec(Map<String, Value>);

/// A kind of target: a line of [`KINDS`].
pub struct Kind {
    /// What `kind:` says.
    pub name: &'static str,
    /// What such a target does.
    pub about: &'static str,
    /// Whether its targets can take several jobs in one attempt.
    pub batches: bool,
    /// Whether it reads `settings`, which its programs see: a preset's are put there.
    pub sees_settings: bool,
    pub(super) read: fn(&mut Fields<'_>) -> Option<Box<dyn Unresolved>>,
}

impl Kind {
    /// All that a file of this kind may say; found out once.
    pub(crate) fn shape(&self) -> &'static Shape {
        static SHAPES: LazyLock<Vec<(&str, Shape)>> =
            LazyLock::new(|| KINDS.iter().map(|kind| (kind.name, kind.explored())).collect());
        static NOTHING: Shape = Shape::nothing();
        SHAPES.iter().find(|(name, _)| *name == self.name).map_or(&NOTHING, |(_, shape)| shape)
    }

    fn explored(&self) -> Shape {
        explore(&|fields| {
            let delivery = DeliverySettings::read(fields);
            policy::read(fields, &delivery);
            fields.holds("kind", Form::Is(self.name.into()));
            fields.require("kind", Some(()), &format!("kind: {}", self.name));
            (self.read)(fields);
        })
    }
}

/// A kind's own settings, validated; its secrets are still references.
pub(super) trait Unresolved: std::fmt::Debug + Send + Sync {
    /// Whether all that its target does is a request by a [`super::wire::Client`], something that a [`super::socket`] is
    /// given, or nothing: so it can be shown.
    fn is_shown(&self) -> bool {
        false
    }

    /// Notes what a machine with these settings does not allow, as far as that is to be seen anywhere.
    fn allowed(&self, _settings: &Settings, _problems: &mut Problems) {}

    /// Whether all that its target does is to install the agent.
    fn installs_agent(&self) -> bool {
        false
    }

    /// Fetches the secrets and makes the target, or notes why it cannot.
    fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Box<dyn Target>>;
}

/// The machine that a target is made on.
#[derive(Debug, Clone, Copy)]
pub struct Machine<'a> {
    folder: &'a Path,
    settings: Option<&'a Settings>,
}

impl<'a> Machine<'a> {
    /// With the configuration folder, from which relative paths are taken, and what its `emote.yaml` says.
    pub fn new(folder: &'a Path, settings: &'a Settings) -> Self {
        Self { folder, settings: Some(settings) }
    }
}

/// One that has a configuration folder without `emote.yaml`: it allows what every machine allows.
impl<'a> From<&'a Path> for Machine<'a> {
    fn from(folder: &'a Path) -> Self {
        Self { folder, settings: None }
    }
}

/// What a target is made with beside its own settings.
pub(crate) struct Setup<'a> {
    /// The configuration folder: relative paths are taken from it.
    pub(crate) folder: &'a Path,
    /// What the machine's own `emote.yaml` says, where there is one.
    pub(crate) settings: Option<&'a Settings>,
    /// The target's name, or what else it is for.
    pub(crate) name: &'a str,
    /// The settings all kinds share.
    pub(crate) delivery: &'a DeliverySettings,
    /// What is there in place of the network and of secrets, if something is.
    pub(crate) script: Option<&'a Arc<Script>>,
}

impl Setup<'_> {
    /// Where the broker keeps what it writes; the configuration folder where nothing says.
    pub(crate) fn data_folder(&self) -> PathBuf {
        self.settings.map_or_else(|| self.folder.to_owned(), |settings| self.folder.join(&settings.data))
    }

    /// Whether something is there in place of what the target would act on, which then need not be there.
    pub(crate) fn stands_in(&self) -> bool {
        self.script.is_some_and(|script| script.stands_in())
    }

    /// The secret that `reference` leads to.
    pub(crate) fn secret(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        match self.script.filter(|script| script.stands_in()) {
            Some(script) => Ok(script.stand_in(reference.to_string())),
            None => reference.resolve(self.folder),
        }
    }

    /// The text with its secrets in it.
    pub(crate) fn filled(&self, template: &Template) -> Result<Filled, SecretError> {
        template.fill(|reference| self.secret(reference))
    }
}

/// A target file in which nothing is wrong. Its secrets are still references.
#[derive(Debug)]
pub struct Validated {
    /// The target's name: its file's.
    pub name: Name,
    /// Its kind: a name from [`KINDS`].
    pub kind: &'static str,
    /// How jobs are brought to it.
    pub delivery: DeliverySettings,
    /// What it asks of whatever is to be done by it.
    pub policy: Policy,
    origins: Origins,
    unresolved: Box<dyn Unresolved>,
}

impl TargetSpec {
    /// The target that a preset is, doing this, with its settings as in their examples.
    pub fn example(entry: &Entry<Body>, action: Option<&str>) -> Self {
        let settings = entry.card.settings.iter();
        // An example is YAML, as it stands in a file.
        let read = |example: &str| serde_saphyr::from_str(example).unwrap_or_else(|_| Value::from(example));
        let settings: Map<_, _> = settings.map(|(name, setting)| (name.clone(), read(&setting.example))).collect();
        let mut map = Map::new();
        map.insert("preset".to_owned(), entry.name.into());
        map.insert("settings".to_owned(), Value::Object(settings));
        map.extend(action.map(|action| ("action".to_owned(), Value::from(action))));
        Self(map)
    }

    /// From the file's content.
    pub fn new(map: Map<String, Value>) -> Self {
        Self(map)
    }

    /// Checks all of it; no secret is fetched. The paths of problems are dotted, such as `retry.backoff.max`.
    pub fn validate(&self, name: Name) -> Result<Validated, Problems> {
        let mut problems = Problems::default();
        let Some(expanded) = preset::expand(&self.0, &name, &mut problems) else { return Err(problems) };
        let (map, origins) = expanded.parts();
        let mut fields = Fields::new(&map, &mut problems);
        let delivery = DeliverySettings::read(&mut fields);
        let policy = policy::read(&mut fields, &delivery);
        let text = fields.text("kind");
        let text = fields.require("kind", text, "kind: http");
        let kind = text.and_then(|text| {
            let kind = KINDS.iter().find(|kind| kind.name == text);
            if kind.is_none() {
                let names = KINDS.iter().map(|kind| kind.name);
                fields.problem("kind", format!("unknown kind: {}", nearest::one_of(&text, names)));
            }
            kind
        });
        if let Some(kind) = kind
            && delivery.batch.is_some()
            && !kind.batches
        {
            let can: Vec<&str> = KINDS.iter().filter(|kind| kind.batches).map(|kind| kind.name).collect();
            let can = can.join(", ");
            fields
                .problem("batch", format!("{} takes one job at a time: only {can} can take several in one", kind.name));
        }
        let read = kind.and_then(|kind| {
            let unresolved = (kind.read)(&mut fields);
            // Only a known kind tells which keys are unknown.
            fields.finish();
            Some((kind, unresolved?))
        });
        match read {
            Some((kind, unresolved)) if problems.is_empty() => {
                let policy = Policy { installs_agent: unresolved.installs_agent(), ..policy };
                Ok(Validated { name, kind: kind.name, delivery, policy, origins, unresolved })
            }
            _ => Err(origins.place(problems)),
        }
    }
}

impl Validated {
    /// Fetches the secrets and makes the target.
    pub fn resolve<'a>(&self, machine: impl Into<Machine<'a>>) -> Result<Box<dyn Target>, Problems> {
        self.made(machine.into(), None)
    }

    /// What a machine with these settings would not let it do. Neither secrets nor programs need be there.
    pub fn refused_by(&self, settings: &Settings) -> Problems {
        let mut problems = Problems::default();
        self.unresolved.allowed(settings, &mut problems);
        self.origins.place(problems)
    }

    /// Whether what it does can be shown without doing it.
    pub fn is_shown(&self) -> bool {
        self.unresolved.is_shown()
    }

    /// Makes the target with `script` in place of the network and of secrets, or beside them where it only notes.
    pub fn with_script<'a>(
        &self,
        machine: impl Into<Machine<'a>>,
        script: &Arc<Script>,
    ) -> Result<Box<dyn Target>, Problems> {
        self.made(machine.into(), Some(script))
    }

    fn made(&self, machine: Machine<'_>, script: Option<&Arc<Script>>) -> Result<Box<dyn Target>, Problems> {
        let mut problems = Problems::default();
        let Machine { folder, settings } = machine;
        let setup = Setup { folder, settings, name: self.name.as_str(), delivery: &self.delivery, script };
        match self.unresolved.resolve(&setup, &mut problems) {
            Some(target) if problems.is_empty() => Ok(target),
            _ => Err(self.origins.place(problems)),
        }
    }
}
