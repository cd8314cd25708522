//! The table of the module's documentation.

use super::*;

const NOW: i64 = 1_000_000;

/// A window with `1..=3` tried at `NOW` and expectation 10.
fn tried() -> Window {
    let mut window = Window::restore(Saved { servers: "a".into(), expectation: 10, flight: None });
    assert_eq!(window.next(NOW), Step::Choose(MAX_MESSAGES));
    window.begin(&(1..=3), NOW);
    assert_eq!(window.next(NOW), Step::Try { range: 1..=3, expectation: 10 });
    window
}

fn in_doubt() -> Window {
    let mut window = tried();
    assert_eq!(window.reply(&Reply::Unknown("lost".into()), NOW, 0), Verdict::Open);
    assert!(matches!(window.next(NOW), Step::Wait(_)));
    window
}

fn full() -> Reply {
    Reply::Full("no space left on device".into())
}

fn check(mut window: Window, reply: &Reply, later: i64, verdict: &Verdict, expectation: u64) {
    assert_eq!(&window.reply(reply, NOW + later, 0), verdict, "{reply:?}");
    match window.next(NOW + later) {
        Step::Try { expectation: tried, .. } => assert_eq!(tried, expectation, "{reply:?}"),
        _ => assert_eq!(window.saved().expectation, expectation, "{reply:?}"),
    }
}

#[test]
fn answers_mean_what_the_table_says() {
    let (open, whole) = (Verdict::Open, Verdict::Stored(1..=3));
    let wrong = |last| Reply::WrongLast { last };
    check(tried(), &Reply::Stored { sequence: 13 }, 0, &whole, 13);
    check(tried(), &wrong(20), 0, &open, 20);
    check(tried(), &wrong(4), 0, &open, 4);
    check(tried(), &Reply::StoredFirst { sequence: 11 }, 0, &Verdict::Stored(1..=1), 11);
    check(in_doubt(), &Reply::Stored { sequence: 13 }, 5_000, &whole, 13);
    check(in_doubt(), &wrong(20), 5_000, &open, 20);
    check(in_doubt(), &wrong(4), 5_000, &open, 4);
    for window in [tried(), in_doubt()] {
        check(window.clone(), &Reply::Refused("later".into()), 5_000, &open, 10);
        check(window, &full(), 5_000, &open, UNKNOWN);
    }
    check(tried(), &Reply::TooLarge, 5_000, &open, 10);
    check(in_doubt(), &Reply::TooLarge, 5_000, &open, UNKNOWN);
    check(tried(), &Reply::Duplicate, 0, &open, UNKNOWN);
}

/// A doubt where the stream has one of the ids.
fn one_is_known() -> Window {
    let mut window = in_doubt();
    assert_eq!(window.reply(&Reply::Duplicate, NOW + 5_000, 0), Verdict::Open);
    assert_eq!(window.next(NOW + 5_000), Step::Ask(Question::Known, 1..=3));
    window
}

#[test]
fn a_flight_is_stored_where_its_last_id_is_known() {
    let mut window = one_is_known();
    for reply in [Reply::Unknown("lost".into()), Reply::Refused("later".into())] {
        assert_eq!(window.answered(3, &reply, NOW + 5_000, 0), Verdict::Open);
        window.connected(true);
        assert_eq!(window.next(NOW + 5_000), Step::Ask(Question::Known, 1..=3), "asked again");
    }
    assert_eq!(window.answered(3, &Reply::Duplicate, NOW + 60_000, 0), Verdict::Stored(1..=3));
    assert_eq!((window.saved().expectation, window.take_foreign()), (UNKNOWN, None));
}

