//! What a module is offered: WASI preview 1 (`wasi_snapshot_preview1`, github.com/WebAssembly/WASI, legacy/preview1), as far as
//! a program needs it that reads its input, writes its output and looks at the clock. There are no files and no network: a
//! function that would need them says `ENOSYS`, and descriptors other than the three standard ones are `EBADF`.
//!
//! No call takes long. Waiting ends with the program's time, which every call looks at, and all calls together move no more
//! bytes than the run has fuel: see [`Host::checked`].

mod memory;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use wasmi::{
    CallHook, Caller, Error, ExternType, FuncType, Linker, Module, StoreLimits, Val, ValType,
    errors::{HostError, LinkerError},
};

use self::memory::{long, number, parts, plus, put, put_number, range};
use super::super::program::{MAX_OUTPUT, MAX_SAID};

const WASI: &str = "wasi_snapshot_preview1";

const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const FAULT: i32 = 21;
const INVAL: i32 = 28;
const IO: i32 = 29;
const NOSYS: i32 = 52;
const SPIPE: i32 = 70;

/// The most buffers or subscriptions of one call.
const MAX_ITEMS: u32 = 1024;
/// The most random bytes of one call.
const MAX_RANDOM: u32 = 1 << 20;
/// How long a wait goes on before it is looked whether it still should.
const NAP: Duration = Duration::from_millis(10);

/// One run of a module, as its calls see it.
pub(super) struct Host {
    pub(super) args: Vec<Vec<u8>>,
    /// `NAME=value`
    pub(super) env: Vec<Vec<u8>>,
    pub(super) input: Vec<u8>,
    /// How much of it was read.
    pub(super) read: usize,
    pub(super) output: Vec<u8>,
    pub(super) said: Vec<u8>,
    pub(super) is_flooded: bool,
    pub(super) limits: StoreLimits,
    pub(super) until: Until,
    /// Bytes that calls have still to move.
    pub(super) to_move: Option<u64>,
}

/// Why a call ends the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Spent {
    #[error("its time is over")]
    Time,
    #[error("its calls have moved more bytes than it has fuel")]
    Fuel,
}

impl HostError for Spent {}

impl Host {
    /// Looks, before each call and after it, whether the run may go on.
    pub(super) fn checked(&mut self, hook: CallHook) -> Result<(), Error> {
        match hook {
            CallHook::CallingHost | CallHook::ReturningFromHost if self.to_move.is_none() => {
                Err(Error::host(Spent::Fuel))
            }
            CallHook::CallingHost | CallHook::ReturningFromHost if self.until.is_over() => {
                Err(Error::host(Spent::Time))
            }
            _ => Ok(()),
        }
    }

    /// A call has moved so many bytes.
    fn moved(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.to_move = self.to_move.and_then(|left| left.checked_sub(bytes));
    }
}

/// How long a run may go on.
#[derive(Clone)]
pub(super) struct Until {
    pub(super) began: Instant,
    pub(super) deadline: Instant,
    /// Nobody waits for it any more.
    pub(super) stopped: Arc<AtomicBool>,
}

impl Until {
    pub(super) fn is_over(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }
}

/// A place in a module's memory, checked by every access.
type At = u32;
/// An error number.
type Errno = i32;
type Called<'a> = Caller<'a, Host>;

