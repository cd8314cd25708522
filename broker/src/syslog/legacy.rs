//! The form before RFC 5424, which RFC 3164 describes and nobody ever prescribed: a time, a host, a tag and a text, each
//! but the text perhaps left out. Network devices and the syslogd of Macs write it.
//!
//! Its time has neither year nor zone. It is not guessed: what it says is kept as it stands.

use super::{Form, Message, Priority, parse::timestamp};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// A longer word before a colon is no tag; RFC 3164 has 32, and programs have longer names.
const MAX_TAG: usize = 64;

/// Reads what stands behind the priority; whatever it is, it is a message.
pub(super) fn parse(priority: Priority, rest: &str) -> Message {
    let mut message = Message::new(priority, Form::Rfc3164);
    let mut rest = rest.trim_start_matches(' ');
    let said = bsd_time(rest).map(|(said, behind)| (Some(said), None, behind)).or_else(|| {
        let (word, behind) = rest.split_once(' ')?;
        Some((None, Some(timestamp(word)?), behind))
    });
    if let Some((said, time, behind)) = said {
        (message.said_time, message.time) = (said.map(str::to_owned), time);
        rest = behind.trim_start_matches(' ');
        if let Some((host, behind)) = host(rest) {
            message.hostname = Some(host.to_owned());
            rest = behind;
        }
    }
    if let Some((tag, procid, behind)) = tag(rest) {
        (message.app_name, message.procid) = (Some(tag.to_owned()), procid.map(str::to_owned));
        rest = behind.strip_prefix(' ').unwrap_or(behind);
    }
    rest.clone_into(&mut message.text);
    message
}

/// `Oct 11 22:14:15`, also with the year that Cisco's devices put before the clock, their fractions, and their colon behind.
fn bsd_time(text: &str) -> Option<(&str, &str)> {
    // Devices whose clock was not set by anybody mark that.
    let start = text.trim_start_matches(['*', '.']);
    let mut at = text.len() - start.len();
    let begin = at;
    let mut word = || {
        let rest = text.get(at..)?;
        let skipped = rest.len() - rest.trim_start_matches(' ').len();
        let word = rest.get(skipped..)?.split(' ').next()?;
        at += skipped + word.len();
        Some(word)
    };
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let is_month = MONTHS.contains(&word()?);
    let is_day = is_number(word()?);
    let next = word()?;
    let clock = if next.len() == 4 && is_number(next) { word()? } else { next };
    if !is_month || !is_day || !is_clock(clock.trim_end_matches(':')) {
        return None;
    }
    Some((text.get(begin..at)?.trim_end_matches(':'), text.get(at..)?))
}

/// `22:14:15`, perhaps with a fraction.
fn is_clock(text: &str) -> bool {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let parts: Vec<&str> = clock.split(':').collect();
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() == 3 && parts.iter().all(|part| part.len() == 2 && digits(part)) && digits(fraction)
}

/// HOSTNAME; none where a tag stands there, as in what a machine's own programs send to its own syslogd.
fn host(text: &str) -> Option<(&str, &str)> {
    let (word, behind) = text.split_once(' ')?;
    let is_host = !word.is_empty() && !word.ends_with(':') && !word.contains(['[', ']', '<', '"', '=']);
    is_host.then_some((word, behind))
}

/// TAG, the process in brackets, and what follows the colon.
fn tag(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let in_tag = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '%');
    let end = text.find(|c| !in_tag(c)).filter(|end| (1..=MAX_TAG).contains(end))?;
    let (tag, rest) = text.split_at(end);
    let (procid, rest) = match rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((procid, behind)) if procid.len() <= MAX_TAG && !procid.contains(' ') => (Some(procid), behind),
        _ => (None, rest),
    };
    let behind = rest.strip_prefix(':')?;
    // A word that something else than a text follows is none: http://…
    (behind.is_empty() || behind.starts_with([' ', '\t'])).then_some((tag, procid.filter(|id| !id.is_empty()), behind))
}
