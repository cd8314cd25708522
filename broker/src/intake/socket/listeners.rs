//! The sockets of the sources in force: opened, replaced and closed as the configuration says. One that cannot be opened is
//! told and tried again; the others go on.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use emote_proto::Time;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

use super::{
    Reach, Socket, Sockets, datagram,
    plan::Transport,
    stream::{self, Serving},
    take::Intake,
};
use crate::{
    ingest::Source,
    listen::{LOOKED_AT_EVERY, Limited, ListenError, MAX_CONNECTIONS, Pair},
    outage::Outage,
    tasks::Tasks,
};

/// One that could not be opened is tried again this often.
const AGAIN_EVERY: Duration = Duration::from_secs(2);
/// And that is said this often.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Keeps a listener running for each socket of each source.
pub struct Listeners {
    reach: Reach,
    sockets: Sockets,
    /// By source and socket.
    tasks: Tasks<(String, String)>,
}

impl Listeners {
    /// None runs yet.
    pub fn new(reach: Reach) -> Self {
        Self { reach, sockets: Sockets::default(), tasks: Tasks::default() }
    }

    /// How they are doing; it changes as they do.
    pub fn sockets(&self) -> Sockets {
        self.sockets.clone()
    }

    /// From now on these sources listen, as their files say.
    pub async fn keep_to(&mut self, sources: &[(Arc<Source>, String)]) {
        let wanted = sources.iter().flat_map(|(source, file)| {
            source.sockets().iter().map(move |socket| {
                let key = (source.name().to_string(), socket.name());
                (key, (file.clone(), (source, socket)))
            })
        });
        let wanted: BTreeMap<_, _> = wanted.collect();
        let (reach, sockets) = (&self.reach, &self.sockets);
        let start = |(source, socket): (&Arc<Source>, &Socket), stop| {
            let name = source.name().as_str();
            sockets.forget(name, &socket.name());
            // It is known from now on, whatever becomes of it.
            sockets.change(name, &socket.name(), |_| {});
            run(Arc::new(Intake::new(Arc::clone(source), socket.clone(), reach.clone())), sockets.clone(), stop)
        };
        for (source, socket) in self.tasks.keep_to(wanted, start).await {
            sockets.forget(&source, &socket);
        }
    }

    /// Comes back when one has ended that was to go on: [`Self::keep_to`] starts it anew.
    pub async fn ended(&self) {
        self.tasks.ended().await;
    }

    /// Closes all of them.
    pub async fn stop(&mut self) {
        self.tasks.stop().await;
    }
}

/// Opens the socket, as often as it takes, and serves it until told to stop.
async fn run(intake: Arc<Intake>, sockets: Sockets, stop: CancellationToken) {
    let (source, socket) = (intake.source.name().to_string(), intake.socket.name());
    let mut outage = Outage::said_every(SAID_EVERY);
    let opened = loop {
        match Opened::open(&intake.socket).await {
            Ok(opened) => break opened,
            Err(error) => {
                let now = Time::from(jiff::Timestamp::now());
                sockets.change(&source, &socket, |report| {
                    (report.last_error, report.last_error_at) = (Some(error.to_string()), Some(now));
                });
                if outage.failed(Instant::now()).is_some() {
                    tracing::warn!(source, socket, %error, "a source does not listen; it is tried again");
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN_EVERY) => {}
        }
    };
    tracing::info!(source, socket, "a source listens");
    sockets.change(&source, &socket, |report| report.listens = true);
    let dropped = Arc::clone(&intake.dropped);
    let until_served = CancellationToken::new();
    let ended = until_served.clone();
    let serving = async {
        opened.serve(&intake, sockets.clone(), &stop).await;
        // What is dropped at the end is told too.
        until_served.cancel();
    };
    tokio::join!(serving, dropped.tell(ended));
}

/// A socket that is open.
enum Opened {
    Datagrams(UdpSocket),
    Stream(TcpListener, Option<Box<Pair>>),
}

impl Opened {
    async fn open(socket: &Socket) -> Result<Self, ListenError> {
        let failed = |error| ListenError::Bind { address: socket.address, error };
        if socket.transport == Transport::Udp {
            return Ok(Self::Datagrams(UdpSocket::bind(socket.address).await.map_err(failed)?));
        }
        let pair = socket.files.clone().map(|files| Pair::load(files).map(Box::new)).transpose()?;
        Ok(Self::Stream(TcpListener::bind(socket.address).await.map_err(failed)?, pair))
    }

    async fn serve(self, intake: &Arc<Intake>, sockets: Sockets, stop: &CancellationToken) {
        match self {
            Self::Datagrams(socket) => datagram::serve(intake, socket, stop).await,
            Self::Stream(listener, pair) => {
                let limited = Limited::new(MAX_CONNECTIONS);
                let tls = pair.as_ref().map(|pair| pair.config());
                let following = pair.map(|pair| tokio::spawn(pair.follow(LOOKED_AT_EVERY)));
                stream::serve(intake, Serving { listener, tls, limited, sockets }, stop).await;
                if let Some(following) = following {
                    following.abort();
                }
            }
        }
    }
}
