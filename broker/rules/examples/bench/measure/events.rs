//! Many events in one piece of memory, as a consumer of the stream would hold them.

use std::ops::Range;

/// Events, each a JSON text.
#[derive(Debug, Default)]
pub(crate) struct Events {
    text: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Events {
    /// The lines of a text that are not empty.
    pub(crate) fn from_lines(text: Vec<u8>) -> Self {
        let mut start = 0;
        let mut places = Vec::new();
        for line in text.split(|byte| *byte == b'\n') {
            if !line.trim_ascii().is_empty() {
                places.push(start..start + line.len());
            }
            start += line.len() + 1;
        }
        Self { text, places }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn get(&self, place: usize) -> &[u8] {
        &self.text[self.places[place].clone()]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| &self.text[place.clone()])
    }

    /// Bytes of an event, in the middle.
    pub(crate) fn mean_size(&self) -> usize {
        self.iter().map(<[u8]>::len).sum::<usize>() / self.len().max(1)
    }
}
