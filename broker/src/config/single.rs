//! One source or target of a folder, or its schemas, whatever else is wrong there.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use emote_proto::Name;

use super::{
    Problems, Report,
    documents::{Document, Files, SOURCES, TARGETS, document, origin},
    file::read_text,
    folder::read_source,
    schema_file,
};
use crate::{
    ingest::SourceSpec,
    schema::events::Vocabulary,
    targets::{TargetSpec, Validated},
};

/// The source of this name in the folder at `root`, if there is one.
pub fn source_of(root: &Path, name: &Name) -> Result<Option<SourceSpec>, Report> {
    let mut report = Report::default();
    let Some(document) = of_kind(root, SOURCES, name, &mut report) else { return report.ok(None) };
    let spec = read_source(&document, &mut report);
    report.ok(spec)
}

/// The target of this name in the folder at `root`, if there is one.
pub fn target_of(root: &Path, name: &Name) -> Result<Option<Validated>, Report> {
    let mut report = Report::default();
    let Some(document) = of_kind(root, TARGETS, name, &mut report) else { return report.ok(None) };
    let validated = TargetSpec::new(document.map.clone()).validate(name.clone());
    let target = validated.map_err(|found| report.add_all(&document.origin(), found)).ok();
    report.ok(target)
}

/// The schemas of the folder at `root` over those that are built in; none where it has none.
pub fn vocabulary_of(root: &Path) -> Result<Option<Arc<Vocabulary>>, Report> {
    let mut report = Report::default();
    let vocabulary = schema_file::read_all(Files::Disk(root), &mut report);
    report.ok(vocabulary)
}

/// What is wrong with the target of this name, where its file says it.
pub fn target_problems(root: &Path, name: &Name, problems: Problems) -> Report {
    let file = PathBuf::from(format!("{TARGETS}/{name}.yaml"));
    let text = read_text(&root.join(&file)).unwrap_or_default();
    let mut report = Report::default();
    report.add_all(&origin(TARGETS, &file, &text), problems);
    report
}

/// None where there is no such file, or none that can be read; that is told.
fn of_kind(root: &Path, kind: &'static str, name: &Name, report: &mut Report) -> Option<Document> {
    let file = PathBuf::from(format!("{kind}/{name}.yaml"));
    // A link that leads nowhere is one, and is told as such.
    if std::fs::symlink_metadata(root.join(&file)).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return None;
    }
    document(Files::Disk(root), kind, file, name.clone(), report)
}
