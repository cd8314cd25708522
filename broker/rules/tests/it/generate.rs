//! Patterns and events at random, from alphabets so small that they meet.

use emote_rules::Pattern;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::Union;
use serde_json::{Map, Value, json};

type Values = BoxedStrategy<Value>;

/// Tests, and values of which they accept some.
#[derive(Debug, Clone)]
struct Kind {
    tests: Values,
    values: Values,
}

fn kinds() -> Vec<Kind> {
    vec![plain(), text(), letters(), numbers(), addresses(), versions(), times()]
}

fn plain() -> Kind {
    let values = || {
        let few = vec![Value::Null, json!(true), json!(false), json!("a"), json!("b"), json!("ab"), json!(0), json!(1)];
        select(few).boxed()
    };
    let compared =
        ("=|!=|<|<=|>|>=", "[xyz]|z|z|z|[xyz]\\.[xyz]").prop_map(|(sign, path)| json!({"compare-field": [sign, path]}));
    let tests = prop_oneof![
        4 => values(),
        2 => any::<bool>().prop_map(|wanted| json!({"exists": wanted})),
        2 => compared,
    ];
    Kind { tests: tests.boxed(), values: values() }
}

/// Asterisks, backslashes and double quotes are special to some.
fn text() -> Kind {
    let any_text = || "(a|a|b|b|\"|\\*){0,2}";
    let some_text = || "[ab\"]{1,2}";
    let wildcard = || "([ab*]|\\\\\\*|\\\\\\\\){0,4}".prop_filter("two asterisks", |text| !text.contains("**"));
    let regex = || "\\^?[ab.]{1,2}[*+?]?\\$?";
    let tests = prop_oneof![
        3 => any_text().prop_map(|text| json!({"exactly": text})),
        1 => any_text().prop_map(|text| json!({"prefix": text})),
        1 => any_text().prop_map(|text| json!({"suffix": text})),
        2 => wildcard().prop_map(|text| json!({"wildcard": text})),
        1 => regex().prop_map(|text| json!({"regex": [text]})),
        1 => one_or_more(any_text()).prop_map(|texts| json!({"anything-but": texts})),
        1 => one_or_more(some_text()).prop_map(|texts| json!({"anything-but": {"prefix": texts}})),
        1 => one_or_more(some_text()).prop_map(|texts| json!({"anything-but": {"suffix": texts}})),
        1 => one_or_more(wildcard()).prop_map(|texts| json!({"anything-but": {"wildcard": texts}})),
        1 => proptest::collection::vec(regex(), 1..3).prop_map(|texts| json!({"anything-but": {"regex": texts}})),
    ];
    Kind { tests: tests.boxed(), values: "(a|a|b|b|\"|\\*|\\\\){0,2}".prop_map(Value::from).boxed() }
}

/// Of these some change their length with their case.
fn letters() -> Kind {
    let texts = || "(a|A|ß|s|S|ŉ|ʼ|n|N|ǅ|ǆ|\"){0,2}";
    let tests = prop_oneof![
        texts().prop_map(|text| json!({"equals-ignore-case": text})),
        texts().prop_map(|text| json!({"prefix": {"equals-ignore-case": text}})),
        texts().prop_map(|text| json!({"suffix": {"equals-ignore-case": text}})),
        one_or_more(texts()).prop_map(|texts| json!({"anything-but": {"equals-ignore-case": texts}})),
    ];
    Kind { tests: tests.boxed(), values: "(a|A|ß|s|S|SS|ŉ|ʼn|ʼN|ǆ|Ǆ|\"){0,2}".prop_map(Value::from).boxed() }
}

fn numbers() -> Kind {
    let number = || -2..3_i32;
    let tests = prop_oneof![
        number().prop_map(Value::from),
        one_or_more(number().prop_map(Value::from)).prop_map(|numbers| json!({"anything-but": numbers})),
        comparison("numeric", number().prop_map(Value::from).boxed()),
        (">|>=", number(), "<|<=", 1..3_i32)
            .prop_map(|(one, low, other, more)| json!({"numeric": [one, low, other, low + more]})),
    ];
    let values =
        prop_oneof![number().prop_map(Value::from), number().prop_map(|number| json!(f64::from(number) / 2.0)),];
    Kind { tests: tests.boxed(), values: values.boxed() }
}

