//! The kinds of resources, and the names of their attributes.

use serde_json::{Map, Value};

/// What the enterprise extension is called.
pub(super) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A person.
    User,
    /// A group of them.
    Group,
}

/// What a kind is called.
struct Words {
    name: &'static str,
    word: &'static str,
    endpoint: &'static str,
    schema: &'static str,
    name_attribute: &'static str,
}

const USER: Words = Words {
    name: "User",
    word: "user",
    endpoint: "Users",
    schema: "urn:ietf:params:scim:schemas:core:2.0:User",
    name_attribute: "userName",
};

const GROUP: Words = Words {
    name: "Group",
    word: "group",
    endpoint: "Groups",
    schema: "urn:ietf:params:scim:schemas:core:2.0:Group",
    name_attribute: "displayName",
};

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::User, Self::Group];

    fn words(self) -> &'static Words {
        match self {
            Self::User => &USER,
            Self::Group => &GROUP,
        }
    }

    /// `User`, `Group`
    pub(super) fn name(self) -> &'static str {
        self.words().name
    }

    /// Its word in keys and events.
    pub(super) fn word(self) -> &'static str {
        self.words().word
    }

    /// `Users`, `Groups`
    pub(super) fn endpoint(self) -> &'static str {
        self.words().endpoint
    }

    pub(super) fn schema(self) -> &'static str {
        self.words().schema
    }

    /// The attribute that no two of a kind share.
    pub(super) fn name_attribute(self) -> &'static str {
        self.words().name_attribute
    }

    /// Its name, in lower case; empty where it has none.
    pub(super) fn name_of(self, resource: &Map<String, Value>) -> String {
        resource.get(self.name_attribute()).and_then(Value::as_str).unwrap_or_default().to_lowercase()
    }
}

/// Attributes of several values.
pub(super) const MANY: [&str; 10] = [
    "emails",
    "phoneNumbers",
    "ims",
    "photos",
    "addresses",
    "entitlements",
    "roles",
    "x509Certificates",
    "members",
    "groups",
];

/// The others, as the standard writes them; clients may write all of them in any case.
const NAMES: [&str; 38] = [
    "schemas",
    "id",
    "meta",
    "externalId",
    "userName",
    "name",
    "displayName",
    "nickName",
    "profileUrl",
    "title",
    "userType",
    "preferredLanguage",
    "locale",
    "timezone",
    "active",
    "password",
    "formatted",
    "familyName",
    "givenName",
    "middleName",
    "honorificPrefix",
    "honorificSuffix",
    "value",
    "type",
    "primary",
    "display",
    "$ref",
    "streetAddress",
    "locality",
    "region",
    "postalCode",
    "country",
    "employeeNumber",
    "costCenter",
    "organization",
    "division",
    "department",
    "manager",
];

/// An attribute's name as the standard writes it, or as it came; one of another schema keeps that before it.
pub(super) fn canonical(name: &str) -> String {
    let name = name.trim();
    if name.eq_ignore_ascii_case(ENTERPRISE) {
        return ENTERPRISE.to_owned();
    }
    let known = NAMES.iter().chain(&MANY).find(|known| known.eq_ignore_ascii_case(name));
    known.map_or_else(|| name.to_owned(), |known| (*known).to_owned())
}

pub(super) fn is_many(name: &str) -> bool {
    MANY.contains(&name)
}

/// Whether a value under this name must never be kept.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.rsplit([':', '.']).next().unwrap_or(name).to_ascii_lowercase();
    ["password", "passcode", "passwd", "pwd", "secret", "clientsecret", "pin", "otp", "token"].contains(&name.as_str())
}

/// What only the server writes.
pub(super) fn is_read_only(name: &str) -> bool {
    ["schemas", "id", "meta", "groups"].contains(&name)
}
