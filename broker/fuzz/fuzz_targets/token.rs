//! A set of keys and a token, an empty line between them. Nothing panics, whatever either holds; what is taken says what
//! was expected of it. A set that is empty stands for one whose key signed the seeds.
#![no_main]

use std::cell::RefCell;

use emote::jwks::{Expected, Fetch, Jwks};
use emote_proto::Time;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

struct Given(Vec<u8>);

#[async_trait::async_trait]
impl Fetch for Given {
    async fn fetch(&self) -> Result<Vec<u8>, String> {
        Ok(self.0.clone())
    }
}

/// RFC 8037, A.1.
const KEYS: &[u8] = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

thread_local! {
    static RUNTIME: RefCell<Option<(Runtime, Jwks)>> = const { RefCell::new(None) };
}

fuzz_target!(|data: &[u8]| {
    let end = data.windows(2).position(|pair| pair == b"\n\n");
    let (set, token) = end.map_or((&data[..0], data), |end| (&data[..end], &data[end + 2..]));
    let Ok(token) = std::str::from_utf8(token) else { return };
    let expected = Expected::of("https://idp.example.com", "emote");
    let now = Time::from_millis(1_800_000_000_000).expect("a time");
    RUNTIME.with_borrow_mut(|runtime| {
        let (runtime, known) = runtime.get_or_insert_with(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            (runtime, Jwks::from(Given(KEYS.to_vec())))
        });
        let keys = if set.is_empty() { known.clone() } else { Jwks::from(Given(set.to_vec())) };
        if let Ok(claims) = runtime.block_on(keys.verify(token, &expected, now)) {
            assert_eq!(claims["iss"], "https://idp.example.com");
            assert!(claims["exp"].as_f64().is_some_and(|end| end > 1_799_999_900.0));
        }
    });
});
