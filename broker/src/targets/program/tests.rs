use super::*;

use crate::targets::{
    exec, programs,
    spec::Setup,
    testing::{TOKEN, job, secrets, show},
};

fn spec(yaml: &str) -> (ProgramSpec, String) {
    let value: Value = serde_saphyr::from_str(yaml).unwrap();
    let mut problems = Problems::default();
    let map = value.as_object().cloned().unwrap_or_default();
    let mut fields = Fields::new(&map, &mut problems);
    let spec = ProgramSpec::read(&mut fields, &exec::PASSING);
    fields.finish();
    let told: Vec<String> = problems.iter().map(|it| format!("{}: {}", it.path, it.message)).collect();
    (spec, told.join("\n"))
}

fn contract(spec: &ProgramSpec) -> Contract {
    let (folder, delivery) = (secrets(), crate::targets::DeliverySettings::default());
    let setup = Setup { folder: folder.path(), settings: None, name: "the-target", delivery: &delivery, script: None };
    spec.resolve("exec", "/opt/x".to_owned(), &setup, &mut Problems::default()).unwrap()
}

fn ended(yaml: &str, ended: Ended, output: &str, said: &str) -> String {
    let (spec, _) = spec(yaml);
    let ran = Ran { ended, output: output.as_bytes().to_vec(), said: said.to_owned() };
    show(&contract(&spec).outcome(&spec, &job(), &ran))
}

#[test]
fn the_end_of_a_program_is_the_end_of_the_job() {
    let done = r#"done exec.ran {"events":0,"program":"/opt/x","target":"the-target"}"#;
    let own = "retry_on: [3, 4]";
    for (yaml, end, said, expected) in [
        ("", Ended::Code(0), "warnings", done),
        ("", Ended::Code(75), "later\n please", "retry exited with 75: later please"),
        ("", Ended::Code(1), "", "never exited with 1"),
        (own, Ended::Code(75), "", "never exited with 75"),
        (own, Ended::Code(4), "", "retry exited with 4"),
        ("retry_on: []", Ended::Code(75), "", "never exited with 75"),
        ("", Ended::Code(126), "Text file busy", "retry exited with 126: Text file busy"),
        (own, Ended::Code(143), "", "retry exited with 143"),
        ("", Ended::Code(127), "", "never exited with 127"),
        ("", Ended::Killed("was ended by signal 11".to_owned()), "", "never was ended by signal 11"),
        ("", Ended::Stopped("was told to end by signal 15".to_owned()), "", "retry was told to end by signal 15"),
        ("", Ended::Late(Duration::from_secs(3)), "at 7", "retry did not end within 3.0s and was ended: at 7"),
        ("", Ended::Flooded, "", "never wrote more than 1048576 bytes to its standard output, and was ended"),
    ] {
        assert_eq!(ended(yaml, end, "", said), expected);
    }
    let long = ended("", Ended::Code(1), "", &format!("{} the end", "x ".repeat(4000)));
    assert!(long.ends_with("x the end") && long.chars().count() < 600, "{long}");
}

#[test]
fn what_it_writes_is_events_or_nothing() {
    let (spec, _) = spec("");
    let contract = contract(&spec);
    let lines = "\n{\"scope\":\"asset\",\"action\":\"updated\",\"info\":{\"set\":{\"a\":1}}}\r\n \n{\"scope\":\"app\",\"action\":\"installed\"}";
    let events = contract.events(lines.as_bytes()).unwrap();
    assert_eq!(events.iter().map(|event| event.scope.as_str()).collect::<Vec<_>>(), ["asset", "app"]);
    let many = "{\"scope\":\"a\",\"action\":\"b\"}\n".repeat(101);
    let large = format!("{{\"scope\":\"a\",\"action\":\"{}\"}}", "b".repeat(MAX_EVENT));
    let deep = "[".repeat(100_000);
    for (output, said) in [
        ("hello", "line 1: not JSON"),
        ("{\"scope\":\"a\",\"action\":\"b\"}\nnope", "line 2: not JSON"),
        ("{\"scope\":\"a\"}", "line 1: the field \"action\" is missing"),
        ("{\"scope\":\"A B\",\"action\":\"b\"}", "line 1: "),
        ("[]", "line 1: "),
        ("{\"scope\":\"delivery\",\"action\":\"dead\"}", "are told by Emote itself"),
        ("{\"scope\":\"timer\",\"action\":\"due\"}", "are told by Emote itself"),
        ("{\"scope\":\"schema\",\"action\":\"changed\"}", "are told by Emote itself"),
        ("{\"scope\":\"a\",\"action\":\"b\",\"device\":{\"uuid\":\"a\\nb\"}}", "line 1: "),
        (&many, "line 101: a job may tell 100 events"),
        (&large, "bytes; an event may have"),
        (&deep, "line 1: not JSON: recursion limit"),
    ] {
        let problem = contract.events(output.as_bytes()).unwrap_err();
        assert!(problem.contains(said) && problem.len() < 700, "{problem}");
    }
    assert!(
        ended("", Ended::Code(0), "nope", "")
            .starts_with("never it ended well, but what it wrote is no events: line 1")
    );
    assert!(contract.events(b"\xff\xfe").is_err());
}

