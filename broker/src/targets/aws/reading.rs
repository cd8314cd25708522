//! The file of a target of this kind: read, then made ready with its secrets.

use std::sync::Arc;

use super::{
    super::{
        Target, address,
        spec::{Setup, Unresolved},
        wire::{self, Client},
    },
    Aws,
    connection::Connection,
    identity::{self, IdentityRef},
    place::Place,
    service::{Read, SERVICES, Service, optional},
};
use crate::{
    config::{
        Problems,
        fields::{Fields, expected},
        shape::Form,
        text::Template,
    },
    jq::Program,
};

/// Where the AWS tools look for the region.
const REGION_VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

#[derive(Debug)]
struct Spec {
    service: &'static Service,
    of: Read,
    region: Option<String>,
    endpoint: Option<Template>,
    insecure: bool,
    identity: IdentityRef,
    body: Option<Arc<Program>>,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    let insecure = fields.flag("insecure").unwrap_or_default();
    let identity = identity::read(fields, insecure);
    let region = optional(fields, "region");
    if region.as_deref().is_some_and(|region| !is_region(region)) {
        fields.problem("region", "not a region: for example region: eu-central-1");
    }
    let endpoint = if fields.has("endpoint") {
        address::read(
            fields,
            "endpoint",
            insecure,
            "endpoint: https://vpce-0a1b.lambda.eu-central-1.vpce.amazonaws.com",
        )
    } else {
        None
    };
    let body = fields.jq("body").map(Arc::new);
    fields.holds("service", Form::Words(SERVICES.iter().map(|service| service.name).collect()));
    let name = fields.parsed("service", |value| value.as_str().ok_or_else(|| expected("a text", value)));
    let name = fields.require("service", name, "service: lambda")?;
    let Some(service) = SERVICES.iter().find(|service| service.name == name) else {
        let names: Vec<&str> = SERVICES.iter().map(|service| service.name).collect();
        fields.problem("service", format!("unknown service: expected one of {}", names.join(", ")));
        return None;
    };
    if fields.has("batch") && !service.several {
        let can: Vec<&str> = SERVICES.iter().filter(|service| service.several).map(|service| service.name).collect();
        let can = can.join(", ");
        fields.problem("batch", format!("{name} takes one job at a time: only {can} take several in one request"));
    }
    let of = (service.read)(fields)?;
    Some(Box::new(Spec { service, of, region, endpoint, insecure, identity, body }))
}

fn is_region(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

impl Spec {
    /// The file's, else that of what is named in it, else the environment's.
    fn region(&self) -> Result<String, String> {
        let of_environment = || REGION_VARIABLES.iter().find_map(|name| std::env::var(name).ok());
        let named = self.region.clone().or_else(|| self.of.region.clone());
        match named.or_else(of_environment).filter(|region| !region.is_empty()) {
            None => Err("is missing: for example region: eu-central-1, or AWS_REGION in the environment".to_owned()),
            Some(region) if is_region(&region) => Ok(region),
            Some(_) => Err("not a region: for example region: eu-central-1".to_owned()),
        }
    }

    /// Where AWS has the service in `region`.
    fn address(&self, region: &str) -> String {
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        match &self.of.address {
            Some(address) => address.clone(),
            None => format!("https://{}.{region}.{domain}", self.of.host),
        }
    }
}

impl Unresolved for Spec {
    fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Box<dyn Target>> {
        let region = problems.take("region", self.region())?;
        let (url, secrets) = match &self.endpoint {
            Some(endpoint) => address::resolve(endpoint, "endpoint", self.insecure, setup, problems)?,
            None => (problems.take("", wire::endpoint(&self.address(&region), self.insecure))?, Vec::new()),
        };
        let mut client = problems.take("", Client::new(setup, &url, secrets))?;
        let identity = self.identity.resolve(self.service.signs_as, &region, setup, problems)?;
        identity.secrets.iter().cloned().for_each(|secret| client.hide(secret));
        Some(Box::new(Aws {
            service: self.service,
            about: self.of.about.clone(),
            does: self.of.does.clone(),
            connection: Connection { client, identity },
            place: Place::new(url, self.of.discovers, self.insecure),
            body: self.body.clone(),
        }))
    }
}