/// Offers what `module` imports; an import of anything else is told.
pub(super) fn offer(linker: &mut Linker<Host>, module: &Module) -> Result<(), String> {
    offer_known(linker).map_err(|error| error.to_string())?;
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        let ExternType::Func(of) = import.ty() else {
            return Err(format!(
                "it imports {from}.{name}, which is no function: only those of WASI preview 1 are offered"
            ));
        };
        if from != WASI {
            return Err(format!("it imports {from}.{name}: only functions of WASI preview 1 ({WASI}) are offered"));
        }
        // One that is known is there already.
        if KNOWN.contains(&name) {
            continue;
        }
        let is_wasi = of.results() == [ValType::I32];
        let unknown = FuncType::new(of.params().iter().copied(), of.results().iter().copied());
        let answer = linker.func_new(from, name, unknown, move |_, _, results| {
            if let [result] = results {
                *result = Val::I32(NOSYS);
            }
            Ok(())
        });
        match answer {
            Ok(_) if is_wasi => {}
            Ok(_) => return Err(format!("it imports {from}.{name}, which WASI preview 1 does not have")),
            // It is imported twice.
            Err(LinkerError::DuplicateDefinition { .. }) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

const KNOWN: [&str; 17] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_close",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_prestat_get",
    "fd_read",
    "fd_seek",
    "fd_write",
    "poll_oneoff",
    "proc_exit",
    "random_get",
    "sched_yield",
];

fn offer_known(linker: &mut Linker<Host>) -> Result<(), LinkerError> {
    linker
        .func_wrap(WASI, "args_get", |caller: Called<'_>, list: At, bytes: At| {
            texts(caller, |host| &host.args, list, bytes)
        })?
        .func_wrap(WASI, "args_sizes_get", |caller: Called<'_>, count: At, size: At| {
            sizes(caller, |host| &host.args, count, size)
        })?
        .func_wrap(WASI, "environ_get", |caller: Called<'_>, list: At, bytes: At| {
            texts(caller, |host| &host.env, list, bytes)
        })?
        .func_wrap(WASI, "environ_sizes_get", |caller: Called<'_>, count: At, size: At| {
            sizes(caller, |host| &host.env, count, size)
        })?
        .func_wrap(WASI, "clock_res_get", |mut caller: Called<'_>, clock: u32, at: At| {
            answered(if clock > 1 { Err(INVAL) } else { put(&mut caller, at, &1_000_u64.to_le_bytes()) })
        })?
        .func_wrap(WASI, "clock_time_get", |mut caller: Called<'_>, clock: u32, _: u64, at: At| {
            let now = now(clock, &caller.data().until);
            answered(now.and_then(|now| put(&mut caller, at, &now.to_le_bytes())))
        })?
        .func_wrap(WASI, "fd_close", |_: Called<'_>, fd: u32| if fd > 2 { BADF } else { SUCCESS })?
        .func_wrap(WASI, "fd_fdstat_get", |mut caller: Called<'_>, fd: u32, at: At| {
            answered(fdstat(&mut caller, fd, at))
        })?
        .func_wrap(WASI, "fd_fdstat_set_flags", |_: Called<'_>, fd: u32, _: u32| if fd > 2 { BADF } else { SUCCESS })?
        .func_wrap(WASI, "fd_prestat_get", |_: Called<'_>, _: u32, _: At| BADF)?
        .func_wrap(WASI, "fd_read", |mut caller: Called<'_>, fd: u32, list: At, count: u32, read: At| {
            answered(fd_read(&mut caller, fd, (list, count), read))
        })?
        .func_wrap(WASI, "fd_seek", |_: Called<'_>, fd: u32, _: i64, _: u32, _: At| if fd > 2 { BADF } else { SPIPE })?
        .func_wrap(WASI, "fd_write", |mut caller: Called<'_>, fd: u32, list: At, count: u32, written: At| {
            let answer = fd_write(&mut caller, fd, (list, count), written);
            if caller.data().is_flooded { Err(Error::new("it wrote too much")) } else { Ok(answered(answer)) }
        })?
        .func_wrap(WASI, "poll_oneoff", |mut caller: Called<'_>, asked: At, told: At, count: u32, at: At| {
            answered(poll(&mut caller, asked, told, count, at))
        })?
        .func_wrap(WASI, "proc_exit", |_: Called<'_>, code: i32| -> Result<(), Error> { Err(Error::i32_exit(code)) })?
        .func_wrap(WASI, "random_get", |mut caller: Called<'_>, at: At, size: u32| {
            answered(random(&mut caller, at, size))
        })?
        .func_wrap(WASI, "sched_yield", |_: Called<'_>| SUCCESS)?;
    Ok(())
}

fn answered(result: Result<(), Errno>) -> Errno {
    result.err().unwrap_or(SUCCESS)
}

/// Texts, each with a zero byte behind it, and where each begins.
fn texts(mut caller: Called<'_>, of: fn(&Host) -> &Vec<Vec<u8>>, mut list: At, mut bytes: At) -> Errno {
    let mut write = || -> Result<(), Errno> {
        let (memory, host) = parts(&mut caller)?;
        host.moved(of(host).iter().map(Vec::len).sum());
        for text in of(host) {
            put_number(memory, list, usize::try_from(bytes).map_err(|_| FAULT)?)?;
            let place = range(memory, bytes, text.len().saturating_add(1))?;
            if let Some((end, place)) = place.split_last_mut() {
                place.copy_from_slice(text);
                *end = 0;
            }
            list = plus(list, 4)?;
            bytes = plus(bytes, u32::try_from(text.len()).map_err(|_| INVAL)?)?;
            bytes = plus(bytes, 1)?;
        }
        Ok(())
    };
    answered(write())
}

fn sizes(mut caller: Called<'_>, of: fn(&Host) -> &Vec<Vec<u8>>, count: At, size: At) -> Errno {
    let mut write = || {
        let (memory, host) = parts(&mut caller)?;
        let texts = of(host);
        put_number(memory, count, texts.len())?;
        put_number(memory, size, texts.iter().map(|text| text.len().saturating_add(1)).sum())
    };
    answered(write())
}

/// Nanoseconds of the wall's clock (0), or of one that begins with the run (1).
fn now(clock: u32, until: &Until) -> Result<u64, Errno> {
    let nanos = match clock {
        0 => u64::try_from(jiff::Timestamp::now().as_nanosecond()),
        1 => u64::try_from(until.began.elapsed().as_nanos()),
        _ => return Err(INVAL),
    };
    nanos.map_err(|_| INVAL)
}

/// A pipe that is read, or written.
fn fdstat(caller: &mut Called<'_>, fd: u32, at: At) -> Result<(), Errno> {
    let rights: u64 = match fd {
        0 => 1 << 1,
        1 | 2 => 1 << 6,
        _ => return Err(BADF),
    };
    let mut stat = [0; 24];
    if let Some(place) = stat.get_mut(8..16) {
        place.copy_from_slice(&rights.to_le_bytes());
    }
    put(caller, at, &stat)
}

