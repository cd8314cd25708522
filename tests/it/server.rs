//! What servers are set up with: units, Debian package, containers, Kubernetes, formula, workflows.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use emote_tests::{emote, required};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn packaging(path: &str) -> PathBuf {
    root().join("packaging").join(path)
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn said(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn yaml(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let documents = text.split("\n---\n");
    documents.map(|text| serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{path:?}: {error}"))).collect()
}

/// A package of some program of this machine, and of completions.
fn deb(out: &Path, more: &[&str]) -> Output {
    let completions = out.join("completions");
    std::fs::create_dir_all(&completions).unwrap();
    for file in ["emote.bash", "emote.fish", "_emote"] {
        std::fs::write(completions.join(file), "# completions\n").unwrap();
    }
    let program = required("true").unwrap();
    let mut command = Command::new(packaging("linux/deb"));
    command.arg("--binary").arg(program).arg("--out").arg(out).arg("--completions").arg(completions).args(more);
    run(command.env("SOURCE_DATE_EPOCH", "1790000000"))
}

#[test]
fn a_debian_package_is_the_same_twice_and_systemd_takes_what_is_in_it() {
    let (Some(dpkg_deb), Some(_)) = (required("dpkg-deb"), required("readelf")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| {
        let made = said(deb(&folder.path().join(name), &["--version", "1.2.3-rc.1"]));
        PathBuf::from(made.trim_end())
    });
    assert!(first.to_str().unwrap().contains("/emote_1.2.3~rc.1_"), "{first:?}");
    assert!(std::fs::read(&first).unwrap() == std::fs::read(&second).unwrap(), "they are not the same");

    let tree = folder.path().join("tree");
    said(run(Command::new(&dpkg_deb).arg("-x").arg(&first).arg(&tree)));
    said(run(Command::new(&dpkg_deb).arg("-e").arg(&first).arg(tree.join("DEBIAN"))));
    let listed = said(run(Command::new(&dpkg_deb).arg("-c").arg(&first)));
    assert!(listed.lines().all(|line| line.contains(" root/root ")), "{listed}");
    for script in ["postinst", "prerm", "postrm"] {
        said(run(Command::new("sh").arg("-n").arg(tree.join("DEBIAN").join(script))));
    }
    let Some(analyze) = required("systemd-analyze") else { return };
    for unit in ["emote.service", "emote-nats.service"] {
        let unit = tree.join("usr/lib/systemd/system").join(unit);
        // Where the program would lie once it is installed.
        let text = std::fs::read_to_string(&unit).unwrap();
        // Programs of targets are ended by emote, not by systemd at the same moment.
        assert!(unit.ends_with("emote-nats.service") || text.contains("\nKillMode=mixed\n"), "{text}");
        let installed = text.replace("=/usr/bin/emote", &format!("={}/usr/bin/emote", tree.display()));
        std::fs::write(&unit, installed).unwrap();
        let verified = run(Command::new(&analyze).args(["verify", "--man=no"]).arg(&unit));
        assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
        let mut exposed = Command::new(&analyze);
        exposed.args(["security", "--offline=true", "--no-pager", "--threshold=20"]).arg(&unit);
        said(run(&mut exposed));
    }
}

#[test]
fn what_cannot_be_a_package_says_why() {
    if required("dpkg-deb").is_none() || required("readelf").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let foreign = if cfg!(target_arch = "x86_64") { "arm64" } else { "amd64" };
    for (args, why) in [
        (vec!["--version", "1.2.3", "--arch", foreign], format!("not for {foreign}")),
        (vec!["--version", "v1.2.3"], "a version begins with a digit".to_owned()),
        (vec![], "say --version".to_owned()),
        (vec!["--verison", "1.2.3"], "there is no --verison".to_owned()),
        (vec!["--version", "1.2.3", "--binary", "/etc/passwd"], "is no program for".to_owned()),
        (vec!["--version", "1.2.3", "--binary", "/nowhere/emote"], "cargo build".to_owned()),
    ] {
        let output = deb(folder.path(), &args);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(&why), "{args:?}: {told}");
    }
    let made = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(made.collect::<Vec<_>>(), ["completions"], "nothing is half made");
}

/// The folder that the README of `place` has made.
async fn init(place: &str) -> tempfile::TempDir {
    let readme = std::fs::read_to_string(packaging(place).join("README.md")).unwrap().replace("\\\n", "");
    let command = readme.lines().find(|line| line.contains("emote init --secure")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("emote");
    let words = command.split_whitespace().skip(1).map(|word| match word {
        "emote" | "packaging/docker/emote" => target.to_str().unwrap(),
        word => word,
    });
    let output = emote(&words.collect::<Vec<_>>()).await;
    assert!(output.status.success(), "{output:?}");
    folder
}

/// `emote.yaml` as the README of `place` says it must read: those sections in place of its own.
fn edited(place: &str, folder: &Path) -> String {
    let readme = std::fs::read_to_string(packaging(place).join("README.md")).unwrap();
    let sections: Vec<&str> =
        readme.lines().skip_while(|line| *line != "    nats:").take_while(|line| line.starts_with("    ")).collect();
    let mut own = std::fs::read_to_string(folder.join("emote/emote.yaml")).unwrap();
    for section in sections.iter().filter(|line| !line.starts_with("     ") && line.trim() != "nats:") {
        let key = section.trim().split(':').next().unwrap();
        let kept: Vec<&str> = own.split('\n').collect();
        let begins = kept.iter().position(|line| line.starts_with(&format!("{key}:")));
        let mut lines: Vec<String> = Vec::new();
        let mut within = false;
        for (at, line) in kept.iter().enumerate() {
            within = if begins == Some(at) { true } else { within && (line.starts_with(' ') || line.is_empty()) };
            if !within {
                lines.push((*line).to_owned());
            }
        }
        lines.push(section.trim().to_owned());
        own = lines.join("\n");
    }
    let servers = sections.iter().find(|line| line.contains("servers:")).unwrap();
    let lines = own.lines().map(|line| if line.starts_with("  servers:") { &servers[4..] } else { line });
    lines.map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn what_the_readmes_of_containers_say_passes_the_check() {
    for place in ["docker", "kubernetes"] {
        let folder = init(place).await;
        let edited = edited(place, folder.path());
        std::fs::write(folder.path().join("emote/emote.yaml"), &edited).unwrap();
        let checked = emote(&["check", folder.path().join("emote").to_str().unwrap()]).await;
        assert!(checked.status.success(), "{place}: {edited}\n{checked:?}");
        assert!(edited.contains("0.0.0.0:8480") && edited.contains("nats:4222"), "{edited}");
    }
}

#[test]
fn compose_runs_what_the_image_is() {
    let compose = yaml(&packaging("docker/compose.yaml")).remove(0);
    let broker = &compose["services"]["emote"];
    let dockerfile = root().join(broker["build"]["dockerfile"].as_str().unwrap());
    let image = std::fs::read_to_string(dockerfile).unwrap();
    let user = image.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert_eq!(compose["services"]["nats"]["user"], user, "both read the same files");
    let rust = image.lines().find_map(|line| line.strip_prefix("ARG RUST=")).unwrap();
    assert!(
        std::fs::read_to_string(root().join("Cargo.toml")).unwrap().contains(&format!("rust-version = \"{rust}\""))
    );
    for port in broker["ports"].as_array().unwrap() {
        let inside = port.as_str().unwrap().rsplit(':').next().unwrap();
        assert!(image.contains(inside), "EXPOSE {inside}");
    }
}

#[tokio::test]
async fn kubernetes_finds_every_file_and_nats_its_configuration() {
    let Some(kubectl) = required("kubectl") else { return };
    let folder = init("kubernetes").await;
    for file in ["kustomization.yaml", "namespace.yaml", "nats.yaml", "nats.conf", "broker.yaml"] {
        std::fs::copy(packaging("kubernetes").join(file), folder.path().join(file)).unwrap();
    }
    let built = said(run(Command::new(kubectl).arg("kustomize").arg(folder.path())));
    let path = folder.path().join("built.yaml");
    std::fs::write(&path, built).unwrap();
    if let Some(validate) = required("manifest-checks/bin/kubernetes-validate") {
        said(run(Command::new(validate).arg("--strict").arg(&path)));
    }
    let objects = yaml(&path);
    let of = |kind: &str| objects.iter().filter(|object| object["kind"] == kind).collect::<Vec<_>>();
    assert!(objects[1..].iter().all(|object| object["metadata"]["namespace"] == "emote"));

    let secrets: BTreeSet<(String, String)> = of("Secret")
        .iter()
        .flat_map(|secret| {
            let name = secret["metadata"]["name"].as_str().unwrap().to_owned();
            secret["data"].as_object().unwrap().keys().map(move |key| (name.clone(), key.clone()))
        })
        .collect();
    let brokers = of("StatefulSet").into_iter().find(|set| set["metadata"]["name"] == "emote").unwrap();
    let volumes = brokers["spec"]["template"]["spec"]["volumes"].as_array().unwrap();
    let sources = volumes.iter().filter_map(|volume| volume["projected"]["sources"].as_array()).flatten();
    let mounted: BTreeSet<(String, String)> = sources
        .flat_map(|source| {
            let name = source["secret"]["name"].as_str().unwrap().to_owned();
            source["secret"]["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(move |item| (name.clone(), item["key"].as_str().unwrap().to_owned()))
        })
        .collect();
    let broker_secrets: BTreeSet<_> =
        secrets.iter().filter(|(name, _)| !name.starts_with("emote-nats")).cloned().collect();
    assert_eq!(mounted, broker_secrets, "what is given is mounted, and nothing else");
    for never in ["operator.nk", "emote-account.nk", "ca.key", "admin.creds"] {
        assert!(secrets.iter().all(|(_, key)| key != never), "{never} belongs in no cluster");
    }
    // The settings name no other file than those that are mounted.
    let settings = edited("kubernetes", folder.path());
    let settings: String = settings.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    for file in settings.split(['"', ' ', '}']).filter_map(|word| word.strip_prefix("${file:secrets/")) {
        assert!(mounted.iter().any(|(_, key)| key == file.trim_end_matches('}')), "{file}");
    }

    let nats = required("nats-server").unwrap();
    let conf = std::fs::read_to_string(folder.path().join("nats.conf")).unwrap();
    let here = folder.path().join("emote/nats");
    for (mounted, file) in [("tls.crt", "server.pem"), ("tls.key", "server.key"), ("ca.crt", "ca.pem")] {
        std::fs::copy(here.join(file), here.join(mounted)).unwrap();
    }
    let conf = conf.replace("/etc/nats/tls", here.to_str().unwrap()).replace("\"/data\"", "\"data\"");
    std::fs::write(here.join("nats.conf"), conf).unwrap();
    let checked =
        run(Command::new(nats).args(["-t", "-c"]).arg(here.join("nats.conf")).env("POD_NAME", "emote-nats-0"));
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn the_formula_names_what_was_released() {
    let folder = tempfile::tempdir().unwrap();
    let formula = |version: &str| {
        let mut command = Command::new(packaging("homebrew/formula"));
        run(command.args(["--version", version, "--dist"]).arg(folder.path()))
    };
    let missing = formula("1.2.3");
    assert!(!missing.status.success() && missing.stdout.is_empty(), "{missing:?}");
    for target in
        ["aarch64-apple-darwin", "x86_64-apple-darwin", "aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"]
    {
        std::fs::write(folder.path().join(format!("emote-1.2.3-{target}.tar.gz")), target).unwrap();
    }
    let text = said(formula("1.2.3"));
    // sha256 of "aarch64-apple-darwin", by sha256sum
    let sum = said(run(Command::new("sha256sum").arg(folder.path().join("emote-1.2.3-aarch64-apple-darwin.tar.gz"))));
    let (url, sum) = ("/v1.2.3/emote-1.2.3-aarch64-apple-darwin.tar.gz\"\n", &sum[..64]);
    let arm = text.split("on_macos do").nth(1).unwrap().split("on_intel").next().unwrap();
    assert!(arm.contains(url) && arm.contains(sum), "{text}");
    assert_eq!(text.matches("sha256 \"").count(), 4);
}

/// As their own schemas and their linter say.
#[test]
fn workflows_compose_file_and_dockerfile_are_well_formed() {
    let (Some(schemas), Some(hadolint)) =
        (required("manifest-checks/bin/check-jsonschema"), required("manifest-checks/bin/hadolint"))
    else {
        return;
    };
    let workflows = root().join(".github/workflows");
    for (schema, file) in [
        ("compose-spec", packaging("docker/compose.yaml")),
        ("github-workflows", workflows.join("ci.yml")),
        ("github-workflows", workflows.join("release.yml")),
    ] {
        let mut command = Command::new(&schemas);
        said(run(command.args(["--builtin-schema", &format!("vendor.{schema}")]).arg(file)));
    }
    // Which versions Debian has is Debian's to say.
    said(run(Command::new(hadolint).args(["--ignore", "DL3008"]).arg(packaging("docker/Dockerfile"))));
}

/// Every script that a workflow runs is there and can be run.
#[test]
fn workflows_run_what_is_there() {
    use std::os::unix::fs::PermissionsExt;
    let mut scripts = BTreeSet::new();
    for name in ["ci", "release"] {
        let workflow = yaml(&root().join(".github/workflows").join(format!("{name}.yml"))).remove(0);
        let jobs = workflow["jobs"].as_object().unwrap().values();
        let steps = jobs.flat_map(|job| job["steps"].as_array().unwrap());
        let lines = steps.filter_map(|step| step["run"].as_str()).flat_map(str::split_whitespace);
        let words = lines.map(|word| word.trim_start_matches("server=$(").trim_end_matches(')'));
        scripts.extend(
            words.filter(|word| word.starts_with("./packaging/") || word.starts_with(".ci/")).map(str::to_owned),
        );
    }
    assert!(scripts.len() > 3, "{scripts:?}");
    for script in scripts {
        let about = std::fs::metadata(root().join(&script)).unwrap_or_else(|error| panic!("{script}: {error}"));
        assert!(about.permissions().mode() & 0o111 != 0, "{script}");
    }
}
