//! A node's record: what each source claims about it and since when. Claims are never merged away; [`Node::view`]
//! shows them together.

use std::collections::BTreeMap;

use emote_proto::{Time, Trust, source::AGENT};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One field as one source sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The value.
    pub value: Value,
    /// Since when the source says so.
    pub since: Time,
    /// When it last said so again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Time>,
    /// Whether nothing was proven of who said so last; noted of `enrolled`, by which others are let in, and of `owner`, by
    /// which what is done to a user is done to the Mac.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unverified: bool,
}

impl Claim {
    fn newest(&self) -> Time {
        self.confirmed.unwrap_or(self.since)
    }

    fn confirm(&mut self, at: Time) {
        if at >= self.newest() {
            self.confirmed = (at > self.since).then_some(at);
        }
    }
}

/// A Mac as the log tells of it. Keyed by serial number, or by UDID as long as only that is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Serial number or UDID.
    pub key: String,
    /// Serial number, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The UDID that the MDM last used for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udid: Option<String>,
    /// Whether only unverified events say that this is its UDID.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub udid_unverified: bool,
    /// Whether any event of it was proven.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proven: bool,
    /// Claims by source, then field.
    #[serde(default)]
    pub sources: BTreeMap<String, BTreeMap<String, Claim>>,
    /// The asset record, set by `asset.updated` events.
    #[serde(default)]
    pub asset: BTreeMap<String, Claim>,
    /// When each source last said anything.
    #[serde(default)]
    pub last_seen: BTreeMap<String, Time>,
    /// When the first event of it was received.
    pub first_seen: Time,
}

/// A record stays small: this many fields of the asset record and of each source, this many sources, values of this many
/// bytes of JSON. What goes beyond is not taken into the record; the event that said it keeps it.
const MAX_FIELDS: usize = 64;
const MAX_SOURCES: usize = 16;
const MAX_VALUE: usize = 1024;

impl Node {
    /// A node just heard of.
    pub fn new(key: impl Into<String>, first_seen: Time) -> Self {
        Self {
            key: key.into(),
            serial: None,
            udid: None,
            udid_unverified: false,
            proven: false,
            sources: BTreeMap::new(),
            asset: BTreeMap::new(),
            last_seen: BTreeMap::new(),
            first_seen,
        }
    }

    /// Notes that `source` claims `field` to be `value` since `at`. Older news than what the source said last is not
    /// taken; the same value keeps its date.
    pub fn claim(&mut self, source: &str, field: &str, value: Value, at: Time) {
        if let Some(claims) = self.claims_of(source) {
            put(claims, field, value, at);
        }
    }

    /// [`Node::claim`] that notes whether anything was proven of who says so.
    pub fn claim_as(&mut self, source: &str, field: &str, value: Value, at: Time, unverified: bool) {
        self.claim(source, field, value, at);
        self.mark(source, field, at, unverified);
    }

    /// Notes of the claim just made at `at` whether anything was proven of who made it.
    pub fn mark(&mut self, source: &str, field: &str, at: Time, unverified: bool) {
        let claim = self.sources.get_mut(source).and_then(|claims| claims.get_mut(field));
        if let Some(claim) = claim.filter(|claim| claim.newest() == at) {
            claim.unverified = unverified;
        }
    }

    /// [`Node::claim`] of a text.
    pub fn claim_text(&mut self, source: &str, field: &str, text: &str, at: Time) {
        self.claim_texts(source, [(field, Some(text))], at);
    }

