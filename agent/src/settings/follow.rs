//! Notices that settings were changed: a look at their files each minute. When somebody says so they are read at once,
//! whatever their files look like.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::effective::Values;
use super::layer::Layer;
use super::places::{Fingerprint, Loaded, Places};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(55);
/// A file that is still being written is waited for.
const SETTLE: Duration = Duration::from_secs(1);
/// But no longer than so many times.
const PATIENCE: usize = 4;

/// Looks after the settings of one run.
#[derive(Debug)]
pub struct Follow {
    places: Places,
    nudge: Arc<Notify>,
    values: Values,
    seen: Fingerprint,
    layers: Vec<Layer>,
}

impl Follow {
    /// Reads the settings and follows them from then on; `nudge` makes it look at once.
    pub fn new(places: Places, nudge: Arc<Notify>) -> (Self, Loaded) {
        let values = places.load().values;
        // Before they are read to be used: what changes in between is noticed.
        let seen = places.fingerprint(&values);
        let mut layers = Vec::new();
        let loaded = places.load_after(&mut layers);
        (Self { places, nudge, values: loaded.values.clone(), seen, layers }, loaded)
    }

    /// What is read after the next change, which may be none of values, or once somebody says so. May be dropped without
    /// missing a change.
    pub async fn changed(&mut self) -> Loaded {
        let seen = loop {
            let told = timeout(INTERVAL, self.nudge.notified()).await.is_ok();
            match self.settled().await {
                Some(seen) => break seen,
                None if told => break self.seen.clone(),
                None => {}
            }
        };
        let loaded = self.places.load_after(&mut self.layers);
        (self.seen, self.values) = (seen, loaded.values.clone());
        loaded
    }

    async fn settled(&self) -> Option<Fingerprint> {
        let mut now = self.places.fingerprint(&self.values);
        if now == self.seen {
            return None;
        }
        for _ in 0..PATIENCE {
            sleep(SETTLE).await;
            let later = self.places.fingerprint(&self.values);
            if later == now {
                break;
            }
            now = later;
        }
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_file_that_cannot_be_read_any_more_still_says_what_it_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agent.toml");
        std::fs::write(&file, "poll = '1m'\nserial = 'C02'").unwrap();
        let places = Places { file: Some(file.clone()), ..Places::default() };
        let (mut follow, _) = Follow::new(places, Arc::new(Notify::new()));
        for (text, poll, serial, problems) in [
            ("poll = '2m", "1m", "C02", 1),
            ("poll = '2m\nx", "1m", "C02", 1),
            ("poll = '3m'\nserial = 'C03'", "3m", "C03", 0),
            ("poll = ", "3m", "C03", 1),
        ] {
            std::fs::write(&file, text).unwrap();
            let loaded = follow.changed().await;
            let said = ["poll", "serial"].map(|key| loaded.values.get(key).unwrap().shown.clone());
            assert_eq!(said, [poll, serial], "{text}");
            assert_eq!(loaded.problems.len(), problems, "{:?}", loaded.problems);
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(follow.changed().await.values.get("serial").unwrap().shown, "C03", "it was named: it must be there");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_noticed_within_a_minute_and_at_once_when_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agent.toml");
        std::fs::write(&file, "poll = '1m'").unwrap();
        let nudge = Arc::new(Notify::new());
        let places = Places { file: Some(file.clone()), ..Places::default() };
        let (mut follow, loaded) = Follow::new(places, Arc::clone(&nudge));
        assert_eq!(loaded.values.get("poll").unwrap().shown, "1m");
        let begun = tokio::time::Instant::now();
        assert!(timeout(INTERVAL * 10, follow.changed()).await.is_err(), "nothing changed");
        std::fs::write(&file, "poll = '2m'").unwrap();
        assert_eq!(follow.changed().await.values.get("poll").unwrap().shown, "2m");
        assert!(begun.elapsed() <= INTERVAL * 10 + Duration::from_secs(60));
        std::fs::write(&file, "poll = '3m'").unwrap();
        nudge.notify_one();
        let begun = tokio::time::Instant::now();
        assert_eq!(follow.changed().await.values.get("poll").unwrap().shown, "3m");
        assert!(begun.elapsed() <= SETTLE);
    }
}
