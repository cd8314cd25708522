//! NATS as `emote init --secure` sets it up: what each credential can do, and above all what it cannot.

mod attack;
mod credentials;
mod mtls;
mod whole;

use emote::{
    bus::{Bus, BusSettings, StreamSettings},
    identity::files,
};
use emote_tests::Secure;

/// The streams as the broker makes them, on a server of this folder.
async fn streams(secure: &Secure) {
    let settings = BusSettings {
        servers: vec![secure.url()],
        name: "test".into(),
        credentials: Some(secure.file(files::BROKER)),
        user: None,
        token: None,
        ca: Some(secure.file(files::CA)),
        certificate: None,
        insecure: false,
    };
    let bus = Bus::connect(&settings).await.unwrap();
    bus.check_level().await.unwrap();
    bus.ensure_streams(&StreamSettings::default()).await.unwrap();
    bus.close().await;
}
