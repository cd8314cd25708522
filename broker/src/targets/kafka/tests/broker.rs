//! A broker of one, which answers as it is told.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::super::primitive::{Reader, Writer};

/// What is before the records of a batch, in bytes.
const HEADER: usize = 61;

pub(super) struct Broker {
    pub(super) address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What it calls itself, in place of its address.
    host: Option<String>,
    partitions: Vec<i32>,
    /// Where it says that broker 1 is.
    other: Option<u16>,
    requests: BTreeMap<&'static str, usize>,
    /// Codes with which batches are answered next.
    codes: VecDeque<i16>,
    /// A batch that holds this is refused.
    refused: Option<String>,
    /// The keys of the records that it has.
    stored: Vec<String>,
    throttle: i32,
    /// Whether it refuses whoever logs in, or closes the connection upon it.
    login: Login,
    /// How many times it closes the connection in place of an answer to `Produce`.
    hang_up: usize,
}

/// What becomes of a login.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) enum Login {
    #[default]
    Taken,
    Refused,
    Cut,
}

impl Broker {
    /// With so many partitions, each with its leader: 0 is this broker, 1 the one that it names beside itself.
    pub(super) async fn start(partitions: &[i32]) -> Self {
        let state = State { partitions: partitions.to_vec(), ..State::default() };
        Self::serving(state, |stream, port, state| async move { serve(stream, port, &state).await.unwrap_or_default() })
            .await
    }

    pub(super) async fn answering_http() -> Self {
        Self::serving(State::default(), |mut stream, _, _| async move {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        })
        .await
    }

    async fn serving<F, S>(state: State, serve: S) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
        S: Fn(TcpStream, u16, Arc<Mutex<State>>) -> F + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, state) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(state)));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, port, Arc::clone(&shared)));
            }
        });
        Self { address: format!("127.0.0.1:{port}"), state }
    }

    pub(super) fn requests(&self, name: &str) -> usize {
        self.state.lock().unwrap().requests.get(name).copied().unwrap_or_default()
    }

    pub(super) fn stored(&self) -> Vec<String> {
        self.state.lock().unwrap().stored.clone()
    }

    pub(super) fn answer_with(&self, codes: &[i16]) {
        self.state.lock().unwrap().codes.extend(codes);
    }

    pub(super) fn refuse_batches_with(&self, key: &str) {
        self.state.lock().unwrap().refused = Some(key.to_owned());
    }

    pub(super) fn throttle(&self, millis: i32) {
        self.state.lock().unwrap().throttle = millis;
    }

    pub(super) fn hang_up(&self, times: usize) {
        self.state.lock().unwrap().hang_up = times;
    }

    pub(super) fn answer_logins(&self, login: Login) {
        self.state.lock().unwrap().login = login;
    }

    /// From now on the cluster has another broker, on this port.
    pub(super) fn name_another(&self, port: u16) {
        self.state.lock().unwrap().other = Some(port);
    }

    pub(super) fn call_itself(&self, host: &str) {
        self.state.lock().unwrap().host = Some(host.to_owned());
    }
}

async fn serve(mut stream: TcpStream, port: u16, state: &Mutex<State>) -> std::io::Result<()> {
    loop {
        let length = stream.read_i32().await?;
        let mut request = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut request).await?;
        let Some(answer) = state.lock().unwrap().answer(&request, port) else { return Ok(()) };
        stream.write_all(&Writer::default().bytes(&answer).take()).await?;
    }
}

impl State {
    fn answer(&mut self, request: &[u8], port: u16) -> Option<Vec<u8>> {
        let mut request = Reader::new(request);
        let (key, version) = (request.i16().unwrap(), request.i16().unwrap());
        let mut answer = Writer::default();
        answer.i32(request.i32().unwrap());
        assert_eq!(request.text().unwrap(), "emote");
        let name = match (key, version) {
            (18, 0) => {
                answer.i16(0).count(4).i16(0).i16(0).i16(7).i16(3).i16(0).i16(9);
                answer.i16(17).i16(0).i16(1).i16(36).i16(0).i16(2);
                "ApiVersions"
            }
            (3, 4) => {
                self.describe(&mut answer, port);
                "Metadata"
            }
            (17, 1) => {
                let is_known = request.text().unwrap() == "PLAIN";
                answer.i16(if is_known { 0 } else { 33 }).count(1).text(Some("PLAIN"));
                "SaslHandshake"
            }
            (36, 1) if self.login == Login::Cut => return None,
            (36, 1) => {
                let is_taken = self.login == Login::Taken && request.bytes().unwrap() == b"\0emote\0t0ken-hunter2";
                answer.i16(if is_taken { 0 } else { 58 }).text((!is_taken).then_some("no")).bytes(b"").i64(0);
                "SaslAuthenticate"
            }
            (0, 7) if self.hang_up > 0 => {
                self.hang_up -= 1;
                return None;
            }
            (0, 7) => {
                self.store(&mut request, &mut answer);
                "Produce"
            }
            other => panic!("nobody asks for {other:?}"),
        };
        *self.requests.entry(name).or_default() += 1;
        Some(answer.take())
    }

    fn describe(&self, answer: &mut Writer, port: u16) {
        let host = self.host.as_deref().unwrap_or("127.0.0.1");
        let brokers: Vec<u16> = [port].into_iter().chain(self.other).collect();
        answer.i32(0).count(brokers.len());
        for (number, port) in (0..).zip(brokers) {
            answer.i32(number).text(Some(host)).i32(port.into()).text(None);
        }
        answer.text(None).i32(0).count(1).i16(0).text(Some("events")).i8(0).count(self.partitions.len());
        for (at, leader) in (0..).zip(&self.partitions) {
            answer.i16(0).i32(at).i32(*leader).count(0).count(0);
        }
    }

    fn store(&mut self, request: &mut Reader<'_>, answer: &mut Writer) {
        assert_eq!(request.nullable_text().unwrap(), None, "no transaction");
        assert_eq!(request.i16().unwrap(), -1, "acks");
        request.i32().unwrap();
        let batches = request
            .array(|request| {
                let topic = request.text()?;
                request.array(|request| Ok((topic.clone(), request.i32()?, request.bytes()?.to_vec())))
            })
            .unwrap();
        let batches: Vec<_> = batches.into_iter().flatten().collect();
        answer.count(batches.len());
        for (topic, partition, batch) in batches {
            let text = String::from_utf8_lossy(&batch[HEADER..]).into_owned();
            let refused = self.refused.as_ref().is_some_and(|refused| text.contains(&format!("/{refused}")));
            let code = self.codes.pop_front().unwrap_or(if refused { 10 } else { 0 });
            let offset = i64::try_from(self.stored.len()).unwrap();
            if code == 0 {
                self.stored.extend(keys(&batch));
            }
            answer.text(Some(&topic)).count(1).i32(partition).i16(code).i64(offset).i64(-1).i64(0);
        }
        answer.i32(self.throttle);
    }
}

/// The keys of a batch's records, none of which is longer than 63 bytes.
fn keys(batch: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = &batch[HEADER..];
    while !rest.is_empty() {
        // Two bytes of length, the attributes, the delta of the time in any number of bytes, that of the offset, the key.
        let length = usize::from(rest[0] & 0x7f) | usize::from(rest[1]) << 7;
        let (record, after) = rest[2..].split_at(length / 2);
        let time = 1 + record[1..].iter().take_while(|byte| **byte & 0x80 != 0).count();
        let key = &record[1 + time + 1..];
        found.push(String::from_utf8(key[1..=usize::from(key[0] / 2)].to_vec()).unwrap());
        rest = after;
    }
    found
}
