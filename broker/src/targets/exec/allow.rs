//! What a machine lets targets run. Sets of rules come over NATS: which programs of this machine they may name is said here
//! alone, in the section `exec` of its own `emote.yaml`, and without it none runs.

use std::{
    fs::File,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use serde_json::Value;

use crate::{config::fields::Fields, private};

const EXAMPLE: &str = "exec: {allow: [\"/usr/local/lib/emote/*\"]}";
const EXECUTABLE: u32 = 0o111;

/// The programs that targets may run here, and the variables that they may set for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    programs: Vec<Place>,
    variables: Vec<String>,
}

/// A program, or all those in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Program(PathBuf),
    Folder(PathBuf),
}

impl Allowed {
    /// Reads the section.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Self {
        let programs = fields.list("allow", |fields, path, value| {
            let place = value.as_str().and_then(place);
            if place.is_none() {
                fields.problem(path, "expected the absolute path of a program, or of a folder with /* behind it");
            }
            place
        });
        let variables = fields.list("env", |fields, path, value: &Value| {
            let name = value.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
            if name.is_none() {
                fields.problem(path, "expected the name of a variable, or its beginning with * behind it");
            }
            name
        });
        Self { programs: programs.unwrap_or_default(), variables: variables.unwrap_or_default() }
    }

    /// The program at `path` as it is to be run, or why it is not.
    pub(super) fn program(&self, path: &Path) -> Result<PathBuf, String> {
        let real = path.canonicalize().map_err(|error| format!("{} cannot be run: {error}", path.display()))?;
        self.names(&real)?;
        let (real, meta) = private::ours_alone(&real).map_err(|error| error.to_string())?;
        if !meta.is_file() || meta.mode() & EXECUTABLE == 0 {
            return Err(format!("{} is no program: make it one with chmod 755", real.display()));
        }
        if !begins_as_program(&real)? {
            return Err(format!(
                "{} is no program: it begins neither with #! nor as programs of this system do",
                real.display()
            ));
        }
        Ok(real)
    }

    /// Whether the program at `path` is named here. Links are followed as far as there are any: neither it nor what is named need
    /// be there.
    pub(super) fn names(&self, path: &Path) -> Result<(), String> {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let program = real(path);
        let is_named = self.programs.iter().any(|place| match place {
            Place::Program(named) => real(named) == program,
            Place::Folder(folder) => program.parent().is_some_and(|parent| parent == real(folder)),
        });
        if is_named {
            return Ok(());
        }
        Err(format!(
            "{} is not among the programs that this machine lets targets run: its emote.yaml says so, for example {EXAMPLE}",
            program.display()
        ))
    }

    /// Whether targets may set this variable. What an interpreter or a loader makes of one is known to the machine's
    /// administrator alone.
    pub(super) fn variable(&self, name: &str) -> Result<(), String> {
        let is_named = |allowed: &String| match allowed.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == allowed,
        };
        if self.variables.iter().any(is_named) {
            return Ok(());
        }
        Err(format!("this machine lets targets set no {name}: its emote.yaml says so, with exec: {{env: [{name}]}}"))
    }
}

/// Whether the system itself can run it; what it cannot, libraries give to a shell.
fn begins_as_program(path: &Path) -> Result<bool, String> {
    // elf(5), and <mach-o/loader.h> and <mach-o/fat.h>.
    const MAGIC: [&[u8]; 4] = [b"#!", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"];
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut beginning));
    read.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    Ok(MAGIC.iter().any(|magic| beginning.starts_with(magic)))
}

