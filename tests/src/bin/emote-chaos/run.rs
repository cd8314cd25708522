//! A run: start everything, speak and break, stop, wait until it has settled, judge.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::anyhow;

use crate::{
    args::Options,
    check::{self, Evidence, Finding},
    gather::gather,
    place::Place,
    plan::{Planned, plan},
    progress,
    report::{self, Story},
    stage::Stage,
    strike::{Record, strike},
};

/// Streams that cannot be read within this time have stopped; and within so long for each event that was sent.
const GATHERED_WITHIN: Duration = Duration::from_secs(60);
const GATHERED_EACH: Duration = Duration::from_millis(1);
/// What settled must still hold after this long.
const STILL: Duration = Duration::from_secs(3);

/// Runs it. Says whether everything holds.
pub(crate) async fn run(options: Options) -> anyhow::Result<bool> {
    rustls::crypto::ring::default_provider().install_default().map_err(|_| anyhow!("setting up TLS"))?;
    let seed = options.seed.unwrap_or_else(|| rand::random::<u64>() % 1_000_000);
    let length = Duration::from_secs(options.seconds);
    let planned = plan(seed, length, options.every, &options.faults);
    println!("{}", again(&options, seed));
    let place = Place::new(&options)?;
    place.note("plan.txt", planned.iter().map(|fault| format!("{fault}\n")).collect())?;
    let stage = Arc::new(Stage::start(&options, seed, &place).await?);
    let struck = Record::default();
    let began = Instant::now();
    breaking(&stage, &options, (seed, length), planned, &struck).await;
    let lasted = began.elapsed();
    let (evidence, findings, settled) = settle(&stage, Duration::from_secs(options.settle)).await?;
    place.panics(&stage);
    let sum = stage.senders.ledger.sum();
    let asked = stage.target.record().1;
    let struck = std::mem::take(&mut *struck.lock().unwrap_or_else(PoisonError::into_inner));
    let (struck, sum, evidence, findings, asked) = (&struck, &sum, &evidence, &findings, &asked[..]);
    let story = Story { struck, sum, evidence, findings, asked, began, lasted, settled };
    progress::show("");
    report::print(&story);
    let holds = sum.wrong.is_empty() && findings.iter().all(|finding| finding.problems.is_empty());
    drop(stage);
    place.end(holds, &again(&options, seed));
    Ok(holds)
}

/// Events and faults, until the time is over and everything under way has ended.
async fn breaking(
    stage: &Arc<Stage>,
    options: &Options,
    (seed, length): (u64, Duration),
    planned: Vec<Planned>,
    struck: &Record,
) {
    let (count, rate) = (options.count(), options.rate);
    let sending = async {
        let sender = tokio::spawn(Arc::clone(&stage.senders).run(seed, count, rate));
        // With fewer events than there is time for, the faults end with them.
        let speaking = length.min(Duration::from_millis(count * 1_000 / rate));
        tokio::time::sleep(speaking).await;
        stage.senders.over.store(true, Ordering::Relaxed);
        sender.await.ok();
    };
    let both = async {
        tokio::join!(sending, strike(stage, planned, struck));
    };
    tokio::select! {
        () = both => {}
        () = progress::follow(stage, length, struck) => {}
    }
}

/// Waits until everything holds, and whether it still does a little later.
async fn settle(stage: &Stage, within: Duration) -> anyhow::Result<(Evidence, Vec<Finding>, Duration)> {
    stage.target.recover();
    let began = Instant::now();
    let mut held = None;
    loop {
        let looked = Instant::now();
        let sent = u32::try_from(stage.senders.ledger.sent().len()).unwrap_or(u32::MAX);
        let patience = GATHERED_WITHIN + GATHERED_EACH * sent;
        let gathered = tokio::time::timeout(patience, gather(stage)).await;
        let gathered = gathered.unwrap_or_else(|_| Err(anyhow!("no answer within {patience:?}")));
        let judged = gathered.map(|evidence| (check::judge(&evidence), evidence));
        let ended = began.elapsed() > within;
        match judged {
            Ok((findings, evidence)) => {
                let open: usize = findings.iter().map(|finding| finding.problems.len()).sum();
                progress::show(&format!("{:>4} s settling: {open} things are open", began.elapsed().as_secs()));
                match held {
                    Some(settled) => return Ok((evidence, findings, settled)),
                    None if open == 0 => held = Some(began.elapsed()),
                    None if ended => return Ok((evidence, findings, began.elapsed())),
                    None => {}
                }
            }
            Err(error) if ended => return Err(error.context("what is in the streams cannot be read")),
            Err(_) => {}
        }
        let pause = if held.is_some() { STILL } else { Duration::from_secs(1).max(looked.elapsed()) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = look_after(stage) => {}
        }
    }
}

/// Programs that end while nothing is done to them any more are wrong, too.
async fn look_after(stage: &Stage) {
    let mut every = tokio::time::interval(Duration::from_millis(500));
    loop {
        every.tick().await;
        for service in stage.services() {
            if let Err(error) = service.look_after().await {
                stage.senders.ledger.wrong(format!("{error:#}"));
            }
        }
    }
}

/// The command that does this run again.
fn again(options: &Options, seed: u64) -> String {
    let names: Vec<&str> = options.faults.iter().map(|kind| kind.name()).collect();
    let faults = if names.is_empty() { "none".to_owned() } else { names.join(",") };
    format!(
        "emote-chaos --seed {seed} --seconds {} --rate {} --events {} --nats {} --brokers {} --agents {} --every {}ms \
         --trouble {} --faults {faults}",
        options.seconds,
        options.rate,
        options.count(),
        options.servers(),
        options.brokers(),
        options.agents(),
        options.every.as_millis(),
        options.trouble,
    )
}
