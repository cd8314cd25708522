//! jq programs: how catalogue files, sources, rules and targets turn one JSON value into others.
//!
//! The language is jq as the `jaq` crates read it. A program sees its input and its variables and nothing else: `env`,
//! `now`, `halt`, `localtime`, `strflocaltime` and modules are refused, `debug` and `stderr` say nothing. So the same
//! input gives the same output on every machine, and no program reads a secret.
//!
//! What jq has and jaq lacks is added where it is of use here (`IN`, `INDEX`, `toarray`, `trimstr`, `ascii`, `@csv`, `@tsv`).
//! Beyond jq's own there are these filters:
//!
//! | filter | input | output |
//! |---|---|---|
//! | `from_plist` | a plist as XML, or an XML or binary plist in base64 | JSON; dates as RFC 3339, data as base64 |
//! | `from_xml` | XML | JSON, see [`xml`] |
//! | `epoch_time` | seconds or milliseconds since 1970, a number or its text | RFC 3339, or null where it is none |
//! | `to_time` | a time as `epoch_time` takes it, RFC 3339 (a space for the `T` too, any fraction, no zone for UTC), RFC 2822 | RFC 3339, or null where it is none, or before 1970 |
//! | `epoch_ms` | RFC 3339 | milliseconds since 1970, or null where it is none |
//! | `to_token` | a string such as `user.mfa.factor` or `PolicyFinished` | a snake_case word, or null where none is left |
//! | `present` | an object | without the keys whose value is null, or an empty text, list or object |
//! | `text` | anything | a text or number as text, else null |
//! | `object` | anything | an object as it is, else an empty one |
//! | `list` | anything | a list as it is, null as the empty one, else a list of it alone |
//! | `email` | anything | a text that is an e-mail address, else null |
//! | `said` | anything | as `text`, trimmed, and null where it says nothing (`null`, `unknown`, `n/a` …) |
//! | `serial` | anything | what can be a serial number, else null: manufacturers' `System Serial Number` is none |
//! | `raw` | `{"unknown": …}`, as a map marks what it knows no place for, or anything else | what stands there, or as it is |
//! | `link("next")` | the header `Link` (RFC 8288) | the address with this relation, or null |
//! | `first_text(…)` | anything | the first of the values that is a number or a text with something in it, as text, else null |
//!
//! A program comes from the administrator, as configuration does. It is not stopped when it never ends (`repeat(.)`
//! inside an array, `def f: f; f`): whoever runs programs on a server's threads gives them a thread and a deadline.
//! What foreign input can do is bounded: `fromjson`, `from_xml` and `from_plist` limit depth and size.

mod convert;
mod natives;
mod only;
pub mod plist;
mod time;
pub mod xml;

use jaq_core::{
    Compiler, Ctx, Filter, Vars,
    data::JustLut,
    load::{self, Arena, File, Loader},
    unwrap_valr,
};
use jaq_json::Val;
use serde_json::Value;

type Data = JustLut<Val>;

/// Most outputs of one run, where the caller names no other number.
pub const MAX_OUTPUTS: usize = 1000;

/// Longest text of an error: what a program says of its input is cut there.
const MAX_MESSAGE: usize = 300;

/// Longest text that is shown as it would be written, in bytes.
const MAX_QUOTED: usize = 80;

/// Why a program cannot be used or did not give values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JqError {
    /// The program's text.
    #[error("line {line}, column {column}: {message}")]
    Program {
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// What the program said of this input.
    #[error("{0}")]
    Run(String),
    /// More outputs than allowed.
    #[error("more than {0} outputs")]
    TooMany(usize),
    /// An output that JSON cannot say.
    #[error("output {index} is not JSON: {problem}")]
    NotJson {
        /// Which output, from 0.
        index: usize,
        /// What about it.
        problem: String,
    },
}

/// A compiled program: compile once, run from any thread.
pub struct Program {
    filter: Filter<Data>,
    max_outputs: usize,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("max_outputs", &self.max_outputs).finish_non_exhaustive()
    }
}

