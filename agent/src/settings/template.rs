//! The commented TOML file and the documentation's tables, from the registry. Pure.

use super::keys::{self, Key};
use super::value::Kind;
use super::{DEFAULT_FILE, DOMAIN};
use crate::sources;

/// A file in which every key is there, as a comment with its default or an example.
pub fn toml() -> String {
    let head = format!(
        "# Settings of emote-agent, usually {DEFAULT_FILE}.\n\
         # What is managed by a configuration profile ({DOMAIN}) goes over this file.\n\
         # Each line shows the default, or an example where there is none: take the # away to set it.\n"
    );
    head + &every("", |_| true, sample)
}

/// The same for a Mac's managed preferences, as what another file says in `table`; `wanted` picks among the general keys.
pub fn toml_below(table: &str, wanted: impl Fn(&Key) -> bool) -> String {
    every(&format!("{table}."), wanted, sample_on_a_mac)
}

fn every(prefix: &str, wanted: impl Fn(&Key) -> bool, sample: fn(&Key) -> &str) -> String {
    let mut text = String::new();
    for key in keys::general().iter().filter(|key| wanted(key)) {
        text += &format!("\n# {}.\n{}", sentence(key), line(key, &key.name, sample(key)));
    }
    for source in sources::list() {
        text += &format!("\n# {}: {}.\n#[{prefix}sources.{0}]\n", source.name, source.about);
        let of = format!("sources.{}.", source.name);
        for key in keys::all() {
            if let Some(sub) = key.name.strip_prefix(&of) {
                text += &line(&key, sub, sample(&key));
            }
        }
    }
    let name = keys::UNIFIED_LOG_EXAMPLE;
    text += &format!("\n# {}.\n#[{prefix}{}.{name}]\n", keys::UNIFIED_LOG_ABOUT, keys::UNIFIED_LOG);
    for key in keys::of_unified_log(name) {
        text += &line(&key, last(&key), sample(&key));
    }
    text
}

/// The documentation's tables.
pub fn markdown() -> String {
    let mut text = String::from(
        "| key | type | default | meaning | example |\n\
         |---|---|---|---|---|\n",
    );
    for key in keys::general() {
        let secret = if key.secret { "; in no event" } else { "" };
        text += &format!(
            "| `{}` | {} | {} | {}{secret} | `{}` |\n",
            key.name,
            key.kind.name(),
            default(key),
            key.about,
            key.example
        );
    }
    text += "\nEach source has a table `sources.NAME` with `enabled` (true/false, default true), `interval` (duration: between \
             two looks) and `debounce` (duration: from a hint to the look).\n\n\
             | source | observes | interval | debounce |\n\
             |---|---|---|---|\n";
    for source in sources::list() {
        let of = |sub: &str| {
            let name = format!("sources.{}.{sub}", source.name);
            keys::all().iter().find(|key| key.name == name).map_or_else(String::new, default)
        };
        text += &format!("| `{}` | {} | {} | {} |\n", source.name, source.about, of("interval"), of("debounce"));
    }
    text += &format!(
        "\n{}. Each has a table `{}.NAME`, where NAME is chosen freely:\n\n\
         | key | type | default | meaning | example |\n\
         |---|---|---|---|---|\n",
        keys::UNIFIED_LOG_ABOUT,
        keys::UNIFIED_LOG
    );
    for key in keys::of_unified_log("NAME") {
        let (name, kind, default) = (last(&key), key.kind.name(), default(&key));
        text += &format!("| `{name}` | {kind} | {default} | {} | `{}` |\n", key.about, key.example);
    }
    text
}

/// A key's name in its table.
pub(super) fn last(key: &Key) -> &str {
    key.name.rsplit_once('.').map_or(&key.name, |(_, last)| last)
}

/// What a key is for, and what is used when nothing is written.
pub(super) fn sentence(key: &Key) -> String {
    match key.default {
        keys::Fallback::Is(_) => key.about.to_string(),
        keys::Fallback::Means(words) => format!("{} [default: {words}]", key.about),
    }
}

/// As one would write it: the default, or else the example.
pub(super) fn sample(key: &Key) -> &str {
    match &key.default {
        keys::Fallback::Is(text) => text,
        keys::Fallback::Means(_) => &key.example,
    }
}

/// The same, but paths are those of a Mac, wherever this was written.
pub(super) fn sample_on_a_mac(key: &Key) -> &str {
    if key.kind == Kind::Path { &key.example } else { sample(key) }
}

fn default(key: &Key) -> String {
    match &key.default {
        keys::Fallback::Is(text) => format!("`{text}`"),
        keys::Fallback::Means(words) => (*words).to_owned(),
    }
}

fn line(key: &Key, name: &str, sample: &str) -> String {
    let value = match key.kind {
        Kind::Flag | Kind::Count(_) => sample.to_owned(),
        Kind::Texts => {
            format!("[{}]", sample.split(',').map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", "))
        }
        _ => format!("{sample:?}"),
    };
    format!("#{name} = {value}\n")
}

#[cfg(test)]
mod tests {
    use super::super::{Layer, Origin, Tree, evaluate};
    use super::*;

    #[test]
    fn the_template_says_every_key_and_without_its_comments_the_defaults() {
        let text = toml();
        let unset = |text: &str| evaluate(&[Layer::new(Origin::File, Tree::from_toml(text).unwrap())]);
        assert_eq!(unset(&text), evaluate(&[]), "as it stands it sets nothing");
        let set: String = text.lines().map(|line| line.strip_prefix('#').unwrap_or(line)).fold(
            String::new(),
            // What is left of a comment begins with a space.
            |text, line| if line.starts_with(' ') { text } else { text + line + "\n" },
        );
        // One of two that may not be said together.
        let set =
            set.replace("\ntoken_file", "\n#token_file").replace("\nenrollment_token_file", "\n#enrollment_token_file");
        let (values, problems) = unset(&set);
        assert_eq!(problems, []);
        let keys = keys::all().into_iter().filter(|key| !key.name.ends_with("token_file"));
        for key in keys.chain(keys::of_unified_log(keys::UNIFIED_LOG_EXAMPLE)) {
            let effective = values.get(&key.name).unwrap();
            assert_eq!(effective.origin, Origin::File, "{}", key.name);
            if let Some(default) = key.default_value() {
                assert_eq!(effective.value, Some(default), "{}", key.name);
            }
        }
    }

    #[test]
    fn the_tables_name_every_key_and_every_source() {
        let text = markdown();
        for key in keys::general() {
            assert!(text.contains(&format!("| `{}` | ", key.name)), "{}", key.name);
        }
        for source in sources::list() {
            assert!(text.contains(&format!("| `{}` | {} |", source.name, source.about)), "{}", source.name);
        }
        let columns = |line: &&str| line.matches('|').count();
        let counts: Vec<usize> = text.lines().filter(|line| line.starts_with('|')).map(|line| columns(&line)).collect();
        assert!(counts.iter().all(|count| *count == 6 || *count == 5), "{text}");
    }
}
