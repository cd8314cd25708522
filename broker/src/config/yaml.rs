//! Reads YAML into values, and tells in this program's words what is wrong with it.

use serde::de::DeserializeOwned;
use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter, options::NonFiniteFloatPolicy};

use super::locate::Place;

const TOO_MUCH: &str = "too many values, or nested too deeply: split the file";

/// Text that is not the YAML that is expected.
#[derive(Debug)]
pub(super) struct YamlError {
    /// Where, if it is known.
    pub(super) place: Option<Place>,
    /// What is wrong and what would do.
    pub(super) message: String,
}

/// Reads one document. `on`, `yes`, `no` and their like are texts, as in YAML 1.2.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        // A number of a pattern may be larger than any double; its text is read by itself.
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| YamlError::new(&error))
}

impl YamlError {
    fn new(error: &Error) -> Self {
        let at = error.location();
        let number = |number| usize::try_from(number).ok();
        let place = at.and_then(|at| Some((number(at.line())?, number(at.column())?)));
        Self { place, message: message(error.without_snippet()) }
    }
}

/// The library's remedies are for programs that use it; people edit a file.
fn message(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } => message(error.without_snippet()),
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key {key} stands here twice: leave one of them")
        }
        Error::DuplicateMappingKey { key: None, .. } => "a key stands here twice: leave one of them".to_owned(),
        Error::MultipleDocuments { .. } => {
            "there is a second document behind ---: make it a file of its own".to_owned()
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "an alias (*) stands inside of what it stands for: write the value itself".to_owned()
        }
        Error::UnknownAnchor { .. } => "there is no anchor (&) of this alias before it: a text that begins with * \
            stands in quotes"
            .to_owned(),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => TOO_MUCH.to_owned(),
        error => match first_line(&UserMessageFormatter.format_message(error)) {
            "recursion limit exceeded" => TOO_MUCH.to_owned(),
            other => other.to_owned(),
        },
    }
}

/// Without the place that it may begin with: that is told by itself.
fn first_line(text: &str) -> &str {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or(text);
    let line = line.strip_prefix("error: ").unwrap_or(line);
    line.strip_prefix("line ").and_then(|rest| rest.split_once(": ")).map_or(line, |(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_wrong_is_told_in_words_for_people() {
        let laughs = "a: &a [x]\n".to_owned()
            + &(0..7).map(|n| format!("{}: &{} [{}]\n", letter(n + 1), letter(n + 1), aliases(n))).collect::<String>();
        let many = format!("a: [{}]", "1, ".repeat(300_000));
        let deep = format!("a: {}{}", "[".repeat(3_000), "]".repeat(3_000));
        for (yaml, place, said) in [
            ("a: 1\nb: 2\na: 3\n", Some((3, 1)), "the key a stands here twice: leave one of them"),
            ("a: 1\n---\nb: 2\n", None, "there is a second document behind ---: make it a file of its own"),
            ("a: &x [*x]\n", None, "an alias (*) stands inside of what it stands for: write the value itself"),
            ("a: *x\n", Some((1, 4)), "there is no anchor (&) of this alias before it"),
            (&laughs, None, "too many values, or nested too deeply: split the file"),
            (&many, None, "too many values, or nested too deeply: split the file"),
            (&deep, None, "too many values, or nested too deeply: split the file"),
            ("pattern:\n\t- a\n", Some((2, 2)), "tabs disallowed"),
        ] {
            let error = read::<Value>(yaml).unwrap_err();
            assert!(error.message.starts_with(said), "{}: {error:?}", &yaml[..yaml.len().min(40)]);
            assert!(place.is_none_or(|place| error.place == Some(place)), "{error:?}");
            for jargon in ["Options", "Policy", "policy", "from_", "Budget", "budget", "deserialize"] {
                assert!(!error.message.contains(jargon), "{}", error.message);
            }
        }
        assert_eq!(first_line("error: unexpected: x\n more"), "unexpected: x");
    }

    fn letter(n: u8) -> char {
        char::from(b'a' + n)
    }

    fn aliases(n: u8) -> String {
        vec![format!("*{}", letter(n)); 10].join(", ")
    }

    #[test]
    fn words_that_are_booleans_elsewhere_are_texts() {
        let read = read::<Value>("{a: on, b: no, c: Y, d: true, e: 1e400}").unwrap();
        assert_eq!(read, json!({"a": "on", "b": "no", "c": "Y", "d": true, "e": ".inf"}));
    }
}