#[test]
fn no_secret_of_the_environment_comes_back() {
    let yaml = "env: {A: 'Bearer ${file:token}'}";
    let said = ended(yaml, Ended::Code(1), "", &format!("who took {TOKEN}?"));
    assert_eq!(said, "never exited with 1: who took …?");
    let (spec, _) = spec(yaml);
    let contract = contract(&spec);
    let line = format!("{{\"scope\":\"a\",\"action\":\"b\",\"info\":{{\"{TOKEN}\":[\"{TOKEN}\"]}}}}");
    let events = contract.events(line.as_bytes()).unwrap();
    assert!(!format!("{events:?}").contains(TOKEN));
    assert!(!contract.events(format!("{{\"scope\":\"{TOKEN} \"}}").as_bytes()).unwrap_err().contains(TOKEN));
    let env = contract.env(&job());
    let shown: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.expose().to_owned())).collect();
    assert_eq!(shown[0].0, "EMOTE_JOB_ID");
    assert_eq!(shown[2], ("A", format!("Bearer {TOKEN}")));
}

#[test]
fn an_argument_is_a_text_that_cannot_become_an_option() {
    let context = programs::of_job(&job(), &serde_json::json!({"flag": "--force", "many": ["a", 1, true]}));
    let args = |yaml: &str| spec(&format!("args: {yaml}")).0.args(&context);
    let ok = |args: &[&str]| Ok(args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
    assert_eq!(args("[--x, 7, {jq: .event.device.uuid}, {jq: .input.none}]"), ok(&["--x", "7", "C02XL0GTJGH5"]));
    assert_eq!(args("[--, {jq: .input.flag}, {jq: .input.many}]"), ok(&["--", "--force", "a", "1", "true"]));
    for (yaml, said) in [
        ("[{jq: .input.flag}, --]", "args[0]: \"--force\" would be taken for an option"),
        ("[x, {jq: .input}]", "args[1]: the program gave an object"),
        ("[{jq: '\"a\\u0000b\"'}]", "no zero bytes"),
        ("[{jq: '\"x\" * 40000'}]", "32768 bytes at most"),
        ("[{jq: '[range(300)]'}]", "there may be 256"),
        ("[{jq: 'error(\"no\")'}]", "args[0]: no"),
        ("[{jq: empty}]", "the program gave nothing"),
    ] {
        let problem = args(yaml).unwrap_err();
        assert!(problem.contains(said), "{yaml}: {problem}");
    }
}

#[test]
fn what_is_wrong_with_them_is_said() {
    let (_, told) = spec(
        "args: ['${env:TOKEN}', {jq: '('}, {x: 1}, [a]]\nenv: {'A B': x, 9A: x, EMOTE_JOB_ID: x, B: 1, C: '${x'}\nretry_on: [0, 256, x]",
    );
    insta::assert_snapshot!(told, @r"
    args[0]: everybody on the machine can read arguments: a secret goes into env
    args[1].jq: line 1, column 2: expected closing parenthesis
    args[2].jq: is missing: for example jq: .event.device.uuid
    args[2].x: unknown key: expected one of jq
    args[3]: expected a text, or {jq: a program}, found a list
    env.9A: not the name of a variable: for example TICKETS_TOKEN
    env.A B: not the name of a variable: for example TICKETS_TOKEN
    env.B: expected a text, found a number
    env.C: a ${ without its }: a secret is written ${env:NAME} or ${file:PATH}
    env.EMOTE_JOB_ID: variables that begin with EMOTE_ are set by Emote
    retry_on[0]: expected an exit code from 1 to 255
    retry_on[1]: expected an exit code from 1 to 255
    retry_on[2]: expected an exit code from 1 to 255
    ");
}
