//! One Mac's life: its plan as events, one step after the other, made as they fall due.
//!
//! There is what is true of the Mac and what its agent has seen of it; while the Mac sleeps or is off, or its agent does
//! not run, the two part, and the difference is said afterwards, as by a real agent. Everything follows from the
//! [`World`] and the Mac's place in the fleet: ids too.

use std::collections::BTreeMap;
use std::time::Duration;

use emote_proto::{Draft, EventId, Time};

use super::plan::{DAY, MINUTE, Place, Step, plan};
use super::random::Random;
use super::state::{State, changes, inventory};
use super::who::{Use, Who};
use crate::identity::{Describe, Identity};
use crate::lifecycle::{self, VERSION};
use crate::sources::{inventory_drafts, within};
use crate::spool::{Class, Previous, Record, RunState, Totals};
use emote_proto::SerialError;

/// After the agent's start or the Mac's waking, every source has looked.
const LOOKED: i64 = 2_500;

/// What all lives of a fleet follow from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// Other seeds are other Macs.
    pub seed: u64,
    /// The day begins, and is 24 hours long.
    pub start: Time,
    /// Between two heartbeats.
    pub heartbeat: Duration,
}

impl World {
    /// Milliseconds since 1970.
    pub fn starts(&self) -> i64 {
        self.start.as_millis()
    }

    /// Milliseconds since 1970; nothing happens at this moment or later.
    pub fn ends(&self) -> i64 {
        self.starts() + DAY
    }

    fn heartbeat(&self) -> i64 {
        i64::try_from(self.heartbeat.as_millis()).unwrap_or(DAY)
    }
}

/// How the Mac's agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agent {
    /// Not installed yet.
    None,
    Runs,
    Stopped,
    Crashed,
}

/// One Mac's life. Times are milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct Life {
    index: u32,
    next: u32,
    /// Milliseconds since the day's start.
    plan: Box<[(u32, Step)]>,
    truth: State,
    seen: State,
    awake: bool,
    agent: Agent,
    /// Since when the agent runs.
    started: i64,
    /// Since when the agent runs and the Mac is awake, and the last moment before that when both were so.
    up: i64,
    down: i64,
    /// The next heartbeat; while asleep, how long after waking.
    beat: i64,
    /// The last event.
    last: i64,
    /// When what is said now is sent; 0 for at once.
    offline_until: i64,
    queued: u32,
}

impl Life {
    /// The Mac at `index`, as it is when the day begins.
    pub fn new(world: &World, index: u32) -> Result<Self, SerialError> {
        let who = Who::new(world.seed, index)?;
        let (start, end, zone) = (world.starts(), world.ends(), who.zone * MINUTE);
        let mut random = Random::of(&[world.seed, u64::from(index), start.unsigned_abs(), 3]);
        let desk = matches!(who.usage, Use::Desk | Use::Unattended);
        let booted = start - random.between(DAY, 20 * DAY);
        let place = if desk { Place::Office } else { Place::Home };
        let truth = State::new(&who, u64::try_from(booted / 1_000).unwrap_or(0), place);
        let mut life = Self {
            index,
            next: 0,
            plan: Box::default(),
            truth,
            seen: truth,
            awake: who.usage == Use::Unattended,
            agent: Agent::None,
            started: start,
            up: start,
            down: start,
            beat: 0,
            last: start,
            offline_until: 0,
            queued: 0,
        };
        let mut off = who.laptop && random.chance(100);
        let mut steps = Vec::new();
        for day in (start + zone).div_euclid(DAY)..=(end - 1 + zone).div_euclid(DAY) {
            for (at, step) in plan(&who, day, &mut off) {
                let at = day * DAY + at - zone;
                match u32::try_from(at - start) {
                    Err(_) if at < start => {
                        life.truth.tell(step, at);
                        life.change(step, at);
                    }
                    Ok(since) if at < end => steps.push((since, step)),
                    _ => {}
                }
            }
        }
        if life.awake {
            steps.push((u32::try_from(random.between(0, 10 * MINUTE)).unwrap_or(0), Step::Contact));
            steps.sort_by_key(|(at, _)| *at);
        }
        life.plan = steps.into();
        Ok(life)
    }

