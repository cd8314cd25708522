//! Secrets that can be told apart from everything else, and the search for places where they have got to.
//!
//! Whatever the harness keeps secret begins with [`PLANTED`], so that one search over what is left of a test finds any of
//! it: in logs, in streams as they lie on the disk, in stores. It is found as it is, in hexadecimal, percent-encoded (it has
//! no character that needs it) and in base64, as `Authorization: Basic` holds it.

use std::path::{Path, PathBuf};

use memchr::memmem::Finder;

/// How every secret of the harness begins.
pub const PLANTED: &str = "pl4nted-s3cret-";

/// A secret of this name.
pub fn planted(name: &str) -> String {
    format!("{PLANTED}{name}-7f3a")
}

/// Every form in which a planted secret may be found.
fn forms() -> Vec<Vec<u8>> {
    let plain = PLANTED.as_bytes();
    let hex = data_encoding::HEXLOWER.encode(plain).into_bytes();
    // Where in three bytes it begins decides how base64 writes it; what its neighbours take part in is left out.
    let base64 = (0..3).map(|before| {
        let text = data_encoding::BASE64.encode(&[&b"xx"[..before], plain].concat());
        text.into_bytes()[(before * 4).div_ceil(3)..text_end(before + plain.len())].to_vec()
    });
    [plain.to_vec(), hex].into_iter().chain(base64).collect()
}

/// How many characters of base64 the first bytes decide alone.
fn text_end(bytes: usize) -> usize {
    bytes * 4 / 3
}

/// The places in `text` where a planted secret is, each with what stands around it.
pub fn leaks_in(text: &[u8]) -> Vec<String> {
    let around = |at: usize| {
        let part = &text[at.saturating_sub(60)..(at + 60).min(text.len())];
        String::from_utf8_lossy(part).replace(|c: char| c.is_control(), " ")
    };
    forms().iter().flat_map(|form| Finder::new(form).find_iter(text).take(3).map(around).collect::<Vec<_>>()).collect()
}

/// The files under `folder` that hold one, but for those that are for it: what is in a folder `secrets`, and a
/// server's configuration beside its streams. Those must be their owner's alone.
pub fn leaks_under(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in files(folder) {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let leaks = leaks_in(&bytes);
        if leaks.is_empty() || (is_meant_for_it(&path) && is_private(&path)) {
            continue;
        }
        found.extend(leaks.into_iter().map(|leak| format!("{}: {leak}", path.display())));
    }
    found
}

fn is_meant_for_it(path: &Path) -> bool {
    let in_secrets = path.parent().is_some_and(|folder| folder.ends_with("secrets"));
    in_secrets || path.extension().is_some_and(|extension| extension == "conf")
}

fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o077 == 0)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let of_entry = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files(&entry.path()),
        Ok(kind) if kind.is_file() => vec![entry.path()],
        _ => Vec::new(),
    };
    entries.flat_map(of_entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form() {
        let secret = planted("token");
        for before in ["", "a", "ab", "user:", "nanomdm:", "abcdef"] {
            let text = format!("{before}{secret}");
            let encoded = [
                text.clone(),
                data_encoding::BASE64.encode(text.as_bytes()),
                data_encoding::BASE64URL_NOPAD.encode(text.as_bytes()),
                data_encoding::HEXLOWER.encode(text.as_bytes()),
            ];
            for text in encoded {
                assert!(!leaks_in(format!("x {text} y").as_bytes()).is_empty(), "{text}");
            }
        }
        assert!(leaks_in(b"planted, and secret, as this is").is_empty());
    }

    #[test]
    fn it_may_only_be_in_files_that_are_for_it_and_private() {
        let folder = tempfile::tempdir().unwrap();
        for (path, private, leaks) in [
            ("config/secrets/token", true, false),
            ("config/secrets/open", false, true),
            ("nats.conf", true, false),
            ("logs/broker.log", true, true),
            ("nats/jetstream/x/1.blk", true, true),
        ] {
            let path = folder.path().join(path);
            crate::private_file(&path, &planted("token"));
            if !private {
                use std::os::unix::fs::PermissionsExt;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            }
            assert_eq!(!leaks_under(folder.path()).is_empty(), leaks, "{}", path.display());
            std::fs::remove_file(&path).unwrap();
        }
    }
}
