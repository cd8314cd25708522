//! A disk in memory that loses power, or is full, at the operation that a test chooses.
//!
//! What was synced is kept apart from what was only written since. When the power goes, every such write and every change
//! of length is dropped, kept or, a write, torn: each sector of it by itself.

use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use crate::spool::tables::Medium;

const SECTOR: usize = 512;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing works any more.
    PowerLoss,
    /// Nothing can be written, and the file not grow; it can be cut.
    Full,
    /// The file cannot grow, as when a real disk is full.
    FullForMore,
    /// Syncing fails, and what was written may be there or not.
    Sync,
}

/// What becomes of writes that were not synced.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unsynced {
    Dropped,
    Kept,
    Torn,
}

#[derive(Debug)]
enum Pending {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Default)]
struct State {
    synced: Vec<u8>,
    now: Vec<u8>,
    pending: Vec<Pending>,
    /// Writes, changes of length and syncs so far.
    operations: u64,
    /// From which operation on.
    fault: Option<(u64, Fault)>,
}

/// The disk. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(super) fn medium(&self) -> Medium {
        let disk = self.clone();
        Box::new(move |builder| builder.create_with_backend(disk.clone()))
    }

    pub(super) fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    /// After so many more operations.
    pub(super) fn fail_after(&self, operations: u64, fault: Fault) {
        let mut state = self.0.lock().unwrap();
        state.fault = Some((state.operations + operations, fault));
    }

    pub(super) fn repair(&self) {
        self.0.lock().unwrap().fault = None;
    }

    /// The power is back: what is on the disk now. `random` decides what becomes of each sector.
    pub(super) fn power_on(&self, unsynced: Unsynced, mut random: impl FnMut() -> u64) {
        let mut state = self.0.lock().unwrap();
        let mut disk = std::mem::take(&mut state.synced);
        for pending in std::mem::take(&mut state.pending) {
            let kept = match unsynced {
                Unsynced::Dropped => false,
                Unsynced::Kept => true,
                Unsynced::Torn => random().is_multiple_of(2),
            };
            match pending {
                pending if kept => apply(&mut disk, &pending),
                Pending::Write(offset, data) if matches!(unsynced, Unsynced::Torn) => {
                    for (place, sector) in data.chunks(SECTOR).enumerate().filter(|_| random().is_multiple_of(2)) {
                        write(&mut disk, offset + place * SECTOR, sector);
                    }
                }
                _ => {}
            }
        }
        *state = State { synced: disk.clone(), now: disk, operations: state.operations, ..State::default() };
    }

    /// `takes_room` says whether a full disk refuses it, and `grows` whether one that is full for more.
    fn change(
        &self,
        takes_room: bool,
        grows: impl Fn(usize) -> bool,
        change: impl FnOnce(&mut State),
    ) -> Result<(), Error> {
        let mut state = self.0.lock().unwrap();
        state.operations += 1;
        match state.fault.filter(|(from, _)| state.operations > *from).map(|(_, fault)| fault) {
            Some(Fault::PowerLoss) => return Err(Error::other("no power")),
            Some(Fault::Full) if takes_room || grows(state.now.len()) => return Err(ErrorKind::StorageFull.into()),
            Some(Fault::FullForMore) if grows(state.now.len()) => return Err(ErrorKind::StorageFull.into()),
            _ => change(&mut state),
        }
        Ok(())
    }
}

fn apply(disk: &mut Vec<u8>, pending: &Pending) {
    match pending {
        Pending::Write(offset, data) => write(disk, *offset, data),
        Pending::Length(length) => disk.resize(*length, 0),
    }
}

fn write(disk: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if disk.len() < end {
        disk.resize(end, 0);
    }
    disk[offset..end].copy_from_slice(data);
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.0.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let state = self.0.lock().unwrap();
        if state.fault.is_some_and(|(from, fault)| fault == Fault::PowerLoss && state.operations > from) {
            return Err(Error::other("no power"));
        }
        let offset = usize::try_from(offset).unwrap();
        let bytes = state.now.get(offset..offset + out.len()).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        let len = usize::try_from(len).unwrap();
        self.change(
            false,
            |before| len > before,
            |state| {
                state.now.resize(len, 0);
                state.pending.push(Pending::Length(len));
            },
        )
    }

    fn sync_data(&self) -> Result<(), Error> {
        let mut failed = false;
        self.change(
            false,
            |_| false,
            |state| {
                let state = &mut *state;
                failed = state.fault.is_some_and(|(from, fault)| fault == Fault::Sync && state.operations > from);
                if !failed {
                    state.pending.drain(..).for_each(|pending| apply(&mut state.synced, &pending));
                }
            },
        )?;
        if failed { Err(Error::other("not synced")) } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let offset = usize::try_from(offset).unwrap();
        self.change(
            true,
            |before| offset + data.len() > before,
            |state| {
                write(&mut state.now, offset, data);
                state.pending.push(Pending::Write(offset, data.to_vec()));
            },
        )
    }
}