/// The buffers of a call: where each is, and how long.
fn buffers(memory: &mut [u8], (list, count): (At, u32)) -> Result<Vec<(At, usize)>, Errno> {
    if count > MAX_ITEMS {
        return Err(INVAL);
    }
    let mut buffers = Vec::new();
    for index in 0..count {
        let at = plus(list, index.saturating_mul(8))?;
        let size = usize::try_from(number(memory, plus(at, 4)?)?).map_err(|_| FAULT)?;
        buffers.push((number(memory, at)?, size));
    }
    Ok(buffers)
}

fn fd_read(caller: &mut Called<'_>, fd: u32, list: (At, u32), read: At) -> Result<(), Errno> {
    if fd != 0 {
        return Err(BADF);
    }
    let (memory, host) = parts(caller)?;
    let before = host.read;
    for (at, size) in buffers(memory, list)? {
        let rest = host.input.get(host.read..).unwrap_or_default();
        let chunk = rest.get(..size).unwrap_or(rest);
        range(memory, at, chunk.len())?.copy_from_slice(chunk);
        host.read = host.read.saturating_add(chunk.len());
    }
    host.moved(host.read.saturating_sub(before));
    put_number(memory, read, host.read.saturating_sub(before))
}

fn fd_write(caller: &mut Called<'_>, fd: u32, list: (At, u32), written: At) -> Result<(), Errno> {
    let (memory, host) = parts(caller)?;
    let mut all = 0_usize;
    for (at, size) in buffers(memory, list)? {
        let chunk = range(memory, at, size)?;
        match fd {
            1 if host.output.len().saturating_add(chunk.len()) > MAX_OUTPUT => {
                host.is_flooded = true;
                return Err(IO);
            }
            1 => host.output.extend_from_slice(chunk),
            2 => {
                let kept = chunk.len().saturating_sub(MAX_SAID);
                host.moved(chunk.len().min(MAX_SAID));
                host.said.extend_from_slice(chunk.get(kept..).unwrap_or_default());
                let over = host.said.len().saturating_sub(MAX_SAID);
                host.said.drain(..over);
            }
            _ => return Err(BADF),
        }
        all = all.saturating_add(size);
    }
    put_number(memory, written, all)
}

fn random(caller: &mut Called<'_>, at: At, size: u32) -> Result<(), Errno> {
    if size > MAX_RANDOM {
        return Err(INVAL);
    }
    let size = usize::try_from(size).map_err(|_| FAULT)?;
    let (memory, host) = parts(caller)?;
    host.moved(size);
    getrandom::fill(range(memory, at, size)?).map_err(|_| IO)
}

/// Waits until the first clock of these is due, where nothing else is asked for. What can be read or written can be at once.
fn poll(caller: &mut Called<'_>, asked: At, told: At, count: u32, at: At) -> Result<(), Errno> {
    const SUBSCRIPTION: u32 = 48;
    const EVENT: u32 = 32;
    if count == 0 || count > MAX_ITEMS {
        return Err(INVAL);
    }
    let until = caller.data().until.clone();
    let (memory, _) = parts(caller)?;
    let (mut events, mut clocks) = (Vec::new(), Vec::new());
    for index in 0..count {
        let from = plus(asked, index.saturating_mul(SUBSCRIPTION))?;
        let (user, tag) = (long(memory, from)?, *range(memory, plus(from, 8)?, 1)?.first().ok_or(FAULT)?);
        if tag == 0 {
            let (clock, timeout) = (number(memory, plus(from, 16)?)?, long(memory, plus(from, 24)?)?);
            let is_absolute = number(memory, plus(from, 40)?)? & 1 == 1;
            let timeout = if is_absolute { timeout.saturating_sub(now(clock, &until)?) } else { timeout };
            clocks.push((timeout, user));
        } else {
            events.push((user, tag));
        }
    }
    if events.is_empty() {
        let first = clocks.iter().map(|(timeout, _)| *timeout).min().unwrap_or_default();
        wait(Duration::from_nanos(first), &until);
        events.extend(clocks.iter().filter(|(timeout, _)| *timeout <= first).map(|(_, user)| (*user, 0)));
    }
    let mut place = told;
    for (user, tag) in &events {
        let event = range(memory, place, usize::try_from(EVENT).map_err(|_| FAULT)?)?;
        event.fill(0);
        if let Some(bytes) = event.get_mut(..8) {
            bytes.copy_from_slice(&user.to_le_bytes());
        }
        if let Some(byte) = event.get_mut(10) {
            *byte = *tag;
        }
        place = plus(place, EVENT)?;
    }
    put_number(memory, at, events.len())
}

fn wait(length: Duration, until: &Until) {
    let began = Instant::now();
    while !until.is_over() {
        let left = length.saturating_sub(began.elapsed());
        if left.is_zero() {
            break;
        }
        std::thread::park_timeout(left.min(NAP));
    }
}
