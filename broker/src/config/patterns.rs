//! The patterns of a folder's rules, apart from whatever else is wrong with it.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use emote_proto::Name;
use emote_rules::Pattern;

use super::{
    Problems, Report,
    documents::{Files, RULES, each, text_of_file, values},
    report::Origin,
    rule_file,
};

/// The patterns of all rules of the folder at `root`, by name; whatever else is wrong there.
pub fn patterns(root: &Path) -> Result<Vec<(Name, Pattern)>, Report> {
    let mut report = Report::default();
    let patterns = each(Files::Disk(root), RULES, &mut report, |document, problems| {
        rule_file::read_pattern(document.content(), problems).map(|pattern| (document.name.clone(), pattern))
    });
    report.ok(patterns)
}

/// The pattern of the rule of this name in the folder at `root`, if there is one; whatever else is wrong with it.
pub fn pattern_of(root: &Path, name: &Name) -> Result<Option<Pattern>, Report> {
    let file = PathBuf::from(format!("{RULES}/{name}.yaml"));
    let mut report = Report::default();
    // A link that leads nowhere is one, and is told as such.
    if std::fs::symlink_metadata(root.join(&file)).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    match text_of_file(root, &file, &mut report) {
        Some(text) => pattern_in(&file, &text).map(Some),
        None => Err(report),
    }
}

/// The pattern of a rule, given the text of its file; whatever else is wrong with it.
pub fn pattern_in(file: &Path, text: &str) -> Result<Pattern, Report> {
    let mut report = Report::default();
    let mut problems = Problems::default();
    let (shown, hidden) = (Origin::shown(file, text), Origin::hidden(file, text));
    // A file without a pattern is no rule, but perhaps a target with a secret in it.
    let key = |line: &str| line.strip_prefix(rule_file::PATTERN).is_some_and(|rest| rest.trim_start().starts_with(':'));
    let has_pattern = text.lines().any(key);
    let origin = if has_pattern { &shown } else { &hidden };
    let Some(map) = values(origin, text, &mut report) else { return Err(report) };
    let pattern = rule_file::read_pattern((text, &map), &mut problems);
    let is_rule = map.contains_key(rule_file::PATTERN);
    report.add_all(if is_rule { &shown } else { &hidden }, problems);
    match pattern {
        Some(pattern) => report.ok(pattern),
        None => Err(report.in_order()),
    }
}
