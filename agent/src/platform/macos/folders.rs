//! FSEvents: changes below the folders of [`FOLDERS`], at most one hint in two seconds each.
//!
//! kqueue would need a descriptor for every folder of every bundle below /Applications; the crate `notify` brings a
//! thread, a run loop and a description of each single change, where that something changed is all that is asked. The
//! system gathers the changes, so one that goes on does not keep the machine awake.

#![expect(unsafe_code, reason = "FSEvents is bound, but its functions take pointers")]

use std::ffi::{c_uint, c_void};
use std::ptr::NonNull;

use dispatch2::DispatchQueue;
use objc2_core_foundation::{CFArray, CFString};
use objc2_core_services::{
    ConstFSEventStreamRef, FSEventStreamContext, FSEventStreamCreate, FSEventStreamEventFlags, FSEventStreamEventId,
    FSEventStreamSetDispatchQueue, FSEventStreamStart, kFSEventStreamCreateFlagNone,
};
use tokio::sync::mpsc::Sender;

use super::{Hint, cannot};
use crate::platform::decode::by_sources;
use crate::platform::signals::{FOLDERS, Signal};

/// Seconds for which the system gathers changes.
const LATENCY: f64 = 2.0;
/// From now on.
const SINCE_NOW: FSEventStreamEventId = FSEventStreamEventId::MAX;

pub(super) fn listen(queue: &DispatchQueue, sender: &Sender<Signal>) {
    for (names, folders) in by_sources(FOLDERS) {
        if !start(queue, &folders, Hint::leak(names, sender)) {
            cannot("FSEvents", &folders.join(", "));
        }
    }
}

fn start(queue: &DispatchQueue, folders: &[&'static str], hint: *mut c_void) -> bool {
    let paths: Vec<_> = folders.iter().map(|folder| CFString::from_static_str(folder)).collect();
    let paths = CFArray::from_retained_objects(&paths);
    let mut context =
        FSEventStreamContext { version: 0, info: hint, retain: None, release: None, copyDescription: None };
    let flags: c_uint = kFSEventStreamCreateFlagNone;
    // SAFETY: `paths` holds strings; the context is copied, and what it points to is never freed; `changed` has the type
    // that is asked for. A stream is started once, and never released.
    unsafe {
        let paths = paths.as_opaque();
        let stream = FSEventStreamCreate(None, Some(changed), &raw mut context, paths, SINCE_NOW, LATENCY, flags);
        if stream.is_null() {
            return false;
        }
        FSEventStreamSetDispatchQueue(stream, Some(queue));
        FSEventStreamStart(stream)
    }
}

unsafe extern "C-unwind" fn changed(
    _stream: ConstFSEventStreamRef,
    hint: *mut c_void,
    _count: usize,
    _paths: NonNull<c_void>,
    _flags: NonNull<FSEventStreamEventFlags>,
    _ids: NonNull<FSEventStreamEventId>,
) {
    // SAFETY: what `listen` leaked.
    unsafe { &*hint.cast::<Hint>() }.give();
}