#[test]
fn of_a_flight_whose_last_id_is_not_known_the_beginning_is_stored_or_it_was_forgotten() {
    let not_known = || {
        let mut window = one_is_known();
        assert_eq!(window.answered(3, &Reply::WrongLast { last: 20 }, NOW + 5_000, 0), Verdict::Open);
        assert_eq!(window.next(NOW + 5_000), Step::Try { range: 1..=3, expectation: 10 });
        window
    };
    let mut part = not_known();
    assert_eq!(part.reply(&Reply::Duplicate, NOW + 5_000, 0), Verdict::Open);
    let mut too_large = one_is_known();
    assert_eq!(too_large.answered(3, &Reply::TooLarge, NOW + 5_000, 0), Verdict::Open);
    for mut part in [part, too_large] {
        assert_eq!(part.next(NOW + 5_000), Step::Try { range: 1..=1, expectation: UNKNOWN });
        assert_eq!(part.reply(&Reply::WrongLast { last: 12 }, NOW + 5_000, 0), Verdict::Open);
        assert_eq!(part.next(NOW + 5_000), Step::Try { range: 1..=1, expectation: 12 });
        assert_eq!(part.reply(&Reply::Duplicate, NOW + 5_000, 0), Verdict::Stored(1..=1));
        assert_eq!(part.take_foreign(), None);
    }

    let mut forgotten = not_known();
    assert_eq!(forgotten.reply(&Reply::WrongLast { last: 13 }, NOW + YOUNG_MS, 0), Verdict::Open);
    assert_eq!(forgotten.next(NOW + YOUNG_MS), Step::Ask(Question::Last(13), 1..=3));

    let mut again = not_known();
    again.reply(&Reply::Unknown("lost".into()), NOW + 5_000, 0);
    again.reply(&Reply::Duplicate, NOW + 6_000, 0);
    assert_eq!(again.next(NOW + 60_000), Step::Ask(Question::Known, 1..=3), "the try between may have stored it");
}

#[test]
fn where_there_was_no_room_and_the_ids_are_forgotten_all_is_sent_again() {
    let mut tried = in_doubt();
    tried.reply(&full(), NOW + 20_000, 0);
    let mut asked = one_is_known();
    asked.answered(3, &full(), NOW + 20_000, 0);
    assert_eq!(asked.answered(3, &Reply::WrongLast { last: 12 }, NOW + 200_000, 0), Verdict::Open);
    for window in [tried, asked] {
        // Whether it was killed meanwhile or not.
        for mut window in [Window::restore(window.saved().clone()), window] {
            assert_eq!(window.next(NOW + 200_000), Step::Try { range: 1..=3, expectation: UNKNOWN });
            assert_eq!(window.reply(&Reply::WrongLast { last: 12 }, NOW + 200_000, 0), Verdict::Open);
            assert_eq!(window.next(NOW + 200_000), Step::Try { range: 1..=3, expectation: 12 });
            assert_eq!(window.reply(&Reply::Stored { sequence: 15 }, NOW + 200_000, 0), Verdict::Stored(1..=3));
            assert_eq!(window.take_foreign(), None);
        }
    }
}

#[test]
fn where_no_batch_can_be_sent_a_doubt_about_several_is_settled_once_it_is_old() {
    let later = NOW + YOUNG_MS;
    for no_batch in [Reply::NoBatches, Reply::Crowded] {
        let mut asked = one_is_known();
        assert_eq!(asked.answered(3, &no_batch, NOW + 5_000, 0), Verdict::Open);
        let mut tried = in_doubt();
        assert_eq!(tried.reply(&no_batch, NOW + 5_000, 0), Verdict::Open);
        for mut window in [asked, tried] {
            assert!(matches!(window.next(NOW + 5_000), Step::Wait(_)));
            assert_eq!(
                window.next(NOW + 60_000),
                Step::Try { range: 1..=3, expectation: 10 },
                "they may be taken again"
            );
            assert_eq!(window.next(later), Step::Ask(Question::Sequence, 1..=3));
            let answered = |reply: Reply| {
                let mut window = window.clone();
                let verdict = window.answered(3, &reply, later, 0);
                (verdict, window.next(later + 60_000))
            };
            let again = |expectation| (Verdict::Open, Step::Try { range: 1..=3, expectation });
            assert_eq!(answered(Reply::WrongLast { last: 10 }), again(10), "nothing was stored");
            assert_eq!(answered(Reply::WrongLast { last: 4 }), again(4), "purged");
            assert_eq!(answered(Reply::Duplicate).0, Verdict::Stored(1..=3), "as a cluster says");
            assert_eq!(answered(Reply::Refused("later".into())).1, Step::Ask(Question::Sequence, 1..=3));
            assert_eq!(answered(Reply::WrongLast { last: 13 }).1, Step::Ask(Question::Last(13), 1..=3));
            window.answered(3, &Reply::WrongLast { last: 13 }, later, 0);
            let mut other = window.clone();
            assert_eq!(window.answered(3, &Reply::WrongLast { last: 13 }, later, 0), Verdict::Stored(1..=3));
            assert_eq!(other.answered(3, &Reply::WrongLast { last: 9 }, later, 0), Verdict::Open);
            assert_eq!(other.next(later), Step::Try { range: 1..=3, expectation: 13 });
            assert_eq!(other.reply(&no_batch, later, 0), Verdict::Open);
            assert_eq!(other.next(later), Step::Try { range: 1..=1, expectation: 13 });
        }
    }
}

