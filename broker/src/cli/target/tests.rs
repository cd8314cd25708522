use std::path::Path;

use super::*;

fn test(name: &str, folder: &Path) -> Test {
    Test {
        name: name.to_owned(),
        server: ServerArgs::of(folder),
        event: None,
        input: None,
        node: None,
        send: false,
        yes: false,
        output: Output::Json,
    }
}

#[tokio::test]
async fn every_preset_and_action_is_shown_without_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    for entry in catalog::all() {
        let actions: Vec<String> = match entry.body.actions.is_empty() {
            true => vec![entry.name.to_owned()],
            false => entry.body.actions.keys().map(|action| format!("{}/{action}", entry.name)).collect(),
        };
        for name in actions {
            let mut test = test(&name, folder.path());
            if entry.body.kind == "mdm" {
                test.input = Some(if name.ends_with("/name") { json!({"name": "ada-mbp"}) } else { json!({}) });
            }
            let tried = test.tried().unwrap().unwrap();
            let (job, input) = test.job(&tried, test.event().unwrap().unwrap()).unwrap();
            let (seen, outcome) = test.rehearsed(&tried, &job, &input).await.unwrap();
            let does = seen.iter().find(|shown| shown.role == Role::Job);
            let does = does.unwrap_or_else(|| panic!("{name}: {outcome}"));
            let all = serde_json::to_string(does).unwrap() + &text(does);
            assert!(!all.contains("emotestandin") && does.answer.is_none(), "{all}");
        }
    }
}

#[tokio::test]
async fn a_request_is_shown_as_it_would_be_sent() {
    let folder = tempfile::tempdir().unwrap();
    let test = Test { input: Some(json!({"message": "Call IT"})), ..test("simplemdm/lock", folder.path()) };
    let tried = test.tried().unwrap().unwrap();
    let (job, input) = test.job(&tried, test.event().unwrap().unwrap()).unwrap();
    let (seen, _) = test.rehearsed(&tried, &job, &input).await.unwrap();
    let shown: Vec<String> = seen.iter().map(text).collect();
    let shown = anstream::adapter::strip_str(&shown.join("\n")).to_string().replace(job.id.as_str(), "JOB");
    insta::assert_snapshot!(shown, @r"
    GET https://a.simplemdm.com/api/v1/devices?limit=100&search=C02XL0GTJGH5  looks up
      authorization: Basic ${env:SIMPLEMDM_API_KEY}:
    POST https://a.simplemdm.com/api/v1/devices/4021/lock  does it
      authorization: Basic ${env:SIMPLEMDM_API_KEY}:
      content-type: application/x-www-form-urlencoded
      idempotency-key: JOB
      message=Call+IT&pin=<PIN>
    ");
}

#[tokio::test]
async fn the_sample_belongs_to_somebody_and_nats_is_where_the_options_say() {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("targets")).unwrap();
    for (name, text) in [
        ("mail", "kind: email\nserver: smtp://127.0.0.1:1\nfrom: e@example.com\nto: .node.owner\n"),
        ("tell", "kind: nats\nsubject: tickets\n"),
    ] {
        std::fs::write(folder.path().join(format!("targets/{name}.yaml")), text).unwrap();
    }
    let folder = folder.path().to_str().unwrap();
    for (name, said) in [("mail", "ada@example.com"), ("tell", "nats://127.0.0.1:14333")] {
        let line = ["emote", "test", name, "--config", folder, "--server", "nats://127.0.0.1:14333"];
        let Command::Test(test) = <Line as clap::Parser>::try_parse_from(line).unwrap().args.command;
        let tried = test.tried().unwrap().unwrap();
        let (job, input) = test.job(&tried, test.event().unwrap().unwrap()).unwrap();
        let (seen, outcome) = test.rehearsed(&tried, &job, &input).await.unwrap();
        let seen = serde_json::to_string(&seen).unwrap();
        assert!(seen.contains(said), "{seen} {outcome}");
    }
}

#[tokio::test]
async fn what_is_not_there_and_what_is_no_job_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["nope", "jamf-pro", "jamf-pro/explode", "nope/lock"] {
        assert_eq!(test(name, folder.path()).run().await.unwrap(), Exit::NotFound, "{name}");
    }
    let event = folder.path().join("event.json");
    std::fs::write(&event, r#"{"scope": "user", "action": "suspended", "user": {"id": "ada@example.com"}}"#).unwrap();
    let nobody = Test { event: Some(event), ..test("jamf-pro/lock", folder.path()) };
    assert_eq!(nobody.run().await.unwrap(), Exit::Failed);
    let no_file = Test { event: Some("/nowhere".into()), ..test("jamf-pro/lock", folder.path()) };
    assert_eq!(no_file.run().await.unwrap(), Exit::NotFound);
}

#[tokio::test]
async fn what_destroys_is_sent_only_when_somebody_says_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("targets")).unwrap();
    let (send, mut receive) = tokio::sync::mpsc::channel(8);
    let app = axum::Router::new().fallback(move |uri: http::Uri| async move {
        send.send(uri.to_string()).await.unwrap();
        "{}"
    });
    let url = crate::testing::serve(app).await;
    let yaml = format!("kind: http\nurl: '{url}/x'\ndestructive: true\n");
    std::fs::write(folder.path().join("targets/boom.yaml"), yaml).unwrap();
    let sent = |yes| Test { send: true, yes, ..test("boom", folder.path()) };
    let error = sent(false).run().await.unwrap_err().to_string();
    assert!(error.contains("say --yes") || error.contains("nothing was sent"), "{error}");
    assert!(receive.try_recv().is_err());
    assert_eq!(sent(true).run().await.unwrap(), Exit::Ok);
    assert_eq!(receive.recv().await.unwrap(), "/x");
    let preset = Test { send: true, yes: true, ..test("jamf-pro/lock", folder.path()) };
    assert!(preset.run().await.unwrap_err().to_string().contains("write a file"));
}
