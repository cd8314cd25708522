//! The operators beyond the reference.

use super::*;

/// A pattern, an event, and what is said of the one field that fails besides what was expected and found.
#[test]
fn operators_beyond_the_reference_say_what_fails() {
    for (pattern, event, said) in [
        (
            r#"{"f": [{"contains-all": ["a", "b", "x"]}]}"#,
            json!({"f": ["b", "z", "a"]}),
            r#"found 2 of 3, missing "x""#,
        ),
        (
            r#"{"f": [{"contains-all": ["admins", {"prefix": "mac-"}, 300]}]}"#,
            json!({"f": ["Admins", "MAC-lab", "300"]}),
            r#"found 0 of 3, missing "admins", prefix "mac-", 300
"300" is a string; as a number it would match, but a type is never another
"Admins" differs from "admins" only in case; to ignore case write {"equals-ignore-case": "admins"}"#,
        ),
        (
            r#"{"f": [{"contains-all": ["admins", "staff"]}]}"#,
            json!({"f": ["admin", "staff"]}),
            "found 1 of 2, missing \"admins\"\n\"admin\" is one edit away from \"admins\": is one of them mistyped?",
        ),
        (
            r#"{"f": [{"contains-all": [1, 2, 3, 4, 5, 6, 7]}]}"#,
            json!({"f": "x"}),
            "found 0 of 7, missing 1, 2, 3, 4, 5, …",
        ),
        (r#"{"f": [{"contains-all": ["alone"]}]}"#, json!({"f": "b"}), ""),
        (
            r#"{"f": [{"all-of": [{"prefix": "Mac"}, {"anything-but": {"suffix": ",1"}}]}]}"#,
            json!({"f": "Mac14,1"}),
            r#""Mac14,1" meets 1 of 2 conditions, but not anything but suffix ",1""#,
        ),
        (
            r#"{"f": [{"all-of": [{"prefix": "Mac"}, ["x", {"suffix": ",2"}]]}]}"#,
            json!({"f": "mac14,2"}),
            r#""mac14,2" differs from "Mac" only in case; to ignore case write {"prefix": {"equals-ignore-case": "Mac"}}
"mac14,2" meets 1 of 2 conditions, but not prefix "Mac""#,
        ),
        (
            r#"{"f": [{"all-of": [{"prefix": "Mac"}, ["x", {"suffix": ",2"}]]}]}"#,
            json!({"f": "Mac14"}),
            r#""Mac14" meets 1 of 2 conditions, but not "x" or suffix ",2""#,
        ),
        (r#"{"f": [{"all-of": [{"prefix": "i"}, {"suffix": ",2"}]}]}"#, json!({"f": "Mac14"}), ""),
        (
            r#"{"f": [{"compare-field": ["<", "g.low"]}]}"#,
            json!({"f": 12, "g": {"low": 10}}),
            "12 is not < 10, the value of g.low\n12 misses < the value of g.low by 2",
        ),
        (
            r#"{"f": [{"compare-field": [">", "g"]}]}"#,
            json!({"f": 10, "g": 10}),
            "10 is not > 10, the value of g\n10 is the bound of > the value of g itself, which does not count",
        ),
        (
            r#"{"f": [{"compare-field": ["=", "g"]}]}"#,
            json!({"f": "Ada", "g": ["bob", "ada"]}),
            "\"Ada\" differs from \"ada\" only in case\n\"Ada\" is not = any of \"bob\", \"ada\", the values of g",
        ),
        (
            r#"{"f": [{"compare-field": ["=", "g"]}]}"#,
            json!({"f": "3", "g": 3}),
            "\"3\" is a string; as a number it would match, but a type is never another\n\"3\" is not = 3, the value of g",
        ),
        (
            r#"{"f": [{"compare-field": ["!=", "g"]}]}"#,
            json!({"f": null, "g": null}),
            "null is not != null, the value of g",
        ),
        (
            r#"{"f": [{"compare-field": ["=", "g"]}]}"#,
            json!({"f": 1, "g": [2, 3, 4, 5, 6, 7]}),
            "1 is not = any of 2, 3, 4, 5, 6, …, the values of g\n1 misses = the value of g by 1",
        ),
        (
            r#"{"f": [{"compare-field": ["=", "info.minimun"]}]}"#,
            json!({"f": 1, "info": {"minimum": 1}}),
            "1 has nothing to be compared with: info.minimun has no value; did you mean info.minimum?",
        ),
        (
            r#"{"a.f": [{"compare-field": ["=", "a.g"]}]}"#,
            json!({"a": [{"f": 1}, {"g": 1}]}),
            "1 has no a.g in its own element of the array to be compared with",
        ),
        (
            r#"{"f": [{"regex": ["^[a-z]+$"]}]}"#,
            json!({"f": "ABC"}),
            r#""ABC" differs from regex "^[a-z]+$" only in case"#,
        ),
        (
            r#"{"f": [{"regex": ["^[0-9]+$"]}]}"#,
            json!({"f": 12}),
            "12 is a number; as a string it would match, but a type is never another",
        ),
        (
            r#"{"f": [{"semver": [">=", "14.2"]}]}"#,
            json!({"f": "14.5 (23F79)"}),
            r#""14.5 (23F79)" is no version, which is numbers with dots between: 14.2, v1.0.3 or 2.0-beta"#,
        ),
        (
            r#"{"f": [{"semver": [">=", "14.2"]}]}"#,
            json!({"f": 14.5}),
            "14.5 is a number; as a string it would match, but a type is never another",
        ),
        (
            r#"{"f": [{"semver": ["<", "15"]}]}"#,
            json!({"f": "15.0.0"}),
            r#""15.0.0" is the bound itself, which does not count"#,
        ),
        (r#"{"f": [{"semver": ["<", "15"]}]}"#, json!({"f": "16"}), r#""16" is later than 15"#),
        // As decimals they would be the other way round.
        (
            r#"{"f": [{"semver": [">=", "14.10", "<", "15"]}]}"#,
            json!({"f": ["14.9", true]}),
            "\"14.9\" is earlier than 14.10\ntrue is a boolean, and what is wanted is a string",
        ),
        (
            r#"{"f": [{"regex": ["^Mac(Book)?$"]}]}"#,
            json!({"f": "macbook"}),
            r#""macbook" differs from regex "^Mac(Book)?$" only in case"#,
        ),
        (
            r#"{"f": [{"wildcard": "Mac*\\*Pro"}]}"#,
            json!({"f": "macBook *pro"}),
            r#""macBook *pro" differs from wildcard "Mac*\\*Pro" only in case"#,
        ),
        (
            r#"{"f": [{"all-of": [{"wildcard": "Mac*o"}, {"exists": true}]}]}"#,
            json!({"f": "macBook Pro"}),
            "\"macBook Pro\" differs from wildcard \"Mac*o\" only in case\n\"macBook Pro\" meets 1 of 2 conditions, but not wildcard \"Mac*o\"",
        ),
        (
            r#"{"f": [{"cidr": "10.20.0.0/16"}]}"#,
            json!({"f": ["10.20", "10.21.0.1", 10]}),
            "\"10.20\" is no IP address\n10 is a number, and what is wanted is a string",
        ),
        (
            r#"{"f": [{"time-window": [">=", "2026-11-01T00:00:00Z"]}]}"#,
            json!({"f": 1_795_519_800}),
            "1795519800 is a number, and what is wanted is a string",
        ),
        (
            r#"{"f": [{"time-window": [">=", "2026-11-01T00:00:00Z"]}]}"#,
            json!({"f": "2026-11-24"}),
            r#""2026-11-24" is no point in time, which has date, time and offset: 2026-11-24T11:30:00Z"#,
        ),
        (
            r#"{"f": [{"time-window": [">=", "2026-11-01T00:00:00Z", "<", "2026-12-01T00:00:00Z"]}]}"#,
            json!({"f": ["2026-10-31T23:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:01Z"]}),
            r#""2026-10-31T23:00:00Z" is 1 hour too early
"2026-12-01T00:00:00Z" is the bound itself, which does not count
"2027-01-01T00:00:01Z" is over 31 days too late"#,
        ),
        (
            r#"{"f": [{"time-window": ["=", "2026-11-01T00:00:00Z"]}]}"#,
            json!({"f": "2026-11-01T00:00:00.5Z"}),
            r#""2026-11-01T00:00:00.5Z" is less than a second too late"#,
        ),
        (
            r#"{"f": [{"time-of-day": {"from": "22:00", "to": "06:00", "days": ["fri"], "offset": "+01:00"}}]}"#,
            json!({"f": "2026-11-28T05:30:00Z"}),
            r#""2026-11-28T05:30:00Z" is sat 06:30:00 at +01:00, within an hour of what is wanted"#,
        ),
        (
            r#"{"f": [{"time-of-day": {"from": "22:00", "to": "06:00", "days": ["fri"], "offset": "+01:00"}}]}"#,
            json!({"f": "2026-11-28T06:30:00Z"}),
            r#""2026-11-28T06:30:00Z" is sat 07:30:00 at +01:00"#,
        ),
        (
            r#"{"f": [{"time-of-day": {"days": ["fri"]}}]}"#,
            json!({"f": "22:30"}),
            r#""22:30" is no point in time, which has date, time and offset: 2026-11-24T11:30:00Z"#,
        ),
    ] {
        let told = told(pattern, &event);
        let said_of_it: Vec<&str> = told.lines().skip(1).map(str::trim).collect();
        assert_eq!(said_of_it.join("\n"), said, "{pattern} {event}\n{told}");
    }
}

#[test]
fn a_part_that_is_there_makes_a_field_near() {
    for (test, value, near) in [
        (r#"{"contains-all": ["a", "b", "c"]}"#, json!(["a", "b"]), true),
        (r#"{"contains-all": ["a", "b", "c"]}"#, json!(["a", "z"]), false),
        (r#"{"all-of": [{"prefix": "Mac"}, {"suffix": ",2"}]}"#, json!("Mac14,1"), false),
        (r#"{"all-of": [{"prefix": "Mac"}, {"suffix": ",2"}]}"#, json!("mac14,2"), true),
        (r#"{"all-of": [{"prefix": "Mac"}, {"suffix": ",2"}, {"exists": true}]}"#, json!("Mac14,1"), true),
        (r#"{"semver": ["<", "15.2"]}"#, json!("15.10"), true),
        (r#"{"semver": ["<", "15.2"]}"#, json!("16"), false),
        (r#"{"wildcard": "Mac*2"}"#, json!("mac14,2"), true),
        (r#"{"cidr": "10.0.0.0/8"}"#, json!("10.0"), false),
        (r#"{"time-of-day": {"from": "22:00", "to": "06:00"}}"#, json!("2026-11-01T06:30:00Z"), true),
        (r#"{"time-of-day": {"from": "22:00", "to": "06:00"}}"#, json!("2026-11-01T21:00:00Z"), true),
        (r#"{"time-of-day": {"from": "22:00", "to": "06:00"}}"#, json!("2026-11-01T12:00:00Z"), false),
        (r#"{"time-window": [">", "2026-11-01T00:00:00Z"]}"#, json!("2026-10-31T01:00:00Z"), true),
        (r#"{"time-window": [">", "2026-11-01T00:00:00Z"]}"#, json!("2025-10-31T01:00:00Z"), false),
        (r#"{"compare-field": ["<", "g"]}"#, json!("z"), false),
        (r#"{"compare-field": ["<", "g"]}"#, json!(10.5), true),
        (r#"{"compare-field": ["<", "g"]}"#, json!(100), false),
    ] {
        let explanation = explain(&format!("{{\"f\": [{test}]}}"), &json!({"f": value, "g": [10, "a"]}));
        assert_eq!(explanation.branches[0].fields[0].is_near(), near, "{explanation}");
        assert!(explanation.to_json()["branches"][0]["fields"][0]["near"].is_array());
    }
}
