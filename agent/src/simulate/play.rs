//! Lets the Macs of a fleet speak as their time comes. Who is next waits in a heap; a Mac has a task only while its events
//! are under way, and only so many are, so a server that is away fills no memory: what happened meanwhile is made when it
//! can be sent.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::clock::{Clock, Speed};
use super::deliver::{BATCHES, Delivery};
use super::life::{Life, StepError, World};
use super::lines::{self, Line};
use super::tally::Tally;
use crate::settings::Settings;
use crate::spool::Record;
use emote_proto::{Serial, SerialError};

/// Macs whose events are under way at once.
const FLIGHTS: usize = 512;
/// Events of one Mac under way at once.
const TOGETHER: usize = 500;
/// Between two moments of the clock that is shown.
const TICK: Duration = Duration::from_secs(1);
/// How long the last events may take to be stored.
const FLUSH: Duration = Duration::from_secs(5);

/// What is played.
#[derive(Debug, Clone)]
pub struct Show {
    /// What everything follows from.
    pub world: World,
    /// How many Macs.
    pub macs: u32,
    /// How fast.
    pub speed: Speed,
    /// Scope and action of the events that are told, `*` for any action; nothing for all.
    pub only: Vec<(String, String)>,
}

/// Where it is played.
#[derive(Debug)]
pub enum Stage {
    /// JSON lines to standard output.
    Print,
    /// To NATS.
    Send {
        /// Where that is, and how to get in.
        settings: Box<Settings>,
        /// How many connections the Macs share.
        connections: u32,
    },
}

