//! A line of a text with a caret under one of its characters.
//!
//! A terminal shows characters in columns: most take one, those of Chinese, Japanese and Korean and most emoji two, marks
//! that combine with the character before them none. So the caret is indented by what the text before it takes.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns of a line are shown behind the caret.
const BEHIND: usize = 30;
/// How many columns stand before it at most.
const BEFORE: usize = 70;
/// How many characters are looked at on either side: of those that take no column any number fits.
const MAX_CHARS: usize = 200;
/// What a tab is shown as, so that it is as wide on every terminal and wherever it stands.
const TAB: &str = "    ";

/// The line (from 1) of `text`, with a caret under its column (from 1, in characters); nothing if it has no such line.
///
/// Two lines, each indented by two. Long lines are cut around the caret; tabs become four spaces, and what would move the
/// terminal's cursor or turn the direction of the text becomes one.
pub(crate) fn excerpt(text: &str, line: usize, column: usize) -> Option<String> {
    let source = text.lines().nth(line.checked_sub(1)?)?;
    let caret = source.char_indices().nth(column.saturating_sub(1)).map_or(source.len(), |(at, _)| at);
    let (before, behind) = source.split_at(caret);
    let (before, behind) = (last_columns(before), first_columns(behind));
    let indent = " ".repeat(before.width());
    let number = line.to_string();
    let shown = format!("{before}{behind}");
    Some(format!("  {number} | {}\n  {} | {indent}^", shown.trim_end(), " ".repeat(number.len())))
}

/// As much of a text's end as may stand before the caret; what was cut shows as `…`.
fn last_columns(text: &str) -> String {
    let mut left = BEFORE;
    let (mut characters, mut start) = (text.char_indices().rev(), text.len());
    for (at, character) in characters.by_ref().take(MAX_CHARS) {
        let Some(rest) = left.checked_sub(columns(character)) else { break };
        (left, start) = (rest, at);
    }
    if start == 0 {
        return shown(text);
    }
    // What combines with a character that was cut would now combine with the mark of the cut.
    let kept = text[start..].trim_start_matches(|character| columns(character) == 0);
    format!("…{}", shown(kept))
}

/// As much of a text's beginning as may stand from the caret on.
fn first_columns(text: &str) -> String {
    let mut left = BEHIND;
    for (at, character) in text.char_indices().take(MAX_CHARS) {
        match left.checked_sub(columns(character)) {
            Some(rest) => left = rest,
            None => return format!("{}…", shown(&text[..at])),
        }
    }
    match text.char_indices().nth(MAX_CHARS) {
        Some((at, _)) => format!("{}…", shown(&text[..at])),
        None => shown(text),
    }
}

fn shown(text: &str) -> String {
    text.chars().fold(String::new(), |mut line, character| {
        match character {
            '\t' => line.push_str(TAB),
            character if moves_the_text(character) => line.push(' '),
            character => line.push(character),
        }
        line
    })
}

/// How many columns a character takes as it is shown, if it stands alone.
fn columns(character: char) -> usize {
    match character {
        '\t' => TAB.len(),
        character if moves_the_text(character) => 1,
        character => character.width().unwrap_or(0),
    }
}

/// Control characters, separators of lines, and what turns the direction of what follows.
fn moves_the_text(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A line with a ^ in front of the character that the caret is to stand under, and how it is shown.
    #[test]
    fn the_caret_stands_under_its_character_however_wide_those_before_it_are() {
        for (marked, shown, caret) in [
            ("a: ^1", "a: 1", "   ^"),
            ("a: 1^", "a: 1", "    ^"),
            ("b: [é, ^x]", "b: [é, x]", "       ^"),
            ("设备: ^1", "设备: 1", "      ^"),
            ("端末: [マック, ^x]", "端末: [マック, x]", "               ^"),
            ("ﾏｯｸ: ^x", "ﾏｯｸ: x", "     ^"),
            ("맥: ^x", "맥: x", "    ^"),
            // The same letter, as one character and with a mark.
            ("Zoe\u{308}: ^x", "Zoe\u{308}: x", "     ^"),
            ("Zo\u{eb}: ^x", "Zo\u{eb}: x", "     ^"),
            ("🔒: ^x", "🔒: x", "    ^"),
            // One picture of several characters.
            ("👩\u{200d}💻: ^x", "👩\u{200d}💻: x", "    ^"),
            ("🇩🇪: ^x", "🇩🇪: x", "    ^"),
            ("a\u{200b}b: ^x", "a\u{200b}b: x", "    ^"),
            ("שלום: ^x", "שלום: x", "      ^"),
            ("\ta: ^x", "    a: x", "       ^"),
            ("a:\t^x", "a:    x", "      ^"),
            ("a\u{1b}[31m: ^x", "a [31m: x", "        ^"),
            ("\u{202e}a: ^x", " a: x", "    ^"),
            ("^", "", "^"),
        ] {
            let column = marked.chars().position(|character| character == '^').unwrap() + 1;
            let told = excerpt(&format!("first\r\n{}\r\nlast", marked.replace('^', "")), 2, column).unwrap();
            assert_eq!(told, format!("  2 | {shown}\n    | {caret}"), "{marked}");
        }
        assert_eq!(excerpt("a: 1\n", 1, 99).unwrap(), "  1 | a: 1\n    |     ^");
        assert_eq!((excerpt("a\n", 0, 1), excerpt("a\n", 2, 1)), (None, None));
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        for filler in ["a", "设", "e\u{301}", "\t", "🔒"] {
            let (before, behind) = (filler.repeat(500), filler.repeat(500));
            let told = excerpt(&format!("{before}X{behind}"), 1, before.chars().count() + 1).unwrap();
            let (line, caret) = told.split_once('\n').unwrap();
            let (before, _) = line.split_once('X').unwrap();
            assert_eq!(caret.width() - 1, before.width(), "{told}");
            assert!((70..115).contains(&line.width()), "{told}");
            assert!(before.contains("| …") && !before.contains("…\u{301}"), "{told}");
            assert!(line.ends_with('…'), "{told}");
        }
        let marks = excerpt(&format!("a{}X", "\u{301}".repeat(100_000)), 1, 100_002).unwrap();
        assert!(marks.len() < 1_000);
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide(text in "\\PC{0,300}|[\\t\u{301}设a]{0,300}", column in 0_usize..400) {
            if let Some(told) = excerpt(&text, 1, column) {
                let (line, caret) = told.split_once('\n').unwrap();
                prop_assert!(line.width() < 115 && caret.width() < 80 && caret.ends_with('^'), "{}", told);
            }
        }

        #[test]
        fn no_place_panics(text in any::<String>(), line in 0_usize..4, column in 0_usize..400) {
            let _ = excerpt(&text, line, column);
        }
    }
}
