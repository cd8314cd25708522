//! Finds the line and column that a dotted path such as `targets[1].input` has in a YAML file.

use granit_parser::{Event, Parser};

/// Line and column, from 1.
pub(super) type Place = (usize, usize);

/// Where `path` stands in `yaml`; where the file has no such key, where the nearest part of the path that it has stands.
pub(super) fn locate(yaml: &str, path: &str) -> Option<Place> {
    let wanted = steps(path);
    let mut best: Option<(usize, Place)> = None;
    let mut open: Vec<Open> = Vec::new();
    let mut parser = Parser::new_from_str(yaml);
    while let Some(Ok((event, span))) = parser.next_event() {
        let place = (span.start.line(), span.start.col() + 1);
        let starts_node =
            matches!(event, Event::Scalar(..) | Event::MappingStart(..) | Event::SequenceStart(..) | Event::Alias(..));
        if starts_node && !is_key(&mut open, &event, place) {
            // A value: its path is that of everything open around it.
            let here: Vec<Step> = open.iter().filter_map(|open| open.step.clone()).collect();
            if wanted.starts_with(&here) && best.is_none_or(|(depth, _)| here.len() > depth) {
                let place = open.last().and_then(|open| open.key_place).unwrap_or(place);
                best = Some((here.len(), place));
            }
        }
        match event {
            Event::MappingStart(..) => open.push(Open { mapping: true, ..Open::default() }),
            Event::SequenceStart(..) => open.push(Open { step: Some(Step::Index(0)), ..Open::default() }),
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
                value_ended(&mut open);
            }
            Event::Scalar(..) | Event::Alias(..) if !open.last().is_some_and(|open| open.just_keyed) => {
                value_ended(&mut open);
            }
            _ => {}
        }
        if let Some(open) = open.last_mut() {
            open.just_keyed = false;
        }
    }
    best.map(|(_, place)| place)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

#[derive(Debug, Default)]
struct Open {
    mapping: bool,
    /// Mapping: the key whose value is next or open. Sequence: the index.
    step: Option<Step>,
    key_place: Option<Place>,
    just_keyed: bool,
}

/// Takes a scalar as the key of the innermost mapping, if one is due there.
fn is_key(open: &mut [Open], event: &Event<'_>, place: Place) -> bool {
    let Some(innermost) = open.last_mut().filter(|open| open.mapping && open.step.is_none()) else { return false };
    let key = match event {
        Event::Scalar(text, ..) => text.to_string(),
        _ => String::new(),
    };
    innermost.step = Some(Step::Key(key));
    innermost.key_place = Some(place);
    innermost.just_keyed = true;
    true
}

fn value_ended(open: &mut [Open]) {
    match open.last_mut() {
        Some(open) if open.mapping => open.step = None,
        Some(Open { step: Some(Step::Index(index)), .. }) => *index += 1,
        _ => {}
    }
}

fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (key, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
        if !key.is_empty() {
            steps.push(Step::Key(key.to_owned()));
        }
        while let Some((index, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            if let Ok(index) = index.parse() {
                steps.push(Step::Index(index));
            }
            rest = after;
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const YAML: &str = "\
# a rule
pattern:
  scope: [device, user]
targets:
  - target: slack
  - target: asset
    input: |
      {a: 1}
retry: {max: 3}
";

    #[test]
    fn paths_are_found_where_they_stand() {
        for (path, place) in [
            ("pattern", (2, 1)),
            ("pattern.scope", (3, 3)),
            ("pattern.scope[1]", (3, 19)),
            ("targets[0].target", (5, 5)),
            ("targets[1]", (6, 5)),
            ("targets[1].input", (7, 5)),
            ("targets[1].missing", (6, 5)),
            ("retry.max", (9, 9)),
            ("nowhere", (2, 1)),
        ] {
            assert_eq!(locate(YAML, path), Some(place), "{path}");
        }
        assert_eq!(locate("", "a"), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(yaml in "[a-z:\\-\\[\\]{}, \n&*|>]{0,60}", path in "[a-z.\\[\\]0-9]{0,20}") {
            let _ = locate(&yaml, &path);
        }
    }
}
