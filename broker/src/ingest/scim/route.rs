//! What a request is about: `/Users`, `/Groups/ID`, `/ServiceProviderConfig`, with or without `/scim/v2` before it.

use super::{error::ScimError, kind::Kind};

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    All(Kind),
    One(Kind, String),
    /// Of one kind, or of all.
    Search(Option<Kind>),
    ServiceProviderConfig,
    ResourceTypes(Option<String>),
    Schemas(Option<String>),
}

impl Route {
    /// `path` is what stands behind the source's name. Gives what of it stands before the endpoint, too.
    pub(super) fn parse(path: &str) -> Result<(Self, String), ScimError> {
        let nowhere =
            || ScimError::missing("there are /Users, /Groups, /ServiceProviderConfig, /ResourceTypes and /Schemas");
        let mut segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let mut before = String::new();
        while let Some(first) = segments.first().filter(|first| ["scim", "v2"].contains(&first.to_lowercase().as_str()))
        {
            before.push('/');
            before.push_str(first);
            segments.remove(0);
            if before.len() > 16 {
                return Err(nowhere());
            }
        }
        let is = |name: &str| segments.first().is_some_and(|first| first.eq_ignore_ascii_case(name));
        let kind = Kind::ALL.into_iter().find(|kind| is(kind.endpoint()));
        let second = segments.get(1).map(|second| (*second).to_owned());
        let route = match (kind, second) {
            _ if segments.len() > 2 => return Err(nowhere()),
            (Some(kind), None) => Self::All(kind),
            (None, None) if is(".search") => Self::Search(None),
            (Some(kind), Some(second)) if second == ".search" => Self::Search(Some(kind)),
            (Some(kind), Some(id)) => Self::One(kind, id),
            (None, None) if is("ServiceProviderConfig") || is("ServiceProviderConfigs") => Self::ServiceProviderConfig,
            (None, second) if is("ResourceTypes") => Self::ResourceTypes(second),
            (None, second) if is("Schemas") => Self::Schemas(second),
            _ => return Err(nowhere()),
        };
        Ok((route, before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_found_with_and_without_a_version() {
        for (path, route, before) in [
            ("Users", Route::All(Kind::User), ""),
            ("/scim/v2/Users/7", Route::One(Kind::User, "7".to_owned()), "/scim/v2"),
            ("v2/groups/", Route::All(Kind::Group), "/v2"),
            ("scim/v2/Groups/.search", Route::Search(Some(Kind::Group)), "/scim/v2"),
            ("v2/.search", Route::Search(None), "/v2"),
            ("scim/v2/ServiceProviderConfig", Route::ServiceProviderConfig, "/scim/v2"),
            ("Schemas", Route::Schemas(None), ""),
            ("ResourceTypes/User", Route::ResourceTypes(Some("User".to_owned())), ""),
        ] {
            assert_eq!(Route::parse(path), Ok((route, before.to_owned())), "{path}");
        }
        for path in ["", "scim/v2", "Users/7/emails", "Bulk", "Me", "scim/scim/scim/scim/Users"] {
            assert!(Route::parse(path).is_err(), "{path}");
        }
    }
}
