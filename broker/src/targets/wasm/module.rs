//! A module: read from its file, checked and made ready once, and run as often as there are jobs, each time anew.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use wasmi::{CompilationMode, Config, Engine, Error, Linker, Module, Store, StoreLimitsBuilder, TypedResumableCall};

use super::{
    super::program::{Ended, Ran},
    host::{Host, Spent, Until, offer},
};
use crate::private::{Stamp, stamp};

/// The largest module in bytes.
const MAX_MODULE: u64 = 64 * 1024 * 1024;
/// A run is looked at whenever it has used so much of its fuel.
const SLICE: u64 = 10_000_000;
/// Calls within calls; what languages with deep recursion need, and little enough to hold.
const MAX_DEPTH: usize = 10_000;
/// Bytes for values on the stack.
const MAX_STACK: usize = 16 << 20;
/// The most elements of a table.
const MAX_TABLE: usize = 1 << 20;

/// The file of a module, and what was made of it.
pub(super) struct Source {
    path: PathBuf,
    /// What it must be, where the target's file says so.
    sha256: Option<String>,
    ready: Mutex<(Stamp, Option<Arc<Ready>>)>,
}

/// A module that can be run.
pub(super) struct Ready {
    engine: Engine,
    module: Module,
    linker: Linker<Host>,
}

/// One run.
pub(super) struct Run {
    pub(super) args: Vec<String>,
    /// `NAME=value`
    pub(super) env: Vec<String>,
    pub(super) input: Vec<u8>,
    pub(super) memory: u64,
    pub(super) fuel: u64,
    pub(super) within: Duration,
    /// Set once nobody waits for it any more.
    pub(super) stopped: Arc<AtomicBool>,
}

impl Source {
    pub(super) fn new(path: PathBuf, sha256: Option<String>) -> Self {
        Self { path, sha256, ready: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The module as it is in the file now. What takes long is done only where the file has changed.
    pub(super) fn ready(&self) -> Result<Arc<Ready>, String> {
        let now = stamp(&self.path);
        let mut known = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let (before, Some(ready)) = &*known
            && *before == now
        {
            return Ok(Arc::clone(ready));
        }
        let ready = Arc::new(self.read()?);
        *known = (now, Some(Arc::clone(&ready)));
        Ok(ready)
    }

    fn read(&self) -> Result<Ready, String> {
        let failed = |error: std::io::Error| format!("{} cannot be read: {error}", self.path.display());
        let meta = std::fs::metadata(&self.path).map_err(failed)?;
        if !meta.is_file() || meta.len() > MAX_MODULE {
            return Err(format!("{} is no file of {MAX_MODULE} bytes at most", self.path.display()));
        }
        let bytes = std::fs::read(&self.path).map_err(failed)?;
        let found = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
        if self.sha256.as_ref().is_some_and(|expected| *expected != found) {
            return Err(format!("{} is another module: its SHA-256 is {found}", self.path.display()));
        }
        Ready::of(&bytes).map_err(|problem| format!("{}: {problem}", self.path.display()))
    }
}

impl Ready {
    /// Checks a module and makes it ready.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, String> {
        if !bytes.starts_with(b"\0asm") {
            return Err("it is no WebAssembly module".to_owned());
        }
        let mut config = Config::default();
        // All functions are translated now: one that is translated when it is first called costs fuel, and a run whose fuel is
        // at its end just then cannot go on (wasmi 2.0).
        config.consume_fuel(true).allow_start_fn(false).compilation_mode(CompilationMode::Eager);
        config.set_max_recursion_depth(MAX_DEPTH).set_max_stack_height(MAX_STACK);
        let engine = Engine::new(&config);
        let module =
            Module::new(&engine, bytes).map_err(|error| format!("it is no module that can be run: {error}"))?;
        let is_command = module
            .get_export("_start")
            .is_some_and(|it| it.func().is_some_and(|of| of.params().is_empty() && of.results().is_empty()));
        if !is_command {
            return Err("it has no function _start: build it as a command of WASI preview 1 (wasm32-wasip1)".to_owned());
        }
        let mut linker = Linker::new(&engine);
        offer(&mut linker, &module)?;
        Ok(Self { engine, module, linker })
    }

    /// Runs it to its end, on this thread.
    pub(super) fn run(&self, run: Run) -> Ran {
        let began = Instant::now();
        let until = Until { began, deadline: began + run.within, stopped: run.stopped };
        let memory = usize::try_from(run.memory).unwrap_or(usize::MAX);
        let limits =
            StoreLimitsBuilder::new().memory_size(memory).table_elements(MAX_TABLE).memories(1).tables(16).instances(1);
        let host = Host {
            args: run.args.into_iter().map(String::into_bytes).collect(),
            env: run.env.into_iter().map(String::into_bytes).collect(),
            input: run.input,
            read: 0,
            output: Vec::new(),
            said: Vec::new(),
            is_flooded: false,
            limits: limits.build(),
            until,
            to_move: Some(run.fuel),
        };
        let mut store = Store::new(&self.engine, host);
        store.limiter(|host| &mut host.limits);
        store.call_hook(Host::checked);
        let ended = self.go(&mut store, run.fuel, run.within).unwrap_or_else(|error| how(&error, run.within));
        let Host { output, said, is_flooded, .. } = store.into_data();
        let ended = if is_flooded { Ended::Flooded } else { ended };
        Ran { ended, output, said: String::from_utf8_lossy(&said).into_owned() }
    }

    fn go(&self, store: &mut Store<Host>, fuel: u64, within: Duration) -> Result<Ended, Error> {
        let mut left = fuel;
        let mut fill = |store: &mut Store<Host>, needed: u64| {
            let next = SLICE.max(needed).min(left);
            left = left.saturating_sub(next);
            store.set_fuel(next).map(|()| next >= needed && next > 0)
        };
        fill(store, 0)?;
        let instance = self.linker.instantiate_and_start(&mut *store, &self.module)?;
        let start = instance.get_typed_func::<(), ()>(&*store, "_start")?;
        let mut call = start.call_resumable(&mut *store, ())?;
        loop {
            match call {
                TypedResumableCall::Finished(()) => return Ok(Ended::Code(0)),
                TypedResumableCall::HostTrap(trap) => return Ok(how(trap.host_error(), within)),
                TypedResumableCall::OutOfFuel(rest) => {
                    if store.data().until.is_over() {
                        return Ok(Ended::Late(within));
                    }
                    if !fill(store, rest.required_fuel())? {
                        let reason = format!("used up its fuel of {fuel}: it loops, or needs more (`fuel`)");
                        return Ok(Ended::Killed(reason));
                    }
                    call = rest.resume(&mut *store)?;
                }
            }
        }
    }
}

fn how(error: &Error, within: Duration) -> Ended {
    match (error.i32_exit_status(), error.downcast_ref()) {
        (Some(code), _) => Ended::Code(u32::try_from(code).unwrap_or(u32::MAX)),
        (None, Some(Spent::Time)) => Ended::Late(within),
        (None, Some(Spent::Fuel)) => Ended::Killed(format!("{} (`fuel`)", Spent::Fuel)),
        (None, None) => Ended::Killed(format!("trapped: {error}")),
    }
}