fn addresses() -> Kind {
    let addresses = || {
        select(vec![
            "10.0.0.1",
            "10.0.00.001",
            "::ffff:a00:1",
            "10.0.1.1",
            "10.1.0.0",
            "0.0.0.0",
            "255.255.255.255",
            "10.0.0",
        ])
        .prop_map(Value::from)
    };
    let network = (select(vec!["10.0.0.0", "10.0.1.1", "255.255.0.0"]), 0..32_u8)
        .prop_map(|(address, bits)| json!({"cidr": format!("{address}/{bits}")}));
    Kind { tests: prop_oneof![addresses(), network].boxed(), values: addresses().boxed() }
}

fn versions() -> Kind {
    let ascending = ["1-1", "v1-a", "1.0-a.1", "1-b", "1", "1.0.1", "1.1", "v1.10", "2-0", "2.0.0"];
    let bound = || select(ascending.to_vec()).prop_map(Value::from).boxed();
    let tests = prop_oneof![comparison("semver", bound()), range("semver", &ascending)];
    let values = "v?(1|2|10)(\\.(0|1|10)){0,2}(-(a|b|1|10)(\\.1)?)?(\\+x)?|1\\.x".prop_map(Value::from);
    Kind { tests: tests.boxed(), values: values.boxed() }
}

fn times() -> Kind {
    let ascending = [
        "2026-11-28T06:00:00+01:00",
        "2026-11-28T05:30:00Z",
        "2026-11-28T22:00:00.5Z",
        "2026-11-29 00:00:00z",
        "2026-11-29T22:00:00-01:00",
    ];
    let window = prop_oneof![
        comparison("time-window", select(ascending.to_vec()).prop_map(Value::from).boxed()),
        range("time-window", &ascending),
    ];
    let time = || select(vec!["00:00", "05:30", "06:00:00", "22:00", "23:00:01"]);
    let hours = (time(), time()).prop_filter("the same", |(from, to)| from != to);
    let days = || subsequence(vec!["mon", "tue", "wed", "thu", "fri", "sat", "sun"], 1..5);
    let offset = proptest::option::of(select(vec!["Z", "+01:00", "-10:00"]));
    let recurring =
        (proptest::option::of(hours), days(), any::<bool>(), offset).prop_map(|(hours, days, all, offset)| {
            let mut argument = Map::new();
            if let Some((from, to)) = hours {
                argument.extend([("from".to_owned(), json!(from)), ("to".to_owned(), json!(to))]);
            }
            if hours.is_none() || !all {
                argument.insert("days".to_owned(), json!(days));
            }
            argument.extend(offset.map(|offset| ("offset".to_owned(), json!(offset))));
            json!({"time-of-day": argument})
        });
    let values = "2026-11-(28|29|30)[T ](00|05|06|21|22|23):(00|30):0[01](\\.5)?(Z|[+-]01:00)|2026-11-28";
    Kind { tests: prop_oneof![window, recurring].boxed(), values: values.prop_map(Value::from).boxed() }
}

fn one_or_more<S: Strategy>(one: S) -> impl Strategy<Value = Value>
where
    S::Value: Into<Value> + Clone,
{
    (proptest::collection::vec(one, 1..3), any::<bool>()).prop_map(|(values, alone)| {
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        match values.as_slice() {
            [one] if alone => one.clone(),
            _ => Value::from(values),
        }
    })
}

fn comparison(operator: &'static str, bound: Values) -> impl Strategy<Value = Value> {
    ("=|<|<=|>|>=", bound).prop_map(move |(sign, bound)| json!({operator: [sign, bound]}))
}