    /// When the next step can be sent: when it happens, or when the Mac is online again.
    pub fn due(&self, world: &World) -> Option<i64> {
        self.upcoming(world).map(|at| at.max(self.offline_until))
    }

    /// Whether the Mac is awake.
    pub fn is_awake(&self) -> bool {
        self.awake
    }

    /// The serial number, as text.
    pub fn serial(&self, world: &World) -> Result<emote_proto::Serial, SerialError> {
        Ok(Who::new(world.seed, self.index)?.serial)
    }

    /// How much memory it takes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.plan)
    }

    /// The next step, and what the agent says of it: often nothing.
    pub fn step(&mut self, world: &World) -> Result<Vec<Record>, StepError> {
        let Some(at) = self.upcoming(world) else { return Ok(Vec::new()) };
        let who = Who::new(world.seed, self.index)?;
        let planned = self.plan.get(self.next as usize).filter(|(since, _)| world.starts() + i64::from(*since) <= at);
        let said = match planned.copied() {
            Some((_, step)) => {
                self.next += 1;
                self.planned(step, at, world, &who)
            }
            None => {
                self.beat = at + world.heartbeat();
                let totals = Totals { count: self.queued.into(), ..Totals::default() };
                lifecycle::heartbeat(time(self.started), time(at), totals, BTreeMap::new()).drafts
            }
        };
        self.seal(said, at, world, who)
    }

    /// When the next step happens.
    fn upcoming(&self, world: &World) -> Option<i64> {
        let planned = self.plan.get(self.next as usize).map(|(since, _)| world.starts() + i64::from(*since));
        let beat = Some(self.beat).filter(|_| self.awake && self.agent == Agent::Runs);
        planned.into_iter().chain(beat).min().filter(|at| *at < world.ends())
    }

    fn planned(&mut self, step: Step, at: i64, world: &World, who: &Who) -> Vec<Said> {
        let watched = self.awake && self.agent == Agent::Runs;
        if step == Step::Offline && watched {
            self.offline_until = self.online_again(world);
        } else if step == Step::Online {
            (self.offline_until, self.queued) = (0, 0);
        }
        let mut said = Vec::new();
        self.truth.tell(step, at);
        if watched {
            said.extend(self.changes(at, who));
        }
        if watched && matches!(step, Step::Shutdown | Step::AgentStopped) {
            let system = self.truth.ending.under_way(time(at));
            said.extend(lifecycle::stopped(time(self.started), time(at), BTreeMap::new(), system).drafts);
        }
        if watched {
            self.down = at;
        }
        let before = self.agent;
        self.change(step, at);
        self.agent = self.agent_after(step);
        let watches = self.awake && self.agent == Agent::Runs;
        if watches && !watched {
            self.up = at;
            self.beat = if before == Agent::Runs { at + self.beat } else { at + world.heartbeat() };
        } else if watched && !watches {
            self.beat = (self.beat - at).max(0);
        }
        if watches && before != Agent::Runs {
            self.started = at;
            said = lifecycle::started(&self.previous(before), time(at)).drafts;
        }
        if watches && before == Agent::None {
            let drafts = inventory_drafts(inventory(who, &self.truth));
            said.extend(drafts.into_iter().map(|draft| (draft, Class::Lifecycle, Describe::Whole)));
            self.seen = self.truth;
        } else if watches {
            said.extend(self.changes(at, who));
        }
        said
    }

    /// What the agent finds when it looks.
    fn changes(&mut self, at: i64, who: &Who) -> Vec<Said> {
        let found = changes(who, &self.seen, &self.truth);
        self.seen = self.truth;
        let said = found.into_iter().map(|(draft, interval)| {
            let draft = within(draft, Some(time(self.looked(at, interval))), time(at));
            (draft, Class::Lifecycle, Describe::Whole)
        });
        said.collect()
    }

    /// What `step` makes of the Mac.
    fn change(&mut self, step: Step, at: i64) {
        self.truth.apply(step, at);
        match step {
            Step::Boot | Step::Wake | Step::Contact => self.awake = true,
            Step::Sleep | Step::Shutdown => self.awake = false,
            _ => {}
        }
    }

    /// What `step` makes of its agent, which is installed as soon as the Mac is awake.
    fn agent_after(&self, step: Step) -> Agent {
        match (step, self.agent) {
            (Step::Boot | Step::Wake | Step::Contact, Agent::None) => Agent::Runs,
            (_, Agent::None) => Agent::None,
            (Step::Boot | Step::AgentStarted, _) if self.awake => Agent::Runs,
            (Step::Shutdown | Step::AgentStopped, Agent::Runs) => Agent::Stopped,
            (Step::AgentCrashed, Agent::Runs) if self.awake => Agent::Crashed,
            (_, agent) => agent,
        }
    }

    /// What the agent's spool says of the run before.
    fn previous(&self, before: Agent) -> Previous {
        let run = |clean| RunState { version: VERSION.into(), clean, alive: self.last, observed: BTreeMap::new() };
        match before {
            Agent::None => Previous::First,
            Agent::Crashed => Previous::Crashed(run(false)),
            Agent::Runs | Agent::Stopped => Previous::Clean(run(true)),
        }
    }

    /// When a source that looks every `interval` looked last before `at`.
    fn looked(&self, at: i64, interval: Duration) -> i64 {
        let interval = i64::try_from(interval.as_millis()).unwrap_or(DAY).max(1);
        let looks = at - (at - self.up) % interval;
        match looks {
            looks if looks > self.up => looks,
            _ if at > self.up + LOOKED => self.up + LOOKED,
            _ => self.down,
        }
    }

    fn online_again(&self, world: &World) -> i64 {
        let online = self.plan[self.next as usize..].iter().find(|(_, step)| *step == Step::Online);
        online.map_or(world.ends() - 1, |(since, _)| world.starts() + i64::from(*since))
    }

    /// Every event a millisecond behind the one before it at least, within the day.
    fn seal(&mut self, said: Vec<Said>, at: i64, world: &World, who: Who) -> Result<Vec<Record>, StepError> {
        if said.is_empty() {
            return Ok(Vec::new());
        }
        let (seed, index, start) = (world.seed, u64::from(self.index), world.starts().unsigned_abs());
        let device = who.device(self.seen.network.renamed, self.seen.os.version);
        let identity = Identity::new(who.serial, device);
        let mut records = Vec::new();
        for (mut draft, class, describe) in said {
            let at = at.max(self.last + 1);
            if at >= world.ends() {
                break;
            }
            self.last = at;
            let random = Random::of(&[seed, index, start, at.unsigned_abs(), 4]).bytes();
            draft.id = draft.id.or_else(|| Some(EventId::fresh(at.unsigned_abs(), &random)));
            draft.time = Some(time(at));
            records.push(identity.seal(draft, class, describe, time(at))?);
        }
        self.queued += if self.offline_until > 0 { u32::try_from(records.len()).unwrap_or(0) } else { 0 };
        Ok(records)
    }
}

type Said = (Draft, Class, Describe);

/// Why a step cannot be made: never, with the tables as they are.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// No serial number.
    #[error(transparent)]
    Serial(#[from] SerialError),
    /// No event.
    #[error(transparent)]
    Seal(#[from] crate::identity::SealError),
}

fn time(millis: i64) -> Time {
    Time::from_millis(millis).unwrap_or_else(|| jiff::Timestamp::UNIX_EPOCH.into())
}
