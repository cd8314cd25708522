//! The folders in which files are dropped for sources.

use super::{
    super::{observe::Observed, page::Kind, page::Page},
    age, flag,
};
use crate::intake::folder::FolderReport;

type Of = fn(&FolderReport) -> u64;

const COUNTS: [(&str, &str, Of); 3] = [
    ("emote_folder_files_total", "Files that this broker took.", |of| of.files),
    ("emote_folder_events_total", "New events that files became.", |of| of.events),
    ("emote_folder_refused_total", "Files that this broker put into failed/.", |of| of.refused),
];

pub(super) fn write(page: &mut Page, seen: &Observed) {
    for (name, help, of) in COUNTS {
        let mut family = page.family(Kind::Counter, name, help);
        for (source, report) in &seen.folders {
            family.sample(&[("source", source)], of(report) as f64);
        }
    }
    let mut family = page.family(Kind::Gauge, "emote_folder_waiting", "Files that lay there at the last look.");
    for (source, report) in &seen.folders {
        family.sample(&[("source", source)], report.waiting as f64);
    }
    let mut family = page.family(Kind::Gauge, "emote_folder_failing", "Whether the last look at the folder failed.");
    for (source, report) in &seen.folders {
        family.sample(&[("source", source)], flag(report.failures > 0));
    }
    let help = "How long ago the last file was taken, in seconds.";
    let mut family = page.family(Kind::Gauge, "emote_folder_age_seconds", help);
    for (source, report) in &seen.folders {
        if let Some(at) = report.last_success {
            family.sample(&[("source", source)], age(at, seen.now));
        }
    }
}
