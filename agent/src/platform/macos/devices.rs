//! IOServiceAddMatchingNotification: a hint whenever a device of [`DEVICES`] comes or goes.

#![expect(unsafe_code, reason = "IOKit: two functions that its binding leaves out, and pointers")]

use std::ffi::{CStr, CString, c_char, c_void};

use dispatch2::DispatchQueue;
use objc2_core_foundation::{CFMutableDictionary, CFRetained};
use objc2_io_kit::{
    IOIteratorNext, IONotificationPort, IONotificationPortRef, IOObjectRelease, IOServiceMatching,
    IOServiceMatchingCallback, io_iterator_t,
};
use tokio::sync::mpsc::Sender;

use super::{Hint, cannot};
use crate::platform::signals::{DEVICES, Signal};

/// `kIOFirstMatchNotification` and `kIOTerminatedNotification`.
const KINDS: [&CStr; 2] = [c"IOServiceFirstMatch", c"IOServiceTerminate"];

#[link(name = "IOKit", kind = "framework")]
// SAFETY: as in IOKit/IOKitLib.h.
unsafe extern "C" {
    pub(super) fn IONotificationPortSetDispatchQueue(port: IONotificationPortRef, queue: &DispatchQueue);

    /// Takes over a reference to `matching`. Returns zero, or what is wrong.
    fn IOServiceAddMatchingNotification(
        port: IONotificationPortRef,
        kind: *const c_char,
        matching: *mut CFMutableDictionary,
        callback: IOServiceMatchingCallback,
        refcon: *mut c_void,
        iterator: *mut io_iterator_t,
    ) -> i32;
}

pub(super) fn listen(queue: &DispatchQueue, sender: &Sender<Signal>) {
    let port = IONotificationPort::create(0);
    if port.is_null() {
        return cannot("devices", &"no notification port");
    }
    // SAFETY: a port that was just made, and is never destroyed.
    unsafe { IONotificationPortSetDispatchQueue(port, queue) };
    for (class, names) in DEVICES {
        let hint = Hint::leak(names, sender);
        for kind in KINDS {
            if let Err(status) = add(port, class, kind, hint) {
                cannot(class, &format_args!("{kind:?}: status {status:#x}"));
            }
        }
    }
}

fn add(port: IONotificationPortRef, class: &str, kind: &CStr, hint: *mut c_void) -> Result<(), i32> {
    let class = CString::new(class).unwrap_or_default();
    let mut iterator = 0;
    // SAFETY: strings that end with zero; `hint` is never freed; `changed` has the type asked for; the dictionary's one
    // reference goes over to the call.
    let status = unsafe {
        let matching = IOServiceMatching(class.as_ptr()).ok_or(-1)?;
        let matching = CFRetained::into_raw(matching).as_ptr();
        IOServiceAddMatchingNotification(port, kind.as_ptr(), matching, Some(changed), hint, &raw mut iterator)
    };
    if status != 0 {
        return Err(status);
    }
    // Those that are there already; the notification is armed when all of them were taken.
    drain(iterator);
    Ok(())
}

unsafe extern "C-unwind" fn changed(hint: *mut c_void, iterator: io_iterator_t) {
    drain(iterator);
    // SAFETY: what `listen` leaked.
    unsafe { &*hint.cast::<Hint>() }.give();
}

fn drain(iterator: io_iterator_t) {
    loop {
        match IOIteratorNext(iterator) {
            0 => return,
            device => drop(IOObjectRelease(device)),
        }
    }
}
