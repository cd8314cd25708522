//! Whether a package's parts say the same of what it installs.

use std::collections::BTreeMap;

use super::Report;
use crate::pkg::assemble::{MANIFEST, SCRIPTS_VERSION};
use crate::pkg::bom::{self, Line};
use crate::pkg::manifest::{self, Manifest};
use crate::pkg::tree::{Entry, Kind, Tree};
use crate::pkg::xar::Archive;
use crate::pkg::xml::{self, Element};
use crate::pkg::{
    APP, COMPONENT, DEPLOYMENT_TARGET, IDENTIFIER, LAUNCH_DAEMON, NEWSYSLOG, PROGRAM, UNINSTALL, cpio, gzip,
};

/// What a package holds, unpacked.
#[derive(Debug, Clone)]
pub struct Contents {
    /// What it says of itself.
    pub manifest: Manifest,
    /// What is installed.
    pub payload: Tree,
    /// What is run while it is.
    pub scripts: Tree,
    bom: BTreeMap<String, Line>,
    package_info: Element,
    distribution: Element,
}

/// Unpacks what is in a package; which parts there must be, and which not, is checked here too.
pub fn contents(archive: &Archive<'_>) -> Result<Contents, String> {
    let part = |name: &str| archive.file(name).ok_or_else(|| format!("{name} is missing"));
    let inside = |name: &str| part(&format!("{COMPONENT}/{name}"));
    let text = |error: crate::pkg::Malformed| error.to_string();
    let manifest: Manifest = serde_json::from_slice(part(MANIFEST)?).map_err(|error| format!("{MANIFEST}: {error}"))?;
    if manifest.format != manifest::FORMAT {
        return Err(format!("{MANIFEST} has format {}, and this program knows {}", manifest.format, manifest::FORMAT));
    }
    let unpacked = |name: &str| {
        let archive = gzip::decompress(inside(name)?).map_err(|error| format!("{name}: {error}"))?;
        cpio::read(&archive, manifest.time).map_err(|error| format!("{name}: {error}"))
    };
    Ok(Contents {
        payload: unpacked("Payload")?,
        scripts: unpacked("Scripts")?,
        bom: bom::read(inside("Bom")?).map_err(text)?,
        package_info: xml::parse("PackageInfo", inside("PackageInfo")?).map_err(text)?,
        distribution: xml::parse("Distribution", part("Distribution")?).map_err(text)?,
        manifest,
    })
}

impl Contents {
    /// Holds all parts against each other.
    pub(super) fn check(&self, archive: &Archive<'_>, report: &mut Report) {
        let before = report.problems.len();
        let component = ["Bom", "PackageInfo", "Payload", "Scripts"].map(|name| format!("{COMPONENT}/{name}"));
        for file in &archive.files {
            if !component.contains(&file.path) && !["Distribution", MANIFEST].contains(&file.path.as_str()) {
                report.problem(format!("{} is in no package of the agent", file.path));
            }
        }
        self.check_manifest(report);
        self.check_bom(report);
        self.check_package_info(report);
        self.check_distribution(report);
        self.check_installed(report);
        if report.problems.len() == before {
            let (files, scripts, version) = (self.payload.len(), self.scripts.len(), self.manifest.version);
            report.proven.push(format!(
                "version {version}: {files} paths and {scripts} files for its scripts, as manifest, Bom, PackageInfo and Distribution say"
            ));
        }
    }

    fn check_manifest(&self, report: &mut Report) {
        if self.manifest.identifier != IDENTIFIER {
            report.problem(format!("the manifest is of {}, not of {IDENTIFIER}", self.manifest.identifier));
        }
        for (what, listed, tree) in
            [("payload", &self.manifest.payload, &self.payload), ("scripts", &self.manifest.scripts, &self.scripts)]
        {
            let found = manifest::lines(tree);
            for line in found.iter().filter(|line| !listed.contains(line)) {
                report.problem(format!("{what}: {} is not as the manifest has it", line.path));
            }
            for line in listed.iter().filter(|line| !found.iter().any(|found| found.path == line.path)) {
                report.problem(format!("{what}: {} is in the manifest and not there", line.path));
            }
            if listed.len() != found.len() {
                report.problem(format!("{what}: {} entries are in the manifest, {} there", listed.len(), found.len()));
            }
        }
    }

