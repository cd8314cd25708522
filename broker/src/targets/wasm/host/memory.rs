//! A module's memory: numbers and bytes at places of which each access is checked.

use wasmi::Extern;

use super::{At, Called, Errno, FAULT, Host, INVAL};

/// The module's memory and what is kept of its run.
pub(super) fn parts<'a>(caller: &'a mut Called<'_>) -> Result<(&'a mut [u8], &'a mut Host), Errno> {
    let memory = caller.get_export("memory").and_then(Extern::into_memory).ok_or(FAULT)?;
    Ok(memory.data_and_store_mut(caller))
}

pub(super) fn range(memory: &mut [u8], at: At, size: usize) -> Result<&mut [u8], Errno> {
    let at = usize::try_from(at).map_err(|_| FAULT)?;
    memory.get_mut(at..at.checked_add(size).ok_or(FAULT)?).ok_or(FAULT)
}

pub(super) fn put(caller: &mut Called<'_>, at: At, bytes: &[u8]) -> Result<(), Errno> {
    let (memory, _) = parts(caller)?;
    range(memory, at, bytes.len())?.copy_from_slice(bytes);
    Ok(())
}

pub(super) fn number(memory: &mut [u8], at: At) -> Result<u32, Errno> {
    Ok(u32::from_le_bytes(range(memory, at, 4)?.try_into().map_err(|_| FAULT)?))
}

pub(super) fn long(memory: &mut [u8], at: At) -> Result<u64, Errno> {
    Ok(u64::from_le_bytes(range(memory, at, 8)?.try_into().map_err(|_| FAULT)?))
}

pub(super) fn put_number(memory: &mut [u8], at: At, number: usize) -> Result<(), Errno> {
    let number = u32::try_from(number).map_err(|_| INVAL)?;
    range(memory, at, 4)?.copy_from_slice(&number.to_le_bytes());
    Ok(())
}

/// `at` and so many bytes more.
pub(super) fn plus(at: At, bytes: u32) -> Result<At, Errno> {
    at.checked_add(bytes).ok_or(FAULT)
}
