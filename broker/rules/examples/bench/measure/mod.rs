//! Engines side by side: the same rules, the same events, in turns, so that a machine that slows down slows both.

mod emote;
mod engine;
mod events;
mod quamina;
mod rate;
mod table;

pub(crate) use events::Events;
pub(crate) use table::print;

use emote::Emote;
use engine::{Engine, Tally};
use quamina::Quamina;
use rate::Rates;
use std::time::{Duration, Instant};

/// How many events allocations are counted over.
const COUNTED: usize = 2_000;

/// Events, and the classes of rules that are measured over them.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) events: Events,
    pub(crate) classes: Vec<Class>,
}

/// Rules that are measured together, each the JSON text of a pattern.
#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) name: String,
    pub(crate) patterns: Vec<String>,
}

/// What was found out about one class.
#[derive(Debug)]
pub(crate) struct Row {
    class: String,
    rules: usize,
    events: usize,
    emote: Figures,
    /// Or why there are none.
    quamina: Result<Figures, String>,
    /// How many times faster than quamina, over the pairs of slices that were measured next to each other.
    ratio: Option<f64>,
}

/// What was found out about one engine.
#[derive(Debug)]
struct Figures {
    tally: Tally,
    compile: Duration,
    /// Per event, once its memory is warm.
    allocations: f64,
    rates: Rates,
}

/// An engine that has seen all events once.
struct Warm {
    engine: Box<dyn Engine>,
    compile: Duration,
    tally: Tally,
    allocations: f64,
    next: usize,
}

/// Measures one class for about so long, after one pass of each engine that is checked and not timed.
///
/// # Errors
/// If our engine refuses a pattern.
pub(crate) fn measure(class: &Class, events: &Events, time: Duration) -> Result<Row, String> {
    let began = Instant::now();
    let emote = Box::new(Emote::compile(&class.patterns)?);
    let mut emote = Warm::new(emote, began.elapsed(), class, events);
    let rival = quamina::guarded(|| {
        let began = Instant::now();
        let engine = Quamina::compile(&class.patterns)?;
        Ok(Warm::new(Box::new(engine), began.elapsed(), class, events))
    });
    let (rates, other, ratio) = match rival {
        Ok(mut rival) => {
            let (rates, others) = rate::in_turns(&mut emote, &mut rival, events, time);
            let ratio = rates.ratio(&others);
            (rates, Ok(rival.figures(others)), Some(ratio))
        }
        Err(reason) => (rate::alone(&mut emote, events, time), Err(reason), None),
    };
    Ok(Row {
        class: class.name.clone(),
        rules: class.patterns.len(),
        events: events.len(),
        emote: emote.figures(rates),
        quamina: other,
        ratio,
    })
}

impl Warm {
    fn new(mut engine: Box<dyn Engine>, compile: Duration, class: &Class, events: &Events) -> Self {
        let mut tally = Tally::of(class.patterns.len());
        events.iter().for_each(|event| engine.tally(event, &mut tally));
        let counted = events.len().min(COUNTED);
        let counts = allocation_counter::measure(|| _ = engine.run(events, 0, counted));
        let allocations = counts.count_total as f64 / counted.max(1) as f64;
        Self { engine, compile, tally, allocations, next: 0 }
    }

    fn figures(self, rates: Rates) -> Figures {
        Figures { tally: self.tally, compile: self.compile, allocations: self.allocations, rates }
    }
}
