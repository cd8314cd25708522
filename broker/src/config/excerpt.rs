//! A line of a text with a caret under one of its characters.

/// How many characters of a line are shown.
const WIDTH: usize = 100;
/// How many of them stand before the caret at most, where the line is longer than that.
const BEFORE: usize = 70;

/// The line (from 1) of `text`, with a caret under its column (from 1); nothing if it has no such line.
///
/// Two lines, each indented by two. Long lines are cut around the caret, control characters become spaces.
pub(crate) fn excerpt(text: &str, line: usize, column: usize) -> Option<String> {
    let source = text.lines().nth(line.checked_sub(1)?)?;
    let caret = column.saturating_sub(1).min(source.chars().count());
    let skipped = caret.saturating_sub(BEFORE);
    let mut shown: String = if skipped > 0 { "…".to_owned() } else { String::new() };
    let mut rest = source.chars().skip(skipped);
    shown.extend(rest.by_ref().take(WIDTH).map(|char| if char.is_control() { ' ' } else { char }));
    if rest.next().is_some() {
        shown.push('…');
    }
    let indent = " ".repeat(caret - skipped + usize::from(skipped > 0));
    let number = line.to_string();
    Some(format!("  {number} | {}\n  {} | {indent}^", shown.trim_end(), " ".repeat(number.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_caret_stands_under_its_column() {
        let text = "a: 1\n\tb: [é, x]\n";
        assert_eq!(excerpt(text, 1, 4).unwrap(), "  1 | a: 1\n    |    ^");
        assert_eq!(excerpt(text, 2, 9).unwrap(), "  2 |  b: [é, x]\n    |         ^");
        assert_eq!(excerpt(text, 1, 99).unwrap(), "  1 | a: 1\n    |     ^");
        assert_eq!((excerpt(text, 0, 1), excerpt(text, 3, 1)), (None, None));
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let text = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let shown = excerpt(&text, 1, 501).unwrap();
        let (line, caret) = shown.split_once('\n').unwrap();
        assert_eq!(line.chars().nth(caret.chars().count() - 1), Some('X'));
        assert!(line.chars().count() < 120, "{line}");
    }

    proptest! {
        #[test]
        fn no_place_panics(text in "\\PC{0,300}", line in 0_usize..4, column in 0_usize..400) {
            let _ = excerpt(&text, line, column);
        }
    }
}
