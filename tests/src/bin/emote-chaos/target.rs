//! The system at the other end: counts every request, and is often in trouble.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::Value;

use crate::check::Request;

/// Longer than any broker waits.
const SILENCE: Duration = Duration::from_secs(5);

/// The target.
pub(crate) struct Target {
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    seed: u64,
    trouble: f64,
    is_well: AtomicBool,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    requests: Vec<Request>,
    at: Vec<Instant>,
    tries: HashMap<String, u64>,
}

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Fine,
    Broken,
    /// 503 with `Retry-After`.
    Later,
    Silence,
    Close,
}

impl Target {
    /// Listens. `trouble` is the part of its answers that are none.
    pub(crate) async fn start(seed: u64, trouble: f64) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("listening for deliveries")?;
        let url = format!("http://{}", listener.local_addr().context("listening for deliveries")?);
        let shared = Shared { seed, trouble, is_well: AtomicBool::new(false), record: Mutex::default() };
        let shared = Arc::new(shared);
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, shared })
    }

    /// From now on it is in no trouble.
    pub(crate) fn recover(&self) {
        self.shared.is_well.store(true, Ordering::Relaxed);
    }

    /// How many requests it accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.record().requests.iter().filter(|request| request.status == 200).count()
    }

    /// Everything it saw, and when.
    pub(crate) fn record(&self) -> (Vec<Request>, Vec<Instant>) {
        let record = self.shared.record();
        (record.requests.clone(), record.at.clone())
    }
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By the seed, the job and which try it is: the same run is in the same trouble.
    fn answer(&self, job: &str, tries: u64) -> Answer {
        let mut hasher = DefaultHasher::new();
        (self.seed, job, tries).hash(&mut hasher);
        let number = hasher.finish();
        #[expect(clippy::cast_precision_loss, reason = "a number from 0 to 1")]
        let is_trouble = (number >> 11) as f64 / (1_u64 << 53) as f64 <= self.trouble;
        if self.is_well.load(Ordering::Relaxed) || !is_trouble {
            return Answer::Fine;
        }
        [Answer::Broken, Answer::Later, Answer::Silence, Answer::Close][usize::from(number.to_le_bytes()[0] % 4)]
    }
}

async fn receive(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let job = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let event = body["event"].as_str().unwrap_or_default().to_owned();
    let (place, tries) = {
        let mut record = shared.record();
        let tries = record.tries.entry(job.clone()).or_default();
        *tries += 1;
        let tries = *tries;
        let target = uri.path().trim_matches('/').to_owned();
        record.requests.push(Request { target, job: job.clone(), event, status: 0 });
        record.at.push(Instant::now());
        (record.requests.len() - 1, tries)
    };
    let answer = |status: u16| {
        if let Some(request) = shared.record().requests.get_mut(place) {
            request.status = status;
        }
        StatusCode::from_u16(status).unwrap_or_default()
    };
    if body["refuse"] == true {
        return answer(422).into_response();
    }
    match shared.answer(&job, tries) {
        Answer::Fine => answer(200).into_response(),
        Answer::Broken => answer(500).into_response(),
        Answer::Later => (answer(503), [("retry-after", "1")]).into_response(),
        Answer::Silence => {
            tokio::time::sleep(SILENCE).await;
            answer(504).into_response()
        }
        // Ends the connection's task without a word, and the connection with it.
        Answer::Close => std::panic::resume_unwind(Box::new("closed")),
    }
}