impl Program {
    /// Compiles `text`, in which the variables `names` (written with their `$`) may be used.
    pub fn compile(text: &str, names: &[&str]) -> Result<Self, JqError> {
        let arena = Arena::default();
        let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()).chain(own_defs());
        let modules = Loader::new(defs)
            .load(&arena, File { code: text, path: () })
            .map_err(|errors| first_of(text, errors.into_iter().flat_map(|(_, error)| loading(error))))?;
        let filter = Compiler::default()
            .with_funs(natives::all())
            .with_global_vars(names.iter().copied())
            .compile(modules)
            .map_err(|errors| first_of(text, errors.into_iter().flat_map(|(_, errors)| undefined(errors))))?;
        Ok(Self { filter, max_outputs: MAX_OUTPUTS })
    }

    /// The same program, stopped after another number of outputs.
    #[must_use]
    pub fn with_max_outputs(self, max_outputs: usize) -> Self {
        Self { max_outputs, ..self }
    }

    /// Runs the program on `input`; `vars` in the order of the names it was compiled with. Missing ones are null.
    ///
    /// What JSON lacks comes out so: NaN and the infinities as null, byte strings as base64, invalid UTF-8 replaced,
    /// integers beyond 64 bits as floating point. An object key that is no string is [`JqError::NotJson`].
    pub fn run(&self, input: &Value, vars: &[Value]) -> Result<Vec<Value>, JqError> {
        let vars = Vars::new(vars.iter().map(convert::to_val));
        let context = Ctx::<Data>::new(&self.filter.lut, vars);
        let mut outputs = Vec::new();
        for output in self.filter.id.run((context, convert::to_val(input))).map(unwrap_valr) {
            if outputs.len() == self.max_outputs {
                return Err(JqError::TooMany(self.max_outputs));
            }
            let value = output.map_err(|error| JqError::Run(shortened(&error.to_string())))?;
            let index = outputs.len();
            outputs.push(convert::to_json(&value).map_err(|problem| JqError::NotJson { index, problem })?);
        }
        Ok(outputs)
    }

    /// Runs the program and takes its first output; null where it has none.
    pub fn first(&self, input: &Value, vars: &[Value]) -> Result<Value, JqError> {
        let vars = Vars::new(vars.iter().map(convert::to_val));
        let context = Ctx::<Data>::new(&self.filter.lut, vars);
        match self.filter.id.run((context, convert::to_val(input))).map(unwrap_valr).next() {
            None => Ok(Value::Null),
            Some(Err(error)) => Err(JqError::Run(shortened(&error.to_string()))),
            Some(Ok(value)) => convert::to_json(&value).map_err(|problem| JqError::NotJson { index: 0, problem }),
        }
    }
}

/// A test uses each of them, so that none is lost to a mistake in the file.
fn own_defs() -> impl Iterator<Item = load::parse::Def<&'static str>> {
    load::parse(include_str!("defs.jq"), |parser| parser.defs()).unwrap_or_default().into_iter()
}

fn loading(error: load::Error<&str>) -> Vec<(&str, String)> {
    match error {
        load::Error::Io(errors) => errors,
        load::Error::Lex(errors) => {
            errors.into_iter().map(|(expected, found)| (found, format!("expected {}", expected.as_str()))).collect()
        }
        load::Error::Parse(errors) => {
            let said = |expected: &str| match expected {
                "nothing" => "expected the end of the program".to_owned(),
                other => format!("expected {other}"),
            };
            errors.into_iter().map(|(expected, found)| (found, said(expected.as_str()))).collect()
        }
    }
}

/// How a text is written where a program is expected, if `program` looks like one. What has a digit in it may be a secret in
/// the wrong place, and is not repeated.
fn quoted(program: &str) -> Option<String> {
    let text = program.trim();
    let is_of_jq = |c: char| "|{}[]()$;\"\\=".contains(c) || c.is_control();
    let is_keyword =
        |word: &str| ["def", "foreach", "if", "include", "import", "label", "not", "reduce", "try"].contains(&word);
    let first = text.split_whitespace().next().unwrap_or_default();
    if !text.starts_with(char::is_alphabetic) || text.contains(is_of_jq) || is_keyword(first) {
        return None;
    }
    let shown = if text.len() > MAX_QUOTED || text.contains(|c: char| c.is_ascii_digit()) { "…" } else { text };
    // As it stands in YAML, where one quote between single quotes is two.
    Some(format!(
        "; this is a jq program, in which a fixed text stands in quotes of its own: '\"{}\"'",
        shown.replace('\'', "''")
    ))
}