#[test]
fn what_is_not_in_the_spool_any_more_settles_nothing_about_the_rest() {
    let mut window = in_doubt();
    window.reply(&Reply::WrongLast { last: 13 }, NOW + YOUNG_MS, 0);
    assert_eq!(window.next(NOW + YOUNG_MS), Step::Ask(Question::Last(13), 1..=3));
    let mut gone = window.clone();
    window.unanswerable();
    assert_eq!(window.next(NOW + YOUNG_MS), Step::Try { range: 1..=3, expectation: 13 });
    assert_eq!(gone.vanished(), Verdict::Stored(1..=3));
    assert_eq!(
        (gone.saved().expectation, gone.take_foreign()),
        (UNKNOWN, None),
        "it may have been stored all the same"
    );
    let mut certain = tried();
    assert_eq!(certain.vanished(), Verdict::Stored(1..=3));
    assert_eq!(certain.saved().expectation, 10);
}

#[test]
fn a_crash_is_a_doubt() {
    let mut window = Window::restore(tried().saved().clone());
    assert_eq!(window.next(NOW + 1), Step::Try { range: 1..=3, expectation: 10 });
    assert_eq!(window.reply(&Reply::WrongLast { last: 13 }, NOW + YOUNG_MS, 0), Verdict::Open);
    assert_eq!(window.next(NOW + YOUNG_MS), Step::Ask(Question::Last(13), 1..=3));
    let last = Reply::WrongLast { last: 13 };
    assert_eq!(window.answered(3, &last, NOW + YOUNG_MS, 0), Verdict::Stored(1..=3));
    assert_eq!((window.saved().expectation, window.take_foreign()), (13, None));
}

/// An old doubt where the last sequence is `found` and that of the last event's subject `last`, of three events.
fn asked(found: u64, last: u64) -> (Verdict, u64, Option<Foreign>) {
    let mut window = in_doubt();
    for later in [-1, YOUNG_MS] {
        let mut window = window.clone();
        assert_eq!(window.reply(&Reply::WrongLast { last: found }, NOW + later, 0), Verdict::Open);
        assert_eq!(window.next(NOW + 200_000), Step::Ask(Question::Last(found), 1..=3));
    }
    window.reply(&Reply::WrongLast { last: found }, NOW + YOUNG_MS, 0);
    assert_eq!(window.answered(3, &Reply::Unknown("lost".into()), NOW + YOUNG_MS, 0), Verdict::Open);
    assert_eq!(window.next(NOW + 200_000), Step::Ask(Question::Last(found), 1..=3), "asked again");
    let verdict = window.answered(3, &Reply::WrongLast { last }, NOW + YOUNG_MS, 0);
    (verdict, window.saved().expectation, window.take_foreign())
}

#[test]
fn an_old_doubt_is_stored_only_where_the_last_message_can_be_its_own() {
    let foreign = |found| Some(Foreign { expected: 10, found });
    assert_eq!(asked(13, 13), (Verdict::Stored(1..=3), 13, None));
    assert_eq!(asked(500, 500), (Verdict::Stored(1..=3), 500, None), "others write in between");
    assert_eq!(asked(20, 13), (Verdict::Open, 20, foreign(20)), "the last message is of another kind");
    assert_eq!(asked(20, 0), (Verdict::Open, 20, foreign(20)));
    assert_eq!(asked(12, 12), (Verdict::Open, 12, foreign(12)), "three do not fit in two");
}

