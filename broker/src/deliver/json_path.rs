//! The part of JSONPath that EventBridge takes: fields, indices, `*`. Pure.

use serde_json::Value;

/// In characters.
const MAX_PATH: usize = 256;
/// Steps of a path; more than an event is deep.
const MAX_STEPS: usize = 64;

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Field(String),
    Index(usize),
    All,
}

/// `$.a.b[0].*['c']` as steps.
pub(super) fn path_steps(path: &str) -> Result<Vec<Step>, String> {
    let wrong =
        |what: &str| Err(format!("{what}: a path is such as $.info.name, $.info.list[0] or $.info.list[*].name"));
    if path.chars().count() > MAX_PATH {
        return wrong(&format!("longer than {MAX_PATH} characters"));
    }
    let Some(mut rest) = path.strip_prefix('$') else { return wrong("does not begin with $") };
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() >= MAX_STEPS {
            return wrong(&format!("more than {MAX_STEPS} steps"));
        }
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            if name != "*"
                && (name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '/')))
            {
                return wrong("a field's name has letters, digits, -, _ and / only, or is in brackets and quotes");
            }
            steps.push(if name == "*" { Step::All } else { Step::Field(name.to_owned()) });
            rest = after;
        } else if let Some((step, after)) = rest.strip_prefix('[').and_then(bracket) {
            steps.push(step);
            rest = after;
        } else {
            return wrong("cannot be read");
        }
    }
    Ok(steps)
}

/// What stands after `[`: `0]`, `*]`, `'a']` or `"a"]`.
fn bracket(text: &str) -> Option<(Step, &str)> {
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        let (name, rest) = text.get(1..)?.split_once(quote)?;
        return Some((Step::Field(name.to_owned()), rest.strip_prefix(']')?));
    }
    let (inner, rest) = text.split_once(']')?;
    let step = if inner == "*" { Step::All } else { Step::Index(inner.parse().ok()?) };
    Some((step, rest))
}

/// What the steps lead to; with `*` among them, the list of it.
pub(super) fn find(steps: &[Step], value: &Value) -> Option<Value> {
    if !steps.contains(&Step::All) {
        let found = steps.iter().try_fold(value, |value, step| match step {
            Step::Field(name) => value.get(name),
            Step::Index(index) => value.get(index),
            Step::All => None,
        });
        return found.cloned();
    }
    let mut found = vec![value];
    for step in steps {
        found = found.into_iter().flat_map(|value| children(step, value)).collect();
    }
    (!found.is_empty()).then(|| found.into_iter().cloned().collect())
}

fn children<'a>(step: &Step, value: &'a Value) -> Vec<&'a Value> {
    match (step, value) {
        (Step::Field(name), value) => value.get(name).into_iter().collect(),
        (Step::Index(index), value) => value.get(index).into_iter().collect(),
        (Step::All, Value::Array(list)) => list.iter().collect(),
        (Step::All, Value::Object(map)) => map.values().collect(),
        (Step::All, _) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        #[test]
        fn a_field_in_brackets_is_found_whatever_its_name(name in "[^'\\[]{1,20}") {
            let value = json!({"a": {name.clone(): 7}});
            let steps = path_steps(&format!("$.a['{name}']")).unwrap();
            prop_assert_eq!(find(&steps, &value), Some(json!(7)));
        }

        #[test]
        fn no_path_panics(path in any::<String>(), near in "\\$[.*a\\[\\]'\"0-9]{0,30}") {
            let value = json!({"a": [{"a": 1}, [2, 3], "x"], "0": {}});
            for path in [path, near] {
                if let Ok(steps) = path_steps(&path) {
                    let _ = find(&steps, &value);
                }
            }
        }
    }
}
