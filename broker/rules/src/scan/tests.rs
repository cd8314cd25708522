use super::*;
use proptest::prelude::*;

/// The ways to scan that this processor has.
fn ways() -> Vec<Way> {
    let mut ways: Vec<Way> = vec![|tokens, text| scan_with(portable::Portable, tokens, text)];
    #[cfg(target_arch = "x86_64")]
    ways.extend(x86::ways());
    ways
}

/// All that a scan finds.
#[derive(Debug, PartialEq)]
struct Scanned {
    at: Vec<u32>,
    bytes: Vec<u8>,
    /// For each token that opens a container, which one closes it.
    closing: Vec<u32>,
    is_ascii: bool,
}

fn scan(way: Way, text: &[u8]) -> Option<Scanned> {
    let mut tokens = Tokens { way, ..Tokens::default() };
    tokens.scan(text).ok()?;
    let count = tokens.at().iter().position(|at| *at as usize == text.len())?;
    assert_eq!(tokens.bytes()[count..][..ENDS], [0; ENDS], "behind the last token there are zeros");
    let bytes = tokens.bytes()[..count].to_vec();
    let opens = (0..count).filter(|token| matches!(bytes[*token], b'{' | b'['));
    let closing = opens.map(|token| tokens.partners()[token]).collect();
    Some(Scanned { at: tokens.at()[..count].to_vec(), bytes, closing, is_ascii: tokens.is_ascii() })
}

/// What all ways find, which must be the same.
fn scan_in_all_ways(text: &[u8]) -> Option<Scanned> {
    let mut found: Vec<_> = ways().iter().map(|way| scan(*way, text)).collect();
    let first = found.remove(0);
    assert!(found.iter().all(|one| *one == first), "{}: {first:?}, {found:?}", text.escape_ascii());
    first
}

fn good(text: &str) -> bool {
    scan_in_all_ways(text.as_bytes()).is_some()
}

