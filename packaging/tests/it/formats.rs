//! Each format by itself: what is written is read again, other programs read it too, and bytes that are none make no panic.

use std::process::Command;

use emote_packaging::pkg::bom::{self, Line};
use emote_packaging::pkg::macho::{Cpu, Slice, signature::Embedded, split, universal};
use emote_packaging::pkg::tree::{ADMIN, Entry, Kind, Tree};
use emote_packaging::pkg::{cksum, cpio, xar};
use proptest::prelude::*;

use crate::macho;
use crate::tools::run;

const TIME: u32 = 1_767_225_600;

fn tree() -> Tree {
    let mut tree = Tree::default();
    tree.add("Library/Application Support", Entry { gid: ADMIN, ..Entry::new(Kind::Folder, 0o755) });
    tree.add("Library/Application Support/Emote.app/Contents/program", Entry::new(Kind::File(vec![7; 300]), 0o755));
    tree.add("Library/Application Support/a", Entry::new(Kind::File(Vec::new()), 0o644));
    tree.add("usr/local/bin/program", Entry::new(Kind::Link("/Library/program".into()), 0o755));
    tree
}

#[test]
fn a_cpio_archive_is_read_as_it_was_written() {
    let archive = cpio::write(&tree(), TIME);
    assert_eq!(cpio::read(&archive, TIME), Ok(tree()));
    for cut in [0, 1, 76, archive.len() - 1] {
        assert!(cpio::read(&archive[..cut], TIME).is_err(), "{cut}");
    }
    assert!(cpio::read(&[&archive[..], b"x"].concat(), TIME).is_err());
    assert!(cpio::read(&archive, TIME + 1).is_err());
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    for path in ["../x", "a/../b", "/x", "", "a//b", "no/folder", "usr"] {
        let mut tree = tree();
        assert!(!tree.take(path, Entry::new(Kind::Folder, 0o755)), "{path}");
    }
}

#[test]
fn a_bom_says_of_each_path_what_it_is_and_its_checksum() {
    let written = bom::write(&tree(), TIME).unwrap();
    let lines = bom::read(&written).unwrap();
    let root = Entry::new(Kind::Folder, 0o755);
    let expected = tree();
    let expected = std::iter::once((".", &root)).chain(expected.iter());
    let expected: Vec<_> = expected.map(|(path, entry)| (path.to_owned(), Line::of(entry, TIME))).collect();
    assert_eq!(lines.into_iter().collect::<Vec<_>>(), {
        let mut sorted = expected;
        sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
        sorted
    });
}

#[test]
fn a_boms_paths_are_in_the_order_of_folder_and_name() {
    // A search by (folder's number, name) finds them only so; here "b" is before "a.x" by depth.
    let mut tree = Tree::default();
    for path in ["b/c", "a.x/d", "a/z", "a/b/c"] {
        tree.add(path, Entry::new(Kind::File(Vec::new()), 0o644));
    }
    let written = bom::write(&tree, TIME).unwrap();
    assert_eq!(bom::read(&written).unwrap().len(), tree.len() + 1);
    let names: Vec<&[u8]> = ["a", "a.x", "b"].map(str::as_bytes).into();
    let places = names.iter().map(|name| {
        let file = [&[0, 0, 0, 1], *name, &[0]].concat();
        written.windows(file.len()).position(|window| window == file).unwrap()
    });
    assert!(places.collect::<Vec<_>>().is_sorted());
}

#[test]
fn checksums_are_cksums() {
    let folder = tempfile::tempdir().unwrap();
    for length in [0_usize, 1, 255, 256, 65_536, 100_003] {
        let bytes: Vec<u8> = (0..=252).cycle().take(length).collect();
        let path = folder.path().join("file");
        std::fs::write(&path, &bytes).unwrap();
        let said = String::from_utf8(run(Command::new("cksum").arg(&path))).unwrap();
        assert_eq!(said.split(' ').next().unwrap(), cksum(&bytes).to_string(), "{length}");
    }
}

#[test]
fn a_universal_program_is_split_into_what_it_was_made_of() {
    let [arm, intel] = [macho::ARM64, macho::X86_64].map(|cpu| macho::program(cpu, 0x000d_0000, None));
    let file = universal(&[Slice::read(&arm).unwrap(), Slice::read(&intel).unwrap()]).unwrap();
    let slices = split(&file).unwrap();
    assert_eq!(
        slices.iter().map(|slice| (slice.cpu, slice.data)).collect::<Vec<_>>(),
        [(Cpu::X86_64, &intel[..]), (Cpu::Arm64, &arm[..])]
    );
    for (bytes, why) in [
        (&arm[..], "one architecture"),
        (&file[..file.len() - 1], "cut off"),
        (&[&file[..], b"x"].concat(), "something behind it"),
    ] {
        assert!(split(bytes).is_err(), "{why}");
    }
    let mut between = file.clone();
    between[100] = 1;
    assert!(split(&between).unwrap_err().to_string().contains("between the slices"));
}

#[test]
fn programs_that_are_not_for_macs_are_refused() {
    let good = macho::program(macho::ARM64, 0x000d_0000, None);
    assert!(Slice::read(&good).is_ok());
    let build_version = good.windows(8).position(|window| window == [0x32, 0, 0, 0, 24, 0, 0, 0]).unwrap();
    for (at, byte, why) in [
        (0, 0xce, "32 bit"),
        (4, 7, "another processor"),
        (12, 6, "a library"),
        (build_version + 8, 2, "iOS"),
        (build_version, 0x33, "no platform"),
    ] {
        let mut bad = good.clone();
        bad[at] = byte;
        assert!(Slice::read(&bad).is_err(), "{why}");
    }
    assert!(Slice::read(&good[..good.len() - 70]).unwrap_err().to_string().contains("cut off"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_panic(
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..24),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut archive = cpio::write(&tree(), TIME);
        let mut receipt = bom::write(&tree(), TIME).unwrap();
        let mut program = macho::program(macho::ARM64, 0x000d_0000, None);
        let mut product = xar::write(&[("a", b"x"), ("b/c", b"yz")], jiff::Timestamp::UNIX_EPOCH).unwrap();
        for file in [&mut archive, &mut receipt, &mut program, &mut product] {
            // Heads are where structures are.
            let at = at.index(file.len().min(2048));
            for (place, byte) in file.iter_mut().skip(at).zip(&bytes) {
                *place = *byte;
            }
            file.truncate(file.len() - cut.index(64));
        }
        let _ = cpio::read(&archive, TIME);
        let _ = bom::read(&receipt);
        let _ = Slice::read(&program);
        let _ = split(&program);
        let _ = Embedded::read(&bytes);
        let _ = xar::read(&product);
    }

    #[test]
    fn an_archive_of_any_files_is_read_as_it_was_written(
        files in prop::collection::btree_map("[a-z<&]{1,5}(/[a-z<&]{1,5})?", prop::collection::vec(any::<u8>(), 0..40), 1..6),
    ) {
        // A name is a file or a folder.
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .filter(|(path, _)| path.contains('/') || !files.keys().any(|other| other.starts_with(&format!("{path}/"))))
            .map(|(path, data)| (path.as_str(), data.as_slice()))
            .collect();
        let written = xar::write(&files, jiff::Timestamp::UNIX_EPOCH).unwrap();
        let archive = xar::read(&written).unwrap();
        prop_assert_eq!(archive.damaged(), Vec::<String>::new());
        prop_assert_eq!(archive.files.len(), files.len());
        for (path, data) in files {
            prop_assert_eq!(archive.file(path), Some(data));
        }
    }
}
