//! The folder as a whole: every file read, every problem collected, rules held against targets, tests played.

use std::collections::BTreeMap;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use emote_proto::{Name, Trust};

use super::{
    Case, Identity, NatsSettings, Problems, Report, Set, Settings, addresses, deploy_file,
    documents::{Document, Files, RULES, SOURCES, TARGETS, TESTS, documents, each, origin, text_of_file, values},
    fields::Fields,
    file::read_text,
    report::Origin,
    rule_file, schema_file, trust_file, yaml,
};
use crate::{
    archive::SpecError,
    bus::BusSettings,
    core::{CORE_RULE, Core, DEPLOY_RULE, Deploying, EMIT_TARGET, Rule, RuleBook},
    ingest::{Source, SourceSpec},
    schema::events::Vocabulary,
    targets::{DeliverySettings, Machine, Target, TargetSpec, Validated},
};

/// A configuration folder in which nothing is wrong. Its secrets are still references.
pub struct Folder {
    /// Where it is.
    pub root: PathBuf,
    /// `emote.yaml`.
    pub settings: Settings,
    /// `sources/*.yaml`, by name.
    pub sources: Vec<(Name, SourceSpec)>,
    /// `targets/*.yaml`.
    pub targets: Vec<Validated>,
    /// `rules/*.yaml`, in order of their names.
    pub rules: Vec<Rule>,
    /// `trust.yaml`: what events of sources that are no webhook are believed as.
    pub believed: BTreeMap<Name, Trust>,
    /// `deploy.yaml`: how the agent is deployed.
    pub deploying: Option<Deploying>,
    /// `tests/*.yaml`.
    pub cases: Vec<Case>,
    /// `schemas/*.yaml` over what is built in; none where there are none.
    pub vocabulary: Option<Arc<Vocabulary>>,
    /// The set that it was read from, where it was not read from disk.
    set: Option<Set>,
}

/// What runs: the folder's parts with their secrets.
pub struct Parts {
    /// See [`Settings`].
    pub settings: Settings,
    /// Sources, ready.
    pub sources: Vec<Source>,
    /// Targets, ready, with how jobs are brought to them.
    pub targets: Vec<(Name, DeliverySettings, Box<dyn Target>)>,
    /// The fold.
    pub core: Core,
    /// The configuration folder, for relative paths.
    pub root: PathBuf,
}

impl Folder {
    /// Validates a set as if it were the folder at `root`, whose settings are `settings`.
    pub fn of_set(root: &Path, settings: Settings, set: &Set) -> Result<Self, Report> {
        let mut folder = Self::read(root, Files::Set(set), settings, Report::default())?;
        folder.set = Some(set.clone());
        Ok(folder)
    }

    /// Whether there is a folder at `root`, whatever is in it; what to do where there is none.
    pub fn is_there(root: &Path) -> Result<(), Report> {
        let what = match std::fs::metadata(root) {
            Ok(there) if there.is_dir() => return Ok(()),
            Ok(_) => "is no folder".to_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "there is no such folder".to_owned(),
            Err(error) => format!("cannot be read: {error}"),
        };
        let mut report = Report::default();
        report.add(root, format!("{what}; name a configuration folder, or write one with `emote init DIR`"));
        report.ok(())
    }

    /// Reads and validates `emote.yaml` of the folder at `root`, and nothing else.
    pub fn settings(root: &Path) -> Result<Settings, Report> {
        let mut report = Report::default();
        must_be_folder(root, &mut report)?;
        let settings = read_settings(root, &mut report);
        report.ok(settings)
    }

    /// The keys that the section `identity` of `emote.yaml` names; what is wrong is told at its place in the file.
    pub fn identity(root: &Path, settings: &Settings) -> Result<Option<Identity>, Report> {
        let Some(identity) = &settings.identity else { return Ok(None) };
        identity.resolve(root).map(Some).map_err(|found| {
            let mut problems = Problems::default();
            problems.add_all("identity", found);
            in_settings(root, problems)
        })
    }

    /// Where NATS is and who connects, as the section `nats` of `emote.yaml` says; a secret that is missing is told at its place
    /// in the file.
    pub fn nats(root: &Path, settings: &NatsSettings, name: &str) -> Result<BusSettings, Report> {
        let mut problems = Problems::default();
        let found = problems.take("nats", settings.resolve(root, name));
        found.ok_or_else(|| in_settings(root, problems))
    }

    /// Reads and validates the folder at `root`.
    pub fn load(root: &Path) -> Result<Self, Report> {
        let mut report = Report::default();
        must_be_folder(root, &mut report)?;
        let settings = read_settings(root, &mut report);
        let folder = Self::read(root, Files::Disk(root), settings, report)?;
        let collide = addresses::check(&folder);
        collide.ok(folder)
    }

