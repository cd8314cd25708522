//! The newest events, for `emote-agent tail`: a few are remembered, and whoever follows is shown each as it is written.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use crate::spool::Record;

/// Events remembered, and events a follower may fall behind.
pub(crate) const KEPT: usize = 32;
/// Bytes of events remembered at most.
const MOST_BYTES: usize = 64 * 1024;

/// One event's JSON, shared between those who are shown it.
pub(crate) type Line = std::sync::Arc<[u8]>;

/// What was written lately.
#[derive(Debug)]
pub(crate) struct Recent {
    kept: Mutex<VecDeque<Line>>,
    followers: broadcast::Sender<Line>,
}

impl Default for Recent {
    fn default() -> Self {
        Self { kept: Mutex::default(), followers: broadcast::Sender::new(KEPT) }
    }
}

impl Recent {
    /// Shows events that are on the disk.
    pub(crate) fn show(&self, records: Vec<Record>) {
        let mut kept = self.lock();
        for record in records {
            let line = Line::from(record.json);
            kept.push_back(Line::clone(&line));
            // Nobody may be following.
            self.followers.send(line).ok();
        }
        while kept.len() > KEPT || kept.iter().map(|line| line.len()).sum::<usize>() > MOST_BYTES {
            kept.pop_front();
        }
    }

    /// The last `count` events, oldest first, and every one after them.
    pub(crate) fn follow(&self, count: usize) -> (Vec<Line>, broadcast::Receiver<Line>) {
        let kept = self.lock();
        let skipped = kept.len().saturating_sub(count);
        (kept.iter().skip(skipped).cloned().collect(), self.followers.subscribe())
    }

    /// How many follow.
    pub(crate) fn followers(&self) -> usize {
        self.followers.receiver_count()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Line>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Describe, Identity};
    use crate::spool::Class;
    use crate::vocabulary::Kind;
    use emote_proto::Serial;

    fn record(text: &str) -> Record {
        let identity = Identity::new(Serial::new("C02").unwrap(), emote_proto::Device::default());
        let draft = Kind::DiskLow.draft(serde_json::json!({"text": text}));
        identity.seal(draft, Class::Lifecycle, Describe::Serial, emote_proto::Time::from_millis(0).unwrap()).unwrap()
    }

    #[test]
    fn a_follower_sees_the_last_ones_and_all_that_come() {
        let recent = Recent::default();
        recent.show((0..40).map(|n| record(&format!("<{n}>"))).collect());
        let (kept, mut rest) = recent.follow(2);
        let text = |line: &Line| String::from_utf8(line.to_vec()).unwrap();
        assert!(kept.len() == 2 && text(&kept[0]).contains("<38>") && text(&kept[1]).contains("<39>"));
        assert_eq!(recent.follow(100).0.len(), KEPT);
        recent.show(vec![record("next")]);
        assert!(text(&rest.try_recv().unwrap()).contains("next"));
        assert!(rest.try_recv().is_err());
    }

    #[test]
    fn large_events_are_not_kept_for_ever() {
        let recent = Recent::default();
        recent.show((0..20).map(|_| record(&"x".repeat(10_000))).collect());
        assert!(recent.follow(100).0.len() < 7);
    }
}
