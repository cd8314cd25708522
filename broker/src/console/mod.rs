//! Where people meet Emote: questions over NATS and their answers (what only the store knows, what each broker is doing),
//! what is found out for them ([`view`]), and the orders that they give ([`order`]). The command line and the pages stand on it.

pub(crate) mod ask;
mod brokers;
pub(crate) mod deploys;
pub mod http;
pub(crate) mod order;
pub(crate) mod view;
mod vouches;

use std::sync::Arc;

use emote_proto::{Name, Time, Trust, service};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    bus::{Asked, BusError, Questions},
    core::{Node, Records},
    ops::Watched,
    store::{Store, StoreError},
};

pub use brokers::{BrokerReport, SourceReport, TalliesAnswer, TalliesQuestion, TargetReport, ask_brokers, ask_tallies};
pub use vouches::{VouchesAnswer, VouchesQuestion, ask_vouches};

/// Nodes in one page at most, and bytes of their records: a reply must fit into a message.
const PAGE: usize = 200;
const PAGE_BYTES: usize = 512 * 1024;

/// Asks for a page of nodes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct NodesQuestion {
    /// Only nodes whose key comes after this one.
    #[serde(default)]
    pub after: String,
}

/// A page of nodes, in order of their keys.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct NodesAnswer {
    /// Key and record of each.
    pub nodes: Vec<NodeRecord>,
    /// Whether there are more after the last.
    pub more: bool,
    /// What went wrong, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Asks for one node.
#[derive(Debug, Serialize, Deserialize)]
pub struct NodeQuestion {
    /// Serial number or UDID.
    pub key: String,
}

/// One node, or none.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct NodeAnswer {
    /// The node.
    pub node: Option<NodeRecord>,
    /// What went wrong, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A node as rules see it, with its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Serial number, or UDID where only that is known.
    pub key: String,
    /// See [`Node::view`].
    pub record: Value,
}

impl From<Node> for NodeRecord {
    fn from(node: Node) -> Self {
        Self { record: node.view().to_value(), key: node.key }
    }
}

/// Answers for a broker until told to stop. `id` is a word that no other broker has, `started` when it began. `mdm` are the
/// sources whose word on a Mac counts, where this broker gives out credentials.
pub async fn answer(
    watched: Watched,
    (id, started): (String, Time),
    mdm: Option<Vec<Name>>,
    shutdown: CancellationToken,
) -> Result<(), BusError> {
    let (bus, store) = (&watched.bus, &watched.store);
    let mut nodes = bus.questions(service::NODES).await?;
    let mut node = bus.questions(service::NODE).await?;
    let mut deploys = bus.questions(service::DEPLOYS).await?;
    let mut brokers = bus.questions_to_all(service::BROKERS).await?;
    let mut tallies = bus.questions_to_all(service::tallies(&id)).await?;
    let mut vouches = match &mdm {
        Some(_) => Some(bus.questions(service::VOUCHES).await?),
        None => None,
    };
    loop {
        let asked = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            asked = nodes.next() => asked,
            asked = node.next() => asked,
            asked = deploys.next() => asked,
            asked = brokers.next() => asked,
            asked = tallies.next() => asked,
            asked = next_if_any(&mut vouches) => asked,
        };
        let Some(asked) = asked else { return Ok(()) };
        let subject = asked.subject.clone();
        let answered = match subject.as_str() {
            service::NODES => answer_nodes(store, asked).await,
            service::NODE => answer_node(store, asked).await,
            service::DEPLOYS => deploys::answer(store, terms(&watched), asked).await,
            service::BROKERS => asked.answer(&brokers::report(&id, started, &watched)).await,
            service::VOUCHES => vouches::answer(store, mdm.as_deref().unwrap_or_default(), asked).await,
            _ => brokers::answer_tallies(store, asked).await,
        };
        if let Err(error) = answered {
            tracing::debug!(%error, subject, "a question was not answered");
        }
    }
}

/// On which terms the agent is deployed, as the rules in force say.
fn terms(watched: &Watched) -> Option<deploys::DeployTerms> {
    watched.rules.borrow().as_ref().and_then(|ruling| ruling.core.deploying().map(Into::into))
}

async fn next_if_any(questions: &mut Option<Questions>) -> Option<Asked> {
    match questions {
        Some(questions) => questions.next().await,
        None => std::future::pending().await,
    }
}

async fn answer_nodes(store: &Store, asked: Asked) -> Result<(), BusError> {
    let question: NodesQuestion = serde_json::from_slice(&asked.payload).unwrap_or_default();
    let answer = match page(store, &question.after) {
        Ok(answer) => answer,
        Err(error) => NodesAnswer { error: Some(error.to_string()), ..NodesAnswer::default() },
    };
    asked.answer(&answer).await
}

fn page(store: &Store, after: &str) -> Result<NodesAnswer, StoreError> {
    let mut answer = NodesAnswer::default();
    let mut bytes = 0;
    for node in store.snapshot()?.nodes(after, PAGE + 1)? {
        let record = NodeRecord::from(node);
        bytes += record.record.to_string().len();
        answer.more = answer.nodes.len() == PAGE || (bytes > PAGE_BYTES && !answer.nodes.is_empty());
        if answer.more {
            break;
        }
        answer.nodes.push(record);
    }
    Ok(answer)
}

async fn answer_node(store: &Store, asked: Asked) -> Result<(), BusError> {
    let answer = match serde_json::from_slice::<NodeQuestion>(&asked.payload) {
        Ok(question) => one(store, &question.key),
        Err(error) => NodeAnswer { node: None, error: Some(error.to_string()) },
    };
    asked.answer(&answer).await
}

fn one(store: &Store, key: &str) -> NodeAnswer {
    let found = || {
        let snapshot = store.snapshot().map_err(|error| error.to_string())?;
        let serial = snapshot.serial_for(key, Trust::Unverified).map_err(|error| error.to_string())?;
        let node = |key: &str| snapshot.node(key).map_err(|error| error.to_string());
        // A serial number may be asked for in lower case; a UDID is as its source writes it.
        match node(serial.as_deref().unwrap_or(key))? {
            None => node(&key.to_ascii_uppercase()),
            found => Ok(found),
        }
    };
    match found() {
        Ok(node) => NodeAnswer { node: node.map(Arc::unwrap_or_clone).map(NodeRecord::from), error: None },
        Err(error) => NodeAnswer { node: None, error: Some(error) },
    }
}
