//! Which hosts are this machine, where plain text is seen by nobody else.

/// Whether a host, without its port and with or without brackets, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_this_machine() {
        for (host, here) in [
            ("localhost", true),
            ("LOCALHOST", true),
            ("127.0.0.1", true),
            ("127.8.8.8", true),
            ("::1", true),
            ("[::1]", true),
            ("", false),
            ("0.0.0.0", false),
            ("[::]", false),
            ("[::1", false),
            ("localhost.example.com", false),
            ("127.example.com", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(host), here, "{host}");
        }
    }
}