    fn check_bom(&self, report: &mut Report) {
        let root = Entry::new(Kind::Folder, 0o755);
        let entries = std::iter::once((".", &root)).chain(self.payload.iter());
        let expected: BTreeMap<_, _> =
            entries.map(|(path, entry)| (path.to_owned(), Line::of(entry, self.manifest.time))).collect();
        for (path, line) in &expected {
            match self.bom.get(path) {
                Some(found) if found == line => {}
                Some(found) => report.problem(format!("Bom: {path} is {found:?}, and in the payload {line:?}")),
                None => report.problem(format!("Bom: {path} is missing")),
            }
        }
        for path in self.bom.keys().filter(|path| !expected.contains_key(*path)) {
            report.problem(format!("Bom: {path} is not in the payload"));
        }
    }

    fn check_package_info(&self, report: &mut Report) {
        let (info, version) = (&self.package_info, self.manifest.version.to_string());
        let mut must = vec![
            ("name", info.name.clone(), "pkg-info".to_owned()),
            ("identifier", info.attribute("identifier").into(), IDENTIFIER.into()),
            ("version", info.attribute("version").into(), version.clone()),
            ("install-location", info.attribute("install-location").into(), "/".into()),
            ("auth", info.attribute("auth").into(), "root".into()),
            ("relocatable", info.attribute("relocatable").into(), "false".into()),
        ];
        let of = |element: &str, attribute: &str| info.one(element).map(|it| it.attribute(attribute).to_owned());
        let files = (self.payload.len() + 1).to_string();
        must.push(("payload's numberOfFiles", of("payload", "numberOfFiles").unwrap_or_default(), files));
        let size = self.payload.kibibytes().to_string();
        must.push(("payload's installKBytes", of("payload", "installKBytes").unwrap_or_default(), size));
        must.push(("bundle's path", of("bundle", "path").unwrap_or_default(), format!("./{APP}")));
        must.push(("bundle's version", of("bundle", "CFBundleVersion").unwrap_or_default(), version));
        compare("PackageInfo", &must, report);
        for empty in ["relocate", "bundle-version"] {
            if info.one(empty).is_none_or(|element| !element.children.is_empty()) {
                report.problem(format!("PackageInfo: <{empty}/> is missing or not empty: Installer would look for the bundle elsewhere, or keep another version"));
            }
        }
        let named = info.one("scripts").into_iter().flat_map(|scripts| &scripts.children);
        let named: Vec<_> = named.map(|script| (script.name.as_str(), script.attribute("file"))).collect();
        if named != [("preinstall", "./preinstall"), ("postinstall", "./postinstall")] {
            report.problem("PackageInfo: its scripts are not preinstall and postinstall");
        }
    }

    fn check_distribution(&self, report: &mut Report) {
        let (root, version) = (&self.distribution, self.manifest.version.to_string());
        let of = |path: &[&str], attribute: &str| {
            let element = path.iter().try_fold(root, |element, name| element.all(name).next());
            element.map(|element| element.attribute(attribute).to_owned()).unwrap_or_default()
        };
        let references: Vec<_> = root.all("pkg-ref").collect();
        let referred = references.first().filter(|_| references.len() == 1).map(|it| it.text().to_owned());
        let minimum = of(&["volume-check", "allowed-os-versions", "os-version"], "min");
        let must = [
            ("name", root.name.clone(), "installer-gui-script".to_owned()),
            ("pkg-ref", referred.unwrap_or_default(), format!("#{COMPONENT}")),
            ("pkg-ref's id", of(&["pkg-ref"], "id"), IDENTIFIER.into()),
            ("pkg-ref's version", of(&["pkg-ref"], "version"), version.clone()),
            ("product's version", of(&["product"], "version"), version),
            ("product's id", of(&["product"], "id"), IDENTIFIER.into()),
            ("os-version", minimum, DEPLOYMENT_TARGET.short()),
            ("require-scripts", of(&["options"], "require-scripts"), "false".into()),
            ("hostArchitectures", of(&["options"], "hostArchitectures"), "x86_64,arm64".into()),
        ];
        compare("Distribution", &must, report);
        if root.all("script").next().is_some() || root.all("installation-check").next().is_some() {
            report.problem("Distribution: it runs scripts of its own");
        }
    }

