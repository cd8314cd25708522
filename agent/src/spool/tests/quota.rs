//! A spool at its quota, for as long as nobody takes anything off it.

use super::*;

const QUOTA: u64 = 60_000;

/// Commits so many events, every third a heartbeat; their numbers go on from `from`.
fn outage(spool: &Spool, from: u64, count: u64) {
    for n in from..from + count {
        write(spool, vec![record(if n % 3 == 0 { Class::Heartbeat } else { Class::Lifecycle }, n, 400)]);
        assert!(spool.totals().bytes <= QUOTA + 600, "{:?}", spool.totals());
    }
}

fn keys(spool: &Spool) -> Vec<u64> {
    all(spool).iter().map(|(key, _)| *key).collect()
}

#[test]
fn one_gap_tells_of_all_that_a_long_outage_dropped() {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir, QUOTA).spool;
    outage(&spool, 1, 1_000);
    let spool = {
        drop(spool);
        open(&dir, QUOTA).spool
    };
    outage(&spool, 1_001, 500);
    let (gaps, kept) = (gaps(&spool), all(&spool));
    let [gap] = gaps.as_slice() else { panic!("{} gaps", gaps.len()) };
    let heartbeats = kept.iter().filter(|(_, record)| record.class == Class::Heartbeat).count() as u64;
    assert_eq!(gap.count, Some(1_500 - (kept.len() as u64 - 1)));
    assert_eq!(gap.heartbeats, Some(500 - heartbeats));
    assert_eq!(gap.first_sequence, Some(1));
    assert_eq!(gap.first_time.map(Time::as_millis), Some(1_700_000_000_001));
    assert!(gap.last_sequence > Some(1_000) && gap.last_time > gap.first_time, "{gap:?}");
}

#[test]
fn a_gap_that_may_be_on_its_way_is_left_as_it_is_and_another_begun() {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir, QUOTA).spool;
    outage(&spool, 1, 400);
    let told = gaps(&spool)[0].clone();
    let place = all(&spool).iter().position(|(_, record)| serde_json::from_slice::<Gap>(&record.json).is_ok()).unwrap();
    let key = keys(&spool)[place];
    let flight = Some(crate::uplink::Flight { first: key, last: key, tried_at: 0 });
    spool.settle(&[], &Saved { flight, ..Saved::default() }).unwrap();
    outage(&spool, 401, 400);
    let gaps_now = gaps(&spool);
    assert_eq!((gaps_now.len(), &gaps_now[0]), (2, &told));
    let lost = 800 + 2 - all(&spool).len() as u64;
    assert_eq!(gaps_now.iter().filter_map(|gap| gap.count).sum::<u64>(), lost);
    spool.settle(&[key..=key], &Saved::default()).unwrap();
    outage(&spool, 801, 400);
    assert_eq!(gaps(&spool).len(), 1, "the second goes on telling");
}
