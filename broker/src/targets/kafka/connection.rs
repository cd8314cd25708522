//! A connection to one broker: with TLS, as somebody, one request at a time.
//!
//! It goes back to the others only after the answer of its last request was read: another one, given up in the midst of
//! something, would take this one's answer for its own.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    super::{
        dial::{self, Stream},
        wire::quote,
    },
    address::Address,
    failure::Failure,
    message::{self, API_VERSIONS, Api, SASL_AUTHENTICATE, SASL_HANDSHAKE, Versions},
    primitive::{Malformed, Reader, Writer},
    sasl::Login,
};

/// The largest answer, in bytes.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;
/// How long one is kept that nobody needs: what stands between may forget it after a while.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// The most steps of a login.
const MAX_STEPS: usize = 4;

/// How brokers are spoken to.
pub(super) struct How {
    /// None in plain text.
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) client_id: String,
    /// How long making a connection may take.
    pub(super) within: Duration,
}

pub(super) struct Connection {
    stream: Box<dyn Stream>,
    broker: Address,
    client_id: String,
    correlation: i32,
    versions: Versions,
    used: Instant,
    /// Before then the broker reads nothing: what is sent would be stored after it was given up.
    ready: Instant,
    /// When the login ends.
    until: Option<Instant>,
}

impl Connection {
    pub(super) async fn open(broker: &Address, how: &How, login: Option<&Login>) -> Result<Self, Failure> {
        let opening = async {
            let mut connection = Self::dial(broker, how).await?;
            connection.learn().await?;
            if let Some(login) = login {
                connection.log_in(login).await.map_err(Failure::in_login)?;
            }
            Ok(connection)
        };
        tokio::time::timeout(how.within, opening).await.unwrap_or_else(|_| Err(Failure::slow(broker, how.within)))
    }

    async fn dial(broker: &Address, how: &How) -> Result<Self, Failure> {
        let lost = |error| Failure::lost(broker, &error);
        let stream = dial::tcp(&broker.host, broker.port).await.map_err(lost)?;
        let stream: Box<dyn Stream> = match &how.tls {
            None => Box::new(stream),
            Some(config) => Box::new(dial::tls(&broker.host, Arc::clone(config), stream).await.map_err(lost)?),
        };
        let (broker, client_id) = (broker.clone(), how.client_id.clone());
        let (versions, now) = (Versions::default(), Instant::now());
        Ok(Self { stream, broker, client_id, correlation: 0, versions, used: now, ready: now, until: None })
    }

    pub(super) fn broker(&self) -> &Address {
        &self.broker
    }

    /// Whether it can be used once more.
    pub(super) async fn is_good(&mut self) -> bool {
        // Nothing is to come: what does come is the end, or nothing that was asked for.
        self.holds() && tokio::time::timeout(Duration::ZERO, self.stream.read_u8()).await.is_err()
    }

    /// Whether it may be used once more, as far as the time goes.
    pub(super) fn holds(&self) -> bool {
        let now = Instant::now();
        self.until.is_none_or(|until| now < until) && now.duration_since(self.used) < KEPT_FOR
    }

    /// Whether something can be sent at once.
    pub(super) fn is_ready(&self) -> bool {
        self.ready <= Instant::now()
    }

    /// From now on nothing is sent for so long.
    pub(super) fn rest(&mut self, time: Duration) {
        self.ready = Instant::now() + time;
    }

    /// Asks something, in the newest version that both speak; gives the answer and the version.
    pub(super) async fn ask(&mut self, api: &Api, body: impl FnOnce() -> Vec<u8>) -> Result<(Vec<u8>, i16), Failure> {
        let version = self.versions.of(api)?;
        Ok((self.exchange(api, version, &body()).await?, version))
    }

    async fn exchange(&mut self, api: &Api, version: i16, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let lost = |broker: &Address, error: &io::Error| Failure::lost(broker, error);
        if !self.is_ready() {
            tokio::time::sleep_until(self.ready.into()).await;
        }
        self.correlation = self.correlation.wrapping_add(1);
        let mut header = Writer::default();
        header.i16(api.key).i16(version).i32(self.correlation).text(Some(&self.client_id));
        let header = header.take();
        let mut request = Writer::default();
        let request = request.count(header.len().saturating_add(body.len())).raw(&header).raw(body).take();
        self.stream.write_all(&request).await.map_err(|error| lost(&self.broker, &error))?;
        self.stream.flush().await.map_err(|error| lost(&self.broker, &error))?;
        let answer = self.answer().await.map_err(|error| lost(&self.broker, &error))?;
        self.used = Instant::now();
        let malformed = |error| Failure::malformed(&self.broker, error);
        let is_its = Reader::new(&answer).i32().map_err(malformed)? == self.correlation;
        // The number was read: there are four bytes at least.
        is_its.then(|| answer.into_iter().skip(4).collect()).ok_or_else(|| malformed(Malformed))
    }

    async fn answer(&mut self) -> io::Result<Vec<u8>> {
        let length = self.stream.read_i32().await?;
        let length = u64::try_from(length).ok().filter(|length| *length <= MAX_ANSWER);
        let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, Malformed.to_string()))?;
        let mut answer = Vec::new();
        (&mut self.stream).take(length).read_to_end(&mut answer).await?;
        match answer.len() as u64 == length {
            true => Ok(answer),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    async fn learn(&mut self) -> Result<(), Failure> {
        let answer = self.exchange(&API_VERSIONS, *API_VERSIONS.versions.end(), &[]).await?;
        let versions = Versions::read(&answer).map_err(|error| Failure::malformed(&self.broker, error))?;
        self.versions = versions.map_err(|code| Failure::refused(code, None))?;
        Ok(())
    }

    async fn log_in(&mut self, login: &Login) -> Result<(), Failure> {
        let refused = |broker: &Address, reason: String| Failure::Login { broker: broker.to_string(), reason };
        let (answer, _) = self.ask(&SASL_HANDSHAKE, || message::sasl_handshake(login.mechanism())).await?;
        let refusal = message::handshaken(&answer).map_err(|error| Failure::malformed(&self.broker, error))?;
        if let Some((code, instead)) = refusal {
            let reason = format!("it takes {}, not {}", quote(&instead.join(", ")), login.mechanism());
            let is_told = !instead.is_empty();
            return Err(if is_told { refused(&self.broker, reason) } else { Failure::refused(code, None) });
        }
        let (mut said, mut stage) = login.begin().map_err(Failure::Lasting)?;
        for _ in 0..MAX_STEPS {
            let (answer, version) = self.ask(&SASL_AUTHENTICATE, || message::sasl_authenticate(&said)).await?;
            let answer = message::authenticated(&answer, version);
            let answer = answer.map_err(|error| Failure::malformed(&self.broker, error))?;
            if let Some(reason) = answer.refused {
                return Err(refused(&self.broker, reason));
            }
            match stage.answer(answer.said).map_err(|reason| refused(&self.broker, reason))? {
                Some(next) => (said, stage) = next,
                None => {
                    // Ended before the broker does it (KIP-368).
                    self.until = answer.life.map(|life| Instant::now() + life.mul_f32(0.85));
                    return Ok(());
                }
            }
        }
        Err(refused(&self.broker, "it does not come to an end".to_owned()))
    }
}
