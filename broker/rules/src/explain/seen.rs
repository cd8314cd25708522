//! Which paths recent events had: what tells a mistyped rule from an odd event.

use super::meant::similar;
use super::shape::{MAX_PATHS, Shape, Tests};
use crate::error::EventError;
use crate::tree::{Node, Tree};
use std::collections::{HashMap, HashSet};

/// The dotted paths that the last so many events had.
///
/// At most 4,096 paths of at most 512 bytes each are remembered. Once there were more, nothing is said to be missing
/// until the events that had them are out of sight.
///
/// ```
/// use emote_rules::SeenPaths;
///
/// let mut seen = SeenPaths::new(500);
/// seen.see(br#"{"device": {"model": "Mac14,2", "apps": [{"name": "Xcode"}]}}"#)?;
/// assert!(seen.has("device.apps.name") && seen.has("device") && !seen.has("device.modle"));
/// assert_eq!(seen.count(), 1);
/// # Ok::<(), emote_rules::EventError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SeenPaths {
    window: u64,
    /// How many events were seen ever.
    events: u64,
    /// Each path with the number of the last event that had it, counting from 1.
    paths: HashMap<String, u64>,
    /// The last event that had paths for which there was no room.
    overflowed: Option<u64>,
}

impl SeenPaths {
    /// Remembers the paths of the last so many events; of one at least.
    pub fn new(events: usize) -> Self {
        let window = u64::try_from(events).unwrap_or(u64::MAX).max(1);
        Self { window, events: 0, paths: HashMap::new(), overflowed: None }
    }

    /// Remembers the paths of an event.
    ///
    /// # Errors
    /// If it is no JSON object or nested more than 128 levels deep; it then does not count.
    pub fn see(&mut self, event_json: &[u8]) -> Result<(), EventError> {
        let tree = read(event_json)?;
        self.events += 1;
        let no_values = HashSet::new();
        for path in Shape::new(&tree, &no_values).paths() {
            match path {
                Some(path) => self.remember(path),
                None => self.overflowed = Some(self.events),
            }
        }
        Ok(())
    }

    fn remember(&mut self, path: &str) {
        if let Some(last) = self.paths.get_mut(path) {
            *last = self.events;
            return;
        }
        if self.paths.len() >= MAX_PATHS {
            let oldest = self.out_of_sight();
            self.paths.retain(|_, last| *last > oldest);
        }
        if self.paths.len() < MAX_PATHS {
            self.paths.insert(path.to_owned(), self.events);
        } else {
            self.overflowed = Some(self.events);
        }
    }

    /// The number of the last event that counts no more.
    fn out_of_sight(&self) -> u64 {
        self.events.saturating_sub(self.window)
    }

    /// How many events are remembered: those seen, at most as many as were asked for.
    pub fn count(&self) -> usize {
        usize::try_from(self.events.min(self.window)).unwrap_or(usize::MAX)
    }

    /// Whether one of them had something at this path, be it a value, an object or an empty list.
    pub fn has(&self, path: &str) -> bool {
        self.paths.get(path).is_some_and(|last| *last > self.out_of_sight())
    }

    /// Whether it is sure that none of them had anything there: there were some, and all their paths are known.
    pub fn lacks(&self, path: &str) -> bool {
        let all_known = self.overflowed.is_none_or(|event| event <= self.out_of_sight());
        self.events > 0 && all_known && !self.has(path)
    }

    /// Paths like this one that they had, at most three, the likest first.
    pub fn similar(&self, path: &str) -> Vec<String> {
        self.similar_within(path, &Tests::new(usize::MAX))
    }

    pub(super) fn similar_within(&self, path: &str, tests: &Tests) -> Vec<String> {
        let oldest = self.out_of_sight();
        let paths = self.paths.iter().filter(|(_, last)| **last > oldest);
        similar(path, paths.map(|(path, _)| path.as_str()), tests)
    }
}

/// Reads an event, which must be an object.
pub(super) fn read(event_json: &[u8]) -> Result<Node<'_>, EventError> {
    let text = std::str::from_utf8(event_json).map_err(|error| EventError::Utf8 { at: error.valid_up_to() })?;
    let tree = Node::read(text)?;
    if matches!(tree.value, Tree::Object(_)) { Ok(tree) } else { Err(EventError::NotAnObject) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_ago_is_forgotten() {
        let mut seen = SeenPaths::new(2);
        for (event, has, lacks) in [
            (r#"{"a": {"b": 1}}"#, &["a", "a.b"][..], &["b"][..]),
            (r#"{"b": []}"#, &["a", "a.b", "b"], &["c"]),
            (r#"{"b": 1}"#, &["b"], &["a", "a.b"]),
            (r#"{"a": {}}"#, &["a", "b"], &["a.b"]),
        ] {
            seen.see(event.as_bytes()).unwrap();
            assert!(has.iter().all(|path| seen.has(path) && !seen.lacks(path)), "{event}");
            assert!(lacks.iter().all(|path| !seen.has(path) && seen.lacks(path)), "{event}");
        }
        assert_eq!(seen.count(), 2);
        assert!(seen.see(b"[1]").is_err() && seen.see(b"{").is_err() && seen.see(b"\xff").is_err());
        assert_eq!(seen.count(), 2);
    }

    #[test]
    fn memory_is_bounded_and_then_nothing_is_said_to_be_missing() {
        let mut seen = SeenPaths::new(3);
        assert!(!seen.lacks("a"), "nothing was seen");
        for n in 0..10 {
            let fields: Vec<String> = (0..1_000).map(|field| format!("\"{n}-{field}\": 1")).collect();
            seen.see(format!("{{{}}}", fields.join(",")).as_bytes()).unwrap();
            assert!(seen.paths.len() <= MAX_PATHS);
        }
        assert!(seen.has("9-0") && !seen.has("0-0") && seen.lacks("0-0"), "three thousand paths fit");
        let fields: Vec<String> = (0..5_000).map(|field| format!("\"{field}\": 1")).collect();
        seen.see(format!("{{{}}}", fields.join(",")).as_bytes()).unwrap();
        assert!(seen.paths.len() <= MAX_PATHS && !seen.lacks("nowhere"));
        (0..3).for_each(|_| seen.see(b"{}").unwrap());
        assert!(seen.lacks("nowhere"));
    }

    #[test]
    fn similar_paths_are_known() {
        let mut seen = SeenPaths::new(10);
        seen.see(br#"{"device": {"model": 1, "os_version": 2, "name": 3}}"#).unwrap();
        assert_eq!(seen.similar("device.modle"), ["device.model"]);
        assert_eq!(seen.similar("device.osVersion"), ["device.os_version"]);
        assert!(seen.similar("device.serial").is_empty());
    }
}
