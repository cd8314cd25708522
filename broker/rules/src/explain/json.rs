//! An explanation as JSON, for programs.

use super::{Apart, Branch, Explanation, FieldReport, FoundValue, NearMiss, Outcome, Part};
use serde_json::{Value, json};

impl Explanation {
    /// The explanation as JSON: every member of this struct under its name, and a near miss as an object whose `kind` is
    /// the name of its variant in snake case.
    pub fn to_json(&self) -> Value {
        json!({
            "matched": self.matched,
            "problem": self.problem.as_ref().map(ToString::to_string),
            "cut_short": self.cut_short,
            "alternatives": self.alternatives,
            "branches": self.branches.iter().map(Branch::to_json).collect::<Vec<_>>(),
        })
    }
}

impl Branch {
    fn to_json(&self) -> Value {
        json!({
            "number": self.number,
            "matched": self.matched,
            "fields": self.fields.iter().map(FieldReport::to_json).collect::<Vec<_>>(),
            "apart": self.apart.iter().map(|Apart { path, elements }| json!({"path": path, "elements": elements}))
                .collect::<Vec<_>>(),
        })
    }
}

impl FieldReport {
    fn to_json(&self) -> Value {
        let found =
            |FoundValue { value, at, accepted }: &FoundValue| json!({"value": value, "at": at, "accepted": accepted});
        json!({
            "path": self.path,
            "outcome": match self.outcome {
                Outcome::Matched => "matched",
                Outcome::Missing => "missing",
                Outcome::Unexpected => "unexpected",
                Outcome::Different => "different",
                Outcome::NotLookedAt => "not_looked_at",
            },
            "expected": self.expected,
            "expected_count": self.expected_count,
            "found": self.found.iter().map(found).collect::<Vec<_>>(),
            "found_count": self.found_count,
            "near": self.near.iter().map(NearMiss::to_json).collect::<Vec<_>>(),
        })
    }
}

impl NearMiss {
    fn to_json(&self) -> Value {
        let mut json = match self {
            Self::Case { expected, found, part, write } => {
                json!({"kind": "case", "expected": expected, "found": found, "part": part.map(Part::name), "write": write})
            }
            Self::WhiteSpace { expected, found } => {
                json!({"kind": "white_space", "expected": expected, "found": found})
            }
            Self::Type { found, is, wanted } => json!({"kind": "type", "found": found, "is": is, "wanted": wanted}),
            Self::Edits { expected, found, edits, part } => {
                json!({"kind": "edits", "expected": expected, "found": found, "edits": edits, "part": part.name()})
            }
            Self::Inside { expected, found, part, write } => {
                json!({"kind": "inside", "expected": expected, "found": found, "part": part.name(), "write": write})
            }
            Self::Alike { expected, found, characters, part } => {
                json!({"kind": "alike", "expected": expected, "found": found, "characters": characters, "part": part.name()})
            }
            Self::Number { found, expected, by, little } => {
                json!({"kind": "number", "found": found, "expected": expected, "by": by, "little": little})
            }
            Self::Among { found, wanted, missing } => {
                json!({"kind": "among", "found": found, "wanted": wanted, "missing": missing})
            }
            Self::Conditions { found, met, of, unmet } => {
                json!({"kind": "conditions", "found": found, "met": met, "of": of, "unmet": unmet})
            }
            Self::Compared { found, relation, path, values, more } => {
                json!({"kind": "compared", "found": found, "relation": relation, "path": path, "values": values, "more": more})
            }
            Self::NothingToCompare { found, path, elsewhere, meant } => {
                json!({"kind": "nothing_to_compare", "found": found, "path": path, "elsewhere": elsewhere, "meant": meant})
            }
            Self::Reading { found, is, near } => json!({"kind": "reading", "found": found, "is": is, "near": near}),
            Self::Object { fields, meant } => json!({"kind": "object", "fields": fields, "meant": meant}),
            Self::AbsentFromEach { later } => json!({"kind": "absent_from_each", "later": later}),
            Self::EmptyList => json!({"kind": "empty_list"}),
            Self::NotAnObject { at, is } => json!({"kind": "not_an_object", "at": at, "is": is}),
            Self::NoSuchField { there, meant } => json!({"kind": "no_such_field", "there": there, "meant": meant}),
            Self::NeverSeen { events, meant } => json!({"kind": "never_seen", "events": events, "meant": meant}),
        };
        json["is_near"] = self.is_near().into();
        json
    }
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Start => "start",
            Self::End => "end",
        }
    }
}