#[test]
fn once_somebody_else_was_seen_no_old_doubt_is_taken_for_stored() {
    let mut window = tried();
    window.reply(&Reply::WrongLast { last: 20 }, NOW, 0);
    assert_eq!(window.take_foreign(), Some(Foreign { expected: 10, found: 20 }));
    assert_eq!(window.take_foreign(), None, "told once");
    window.reply(&Reply::Unknown("lost".into()), NOW, 0);
    window.reply(&Reply::WrongLast { last: 30 }, NOW + YOUNG_MS, 0);
    assert_eq!(window.answered(3, &Reply::WrongLast { last: 30 }, NOW + YOUNG_MS, 0), Verdict::Open);
    assert_eq!(window.next(NOW + 200_000), Step::Try { range: 1..=3, expectation: 30 });
}

#[test]
fn what_needs_nobody_else_is_not_blamed_on_one() {
    let wrong = |last| Reply::WrongLast { last };
    // A purge, a first connection, an own doubt whose ids tell.
    for (mut window, replies) in [
        (tried(), vec![wrong(4), Reply::Stored { sequence: 7 }]),
        (Window::restore(Saved::default()), vec![wrong(500), Reply::Stored { sequence: 501 }]),
        (in_doubt(), vec![wrong(13), Reply::Duplicate]),
        (tried(), vec![full(), wrong(12), Reply::Stored { sequence: 15 }]),
        (in_doubt(), vec![Reply::Stored { sequence: 13 }]),
    ] {
        if window.saved().flight.is_none() {
            window.begin(&(1..=1), NOW);
        }
        for reply in replies {
            window.reply(&reply, NOW + 10, 0);
        }
        assert_eq!(window.take_foreign(), None);
    }
    let mut lost = in_doubt();
    lost.reply(&wrong(20), NOW + 10, 0);
    lost.reply(&Reply::Stored { sequence: 23 }, NOW + 20, 0);
    assert_eq!(lost.take_foreign(), Some(Foreign { expected: 10, found: 20 }), "the ids were not there");
}

#[test]
fn a_fresh_spool_asks_with_one_event_before_it_sends_more() {
    let mut window = Window::restore(Saved::default());
    assert_eq!(window.next(NOW), Step::Choose(1));
    window.begin(&(1..=1), NOW);
    assert_eq!(window.next(NOW), Step::Try { range: 1..=1, expectation: UNKNOWN });
    window.reply(&Reply::Unknown("lost".into()), NOW, 0);
    window.connected(true);
    // Long after, and others have written: still not taken for stored.
    assert_eq!(window.reply(&Reply::WrongLast { last: 500 }, NOW + 10 * YOUNG_MS, 0), Verdict::Open);
    assert_eq!(window.next(NOW + 10 * YOUNG_MS), Step::Try { range: 1..=1, expectation: 500 });
}

#[test]
fn an_event_too_large_is_found_and_given_up_alone() {
    let mut window = tried();
    assert_eq!(window.reply(&Reply::TooLarge, NOW, 0), Verdict::Open);
    assert_eq!(window.next(NOW), Step::Try { range: 1..=1, expectation: 10 });
    assert_eq!(window.reply(&Reply::TooLarge, NOW, 0), Verdict::Refused(1));
    assert_eq!(window.next(NOW), Step::Choose(2));
    assert_eq!(window.saved().expectation, 10);
}

#[test]
fn another_server_is_begun_with_anew() {
    let saved = tried().saved().clone();
    assert_eq!(saved.clone().for_servers("a"), saved);
    assert_eq!(saved.for_servers("b"), Saved { servers: "b".into(), ..Saved::default() });
}

#[test]
fn servers_of_which_one_stays_are_the_same_system() {
    let saved = Saved { servers: "a,b".into(), ..tried().saved().clone() };
    for servers in ["b,a", "b", "a,b,c", "c,b"] {
        let expected = Saved { servers: servers.into(), ..saved.clone() };
        assert_eq!(saved.clone().for_servers(servers), expected, "{servers}: what is in flight would be sent twice");
    }
    assert_eq!(saved.for_servers("c").flight, None);
}

#[test]
fn a_clock_set_back_does_not_stop_the_uplink() {
    let mut window = in_doubt();
    let Step::Wait(until) = window.next(0) else { panic!("waits") };
    assert!(until <= 120_000, "{until}");
}
