//! What a target does with a job, as far as no secret is in it.

use reqwest::Method;
use serde_json::Value;

use super::{answer::Meaning, body::Body, lookup::Lookup, place::Place};

/// See the module.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) method: Method,
    pub(super) place: Place,
    pub(super) lookups: Vec<Lookup>,
    /// Nothing where requests have none.
    pub(super) body: Option<Body>,
    pub(super) meaning: Meaning,
    /// What the programs see as `.settings`.
    pub(super) settings: Value,
    pub(super) limits: Limits,
    /// Which program sees the PIN.
    pub(super) pin_in: Option<PinIn>,
    /// Whether jobs must be about a device.
    pub(super) device: bool,
}

/// What one request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Jobs.
    pub(super) items: usize,
    /// Bytes of its body, before it is compressed.
    pub(super) bytes: usize,
}

/// Where the PIN of a lock goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PinIn {
    Path,
    Query,
    Body,
}
