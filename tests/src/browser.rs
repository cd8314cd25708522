//! A browser, as far as a console sees one: it keeps cookies, follows nothing by itself, and says from which page a form is.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use reqwest::{
    Method, RequestBuilder, Url,
    header::{HeaderMap, SET_COOKIE},
};
use serde_json::Value;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Answered {
    /// A header; empty where there is none.
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// The browser. Each has an address of its own on the loopback network.
pub struct Browser {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    http: reqwest::Client,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Browser {
    /// One that looks at this console.
    pub fn at(url: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let own = IpAddr::from(Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + n));
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .local_address(own)
            .pool_max_idle_per_host(0)
            // What a certificate says of its owner is not looked at here.
            .tls_danger_accept_invalid_certs(true)
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        Self { url: url.to_owned(), http, cookies: Mutex::default() }
    }

    /// Another one at the same address, without cookies.
    pub fn beside(&self) -> Self {
        Self { url: self.url.clone(), http: self.http.clone(), cookies: Mutex::default() }
    }

    /// Its cookies.
    pub fn cookies(&self) -> BTreeMap<String, String> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets a cookie.
    pub fn keep(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value.to_owned());
    }

    /// A request with the cookies; nothing is sent yet.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        let cookies: Vec<String> = self.cookies().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        request
    }

    /// Sends it, and keeps the cookies that come.
    pub async fn send(&self, request: RequestBuilder) -> Answered {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for set in headers.get_all(SET_COOKIE) {
            let (pair, rest) = set.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
            match rest.contains("Max-Age=0") {
                true => drop(cookies.remove(name)),
                false => drop(cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        Answered { status, headers, body: response.text().await.unwrap() }
    }

    /// Opens a page.
    pub async fn get(&self, path: &str) -> Answered {
        self.send(self.request(Method::GET, path).header("sec-fetch-site", "same-origin")).await
    }

    /// Sends a form from a page of the console's.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answered {
        self.send(self.form(path, form).header("origin", &self.url)).await
    }

    /// A form, without saying from where.
    pub fn form(&self, path: &str, form: &[(&str, &str)]) -> RequestBuilder {
        let body = serde_urlencoded::to_string(form).unwrap();
        self.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded").body(body)
    }

    /// Sends JSON as a script of the console's would, with the word of the session.
    pub async fn post_json(&self, path: &str, body: &Value) -> Answered {
        let word = self.word().await;
        let request = self.request(Method::POST, path).header("x-csrf-token", word).header("origin", &self.url);
        self.send(request.json(body)).await
    }

    /// The word that forms of this session carry.
    pub async fn word(&self) -> String {
        self.get("/api/v1/me").await.json()["csrf"].as_str().unwrap_or_default().to_owned()
    }

    /// Signs in at a provider as somebody with these claims; the answer to coming back.
    pub async fn sign_in_at(&self, idp: &crate::Idp, claims: &Value) -> Answered {
        let away = self.get("/login/oidc").await;
        assert_eq!(away.status, 303, "{away:?}");
        let query = idp.lets_in(&Url::parse(&away.header("location")).unwrap(), claims);
        self.come_back(&query).await
    }

    /// Comes back from the provider with this query.
    pub async fn come_back(&self, query: &[(String, String)]) -> Answered {
        self.get(&format!("/login/oidc/callback?{}", serde_urlencoded::to_string(query).unwrap())).await
    }
}
