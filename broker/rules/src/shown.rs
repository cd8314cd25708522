//! Foreign text as messages show it: short, and without what a terminal would obey.

use std::fmt::{Display, Formatter, Result};

/// How much of a text is told, in characters.
const MAX_TEXT: usize = 120;

/// The beginning of a text, with an ellipsis if that is not all of it.
pub(crate) fn cut(text: &str) -> String {
    if is_short(text) { text.to_owned() } else { text.chars().take(MAX_TEXT).chain(['…']).collect() }
}

/// Whether a text is shown as a whole.
pub(crate) fn is_short(text: &str) -> bool {
    text.char_indices().nth(MAX_TEXT).is_none()
}

/// A path as it can be shown on a terminal.
pub(crate) struct ShownPath<'a>(pub(crate) &'a str);

impl Display for ShownPath<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let text = cut(self.0);
        let shows = !text.is_empty() && text.chars().all(|char| char.escape_debug().len() == 1 && char != ' ');
        if shows { f.write_str(&text) } else { write!(f, "{text:?}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_and_a_path_obeys_no_terminal() {
        let long = "é".repeat(121);
        assert_eq!((cut(&long[..240]), cut(&long)), (long[..240].to_owned(), format!("{}…", &long[..240])));
        for (path, shown) in
            [("a.b", "a.b"), ("", "\"\""), ("a b", "\"a b\""), ("\u{1b}[1m", r#""\u{1b}[1m""#), ("a\nb", r#""a\nb""#)]
        {
            assert_eq!(ShownPath(path).to_string(), shown);
        }
    }
}