#[test]
fn tokens_are_found_where_they_are() {
    let text = r#"{"a" : [1, -2.5e+3,"b\"}"],  "":null}"#;
    let found = scan_in_all_ways(text.as_bytes()).unwrap();
    let bytes: Vec<u8> = found.at.iter().map(|at| text.as_bytes()[*at as usize]).collect();
    assert_eq!(bytes, br#"{":[1,-,"],":n}"#);
    assert_eq!(bytes, found.bytes);
    assert_eq!(found.closing, [14, 9]);
}

#[test]
fn what_stands_on_the_edge_of_a_block_is_as_good_as_elsewhere() {
    let pieces = [
        ("-12.5e+10", true),
        ("0", true),
        ("-0.0", true),
        ("1E5", true),
        ("10", true),
        ("1e-05", true),
        ("0e0", true),
        ("01", false),
        ("-01", false),
        ("1.", false),
        (".5", false),
        ("-", false),
        ("1e", false),
        ("1e+", false),
        ("1.2.3", false),
        ("1e5.5", false),
        ("1e5e5", false),
        ("1-2", false),
        ("1+2", false),
        ("1.e5", false),
        ("--1", false),
        ("1e+-5", false),
        ("12x", false),
        ("1.5x", false),
        ("-x", false),
        ("1ex", false),
        ("00", false),
        (r#""\n""#, true),
        (r#""\\""#, true),
        (r#""\\\"""#, true),
        (r#""\u00e9""#, true),
        (r#""\x""#, false),
        (r#""\u00g0""#, false),
        (r#""\""#, false),
        (r#"""#, false),
        ("\"\n\"", false),
        ("\\\"", false),
        (r#""\\"""#, false),
    ];
    for (piece, expected) in pieces {
        for spaces in 0..130 {
            for behind in ["", " ", ",1", "\n                                                                      "] {
                let text = format!("{{\"\":[{}{piece}{behind}]}}", " ".repeat(spaces));
                assert_eq!(good(&text), expected, "{text}");
            }
        }
    }
}

#[test]
fn each_byte_is_what_it_is_wherever_it_stands() {
    for byte in 0..=u8::MAX {
        for spaces in [0, 20, 25, 26, 27, 56, 57, 58, 59, 60, 500, 507] {
            for (before, behind) in
                [("{\"\":", "}"), ("{\"", "\":1}"), ("{\"\":1", "}"), ("{\"\":[1,", "]}"), ("{\"\":[1", "1]}")]
            {
                let text = [" ".repeat(spaces).as_bytes(), before.as_bytes(), &[byte], behind.as_bytes()].concat();
                // Whether strings are UTF-8 is not for the scan to say.
                let expected = str::from_utf8(&text).map_or(before == "{\"", is_object);
                assert_eq!(scan_in_all_ways(&text).is_some(), expected, "{}", text.escape_ascii());
            }
        }
    }
}

/// Whether a text is one object, as a reader sees it that goes byte by byte.
fn is_object(text: &str) -> bool {
    let mut reader = crate::json::Reader::new(text);
    reader.peek() == Ok(b'{') && reader.skip().is_ok() && reader.position() == text.len()
}

#[test]
fn what_an_object_begins_with_is_a_key_or_its_end() {
    let firsts = [
        "",
        "1",
        "null",
        "[]",
        "{}",
        "{\"a\":1}",
        "\"a\"",
        "\"a\":1",
        "\"a\":{}",
        ":",
        ",",
        "\"a\",",
        "\"a\":",
        "}",
        "]",
    ];
    for first in firsts {
        for behind in ["", ",", ",\"b\":2", ",1", ":1", "]", "}", ",{}"] {
            for inside in
                [format!("{{{first}{behind}}}"), format!("{{\"\":{{{first}{behind}}}}}"), format!("[{first}{behind}]")]
            {
                assert_eq!(good(&inside), is_object(&inside), "{inside}");
            }
        }
    }
}

#[test]
fn containers_may_be_as_deep_as_the_reader_goes_and_no_deeper() {
    for depth in (60..70).chain(120..140) {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
            for beside in ["", "[[],{}],", "1,{\"b\":[[]]},"] {
                let text = format!("{{\"\":[{beside}{}1{}]}}", open.repeat(depth), close.repeat(depth));
                assert_eq!(good(&text), is_object(&text), "{text}");
            }
        }
    }
}

#[test]
fn long_runs_go_on_from_block_to_block() {
    for length in [1, 2, 62, 63, 64, 65, 127, 128, 129, 510, 511, 512, 513, 1025] {
        let digits = "1".repeat(length);
        let backslashes = "\\".repeat(length);
        for spaces in [0, 1, 50, 63, 64, 500] {
            let spaces = " ".repeat(spaces);
            for value in [
                digits.clone(),
                format!("-{digits}.{digits}"),
                format!("1e{digits}"),
                format!("1.{digits}.1"),
                format!("{digits}-1"),
                format!("{digits}.{digits}e-{digits}"),
                format!("1e{digits}.1"),
                format!("\"{backslashes}\""),
                format!("\"{backslashes}\"\""),
                format!("\"é{digits}😀\""),
                format!("[{}1]", "1,".repeat(length)),
                format!("[{}1:1]", "1,".repeat(length)),
                format!("{{{}\"b\":1}}", "\"a\":1,".repeat(length)),
                format!("{{{}\"b\"}}", "\"a\":1,".repeat(length)),
                format!("[{}[]]", "[],{},".repeat(length)),
                format!("[{}[}}]", "[],{},".repeat(length)),
            ] {
                let text = format!("{{\"\":{spaces}{value}}}");
                assert_eq!(good(&text), is_object(&text), "{text}");
            }
        }
    }
}

#[test]
fn words_are_known_wherever_a_block_ends() {
    let words =
        ["true", "false", "null", "tru", "truex", "falsey", "nul", "fals", "nulll", "t", "true1", "true\"", "True"];
    for word in words {
        for spaces in (0..70).chain(500..515) {
            for behind in ["", " ", ",1", "\n"] {
                let text = format!("{{\"\":[{}{word}{behind}]}}", " ".repeat(spaces));
                assert_eq!(good(&text), is_object(&text), "{text}");
            }
            // Nothing behind them but the end.
            assert!(!good(&format!("{{\"\":{}{word}", " ".repeat(spaces))));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn all_ways_to_scan_find_the_same(
        text in "([-+.0-9eE]{1,4}|[ \t\n]{1,3}|[\\[\\]{}:,]|true|null|\"([a-z]|\\\\[\"\\\\nu]|é|😀){0,9}\"|[\"\\\\]|[\u{0}-\u{ff}]){0,60}",
    ) {
        scan_in_all_ways(text.as_bytes());
    }

    #[test]
    fn long_texts_are_those_of_serde_json(
        values in proptest::collection::vec(
            "-?(0|[1-9][0-9]{0,70})(\\.[0-9]{1,70})?([eE][-+]?[0-9]{1,3})?|true|false|null|\"([a-z é😀]|\\\\(n|u00e9|\"|\\\\)){0,40}\"|\\[\\]|\\{\\}|\\{\"k\": ?\\[1, ?2\\]\\}",
            0..12,
        ),
        times in 1..60_usize,
        blanks in "[ \n]{0,3}",
        change in proptest::option::of((any::<prop::sample::Index>(), "[-+.0e,:{}\\[\\]\" \\\\x]")),
    ) {
        let values = vec![values; times].concat();
        let mut text = format!("{{\"\":[{}]}}", values.join(&format!(",{blanks}")));
        if let Some((at, what)) = change {
            let places: Vec<usize> = text.char_indices().map(|(place, _)| place).skip(1).collect();
            text.insert_str(places[at.index(places.len())], &what);
        }
        let expected = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        prop_assert_eq!(good(&text), expected, "{}", text);
    }

    #[test]
    fn numbers_are_those_of_json(text in "[-+.0-9eE]{1,8}", spaces in 0..70_usize) {
        let mut reader = crate::json::Reader::new(&text);
        let expected = reader.skip().is_ok() && reader.position() == text.len();
        prop_assert_eq!(good(&format!("{{\"\":{}{text}}}", " ".repeat(spaces))), expected);
    }

    #[test]
    fn order_is_that_of_json(
        pieces in proptest::collection::vec("[\\[\\]{}:,]|1|\"\"|\"a\":|,\"a\":|\\{\"a\":|\\[[1,]{0,3}\\]|\\{\\}", 0..12),
        spaces in 0..70_usize,
    ) {
        let text = format!("{{\"\":[{}],{}}}", "1,".repeat(spaces) + "1", pieces.concat());
        let mut reader = crate::json::Reader::new(&text);
        let expected = reader.skip().is_ok() && reader.position() == text.len();
        prop_assert_eq!(good(&text), expected, "{}", text);
    }

    #[test]
    fn nested_containers_are_those_of_json(brackets in "([\\[{}\\]]|\\[\\]|\\{\\}){0,9}", depth in 0..140_usize) {
        let around = |text: &str| format!("{{\"\":{}{text}{}}}", "[".repeat(depth), "]".repeat(depth));
        let text = around(&brackets.replace('{', "{\"a\":"));
        for text in [text, around(&brackets)] {
            let mut reader = crate::json::Reader::new(&text);
            let expected = reader.skip().is_ok() && reader.position() == text.len();
            prop_assert_eq!(good(&text), expected, "{}", text);
        }
    }

    #[test]
    fn marks_tell_what_is_between_two_places(text in "[a.\\\\]{0,200}", from in 0..200_u32, to in 0..200_u32) {
        let text = format!("{{\"\":\"{}\"}}", text.replace('\\', "\\\\"));
        let to = to.min(u32::try_from(text.len()).unwrap());
        let mut tokens = Tokens::default();
        tokens.scan(text.as_bytes()).unwrap();
        let between = |c| text.get(from as usize..to as usize).is_some_and(|between| between.contains(c));
        prop_assert_eq!(tokens.has_dot(from, to), between('.'));
        prop_assert_eq!(tokens.has_escape(from, to), between('\\'));
    }
}
