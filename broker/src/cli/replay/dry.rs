//! What a replay would do, found out by folding it in memory.

use std::collections::BTreeMap;

use emote_proto::Time;
use serde_json::{Value, json};

use super::{Args, Exit, Output, Selection, Terms};
use crate::{
    archive::Kept,
    cli::{applying::Signature, print_line, render, table},
    config::Folder,
    console::order::replay,
    core::{CORE_RULE, Core, Entry, Job, Memory, Overlay},
};

/// What would become of jobs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    jobs: u64,
    held: u64,
    refused: u64,
}

/// Records in memory, and the rules over them.
struct Trial {
    core: Core,
    /// Learns from what happened, and acts on nothing.
    learning: Core,
    memory: Memory,
    by_rule: BTreeMap<(String, String), Counts>,
    events: u64,
    too_large: u64,
}

pub(super) async fn run(
    selection: &Selection<'_>,
    folder: &Folder,
    terms: &Terms,
    args: &Args,
) -> anyhow::Result<Exit> {
    let core = folder.core(None);
    let signature = args.signed.signature(selection.bus())?;
    let mut trial = Trial {
        learning: core.without_rules(),
        core,
        memory: Memory::default(),
        by_rule: BTreeMap::new(),
        events: 0,
        too_large: 0,
    };
    selection
        .each_of_all(async |entry| {
            trial.learn(&entry)?;
            let Some(original) = selection.chosen(entry) else { return Ok(true) };
            trial.play(&signature, terms, &original)?;
            Ok(trial.events <= args.max)
        })
        .await?;
    anyhow::ensure!(
        trial.events <= args.max,
        "more than {} events are chosen: choose fewer, or allow more with --max",
        args.max
    );
    match args.ask.output {
        Output::Json => {
            for ((rule, target), counts) in &trial.by_rule {
                print_line(
                    json!({"rule": rule, "target": target, "jobs": counts.jobs, "held": counts.held, "refused": counts.refused}),
                )?;
            }
        }
        Output::Table => drop(print_line(shown(&trial))?),
    }
    Ok(Exit::Ok)
}

impl Trial {
    fn learn(&mut self, entry: &Kept) -> anyhow::Result<()> {
        let mut overlay = Overlay::new(&self.memory);
        self.learning.apply(&mut overlay, &entry.entry())?;
        let changes = overlay.into_changes();
        self.memory.apply(changes);
        Ok(())
    }

    fn play(&mut self, signature: &Signature, terms: &Terms, original: &replay::Original) -> anyhow::Result<()> {
        self.events += 1;
        let Some((subject, id, body)) = replay::order(signature, terms, original)? else {
            self.too_large += 1;
            return Ok(());
        };
        let (subject, id) = (subject.to_string(), id.to_string());
        let received = Time::from(jiff::Timestamp::now());
        let entry = Entry { sequence: self.events, received, subject: &subject, message_id: Some(&id), payload: &body };
        let mut overlay = Overlay::new(&self.memory);
        let jobs = self.core.apply(&mut overlay, &entry)?;
        let changes = overlay.into_changes();
        self.memory.apply(changes);
        jobs.iter().for_each(|job| self.count(job));
        Ok(())
    }

    fn count(&mut self, job: &Job) {
        if job.rule.as_str() != CORE_RULE {
            let counts = self.by_rule.entry((job.rule.to_string(), job.target.to_string())).or_default();
            *(if job.held.is_some() { &mut counts.held } else { &mut counts.jobs }) += 1;
        } else if job.event.action.as_str() == "refused" {
            let word = |key| job.event.info_at(&[key]).and_then(Value::as_str).unwrap_or("-").to_owned();
            self.by_rule.entry((word("rule"), word("target"))).or_default().refused += 1;
        }
    }
}

fn shown(trial: &Trial) -> String {
    let dim = render::DIM;
    let end = format!("{} events would be played again. Nothing was ordered.", trial.events - trial.too_large);
    let note = format!(
        "{dim}Whose devices are whose is taken from the events of this time alone, and budgets as if nothing was spent.{dim:#}"
    );
    if trial.by_rule.is_empty() {
        return format!("No rule would act.\n{end}");
    }
    let mut rows = table::table(&["rule", "target", "jobs", "held", "refused"]);
    for ((rule, target), counts) in &trial.by_rule {
        let Counts { jobs, held, refused } = counts;
        rows.add_row([rule.clone(), target.clone(), jobs.to_string(), held.to_string(), refused.to_string()]);
    }
    format!("{}\n{end}\n{note}", table::lines(&mut rows))
}
