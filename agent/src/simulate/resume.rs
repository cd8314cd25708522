//! Goes on where the stream says that an earlier run was.

use std::sync::atomic::Ordering::Relaxed;

use tokio::task::JoinSet;

use super::lines::Line;
use super::play::{Play, PlayError, is_told};
use super::stream::{self, AskError, Last};
use emote_proto::Serial;

/// Questions under way at once.
const TOGETHER: usize = 128;

impl Play {
    /// A connection of one Mac has its name.
    pub(super) fn names(&self, connections: u32) -> Result<Vec<Serial>, PlayError> {
        let name = |n: u32| match connections == self.show.macs {
            true => self.macs[n as usize].life.serial(&self.show.world),
            false => Serial::new(format!("SIM-{n}")),
        };
        Ok((0..connections).map(name).collect::<Result<_, _>>()?)
    }

    /// Asks the stream for the last event of every Mac; returns how far in the day the furthest is.
    pub(super) async fn resume(&mut self) -> Result<Option<i64>, PlayError> {
        let (mut asked, mut reached, mut next) = (JoinSet::new(), None, 0..self.show.macs);
        loop {
            while asked.len() < TOGETHER
                && let Some(index) = next.next()
            {
                let (line, serial) = (self.line(index), self.macs[index as usize].life.serial(&self.show.world)?);
                asked.spawn(async move { (index, last(line, &serial).await, serial) });
            }
            let Some(answer) = asked.join_next().await else { return Ok(reached) };
            let (index, last, serial) = answer.map_err(|error| PlayError::Ended(error.to_string()))?;
            if let Some(last) = last.map_err(|error| PlayError::Ask(error.to_string()))? {
                reached = reached.max(self.catch_up(index, &last, serial)?);
            }
        }
    }

    /// Lets a Mac live as far as the stream knows of it.
    fn catch_up(&mut self, index: u32, last: &Last, serial: Serial) -> Result<Option<i64>, PlayError> {
        let world = &self.show.world;
        let mac = &mut self.macs[index as usize];
        (mac.expectation, mac.spool) = (last.sequence, last.spool);
        if last.time < world.starts() && last.spool > 0 {
            return Ok(None);
        }
        let mut found = 0;
        while mac.life.due(world).is_some_and(|due| due < world.ends() && last.time < world.ends()) {
            let mut records = mac.life.step(world)?;
            let ours = records.iter().position(|record| record.id == last.id);
            let known = ours.map_or(records.len(), |place| place + 1);
            found += records.drain(..known).filter(|record| is_told(&self.show.only, record)).count() as u64;
            if ours.is_some() {
                records.retain(|record| is_told(&self.show.only, record));
                mac.said = records;
                self.tally.made.fetch_add(found + mac.said.len() as u64, Relaxed);
                self.tally.found.fetch_add(found, Relaxed);
                return Ok(Some(last.time));
            }
        }
        let time = emote_proto::Time::from_millis(last.time).map_or_else(String::new, |time| time.to_string());
        Err(PlayError::Other { serial, time })
    }
}

async fn last(mut line: Line, serial: &Serial) -> Result<Option<Last>, AskError> {
    stream::last(&line.up().await.client, serial).await
}
