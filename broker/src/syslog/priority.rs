//! Facility and severity (RFC 5424, section 6.2.1), by number and by word.

/// Facilities by their numbers, as syslog.conf names them.
pub const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// Severities by their numbers, the worst first.
pub const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// Other words for some of them.
const ALSO: [(&str, u8); 6] =
    [("panic", 0), ("emergency", 0), ("critical", 2), ("error", 3), ("warn", 4), ("informational", 6)];

/// A facility (0 to 23) and a severity (0 to 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority {
    facility: u8,
    severity: u8,
}

impl Priority {
    /// These two, where there are such.
    pub fn new(facility: u8, severity: u8) -> Option<Self> {
        (facility < 24 && severity < 8).then_some(Self { facility, severity })
    }

    /// From the number in angle brackets: eight times the facility, and the severity.
    pub(super) fn of_number(number: u8) -> Option<Self> {
        Self::new(number / 8, number % 8)
    }

    /// The number that stands in angle brackets, up to 191.
    pub fn number(self) -> u8 {
        self.facility * 8 + self.severity
    }

    /// How bad it is: 0 is the worst, 7 the least.
    pub fn severity(self) -> u8 {
        self.severity
    }

    /// The facility's word.
    pub fn facility_word(self) -> &'static str {
        FACILITIES.get(usize::from(self.facility)).copied().unwrap_or_default()
    }

    /// The severity's word.
    pub fn severity_word(self) -> &'static str {
        SEVERITIES.get(usize::from(self.severity)).copied().unwrap_or_default()
    }
}

/// The facility that a word or number names.
pub fn facility(text: &str) -> Option<u8> {
    named(&FACILITIES, text)
}

/// The severity that a word or number names.
pub fn severity(text: &str) -> Option<u8> {
    let also = ALSO.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, number)| *number);
    also.or_else(|| named(&SEVERITIES, text))
}

fn named(words: &[&str], text: &str) -> Option<u8> {
    let at = match text.parse::<usize>() {
        Ok(number) => Some(number).filter(|number| *number < words.len()),
        Err(_) => words.iter().position(|word| word.eq_ignore_ascii_case(text)),
    };
    at.and_then(|at| u8::try_from(at).ok())
}
