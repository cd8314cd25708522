//! IORegisterForSystemPower: the machine waits with falling asleep until the agent has written and sent that it does.

#![expect(unsafe_code, reason = "IOKit is bound, but its functions take pointers")]

use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use dispatch2::DispatchQueue;
use objc2_io_kit::{IOAllowPowerChange, IONotificationPortRef, IORegisterForSystemPower, io_connect_t, io_service_t};
use tokio::sync::mpsc::Sender;

use super::cannot;
use super::devices::IONotificationPortSetDispatchQueue;
use crate::platform::decode::Power;
use crate::platform::signals::{Happening, Moment, Signal};

/// The machine is made to wait so long at most; of itself it waits 30 s.
const LONGEST_HOLD: Duration = Duration::from_secs(20);

/// What the callback is given.
struct Told {
    /// Where answers go; known before anything is delivered.
    root: OnceLock<io_connect_t>,
    sender: Sender<Signal>,
}

pub(super) fn listen(queue: &DispatchQueue, sender: &Sender<Signal>) {
    let told: &'static Told = Box::leak(Box::new(Told { root: OnceLock::new(), sender: sender.clone() }));
    let (mut port, mut notifier): (IONotificationPortRef, _) = (std::ptr::null_mut(), 0);
    let refcon = std::ptr::from_ref(told).cast_mut().cast();
    // SAFETY: `told` is never freed and only ever shared; the others outlive the call; `changed` has the type asked for.
    // Nothing is delivered before the port has a queue.
    unsafe {
        let root = IORegisterForSystemPower(refcon, &raw mut port, Some(changed), &raw mut notifier);
        if root == 0 || port.is_null() {
            return cannot("sleep and wake", &"IORegisterForSystemPower gave nothing");
        }
        told.root.set(root).ok();
        IONotificationPortSetDispatchQueue(port, queue);
    }
}

unsafe extern "C-unwind" fn changed(told: *mut c_void, _service: io_service_t, message: u32, argument: *mut c_void) {
    // SAFETY: what `listen` leaked.
    let told = unsafe { &*told.cast::<Told>() };
    let allow = || told.root.get().map(|root| IOAllowPowerChange(*root, argument.addr().cast_signed()));
    match Power::of(message) {
        Some(Power::CanSleep) => drop(allow()),
        Some(Power::WillSleep) => {
            let (hold, dropped) = sync_channel(0);
            told.moment(Happening::WillSleep, Some(hold));
            // It ends when the hold is dropped, which a full queue does at once.
            dropped.recv_timeout(LONGEST_HOLD).ok();
            allow();
        }
        Some(Power::HasPoweredOn) => told.moment(Happening::Woke, None),
        None => {}
    }
}

impl Told {
    fn moment(&self, what: Happening, hold: Option<crate::platform::Hold>) {
        let moment = Moment { what, at: jiff::Timestamp::now().into(), hold };
        self.sender.try_send(Signal::Moment(moment)).ok();
    }
}
