use crate::ingest::SourceSpec;

#[test]
fn a_source_says_by_which_ways_it_hears() {
    for (yaml, ways) in [
        ("preset: okta\nsettings: {secret: '${env:A}'}\nsilent_after: 7d", vec![("webhook", "/in/it")]),
        ("preset: scim\nsettings: {token: '${env:A}'}", vec![("webhook", "/in/it/scim/v2")]),
        (
            "preset: syslog\nlisten: [{transport: udp, address: '127.0.0.1:514'}, {transport: tcp, address: '[::1]:514'}]",
            vec![("udp", "127.0.0.1:514"), ("tcp", "[::1]:514")],
        ),
        ("preset: json\nfolder: {path: in}", vec![("folder", "in")]),
        ("map: .\npoll: {every: 90s, url: 'https://x.example'}", vec![("poll", "every 1m 30s")]),
    ] {
        let spec: SourceSpec = serde_saphyr::from_str(yaml).unwrap();
        let plan = spec.validate(&emote_proto::Name::new("it").unwrap()).unwrap_or_else(|told| panic!("{told:?}"));
        let found = plan.ways();
        let found: Vec<_> = found.iter().map(|(kind, place)| (*kind, place.as_str())).collect();
        assert_eq!(found, ways, "{yaml}");
    }
}

#[test]
fn what_is_mostly_sent_without_http_says_where_it_listens() {
    for (preset, port) in [("syslog", "6514"), ("gelf", "12201")] {
        let spec: SourceSpec = serde_saphyr::from_str(&format!("preset: {preset}")).unwrap();
        let told = spec.validate(&emote_proto::Name::new("it").unwrap()).unwrap_err();
        let told: Vec<_> = told.into_iter().map(|problem| (problem.path, problem.message)).collect();
        let listen = format!("`listen: {{transport: tls, address: \"0.0.0.0:{port}\"");
        assert!(told.len() == 1 && told[0].0 == "listen" && told[0].1.contains(&listen), "{told:?}");
    }
}
