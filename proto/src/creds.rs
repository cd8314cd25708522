//! A NATS credentials file: a user's JWT and the seed of its key, each between two lines of dashes. Pure.
//!
//! async-nats reads it too, with a regular expression that alone would make the agent a megabyte larger.

use nkeys::KeyPair;

/// What a file holds.
pub struct Credentials<'t> {
    /// The user's JWT, of which nothing was checked.
    pub jwt: &'t str,
    /// The user's key, with its seed: the secret.
    pub key: KeyPair,
}

/// Why a text is no such file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// Its first block is missing.
    #[error("there is no user JWT in it")]
    NoJwt,
    /// Its second block is missing.
    #[error("there is no seed in it")]
    NoSeed,
    /// Its second block holds something else.
    #[error("its seed is damaged")]
    Seed,
}

/// Reads a file's text.
pub fn parse(text: &str) -> Result<Credentials<'_>, CredentialsError> {
    let mut blocks = Blocks(text.lines());
    let jwt = blocks.next().ok_or(CredentialsError::NoJwt)?;
    let seed = blocks.next().ok_or(CredentialsError::NoSeed)?;
    Ok(Credentials { jwt, key: KeyPair::from_seed(seed).map_err(|_| CredentialsError::Seed)? })
}

/// The lines right behind a line that begins a block.
struct Blocks<'a>(std::str::Lines<'a>);

impl<'a> Iterator for Blocks<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.by_ref().map(str::trim).find(|line| line.starts_with("-----BEGIN "))?;
        self.0.next().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("---"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_parts_are_found_and_what_is_missing_is_told() {
        let user = KeyPair::new_user();
        let seed = user.seed().unwrap();
        let jwt = "-----BEGIN NATS USER JWT-----\r\na.b.c\r\n------END NATS USER JWT------\r\n";
        let key = format!("-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------");
        let text = format!("{jwt}\n*** IMPORTANT ***\n\n{key}");
        let found = parse(&text).unwrap();
        assert_eq!((found.jwt, found.key.public_key()), ("a.b.c", user.public_key()));
        for (text, error) in [
            (String::new(), CredentialsError::NoJwt),
            (jwt.to_owned(), CredentialsError::NoSeed),
            (format!("{jwt}{}", key.replace(&seed, "SUA")), CredentialsError::Seed),
        ] {
            assert_eq!(parse(&text).err(), Some(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn foreign_text_never_panics(text: String, lines in "(-----BEGIN |S|A|U|\n){0,20}") {
            let _ = (parse(&text).is_ok(), parse(&lines).is_ok());
        }
    }
}
