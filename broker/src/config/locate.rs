//! Finds the line and column that a dotted path such as `targets[1].input` has in a YAML file.

use emote_rules::Step;
use granit_parser::{Event, Parser};

use super::{SecretRef, text::Template};

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

/// The innermost place of `yaml` that begins at `place` or before it, as a path.
pub(super) fn path_at(yaml: &str, place: Place) -> String {
    let mut last = Vec::new();
    each(yaml, |node| {
        if node.place <= place {
            last = node.steps;
        }
    });
    dotted(&last)
}

/// Where a reference to a secret stands in `yaml`, and under which path: `${env:NAME}`, alone or in a text. A file is found by
/// its whole path, too.
pub(super) fn locate_reference(yaml: &str, wanted: &SecretRef) -> Option<(String, Place)> {
    let is_it = |written: &SecretRef| match (written, wanted) {
        (SecretRef::File(written), SecretRef::File(wanted)) => wanted.ends_with(written),
        (written, wanted) => written == wanted,
    };
    let mut found = None;
    each(yaml, |node| {
        let references = node.text.filter(|_| found.is_none() && !node.is_key).map(Template::parse);
        if references.is_some_and(|parsed| parsed.is_ok_and(|template| template.references().any(is_it))) {
            found = Some((dotted(&node.steps), node.place));
        }
    });
    found
}

struct Found {
    depth: usize,
    key: Option<Place>,
    value: Place,
}

fn nearest(yaml: &str, wanted: &[Step]) -> Option<Found> {
    let mut best: Option<Found> = None;
    each(yaml, |node| {
        let depth = node.steps.len();
        if !node.is_key && wanted.starts_with(&node.steps) && best.as_ref().is_none_or(|best| depth > best.depth) {
            best = Some(Found { depth, key: node.key, value: node.place });
        }
    });
    best
}

/// A key or value as it stands in the file.
struct Node<'a> {
    /// The path of the value, or of the key's value.
    steps: Vec<Step>,
    is_key: bool,
    /// Where the value's key stands, if it has one.
    key: Option<Place>,
    place: Place,
    /// What a scalar says.
    text: Option<&'a str>,
}

/// Shows each key and value, in their order, as far as `yaml` can be read.
fn each(yaml: &str, mut see: impl FnMut(Node<'_>)) {
    let mut open: Vec<Open> = Vec::new();
    let mut parser = Parser::new_from_str(yaml);
    while let Some(Ok((event, span))) = parser.next_event() {
        let place = (span.start.line(), span.start.col() + 1);
        let starts_node =
            matches!(event, Event::Scalar(..) | Event::MappingStart(..) | Event::SequenceStart(..) | Event::Alias(..));
        if starts_node {
            let is_key = is_key(&mut open, &event, place);
            let text = if let Event::Scalar(text, ..) = &event { Some(&**text) } else { None };
            // A node's path is that of everything open around it.
            let steps = open.iter().filter_map(|open| open.step.clone()).collect();
            see(Node { steps, is_key, key: open.last().and_then(|open| open.key_place), place, text });
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

/// The dotted path of these steps.
fn dotted(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Key(key) if path.is_empty() => path.push_str(key),
            Step::Key(key) => path.extend([".", key]),
            Step::Index(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
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

    #[test]
    fn a_place_has_a_path_and_a_reference_a_place() {
        for (place, path) in [
            ((2, 1), "pattern"),
            ((3, 19), "pattern.scope[1]"),
            ((3, 21), "pattern.scope[1]"),
            ((6, 5), "targets[1].target"),
            ((9, 9), "retry.max"),
            ((99, 1), "retry.max"),
            ((1, 1), ""),
        ] {
            assert_eq!(path_at(YAML, place), path, "{place:?}");
        }
        let yaml = "preset: okta\nsettings:\n  ${env:A}: no\n  secret: [a, \"Splunk ${env:A}!\"]\n  key: ${file:b/c}\n";
        let found = |reference: &str| locate_reference(yaml, &reference.parse().unwrap());
        assert_eq!(found("${env:A}"), Some(("settings.secret[1]".to_owned(), (4, 15))));
        assert_eq!(found("${file:/etc/emote/b/c}"), Some(("settings.key".to_owned(), (5, 8))));
        assert_eq!(found("${file:/etc/emote/c}"), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(yaml in "[a-z:\\-\\[\\]{}, \n&*|>]{0,60}", path in "[a-z.\\[\\]0-9]{0,20}") {
            let _ = locate(&yaml, &path);
            let _ = path_at(&yaml, (1, 7));
        }
    }
}
