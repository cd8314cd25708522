//! The text below the options of `--help`, in lines as long as the terminal has them.

use clap::{Command, CommandFactory, FromArgMatches};

use super::Cli;

impl Cli {
    /// What the command line says; ends the program where that is wrong, or help.
    pub fn read() -> Self {
        let matches = reflowed(Self::command()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// The same command, whose paragraphs are one line each: clap breaks those where the terminal ends.
fn reflowed(command: Command) -> Command {
    let text = command.get_after_help().map(|text| joined(&text.to_string()));
    let command = command.mut_subcommands(reflowed);
    match text {
        Some(text) => command.after_help(text),
        None => command,
    }
}

/// Lines are joined that were broken within a sentence; what is indented stays as it is.
fn joined(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    for line in text.lines() {
        let before = joined.rsplit('\n').next().unwrap_or_default();
        let goes_on = |line: &str| !line.is_empty() && !line.starts_with(' ');
        let between = match joined.is_empty() {
            true => "",
            false if goes_on(before) && goes_on(line) && !before.ends_with(['.', ':']) => " ",
            false => "\n",
        };
        joined.push_str(between);
        joined.push_str(line);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_joined_and_lists_are_not() {
        let cases = [
            ("one line\nand its end.\nAnother.", "one line and its end.\nAnother."),
            ("Examples:\n  emote a\n  emote b\n\nText\ngoes on", "Examples:\n  emote a\n  emote b\n\nText goes on"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(joined(text), expected);
        }
    }

    #[test]
    fn help_of_subcommands_is_reflowed_and_sound() {
        let command = reflowed(Cli::command());
        command.clone().debug_assert();
        let agents = command.find_subcommand("agents").unwrap();
        let text = agents.get_after_help().unwrap().to_string();
        assert!(text.contains("is let in with it says emote.yaml (identity"), "{text}");
    }
}