fn place(text: &str) -> Option<Place> {
    let (path, is_folder) = match text.strip_suffix("/*") {
        Some(folder) => (Path::new(folder), true),
        None => (Path::new(text), false),
    };
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let is_path =
        path.is_absolute() && plain && path.parent().is_some() && !path.to_string_lossy().contains(['*', '?']);
    let place = if is_folder { Place::Folder } else { Place::Program };
    is_path.then(|| place(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    use crate::config::Problems;

    fn allowed(json: Value) -> (Allowed, String) {
        let mut problems = Problems::default();
        let map = json.as_object().cloned().unwrap_or_default();
        let mut fields = Fields::new(&map, &mut problems);
        let allowed = Allowed::read(&mut fields);
        fields.finish();
        let told: Vec<String> = problems.iter().map(|it| format!("{}: {}", it.path, it.message)).collect();
        (allowed, told.join("\n"))
    }

    fn file(path: &Path, mode: u32) {
        std::fs::write(path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_what_the_machine_names_is_run_and_only_where_nobody_else_can_change_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (lib, open) = (root.join("lib"), root.join("open"));
        for (path, mode) in [(&lib, 0o755), (&lib.join("deep"), 0o755), (&open, 0o777)] {
            std::fs::create_dir(path).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        for (name, mode) in
            [("lib/good", 0o755), ("lib/text", 0o644), ("lib/shared", 0o775), ("lib/deep/x", 0o755), ("open/x", 0o755)]
        {
            file(&root.join(name), mode);
        }
        file(&root.join("other"), 0o755);
        file(&lib.join("noise"), 0o755);
        std::fs::write(lib.join("noise"), "echo hello\n").unwrap();
        std::os::unix::fs::symlink(root.join("other"), lib.join("link")).unwrap();
        std::os::unix::fs::symlink(&lib, root.join("alias")).unwrap();
        let names = [format!("{}/*", lib.display()), format!("{}/*", open.display())];
        let (by_folder, told) = allowed(serde_json::json!({"allow": names}));
        assert_eq!(told, "");
        for (path, expected) in [
            ("lib/good", ""),
            ("alias/good", ""),
            ("lib/../lib/good", ""),
            ("lib/none", "cannot be run: No such file"),
            ("lib/text", "is no program"),
            ("lib/deep", "is no program"),
            ("lib/noise", "begins neither with #! nor"),
            ("lib/shared", "can be changed by others"),
            ("open/x", "can be changed by others"),
            ("lib/deep/x", "not among the programs"),
            ("lib/link", "not among the programs"),
            ("lib/../other", "not among the programs"),
            ("other", "not among the programs"),
        ] {
            match by_folder.program(&root.join(path)) {
                Ok(found) => assert_eq!((expected, found), ("", root.join("lib/good")), "{path}"),
                Err(error) => assert!(!expected.is_empty() && error.contains(expected), "{path}: {error}"),
            }
        }
        let (one, _) = allowed(serde_json::json!({"allow": [root.join("alias/good")]}));
        let (elsewhere, _) = allowed(serde_json::json!({"allow": ["/opt/none/x", "/srv/none/*"]}));
        for (path, is_named) in
            [("/opt/none/x", true), ("/srv/none/y", true), ("/opt/none/y", false), ("/srv/none/y/z", false)]
        {
            let path = Path::new(path);
            assert_eq!(elsewhere.names(path).is_ok(), is_named, "{}", path.display());
            assert!(elsewhere.program(path).unwrap_err().contains("cannot be run"), "named is not there");
        }
        assert!(one.program(&lib.join("good")).is_ok() && one.program(&lib.join("text")).is_err());
        assert!(Allowed::default().program(&lib.join("good")).unwrap_err().contains(EXAMPLE));
    }

    #[test]
    fn variables_are_named_whole_or_by_their_beginning() {
        let (allowed, _) = allowed(serde_json::json!({"env": ["TICKETS_TOKEN", "ACME_*"]}));
        for (name, expected) in [("TICKETS_TOKEN", true), ("ACME_X", true), ("LD_PRELOAD", false), ("TICKETS", false)] {
            assert_eq!(allowed.variable(name).is_ok(), expected, "{name}");
        }
    }

    #[test]
    fn what_names_no_program_is_told() {
        let names = ["lib/x", "/", "/*", "/usr/*/x", "/usr/../bin/x", "", "/opt/emote/run"];
        let (_, told) = allowed(serde_json::json!({"allow": names, "env": [""], "x": 1}));
        let told: Vec<&str> = told.lines().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(told, ["allow[0]", "allow[1]", "allow[2]", "allow[3]", "allow[4]", "allow[5]", "env[0]", "x"]);
    }
}
