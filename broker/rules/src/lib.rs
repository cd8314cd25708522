//! Placeholder.
#![allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::allow_attributes_without_reason, clippy::allow_attributes)]
use serde_json::Value;
#[derive(Debug, Clone)]
pub struct Pattern(Value);
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError;
impl std::fmt::Display for PatternError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("bad") } }
impl std::error::Error for PatternError {}
impl Pattern {
    pub fn from_value(v: &Value) -> Result<Self, PatternError> { Ok(Self(v.clone())) }
    pub fn parse(v: &str) -> Result<Self, PatternError> { serde_json::from_str(v).map(Self).map_err(|_| PatternError) }
}
#[derive(Debug, Clone)]
pub struct RuleSet<Id>(Vec<(Id, Pattern)>);
impl<Id: Clone> RuleSet<Id> {
    pub fn build(r: impl IntoIterator<Item = (Id, Pattern)>) -> Self { Self(r.into_iter().collect()) }
    pub fn matches(&self, e: &[u8]) -> Result<Vec<Id>, PatternError> {
        let e: Value = serde_json::from_slice(e).map_err(|_| PatternError)?;
        Ok(self.0.iter().filter(|(_, p)| m(&p.0, &e)).map(|(i, _)| i.clone()).collect())
    }
}
fn m(p: &Value, e: &Value) -> bool {
    match p {
        Value::Object(o) => o.iter().all(|(k, v)| e.get(k).is_some_and(|e| m(v, e))),
        Value::Array(a) => a.iter().any(|v| v == e || v.get("exists").is_some()),
        _ => false,
    }
}
