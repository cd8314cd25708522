//! From a pattern as read to the alternatives it stands for.
//!
//! Fields beside each other must all match. `$or` forks: each of its objects continues a copy of all alternatives so
//! far, and of a field that is written twice in one alternative the last one counts, whether it is a key that is
//! repeated, a dotted path and its nested form, or a field beside and inside `$or`.

use crate::error::PatternError;
use crate::operator::{Allowance, AnyOf, Matcher, Place, REFERENCE_OPERATORS};
use crate::shown::is_short;
use crate::tree::{Node, Tree};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many fields one alternative may have, as in the reference.
const MAX_FIELDS: usize = 256;
/// How many alternatives the `$or`s of a pattern may make together.
const MAX_ALTERNATIVES: usize = 1_000;
/// How many values all alternatives of a pattern may list together.
const MAX_VALUES: usize = 100_000;

const OR: &str = "$or";
/// What may not be the name of a field inside `$or`, besides the reference's operators: it keeps these for itself. Our own
/// operators are free as names, so that what is valid there is valid here.
const RESERVED: &[&str] = &[
    "=",
    "<",
    "<=",
    ">",
    ">=",
    "regex",
    "not-wildcard",
    "not-equals-ignore-case",
    "date-after",
    "date-on-or-after",
    "date-before",
    "date-on-or-before",
    "in-date-range",
    "ip-address-in-range",
    "ip-address-not-in-range",
];

/// What one field must be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    /// The names on the way to it, joined by dots.
    pub(crate) path: String,
    /// Whether it may be absent.
    pub(crate) may_be_absent: bool,
    /// One of these must accept a value of it.
    pub(crate) matchers: AnyOf,
    /// How many tests they make together.
    tests: usize,
}

/// Fields that must all match, in the order in which the reference tries them.
pub(crate) type Alternative = Vec<Arc<Field>>;

type Fields = BTreeMap<String, Arc<Field>>;

/// Compiles a whole pattern.
pub(crate) fn compile(root: &Node<'_>) -> Result<Vec<Alternative>, PatternError> {
    let Tree::Object(members) = &root.value else {
        let remedy = "write an object such as {\"scope\": [\"device\"]}";
        return Err(PatternError::new("", root.at, format!("a pattern is an object, not {}", root.kind()), remedy));
    };
    let compiler = Compiler { value_in_or: value_in_or(members), allowance: Allowance::new() };
    let alternatives = compiler.object(vec![Fields::new()], members, root, &Path::default())?;
    let values: usize = alternatives.iter().flat_map(BTreeMap::values).map(|field| field.tests).sum();
    if values > MAX_VALUES {
        let problem = format!("its alternatives list {values} values together, more than {MAX_VALUES}");
        return Err(PatternError::new("", root.at, problem, "split it into several rules, or use prefix or wildcard"));
    }
    Ok(alternatives.into_iter().map(in_order).collect())
}

/// The reference sorts by UTF-16 units. The order shows only where a field must be absent from an array's element.
fn in_order(fields: Fields) -> Alternative {
    let mut fields: Alternative = fields.into_values().collect();
    fields.sort_by(|one, other| one.path.encode_utf16().cmp(other.path.encode_utf16()));
    fields
}

/// A `$or` with plain values among its elements is no alternative but a field of that name. The reference then takes
/// every `$or` of the pattern for a field.
fn value_in_or<'n, 'a>(members: &'n [(String, Node<'a>)]) -> Option<&'n Node<'a>> {
    members.iter().find_map(|(name, node)| match &node.value {
        Tree::Object(members) => value_in_or(members),
        Tree::List(nodes) if name == OR => nodes.iter().find_map(|node| match &node.value {
            Tree::Object(members) => value_in_or(members),
            _ => Some(node),
        }),
        _ => None,
    })
}

const TWO_OBJECTS: &str = "write at least two: {\"$or\": [{\"scope\": [\"device\"]}, {\"source\": [\"okta\"]}]}";

struct Compiler<'n, 'a> {
    /// A plain value in a `$or`, which makes each `$or` a field.
    value_in_or: Option<&'n Node<'a>>,
    allowance: Allowance,
}

/// Where in the pattern something stands.
#[derive(Clone, Default)]
struct Path {
    steps: String,
    depth: usize,
    inside_or: bool,
}

impl Path {
    /// The names joined by dots; the reference forgets an empty first name when a field follows directly.
    fn field(&self, name: &str) -> String {
        if self.steps.is_empty() { name.to_owned() } else { format!("{}.{name}", self.steps) }
    }

    fn into(&self, name: &str) -> Self {
        let steps = if self.depth == 0 { name.to_owned() } else { format!("{}.{name}", self.steps) };
        Self { steps, depth: self.depth + 1, inside_or: self.inside_or }
    }
}

