//! Where settings are read: a TOML file, managed preferences, the environment and flags. The thin part that touches files.

use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Settings;
use super::effective::{Values, evaluate};
use super::keys::{self, UNIFIED_LOG};
use super::layer::Layer;
use super::problem::{KEPT, Origin, Problem};
use super::tree::Tree;
use crate::platform;

/// The file that is read when none is named.
#[cfg(target_os = "macos")]
pub const DEFAULT_FILE: &str = "/Library/Application Support/Emote/agent.toml";
/// The file that is read when none is named.
#[cfg(not(target_os = "macos"))]
pub const DEFAULT_FILE: &str = "/etc/emote-agent.toml";
/// Where the system puts what profiles set for [`super::DOMAIN`].
#[cfg(target_os = "macos")]
pub const MANAGED_FILE: Option<&str> = Some("/Library/Managed Preferences/io.emote.agent.plist");
/// Where the system puts what profiles set for [`super::DOMAIN`]: here are no profiles.
#[cfg(not(target_os = "macos"))]
pub const MANAGED_FILE: Option<&str> = None;

const MOST_BYTES: u64 = 64 << 10;
/// Of a file that was named.
const NO_FILE: &str = "there is no such file: `emote-agent config template --format toml` prints one to begin with";

/// Where this run of the program looks.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The TOML file; one that was named must be there.
    pub file: Option<PathBuf>,
    /// Instead of [`MANAGED_FILE`].
    pub managed: Option<PathBuf>,
    /// Variables.
    pub environment: Tree,
    /// The command line.
    pub flags: Tree,
}

/// What was read.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Ready to run with.
    pub settings: Settings,
    /// Each value and where it comes from.
    pub values: Values,
    /// What is wrong, and not used.
    pub problems: Vec<Problem>,
}

/// By what a change is noticed without reading: device, inode, size, and time of change of each file.
pub(super) type Fingerprint = (Vec<Option<(u64, u64, u64, i64, i64)>>, Option<Vec<u8>>);

impl Loaded {
    /// Keeps folder, socket, serial number and quota as they were, because of `error`.
    pub(crate) fn keep_place_of(&mut self, old: &Self, error: &str) {
        let Settings { state_dir, socket, serial, quota, .. } = old.settings.clone();
        self.settings = Settings { state_dir, socket, serial, quota, ..self.settings.clone() };
        let changed = self.values.changed(&old.values);
        let key = changed.iter().find(|key| ["state_dir", "socket", "serial", "quota"].contains(&key.as_str()));
        let key = key.map_or("state_dir", String::as_str);
        let layer = self.values.get(key).map_or(Origin::Default, |effective| effective.origin);
        self.problems.push(Problem::new(key, layer, None, error).using("what was used before"));
        self.problems.sort();
    }
}

impl Places {
    /// Reads all layers. What is wrong in one is in the problems.
    pub fn load(&self) -> Loaded {
        self.load_after(&mut Vec::new())
    }

    /// The same, where a file that cannot be read any more still says what it said in `last`; then `last` is what was
    /// read now.
    pub(super) fn load_after(&self, last: &mut Vec<Layer>) -> Loaded {
        let mut layers = self.layers();
        layers.iter_mut().for_each(|layer| layer.keep(last));
        let (values, mut problems) = evaluate(&layers);
        *last = layers;
        for (key, path) in values.files() {
            if let Some(origin) = values.get(&key).map(|effective| effective.origin)
                && let Err(error) = std::fs::metadata(&path)
            {
                // Kept all the same: without its file there is no connection, which is better than one that trusts more.
                let problem = format!("the file cannot be used: {}", error.kind());
                problems.push(Problem::new(&key, origin, None, problem).using(KEPT));
            }
        }
        problems.sort();
        Loaded { settings: Settings { file: self.file(), ..Settings::of(&values) }, values, problems }
    }

    /// From the strongest to the weakest.
    fn layers(&self) -> Vec<Layer> {
        let mut layers = vec![
            Layer::new(Origin::Flag, self.flags.clone()),
            Layer::new(Origin::Environment, self.environment.clone()),
        ];
        let file = self.managed().and_then(|path| read(Origin::Managed, &path, false, Tree::from_plist));
        layers.extend(managed(self.forced(), file));
        layers.extend(read(Origin::File, &self.file(), self.file.is_some(), from_toml));
        layers
    }

