//! The configuration folder: raw files to validated settings, all problems at once.

mod problem;
mod secret;

pub use problem::{Problem, Problems};
pub use secret::{Secret, SecretError, SecretRef};
