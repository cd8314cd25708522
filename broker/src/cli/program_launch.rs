//! What stands between the broker and a program that a target runs.

use std::{ffi::OsString, path::PathBuf};

use super::Exit;
use crate::targets::{Bounds, launch};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    bounds: Bounds,
    program: PathBuf,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Comes back only where there is no becoming the program.
pub(super) fn run(args: &Args) -> Exit {
    let error = launch(&args.bounds, &args.program, &args.args);
    anstream::eprintln!("{} cannot be run: {error}", args.program.display());
    Exit::NotLaunched
}