    fn read(root: &Path, files: Files<'_>, settings: Settings, mut report: Report) -> Result<Self, Report> {
        let targets = read_targets(files, &mut report);
        let names: Vec<Name> = targets.1;
        let sources = read_sources(files, &mut report);
        let believed = read_believed(files, &sources, &mut report);
        let deploying = read_deploying(files, &targets.0, &names, &mut report);
        let rules = each(files, RULES, &mut report, |document, problems| {
            if matches!(document.name.as_str(), CORE_RULE | DEPLOY_RULE) {
                problems
                    .add("", format!("{} is a name that emote uses itself: name the rule otherwise", document.name));
            }
            rule_file::read(document.name.clone(), document.content(), &names, problems)
        });
        for target in
            targets.0.iter().filter(|target| target.delivery.retry.max_age >= settings.streams.deliveries_max_age)
        {
            let kept = settings.streams.deliveries_max_age;
            let message = format!(
                "retry.max_age must be shorter than jobs are kept, which is {kept:?} (emote.yaml: streams.deliveries_max_age)"
            );
            report.add(&PathBuf::from(format!("targets/{}.yaml", target.name)), message);
        }
        let cases = each(files, TESTS, &mut report, |document, problems| {
            Case::read(document.name.clone(), &document.map, problems)
        });
        let vocabulary = schema_file::read_all(files, &mut report);
        let (root, targets) = (root.to_owned(), targets.0);
        report.ok(Self { root, settings, sources, targets, rules, believed, deploying, cases, vocabulary, set: None })
    }

    /// Plays the tests; what is not as expected is the report.
    pub fn run_cases(&self) -> Report {
        let core = self.core(None);
        let mut report = Report::default();
        for case in &self.cases {
            for problem in case.run(&core) {
                report.add(&PathBuf::from(format!("{TESTS}/{}.yaml", case.name)), problem);
            }
        }
        report
    }

    /// What this folder's own `emote.yaml` does not let its targets do. Each machine has its own: rules go on elsewhere.
    pub fn refused_here(&self) -> Report {
        let mut report = Report::default();
        for target in &self.targets {
            report.append(self.problems("targets", &target.name, target.refused_by(&self.settings)));
        }
        report
    }

    /// Fetches all secrets and makes what runs.
    pub fn resolve(&self) -> Result<Parts, Report> {
        let mut report = Report::default();
        let mut sources = Vec::new();
        for (name, spec) in &self.sources {
            match self.resolve_source(name, spec) {
                Ok(source) => sources.push(source),
                Err(found) => report.append(found),
            }
        }
        let mut targets = Vec::new();
        for target in &self.targets {
            match self.resolve_target(target) {
                Ok(ready) => targets.push((target.name.clone(), target.delivery.clone(), ready)),
                Err(found) => report.append(found),
            }
        }
        let mut problems = Problems::default();
        match self.settings.archive.as_ref().map(|archive| archive.resolve(&self.root)) {
            Some(Err(SpecError::Secret(error))) => drop(problems.take::<(), _>("archive", Err(error))),
            Some(Err(error)) => problems.add("archive", error),
            Some(Ok(())) | None => {}
        }
        if !problems.is_empty() {
            report.append(in_settings(&self.root, problems));
        }
        let (settings, root) = (self.settings.clone(), self.root.clone());
        report.ok(Parts { settings, sources, targets, core: self.core(None), root })
    }

    /// Fetches all secrets, the keys of `emote.yaml` too, and lets go of them.
    pub fn try_secrets(&self) -> Result<(), Report> {
        let mut report = Report::default();
        let tried = [self.resolve().map(drop), Self::identity(&self.root, &self.settings).map(drop)];
        tried.into_iter().filter_map(Result::err).for_each(|found| report.append(found));
        report.ok(())
    }

    /// Fetches a source's secrets and makes it ready.
    pub fn resolve_source(&self, name: &Name, spec: &SourceSpec) -> Result<Source, Report> {
        let plan = spec.validate(name).map(|plan| plan.with_vocabulary(self.vocabulary.clone()));
        let resolved = plan.and_then(|plan| plan.resolve(&self.root));
        resolved.map_err(|problems| self.problems("sources", name, problems))
    }

    /// Fetches a target's secrets and makes it ready.
    pub fn resolve_target(&self, target: &Validated) -> Result<Box<dyn Target>, Report> {
        target
            .resolve(Machine::new(&self.root, &self.settings))
            .map_err(|problems| self.problems("targets", &target.name, problems))
    }

    /// The fold of these rules; `hash` is the set's where it was applied.
    pub fn core(&self, hash: Option<String>) -> Core {
        Core::new(RuleBook {
            hash,
            rules: self.rules.clone(),
            policies: self.targets.iter().map(|target| (target.name.clone(), target.policy.clone())).collect(),
            sources: self.sources.iter().map(|(name, _)| name.clone()).collect(),
            believed: self.believed.clone(),
            silent_after: self.silent_after(),
            deploying: self.deploying.clone(),
        })
    }

    fn silent_after(&self) -> BTreeMap<Name, i64> {
        let of = |(name, spec): &(Name, SourceSpec)| {
            let after = spec.validate(name).ok()?.silent_after()?;
            Some((name.clone(), i64::try_from(after.as_millis()).ok()?))
        };
        self.sources.iter().filter_map(of).collect()
    }

