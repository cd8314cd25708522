//! Nothing hostile takes long or goes deep.

use emote_rules::{EventError, Pattern, RuleSet};

fn or_of(branches: usize, levels: usize) -> String {
    let branch = |level: usize| (0..branches).map(|b| format!("{{\"f{level}\": [{b}]}}")).collect::<Vec<_>>().join(",");
    let levels: Vec<String> = (0..levels).map(|level| format!("\"$or\": [{}]", branch(level))).collect();
    format!("{{{}}}", levels.join(","))
}

#[test]
fn patterns_are_bounded() {
    let fields = |count: usize| {
        let fields: Vec<String> = (0..count).map(|field| format!("\"f{field}\": [1]")).collect();
        format!("{{{}}}", fields.join(","))
    };
    let deep = |levels: usize| "{\"a\":".repeat(levels - 1) + "[1]" + &"}".repeat(levels - 1);
    let values = |count: usize| format!("{{\"a\": [{}0]}}", "1,".repeat(count - 1));
    for (good, bad, said) in [
        (deep(128), deep(129), "at most 128 levels"),
        (fields(256), fields(257), "more than 256 fields"),
        (or_of(10, 3), or_of(10, 4), "more than 1000 alternatives"),
        (values(100_000), values(100_001), "more than 100000"),
        (or_of(2, 2), "[".repeat(1_000_000), "128"),
    ] {
        assert!(Pattern::parse(&good).is_ok(), "{said}");
        let error = Pattern::parse(&bad).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    assert!(Pattern::parse(&or_of(2, 60)).is_err());
}

#[test]
fn a_long_array_is_not_compared_with_itself() {
    let pattern = r#"{"apps": {"a": [{"exists": true}], "b": [{"exists": true}], "c": [{"exists": false}, 2]}}"#;
    let rules = RuleSet::build([((), Pattern::parse(pattern).unwrap())]);
    let apps = |c: u8| format!("{{\"apps\": [{}]}}", vec![format!("{{\"a\":1,\"b\":2,\"c\":{c}}}"); 20_000].join(","));
    assert_eq!(rules.matches(apps(2).as_bytes()).unwrap().len(), 1);
    assert_eq!(rules.matches(apps(3).as_bytes()).unwrap().len(), 0);
}

#[test]
fn arrays_that_combine_without_end_are_an_error() {
    // Each dotted spelling of one path is an array of its own, and every combination of their elements is a choice.
    let pattern = r#"{"a": {"b": {"c": {"d": [1], "e": [1], "f": [1], "g": [2]}}}}"#;
    let rules = RuleSet::build([((), Pattern::parse(pattern).unwrap())]);
    let elements = |name: &str| format!("{{\"{name}d\":1,\"{name}e\":1,\"{name}f\":1,\"{name}g\":1}}");
    let array =
        |key: &str, name: &str| format!("\"{key}\": [{}, {{\"{name}g\":2}}]", vec![elements(name); 200].join(","));
    let event =
        format!("{{{}, {}, {}, {}}}", array("a.b.c", ""), array("a.b.c", ""), array("a.b", "c."), array("a", "b.c."));
    assert!(matches!(rules.matches(event.as_bytes()), Err(EventError::TooIntricate { .. })));
}

#[test]
fn deep_events_are_an_error() {
    let rules = RuleSet::build([((), Pattern::parse(r#"{"a": {"a": [1]}}"#).unwrap())]);
    let deep = |levels: usize| "{\"a\":".repeat(levels) + "1" + &"}".repeat(levels);
    assert!(rules.matches(deep(128).as_bytes()).is_ok());
    for event in [deep(129), "{\"a\":".repeat(1_000_000), format!("{{\"b\": {}", "[".repeat(1_000_000))] {
        assert!(matches!(rules.matches(event.as_bytes()), Err(EventError::Json { .. })));
    }
}

#[track_caller]
fn refused(pattern: &str, said: &str) {
    let error = Pattern::parse(pattern).unwrap_err().to_string();
    assert!(error.contains(said) && error.len() < 1_000 && !error.contains('\n'), "{said}\n{error:.1000}");
}

#[test]
fn what_a_message_repeats_of_a_pattern_is_short_and_on_one_line() {
    let long = "0x\\n".repeat(100_000);
    for (pattern, said) in [
        (format!(r#"{{"a": "{long}"}}"#), "a field's pattern is a list, not a string; put it in square brackets"),
        (format!(r#"{{"a": [{{"semver": ["<", "{long}"]}}]}}"#), "compares with versions"),
        (format!(r#"{{"a": [{{"time-window": ["<", "{long}"]}}]}}"#), "compares with dates"),
        (format!(r#"{{"a": [{{"time-of-day": {{"from": "{long}"}}}}]}}"#), "takes HH:MM or HH:MM:SS, not"),
        (format!(r#"{{"a": [{{"time-of-day": {{"{long}": 1}}}}]}}"#), "takes from, to, days and offset, not"),
        (format!(r#"{{"a": [{{"numeric": ["<", 1{}]}}]}}"#, "0".repeat(1_000_000)), "cannot compare 1000"),
        (format!(r#"{{"a": [{{"{long}": 1}}]}}"#), "there is no operator"),
        (format!(r#"{{"{long}": [{{"prefix": 1}}]}}"#), "prefix takes a string"),
    ] {
        refused(&pattern, said);
    }
    assert!(
        Pattern::parse("{\"a\\n\\u001b[31m\": 1}").unwrap_err().to_string().starts_with(r#""a\n\u{1b}[31m" (line 1"#)
    );
    let pattern = Pattern::parse(r#"{"a": [{"compare-field": ["=", "b\u001b[31m"]}]}"#).unwrap();
    let told = pattern.explain(&serde_json::json!({"a": 1, "b\u{1b}[31m": 2})).to_string();
    assert!(told.contains(r#"= the value of "b\u{1b}[31m""#) && !told.contains('\u{1b}'), "{told}");
}

#[test]
fn conditions_in_conditions_are_bounded() {
    let nested = |levels: usize| {
        let (open, close) = (r#"{"all-of": [1, "#.repeat(levels), "]}".repeat(levels));
        format!(r#"{{"a": [{open}{{"exists": true}}{close}]}}"#)
    };
    let rules = RuleSet::build([((), Pattern::parse(&nested(62)).unwrap())]);
    assert_eq!(rules.matches(br#"{"a": 1}"#).unwrap().len(), 1);
    assert_eq!(rules.matches(br#"{"a": 2}"#).unwrap().len(), 0);
    refused(&nested(63), "at most 128 levels");
    refused(&nested(100_000), "at most 128 levels");
}

#[test]
fn tests_inside_tests_count_as_values() {
    let list = |count: usize| vec!["1"; count].join(",");
    for (open, close) in [(r#"{"all-of": ["#, "]}"), (r#"{"all-of": [{"exists": true}, ["#, "]]}")] {
        let pattern = |count: usize| format!(r#"{{"a": [{open}{}{close}]}}"#, list(count));
        let others = open.matches("exists").count();
        assert!(Pattern::parse(&pattern(100_000 - others)).is_ok());
        refused(&pattern(100_001 - others), "more than 100000; split it into several rules");
    }
    let refusing = |count: usize| format!(r#"{{"a": [{{"anything-but": [{}]}}]}}"#, list(count));
    assert!(Pattern::parse(&refusing(100_000)).is_ok());
    refused(&refusing(100_001), "list 100001 values together");
    let contains = |count: usize| format!(r#"{{"a": [{{"contains-all": [{}]}}]}}"#, list(count));
    assert!(Pattern::parse(&contains(100)).is_ok());
    refused(&contains(101), "has 101 elements, more than 100; describe several by one prefix");
    refused(&contains(1_000_000), "more than 100;");
    let branches = format!(r#"{{"b": [{}]}}, {{"c": [1]}}"#, list(1));
    let multiplied = format!(r#"{{"a": [{{"all-of": [{}]}}], "$or": [{branches}]}}"#, list(50_000));
    refused(&multiplied, "list 100002 values together");
}

#[test]
fn regular_expressions_are_bounded() {
    let regex = |text: &str| format!(r#"{{"a": [{{"regex": [{text:?}]}}]}}"#);
    for (text, said) in [
        ("(a{1000}){1000}", "larger than 256 KiB when compiled; repeat less often"),
        ("\\w{100}", "larger than 256 KiB"),
        ("((a{100}){100}){100}", "larger than 256 KiB"),
        (&"[^\\p{Lu}\\p{N}]".repeat(250), "larger than 256 KiB"),
        (&"[α-ωა-ჰ一-鿿]".repeat(200), "more than 4096"),
        (&"a".repeat(4_097), "regex has 4097 bytes, more than 4096; list long alternatives"),
        (&format!("{}a{}", "(".repeat(51), ")".repeat(51)), "cannot be read: exceed the maximum number of nested"),
        (&"(".repeat(4_000), "cannot be read: "),
        ("a{5", "cannot be read: unclosed counted repetition; write {\"regex\": "),
        ("(?=a)", "cannot be read: look-around"),
        ("(a)\\1", "cannot be read: backreferences are not supported"),
        ("", "regex is empty"),
    ] {
        refused(&regex(text), said);
    }
    assert!(Pattern::parse(&regex(&"a".repeat(4_096))).is_ok());
    let many =
        |count: usize| format!(r#"{{"a": [{{"anything-but": {{"regex": [{}]}}}}]}}"#, vec!["\"a\""; count].join(","));
    assert!(Pattern::parse(&many(100)).is_ok());
    refused(&many(101), "more than 100 regexes in one pattern; join several with |");
    refused(&many(100_000), "more than 100 regexes");
}

#[test]
fn a_regular_expression_takes_linear_time() {
    let event = format!(r#"{{"a": "{}"}}"#, "a".repeat(100_000));
    for text in ["(a*)*b", "(a|aa)+$b", "^(a+)+$b", "(.*)(.*)(.*)(.*)c", "[ab]*a[ab]{400}c"] {
        let pattern = Pattern::parse(&format!(r#"{{"a": [{{"regex": [{text:?}]}}]}}"#)).unwrap();
        assert!(RuleSet::build([((), pattern)]).matches(event.as_bytes()).unwrap().is_empty(), "{text}");
    }
}

#[test]
fn all_of_many_are_looked_for_among_many() {
    let wanted: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let pattern = format!(r#"{{"a": [{{"contains-all": [{}]}}]}}"#, wanted.join(","));
    let rules = RuleSet::build([((), Pattern::parse(&pattern).unwrap())]);
    let values = |from: usize, to: usize| (from..to).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    let event = |from: usize, to: usize| format!(r#"{{"a": [{}]}}"#, values(from, to)).into_bytes();
    assert_eq!(rules.matches(&event(0, 20_000)).unwrap().len(), 1);
    assert_eq!(rules.matches(&event(0, 99)).unwrap().len(), 0);
    assert_eq!(rules.matches(&event(1, 300)).unwrap().len(), 0);
}

/// Whether an event is refused for taking too many steps.
fn takes_too_long(pattern: &str, event: &str) -> bool {
    let rules = RuleSet::build([((), Pattern::parse(pattern).unwrap())]);
    match rules.matches(event.as_bytes()) {
        Ok(matched) => {
            assert!(matched.is_empty(), "{pattern:.100}");
            false
        }
        Err(error) => {
            assert!(matches!(error, EventError::TooIntricate { limit: 10_000_000 }), "{error}");
            true
        }
    }
}

#[test]
fn every_test_of_every_value_is_a_step() {
    let list = |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(",");
    let version = |number: usize| format!(r#"{{"semver": ["<", "0.{number}"]}}"#);
    let string = |number: usize| format!("\"x{number}\"");
    for (kind, tests) in [
        ("versions", &(|count| format!("[{}]", list(count, &version))) as &dyn Fn(usize) -> String),
        ("conditions", &|count| {
            format!(r#"[{{"all-of": [[{}], {{"semver": ["<", "0.1"]}}]}}]"#, list(count, &version))
        }),
        ("what is refused", &|count| {
            let refused = format!(r#"{{"anything-but": {{"suffix": [{}]}}}}"#, list(count, &string));
            format!(r#"[{{"all-of": [{refused}, {{"semver": ["<", "0.1"]}}]}}]"#)
        }),
    ] {
        let (few, many) = (tests(100), tests(3_000));
        let event = format!(r#"{{"a": [{}]}}"#, list(4_000, &|_| "\"\"".to_owned()));
        assert!(!takes_too_long(&format!("{{\"a\": {few}}}"), &event), "{kind}");
        assert!(takes_too_long(&format!("{{\"a\": {many}}}"), &event), "{kind}");
        // The same where several fields come through one array.
        let elements = list(4_000, &|_| r#"{"a": "", "b": 1}"#.to_owned());
        let event = format!(r#"{{"e": [{elements}]}}"#);
        let together = |tests: &str| format!(r#"{{"e": {{"a": {tests}, "b": [1]}}}}"#);
        assert!(!takes_too_long(&together(&few), &event), "{kind}");
        assert!(takes_too_long(&together(&many), &event), "{kind}");
        // A field that may be absent is not tested by itself before.
        let or_none = |tests: &str| tests.replacen('[', r#"[{"exists": false}, "#, 1);
        assert!(!takes_too_long(&together(&or_none(&few)), &event), "{kind}");
        assert!(takes_too_long(&together(&or_none(&many)), &event), "{kind}");
    }
}

#[test]
fn many_strings_are_one_step_together() {
    let strings = (0..50_000).map(|number| format!("\"x{number}\"")).collect::<Vec<_>>().join(",");
    let element = |number: usize| format!(r#"{{"a": "x{number}", "b": 1}}"#);
    let event = |from: usize| {
        let elements: Vec<String> = (from..from + 20_000).map(element).collect();
        format!(r#"{{"e": [{}]}}"#, elements.join(","))
    };
    let among = format!(r#"{{"e": {{"a": [{strings}], "b": [1]}}}}"#);
    let not_among = format!(r#"{{"e": {{"a": [{{"anything-but": [{strings}]}}], "b": [1]}}}}"#);
    let matches = |pattern: &str, event: &str| {
        RuleSet::build([((), Pattern::parse(pattern).unwrap())]).matches(event.as_bytes()).unwrap().len()
    };
    assert_eq!((matches(&among, &event(49_999)), matches(&among, &event(50_000))), (1, 0));
    assert_eq!((matches(&not_among, &event(0)), matches(&not_among, &event(30_001))), (0, 1));
    let all_of = format!(r#"{{"e": {{"a": [{{"all-of": [[{strings}], {{"suffix": "9"}}]}}], "b": [1]}}}}"#);
    assert_eq!((matches(&all_of, &event(49_999)), matches(&all_of, &event(50_000))), (1, 0));
    // To explain takes no more than to match.
    let explanation =
        Pattern::parse(&format!(r#"{{"a": [{strings}]}}"#)).unwrap().explain_json(br#"{"a": ["y", "z"]}"#);
    assert!(!explanation.matched && !explanation.cut_short, "{explanation}");
}

#[test]
fn what_is_searched_by_regular_expressions_is_bounded() {
    let pattern = |count: usize| format!(r#"{{"a": [{{"regex": [{}]}}]}}"#, vec!["\"b\""; count].join(","));
    let event = format!(r#"{{"a": "{}"}}"#, "a".repeat(16 * 1_024 * 1_024));
    assert!(!takes_too_long(&pattern(30), &event));
    assert!(takes_too_long(&pattern(60), &event));
}

#[test]
fn contains_all_is_decided_once_however_many_there_are() {
    let tests: Vec<String> = (0..2_000).map(|number| format!(r#"{{"contains-all": ["x{number}"]}}"#)).collect();
    let values: Vec<String> = (0..2_000).map(|number| number.to_string()).collect();
    let (pattern, event) =
        (format!(r#"{{"a": [{}]}}"#, tests.join(",")), format!(r#"{{"a": [{}]}}"#, values.join(",")));
    let began = std::time::Instant::now();
    assert!(!takes_too_long(&pattern, &event));
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[test]
fn fields_of_long_arrays_are_compared() {
    let elements = |one: &dyn Fn(usize) -> String| (0..30_000).map(one).collect::<Vec<_>>().join(",");
    let numbers = |from: usize| elements(&|number| (from + number).to_string());
    let objects = |name: &str| elements(&|number| format!("{{\"{name}\":{number}}}"));
    let pairs = |last: &str| elements(&|number| format!("{{\"a\":{number},\"b\":\"{number}\"}}")) + last;
    let half = |name: &str, from: usize| format!("\"{name}\":[{}]", numbers(from));
    let halves = |b: [usize; 2]| {
        format!("\"x\":[{{{},{}}},{{{},{}}}]", half("a", 0), half("b", b[0]), half("a", 50_000), half("b", b[1]))
    };
    let nested = elements(&|number| format!("{{\"a\":{number},\"in\":[{{\"b\":\"\"}},{{\"b\":true}}]}}"));
    for (path, sign, other, event, expected) in [
        ("x.a", "=", "x.b", format!("\"x\": [{}]", pairs("")), false),
        ("x.a", "=", "x.b", format!("\"x\": [{}]", pairs(r#",{"a":"7","b":"7"}"#)), true),
        ("x.b", ">", "x.a", format!("\"x\": [{}]", pairs(r#",{"a":7,"b":7}"#)), false),
        ("x.a", "=", "x.in.b", format!("\"x\": [{nested}]"), false),
        ("x.in.b", ">=", "x.a", format!("\"x\": [{nested}]"), false),
        ("x.a", ">=", "x.b", halves([30_000, 80_000]), false),
        ("x.a", ">=", "x.b", halves([30_000, 79_999]), true),
        ("x.a", "=", "x.b", halves([50_000, 0]), false),
        ("x.a", "<", "y", format!("\"x\": [{}], \"y\": 0", objects("a")), false),
        ("x.a", ">", "y.a", format!("\"x\": [{}], \"y\": [{}]", objects("a"), objects("a")), true),
        ("a", "=", "b", format!("\"a\": [{}], \"b\": [{}]", numbers(0), numbers(30_000)), false),
        ("a", "=", "b", format!("\"a\": [{}], \"b\": [{}]", numbers(0), numbers(29_999)), true),
        ("a", ">=", "b", format!("\"a\": [{}], \"b\": [{}]", numbers(0), numbers(30_000)), false),
        ("a", "!=", "b", format!("\"a\": [{0}], \"b\": [{0}]", vec!["true"; 30_000].join(",")), false),
        ("a", "!=", "b", format!("\"a\": [{0}], \"b\": [{0},1]", vec!["true"; 30_000].join(",")), true),
    ] {
        let pattern = format!(r#"{{"{path}": [{{"compare-field": ["{sign}", "{other}"]}}]}}"#);
        let rules = RuleSet::build([((), Pattern::parse(&pattern).unwrap())]);
        let matched = rules.matches(format!("{{{event}}}").as_bytes());
        assert_eq!(matched.map(|matched| !matched.is_empty()), Ok(expected), "{path} {sign} {other}");
    }
}

#[test]
fn versions_and_times_may_be_of_any_length() {
    let pattern = r#"{"v": [{"semver": ["<", "2"]}], "t": [{"time-window": ["<", "2027-01-01T00:00:00Z"]}]}"#;
    let rules = RuleSet::build([((), Pattern::parse(pattern).unwrap())]);
    let event =
        |version: &str, fraction: &str| format!(r#"{{"v": "{version}", "t": "2026-01-01T00:00:00.{fraction}Z"}}"#);
    let nines = "9".repeat(1_000_000);
    assert_eq!(rules.matches(event(&format!("1.{nines}-{nines}+{nines}"), &nines).as_bytes()).unwrap().len(), 1);
    assert_eq!(rules.matches(event(&nines, "0").as_bytes()).unwrap().len(), 0);
    assert_eq!(rules.matches(event(&"1.".repeat(500_000), "0").as_bytes()).unwrap().len(), 0);
}
