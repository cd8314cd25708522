//! What is deployed, and how far the installs of it are: what only the store knows.

use std::time::Duration;

use emote_proto::{Name, service};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{PAGE, PAGE_BYTES};
use crate::{
    bus::{Asked, Bus, BusError},
    core::{Deploying, Deployment, Package, Records},
    store::{Store, StoreError},
};

/// By then the records of every broker say what was said to be done.
pub(crate) const BEHIND: Duration = Duration::from_secs(3);
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Asks what is deployed, and for installs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct DeploysQuestion {
    /// Only those on nodes whose key comes after this one.
    #[serde(default)]
    pub(crate) after: String,
    /// Only those on these nodes; all where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) nodes: Vec<String>,
}

/// What is deployed, and a page of installs in order of their nodes' keys.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct DeploysAnswer {
    /// The package.
    pub(crate) package: Option<Package>,
    /// On which terms.
    pub(crate) terms: Option<DeployTerms>,
    /// The last install on each node.
    pub(crate) deployments: Vec<Deployment>,
    /// Whether there are more after the last.
    pub(crate) more: bool,
    /// What went wrong, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// [`Deploying`], as it travels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DeployTerms {
    /// Where Macs reach the brokers.
    pub(crate) url: String,
    /// What installs it for orders.
    pub(crate) target: Name,
    /// After so many milliseconds an install is overdue.
    pub(crate) overdue_after_ms: i64,
}

impl From<&Deploying> for DeployTerms {
    fn from(terms: &Deploying) -> Self {
        Self { url: terms.url.clone(), target: terms.target.clone(), overdue_after_ms: terms.overdue_after }
    }
}

pub(super) async fn answer(store: &Store, terms: Option<DeployTerms>, asked: Asked) -> Result<(), BusError> {
    let question: DeploysQuestion = serde_json::from_slice(&asked.payload).unwrap_or_default();
    let answer = match page_in(store, &question) {
        Ok(answer) => DeploysAnswer { terms, ..answer },
        Err(error) => DeploysAnswer { error: Some(error.to_string()), ..DeploysAnswer::default() },
    };
    asked.answer(&answer).await
}

fn page_in(store: &Store, question: &DeploysQuestion) -> Result<DeploysAnswer, StoreError> {
    let records = store.snapshot()?;
    let damaged = |error: crate::core::StateError| StoreError::Damaged(error.to_string());
    let mut answer = DeploysAnswer { package: records.package().map_err(damaged)?, ..DeploysAnswer::default() };
    let found = if question.nodes.is_empty() {
        records.deployments(&question.after, PAGE + 1)?
    } else {
        let named = question.nodes.iter().take(PAGE).map(|key| records.deployment(key).map_err(damaged));
        named.filter_map(Result::transpose).collect::<Result<_, _>>()?
    };
    let mut bytes = 0;
    for deployment in found {
        bytes += serde_json::to_vec(&deployment).map_or(0, |json| json.len());
        answer.more = answer.deployments.len() == PAGE || (bytes > PAGE_BYTES && !answer.deployments.is_empty());
        if answer.more {
            break;
        }
        answer.deployments.push(deployment);
    }
    Ok(answer)
}

/// What is deployed, and the installs on these nodes.
pub(crate) async fn ask(bus: &Bus, nodes: Vec<String>) -> anyhow::Result<DeploysAnswer> {
    page_of(bus, &DeploysQuestion { nodes, ..DeploysQuestion::default() }).await
}

/// What is deployed, and as many installs as fit into an answer, on nodes whose keys come after this one.
pub(crate) async fn page(bus: &Bus, after: String) -> anyhow::Result<DeploysAnswer> {
    page_of(bus, &DeploysQuestion { after, nodes: Vec::new() }).await
}

/// The same, once it says what is looked for, or as it is after a while: a broker that stands by may answer, whose records are
/// a moment behind.
pub(crate) async fn ask_for(
    bus: &Bus,
    nodes: Vec<String>,
    is_there: impl Fn(&DeploysAnswer) -> bool,
) -> anyhow::Result<DeploysAnswer> {
    let until = Instant::now() + BEHIND;
    loop {
        let answer = ask(bus, nodes.clone()).await?;
        if is_there(&answer) || Instant::now() >= until {
            return Ok(answer);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What is deployed, and every install, page by page.
pub(crate) async fn ask_all(bus: &Bus) -> anyhow::Result<DeploysAnswer> {
    let mut all: Option<DeploysAnswer> = None;
    loop {
        let after = all.as_ref().and_then(|all| all.deployments.last()).map(|last| last.key().to_owned());
        let mut answer = page(bus, after.unwrap_or_default()).await?;
        if let Some(before) = all {
            answer.deployments.splice(..0, before.deployments);
        }
        if !answer.more {
            return Ok(answer);
        }
        all = Some(answer);
    }
}

async fn page_of(bus: &Bus, question: &DeploysQuestion) -> anyhow::Result<DeploysAnswer> {
    let answer: DeploysAnswer = bus.ask(service::DEPLOYS, question).await?;
    match answer.error {
        Some(error) => anyhow::bail!("the broker: {error}"),
        None => Ok(answer),
    }
}
