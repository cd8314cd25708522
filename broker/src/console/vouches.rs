//! What the MDM says of serial numbers, as the broker that gives out credentials hears it: only it knows whose word counts.

use std::collections::BTreeMap;

use emote_proto::{Name, Serial, service};
use serde::{Deserialize, Serialize};

use crate::{
    bus::{Asked, Bus, BusError},
    core::Records,
    identity::Vouch,
    store::{Store, StoreError},
};

/// Serial numbers in one question at most.
const MAX_ASKED: usize = 500;

/// Asks what the MDM says of these.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct VouchesQuestion {
    /// At most 500.
    pub serials: Vec<Serial>,
}

/// What it says.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct VouchesAnswer {
    /// By serial number.
    pub vouches: BTreeMap<String, Vouch>,
    /// What went wrong, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What the MDM says of each of these. [`BusError::NoBroker`] where no broker gives out credentials.
pub async fn ask_vouches(bus: &Bus, serials: &[Serial]) -> Result<BTreeMap<String, Vouch>, BusError> {
    let mut vouches = BTreeMap::new();
    for some in serials.chunks(MAX_ASKED) {
        let question = VouchesQuestion { serials: some.to_vec() };
        let answer: VouchesAnswer = bus.ask(service::VOUCHES, &question).await?;
        if let Some(reason) = answer.error {
            return Err(BusError::Refused { doing: "asking the broker what the MDM says", reason });
        }
        vouches.extend(answer.vouches);
    }
    Ok(vouches)
}

pub(super) async fn answer(store: &Store, mdm: &[Name], asked: Asked) -> Result<(), BusError> {
    let refused = |error: String| VouchesAnswer { error: Some(error), ..VouchesAnswer::default() };
    let answer = match serde_json::from_slice::<VouchesQuestion>(&asked.payload) {
        Ok(question) if question.serials.len() > MAX_ASKED => refused("more than 500 at once".to_owned()),
        Ok(question) => match vouches(store, mdm, &question.serials) {
            Ok(vouches) => VouchesAnswer { vouches, error: None },
            Err(error) => refused(error),
        },
        Err(error) => refused(error.to_string()),
    };
    asked.answer(&answer).await
}

fn vouches(store: &Store, mdm: &[Name], serials: &[Serial]) -> Result<BTreeMap<String, Vouch>, String> {
    let snapshot = store.snapshot().map_err(|error: StoreError| error.to_string())?;
    let one = |serial: &Serial| {
        let node = snapshot.node(serial.as_str()).map_err(|error| error.to_string())?;
        Ok((serial.to_string(), Vouch::of(node.as_deref(), mdm)))
    };
    serials.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use emote_proto::Time;
    use serde_json::json;

    use super::*;
    use crate::core::{Changes, Node};

    #[test]
    fn only_the_word_of_the_mdms_that_are_named_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("s.redb")).unwrap();
        let at = Time::from_millis(7_000).unwrap();
        let mut node = Node { serial: Some("C02".to_owned()), ..Node::new("C02", at) };
        node.claim("jamf", "enrolled", json!(true), at);
        let changes =
            Changes { nodes: [("C02".to_owned(), Some(Arc::new(node)))].into_iter().collect(), ..Changes::default() };
        store.commit(&changes, 1, at).unwrap();
        let serials = ["C02", "C03"].map(|serial| Serial::new(serial).unwrap());
        for (mdm, of_c02) in [
            (&[][..], Vouch::Enrolled { since: at }),
            (&["jamf"], Vouch::Enrolled { since: at }),
            (&["nanomdm"], Vouch::Unknown),
        ] {
            let mdm: Vec<Name> = mdm.iter().map(|name| Name::new(*name).unwrap()).collect();
            let found = vouches(&store, &mdm, &serials).unwrap();
            assert_eq!(found, [("C02".to_owned(), of_c02), ("C03".to_owned(), Vouch::Unknown)].into(), "{mdm:?}");
            let json = serde_json::to_string(&VouchesAnswer { vouches: found.clone(), error: None }).unwrap();
            assert_eq!(serde_json::from_str::<VouchesAnswer>(&json).unwrap().vouches, found);
        }
    }
}