    /// [`Node::claim`] of those texts that there are. Most say what was said before: that costs nothing.
    pub fn claim_texts<'t>(
        &mut self,
        source: &str,
        fields: impl IntoIterator<Item = (&'t str, Option<&'t str>)>,
        at: Time,
    ) {
        let mut said = fields.into_iter().filter_map(|(field, text)| Some((field, text?))).peekable();
        if said.peek().is_none() {
            return;
        }
        let Some(claims) = self.claims_of(source) else { return };
        for (field, text) in said {
            match claims.get_mut(field) {
                Some(claim) if claim.value == *text => claim.confirm(at),
                _ => put(claims, field, Value::from(text), at),
            }
        }
    }

    fn claims_of(&mut self, source: &str) -> Option<&mut BTreeMap<String, Claim>> {
        let room = self.sources.len() < MAX_SOURCES;
        if room && !self.sources.contains_key(source) {
            self.sources.insert(source.to_owned(), BTreeMap::new());
        }
        self.sources.get_mut(source)
    }

    /// Notes that `udid` is its UDID, as an event says that is believed as `trust`. What was proven stays.
    pub fn called(&mut self, udid: &str, trust: Trust) {
        let unverified = trust == Trust::Unverified;
        if unverified && self.udid.is_some() && !self.udid_unverified {
            return;
        }
        if self.udid.as_deref() != Some(udid) {
            self.udid = Some(udid.to_owned());
        }
        self.udid_unverified = unverified;
    }

    /// Notes that `source` spoke of it at `at`.
    pub fn see(&mut self, source: &str, at: Time) {
        let room = self.last_seen.len() < MAX_SOURCES;
        match self.last_seen.get_mut(source) {
            Some(seen) => *seen = (*seen).max(at),
            None if room => drop(self.last_seen.insert(source.to_owned(), at)),
            None => {}
        }
    }

    /// Sets a field of the asset record; null clears it.
    pub fn set_asset(&mut self, field: &str, value: Value, at: Time, unverified: bool) {
        put(&mut self.asset, field, value, at);
        if let Some(claim) = self.asset.get_mut(field).filter(|claim| claim.newest() == at) {
            claim.unverified = unverified;
        }
    }

    /// Whose Mac it is: the asset record's word, else the newest claim of any source. What was proven outweighs what was not.
    pub fn owner(&self) -> Option<&str> {
        self.owner_claim().and_then(|claim| claim.value.as_str())
    }

    /// Whether only unverified events say whose Mac it is.
    pub fn owner_is_unproven(&self) -> bool {
        self.owner_claim().is_some_and(|claim| claim.unverified)
    }

    fn owner_claim(&self) -> Option<&Claim> {
        let of_asset = self.asset.get("owner").map(|claim| (true, claim));
        let of_sources = self.sources.values().filter_map(|claims| claims.get("owner")).map(|claim| (false, claim));
        let said = of_sources.chain(of_asset).filter(|(_, claim)| claim.value.is_string());
        said.max_by_key(|(is_asset, claim)| (!claim.unverified, *is_asset, claim.since)).map(|(_, claim)| claim)
    }

    /// The newest claim of any source on `field`.
    pub fn newest(&self, field: &str) -> Option<&Value> {
        let claims =
            self.sources.values().filter_map(|claims| claims.get(field)).filter(|claim| !claim.value.is_null());
        claims.max_by_key(|claim| claim.since).map(|claim| &claim.value)
    }

    /// Takes over what was learned of the same Mac under its UDID. What an agent said there is left out: agents speak under
    /// serial numbers, so it is one that took the UDID of another Mac for its own.
    pub fn absorb(&mut self, other: Self) {
        for (source, claims) in other.sources.into_iter().filter(|(source, _)| source != AGENT) {
            for (field, claim) in claims {
                self.claim_as(&source, &field, claim.value, claim.since, claim.unverified);
            }
        }
        for (field, claim) in other.asset {
            self.set_asset(&field, claim.value, claim.since, claim.unverified);
        }
        for (source, at) in other.last_seen.into_iter().filter(|(source, _)| source != AGENT) {
            self.see(&source, at);
        }
        self.first_seen = self.first_seen.min(other.first_seen);
        if self.udid.is_none() {
            (self.udid, self.udid_unverified) = (other.udid, other.udid_unverified);
        }
        self.proven |= other.proven;
    }

    /// [`Node::view`] for what an event sets off that is believed as `trust`: a UDID that only unverified events tell is
    /// for such ones alone.
    pub fn view_for(&self, trust: Trust) -> View<'_> {
        let udid = self.udid.as_deref().filter(|_| !self.udid_unverified || trust == Trust::Unverified);
        View { udid, ..self.view() }
    }

    /// The record as `emote node -o json` shows it.
    pub fn view(&self) -> View<'_> {
        let asset: BTreeMap<&str, &Value> = self
            .asset
            .iter()
            .filter(|(_, claim)| !claim.value.is_null())
            .map(|(field, claim)| (field.as_str(), &claim.value))
            .collect();
        View {
            serial: self.serial.as_deref(),
            udid: self.udid.as_deref(),
            owner: self.owner(),
            name: asset.get("name").copied().or_else(|| self.newest("name")),
            model: self.newest("model"),
            os_version: self.newest("os_version"),
            asset,
            sources: &self.sources,
            last_seen: &self.last_seen,
            first_seen: self.first_seen,
        }
    }
}

/// A [`Node`] as it is shown: what its claims come to, and the claims.
#[derive(Debug, Serialize)]
pub struct View<'a> {
    serial: Option<&'a str>,
    udid: Option<&'a str>,
    owner: Option<&'a str>,
    name: Option<&'a Value>,
    model: Option<&'a Value>,
    os_version: Option<&'a Value>,
    asset: BTreeMap<&'a str, &'a Value>,
    sources: &'a BTreeMap<String, BTreeMap<String, Claim>>,
    last_seen: &'a BTreeMap<String, Time>,
    first_seen: Time,
}

