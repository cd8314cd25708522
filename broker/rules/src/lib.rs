//! Event patterns: the EventBridge pattern language, compiled, matched and explained.
//!
//! `PATTERNS.md` beside this crate is the language. A [`Pattern`] is one compiled pattern; a [`RuleSet`] is many, with
//! an index, and answers which of them an event matches; [`LiveRules`] is a set that changes while events are matched. This
//! crate does no I/O, reads no clock and knows nothing of Emote: it is usable by itself.

mod address;
mod alike;
mod case;
mod compile;
mod consistent;
mod error;
mod event;
mod explain;
mod hint;
mod index;
mod json;
mod live;
mod number;
mod operator;
mod paths;
mod pattern;
mod plan;
mod relation;
mod ruleset;
mod run;
mod scalar;
mod scan;
mod shown;
mod table;
mod tree;
mod value;

pub use error::{EventError, PatternError, Position, Step};
pub use explain::{
    Apart, Branch, Explanation, FieldReport, FoundValue, NearMiss, NearRule, Nearest, Outcome, Part, SeenPaths,
};
pub use live::{LiveRules, LoadedRules};
pub use operator::OPERATORS;
pub use pattern::Pattern;
pub use ruleset::RuleSet;
pub use run::Scratch;
