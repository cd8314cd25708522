//! Jobs to targets: one durable consumer a target, workers that try, retry, give up and report.
//!
//! A job ends with three steps in this order: the effect, its result event stored, the job acknowledged. A crash between
//! two of them repeats the job under the same id; the result event has the id of the job's end, so it is stored once,
//! and a repeated job whose result is already in the log is not done again.
//!
//! What decides is pure and takes the time as an argument: `schedule` (when again), [`crate::rate`] (how fast), `breaker` (whether
//! at all), `gate` (both), `parking` (what waits for what), `history` (what was tried), `letter`, `bridge`. `worker` takes jobs and
//! starts attempts, `attempt` makes one, `end` tells how it ended.

mod attempt;
mod breaker;
mod bridge;
mod end;
mod gate;
mod history;
mod input;
mod json_path;
mod letter;
mod parking;
mod result;
mod schedule;
mod state;
mod under_way;
mod worker;

use std::{sync::Arc, time::Duration};

use emote_proto::Name;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    bus::Bus,
    core::Policy,
    store::Store,
    targets::{DeliverySettings, Target},
};

pub use bridge::check as check_bridge;
pub use history::Histories;
pub use input::{Inputs, check_program};
pub use state::{BUCKETS_MS, LastError, Latency, Running, TargetSnapshot, TargetState, Targets};
pub use under_way::UnderWay;

const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What a worker does with a job.
#[derive(Clone)]
pub enum Work {
    /// Has a target act.
    Target(Arc<dyn Target>),
    /// Publishes the job's event itself: what the core has to say.
    Emit,
    /// Gives it up: its target is not in the configuration any more.
    Gone,
}

/// Everything a target's workers share.
pub struct Delivery {
    /// Where jobs come from and results go.
    pub bus: Bus,
    /// Tells which results are in the log already.
    pub store: Arc<Store>,
    /// The target's name.
    pub target: Name,
    /// What to do.
    pub work: Work,
    /// How often, how long, how many at once.
    pub settings: DeliverySettings,
    /// What the target asks of a job.
    pub policy: Policy,
    /// Compiled input transforms.
    pub inputs: Arc<Inputs>,
    /// What this process knows of the target's jobs; it outlives a worker that is replaced.
    pub memory: Memory,
    /// What others see of it.
    pub state: Arc<TargetState>,
    /// Where given, jobs are taken only while it is true: one broker of many does.
    pub leads: Option<watch::Receiver<bool>>,
}

/// What a process knows of a target's jobs.
#[derive(Clone, Default)]
pub struct Memory {
    /// Those being worked on.
    pub under_way: Arc<UnderWay>,
    /// What was tried.
    pub histories: Arc<Histories>,
}

impl Delivery {
    /// Works on the target's jobs until told to stop. Trouble with NATS is said and waited out.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut worker = worker::Worker::new(Arc::new(self));
        let mut pause = PAUSE;
        while !shutdown.is_cancelled() {
            let began = tokio::time::Instant::now();
            let Err(error) = worker.work(&shutdown).await else { break };
            tracing::warn!(target_name = %worker.target(), %error, "jobs cannot be read; trying again");
            pause = if began.elapsed() > PAUSE_MAX * 2 { PAUSE } else { (pause * 2).min(PAUSE_MAX) };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
        worker.stop().await;
    }
}
