//! What only macOS offers: thin calls into the system, nothing that decides.
//!
//! All that comes by itself comes on one dispatch queue, except for notify(3), which is read where everything else of the
//! agent runs; nothing here has a thread or a timer of its own. What is registered stays so until the program ends, so
//! what its callbacks are given is never freed.

mod devices;
mod folders;
mod keychain;
mod notifications;
mod power;
mod preferences;
mod system_log;

use std::ffi::c_void;

use dispatch2::DispatchQueue;
use tokio::sync::mpsc::Sender;

use super::signals::{QUEUE, Signal, Signals};

pub(super) use keychain::keychain;
pub(super) use preferences::forced;
pub(crate) use system_log::SystemLog;

/// Begins to listen.
pub(super) fn listen() -> Signals {
    let (sender, signals) = tokio::sync::mpsc::channel(QUEUE);
    let queue = DispatchQueue::new("io.emote.agent", None);
    notifications::listen(&sender);
    folders::listen(&queue, &sender);
    power::listen(&queue, &sender);
    devices::listen(&queue, &sender);
    std::mem::forget(queue);
    signals
}

/// Says that something cannot be listened to; the sources look by their intervals all the same.
fn cannot(what: &str, problem: &dyn std::fmt::Display) {
    tracing::warn!(what, %problem, "cannot listen");
}

/// What a callback is given: whom to tell that which sources should look.
struct Hint {
    names: &'static [&'static str],
    sender: Sender<Signal>,
}

impl Hint {
    /// As a pointer for a callback, valid as long as the program runs.
    fn leak(names: &'static [&'static str], sender: &Sender<Signal>) -> *mut c_void {
        std::ptr::from_mut(Box::leak(Box::new(Self { names, sender: sender.clone() }))).cast()
    }

    /// A hint that finds the queue full is dropped: whoever reads it is about to look anyway.
    fn give(&self) {
        self.sender.try_send(Signal::Look(self.names)).ok();
    }
}