fn undefined(errors: Vec<(&str, jaq_core::compile::Undefined)>) -> Vec<(&str, String)> {
    errors.into_iter().map(|(name, kind)| (name, format!("{name} is no {} known here", kind.as_str()))).collect()
}

/// The first problem, with the place of the text it is about.
fn first_of<'s>(program: &'s str, mut problems: impl Iterator<Item = (&'s str, String)>) -> JqError {
    let quoted = quoted(program).unwrap_or_default();
    let Some((part, message)) = problems.next() else {
        return JqError::Program { line: 1, column: 1, message: format!("not a jq program{quoted}") };
    };
    let message = message + &quoted;
    let offset = if part.is_empty() { program.len() } else { load::span(program, part).start };
    // A part from elsewhere (a definition of jq's own) has no place in the program.
    let before = program.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    JqError::Program { line, column, message }
}

fn shortened(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE) {
        None => message.to_owned(),
        Some((end, _)) => format!("{}…", &message[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn run(program: &str, input: &Value) -> Result<Vec<Value>, JqError> {
        Program::compile(program, &[])?.run(input, &[])
    }

    #[test]
    fn a_program_is_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Program>();
    }

    #[test]
    fn programs_give_what_jq_gives() {
        for (program, input, outputs) in [
            (".a", json!({"a": 1}), json!([1])),
            (".[]", json!([1, "b", null]), json!([1, "b", null])),
            ("empty", json!(1), json!([])),
            ("{a, b: (.c // \"x\")}", json!({"a": 1.5}), json!([{"a": 1.5, "b": "x"}])),
            ("[.[] | select(. > 2)] | length", json!([1, 2, 3, 4]), json!([2])),
            (
                ".a | fromjson.b",
                json!({"a": "{\"b\": [18446744073709551615]}"}),
                json!([[18_446_744_073_709_551_615_u64]]),
            ),
            ("tonumber", json!("12"), json!([12])),
            ("ascii_downcase | ltrimstr(\"a\")", json!("ABC"), json!(["bc"])),
            ("test(\"^[a-z]+$\")", json!("abc"), json!([true])),
            ("@base64d", json!("aGk="), json!(["hi"])),
            ("IN(1, 2), IN(.; 3)", json!(2), json!([true, false])),
            ("INDEX(.a) | keys", json!([{"a": 1}, {"a": 2}]), json!([["1", "2"]])),
            ("toarray, trimstr(\"a\")", json!("aba"), json!([["aba"], "b"])),
            ("65 | ascii", Value::Null, json!(["A"])),
            ("@csv, @tsv", json!(["a\"b", 1, null, "t\t"]), json!(["\"a\"\"b\",1,,\"t\t\"", "a\"b\t1\t\tt\\t"])),
            ("try error(\"x\") catch .", json!(null), json!(["x"])),
        ] {
            assert_eq!(run(program, &input).map(Value::from), Ok(outputs), "{program}");
        }
    }

    #[test]
    fn own_filters_read_what_vendors_send() {
        let plist = "<plist><dict><key>A</key><integer>1</integer></dict></plist>";
        let base64 = data_encoding::BASE64.encode(plist.as_bytes());
        for (program, input, output) in [
            ("from_plist", json!(plist), json!({"A": 1})),
            ("from_plist", json!(base64), json!({"A": 1})),
            ("from_xml", json!("<a><b>1</b></a>"), json!({"a": {"b": "1"}})),
            ("epoch_time", json!(1_553_550_275_590_i64), json!("2019-03-25T21:44:35.590Z")),
            ("epoch_time", json!("1685313891"), json!("2023-05-28T22:44:51.000Z")),
            ("epoch_time", json!("soon"), Value::Null),
            ("epoch_time", Value::Null, Value::Null),
            ("to_time", json!("2026-03-04T05:06:07.5720125Z"), json!("2026-03-04T05:06:07.572Z")),
            ("to_time", json!("2026-03-04 05:06:07 UTC"), json!("2026-03-04T05:06:07.000Z")),
            ("to_time", json!("2026-03-04 05:06:07.25"), json!("2026-03-04T05:06:07.250Z")),
            ("to_time", json!("2026-03-04 05:06:07 +0100"), json!("2026-03-04T04:06:07.000Z")),
            ("to_time", json!("2026-03-04T05:06:07.000+0000"), json!("2026-03-04T05:06:07.000Z")),
            ("to_time", json!("2026-03-04 05:06:07.891 +0100 CET"), json!("2026-03-04T04:06:07.891Z")),
            ("to_time", json!("2026-03-04T05:06:07.000-07:00"), json!("2026-03-04T12:06:07.000Z")),
            ("to_time", json!("Wed, 04 Mar 2026 05:06:07 GMT"), json!("2026-03-04T05:06:07.000Z")),
            ("to_time", json!("/Date(1553550275590)/"), json!("2019-03-25T21:44:35.590Z")),
            ("to_time", json!("/Date(1553550275590+0200)/"), json!("2019-03-25T21:44:35.590Z")),
            ("to_time", json!("1553550275"), json!("2019-03-25T21:44:35.000Z")),
            ("to_time", json!(1_553_550_275_590_i64), json!("2019-03-25T21:44:35.590Z")),
            ("to_time", json!("0001-01-01T00:00:00Z"), Value::Null),
            ("to_time", json!("0000-00-00T00:00:00Z"), Value::Null),
            ("to_time", json!(["2026-03-04T05:06:07Z"]), Value::Null),
            ("epoch_ms", json!("2019-03-25T21:44:35.590Z"), json!(1_553_550_275_590_i64)),
            ("epoch_ms", json!("2019-03-25T22:44:35+01:00"), json!(1_553_550_275_000_i64)),
            ("epoch_ms", json!("soon"), Value::Null),
            ("epoch_ms", json!(7), Value::Null),
            ("to_token", json!("ComputerPolicyFinished"), json!("computer_policy_finished")),
            ("to_token", json!("user.mfa.factor-reset"), json!("user_mfa_factor_reset")),
            ("to_token", json!("RestAPIOperation"), json!("rest_api_operation")),
            ("to_token", json!("…"), Value::Null),
            ("present", json!({"a": null, "b": "", "c": {}, "d": [], "e": 0, "f": false}), json!({"e": 0, "f": false})),
            ("map(text)", json!(["a", 1, true, null, {}]), json!(["a", "1", null, null, null])),
            ("map(object)", json!([{"a": 1}, "a", null]), json!([{"a": 1}, {}, {}])),
            ("map(email)", json!(["ada@example.com", "ada", 1, null]), json!(["ada@example.com", null, null, null])),
            (
                "map(said)",
                json!([" a ", 1, "NULL", "", "unknown", [], null]),
                json!(["a", "1", null, null, null, null, null]),
            ),
            (
                "map(serial)",
                json!(["C02XL0GTJGH5", "System Serial Number", "0000", "a\nb", "ä", null]),
                json!(["C02XL0GTJGH5", null, null, null, null, null]),
            ),
            ("first_text(.[])", json!([null, "", "null", {}, 7, "a"]), json!("7")),
            ("first_text(.a, .b)", json!({}), Value::Null),
            (
                "link(\"next\")",
                json!("<https://a.example.com/1?a=b>; rel=\"self\", <https://a.example.com/2>; rel=\"next\""),
                json!("https://a.example.com/2"),
            ),
            ("map(link(\"next\"))", json!(["<x>; rel=\"prev\"", null, 3]), json!([null, null, null])),
            ("map(list)", json!([[1], null, "a"]), json!([[1], [], ["a"]])),
        ] {
            assert_eq!(run(program, &input), Ok(vec![output]), "{program} of {input}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_program_is_placed() {
        for (program, said) in [
            (".a |\n  .b ]", "line 2, column 6: "),
            ("foo(1)", "line 1, column 1: foo is no filter known here"),
            (".a\n| $x", "line 2, column 3: $x is no variable known here"),
            ("$ENV.HOME", "line 1, column 1: $ENV is no variable known here"),
            ("{", "line 1, column 2: expected closing brace"),
            (
                "Mac enrolled",
                "line 1, column 5: expected the end of the program; this is a jq program, in which a fixed text stands in quotes of its own: '\"Mac enrolled\"'",
            ),
            ("ops@example.com", ": '\"ops@example.com\"'"),
            ("it's here", ": '\"it''s here\"'"),
            ("hunter2 hunter", ": '\"…\"'"),
            ("input", "line 1, column 1: "),
            ("include \"x\"; .", "module loading not supported"),
        ] {
            let error = Program::compile(program, &[]).unwrap_err().to_string();
            assert!(error.contains(said), "{program}: {error}");
        }
        for program in ["if .a then", ".a b", "foo(1)", "{a: b c}"] {
            let error = Program::compile(program, &[]).unwrap_err().to_string();
            assert!(!error.contains("fixed text"), "{program}: {error}");
        }
    }

    #[test]
    fn variables_are_given_by_position_and_are_null_when_missing() {
        let program = Program::compile("[., $a, $b]", &["$a", "$b"]).unwrap();
        assert_eq!(program.run(&json!(1), &[json!(2), json!(3)]).unwrap(), [json!([1, 2, 3])]);
    }

    #[test]
    fn a_program_sees_neither_environment_nor_clock_and_cannot_end_the_process() {
        for program in ["env", "now", "halt", "halt_error", "0 | localtime", "0 | strflocaltime(\"%H\")"] {
            assert!(matches!(run(program, &Value::Null), Err(JqError::Run(_))), "{program}");
        }
        assert_eq!(run("debug, stderr", &json!(1)), Ok(vec![json!(1), json!(1)]));
    }

    #[test]
    fn outputs_are_bounded_and_errors_are_short() {
        assert_eq!(run("range(infinite)", &Value::Null), Err(JqError::TooMany(MAX_OUTPUTS)));
        let Err(JqError::Run(message)) = run(".a", &json!(["x".repeat(5000)])) else {
            panic!("indexed an array by name")
        };
        assert!(message.chars().count() <= MAX_MESSAGE + 1, "{message}");
    }

    #[test]
    fn values_that_json_lacks_come_out_as_documented() {
        assert_eq!(run("nan, infinite, -infinite", &Value::Null), Ok(vec![Value::Null; 3]));
        assert_eq!(run("\"hi\" | tobytes", &Value::Null), Ok(vec![json!("aGk=")]));
        assert_eq!(run("1e1000 | . == .", &Value::Null).map(|outputs| outputs.len()), Ok(1));
        assert!(matches!(run("{(1|tojson): 2}, {(1): 2}", &Value::Null), Err(JqError::NotJson { index: 1, .. })));
    }

    #[test]
    fn deep_text_is_refused_and_does_not_overflow_the_stack() {
        for (program, deep) in [
            ("fromjson", "[".repeat(200_000)),
            ("from_xml", "<a>".repeat(200_000)),
            ("from_plist", format!("<plist>{}", "<array>".repeat(200_000))),
        ] {
            assert!(matches!(run(program, &json!(deep)), Err(JqError::Run(_))), "{program}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_identity_gives_back_every_value(value in any_json()) {
            prop_assert_eq!(run(".", &value), Ok(vec![value]));
        }

        #[test]
        fn no_text_panics_the_compiler(text in any::<String>()) {
            let _ = Program::compile(&text, &[]);
        }

        #[test]
        fn no_text_panics_the_own_filters(text in any::<String>()) {
            static FILTERS: std::sync::LazyLock<Program> = std::sync::LazyLock::new(|| {
                Program::compile(
                    "from_plist?, from_xml?, epoch_time?, epoch_ms?, to_time?, to_token?, fromjson?",
                    &[],
                )
                .unwrap()
            });
            FILTERS.run(&Value::from(text), &[]).unwrap();
        }
    }
}
