//! A wire between a program and its server that can be cut: what is on the way is lost, as when a network goes.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// How long a cut wire takes bytes that lead nowhere.
const DEAD: Duration = Duration::from_millis(60);

/// The wire; it passes bytes on until it is cut, and lets whoever connects again through.
pub struct Wire {
    /// `nats://127.0.0.1:PORT`, to be connected to instead of the server.
    pub url: String,
    cut: Arc<watch::Sender<u64>>,
}

impl Wire {
    /// A wire to this port of loopback.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let cut = Arc::new(watch::Sender::new(0));
        let cuts = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut cuts = cuts.subscribe();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    tokio::select! {
                        ended = copy_bidirectional(&mut near, &mut far) => drop(ended),
                        // For a moment it is not known to be dead: what is sent now is lost.
                        changed = cuts.changed() => {
                            drop(changed);
                            tokio::time::sleep(DEAD).await;
                        }
                    }
                });
            }
        });
        Self { url, cut }
    }

    /// Ends every connection; what it had not passed on is lost.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}
