//! Files that are dropped into a folder of this machine, for systems that can write a file and nothing else.
//!
//! ```text
//! PATH/NAME ─ complete? ─→ PATH/.taking/WORD/NAME ─ decode, map ─→ EVENTS ─ acknowledged ─→ PATH/done/NAME
//!                                                       └─ cannot be read ─→ source.file_failed, PATH/failed/NAME
//! ```
//!
//! **What counts as complete**: a file that has not changed for `settle`, as this process sees it; whoever renames files into
//! place says `settle: 0s`. Names that begin with a dot or end in `.tmp` are passed over, and so is whatever is no plain file
//! of one name: no link leads out of the folder.
//!
//! **A file is moved aside before it is read**, so that what is written in its place meanwhile is another file. It is locked
//! while it is read: what lies in `.taking` unlocked was left by a broker that is gone, or was changed when it was to be read,
//! and is taken once it is complete.
//!
//! **Nothing is told twice.** Ids derive from the file's name and content (of a line: its number and content), unless the map
//! gives a better one, and what the log has already is left out. A file is put away only once the stream has acknowledged
//! all of it. So a crash anywhere, or two brokers on one shared folder, or a disk that forgets a move after a power cut (no
//! move is forced onto the disk) have a file read again, and nothing else.
//!
//! The folder is looked at now and then; that costs a listing, needs nothing of the system and works on shared disks, too.
//! Every broker looks at its own: a folder belongs to a machine, and where there is none nothing is wrong.

mod place;
mod reading;
mod spec;
mod state;
#[cfg(test)]
mod tests;
mod told;
mod watcher;

pub use spec::{Folder, Plan};
pub use state::{FolderReport, Folders};
pub use watcher::Watchers;
