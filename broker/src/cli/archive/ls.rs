//! `emote archive ls`

use std::collections::BTreeMap;

use serde_json::json;

use super::{Common, Range};
use crate::{
    archive::Segment,
    cli::{Exit, Output, print_line, table},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    range: Range,
    /// Each segment, rather than days
    #[arg(long)]
    segments: bool,
    #[command(flatten)]
    common: Common,
}

/// What there is of a source on a day.
#[derive(Default)]
struct Day {
    segments: u64,
    events: u64,
    bytes: u64,
    stored_bytes: u64,
    first: u64,
    last: u64,
}

impl Day {
    fn add(&mut self, segment: &Segment) {
        self.first = if self.segments == 0 { segment.first } else { self.first.min(segment.first) };
        self.last = self.last.max(segment.last);
        self.segments += 1;
        self.events += segment.events;
        self.bytes += segment.bytes;
        self.stored_bytes += segment.stored_bytes;
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let archive = args.common.open()?;
    let wanted = args.range.wanted();
    let mut days: BTreeMap<(String, String), Day> = BTreeMap::new();
    let as_table = args.common.output == Output::Table;
    let mut rows = table::table(&["object", "events", "size", "stored", "from", "to"]);
    let listed = archive.each_manifest(&wanted, async |manifest| {
        for segment in manifest.segments.iter().filter(|segment| wanted.may_be_in(segment)) {
            if !args.segments {
                days.entry((manifest.day.clone(), segment.source.clone())).or_default().add(segment);
            } else if as_table {
                let (from, to) = segment.received;
                let (events, size) = (segment.events.to_string(), shown_size(segment.bytes));
                rows.add_row([
                    segment.path.clone(),
                    events,
                    size,
                    shown_size(segment.stored_bytes),
                    from.to_string(),
                    to.to_string(),
                ]);
            } else if !print_line(json!(segment))? {
                return Ok(false);
            }
        }
        Ok(true)
    });
    listed.await?;
    if as_table && days.is_empty() && rows.is_empty() {
        anstream::eprintln!("Nothing of that is archived.");
    } else if as_table {
        print_line(if args.segments { table::lines(&mut rows) } else { shown(&days) })?;
    } else {
        for ((day, source), of) in &days {
            print_line(
                json!({"day": day, "source": source, "segments": of.segments, "events": of.events, "bytes": of.bytes,
                "stored_bytes": of.stored_bytes, "first": of.first, "last": of.last}),
            )?;
        }
    }
    Ok(Exit::Ok)
}

fn shown(days: &BTreeMap<(String, String), Day>) -> String {
    let mut rows = table::table(&["day", "source", "events", "segments", "size", "stored", "first", "last"]);
    for ((day, source), of) in days {
        rows.add_row([
            day.clone(),
            source.clone(),
            of.events.to_string(),
            of.segments.to_string(),
            shown_size(of.bytes),
            shown_size(of.stored_bytes),
            format!("#{}", of.first),
            format!("#{}", of.last),
        ]);
    }
    table::lines(&mut rows)
}

/// `12.3 MiB`
pub(super) fn shown_size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let (mut size, mut unit) = (bytes as f64, "B");
    for next in units {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, shown) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (u64::MAX, "16777216.0 TiB")]
        {
            assert_eq!(shown_size(bytes), shown);
        }
    }
}
