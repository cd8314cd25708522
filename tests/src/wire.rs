//! A wire between a program and its server that can be cut, parted and held: what a network does when it goes.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
};

/// How long a cut wire takes bytes that lead nowhere.
const DEAD: Duration = Duration::from_millis(60);
/// Bytes passed on at once.
const PIECE: usize = 16 * 1024;

/// What a wire does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Passes them on.
    Open,
    /// Passes them on, until the program is about to send this.
    OpenUpTo(&'static str),
    /// Keeps them until it is mended, as TCP does while packets are lost.
    Held,
    /// Ends every connection, and every new one at once.
    Parted,
}

#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    cuts: u64,
}

/// The wire; it passes bytes on until it is told otherwise, and lets whoever connects again through.
pub struct Wire {
    /// `nats://127.0.0.1:PORT`, to be connected to instead of the server.
    pub url: String,
    state: Arc<watch::Sender<State>>,
}

impl Wire {
    /// A wire to this port of loopback.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let state = Arc::new(watch::Sender::new(State { mode: Mode::Open, cuts: 0 }));
        let states = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let states = Arc::clone(&states);
                tokio::spawn(async move {
                    if states.borrow().mode == Mode::Parted {
                        return;
                    }
                    if let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await {
                        carry(near, far, &states).await;
                    }
                });
            }
        });
        Self { url, state }
    }

    /// Ends every connection; what it had not passed on is lost.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Ends every connection, and lets nobody through until it is mended.
    pub fn part(&self) {
        self.state.send_modify(|state| state.mode = Mode::Parted);
    }

    /// Passes nothing on until it is mended; nothing is lost, and nobody is told.
    pub fn hold(&self) {
        self.state.send_modify(|state| state.mode = Mode::Held);
    }

    /// Holds as soon as the program is about to send this text.
    pub fn hold_at(&self, text: &'static str) {
        self.state.send_modify(|state| state.mode = Mode::OpenUpTo(text));
    }

    /// Whether it passes nothing on.
    pub fn is_held(&self) -> bool {
        self.state.borrow().mode == Mode::Held
    }

    /// Whole again.
    pub fn mend(&self) {
        self.state.send_modify(|state| state.mode = Mode::Open);
    }
}

async fn carry(mut near: TcpStream, mut far: TcpStream, state: &watch::Sender<State>) {
    let mut states = state.subscribe();
    let cuts = states.borrow().cuts;
    let (near_in, near_out) = near.split();
    let (far_in, far_out) = far.split();
    let is_cut = tokio::select! {
        _ = pass(near_in, far_out, state, |piece| hold_before(state, piece)) => false,
        _ = pass(far_in, near_out, state, |_| ()) => false,
        gone = states.wait_for(|state| state.mode == Mode::Parted || state.cuts != cuts) => gone.is_ok(),
    };
    if is_cut {
        // For a moment it is not known to be dead: what is sent now is lost.
        tokio::time::sleep(DEAD).await;
    }
}

async fn pass(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    state: &watch::Sender<State>,
    look_at: impl Fn(&[u8]),
) -> Option<()> {
    let mut states = state.subscribe();
    let mut piece = vec![0; PIECE];
    loop {
        let read = from.read(&mut piece).await.ok().filter(|read| *read > 0)?;
        look_at(&piece[..read]);
        states.wait_for(|state| state.mode != Mode::Held).await.ok()?;
        to.write_all(&piece[..read]).await.ok()?;
    }
}

fn hold_before(state: &watch::Sender<State>, piece: &[u8]) {
    state.send_if_modified(|state| {
        let Mode::OpenUpTo(text) = state.mode else { return false };
        let found = piece.windows(text.len()).any(|part| part == text.as_bytes());
        if found {
            state.mode = Mode::Held;
        }
        found
    });
}