    /// What must be among what is installed, whose it must be, and what it must say.
    fn check_installed(&self, report: &mut Report) {
        for (path, entry) in self.payload.iter() {
            if entry.uid != 0 || entry.mode & 0o6022 != 0 {
                report.problem(format!("payload: {path} is not root's alone to write, or changes who runs it"));
            }
            let leads_to = |place: &&str| place.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
            let of_the_agent = [APP, LAUNCH_DAEMON, NEWSYSLOG].iter().any(|place| path == *place || leads_to(place));
            if !of_the_agent && !path.strip_prefix(APP).is_some_and(|rest| rest.starts_with('/')) {
                report.problem(format!("payload: {path} is not the agent's"));
            }
        }
        let version = self.manifest.version.to_string();
        let (program, uninstall) = (format!("{APP}/{PROGRAM}"), format!("{APP}/{UNINSTALL}"));
        for (tree, path, mode) in [
            (&self.payload, program.as_str(), 0o755),
            (&self.payload, &uninstall, 0o755),
            (&self.payload, LAUNCH_DAEMON, 0o644),
            (&self.payload, NEWSYSLOG, 0o644),
            (&self.scripts, "preinstall", 0o755),
            (&self.scripts, "postinstall", 0o755),
            (&self.scripts, SCRIPTS_VERSION, 0o644),
        ] {
            if tree.get(path).is_none_or(|entry| !matches!(entry.kind, Kind::File(_)) || entry.mode != mode) {
                report.problem(format!("{path} is missing, or has another mode than {mode:04o}"));
            }
        }
        if self.scripts.len() != 3 {
            report.problem("scripts: more is there than preinstall, postinstall and the version");
        }
        if self.scripts.file(SCRIPTS_VERSION) != Some(format!("{version}\n").as_bytes()) {
            report.problem(format!("scripts: {SCRIPTS_VERSION} is not {version}"));
        }
        self.check_info_plist(&version, report);
        self.check_launch_daemon(report);
    }

    /// A property list of the payload.
    fn plist(&self, path: &str) -> Result<plist::Dictionary, String> {
        let bytes = self.payload.file(path).ok_or_else(|| format!("{path} is missing"))?;
        let value: plist::Value = plist::from_reader_xml(bytes).map_err(|error| format!("{path}: {error}"))?;
        value.into_dictionary().ok_or_else(|| format!("{path} is no dictionary"))
    }

    fn check_info_plist(&self, version: &str, report: &mut Report) {
        let path = format!("{APP}/Contents/Info.plist");
        let info = match self.plist(&path) {
            Ok(info) => info,
            Err(problem) => return report.problem(problem),
        };
        let program = PROGRAM.rsplit_once('/').map_or(PROGRAM, |(_, name)| name);
        let minimum = DEPLOYMENT_TARGET.short();
        let must = [
            ("CFBundleIdentifier", IDENTIFIER),
            ("CFBundleExecutable", program),
            ("CFBundlePackageType", "APPL"),
            ("CFBundleShortVersionString", version),
            ("CFBundleVersion", version),
            ("LSMinimumSystemVersion", &minimum),
        ];
        let must = must.map(|(key, expected)| {
            let found = info.get(key).and_then(plist::Value::as_string).unwrap_or_default();
            (key, found.to_owned(), expected.to_owned())
        });
        compare("Info.plist", &must, report);
    }

    fn check_launch_daemon(&self, report: &mut Report) {
        let daemon = match self.plist(LAUNCH_DAEMON) {
            Ok(daemon) => daemon,
            Err(problem) => return report.problem(problem),
        };
        let texts = |key: &str| -> Vec<&str> {
            let array = daemon.get(key).and_then(plist::Value::as_array);
            array.into_iter().flatten().filter_map(plist::Value::as_string).collect()
        };
        let program = format!("/{APP}/{PROGRAM}");
        let is = |key: &str, value: plist::Value| daemon.get(key) == Some(&value);
        for (fits, what) in [
            (is("Label", IDENTIFIER.into()), "Label is not the agent's"),
            (
                texts("ProgramArguments") == [program.as_str(), "run"],
                "ProgramArguments is not the bundle's program and run",
            ),
            (!daemon.contains_key("Program"), "Program is set, beside ProgramArguments"),
            (texts("AssociatedBundleIdentifiers") == [IDENTIFIER], "AssociatedBundleIdentifiers is not the bundle"),
            (is("RunAtLoad", true.into()), "RunAtLoad is not set"),
            (is("KeepAlive", true.into()), "KeepAlive is not set"),
            (is("ProcessType", "Background".into()), "ProcessType is not Background"),
            (is("LowPriorityIO", true.into()), "LowPriorityIO is not set"),
            (daemon.get("ThrottleInterval").is_some(), "ThrottleInterval is not set"),
            (daemon.get("EnvironmentVariables").is_none(), "EnvironmentVariables are set"),
            (daemon.get("UserName").is_none(), "UserName is set"),
        ] {
            if !fits {
                report.problem(format!("{LAUNCH_DAEMON}: {what}"));
            }
        }
    }
}

/// What is said, what it is, and what it should be.
fn compare(of: &str, said: &[(&str, String, String)], report: &mut Report) {
    for (what, found, expected) in said.iter().filter(|(_, found, expected)| found != expected) {
        report.problem(format!("{of}: {what} is {found:?}, not {expected:?}"));
    }
}
