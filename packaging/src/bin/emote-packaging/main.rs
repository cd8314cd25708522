//! `emote-packaging`: builds, signs and proves the packages.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use emote_packaging::cli::{Cli, main_of};

fn main() -> ExitCode {
    main_of(Cli::parse())
}
