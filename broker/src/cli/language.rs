//! The pattern language in short, for `--help`.

/// Each operator with an example; what it means exactly is in `PATTERNS.md`.
const LANGUAGE: &str = r#"A pattern has the event's shape, with a list where the event has a value: {"scope": ["device", "user"], "device": {"model": ["Mac14,2"]}}. All fields must match: one element of the list must accept the value. Strings, numbers, true, false and null are compared as they are; operators stand in the list beside them:

  {"prefix": "Mac"}  {"suffix": "-lab"}              begins, ends like this
  {"wildcard": "com.*.beta"}                         * stands for anything
  {"equals-ignore-case": "ada"}                      this, whatever its case
  {"exactly": "10.0.0.1"}                            this text, not the address
  {"regex": ["^C02", "^FVF"]}                        one of these is found
  {"anything-but": ["agent", "okta"]}                none of these
  {"exists": false}                                  the field is not there
  {"numeric": [">=", 5, "<", 10]}                    a number in this range
  {"semver": ["<", "14.2"]}                          a version in this range
  {"time-window": [">=", "2026-11-01T00:00:00Z"]}    a time in this range
  {"time-of-day": {"from": "22:00", "to": "06:00"}}  a time at these hours
  {"cidr": "10.0.0.0/8"}                             an address in this network
  {"compare-field": ["<", "info.minimum"]}           less than another field
  {"all-of": [{"prefix": "a"}, {"suffix": "z"}]}     one value meets all
  {"contains-all": ["admins", "staff"]}              its values include these

Beside fields, "$or": [{"action": ["lock"]}, {"action": ["wipe"]}] lists alternatives. The language is described in full in broker/rules/PATTERNS.md of Emote's source."#;

/// What follows a command's options in `--help`: its own text, then the language.
pub(super) fn with_language(help: &str) -> String {
    format!("{help}\n\n{LANGUAGE}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use emote_rules::{OPERATORS, Pattern};

    #[test]
    fn help_shows_each_operator_with_an_example_that_is_one() {
        let examples: Vec<&str> = LANGUAGE
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .flat_map(|line| line.split("  "))
            .filter(|part| part.starts_with('{'))
            .collect();
        for example in &examples {
            Pattern::parse(&format!("{{\"field\": [{example}]}}")).unwrap();
        }
        for operator in OPERATORS {
            assert!(examples.iter().any(|example| example.starts_with(&format!("{{\"{operator}\": "))), "{operator}");
        }
    }
}
