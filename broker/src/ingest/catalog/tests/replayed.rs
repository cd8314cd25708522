//! Who has a signed request can send its body again with other headers: that is no other event.

use super::*;

/// The entries whose senders sign their bodies.
const SIGNED: [&str; 9] =
    ["apple-business", "github", "kolide", "nanomdm", "pagerduty", "slack", "ssf", "standard-webhooks", "zendesk"];

/// Headers that vendors tell events apart by, or choose by what a body is.
const TELLING: [&str; 9] = [
    "x-github-delivery",
    "x-github-event",
    "x-slack-retry-num",
    "idempotency-key",
    "webhook-id",
    "svix-id",
    "ce-id",
    "x-request-id",
    "date",
];

fn signing(yaml: &str) -> Plan {
    let spec: SourceSpec = serde_saphyr::from_str(yaml).unwrap();
    spec.validate(&Name::new("it").unwrap()).unwrap_or_else(|problems| panic!("{yaml}: {problems:?}"))
}

fn taken(
    plan: &Plan,
    content_type: &str,
    headers: &BTreeMap<String, String>,
    body: &str,
) -> Result<Vec<Draft>, Refusal> {
    plan.rehearse(request(Some(content_type), headers, body.as_bytes().to_vec()), &Serials::default(), &moment())
}

fn ids(drafts: &[Draft]) -> Vec<String> {
    drafts.iter().map(|draft| draft.id.unwrap().to_string()).collect()
}

#[test]
fn a_signed_body_is_the_same_event_whatever_headers_it_comes_with() {
    let (mut signed, mut bodies) = (Vec::new(), 0);
    for entry in all() {
        let plan = SourceSpec::example(entry).validate(&Name::new("it").unwrap()).unwrap();
        if plan.verify.trust() < Trust::Verified {
            continue;
        }
        signed.push(entry.name);
        for name in names_in(&folder("fixtures").join(entry.name)) {
            let path = folder("fixtures").join(entry.name).join(format!("{name}.yaml"));
            let fixture: Fixture = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let (body, content_type) = match (&fixture.json, &fixture.body) {
                (Some(json), _) => (with_base64(json).to_string(), "application/json"),
                (None, Some(body)) => (body.clone(), "text/plain"),
                (None, None) => continue,
            };
            bodies += 1;
            let content_type = fixture.r#type.as_deref().unwrap_or(content_type);
            let once = ids(&taken(&plan, content_type, &fixture.headers, &body).unwrap());
            let others = fixture.headers.keys().map(String::as_str).chain(TELLING);
            let others: Vec<BTreeMap<String, String>> = others
                .flat_map(|name| {
                    ["push", "another"].map(|value| {
                        let mut headers = fixture.headers.clone();
                        headers.retain(|other, _| !other.eq_ignore_ascii_case(name));
                        headers.insert(name.to_owned(), value.to_owned());
                        headers
                    })
                })
                .chain([BTreeMap::new()])
                .collect();
            for headers in &others {
                let again = ids(&taken(&plan, content_type, headers, &body).unwrap());
                assert_eq!(again, once, "{}/{name} with {headers:?}", entry.name);
            }
            for other in ["application/json", "application/x-ndjson", "application/x-www-form-urlencoded", "text/xml"] {
                let Ok(again) = taken(&plan, other, &fixture.headers, &body) else { continue };
                let is_noise = again.iter().all(|draft| draft.action.as_str() == "unmapped");
                assert!(is_noise || ids(&again) == once, "{}/{name} as {other}", entry.name);
            }
        }
    }
    assert_eq!(signed, SIGNED);
    assert!(bodies > 3 * SIGNED.len(), "{bodies} bodies were looked at");
}

#[test]
fn two_bodies_of_github_are_two_events_and_each_delivery_is_one_where_that_is_wanted() {
    let headers = |delivery: &str| {
        let pairs = [("X-GitHub-Event", "organization"), ("X-GitHub-Delivery", delivery)];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    };
    let body = |action: &str| {
        json!({"action": action, "membership": {"user": {"login": "ada"}}, "organization": {"login": "o"}, "sender": {"login": "s"}}).to_string()
    };
    let github = signing("preset: github\nsettings: {secret: '${env:A}'}");
    let of = |plan: &Plan, delivery: &str, action: &str, seed| {
        let request = request(Some("application/json"), &headers(delivery), body(action).into_bytes());
        let moment = Moment { random: [seed; 16], ..moment() };
        plan.rehearse(request, &Serials::default(), &moment).unwrap().remove(0)
    };
    let (added, redelivered) = (of(&github, "1", "member_added", 1), of(&github, "1", "member_added", 2));
    assert_eq!(added, redelivered);
    assert_eq!(serde_json::to_value(&added).unwrap()["info"]["delivery"], "1", "the delivery is told");
    assert_ne!(added.id, of(&github, "1", "member_removed", 1).id);
    let each = signing("preset: github\nsettings: {secret: '${env:A}'}\ndedupe: none");
    assert_ne!(of(&each, "1", "member_added", 1).id, of(&each, "2", "member_added", 2).id);
}

#[test]
fn what_a_signature_of_another_scheme_leaves_out_names_no_event_either() {
    let body = json!({"scope": "device", "action": "enroll", "type": "device.enrolled", "data": {"serial": "C02"}});
    let with = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let own = "hmac: {secret: '${env:A}', header: X-Sig, encoding: hex}";
    for (preset, verify, header, counts) in [
        ("json", own, "idempotency-key", false),
        ("json", "bearer: {token: '${env:A}'}", "idempotency-key", true),
        ("standard-webhooks", "svix: {secret: '${env:A}'}", "webhook-id", false),
        ("standard-webhooks", own, "webhook-id", false),
        ("standard-webhooks", "bearer: {token: '${env:A}'}", "webhook-id", true),
    ] {
        let plan = signing(&format!("preset: {preset}\nverify: {{{verify}}}"));
        let [one, other] = ["1", "2"]
            .map(|value| ids(&taken(&plan, "application/json", &with(header, value), &body.to_string()).unwrap()));
        assert_eq!(one != other, counts, "{preset} by {verify}");
    }
    // Attributes that are headers are the event itself.
    let plan = signing(&format!("preset: cloudevents\nverify: {{{own}}}"));
    let binary = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "device.enroll")];
    let binary = binary.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let Err(Refusal::Undecodable(said)) = taken(&plan, "application/json", &binary, "{}") else { panic!("taken") };
    assert!(said.contains("structured mode"), "{said}");
    let structured = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "device.enroll"}).to_string();
    assert_eq!(taken(&plan, "application/cloudevents+json", &BTreeMap::new(), &structured).unwrap().len(), 1);
}
