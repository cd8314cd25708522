//! What an operation of a PATCH is about: `active`, `name.givenName`, `emails[type eq "work"].value`,
//! `urn:…:enterprise:2.0:User:manager`.

use super::{
    error::ScimError,
    filter::{Filter, names},
    kind::{ENTERPRISE, Kind, canonical},
};

/// Longest path, in bytes.
const MAX_PATH: usize = 4096;

/// A place in a resource.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path {
    /// The extension's schema, where it is not of the core.
    pub(super) schema: Option<String>,
    /// None where the whole extension is meant.
    pub(super) attribute: Option<String>,
    pub(super) filter: Option<Filter>,
    pub(super) sub: Option<String>,
}

impl Path {
    pub(super) fn parse(text: &str) -> Result<Self, ScimError> {
        let text = text.trim().trim_start_matches('/');
        let wrong = || ScimError::path("a path is such as active, name.givenName or emails[type eq \"work\"].value");
        if text.is_empty() || text.len() > MAX_PATH {
            return Err(wrong());
        }
        if text.eq_ignore_ascii_case(ENTERPRISE) {
            return Ok(Self { schema: Some(ENTERPRISE.to_owned()), attribute: None, filter: None, sub: None });
        }
        if Kind::ALL.iter().any(|kind| kind.schema().eq_ignore_ascii_case(text)) {
            return Err(wrong());
        }
        let (head, bracket) = match text.split_once('[') {
            None => (text, None),
            Some((head, rest)) => {
                let end = closing(rest).ok_or_else(wrong)?;
                let filter = Filter::parse(&rest[..end]).map_err(|error| ScimError::path(error.detail))?;
                (head, Some((filter, &rest[end + 1..])))
            }
        };
        let mut parts = names(head);
        let schema = (parts.first().is_some_and(|first| first.contains(':'))).then(|| parts.remove(0));
        if parts.iter().any(String::is_empty) || parts.len() > 2 || parts.is_empty() {
            return Err(wrong());
        }
        let attribute = Some(parts.remove(0));
        let sub = parts.pop();
        let Some((filter, behind)) = bracket else { return Ok(Self { schema, attribute, filter: None, sub }) };
        let sub = match (sub, behind.strip_prefix('.')) {
            (None, Some(sub)) if !sub.is_empty() && !sub.contains(['.', '[']) => Some(canonical(sub)),
            (None, None) if behind.is_empty() => None,
            _ => return Err(wrong()),
        };
        Ok(Self { schema, attribute, filter: Some(filter), sub })
    }
}

/// Where the bracket closes that is open at the beginning; one within a text does not.
fn closing(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ']' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_path_is_read() {
        let path = |schema: Option<&str>, attribute: &str, sub: Option<&str>| Path {
            schema: schema.map(str::to_owned),
            attribute: Some(attribute.to_owned()),
            filter: None,
            sub: sub.map(str::to_owned),
        };
        for (text, expected) in [
            ("active", path(None, "active", None)),
            ("ACTIVE", path(None, "active", None)),
            ("/active", path(None, "active", None)),
            ("name.GivenName", path(None, "name", Some("givenName"))),
            ("urn:ietf:params:scim:schemas:core:2.0:User:userName", path(None, "userName", None)),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
                path(Some(ENTERPRISE), "manager", Some("value")),
            ),
            (
                "URN:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
                path(Some(ENTERPRISE), "department", None),
            ),
            ("urn:example:2.0:custom:badge", path(Some("urn:example:2.0:custom"), "badge", None)),
        ] {
            assert_eq!(Path::parse(text), Ok(expected), "{text}");
        }
        let filtered = Path::parse("emails[type eq \"wo]rk\"].value").unwrap();
        assert!(filtered.filter.is_some() && filtered.sub.as_deref() == Some("value"));
        assert_eq!(Path::parse("members[value eq \"7\"]").unwrap().sub, None);
        for wrong in
            ["", "a[", "a[b]", "a.b.c", "a..b", "a[value eq \"1\"]x", "a[value eq \"1\"].", "a.b[value eq \"1\"].c"]
        {
            assert_eq!(Path::parse(wrong).unwrap_err().kind, Some("invalidPath"), "{wrong}");
        }
    }
}