fn range(operator: &'static str, ascending: &[&'static str]) -> impl Strategy<Value = Value> + use<> {
    (">|>=", "<|<=", subsequence(ascending.to_vec(), 2))
        .prop_map(move |(one, other, bounds)| json!({operator: [one, bounds[0], other, bounds[1]]}))
}

/// An element of a field's list, and a value that it is likely to accept.
pub(crate) fn test_and_value() -> impl Strategy<Value = (Value, Value)> {
    Union::new(kinds().into_iter().map(|Kind { tests, values }| (with_compounds(tests), values)))
}

/// Patterns, and an event that some are likely to match: two kinds of values at most.
pub(crate) fn patterns_and_event() -> impl Strategy<Value = (Vec<Value>, Value)> {
    subsequence(kinds(), 1..=2).prop_flat_map(|kinds| {
        let tests = Union::new(kinds.iter().map(|kind| with_compounds(kind.tests.clone()))).boxed();
        let values = Union::new(kinds.into_iter().map(|kind| kind.values)).boxed();
        (proptest::collection::vec(pattern_of(&tests), 1..6), event_of(values))
    })
}

/// So many patterns that they are filed under one another, and events that some match: few names, more values.
pub(crate) fn many_patterns_and_events() -> impl Strategy<Value = (Vec<Value>, Vec<Value>)> {
    let text = || "[ab][a-d][0-2]?";
    let usual = prop_oneof![
        6 => text().prop_map(Value::from),
        1 => text().prop_map(|text| json!({"equals-ignore-case": text.to_uppercase()})),
        2 => "[ab][a-d]?".prop_map(|text| json!({"prefix": text})),
        1 => "[a-d]?[0-2]".prop_map(|text| json!({"suffix": text})),
        2 => "[ab]?\\*[a-d]\\*?[0-2]?".prop_map(|text| json!({"wildcard": text})),
        2 => (0..40_u8).prop_map(Value::from),
        1 => (0..20_u8, 1..20_u8).prop_map(|(low, more)| json!({"numeric": [">=", low, "<", low + more]})),
        1 => text().prop_map(|text| json!({"anything-but": [text]})),
        1 => any::<bool>().prop_map(|wanted| json!({"exists": wanted})),
        1 => any::<bool>().prop_map(Value::from),
    ];
    let strange = Union::new(kinds().into_iter().map(|kind| with_compounds(kind.tests)));
    let tests = prop_oneof![30 => usual, 1 => strange].boxed();
    let values = prop_oneof![6 => text().prop_map(Value::from), 2 => (0..40_u8).prop_map(Value::from), 1 => any::<bool>().prop_map(Value::from)];
    let list = proptest::collection::vec(tests.clone(), 1..3).prop_map(Value::from);
    let flat = proptest::collection::vec((name(), list), 2..5).prop_map(|fields| Value::Object(Map::from_iter(fields)));
    let pattern = prop_oneof![9 => flat, 1 => pattern_of(&tests)];
    let good = pattern.prop_filter("refused", |pattern| Pattern::from_value(pattern).is_ok());
    let events = proptest::collection::vec(event_of(values.boxed()), 20..60);
    (proptest::collection::vec(good, 100..400), events)
}

pub(crate) fn pattern() -> impl Strategy<Value = Value> {
    let tests = Union::new(kinds().into_iter().map(|kind| with_compounds(kind.tests)));
    pattern_of(&tests.boxed())
}

pub(crate) fn event() -> impl Strategy<Value = Value> {
    event_of(Union::new(kinds().into_iter().map(|kind| kind.values)).boxed())
}

/// One of the tests, or `all-of` or `contains-all` of several.
fn with_compounds(tests: Values) -> Values {
    let is_operator = |test: &Value, names: &[&str]| names.iter().any(|name| test.get(name).is_some());
    let inside = tests.clone().prop_filter("absence", |test| test != &json!({"exists": false}));
    let element =
        inside.clone().prop_filter("not in contains-all", move |test| !is_operator(test, &["exists", "compare-field"]));
    let contains = proptest::collection::vec(element, 1..3).prop_map(|tests| json!({"contains-all": tests})).boxed();
    let conditions = prop_oneof![4 => inside.clone(), 1 => contains.clone()].prop_recursive(2, 6, 3, |inner| {
        let either = proptest::collection::vec(inner.clone(), 1..3).prop_map(Value::from);
        proptest::collection::vec(prop_oneof![2 => inner, 1 => either], 2..4).prop_map(|all| json!({"all-of": all}))
    });
    prop_oneof![8 => tests, 1 => conditions, 1 => contains].boxed()
}

