use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Value {
    parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}")).to_value()
}

#[test]
fn the_examples_of_rfc_5424_are_read_as_it_explains_them() {
    assert_eq!(
        read(
            "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed for lonvick on /dev/pts/8"
        ),
        json!({
            "format": "rfc5424", "facility": "auth", "severity": "crit", "level": 2, "time": "2003-10-11T22:14:15.003Z",
            "hostname": "mymachine.example.com", "app_name": "su", "msgid": "ID47",
            "message": "'su root' failed for lonvick on /dev/pts/8",
        })
    );
    assert_eq!(
        read("<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts."),
        json!({
            "format": "rfc5424", "facility": "local4", "severity": "notice", "level": 5,
            "time": "2003-08-24T12:14:15.000Z", "hostname": "192.0.2.1", "app_name": "myproc", "procid": "8710",
            "message": "%% It's time to make the do-nuts.",
        })
    );
    assert_eq!(
        read(
            r#"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"][examplePriority@32473 class="high"]"#
        ),
        json!({
            "format": "rfc5424", "facility": "local4", "severity": "notice", "level": 5,
            "time": "2003-10-11T22:14:15.003Z", "hostname": "mymachine.example.com", "app_name": "evntslog", "msgid": "ID47",
            "structured_data": {
                "exampleSDID@32473": {"iut": "3", "eventSource": "Application", "eventID": "1011"},
                "examplePriority@32473": {"class": "high"},
            },
            "message": "",
        })
    );
}

#[test]
fn what_a_sender_gets_wrong_costs_no_message() {
    let header = "<14>1 - host app - - ";
    for (behind, message, problem) in [
        ("-", "", None),
        ("- text", "text", None),
        ("-text", "-text", Some("there is no structured data, nor the - that stands for none")),
        (
            "text of an old device",
            "text of an old device",
            Some("there is no structured data, nor the - that stands for none"),
        ),
        ("[a b=\"c\"", "[a b=\"c\"", Some("structured data: an element is not closed")),
        ("[a b=\"c] x", "[a b=\"c] x", Some("structured data: a value is not closed")),
        ("[a b] x", "[a b] x", Some("structured data: a name without a value in quotes")),
        ("[ b=\"c\"] x", "[ b=\"c\"] x", Some("structured data: an element has no name")),
        ("[a b=\"c\"]x", "[a b=\"c\"]x", Some("structured data: something other than a space follows its end")),
        ("[a  b=\"\\\"\\]\\\\\\n\" b=\"2\"] x", "x", None),
    ] {
        let read = read(&format!("{header}{behind}"));
        assert_eq!((read["message"].as_str(), read["problem"].as_str()), (Some(message), problem), "{behind}");
        assert_eq!((&read["format"], &read["hostname"]), (&json!("rfc5424"), &json!("host")), "{behind}");
    }
    let several = read(&format!("{header}[a b=\"\\\"\\]\\\\\\n\" b=\"2\"][a c=\"3\"]"));
    assert_eq!(several["structured_data"], json!({"a": {"b": ["\"]\\\\n", "2"], "c": "3"}}));
}

#[test]
fn the_older_form_is_read_as_it_is_found() {
    let got = |text: &str| {
        let value = read(text);
        let of = |key: &str| value[key].as_str().unwrap_or("-").to_owned();
        [of("said_time"), of("time"), of("hostname"), of("app_name"), of("procid"), of("message")].join(" | ")
    };
    for (text, expected) in [
        (
            "<34>Oct 11 22:14:15 mymachine su: 'su root' failed",
            "Oct 11 22:14:15 | - | mymachine | su | - | 'su root' failed",
        ),
        ("<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!", "Feb  5 17:32:18 | - | 10.0.0.99 | - | - | Use the BFG!"),
        // A Mac's syslogd.
        (
            "<29>Nov 23 06:41:00 ada-mbp sshd-session[4711]: Accepted publickey for ada\n",
            "Nov 23 06:41:00 | - | ada-mbp | sshd-session | 4711 | Accepted publickey for ada",
        ),
        // A program to the syslogd of its own machine.
        ("<85>Nov 23 06:41:00 sudo[9]: ada : TTY=pts/0", "Nov 23 06:41:00 | - | - | sudo | 9 | ada : TTY=pts/0"),
        // Cisco's.
        (
            "<189>*Mar  1 2026 18:46:11.123: %SYS-5-CONFIG_I: Configured from console",
            "Mar  1 2026 18:46:11.123 | - | - | %SYS-5-CONFIG_I | - | Configured from console",
        ),
        // rsyslog's RSYSLOG_ForwardFormat.
        (
            "<30>2026-11-23T06:41:00.5+01:00 web-1 systemd[1]: Started.",
            "- | 2026-11-23T05:41:00.500Z | web-1 | systemd | 1 | Started.",
        ),
        // Python's SysLogHandler.
        ("<14>something happened\0", "- | - | - | - | - | something happened"),
        ("<14>1 error found", "- | - | - | - | - | 1 error found"),
        ("<14>see http://example.com: it", "- | - | - | - | - | see http://example.com: it"),
        ("<14>http://example.com", "- | - | - | - | - | http://example.com"),
        ("<0>", "- | - | - | - | - | "),
        ("<14>Oct 11", "- | - | - | - | - | Oct 11"),
        ("<14>Oct 11 22:14:15", "Oct 11 22:14:15 | - | - | - | - | "),
        ("<14>kernel[]: x", "- | - | - | kernel | - | x"),
    ] {
        assert_eq!(got(text), expected, "{text}");
    }
}

