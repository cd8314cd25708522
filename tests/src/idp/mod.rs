//! A stand-in for an identity provider: OpenID Connect as far as a client sees it, with real keys, that keeps to the rules
//! (PKCE, codes that are good once) and signs whatever a test wants to be signed.

mod keys;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use keys::{Key, Signed};

use crate::planted;

/// What changes a token before it is signed.
type Twist = Box<dyn Fn(&mut Value) + Send>;

/// The stand-in; it listens as long as the test's runtime lives.
#[derive(Clone)]
pub struct Idp {
    /// Its issuer: `http://127.0.0.1:PORT`.
    pub issuer: String,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    issuer: String,
    keys: Vec<Key>,
    signs_with: usize,
    signed: Signed,
    codes: BTreeMap<String, Code>,
    count: u32,
    twist: Twist,
    document: Value,
    /// Why the last code was refused.
    refused: Option<&'static str>,
}

/// A code that was given out.
struct Code {
    challenge: String,
    redirect_uri: String,
    claims: Value,
}

/// Emote's id here.
pub const CLIENT: &str = "emote";

/// Emote's secret here, with letters that must be encoded on the way.
pub fn client_secret() -> String {
    planted("client: 5%+/")
}

impl Idp {
    /// One that signs with RS256.
    pub async fn start() -> Self {
        Self::signing(Signed::Rs256).await
    }

    /// One that signs so.
    pub async fn signing(signed: Signed) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize?tenant=1"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "code_challenge_methods_supported": ["S256"],
        });
        let shared = Shared {
            issuer: issuer.clone(),
            keys: vec![Key::new("first")],
            signs_with: 0,
            signed,
            codes: BTreeMap::new(),
            count: 0,
            twist: Box::new(|_| {}),
            document,
            refused: None,
        };
        let this = Self { issuer, shared: Arc::new(Mutex::new(shared)) };
        let router = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(async |State(idp): State<Self>| Json(idp.lock().document.clone())),
            )
            .route("/keys", get(keys_published))
            .route("/token", post(token))
            .with_state(this.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        this
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody with these claims signs in at the address to which Emote sent their browser: the query with which the
    /// browser comes back.
    pub fn lets_in(&self, authorize: &reqwest::Url, claims: &Value) -> Vec<(String, String)> {
        let asked: BTreeMap<String, String> = authorize.query_pairs().into_owned().collect();
        let fixed = [
            ("response_type", "code"),
            ("client_id", CLIENT),
            ("code_challenge_method", "S256"),
            ("scope", "openid profile email"),
            ("tenant", "1"),
        ];
        for (key, value) in fixed {
            assert_eq!(asked.get(key).map(String::as_str), Some(value), "{authorize}");
        }
        let mut shared = self.lock();
        shared.count += 1;
        let code = planted(&format!("code-{}", shared.count));
        let mut claims = claims.clone();
        claims["nonce"] = json!(asked["nonce"]);
        let challenge = asked["code_challenge"].clone();
        shared.codes.insert(code.clone(), Code { challenge, redirect_uri: asked["redirect_uri"].clone(), claims });
        vec![("code".to_owned(), code), ("state".to_owned(), asked["state"].clone())]
    }

    /// From now on tokens are changed so before they are signed.
    pub fn twist(&self, twist: impl Fn(&mut Value) + Send + 'static) {
        self.lock().twist = Box::new(twist);
    }

    /// From now on tokens are signed so.
    pub fn sign(&self, signed: Signed) {
        self.lock().signed = signed;
    }

    /// From now on tokens are signed with a new key; whether it is published too.
    pub fn rotate(&self, published: bool) {
        let mut shared = self.lock();
        shared.keys.push(if published { Key::new("next") } else { Key::secret("next") });
        shared.signs_with = shared.keys.len() - 1;
    }

    /// Changes what it says of itself.
    pub fn document(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.lock().document);
    }

    /// Why the last code was refused, if it was.
    pub fn refused(&self) -> Option<&'static str> {
        self.lock().refused
    }
}

async fn keys_published(State(idp): State<Idp>) -> Json<Value> {
    let keys: Vec<Value> = idp.lock().keys.iter().filter(|key| key.is_published()).flat_map(Key::public).collect();
    Json(json!({"keys": keys}))
}

async fn token(State(idp): State<Idp>, headers: HeaderMap, body: String) -> (StatusCode, Json<Value>) {
    let form = serde_urlencoded::from_str(&body).unwrap();
    let mut shared = idp.lock();
    match shared.redeem(&headers, &form) {
        Ok(token) => (StatusCode::OK, Json(json!({"id_token": token, "access_token": planted("access-token")}))),
        Err(why) => {
            shared.refused = Some(why);
            (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"})))
        }
    }
}

impl Shared {
    fn redeem(&mut self, headers: &HeaderMap, form: &BTreeMap<String, String>) -> Result<String, &'static str> {
        if client(headers) != Some((CLIENT.to_owned(), client_secret())) {
            return Err("another client");
        }
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if field("grant_type") != "authorization_code" {
            return Err("another grant");
        }
        let code = self.codes.remove(field("code")).ok_or("no such code, or used")?;
        if code.redirect_uri != field("redirect_uri") {
            return Err("another redirect");
        }
        if code.challenge != BASE64URL_NOPAD.encode(&Sha256::digest(field("code_verifier"))) {
            return Err("wrong verifier");
        }
        let now = jiff::Timestamp::now().as_second();
        let mut claims = json!({"iss": self.issuer, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 300});
        for (key, value) in code.claims.as_object().unwrap() {
            claims[key] = value.clone();
        }
        (self.twist)(&mut claims);
        Ok(self.keys[self.signs_with].sign(self.signed, &claims))
    }
}

/// Id and secret as a client sends them (RFC 6749, 2.3.1).
fn client(headers: &HeaderMap) -> Option<(String, String)> {
    let given = headers.get("authorization")?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(BASE64.decode(given.as_bytes()).ok()?).ok()?;
    let decoded = |text: &str| serde_urlencoded::from_str::<Vec<(String, String)>>(&format!("a={text}")).ok()?.pop();
    let (id, secret) = text.split_once(':')?;
    Some((decoded(id)?.1, decoded(secret)?.1))
}
