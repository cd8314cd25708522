//! The difference of two sets of files, line by line, as people know it from their version control.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::render;
use crate::config::Set;

const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
/// Unchanged lines around a change.
const CONTEXT: usize = 2;
/// Files with more lines than this are not compared line by line.
const MAX_LINES: usize = 4_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'a> {
    Same(&'a str),
    Added(&'a str),
    Removed(&'a str),
}

/// Every file that differs.
pub(super) fn of_sets(old: &Set, new: &Set) -> String {
    let difference = old.difference(new);
    let mut files: Vec<&String> =
        difference.added.iter().chain(&difference.changed).chain(&difference.removed).collect();
    files.sort();
    let bold = render::BOLD;
    let mut text = String::new();
    for file in files {
        let (before, after) = (old.text(file), new.text(file));
        let what = match (before, after) {
            (None, _) => "new",
            (_, None) => "removed",
            _ => "changed",
        };
        let _ = writeln!(text, "{bold}{file}{bold:#} ({what})");
        text.push_str(&of_texts(before.unwrap_or_default(), after.unwrap_or_default()));
    }
    text
}

fn of_texts(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if old.len().max(new.len()) > MAX_LINES {
        return format!("  {} lines instead of {}\n", new.len(), old.len());
    }
    let lines = compare(&old, &new);
    let near_change = |at: usize| {
        let around = &lines[at.saturating_sub(CONTEXT)..(at + CONTEXT + 1).min(lines.len())];
        around.iter().any(|line| !matches!(line, Line::Same(_)))
    };
    let mut text = String::new();
    let mut left_out = false;
    for (at, line) in lines.iter().enumerate() {
        if !near_change(at) {
            left_out = true;
            continue;
        }
        if std::mem::take(&mut left_out) {
            text.push_str("  …\n");
        }
        let _ = match line {
            Line::Same(line) => writeln!(text, "    {line}"),
            Line::Added(line) => writeln!(text, "  {ADDED}+ {line}{ADDED:#}"),
            Line::Removed(line) => writeln!(text, "  {REMOVED}- {line}{REMOVED:#}"),
        };
    }
    text
}

/// The longest common lines stay; what is between them was removed and added.
fn compare<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let width = new.len() + 1;
    let mut common = vec![0_u16; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(Line::Same(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1]) {
            lines.push(Line::Removed(old[i]));
            i += 1;
        } else {
            lines.push(Line::Added(new[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_changed_is_shown_with_what_is_around_it() {
        let old = "a\nb\nc\nd\ne\nf\ng\n";
        let new = "a\nb\nc\nd\nE\nf\ng\nh\n";
        let shown = anstream::adapter::strip_str(&of_texts(old, new)).to_string();
        insta::assert_snapshot!(shown, @r"
          …
            c
            d
          - e
          + E
            f
            g
          + h
        ");
    }

    proptest! {
        #[test]
        fn the_lines_are_those_of_both(old in proptest::collection::vec("[ab]{1}", 0..12), new in proptest::collection::vec("[ab]{1}", 0..12)) {
            let (old, new): (Vec<&str>, Vec<&str>) = (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
            let lines = compare(&old, &new);
            let of_old: Vec<&str> = lines.iter().filter_map(|line| match line { Line::Same(line) | Line::Removed(line) => Some(*line), Line::Added(_) => None }).collect();
            let of_new: Vec<&str> = lines.iter().filter_map(|line| match line { Line::Same(line) | Line::Added(line) => Some(*line), Line::Removed(_) => None }).collect();
            prop_assert_eq!(of_old, old);
            prop_assert_eq!(of_new, new);
        }
    }
}