#[test]
fn what_does_not_begin_with_a_priority_is_no_message() {
    for (bytes, error) in [
        (&b""[..], ParseError::Empty),
        (b"\n\0\r\n", ParseError::Empty),
        (b"GET / HTTP/1.1", ParseError::NoPriority),
        (b"<192>x", ParseError::NoPriority),
        (b"<999>x", ParseError::NoPriority),
        (b"<>x", ParseError::NoPriority),
        (b"<+1>x", ParseError::NoPriority),
        (b"<0001>x", ParseError::NoPriority),
        (b"<1", ParseError::NoPriority),
        (b"\xff\xfe", ParseError::NoPriority),
    ] {
        assert_eq!(parse(bytes), Err(error), "{bytes:?}");
    }
    assert_eq!(parse(b"<191>\xff").unwrap().text, "\u{fffd}");
}

#[test]
fn words_and_numbers_name_facilities_and_severities() {
    for (text, expected) in [
        ("emerg", Some(0)),
        ("PANIC", Some(0)),
        ("error", Some(3)),
        ("warn", Some(4)),
        ("7", Some(7)),
        ("8", None),
        ("", None),
        ("loud", None),
    ] {
        assert_eq!(severity(text), expected, "{text}");
    }
    assert_eq!((facility("local7"), facility("24"), facility("Kern")), (Some(23), None, Some(0)));
    for number in 0..=191 {
        assert_eq!(Priority::of_number(number).map(Priority::number), Some(number));
    }
    assert_eq!(Priority::of_number(192), None);
}

#[test]
fn what_a_field_cannot_hold_moves_no_other_field() {
    let message = Message {
        hostname: Some("a b".to_owned()),
        app_name: Some("ä".repeat(60)),
        procid: Some(String::new()),
        msgid: Some("x\ny".to_owned()),
        structured_data: vec![Element {
            id: "a]=\" b".to_owned(),
            params: vec![("c d".to_owned(), "\"]\\\n".to_owned())],
        }],
        text: "tëxt".to_owned(),
        ..Message::new(Priority::new(1, 6).unwrap(), Form::Rfc5424)
    };
    let (line, cut) = message.write(1000).unwrap();
    assert_eq!(line, format!("<14>1 - a_b {} - x_y [a____b c_d=\"\\\"\\]\\\\\n\"] \u{feff}tëxt", "_".repeat(48)));
    assert_eq!(cut, None);
    let header = line.len() - "tëxt".len();
    assert_eq!(message.write(header), Err(HeaderTooLong(header)));
    let (short, cut) = message.write(header + 2).unwrap();
    assert!(short.ends_with("\u{feff}t"), "no half of a character: {short}");
    assert_eq!(cut, Some(line.len()));
}

fn field() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[!-,.-~][!-~]{0,31}")
}

prop_compose! {
    fn messages()(
        number in 0..=191_u8,
        millis in proptest::option::of(0..4_102_444_800_000_i64),
        (hostname, app_name, procid, msgid) in (field(), field(), field(), field()),
        structured_data in proptest::collection::vec(
            ("[!#-<>-Z^-~]{1,32}", proptest::collection::vec(("[!#-<>-Z^-~]{1,32}", any::<String>()), 0..3)), 0..3),
        text in any::<String>(),
    ) -> Message {
        let structured_data = structured_data.into_iter().map(|(id, params)| Element { id, params }).collect();
        let text = text.trim_end_matches(['\n', '\r', '\0']).trim_start_matches('\u{feff}').to_owned();
        Message {
            time: millis.map(|millis| Timestamp::from_millisecond(millis).unwrap()),
            hostname, app_name, procid, msgid, structured_data, text,
            ..Message::new(Priority::of_number(number).unwrap(), Form::Rfc5424)
        }
    }
}

proptest! {
    #[test]
    fn what_is_built_is_read_again(message in messages()) {
        let (line, cut) = message.write(usize::MAX).unwrap();
        prop_assert_eq!(cut, None);
        prop_assert_eq!(parse(line.as_bytes()), Ok(message));
    }

    #[test]
    fn nothing_is_longer_than_it_may_be(message in messages(), most in 0..300_usize) {
        match message.write(most) {
            Ok((line, cut)) => {
                prop_assert!(line.len() <= most);
                prop_assert_eq!(cut.is_some(), message.write(usize::MAX).unwrap().0.len() > most);
            }
            Err(HeaderTooLong(length)) => prop_assert!(length >= most),
        }
    }

    #[test]
    fn no_bytes_panic_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "<[0-9]{1,3}>(1 )?[ -~]{0,80}") {
        let _ = parse(&bytes);
        if let Ok(message) = parse(text.as_bytes()) {
            message.to_value();
        }
    }
}
