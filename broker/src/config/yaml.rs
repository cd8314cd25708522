//! Reads YAML into values, and tells in this program's words what is wrong with it.

use serde::de::DeserializeOwned;
use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter, options::NonFiniteFloatPolicy};

use super::{locate::Place, nearest};

const TOO_MUCH: &str = "too many values, or nested too deeply: split the file";
/// What is said where something else than a mapping stands.
pub(super) const KEYS: &str = "expected keys and values, such as `name: value`";

/// Words of the parser, and what people make of them.
const PLAIN: [(&str, &str); 19] = [
    ("recursion limit exceeded", TOO_MUCH),
    ("mapping values are not allowed", "a second `: ` on one line: a text with `: ` in it stands in quotes"),
    ("tabs disallowed", "a tab stands here: indent with spaces"),
    ("tab cannot be used", "a tab stands here: indent with spaces"),
    ("found a tab", "a tab stands here: indent with spaces"),
    ("duration format", "expected a length of time such as 30s, 15m or 24h"),
    ("parsing ISO 8601 duration", "expected a length of time such as 30s, 15m or 24h"),
    ("unclosed quote", "a quote is not closed"),
    ("did not find expected key", "expected a key with its value, indented as the keys before it"),
    ("did not find expected ',' or '}'", "expected , or } here"),
    ("expected ',' or ']'", "expected , or ] here"),
    ("did not find expected node content", "expected a value here"),
    ("block sequence entries are not allowed", "a list with `- ` begins on a line of its own"),
    ("simple key expected", "expected `: ` behind this key"),
    ("simple key is no longer valid", "expected `: ` behind this key"),
    ("invalid indentation", "is not indented as what is around it"),
    ("wrongly indented line", "is not indented as what is around it"),
    ("invalid trailing content after", "there is more behind the closing quote: put all of it in quotes"),
    ("found unknown escape character", "there is no such escape: between double quotes, a backslash is written \\\\"),
];

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
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("unknown key: {}", nearest::one_of(field, expected.iter().copied()))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            format!("unknown word: {}", nearest::one_of(variant, expected.iter().copied()))
        }
        Error::SerdeMissingField { field, .. } => format!("{field} is missing"),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            format!("expected {expected}")
        }
        Error::Unexpected { expected: "mapping start", .. } => KEYS.to_owned(),
        Error::Unexpected { expected: "sequence start", .. } => "expected a list, such as [a, b]".to_owned(),
        Error::Unexpected { expected: "scalar" | "string scalar", .. } | Error::NullIntoString { .. } => {
            "expected a text".to_owned()
        }
        Error::InvalidScalar { ty, .. } => format!("expected {}", number(ty)),
        Error::InvalidBooleanStrict { .. } => "expected true or false".to_owned(),
        Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. }
        | Error::ExpectedStringKeyForExternallyTaggedEnum { .. } => {
            "expected a word, or a key with what belongs to it".to_owned()
        }
        Error::ExpectedMappingEndAfterEnumVariantValue { .. } => {
            "only one key may stand here: leave out the others".to_owned()
        }
        error => {
            let said = UserMessageFormatter.format_message(error);
            let said = first_line(&said);
            let plain = PLAIN.iter().find(|(theirs, _)| said.contains(theirs));
            plain.map_or(said, |(_, plain)| plain).to_owned()
        }
    }
}

/// What is expected of a number of that type.
fn number(of: &str) -> &str {
    match of.as_bytes().first() {
        Some(b'u') => "a whole number, not below 0",
        Some(b'i') => "a whole number",
        Some(b'f') => "a number",
        _ => of,
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
            ("pattern:\n\t- a\n", Some((2, 2)), "a tab stands here: indent with spaces"),
            ("a: b: c\n", Some((1, 5)), "a second `: ` on one line"),
            ("a: \"b\n", None, "a quote is not closed"),
            ("a: 1\n  b: 2\n", None, "a second `: `"),
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

    #[test]
    fn what_stands_in_place_of_something_else_is_told_with_that() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "snake_case")]
        #[expect(dead_code, reason = "it is read for what is wrong with it")]
        enum Word {
            Enforce,
            Of { number: u16 },
        }
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "it is read for what is wrong with it")]
        struct File {
            text: Option<String>,
            list: Option<Vec<String>>,
            word: Option<Word>,
            flag: Option<bool>,
            time: Option<jiff::SignedDuration>,
        }
        for (yaml, said) in [
            ("txt: a", "unknown key: did you mean text? There are text, list, word, flag, time"),
            ("text: [a]", "expected a text"),
            ("list: a", "expected a list, such as [a, b]"),
            ("word: enforced", "unknown word: did you mean enforce? There are enforce, of"),
            ("word: {of: x}", "expected keys and values, such as `name: value`"),
            ("word: {of: {}}", "number is missing"),
            ("word: {of: {number: -1}}", "expected a whole number, not below 0"),
            ("word: [a]", "expected a word, or a key with what belongs to it"),
            ("word: {of: {number: 1}, enforce: 2}", "only one key may stand here: leave out the others"),
            ("flag: maybe", "expected true or false"),
            ("time: soon", "expected a length of time such as 30s, 15m or 24h"),
            ("time: P1D", "expected a length of time such as 30s, 15m or 24h"),
            ("text", "expected keys and values, such as `name: value`"),
        ] {
            assert_eq!(read::<File>(yaml).unwrap_err().message, said, "{yaml}");
        }
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
