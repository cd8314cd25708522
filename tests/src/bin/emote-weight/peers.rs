//! Others that run on many machines all the time, as their Debian packages configure them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use emote_tests::{Process, free_port};

/// How one is started. In `args` and `configuration`, `{root}` is where the package was unpacked, `{work}` an empty folder,
/// `{conf}` the file with `configuration`, `{port}` a free port.
struct Peer {
    package: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    /// What differs from the package's own file: where things are, and nothing that leaves this machine.
    configuration: &'static str,
}

const PEERS: &[Peer] = &[
    Peer {
        package: "prometheus-node-exporter",
        program: "usr/bin/prometheus-node-exporter",
        args: &["--web.listen-address=127.0.0.1:{port}"],
        configuration: "",
    },
    // The package's plugins, without rrdtool, which is a package of its own: csv writes to the disk in its place.
    Peer {
        package: "collectd-core",
        program: "usr/sbin/collectd",
        args: &["-f", "-C", "{conf}"],
        configuration: "FQDNLookup false\nBaseDir \"{work}\"\nPIDFile \"{work}/pid\"\nPluginDir \"{root}/usr/lib/collectd\"\n\
            TypesDB \"{root}/usr/share/collectd/types.db\"\nLoadPlugin cpu\nLoadPlugin df\nLoadPlugin entropy\n\
            LoadPlugin interface\nLoadPlugin irq\nLoadPlugin load\nLoadPlugin memory\nLoadPlugin processes\n\
            LoadPlugin swap\nLoadPlugin users\nLoadPlugin csv\n<Plugin csv>\n  DataDir \"{work}/csv\"\n</Plugin>\n",
    },
    Peer {
        package: "zabbix-agent2",
        program: "usr/sbin/zabbix_agent2",
        args: &["-f", "-c", "{conf}"],
        configuration: "LogType=console\nServer=127.0.0.1\nServerActive=127.0.0.1\nHostname=Zabbix server\n\
            ListenIP=127.0.0.1\nListenPort={port}\nPidFile={work}/pid\nControlSocket={work}/agent.sock\n",
    },
    Peer {
        package: "monit",
        program: "usr/bin/monit",
        args: &["-I", "-c", "{conf}"],
        configuration: "set daemon 120\nset log {work}/log\nset idfile {work}/id\nset statefile {work}/state\n\
            set pidfile {work}/pid\nset eventqueue basedir {work}/events slots 100\n\
            check system $HOST if loadavg (1min) per core > 2 for 5 cycles then alert\n",
    },
];

/// A peer that runs.
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) program: PathBuf,
    pub(crate) process: Process,
}

/// The packages that are known.
pub(crate) fn names() -> Vec<String> {
    PEERS.iter().map(|peer| peer.package.to_owned()).collect()
}

/// Starts the package `name` in `folder`.
pub(crate) fn start(name: &str, folder: &Path) -> anyhow::Result<Running> {
    let Some(peer) = PEERS.iter().find(|peer| peer.package == name) else {
        bail!("not known; expected one of {}", names().join(", "))
    };
    let (root, work) = (folder.join(name), folder.join(format!("{name}-work")));
    std::fs::create_dir_all(&root)?;
    std::fs::create_dir_all(&work)?;
    let archive = fetch(name, folder)?;
    quiet(Command::new("dpkg").arg("-x").arg(&archive).arg(&root))?;
    let version = quiet(Command::new("dpkg-deb").arg("-f").arg(&archive).arg("Version"))?.trim().to_owned();
    let (port, conf) = (free_port().to_string(), work.join("conf"));
    let fill = |text: &str| {
        let [root, work, conf] = [&root, &work, &conf].map(|path| path.display().to_string());
        text.replace("{root}", &root).replace("{work}", &work).replace("{conf}", &conf).replace("{port}", &port)
    };
    write_private(&conf, &fill(peer.configuration))?;
    let program = root.join(peer.program);
    let mut command = Command::new(&program);
    command.args(peer.args.iter().map(|arg| fill(arg)));
    let process = Process::start(name, command, folder);
    Ok(Running { name: name.to_owned(), version, program, process })
}

/// The package's file, from the archive that this machine is set up with.
fn fetch(name: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    quiet(Command::new("apt-get").args(["download", "-q", name]).current_dir(folder))?;
    let mut files = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let begins = format!("{name}_");
    let found = files.find(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&begins)));
    found.context("apt-get download left no file")
}

fn quiet(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Some refuse a file that others can read.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut file = std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