    pub(super) fn fingerprint(&self, values: &Values) -> Fingerprint {
        let mut paths = vec![self.file()];
        paths.extend(self.managed());
        paths.extend(values.files().into_iter().map(|(_, path)| path));
        let stat = |path: PathBuf| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.dev(), file.ino(), file.len(), file.ctime(), file.ctime_nsec()))
        };
        (paths.into_iter().map(stat).collect(), self.forced())
    }

    /// What the system says that profiles force, unless a file is to be read in place of it.
    fn forced(&self) -> Option<Vec<u8>> {
        if self.managed.is_some() {
            return None;
        }
        let keys = keys::general().iter().map(|key| &*key.name).chain(["sources", UNIFIED_LOG]);
        platform::forced_preferences(&keys.collect::<Vec<_>>())
    }

    /// Whether it keeps the agent from starting: what is wrong in flags, variables, or a file that was named and is not
    /// there.
    pub fn refuses(&self, problem: &Problem) -> bool {
        let is_file = problem.key.is_empty() && problem.layer == Origin::File;
        let is_missing = self.file.as_ref().is_some_and(|file| std::fs::metadata(file).is_err());
        problem.layer.is_command_line() || (is_file && is_missing)
    }

    fn file(&self) -> PathBuf {
        self.file.clone().unwrap_or_else(|| DEFAULT_FILE.into())
    }

    fn managed(&self) -> Option<PathBuf> {
        self.managed.clone().or_else(|| MANAGED_FILE.map(PathBuf::from))
    }
}

/// What is managed, as the system merges it and as its file says it. The system is asked only for keys that there are, so
/// of the file the others are told.
fn managed(forced: Option<Vec<u8>>, mut file: Option<Layer>) -> impl Iterator<Item = Layer> {
    let forced = forced.map(|bytes| layer(Origin::Managed, "forced preferences", Tree::from_plist(&bytes)));
    if let (Some(forced), Some(file)) = (&forced, &mut file) {
        file.tree.values.retain(|key, _| !forced.tree.values.contains_key(key));
    }
    forced.into_iter().chain(file)
}

/// Reads a file of settings that somebody wants checked: a property list or TOML, by its content.
pub fn check(path: &Path) -> Vec<Problem> {
    let by_content = |bytes: &[u8]| match bytes.trim_ascii_start() {
        // A sequence in DER, as no TOML begins.
        [0x30, 0x80..=0x84, ..] => Err(signed(path)),
        [b'<', ..] => Tree::from_plist(bytes),
        _ if bytes.starts_with(b"bplist") => Tree::from_plist(bytes),
        _ => from_toml(bytes),
    };
    let layers: Vec<Layer> = read(Origin::File, path, true, by_content).into_iter().collect();
    let (_, mut problems) = evaluate(&layers);
    problems.sort();
    problems
}

fn read(origin: Origin, path: &Path, must: bool, parse: impl Fn(&[u8]) -> Result<Tree, String>) -> Option<Layer> {
    let tree = match contents(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must => return None,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(NO_FILE.into()),
        Err(error) => Err(error.to_string()),
        Ok(bytes) => parse(&bytes),
    };
    Some(layer(origin, &path.display().to_string(), tree))
}

fn layer(origin: Origin, file: &str, tree: Result<Tree, String>) -> Layer {
    let (tree, unreadable) = match tree {
        Ok(tree) => (tree, None),
        Err(error) => (Tree::default(), Some(error)),
    };
    Layer { file: Some(file.to_owned()), unreadable, ..Layer::new(origin, tree) }
}

fn from_toml(bytes: &[u8]) -> Result<Tree, String> {
    Tree::from_toml(std::str::from_utf8(bytes).map_err(|error| format!("no UTF-8: {error}"))?)
}

/// What is said of a profile in a signature (CMS, RFC 5652).
fn signed(path: &Path) -> String {
    let path = path.display();
    format!(
        "it is signed (CMS), and what it signs is read once it is taken out: openssl smime -verify -noverify -inform der -in \
         '{path}' (on a Mac: security cms -D -i '{path}')"
    )
}

