//! What the map of the repository promises.

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            if !["target", ".git"].contains(&entry.file_name().to_str().unwrap()) {
                found.extend(files(&path, extension));
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Code without comments and tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// Every crate that `package` is built with.
fn dependencies(package: &str) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    command.args([
        "tree",
        "--offline",
        "--package",
        package,
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let output = command.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn pure_crates_do_no_io_and_programs_do_not_see_each_other() {
    for (package, never) in [
        ("emote-rules", &["tokio", "async-nats", "redb", "reqwest", "axum"][..]),
        ("emote-proto", &["tokio", "async-nats", "redb", "reqwest", "axum"]),
        ("emote-agent", &["emote-broker", "emote-rules", "axum", "reqwest"]),
        ("emote-xar", &["tokio", "async-nats", "redb", "reqwest", "axum"]),
        ("emote-broker", &["emote-agent", "emote-packaging", "sysinfo"]),
    ] {
        let found = dependencies(package);
        assert!(found.iter().any(|name| name == package));
        for name in never {
            assert!(!found.iter().any(|found| found == name), "{package} is built with {name}");
        }
    }
}

#[test]
fn what_a_folder_must_not_name_it_does_not() {
    let clock = ["tokio", "async_nats", "redb", "SystemTime", "Instant", "Timestamp::now", "std::fs", "std::net"];
    let only =
        |allowed: &'static str, name: &'static str| move |path: &str| (!path.starts_with(allowed)).then_some(name);
    for path in files(&root().join("broker/src"), "rs") {
        let (name, code) = (shown(&path), code(&path));
        let mut never = Vec::new();
        if name.starts_with("broker/src/core/") {
            never.extend(clock);
        }
        never.extend(only("broker/src/bus/", "async_nats::")(&name));
        never.extend(only("broker/src/store/", "redb::")(&name));
        never.extend(only("broker/src/archive/", "object_store::")(&name));
        for word in never {
            assert!(!code.contains(word), "{name} names {word}");
        }
    }
}

#[test]
fn every_file_is_a_module_and_says_what_it_is_for() {
    let sources = [
        "proto/src",
        "agent/src",
        "broker/src",
        "broker/rules/src",
        "packaging/src",
        "packaging/xar/src",
        "tests/src",
        "tests/it",
    ];
    for path in sources.iter().flat_map(|folder| files(&root().join(folder), "rs")) {
        let (name, text) = (shown(&path), std::fs::read_to_string(&path).unwrap());
        let is_tests = path.file_name().is_some_and(|file| file == "tests.rs");
        assert!(is_tests || text.starts_with("//!") || text.starts_with("#!"), "{name} does not say what it is for");
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if ["lib", "main", "build"].contains(&stem) {
            continue;
        }
        let (folder, module) = match stem {
            "mod" => (
                path.parent().unwrap().parent().unwrap(),
                path.parent().unwrap().file_name().unwrap().to_str().unwrap(),
            ),
            _ => (path.parent().unwrap(), stem),
        };
        let parents = ["mod.rs", "lib.rs", "main.rs"].map(|parent| folder.join(parent));
        let beside = folder.with_extension("rs");
        let line = format!("mod {module};");
        let declared = parents.iter().chain([&beside]).any(|parent| {
            std::fs::read_to_string(parent)
                .is_ok_and(|text| text.lines().any(|found| found.trim_end().ends_with(&line)))
        });
        assert!(declared, "{name} belongs to no module: it is not compiled");
    }
}

#[test]
fn only_the_systems_own_calls_and_instructions_are_outside_what_the_compiler_checks() {
    // Put together here, so that this file does not name it either.
    let word = ["un", "safe"].concat();
    let names = |path: &Path, name: &str| {
        let text = std::fs::read_to_string(path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_')).any(|found| found == name)
    };
    let may = ["agent/src/platform/macos/", "broker/rules/src/scan/x86.rs", "broker/rules/src/scan/x86/"];
    for path in files(root(), "rs") {
        let file = shown(&path);
        if !may.iter().any(|may| file.starts_with(may)) {
            assert!(!names(&path, &word), "{file} holds {word} code");
        }
    }
    for member in ["proto", "agent", "broker", "packaging", "packaging/xar", "tests"] {
        for path in ["src/lib.rs", "src/main.rs"].map(|file| root().join(member).join(file)) {
            assert!(!path.exists() || names(&path, "forbid"), "{} does not forbid {word} code", shown(&path));
        }
    }
}

#[test]
fn every_vendor_of_the_catalogue_has_examples() {
    let catalogue = root().join("broker/catalog");
    for path in files(&catalogue.join("sources"), "yaml") {
        let examples = catalogue.join("fixtures").join(path.file_stem().unwrap());
        assert!(examples.is_dir() && !files(&examples, "yaml").is_empty(), "{} has no fixtures", shown(&path));
    }
}

#[test]
fn no_file_names_the_machine_it_was_written_on() {
    // Put together here, so that this file does not name them either.
    let never = [["/wo", "rk/"].concat(), ["/ro", "ot/"].concat(), ["/tmp/go", "bin"].concat()];
    for extension in ["rs", "md", "yaml", "toml", "sh"] {
        for path in files(root(), extension) {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for word in &never {
                assert!(!text.contains(word.as_str()), "{} names {word}", shown(&path));
            }
        }
    }
}

#[test]
fn every_folder_of_modules_is_in_the_map_and_every_one_in_the_map_is_there() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, map) = readme.split_once("## Where things are").unwrap();
    for crate_ in ["agent", "broker"] {
        let (_, its) = map.split_once(&format!("\n    {crate_}/ ")).unwrap();
        // What stands less deep is of another one.
        let its = its.lines().skip(1).take_while(|line| line.starts_with("      "));
        let named = its.flat_map(|line| line.split_whitespace().filter_map(|word| word.strip_prefix("src/")));
        let mut named: Vec<String> = named.map(|word| word.trim_end_matches('/').to_owned()).collect();
        let entries = std::fs::read_dir(root().join(crate_).join("src")).unwrap().map(Result::unwrap);
        let folders = entries.filter(|entry| entry.path().is_dir());
        let mut folders: Vec<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
        named.sort();
        folders.sort();
        assert_eq!(named, folders, "{crate_}");
    }
}
