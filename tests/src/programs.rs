//! Where the programs are: ours, built once; others, on PATH or in Emote's tool folder.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Output,
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
    },
};

use emote::localnats;

/// The folder of `emote` and `emote-agent`, which are built first unless `EMOTE_TESTS_BUILT` says that they are.
pub fn built() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let folder = test.parent().and_then(Path::parent).unwrap().to_owned();
        if std::env::var_os("EMOTE_TESTS_BUILT").is_none() {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut build = std::process::Command::new(cargo);
            build.args(["build", "--quiet", "--workspace", "--all-targets"]);
            build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
            if folder.ends_with("release") {
                build.arg("--release");
            }
            assert!(build.status().expect("cargo runs").success(), "emote and emote-agent are built");
        }
        folder
    })
}

/// `emote` with `args`, run to its end.
pub async fn emote(args: &[&str]) -> Output {
    run(&built().join("emote"), args).await
}

/// A program run to its end, without input.
pub async fn run(program: &Path, args: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(program);
    command.args(args).stdin(std::process::Stdio::null()).kill_on_drop(true);
    command.output().await.unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// `emote` with `args`, run to its end with this on its standard input.
pub async fn emote_fed(args: &[&str], input: impl AsRef<[u8]>) -> Output {
    use tokio::io::AsyncWriteExt;
    let mut child = emote_piped(args);
    let mut stdin = child.stdin.take().unwrap();
    let feed = async {
        // A program that does not read all of it says why itself.
        stdin.write_all(input.as_ref()).await.ok();
        drop(stdin);
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), feed);
    output.unwrap()
}

/// `emote` with `args`, its standard streams piped.
pub fn emote_piped(args: &[&str]) -> tokio::process::Child {
    use std::process::Stdio;
    let mut command = tokio::process::Command::new(built().join("emote"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().unwrap_or_else(|error| panic!("emote: {error}"))
}

/// A program on PATH or in the tool folder.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([localnats::tools_folder()]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// A program that a test cannot do without. Where it is missing the test says so and is left out, but fails in CI.
pub fn required(name: &str) -> Option<PathBuf> {
    let found = tool(name);
    if found.is_none() {
        eprintln!(
            "LEFT OUT: this test needs {name}, which is neither on PATH nor in {}; ./tests/run installs it where Go and pip are there",
            localnats::tools_folder().display()
        );
        assert!(std::env::var_os("CI").is_none(), "{name} is missing, and in CI that is a failure");
    }
    found
}

/// Writes a file that only its owner may read.
pub fn private_file(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A port of loopback that nobody listens on, below those that outgoing connections take.
pub fn free_port() -> u16 {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let next = NEXT.get_or_init(|| AtomicU16::new(10_000 + (std::process::id() % 190) as u16 * 100));
    loop {
        let port = next.fetch_add(1, Ordering::Relaxed);
        assert!(port < 32_000, "no port is free");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Copies a folder without the folders of these names in it.
pub fn copy_folder(from: &Path, to: &Path, without: &[&str]) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (name, target) = (entry.file_name(), to.join(entry.file_name()));
        match entry.file_type().unwrap().is_dir() {
            true if without.iter().any(|without| name == *without) => {}
            true => copy_folder(&entry.path(), &target, without),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
