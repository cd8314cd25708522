//! A process of its own that commits: killed at any moment, or with no room for its file.
//!
//! The process is this test program, which runs [`child`] alone and is told by its environment what to do.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

const FOLDER: &str = "EMOTE_SPOOL_CHILD";
/// Takes nothing off.
const KEEPS: &str = "EMOTE_SPOOL_KEEPS";
const QUOTA: u64 = 64 << 20;

/// `prefix` is a shell's, before the program is started in its place.
fn start(dir: &TempDir, prefix: &str) -> Child {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{prefix} exec \"$0\" --exact spool::tests::process::child --nocapture"))
        .arg(program);
    command.env(FOLDER, dir.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// The numbers that it said were on the disk.
fn numbers(child: &mut Child) -> impl Iterator<Item = u64> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    lines.filter_map(|line| line.strip_prefix("written ")?.parse().ok())
}

/// Commits numbers, each two records and a snapshot, and says so; takes what is old off again. Ends when a commit fails.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(FOLDER) else { return };
    let spool = Spool::open(Path::new(&dir), QUOTA, now(), teller()).unwrap().spool;
    let first = number(&spool).map_or(1, |number| number + 1);
    for number in first.. {
        let records = [1, 2].map(|n| record(Class::Lifecycle, number * 2 + n, 300)).to_vec();
        let snapshots = vec![("disk".to_owned(), number.to_le_bytes().to_vec())];
        if let Err(error) = spool.commit(&Commit { records, snapshots, run: None }) {
            println!("failed {error}");
            return;
        }
        println!("written {number}");
        std::io::stdout().flush().unwrap();
        if number % 50 == 0 && std::env::var_os(KEEPS).is_none() {
            let last = 2 * number - 40;
            spool.settle(&[1..=last], &Saved { expectation: last, ..Saved::default() }).unwrap();
        }
    }
}

fn number(spool: &Spool) -> Option<u64> {
    spool.snapshot("disk").unwrap().map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()))
}

/// Everything that is there belongs together, and is no less than what was said to be written.
fn check(spool: &Spool, said: u64) {
    let last = number(spool).unwrap_or(0);
    assert!(last >= said, "{said} was written, {last} is there");
    let taken = spool.saved().unwrap().expectation;
    let first = if taken == crate::uplink::UNKNOWN { 1 } else { taken + 1 };
    let records = all(spool);
    let keys: Vec<u64> = records.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, (first..=2 * last).collect::<Vec<_>>(), "two for each number");
    assert!(
        records.iter().all(|(key, kept)| *kept == record(Class::Lifecycle, (key - 1) / 2 * 2 + 3 + (key - 1) % 2, 300))
    );
    assert_eq!(spool.totals().count, records.len() as u64);
}

#[test]
fn a_process_that_is_killed_at_any_moment_has_written_what_it_said() {
    let (dir, begun) = (TempDir::new().unwrap(), Instant::now());
    let (mut rounds, mut said) = (0, 0);
    while rounds < 5 || begun.elapsed() < Duration::from_secs(3) {
        let mut child = start(&dir, "");
        let mut numbers = numbers(&mut child);
        // The process is quick or slow: where in a commit this ends is up to chance.
        let enough = begun.elapsed().subsec_nanos() % 90;
        said = numbers.by_ref().take(enough as usize + 1).last().unwrap_or(said);
        child.kill().unwrap();
        said = numbers.last().unwrap_or(said);
        child.wait().unwrap();
        let Opened { spool, previous } = open(&dir, QUOTA);
        assert_ne!(previous, Previous::Lost);
        check(&spool, said);
        rounds += 1;
    }
    assert!(said > 5, "{rounds} rounds, {said} written");
}

#[test]
fn a_process_without_room_for_its_file_fails_and_goes_on_once_there_is_room() {
    let dir = TempDir::new().unwrap();
    // In blocks of 512 bytes; the signal that comes with it must not end the process.
    let mut child = start(&dir, "trap '' XFSZ; ulimit -f 5000; EMOTE_SPOOL_KEEPS=1");
    let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).collect();
    assert!(child.wait().unwrap().success());
    let said = lines.iter().filter_map(|line| line.strip_prefix("written ")?.parse::<u64>().ok()).next_back().unwrap();
    assert!(lines.iter().any(|line| line.starts_with("failed")), "{said}");
    let spool = open(&dir, QUOTA).spool;
    assert_eq!(number(&spool), Some(said), "what failed was not written");
    check(&spool, said);
    write(&spool, vec![record(Class::Lifecycle, 1, 10)]);
}
