//! What is known of an Emote, found out for those who ask: the command line and the pages.

pub(crate) mod agents;
pub(crate) mod events;
pub(crate) mod history;
pub(crate) mod in_force;
pub(crate) mod rules;
pub(crate) mod sources;
pub(crate) mod targets;
pub(crate) mod words;
