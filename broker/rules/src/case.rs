//! Text that is compared without regard to case, one character at a time as the reference does it.
//!
//! A character of the pattern stands for its lower and its upper case form in Unicode's full mapping, and for nothing
//! else: `ß` for `ß` and `SS`, but `k` not for the Kelvin sign. Two oddities follow from the reference's working on
//! UTF-16 units: a titlecase letter (`ǅ`) does not stand for itself, and a character outside the basic plane stands for
//! two question marks.

/// Text that ignores case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CaseFree {
    forms: Vec<Forms>,
    /// The ASCII it begins with and the ASCII it ends with, in lower case.
    ascii_start: Box<str>,
    ascii_end: Box<str>,
}

/// The two ways to write a character; neither begins nor ends with the other, unless both are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Forms {
    lower: String,
    upper: String,
}

impl CaseFree {
    pub(crate) fn new(text: &str) -> Self {
        let ascii = |text: &str| text.to_ascii_lowercase().into_boxed_str();
        Self {
            forms: text.chars().map(Forms::of).collect(),
            ascii_start: ascii(text.split(|c: char| !c.is_ascii()).next().unwrap_or_default()),
            ascii_end: ascii(text.rsplit(|c: char| !c.is_ascii()).next().unwrap_or_default()),
        }
    }

    /// What texts that begin so begin with, in lower case ASCII, and whether that is all of it.
    pub(crate) fn ascii_start(&self) -> (&[u8], bool) {
        (self.ascii_start.as_bytes(), self.ascii_start.len() == self.forms.len())
    }

    /// What texts that end so end with, in lower case ASCII, and whether that is all of it.
    pub(crate) fn ascii_end(&self) -> (&[u8], bool) {
        (self.ascii_end.as_bytes(), self.ascii_end.len() == self.forms.len())
    }

    pub(crate) fn is(&self, text: &str) -> bool {
        self.strip_start(text) == Some("")
    }

    pub(crate) fn starts(&self, text: &str) -> bool {
        self.strip_start(text).is_some()
    }

    pub(crate) fn ends(&self, text: &str) -> bool {
        self.forms
            .iter()
            .rev()
            .try_fold(text, |rest, forms| forms.strip(rest, |rest, form| rest.strip_suffix(form)))
            .is_some()
    }

    fn strip_start<'a>(&self, text: &'a str) -> Option<&'a str> {
        self.forms.iter().try_fold(text, |rest, forms| forms.strip(rest, |rest, form| rest.strip_prefix(form)))
    }
}

impl Forms {
    fn of(character: char) -> Self {
        if character.len_utf16() == 2 {
            return Self { lower: "??".into(), upper: "??".into() };
        }
        Self { lower: character.to_lowercase().collect(), upper: character.to_uppercase().collect() }
    }

    fn strip<'a>(&self, text: &'a str, strip: impl Fn(&'a str, &str) -> Option<&'a str>) -> Option<&'a str> {
        strip(text, &self.lower).or_else(|| strip(text, &self.upper))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_and_upper_case_are_the_same_and_nothing_else_is() {
        for (pattern, text, same) in [
            ("MacBook", "macBOOK", true),
            ("É", "é", true),
            ("ß", "SS", true),
            ("ß", "ss", false),
            ("ŉx", "ʼNX", true),
            ("İ", "i\u{307}", true),
            ("k", "\u{212a}", false),
            ("\u{212a}", "k", true),
            ("i", "İ", false),
            ("σ", "ς", false),
            ("ǅ", "ǆ", true),
            ("ǅ", "ǅ", false),
            ("😀", "😀", false),
            ("😀", "??", true),
            ("", "", true),
            ("a", "", false),
            ("", "a", false),
            ("ab", "a", false),
        ] {
            let case_free = CaseFree::new(pattern);
            assert_eq!(case_free.is(text), same, "{pattern} is {text}");
            if same {
                assert!(case_free.starts(&format!("{text}Tail")), "{pattern} starts {text}");
                assert!(case_free.ends(&format!("Head{text}")), "{pattern} ends {text}");
            }
        }
    }

    #[test]
    fn neither_form_of_a_character_begins_or_ends_with_the_other() {
        for Forms { lower, upper } in ('\0'..=char::MAX).map(Forms::of).filter(|forms| forms.lower != forms.upper) {
            let (one, other) = (lower.as_str(), upper.as_str());
            assert!(!one.starts_with(other) && !one.ends_with(other), "{one} {other}");
            assert!(!other.starts_with(one) && !other.ends_with(one), "{one} {other}");
        }
    }
}
