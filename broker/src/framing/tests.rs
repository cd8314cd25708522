use proptest::prelude::*;

use super::*;

const MOST: usize = 16;

/// What becomes of these bytes, read so many at a time, with nothing behind them.
fn pieces(mut framer: Framer, bytes: &[u8], at_once: usize) -> Result<Vec<String>, FrameError> {
    let (mut buffer, mut pieces) = (BytesMut::new(), Vec::new());
    for chunk in bytes.chunks(at_once.max(1)) {
        buffer.extend_from_slice(chunk);
        while let Some(piece) = framer.next(&mut buffer)? {
            pieces.push(piece);
        }
        assert!(buffer.len() <= MOST + MAX_DIGITS + 1, "{} bytes are kept", buffer.len());
    }
    pieces.extend(framer.last(&mut buffer));
    let text = |piece| match piece {
        Piece::Message(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Piece::TooLong => "TOO LONG".to_owned(),
    };
    Ok(pieces.into_iter().map(text).collect())
}

#[test]
fn each_frame_tells_by_itself_how_it_ends() {
    for (bytes, expected) in [
        (&b"5 <1>ab6 <1>abc"[..], &["<1>ab", "<1>abc"][..]),
        (b"<1>ab\n<1>cd\0<1>ef", &["<1>ab", "<1>cd", "<1>ef"]),
        (b"<1>ab\r\n\n\n5 <1>a\n<1>z\n", &["<1>ab\r", "<1>a\n", "<1>z"]),
        (b"5 <1>ab\n<1>cd\n", &["<1>ab", "<1>cd"]),
        (b"0 5 <1>ab", &["", "<1>ab"]),
        (b"5 <1>", &[]),
        (b"12", &[]),
        (b"", &[]),
        (b"99 <1>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa5 <1>ab", &["TOO LONG", "<1>ab"]),
        (b"<1>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n<1>b\n", &["TOO LONG", "<1>b"]),
        (b"<1>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &["TOO LONG"]),
        (b"GET / HTTP/1.1\n", &["GET / HTTP/1.1"]),
    ] {
        for at_once in [1, 3, bytes.len()] {
            let at_once = at_once.min(MOST / 2);
            let found = pieces(Framer::syslog(MOST), bytes, at_once).unwrap();
            assert_eq!(found, expected, "{} by {at_once}", String::from_utf8_lossy(bytes));
        }
    }
    for bytes in [&b"5x<1>ab"[..], b"99999999999 <1>ab", b"5<1>ab"] {
        assert_eq!(pieces(Framer::syslog(MOST), bytes, 4), Err(FrameError), "{bytes:?}");
    }
    let gelf = pieces(Framer::gelf(MOST), b"{\"a\":\n1}\0[5] {}\0\0{}", 2).unwrap();
    assert_eq!(gelf, ["{\"a\":\n1}", "[5] {}", "{}"]);
}

proptest! {
    #[test]
    fn what_is_framed_is_found_again(
        messages in proptest::collection::vec("<[0-9]{1,3}>[ -~]{0,9}", 0..6), counts in any::<bool>(), at_once in 1..9_usize,
    ) {
        let frame = |message: &String| if counts { counted(message.as_bytes()) } else { trailed(message.as_bytes(), b'\n') };
        let bytes: Vec<u8> = messages.iter().flat_map(frame).collect();
        prop_assert_eq!(pieces(Framer::syslog(MOST), &bytes, at_once), Ok(messages));
    }

    #[test]
    fn no_bytes_are_kept_beyond_a_message(bytes in proptest::collection::vec(any::<u8>(), 0..400), at_once in 1..9_usize) {
        let _ = pieces(Framer::syslog(MOST), &bytes, at_once);
        let _ = pieces(Framer::gelf(MOST), &bytes, at_once);
    }
}
