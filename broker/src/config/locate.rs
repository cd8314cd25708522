//! Finds the line and column that a dotted path such as `targets[1].input` has in a YAML file.

use emote_rules::Step;
use granit_parser::{Event, Parser};

/// Line and column, from 1.
pub(super) type Place = (usize, usize);

/// Where `path` stands in `yaml`; where the file has no such key, where the nearest part of the path that it has stands.
/// What has a key stands where its key does.
pub(super) fn locate(yaml: &str, path: &str) -> Option<Place> {
    nearest(yaml, &steps(path)).map(|found| found.key.unwrap_or(found.value))
}

/// Where the value stands to which these steps lead, or as much of them as the file has; not its key.
pub(super) fn locate_value(yaml: &str, steps: &[Step]) -> Option<Place> {
    nearest(yaml, steps).map(|found| found.value)
}

struct Found {
    depth: usize,
    key: Option<Place>,
    value: Place,
}

fn nearest(yaml: &str, wanted: &[Step]) -> Option<Found> {
    let mut best: Option<Found> = None;
    let mut open: Vec<Open> = Vec::new();
    let mut parser = Parser::new_from_str(yaml);
    while let Some(Ok((event, span))) = parser.next_event() {
        let place = (span.start.line(), span.start.col() + 1);
        let starts_node =
            matches!(event, Event::Scalar(..) | Event::MappingStart(..) | Event::SequenceStart(..) | Event::Alias(..));
        if starts_node && !is_key(&mut open, &event, place) {
            // A value: its path is that of everything open around it.
            let here: Vec<Step> = open.iter().filter_map(|open| open.step.clone()).collect();
            if wanted.starts_with(&here) && best.as_ref().is_none_or(|best| here.len() > best.depth) {
                let key = open.last().and_then(|open| open.key_place);
                best = Some(Found { depth: here.len(), key, value: place });
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
    best
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

/// The steps of a dotted path.
pub(super) fn steps(path: &str) -> Vec<Step> {
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

    #[test]
    fn steps_lead_to_values() {
        let yaml = "\
description: x
pattern:
  device.model: [{prefix: 14}]
  os:
    - prefix: '15.'
    - {}
  $or:
    - {a: [1]}
    - b: []
  alias: &anchor [x]
  again: *anchor
";
        let key = |name: &str| Step::Key(name.to_owned());
        for (steps, place) in [
            (vec![key("pattern"), key("device.model"), Step::Index(0), key("prefix")], (3, 27)),
            (vec![key("pattern"), key("device.model")], (3, 17)),
            (vec![key("pattern"), key("os"), Step::Index(1)], (6, 7)),
            (vec![key("pattern"), key("os"), Step::Index(0), key("prefix")], (5, 15)),
            (vec![key("pattern"), key("$or"), Step::Index(1), key("b")], (9, 10)),
            (vec![key("pattern"), key("again"), Step::Index(0)], (11, 10)),
            (vec![key("pattern"), key("device"), key("model")], (3, 3)),
        ] {
            assert_eq!(locate_value(yaml, &steps), Some(place), "{steps:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(yaml in "[a-z:\\-\\[\\]{}, \n&*|>]{0,60}", path in "[a-z.\\[\\]0-9]{0,20}") {
            let _ = locate(&yaml, &path);
        }
    }
}