/// Why it is not played to the end.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// There is no server.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// It was ended before that.
    #[error("ended before it began: the server or the stream did not answer yet")]
    NotBegun,
    /// There is no stream.
    #[error("cannot ask what the stream has: {0}")]
    Ask(String),
    /// The stream holds something else.
    #[error(
        "{serial}: the stream's last event of it is not of this day of this seed, but of {time}: play a later --day or another --seed"
    )]
    Other {
        /// Whose.
        serial: Serial,
        /// Of that event.
        time: String,
    },
    /// Standard output.
    #[error("{0}")]
    Print(#[from] std::io::Error),
    /// A Mac has no name, or an event cannot be made.
    #[error(transparent)]
    Step(#[from] StepError),
    /// A task ended by itself.
    #[error("a part of the simulation ended: {0}")]
    Ended(String),
}

impl From<SerialError> for PlayError {
    fn from(error: SerialError) -> Self {
        Self::Step(error.into())
    }
}

/// A Mac, and what the stream has of it.
pub(super) struct Mac {
    pub(super) life: Life,
    /// Sequence in the stream of its last event.
    pub(super) expectation: u64,
    /// Its last event as it counts.
    pub(super) spool: u64,
    /// Said, and not sent yet; only while it waits for its turn.
    pub(super) said: Vec<Record>,
}

pub(super) struct Play {
    pub(super) show: Show,
    pub(super) lines: Vec<Line>,
    pub(super) macs: Vec<Mac>,
    /// Who speaks next, and when.
    turns: BinaryHeap<Reverse<(i64, u32)>>,
    flights: JoinSet<Delivery>,
    batches: Arc<Semaphore>,
    clock: Clock,
    pub(super) tally: Arc<Tally>,
}

/// Plays until the day ends or `shutdown` is done; then what is under way has a moment to be stored.
pub async fn play(
    show: Show,
    stage: Stage,
    tally: Arc<Tally>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), PlayError> {
    tokio::pin!(shutdown);
    let begin = Play::begin(show, stage, tally);
    let mut play = tokio::select! {
        play = begin => play?,
        () = &mut shutdown => return Err(PlayError::NotBegun),
    };
    loop {
        play.turns()?;
        if play.turns.is_empty() && play.flights.is_empty() {
            return Ok(());
        }
        let next = play.next_turn();
        tokio::select! {
            Some(delivered) = play.flights.join_next() => {
                play.delivered(delivered.map_err(|error| PlayError::Ended(error.to_string()))?);
            }
            () = at(next) => {}
            // Nobody's turn: the clock that is shown goes on.
            () = sleep(TICK) => {}
            () = &mut shutdown => break,
        }
    }
    timeout(FLUSH, async { while play.flights.join_next().await.is_some() {} }).await.ok();
    Ok(())
}

async fn at(next: Option<Instant>) {
    match next {
        Some(next) => sleep_until(next).await,
        None => std::future::pending().await,
    }
}

impl Play {
    async fn begin(show: Show, stage: Stage, tally: Arc<Tally>) -> Result<Self, PlayError> {
        let start = show.world.starts();
        tally.clock.store(start, Relaxed);
        let mut macs = Vec::new();
        for index in 0..show.macs {
            macs.push(Mac { life: Life::new(&show.world, index)?, expectation: 0, spool: 0, said: Vec::new() });
        }
        let clock = Clock::new(show.speed, start);
        let (lines, flights, batches) = (Vec::new(), JoinSet::new(), Arc::new(Semaphore::new(BATCHES)));
        let mut play = Self { show, lines, macs, turns: BinaryHeap::new(), flights, batches, clock, tally };
        if let Stage::Send { settings, connections } = stage {
            play.lines = lines::connect(*settings, play.names(connections)?).await?;
            let reached = play.resume().await?;
            play.clock = Clock::new(play.show.speed, reached.unwrap_or(start));
        }
        for index in 0..play.show.macs {
            play.enqueue(index);
        }
        let awake = play.macs.iter().filter(|mac| mac.life.is_awake()).count();
        play.tally.awake.store(awake as u64, Relaxed);
        Ok(play)
    }

    pub(super) fn line(&self, index: u32) -> Line {
        self.lines[index as usize % self.lines.len()].clone()
    }

    fn enqueue(&mut self, index: u32) {
        let mac = &self.macs[index as usize];
        let due = if mac.said.is_empty() { mac.life.due(&self.show.world) } else { Some(self.show.world.starts()) };
        self.turns.extend(due.map(|due| Reverse((due, index))));
    }

    /// Lets everybody speak whose turn it is, as long as there is room.
    fn turns(&mut self) -> Result<(), PlayError> {
        let now = self.clock.now();
        while self.flights.len() < FLIGHTS
            && let Some(Reverse((due, index))) = self.turns.peek().copied()
            && now.is_none_or(|now| due <= now)
        {
            self.turns.pop();
            self.tally.clock.fetch_max(due, Relaxed);
            self.gather(index, now.unwrap_or(due))?;
            self.speak(index)?;
        }
        if let Some(now) = now {
            self.tally.clock.fetch_max(now.min(self.show.world.ends()), Relaxed);
        }
        let full = self.flights.len() >= FLIGHTS;
        let late = |turn: &&Reverse<(i64, u32)>| now.is_some_and(|now| turn.0.0 <= now);
        let due = if full { self.turns.iter().filter(late).count() } else { 0 };
        self.tally.due.store(due as u64, Relaxed);
        Ok(())
    }

    fn next_turn(&self) -> Option<Instant> {
        let room = self.flights.len() < FLIGHTS;
        self.turns.peek().filter(|_| room).map(|Reverse((due, _))| self.clock.when(*due))
    }

    /// Lets a Mac live until then.
    fn gather(&mut self, index: u32, until: i64) -> Result<(), PlayError> {
        let mac = &mut self.macs[index as usize];
        let was_awake = mac.life.is_awake();
        while mac.said.len() < TOGETHER && mac.life.due(&self.show.world).is_some_and(|due| due <= until) {
            let records = mac.life.step(&self.show.world)?;
            let told = records.into_iter().filter(|record| is_told(&self.show.only, record));
            let before = mac.said.len();
            mac.said.extend(told);
            self.tally.made.fetch_add((mac.said.len() - before) as u64, Relaxed);
        }
        match (was_awake, mac.life.is_awake()) {
            (false, true) => self.tally.awake.fetch_add(1, Relaxed),
            (true, false) => self.tally.awake.fetch_sub(1, Relaxed),
            _ => 0,
        };
        Ok(())
    }

    /// Sends or prints what a Mac has said.
    fn speak(&mut self, index: u32) -> Result<(), PlayError> {
        let mac = &mut self.macs[index as usize];
        let said = std::mem::take(&mut mac.said);
        if said.is_empty() || self.lines.is_empty() {
            print(&said)?;
            self.tally.stored.fetch_add(said.len() as u64, Relaxed);
            self.enqueue(index);
            return Ok(());
        }
        let (spool, expectation) = (mac.spool, mac.expectation);
        let serial = mac.life.serial(&self.show.world)?;
        mac.spool += said.len() as u64;
        let records = (spool + 1..).zip(said).collect();
        let (line, batches, tally) = (self.line(index), Arc::clone(&self.batches), Arc::clone(&self.tally));
        self.flights.spawn(Delivery { index, serial, expectation, records, line, batches, tally }.run());
        Ok(())
    }

    fn delivered(&mut self, delivery: Delivery) {
        self.macs[delivery.index as usize].expectation = delivery.expectation;
        self.enqueue(delivery.index);
    }
}

pub(super) fn is_told(only: &[(String, String)], record: &Record) -> bool {
    let mut words = record.subject.rsplit('.');
    let (action, scope) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    only.is_empty() || only.iter().any(|(s, a)| s == scope && (a == action || a == "*"))
}

fn print(said: &[Record]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for record in said {
        out.write_all(&record.json)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
