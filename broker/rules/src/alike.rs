//! How alike two texts are: edits between them, what they begin and end with.

/// Texts longer than this, in characters, are not looked at for mistyping.
const MAX_TYPED: usize = 64;
/// How many edits a mistyped text may be away.
const MAX_EDITS: usize = 2;

/// How many characters must be put in, left out, replaced or swapped with their neighbour to make one text of the other;
/// nothing if that is more than two, or much for texts so short.
pub(crate) fn edits(one: &str, other: &str) -> Option<usize> {
    // A character has at most four bytes: most texts are told apart without being looked at.
    if one.len().min(other.len()) > MAX_TYPED * 4 || one.len().abs_diff(other.len()) > MAX_EDITS * 4 {
        return None;
    }
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let (short, long) = (one.len().min(other.len()), one.len().max(other.len()));
    if long > MAX_TYPED || long - short > MAX_EDITS {
        return None;
    }
    let last = rows(&one, &other)?;
    last.last().copied().filter(|edits| is_little(*edits, short))
}

/// The same for a text and the beginning of another: the least edits that make the other begin with it.
pub(crate) fn edits_at_start(start: &str, text: &str) -> Option<usize> {
    let start: Vec<char> = start.chars().take(MAX_TYPED + 1).collect();
    if start.len() > MAX_TYPED {
        return None;
    }
    let text: Vec<char> = text.chars().take(start.len() + MAX_EDITS).collect();
    let last = rows(&start, &text)?;
    last.into_iter().min().filter(|edits| is_little(*edits, start.len()))
}

/// The same for an ending.
pub(crate) fn edits_at_end(end: &str, text: &str) -> Option<usize> {
    let backwards = |text: &str, count| text.chars().rev().take(count).collect::<String>();
    edits_at_start(&backwards(end, MAX_TYPED + 1), &backwards(text, MAX_TYPED + MAX_EDITS))
}

/// One edit in three characters may be a slip, two in seven; more makes another word.
fn is_little(edits: usize, characters: usize) -> bool {
    matches!((edits, characters), (1, 3..) | (2, 7..))
}

/// The last row of the table of distances between the beginnings of both; nothing if all of a row is too far.
fn rows(one: &[char], other: &[char]) -> Option<Vec<usize>> {
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = Vec::with_capacity(last.len());
        row.push(i + 1);
        for (j, b) in other.iter().enumerate() {
            let mut least = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        if row.iter().all(|edits| *edits > MAX_EDITS) {
            return None;
        }
        before_last = std::mem::replace(&mut last, row);
    }
    Some(last)
}

/// With how many characters both begin, if that is enough to be no accident for a text as long as `wanted`.
pub(crate) fn common_start(wanted: &str, found: &str) -> Option<usize> {
    let common = wanted.chars().zip(found.chars()).take_while(|(one, other)| one == other).count();
    is_much(common, wanted).then_some(common)
}

/// With how many characters both end, likewise.
pub(crate) fn common_end(wanted: &str, found: &str) -> Option<usize> {
    let common = wanted.chars().rev().zip(found.chars().rev()).take_while(|(one, other)| one == other).count();
    is_much(common, wanted).then_some(common)
}

fn is_much(common: usize, wanted: &str) -> bool {
    common >= 3 && common * 2 >= wanted.chars().count()
}

/// Whether two names are the same but for case and for the signs that join words.
pub(crate) fn same_name(one: &str, other: &str) -> bool {
    one.len().abs_diff(other.len()) <= 16 && letters(one).eq(letters(other))
}

fn letters(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|char| !matches!(char, '_' | '-' | '.' | ' ')).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_or_two_slips_are_a_mistyped_word() {
        for (one, other, expected) in [
            ("device", "devcie", Some(1)),
            ("device", "devise", Some(1)),
            ("device", "devices", Some(1)),
            ("device", "devic", Some(1)),
            ("device", "dvices", None),
            ("inventory", "invetorry", Some(2)),
            ("device", "service", None),
            ("on", "off", None),
            ("no", "on", None),
            ("lock", "lick", Some(1)),
            ("lock", "lucky", None),
            ("Zoë", "Zoe", Some(1)),
            ("", "", None),
        ] {
            assert_eq!(edits(one, other), expected, "{one} {other}");
            assert_eq!(edits(other, one), expected, "{other} {one}");
        }
        let long = "x".repeat(65);
        assert_eq!(edits(&long, &long[1..]), None);
        assert_eq!(edits(&long[1..], &long[2..]), Some(1));
    }

    #[test]
    fn a_beginning_or_an_ending_may_be_mistyped_too() {
        for (start, text, expected) in [
            ("MacBok", "MacBook Pro", Some(1)),
            ("MaxBook", "MacBook Pro", Some(1)),
            ("iPad", "MacBook", None),
            ("MacBook", "Mac", None),
        ] {
            assert_eq!(edits_at_start(start, text), expected, "{start} {text}");
            let backwards = |text: &str| text.chars().rev().collect::<String>();
            assert_eq!(edits_at_end(&backwards(start), &backwards(text)), expected, "{start} {text}");
        }
    }

    #[test]
    fn names_are_the_same_however_their_words_are_joined() {
        assert!(same_name("osVersion", "os_version") && same_name("os.version", "OS-Version"));
        assert!(!same_name("os_version", "os_versions") && !same_name("a", "b"));
    }

    /// The definition, with no bound.
    fn slow(one: &[char], other: &[char]) -> usize {
        match (one, other) {
            ([], rest) | (rest, []) => rest.len(),
            ([a, one_rest @ ..], [b, other_rest @ ..]) => {
                let mut least = (slow(one_rest, other_rest) + usize::from(a != b))
                    .min(slow(one_rest, other) + 1)
                    .min(slow(one, other_rest) + 1);
                if let ([a, c, one_rest @ ..], [b, d, other_rest @ ..]) = (one, other)
                    && a == d
                    && b == c
                {
                    least = least.min(slow(one_rest, other_rest) + 1);
                }
                least
            }
        }
    }

    proptest! {
        #[test]
        fn edits_are_counted_as_defined(one in "[abé]{0,7}", other in "[abé]{0,7}") {
            let (a, b): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
            let expected = Some(slow(&a, &b)).filter(|edits| is_little(*edits, a.len().min(b.len())));
            prop_assert_eq!(edits(&one, &other), expected);
        }
    }
}