impl Compiler<'_, '_> {
    fn object(
        &self,
        mut alternatives: Vec<Fields>,
        members: &[(String, Node<'_>)],
        node: &Node<'_>,
        path: &Path,
    ) -> Result<Vec<Fields>, PatternError> {
        if members.is_empty() {
            let remedy = "name at least one field, such as {\"scope\": [\"device\"]}";
            return Err(PatternError::new(&path.steps, node.at, "an empty object matches nothing", remedy));
        }
        for (name, node) in members {
            if name == OR && self.value_in_or.is_none() {
                alternatives = self.or(&alternatives, node, path)?;
                continue;
            }
            let field = path.field(name);
            if path.inside_or && (REFERENCE_OPERATORS.contains(&name.as_str()) || RESERVED.contains(&name.as_str())) {
                let remedy = "name a field of the event here, and put the operator into its list";
                return Err(PatternError::new(&field, node.at, format!("{name:?} is not a field inside $or"), remedy));
            }
            match &node.value {
                Tree::Object(members) => {
                    alternatives = self.object(alternatives, members, node, &path.into(name))?;
                }
                Tree::List(nodes) => {
                    let read = self.field(field, nodes, node).map_err(|error| self.or_was_meant(name, path, error))?;
                    put(&mut alternatives, read, node)?;
                }
                Tree::Scalar(value) => {
                    let problem = format!("a field's pattern is a list, not {}", node.kind());
                    let remedy = match value.to_string() {
                        text if is_short(&text) => format!("write [{text}]"),
                        _ => "put it in square brackets".to_owned(),
                    };
                    return Err(PatternError::new(&field, node.at, problem, remedy));
                }
            }
        }
        Ok(alternatives)
    }

    fn or(&self, alternatives: &[Fields], node: &Node<'_>, path: &Path) -> Result<Vec<Fields>, PatternError> {
        let at = path.field(OR);
        let wrong = |problem: String| Err(PatternError::new(&at, node.at, problem, TWO_OBJECTS));
        let Tree::List(branches) = &node.value else {
            return wrong(format!("$or is a list of objects, not {}", node.kind()));
        };
        if branches.len() < 2 {
            return wrong(format!("$or has {} alternatives", branches.len()));
        }
        let inside = Path { inside_or: true, ..path.clone() };
        let mut all = Vec::new();
        for branch in branches {
            let Tree::Object(members) = &branch.value else {
                return wrong(format!("$or is a list of objects, not of {}", branch.kind()));
            };
            all.extend(self.object(alternatives.to_vec(), members, branch, &inside)?);
            if all.len() > MAX_ALTERNATIVES {
                let problem = format!("the $ors multiply to more than {MAX_ALTERNATIVES} alternatives");
                return Err(PatternError::new(&at, node.at, problem, "split the pattern into several rules"));
            }
        }
        Ok(all)
    }

    /// A field named `$or` that is no good is rather a `$or` with an element that is none.
    fn or_was_meant(&self, name: &str, path: &Path, error: PatternError) -> PatternError {
        match self.value_in_or {
            Some(value) if name == OR => {
                let problem = format!("$or is a list of objects, not of {}", value.kind());
                PatternError::new(&path.field(OR), value.at, problem, TWO_OBJECTS)
            }
            _ => error,
        }
    }

    fn field(&self, path: String, nodes: &[Node<'_>], node: &Node<'_>) -> Result<Field, PatternError> {
        if nodes.is_empty() {
            let remedy = "list the values that match, or write [{\"exists\": true}] for any";
            return Err(PatternError::new(&path, node.at, "an empty list matches nothing", remedy));
        }
        let place = Place::new(&path, &self.allowance);
        let mut matchers = nodes.iter().map(|node| Matcher::parse(node, place)).collect::<Result<Vec<_>, _>>()?;
        let all = matchers.len();
        matchers.retain(|matcher| !matcher.is_absence());
        let tests = matchers.iter().map(Matcher::tests).sum();
        Ok(Field { may_be_absent: matchers.len() < all, matchers: matchers.into(), tests, path })
    }
}

fn put(alternatives: &mut [Fields], field: Field, node: &Node<'_>) -> Result<(), PatternError> {
    let field = Arc::new(field);
    for fields in alternatives {
        fields.insert(field.path.clone(), Arc::clone(&field));
        if fields.len() > MAX_FIELDS {
            let problem = format!("more than {MAX_FIELDS} fields");
            return Err(PatternError::new(&field.path, node.at, problem, "split the pattern into several rules"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::pattern::Pattern;

    #[test]
    fn a_value_in_an_or_is_told_where_none_of_its_objects_is_an_operator() {
        let refused = |pattern: &str| {
            let error = Pattern::parse(pattern).unwrap_err();
            (error.path().to_owned(), error.position().unwrap().column, error.problem().to_owned())
        };
        let problem = "$or is a list of objects, not of a list";
        assert_eq!(refused(r#"{"$or": [{"a": [1]}, [1]]}"#), ("$or".into(), 22, problem.into()));
        assert_eq!(refused(r#"{"$or": [{"a": [1]}, {"b": [1]}], "c": {"$or": [[1]]}}"#).1, 49);
        for pattern in [r#"{"$or": [1, {"prefix": "a"}]}"#, r#"{"$or": ["a"], "b": {"$or": [{"prefix": "a"}]}}"#] {
            assert!(Pattern::parse(pattern).is_ok(), "{pattern}");
        }
    }
}
