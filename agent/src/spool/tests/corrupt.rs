//! The file was changed behind redb's back: it opens with what it held, or is set aside and that is told.

use super::power::random;
use super::*;

/// A file with events, part of which were taken off, closed as it should be.
fn written() -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir, 1 << 20).spool;
    for number in 0..20 {
        let records = (0..4).map(|n| record(Class::Lifecycle, number * 4 + n, 700)).collect();
        let snapshots = vec![("disk".to_owned(), vec![7; 300])];
        spool.commit(&Commit { records, snapshots, run: None }).unwrap();
    }
    spool.settle(&[1..=30], &Saved::default()).unwrap();
    drop(spool);
    std::fs::read(dir.path().join(FILE)).unwrap()
}

/// Damages `bytes`: bits flipped anywhere or in the header, a stretch of zeros or of noise, the end cut off, or longer.
fn damage(bytes: &mut Vec<u8>, mut random: impl FnMut() -> u64) {
    let mut below = |most: usize| usize::try_from(random() % most.max(1) as u64).unwrap();
    for _ in 0..=below(3) {
        let length = bytes.len();
        match below(6) {
            0 | 1 => (0..=below(40)).for_each(|_| bytes[below(length)] ^= 1 << below(8)),
            2 => (0..=below(3)).for_each(|_| bytes[below(400)] ^= 1 << below(8)),
            3 => {
                let (from, noise) = (below(length), below(2) == 1);
                let to = (from + below(20_000)).min(length);
                bytes[from..to].fill_with(|| if noise { u8::try_from(below(256)).unwrap() } else { 0 });
            }
            4 => bytes.truncate(below(length)),
            _ => bytes.resize(length + below(9_000), 0),
        }
        if bytes.is_empty() {
            return;
        }
    }
}

fn check(sound: &[u8], seed: u64) -> bool {
    let dir = TempDir::new().unwrap();
    let mut bytes = sound.to_vec();
    damage(&mut bytes, random(seed));
    std::fs::write(dir.path().join(FILE), &bytes).unwrap();
    let Opened { spool, previous } = open(&dir, 1 << 20);
    let lost = previous == Previous::Lost;
    if lost {
        assert_eq!(gaps(&spool).iter().map(|gap| gap.reason).collect::<Vec<_>>(), [GapReason::CorruptFile], "{seed}");
        let aside = dir.path().join(format!("spool-{}.corrupt", now().as_millis()));
        assert_eq!(std::fs::read(aside).unwrap().len() % 4096, bytes.len() % 4096, "{seed}");
    } else {
        assert!(bytes.is_empty() || all(&spool).len() >= 46, "seed {seed}: some are gone untold");
    }
    write(&spool, vec![record(Class::Lifecycle, 999, 10)]);
    spool.settle(&[1..=60], &Saved::default()).unwrap();
    drop(spool);
    assert_ne!(open(&dir, 1 << 20).previous, Previous::Lost, "seed {seed}: not for a second time");
    lost
}

#[test]
fn a_damaged_file_opens_or_is_set_aside_and_told_and_nothing_panics() {
    let sound = written();
    let seeds = std::env::var("EMOTE_SPOOL_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let lost = (1..=seeds).filter(|seed| check(&sound, seed * 0x9E37_79B9)).count();
    assert!(lost > 0, "none of {seeds} was damaged enough");
}
