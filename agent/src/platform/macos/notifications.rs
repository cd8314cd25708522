//! notify(3): one file descriptor for all names of [`NOTIFICATIONS`], read when something is there.

#![expect(unsafe_code, reason = "notify(3) has no binding: one function, declared as in notify.h")]

use std::ffi::{CString, c_char, c_int};
use std::os::fd::BorrowedFd;

use rustix::io::FdFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Sender;

use super::cannot;
use crate::platform::decode::Tokens;
use crate::platform::signals::{NOTIFICATIONS, Signal};

/// The descriptor passed in is used, instead of a new one being made.
const NOTIFY_REUSE: c_int = 1;
const NOTIFY_STATUS_OK: u32 = 0;

// SAFETY: as in notify.h; part of libSystem.
unsafe extern "C" {
    fn notify_register_file_descriptor(name: *const c_char, fd: *mut c_int, flags: c_int, token: *mut c_int) -> u32;
}

pub(super) fn listen(sender: &Sender<Signal>) {
    let Some((fd, tokens)) = register() else { return };
    // Tools that are run have no use for it.
    let prepared = rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC).and_then(|()| rustix::io::ioctl_fionbio(fd, true));
    let listening = prepared.map_err(std::io::Error::from).and_then(|()| {
        // SAFETY: the descriptor is always the same one, and stays open.
        Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
    });
    match listening {
        Ok(fd) => drop(tokio::spawn(read(fd, tokens, sender.clone()))),
        Err(error) => cannot("notify(3)", &error),
    }
}

/// The descriptor, which belongs to libnotify, and what its tokens stand for.
fn register() -> Option<(BorrowedFd<'static>, Tokens)> {
    let (mut fd, mut tokens) = (-1, Tokens::default());
    for (name, meaning) in NOTIFICATIONS {
        let Ok(text) = CString::new(*name) else { continue };
        let (flags, mut token) = (if fd < 0 { 0 } else { NOTIFY_REUSE }, -1);
        // SAFETY: a name that ends with zero, and two integers that outlive the call; `fd` is one that libnotify made.
        let status = unsafe { notify_register_file_descriptor(text.as_ptr(), &raw mut fd, flags, &raw mut token) };
        match u32::try_from(token) {
            Ok(token) if status == NOTIFY_STATUS_OK => tokens.insert(token, *meaning),
            _ => cannot(name, &format_args!("notify(3) status {status}")),
        }
    }
    // SAFETY: libnotify closes it when its last registration is cancelled, and none ever is.
    (fd >= 0).then(|| (unsafe { BorrowedFd::borrow_raw(fd) }, tokens))
}

async fn read(fd: AsyncFd<BorrowedFd<'static>>, tokens: Tokens, sender: Sender<Signal>) {
    let mut buffer = [0; 256];
    while let Ok(mut ready) = fd.readable().await {
        match ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut buffer)?)) {
            Ok(Ok(count @ 1..)) => {
                let at = jiff::Timestamp::now().into();
                for signal in tokens.signals(buffer.get(..count).unwrap_or_default(), at) {
                    sender.try_send(signal).ok();
                }
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // Nothing there after all.
            Err(_) => {}
            ended => return cannot("notify(3)", &format_args!("it ended: {ended:?}")),
        }
    }
}
