//! Every key of the settings file but the agent's own, once. From here come the example and what is said of a key that is
//! none.

use emote_agent::settings::template;

/// What may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Texts,
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// A key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// With a dot behind its table's name.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// As TOML, in the example; the default where there is one.
    sample: &'static str,
    /// Whether a file to begin with says it.
    is_said: bool,
    about: &'static str,
}

/// The table of the agent's own keys.
pub(super) const AGENT: &str = "agent";

const fn key(name: &'static str, kind: Kind, sample: &'static str, about: &'static str) -> Key {
    Key { name, kind, sample, is_said: false, about }
}

impl Key {
    const fn said(mut self) -> Self {
        self.is_said = true;
        self
    }
}

pub(super) static KEYS: &[Key] = &[
    key("organization", Kind::Text, "\"Example Corp\"", "Whose profiles these are; people see it").said(),
    key(
        "identifier",
        Kind::Text,
        "\"io.emote.agent\"",
        "With which the profiles' identifiers begin: by them a changed profile replaces the one before",
    ),
    key(
        "enrollment.token",
        Kind::Text,
        "\"${file:token.txt}\"",
        "What a Mac asks for a credential with (emote agents token create): ${file:PATH} from here, or ${env:NAME}",
    )
    .said(),
    key(
        "enrollment.bound",
        Kind::Word(&["serial", "once", "uses"]),
        "\"uses\"",
        "How it was bounded when it was made: --serial, --uses 1 (once), --uses. The token itself does not say it",
    )
    .said(),
    key("ca.files", Kind::Texts, "[\"ca.pem\"]", "Certificates (PEM) of the authority that issued the servers'"),
    key(
        "ca.trust",
        Kind::Word(&["agent", "system", "both"]),
        "\"agent\"",
        "Who trusts it: the agent alone, in place of the system's roots; the whole Mac, as it must to fetch the package \
         from such a server; or both",
    ),
    key(
        "package.url",
        Kind::Text,
        "\"https://emote.example.com/deploy/EmoteAgent-{version}.pkg\"",
        "Where Macs fetch the package; {version} is the package's. Brokers serve it below the url of deploy.yaml",
    ),
    key(
        "package.manifest_url",
        Kind::Text,
        "\"https://emote.example.com/deploy/manifest.plist\"",
        "Where they fetch the manifest, which this program writes",
    ),
    key("package.pin", Kind::Texts, "[\"ca.pem\"]", "Certificates (PEM) that the manifest's server must show"),
    key(
        "package.install",
        Kind::Word(&["required", "optional"]),
        "\"required\"",
        "Whether the declaration installs it, or lets people do it",
    ),
    key("package.team", Kind::Text, "\"ABCDE12345\"", "Whose Developer ID it is; from --pkg where nothing is said"),
    key(
        "package.requirement",
        Kind::Text,
        "'identifier \"io.emote.agent\" and …'",
        "What the agent's signature must be to be granted something (codesign -dr -); from the team where nothing is said",
    ),
    key("profiles.login_item", Kind::Flag, "true", "Keep people from switching the agent off in Login Items"),
    key(
        "profiles.full_disk_access",
        Kind::Flag,
        "false",
        "Let the agent read what macOS protects: where emote-agent doctor says that something is denied",
    ),
    key("munki.catalogs", Kind::Texts, "[\"testing\"]", "Catalogs of the pkginfo and the recipe"),
];

/// A settings file to begin with: each key is there, those that need not be said as comments.
pub fn example() -> String {
    let mut text = String::from(
        "# What an MDM needs to deploy emote-agent: emote-packaging profile THIS-FILE --pkg EmoteAgent.pkg --out DIR\n\
         # Paths are taken from this file's folder. What is a comment shows the default, or an example.\n",
    );
    let mut table = "";
    for Key { name, sample, is_said, about, .. } in KEYS {
        let (of, key) = name.split_once('.').unwrap_or(("", name));
        if of != table {
            text += &format!("\n[{of}]\n");
            table = of;
        }
        let hash = if *is_said { "" } else { "#" };
        text += &format!("# {about}.\n{hash}{key} = {sample}\n");
    }
    text + &agent()
}

/// The agent's own template, below its table; what is said in another way here is left out.
fn agent() -> String {
    let elsewhere = ["ca_certificates", "enrollment_token"];
    let keys = template::toml_below(AGENT, |key| !elsewhere.contains(&&*key.name));
    format!("\n# The agent's own settings, with the keys of its file.\n[{AGENT}]\n{keys}")
        .replace("\n#server = ", "\nserver = ")
}
