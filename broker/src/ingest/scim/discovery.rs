//! What the server says of itself: what it can, which resources and which attributes there are (RFC 7643, sections 5 to 8).

use serde_json::{Value, json};

use super::{
    error::ScimError,
    kind::{ENTERPRISE, Kind},
    list::MAX_PAGE,
};

/// `base` is the address that the endpoints stand behind.
pub(super) fn service_provider_config(base: &str) -> Value {
    let scheme =
        |kind: &str, name: &str, spec: &str| json!({"type": kind, "name": name, "description": name, "specUri": spec});
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": MAX_PAGE},
        "changePassword": {"supported": false},
        "sort": {"supported": false},
        "etag": {"supported": true},
        "authenticationSchemes": [
            scheme("oauthbearertoken", "Bearer token", "https://www.rfc-editor.org/rfc/rfc6750"),
            scheme("httpbasic", "User name and password", "https://www.rfc-editor.org/rfc/rfc7617"),
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": format!("{base}/ServiceProviderConfig")},
    })
}

/// All of these, or the one of this name.
pub(super) fn resource_types(base: &str, name: Option<&str>) -> Result<Value, ScimError> {
    let of = |kind: Kind| {
        let mut it = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": kind.name(), "name": kind.name(), "description": kind.name(),
            "endpoint": format!("/{}", kind.endpoint()), "schema": kind.schema(),
            "meta": {"resourceType": "ResourceType", "location": format!("{base}/ResourceTypes/{}", kind.name())},
        });
        if kind == Kind::User {
            it["schemaExtensions"] = json!([{"schema": ENTERPRISE, "required": false}]);
        }
        it
    };
    one_or_all(Kind::ALL.map(of).to_vec(), name)
}

/// All of these, or the one of this id.
pub(super) fn schemas(base: &str, id: Option<&str>) -> Result<Value, ScimError> {
    let of = |id: &str, name: &str, attributes: Vec<Value>| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": id, "name": name, "description": name, "attributes": attributes,
            "meta": {"resourceType": "Schema", "location": format!("{base}/Schemas/{id}")},
        })
    };
    let all = vec![
        of(Kind::User.schema(), "User", user()),
        of(Kind::Group.schema(), "Group", group()),
        of(ENTERPRISE, "EnterpriseUser", enterprise()),
    ];
    one_or_all(all, id)
}

fn one_or_all(all: Vec<Value>, id: Option<&str>) -> Result<Value, ScimError> {
    match id {
        Some(id) => {
            let found =
                all.into_iter().find(|one| one["id"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(id)));
            found.ok_or_else(|| ScimError::missing(format!("there is no {id:?}")))
        }
        None => Ok(json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": all.len(), "startIndex": 1, "itemsPerPage": all.len(), "Resources": all,
        })),
    }
}

fn attribute(name: &str, kind: &str) -> Value {
    let mut it = json!({
        "name": name, "type": kind, "multiValued": false, "description": name, "required": false,
        "mutability": "readWrite", "returned": "default",
    });
    if kind == "string" {
        it["caseExact"] = Value::from(false);
    }
    if kind != "boolean" && kind != "complex" {
        it["uniqueness"] = Value::from("none");
    }
    if kind == "reference" {
        it["referenceTypes"] = json!(["external"]);
        it["caseExact"] = Value::from(true);
    }
    it
}

fn with(mut attribute: Value, more: &Value) -> Value {
    if let (Some(attribute), Some(more)) = (attribute.as_object_mut(), more.as_object()) {
        attribute.extend(more.clone());
    }
    attribute
}

fn text(name: &str) -> Value {
    attribute(name, "string")
}

fn complex(name: &str, parts: Vec<Value>) -> Value {
    with(attribute(name, "complex"), &json!({"subAttributes": parts}))
}

/// An attribute of several values; `value` is what stands in each.
fn many(name: &str, value: Value) -> Value {
    let parts = vec![value, text("display"), text("type"), attribute("primary", "boolean")];
    with(complex(name, parts), &json!({"multiValued": true}))
}

/// The name that no two share.
fn named(name: &str) -> Value {
    with(text(name), &json!({"required": true, "uniqueness": "server"}))
}

fn user() -> Vec<Value> {
    let names = ["formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix"];
    let address = ["formatted", "streetAddress", "locality", "region", "postalCode", "country", "type"];
    let address = address.map(text).into_iter().chain([attribute("primary", "boolean")]).collect();
    let texts = ["displayName", "nickName"].map(text);
    let rest = ["title", "userType", "preferredLanguage", "locale", "timezone"].map(text);
    let mut all = vec![named("userName"), complex("name", names.map(text).to_vec())];
    all.extend(texts);
    all.push(attribute("profileUrl", "reference"));
    all.extend(rest);
    all.push(attribute("active", "boolean"));
    all.push(with(text("password"), &json!({"mutability": "writeOnly", "returned": "never"})));
    all.extend(["emails", "phoneNumbers", "ims"].map(|name| many(name, text("value"))));
    all.push(many("photos", attribute("value", "reference")));
    all.push(with(complex("addresses", address), &json!({"multiValued": true})));
    all.extend(["entitlements", "roles"].map(|name| many(name, text("value"))));
    all.push(many("x509Certificates", attribute("value", "binary")));
    all
}

fn group() -> Vec<Value> {
    let immutable = |attribute: Value| with(attribute, &json!({"mutability": "immutable"}));
    let parts = vec![immutable(text("value")), immutable(text("display"))];
    vec![named("displayName"), with(complex("members", parts), &json!({"multiValued": true}))]
}

fn enterprise() -> Vec<Value> {
    let texts = ["employeeNumber", "costCenter", "organization", "division", "department"].map(text);
    let manager = complex("manager", vec![text("value"), text("displayName")]);
    texts.into_iter().chain([manager]).collect()
}
