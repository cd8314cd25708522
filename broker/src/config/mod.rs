//! The configuration folder: raw files to validated settings, all problems at once.

mod archive;
mod case;
mod console;
mod documents;
pub(crate) mod excerpt;
pub(crate) mod fields;
pub(crate) mod file;
mod folder;
mod identity;
mod json_text;
mod locate;
mod patterns;
mod problem;
mod report;
mod rule_file;
mod secret;
mod set;
mod settings;
mod single;
pub(crate) mod text;
mod trust_file;
mod yaml;

pub use case::Case;
pub use folder::{Folder, Parts};
pub use identity::{Identity, IdentityError, IdentitySettings};
pub use patterns::{pattern_in, pattern_of, patterns};
pub use problem::{Problem, Problems};
pub use report::{FileProblem, Report};
pub use secret::{Secret, SecretError, SecretRef};
pub use set::{Difference, Set, SetError};
pub use settings::{NatsSettings, Settings};
pub use single::{source_of, target_of, target_problems};
