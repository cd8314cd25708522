//! Sources that take what comes by other ways than HTTP: one folder a way.

pub mod socket;
