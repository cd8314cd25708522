use super::cksum;

#[test]
fn checksums_are_those_of_the_cksum_program() {
    // As `printf … | cksum` prints them.
    for (bytes, sum) in [(&b""[..], 4_294_967_295), (b"123456789", 930_766_865), (b"emote\n", 3_079_753_309)] {
        assert_eq!(cksum(bytes), sum, "{bytes:?}");
    }
}
