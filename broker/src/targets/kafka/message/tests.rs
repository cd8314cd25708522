use proptest::prelude::*;

use super::*;

/// What a broker of two says of a topic whose partitions have these leaders.
fn description(error: i16, leaders: &[(i32, i32)]) -> Vec<u8> {
    let mut answer = Writer::default();
    answer.i32(0).count(2);
    for (number, host) in [(1, "kafka-1"), (2, "kafka-2")] {
        answer.i32(number).text(Some(host)).i32(9092).text(None);
    }
    answer.text(Some("cluster")).i32(1).count(1).i16(error).text(Some("events")).i8(0).count(leaders.len());
    for (index, leader) in leaders {
        answer.i16(0).i32(*index).i32(*leader).count(1).i32(*leader).count(0);
    }
    answer.take()
}

#[test]
fn a_topic_has_partitions_with_leaders_in_their_order() {
    let found = described(&description(0, &[(1, 2), (0, 1), (2, -1)])).unwrap();
    assert_eq!(found.leaders, [1, 2, -1]);
    assert_eq!(found.brokers, [(1, "kafka-1".to_owned(), 9092), (2, "kafka-2".to_owned(), 9092)]);
    assert_eq!(described(&description(3, &[])).unwrap().error, Code::of(3));
}

#[test]
fn a_topic_that_lacks_a_partition_is_none() {
    assert_eq!(described(&description(0, &[(0, 1), (2, 2)])), Err(Malformed));
}

#[test]
fn the_newest_version_that_both_have_is_spoken() {
    let answer = Writer::default().i16(0).count(2).i16(0).i16(0).i16(7).i16(3).i16(9).i16(12).take();
    let versions = Versions::read(&answer).unwrap().unwrap();
    assert_eq!(versions.of(&PRODUCE), Ok(7));
    for api in [METADATA, SASL_HANDSHAKE] {
        assert!(versions.of(&api).unwrap_err().to_string().contains(api.name));
    }
    assert_eq!(Versions::read(&[0, 35]).unwrap(), Err(Code::of(35).unwrap()));
}

#[test]
fn what_became_of_a_batch_is_read_in_each_version() {
    for version in PRODUCE.versions {
        let mut answer = Writer::default();
        answer.count(1).text(Some("events")).count(2);
        for (partition, code) in [(0, 0), (4, 10)] {
            answer.i32(partition).i16(code).i64(77).i64(-1);
            if version >= 5 {
                answer.i64(0);
            }
            if version >= 8 {
                answer.count(1).i32(0).text(None).text(Some("too big"));
            }
        }
        let (found, rest) = stored(&answer.i32(20).take(), version).unwrap();
        assert_eq!(rest, Duration::from_millis(if version >= 6 { 20 } else { 0 }), "{version}");
        assert_eq!((found[0].partition, &found[0].offset), (0, &Ok(77)));
        let said = (version >= 8).then_some("too big");
        assert_eq!(found[1].offset, Err(Failure::refused(Code::of(10).unwrap(), said)), "{version}");
    }
}

#[test]
fn a_mechanism_that_is_not_taken_is_refused_with_those_that_are() {
    let answer = |code, taken: &[&str]| {
        let mut answer = Writer::default();
        answer.i16(code).count(taken.len());
        for mechanism in taken {
            answer.text(Some(mechanism));
        }
        answer.take()
    };
    assert_eq!(handshaken(&answer(0, &["PLAIN"])), Ok(None));
    let (unsupported, no_login) = (Code::of(33).unwrap(), Code::of(34).unwrap());
    assert_eq!(handshaken(&answer(33, &["PLAIN"])), Ok(Some((unsupported, vec!["PLAIN".to_owned()]))));
    assert_eq!(handshaken(&answer(34, &[])), Ok(Some((no_login, Vec::new()))));
}

#[test]
fn a_login_holds_as_long_as_the_broker_says() {
    let answer = |life| Writer::default().i16(0).text(None).bytes(b"v=").i64(life).take();
    for (life, expected) in [(0, None), (-1, None), (1500, Some(Duration::from_millis(1500)))] {
        assert_eq!(authenticated(&answer(life), 1).unwrap().life, expected);
    }
    assert_eq!(authenticated(&answer(1), 0).unwrap().life, None);
    let refused = Writer::default().i16(58).text(Some("no")).bytes(b"").take();
    assert_eq!(authenticated(&refused, 0).unwrap().refused.as_deref(), Some("SASL_AUTHENTICATION_FAILED (58): no"));
}

proptest! {
    #[test]
    fn no_answer_panics(bytes in any::<Vec<u8>>(), version in 0_i16..9) {
        let _ = Versions::read(&bytes);
        let _ = described(&bytes);
        let _ = stored(&bytes, version);
        let _ = handshaken(&bytes);
        let _ = authenticated(&bytes, version);
    }
}