    /// Refuses what must not run on a NATS that asks nobody for credentials, if that is what there is.
    pub fn may_run_where(&self, takes_anyone: bool) -> Result<(), Report> {
        let mut report = Report::default();
        if takes_anyone && let Some((name, _)) = self.believed.iter().find(|(_, level)| **level > Trust::Unverified) {
            report.add(Path::new(trust_file::FILE), trust_file::nobody_is_to_be_believed(name));
        }
        report.ok(())
    }

    pub(super) fn problems(&self, kind: &str, name: &Name, problems: Problems) -> Report {
        let file = PathBuf::from(format!("{kind}/{name}.yaml"));
        let text = match &self.set {
            Some(set) => set.text(&file.to_string_lossy()).unwrap_or_default().to_owned(),
            None => read_text(&self.root.join(&file)).unwrap_or_default(),
        };
        let mut report = Report::default();
        report.add_all(&origin(kind, &file, &text), problems);
        report.in_order()
    }
}

/// Tells what to do where there is no `emote.yaml`.
fn must_be_folder(root: &Path, report: &mut Report) -> Result<(), Report> {
    if root.join("emote.yaml").is_file() {
        return Ok(());
    }
    Folder::is_there(root)?;
    let remedy = "name a configuration folder, or write one with `emote init DIR`";
    report.add(Path::new("emote.yaml"), format!("is not in {}; {remedy}", root.display()));
    Err(std::mem::take(report))
}

/// These problems of `emote.yaml`, each at its place.
pub(super) fn in_settings(root: &Path, problems: Problems) -> Report {
    let mut report = Report::default();
    let file = PathBuf::from("emote.yaml");
    let text = text_of_file(root, &file, &mut report).unwrap_or_default();
    report.add_all(&Origin::hidden(&file, &text), problems);
    report.in_order()
}

fn read_settings(root: &Path, report: &mut Report) -> Settings {
    let file = PathBuf::from("emote.yaml");
    let Some(text) = text_of_file(root, &file, report) else { return Settings::default() };
    let origin = Origin::hidden(&file, &text);
    let Some(map) = values(&origin, &text, report) else { return Settings::default() };
    let mut problems = Problems::default();
    let settings = Settings::read(&map, &mut problems);
    report.add_all(&origin, problems);
    settings
}

/// The targets in which nothing is wrong, and the names of all.
fn read_targets(files: Files<'_>, report: &mut Report) -> (Vec<Validated>, Vec<Name>) {
    let mut names = Vec::new();
    let targets = each(files, TARGETS, report, |document, problems| {
        names.push(document.name.clone());
        if matches!(document.name.as_str(), EMIT_TARGET | CORE_RULE) {
            problems.add("", format!("{} is a name that emote uses itself: name the target otherwise", document.name));
        }
        TargetSpec::new(document.map.clone())
            .validate(document.name.clone())
            .map_err(|found| problems.add_all("", found))
            .ok()
    });
    (targets, names)
}

fn read_sources(files: Files<'_>, report: &mut Report) -> Vec<(Name, SourceSpec)> {
    let documents = documents(files, SOURCES, report);
    documents
        .into_iter()
        .filter_map(|document| Some((document.name.clone(), read_source(&document, report)?)))
        .collect()
}

pub(super) fn read_source(document: &Document, report: &mut Report) -> Option<SourceSpec> {
    let spec = match yaml::read::<SourceSpec>(&document.text) {
        Ok(spec) => spec,
        Err(error) => {
            report.add_in(&document.origin(), error.place, error.message);
            return None;
        }
    };
    let mut problems = Problems::default();
    if let Err(found) = spec.validate(&document.name) {
        problems.add_all("", found);
    }
    report.add_all(&document.origin(), problems);
    Some(spec)
}

fn read_believed(files: Files<'_>, sources: &[(Name, SourceSpec)], report: &mut Report) -> BTreeMap<Name, Trust> {
    let file = Path::new(trust_file::FILE);
    let Some(text) = files.optional(file, report) else { return BTreeMap::new() };
    let origin = Origin::shown(file, &text);
    let Some(map) = values(&origin, &text, report) else { return BTreeMap::new() };
    let webhooks: Vec<Name> = sources.iter().map(|(name, _)| name.clone()).collect();
    let mut problems = Problems::default();
    let believed = trust_file::read(&map, &webhooks, &mut problems);
    report.add_all(&origin, problems);
    believed
}

/// What `deploy.yaml` says, where it is there.
fn read_deploying(files: Files<'_>, targets: &[Validated], names: &[Name], report: &mut Report) -> Option<Deploying> {
    let file = Path::new(deploy_file::FILE);
    let Some(text) = files.optional(file, report) else {
        deploy_file::is_missed(targets, report);
        return None;
    };
    let origin = Origin::shown(file, &text);
    let map = values(&origin, &text, report)?;
    let mut problems = Problems::default();
    let mut fields = Fields::new(&map, &mut problems);
    let (target, deploying) = deploy_file::of(&mut fields);
    fields.finish();
    if let Some(target) = &target {
        deploy_file::check(target, targets, names, &mut problems);
    }
    report.add_all(&origin, problems);
    deploying
}

#[cfg(test)]
mod tests;