/// A pattern about two columns of a table, by operators that look further than one value, and a table.
pub(crate) fn pattern_and_table() -> impl Strategy<Value = (Value, Value)> {
    let cell = || prop_oneof![4 => -1..2_i32, 1 => 0..9_i32].prop_map(Value::from);
    // Sometimes so many that they are searched rather than looked through.
    let list = |most: usize| proptest::collection::vec(cell(), 0..most).prop_map(Value::from);
    let cells = || prop_oneof![12 => cell(), 4 => list(3), 1 => list(30)];
    let row = || {
        proptest::collection::vec((select(vec!["y", "z"]), cells()), 0..4)
            .prop_map(|row| row.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
            .prop_map(Value::Object)
    };
    let rows = || proptest::collection::vec(row(), 0..4).prop_map(Value::from);
    let table = prop_oneof![2 => rows(), 1 => proptest::collection::vec(rows(), 0..3).prop_map(Value::from)];
    let test = |other: &'static str| {
        let compared = "=|!=|<|<=|>|>=".prop_map(move |sign| json!({"compare-field": [sign, other]}));
        let contains = proptest::collection::vec(cell(), 1..3).prop_map(|cells| json!({"contains-all": cells}));
        prop_oneof![4 => compared, 1 => contains, 1 => cell(), 1 => any::<bool>().prop_map(|wanted| json!({"exists": wanted}))]
    };
    (test("x.z"), proptest::option::of(test("x.y")), table).prop_map(|(one, other, table)| {
        let mut pattern = Map::from_iter([("y".to_owned(), json!([one]))]);
        pattern.extend(other.map(|other| ("z".to_owned(), json!([other]))));
        (json!({"x": pattern}), json!({"x": table}))
    })
}

fn pattern_of(tests: &Values) -> impl Strategy<Value = Value> + use<> {
    fields(tests, 2).prop_filter("a field compared with itself", |pattern| {
        !Pattern::from_value(pattern).is_err_and(|error| error.problem().contains("not with itself"))
    })
}

/// An object of a pattern, with at most so many levels of objects or `$or`s inside it.
fn fields(tests: &Values, levels: u32) -> Values {
    let list = proptest::collection::vec(tests.clone(), 1..3).prop_map(Value::from).boxed();
    let (field, or) = match levels {
        0 => (list, Just(None).boxed()),
        _ => {
            let inner = fields(tests, levels - 1);
            let or = proptest::collection::vec(inner.clone(), 2..4).prop_map(|branches| Some(Value::from(branches)));
            (prop_oneof![2 => list, 1 => inner].boxed(), prop_oneof![3 => Just(None), 1 => or].boxed())
        }
    };
    let named = proptest::collection::vec((name(), field), 1..3);
    (named, or)
        .prop_map(|(named, or)| named.into_iter().chain(or.map(|or| ("$or".to_owned(), or))).collect::<Map<_, _>>())
        .prop_map(Value::Object)
        .boxed()
}

fn name() -> impl Strategy<Value = String> {
    let names = ["x", "y", "z", "x", "y", "z", "x.x", "x.y", "z.x", "z.y"];
    select(names.to_vec()).prop_map(String::from)
}

fn event_of(values: Values) -> Values {
    let object = |value: Values| {
        proptest::collection::vec((name(), value), 0..4).prop_map(|members| Value::Object(Map::from_iter(members)))
    };
    let value = values.prop_recursive(5, 24, 4, move |inner| {
        prop_oneof![proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from), object(inner.boxed())]
    });
    object(value.boxed()).boxed()
}
