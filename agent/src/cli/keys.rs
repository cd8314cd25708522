//! The flags and variables of settings, made from their registry.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::settings::keys::{self, Fallback, Key};
use crate::settings::{Kind, Tree};

/// What was said of keys: of the two that lead to the running agent (`PLACE`), or of the others.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys<const PLACE: bool> {
    pub(super) flags: Tree,
    pub(super) environment: Tree,
}

fn chosen(place: bool) -> impl Iterator<Item = (&'static Key, String)> {
    let is_place = |key: &Key| ["state_dir", "socket"].contains(&&*key.name);
    keys::general().iter().filter(move |key| is_place(key) == place).filter_map(|key| Some((key, key.flag()?)))
}

fn argument(key: &Key, flag: String) -> Arg {
    let default = match &key.default {
        Fallback::Is(text) => text,
        Fallback::Means(words) => *words,
    };
    let argument = Arg::new(key.name.to_string()).long(flag).env(key.variable());
    match key.kind {
        // `--insecure` and `--insecure=false`: what is managed can be taken back too.
        Kind::Flag => argument
            .help(key.about.to_string())
            .value_name("BOOL")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        Kind::Texts => argument
            .help(format!("{}; repeat or separate by commas", key.about))
            .value_name("URL")
            .action(ArgAction::Append),
        // A certificate begins with dashes.
        Kind::Pem => argument.help(key.about.to_string()).value_name("PEM").allow_hyphen_values(true),
        kind => argument.help(format!("{} [default: {default}]", key.about)).value_name(match kind {
            Kind::Duration(_) => "DURATION",
            Kind::Size(_) => "SIZE",
            Kind::Path | Kind::File => "PATH",
            _ => "TEXT",
        }),
    }
}

impl<const PLACE: bool> Args for Keys<PLACE> {
    fn augment_args(command: Command) -> Command {
        chosen(PLACE).fold(command, |command, (key, flag)| command.arg(argument(key, flag)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const PLACE: bool> FromArgMatches for Keys<PLACE> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut keys = Self::default();
        keys.update_from_arg_matches(matches).map(|()| keys)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for (key, _) in chosen(PLACE) {
            let Some(texts) = matches.get_many::<String>(&key.name) else { continue };
            let text = texts.map(String::as_str).collect::<Vec<_>>().join(",");
            let layer = match matches.value_source(&key.name) {
                Some(ValueSource::EnvVariable) => &mut self.environment,
                _ => &mut self.flags,
            };
            layer.set(&key.name, key.kind.json(&text));
        }
        Ok(())
    }
}