fn contents(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = platform::open(path)?;
    // Whoever writes here decides what the agent, which is root, reads and where it connects.
    if file.metadata()?.permissions().mode() & 0o002 != 0 {
        return Err(std::io::Error::other("everybody may write here: chmod o-w it"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(std::io::Error::other(format!("more than {MOST_BYTES} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plist(content: &str) -> String {
        format!("<plist><dict>{content}</dict></plist>")
    }

    #[test]
    fn what_is_managed_goes_over_the_file_and_flags_over_both() {
        let dir = tempfile::tempdir().unwrap();
        let (file, managed) = (dir.path().join("agent.toml"), dir.path().join("managed.plist"));
        std::fs::write(&file, "heartbeat = '1m'\npoll = '1m'\nserial = 'F'").unwrap();
        let keys = "<key>heartbeat</key><string>2m</string><key>poll</key><string>2m</string>
            <key>PayloadUUID</key><string>x</string>";
        std::fs::write(&managed, plist(keys)).unwrap();
        let mut places = Places { file: Some(file), managed: Some(managed), ..Places::default() };
        places.flags.set("poll", "3m".into());
        let loaded = places.load();
        assert_eq!(loaded.problems, []);
        let said = ["heartbeat", "poll", "serial"].map(|key| loaded.values.get(key).unwrap().shown.clone());
        assert_eq!(said, ["2m", "3m", "F"]);
    }

    #[test]
    fn what_the_system_says_is_forced_is_told_once_and_its_file_says_the_rest() {
        let forced = plist("<key>heartbeat</key><integer>5</integer>").into_bytes();
        let file = plist("<key>heartbeat</key><integer>5</integer><key>hartbeat</key><string>x</string>");
        let file = layer(Origin::Managed, "m.plist", Tree::from_plist(file.as_bytes()));
        let layers: Vec<Layer> = managed(Some(forced), Some(file)).collect();
        let keys: Vec<String> = evaluate(&layers).1.into_iter().map(|problem| problem.key).collect();
        assert_eq!(keys, ["hartbeat", "heartbeat"]);
    }

    #[test]
    fn files_that_cannot_be_used_are_told_and_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let (file, managed) = (dir.path().join("agent.toml"), dir.path().join("managed.plist"));
        let places = Places { file: Some(file.clone()), managed: Some(managed.clone()), ..Places::default() };
        let problems = || places.load().problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let missing = format!(
            "there is no such file: `emote-agent config template --format toml` prints one to begin with \
                               (file, {})",
            file.display()
        );
        assert!(problems().contains(&missing), "{}", problems());
        std::fs::write(&managed, "<plist><dict><key>").unwrap();
        std::fs::write(&file, "a = 'hunter2\nx").unwrap();
        assert!(problems().contains("agent.toml"), "{}", problems());
        assert!(problems().contains("line ") && problems().contains("no property list"), "{}", problems());
        assert!(!problems().contains("hunter2"));
        std::fs::write(&file, "# long\n".repeat(10_000)).unwrap();
        assert!(problems().contains("more than 65536 bytes"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(problems().contains("everybody may write here"));
    }

    #[test]
    fn a_signed_profile_is_told_as_one_with_how_it_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("emote-agent.mobileconfig");
        // SEQUENCE, OBJECT IDENTIFIER signedData: as CMS begins, with its length in two bytes, in one, or at its end.
        for length in [&[0x82, 0x0d, 0x01][..], &[0x81, 0xf1], &[0x80]] {
            std::fs::write(&file, [&[0x30], length, b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"].concat()).unwrap();
            let [problem] = &check(&file)[..] else { panic!("{:?}", check(&file)) };
            let how = format!("openssl smime -verify -noverify -inform der -in '{}'", file.display());
            assert!(problem.problem.starts_with("it is signed (CMS)") && problem.problem.contains(&how), "{problem}");
        }
        std::fs::write(&file, b"0\xff = 1").unwrap();
        assert!(check(&file)[0].to_string().contains("no UTF-8"));
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("agent.toml");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(check(&pipe)[0].to_string().contains("not a regular file"), "{:?}", check(&pipe));
    }

    #[test]
    fn a_file_that_must_be_there_and_is_not_is_told_and_kept() {
        let mut places = Places::default();
        places.flags.set("ca", "/nowhere.pem".into());
        let loaded = places.load();
        assert_eq!(loaded.settings.ca.as_deref(), Some(Path::new("/nowhere.pem")));
        let told = loaded.problems.iter().any(|problem| problem.key == "ca" && problem.layer == Origin::Flag);
        assert!(told, "{:?}", loaded.problems);
    }

    #[test]
    fn a_change_of_any_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, token) = (dir.path().join("agent.toml"), dir.path().join("token"));
        let mut places = Places { file: Some(file.clone()), ..Places::default() };
        places.flags.set("token_file", token.display().to_string().into());
        let values = places.load().values;
        let mut seen = vec![places.fingerprint(&values)];
        for (path, text) in [(&file, "poll = '1m'"), (&token, "t"), (&token, "u")] {
            std::fs::write(path, text).unwrap();
            let now = places.fingerprint(&values);
            assert_ne!(Some(&now), seen.last(), "{path:?}");
            seen.push(now);
        }
        assert_eq!(Some(&places.fingerprint(&values)), seen.last());
    }
}
