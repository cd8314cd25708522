//! `emote check`

use std::path::PathBuf;

use super::{Exit, Output, print_line, render};
use crate::config::{FileProblem, Folder};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads no secret and needs no network: made for a commit hook or CI. Keys for agents whose files are not here are told,
and are no problem. That a target of kind exec may run its program, emote.yaml must say (exec: {{allow, env}}), whether or not it is here.
Exit code 3 when there are problems, each printed as file:line:column: what is wrong; for rules and tests with the line \
and a caret under the place.")]
pub(super) struct Args {
    /// The configuration folder
    #[arg(default_value_os_t = super::folder::begun())]
    folder: PathBuf,
    /// Also resolve every secret reference, as `emote dev` and `emote serve` do
    #[arg(long)]
    secrets: bool,
    /// What to print: table, or json, one value a line where there are several
    #[arg(long, short, value_enum, hide_possible_values = true, default_value_t)]
    output: Output,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let checked = Folder::load(&args.folder).and_then(|folder| {
        let mut failed = folder.refused_here();
        failed.append(folder.run_cases());
        failed.ok(())?;
        if args.secrets { folder.try_secrets().map(|()| folder) } else { Ok(folder) }
    });
    if let Ok(folder) = &checked {
        note_keys(folder);
    }
    match (checked, args.output) {
        (Ok(folder), Output::Table) => {
            let (rules, sources, targets, cases) =
                (folder.rules.len(), folder.sources.len(), folder.targets.len(), folder.cases.len());
            print_line(format!(
                "{}: {rules} rules, {sources} sources, {targets} targets; {cases} tests passed.",
                args.folder.display()
            ))?;
            Ok(Exit::Ok)
        }
        (Ok(_), Output::Json) => {
            print_line(r#"{"problems":[]}"#)?;
            Ok(Exit::Ok)
        }
        (Err(report), Output::Table) => {
            for problem in &report.problems {
                print_line(shown(problem))?;
            }
            let count = report.problems.len();
            let many = if count == 1 { "problem" } else { "problems" };
            anstream::eprintln!(
                "{}{count} {many}{} in {}",
                render::ERROR,
                render::ERROR.render_reset(),
                args.folder.display()
            );
            Ok(Exit::Config)
        }
        (Err(report), Output::Json) => {
            print_line(serde_json::json!({"problems": report.problems}))?;
            Ok(Exit::Config)
        }
    }
}

/// Keys that are not here are no problem of the folder: where its files are looked at need not be where it is served.
fn note_keys(folder: &Folder) {
    let identity = folder.settings.identity.iter();
    for (key, path, error) in identity.flat_map(|identity| identity.out_of_reach(&folder.root)) {
        anstream::eprintln!(
            "{dim}emote.yaml: identity.{key}: {} cannot be read here, and `emote serve` reads it: {error}{dim:#}",
            path.display(),
            dim = render::DIM
        );
    }
}

/// The problem as it is displayed, the line it is in dimmed.
fn shown(problem: &FileProblem) -> String {
    let text = problem.to_string();
    match text.split_once('\n') {
        Some((what, line)) => format!("{what}\n{dim}{line}{dim:#}", dim = render::DIM),
        None => text,
    }
}
