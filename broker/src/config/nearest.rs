//! What is said where a name is none of those that there are.

/// Names that are less alike are not meant (Jaro–Winkler, from 0 to 1).
const ALIKE: f64 = 0.8;

/// The names that there are, and before them the one that `given` is most like, where it is like any: whoever writes
/// `datadog/nope` means `datadog`. What was given is not repeated.
pub(crate) fn one_of<'n>(given: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let all = names.join(", ");
    let given = given.to_lowercase();
    let alike = names.iter().map(|name| (strsim::jaro_winkler(&given, name), name));
    match alike.filter(|(alike, _)| *alike >= ALIKE).max_by(|one, other| one.0.total_cmp(&other.0)) {
        Some((_, name)) => format!("did you mean {name}? There are {all}"),
        None => format!("expected one of {all}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_is_most_likely_meant_comes_first() {
        let names = ["datadog", "email", "jamf-pro", "jamf-protect", "slack"];
        for (given, meant) in [
            ("datadog/nope", Some("datadog")),
            ("DataDog", Some("datadog")),
            ("jamfpro", Some("jamf-pro")),
            ("jamf-protct", Some("jamf-protect")),
            ("slak", Some("slack")),
            ("nope", None),
            ("", None),
        ] {
            let said = one_of(given, names);
            match meant {
                Some(name) => assert!(said.starts_with(&format!("did you mean {name}? There are datadog, ")), "{said}"),
                None => assert_eq!(said, "expected one of datadog, email, jamf-pro, jamf-protect, slack"),
            }
        }
    }
}