impl View<'_> {
    /// As a JSON value.
    pub fn to_value(&self) -> Value {
        // Maps with string keys, strings and JSON values: this cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }
}

fn put(fields: &mut BTreeMap<String, Claim>, field: &str, value: Value, at: Time) {
    let room = fields.len() < MAX_FIELDS && field.len() <= MAX_VALUE;
    if !is_small(&value) {
        return;
    }
    match fields.get_mut(field) {
        Some(claim) if claim.newest() > at => {}
        Some(claim) if claim.value == value => claim.confirm(at),
        Some(claim) => *claim = Claim { value, since: at, confirmed: None, unverified: false },
        None if room && !value.is_null() => {
            fields.insert(field.to_owned(), Claim { value, since: at, confirmed: None, unverified: false });
        }
        None => {}
    }
}

fn is_small(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => text.len() <= MAX_VALUE,
        Value::Array(_) | Value::Object(_) => value.to_string().len() <= MAX_VALUE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(millis: i64) -> Time {
        Time::from_millis(millis).unwrap()
    }

    #[test]
    fn each_source_keeps_its_own_claims() {
        let mut node = Node::new("C02", at(0));
        node.claim("jamf", "name", json!("ada-mbp"), at(1));
        node.claim("agent", "name", json!("MacBook"), at(2));
        assert_eq!(node.sources["jamf"]["name"].value, "ada-mbp");
        assert_eq!(node.view().to_value()["name"], "MacBook", "the newest is shown");
        node.set_asset("name", json!("ADA-01"), at(0), false);
        assert_eq!(node.view().to_value()["name"], "ADA-01", "unless the asset record has one");
    }

    #[test]
    fn old_news_changes_nothing_and_repetition_keeps_the_date() {
        let mut node = Node::new("C02", at(0));
        node.claim("okta", "owner", json!("ada"), at(5));
        node.claim("okta", "owner", json!("bob"), at(4));
        node.claim("okta", "owner", json!("ada"), at(9));
        node.claim("okta", "owner", json!("bob"), at(7));
        assert_eq!(
            node.sources["okta"]["owner"],
            Claim { value: json!("ada"), since: at(5), confirmed: Some(at(9)), unverified: false }
        );
    }

    #[test]
    fn the_asset_records_owner_outweighs_every_claim() {
        let mut node = Node::new("C02", at(0));
        node.claim("jamf", "owner", json!("ada"), at(9));
        node.set_asset("owner", json!("bob"), at(1), false);
        assert_eq!(node.owner(), Some("bob"));
        node.set_asset("owner", Value::Null, at(2), false);
        assert_eq!(node.owner(), Some("ada"));
    }

    #[test]
    fn what_was_learned_under_the_udid_is_kept() {
        let mut by_udid = Node::new("U1", at(1));
        by_udid.udid = Some("U1".into());
        by_udid.claim("nanomdm", "enrolled", json!(true), at(3));
        let mut node = Node::new("C02", at(2));
        node.claim("nanomdm", "name", json!("x"), at(2));
        node.absorb(by_udid);
        assert_eq!(node.sources["nanomdm"].len(), 2);
        assert_eq!((node.udid.as_deref(), node.first_seen), (Some("U1"), at(1)));
    }

    #[test]
    fn who_takes_anothers_udid_for_a_serial_number_says_nothing_of_that_mac() {
        let mut impostor = Node::new("U1", at(1));
        impostor.claim("agent", "filevault", json!(true), at(9));
        impostor.claim_as("script", "enrolled", json!(true), at(9), true);
        impostor.see("agent", at(9));
        let mut node = Node::new("C02", at(2));
        node.claim("agent", "filevault", json!(false), at(2));
        node.absorb(impostor);
        assert_eq!(node.sources["agent"]["filevault"].value, false);
        assert!(node.sources["script"]["enrolled"].unverified && node.last_seen.is_empty());
    }

    #[test]
    fn a_record_stays_bounded() {
        let mut node = Node::new("C02", at(0));
        for n in 0..1000 {
            node.set_asset(&format!("f{n}"), json!(n), at(1), false);
        }
        assert_eq!(node.asset.len(), MAX_FIELDS);
        node.set_asset("f1", json!("x".repeat(MAX_VALUE + 1)), at(2), false);
        assert_eq!(node.asset["f1"].value, 1, "a value too large is not taken");
        for n in 0..1000 {
            node.claim(&format!("s{n}"), "name", json!("x"), at(1));
            node.see(&format!("s{n}"), at(1));
        }
        assert_eq!((node.sources.len(), node.last_seen.len()), (MAX_SOURCES, MAX_SOURCES));
    }
}
