//! The configuration of a run. Its rules are few and simple, so that `check::oracle` can say them again without any of
//! the broker's code.

use std::{os::unix::fs::PermissionsExt, path::Path};

use anyhow::Context;

/// What webhooks are sent with.
pub(crate) const TOKEN: &str = "a-token-of-this-run-only";
/// Jobs that the destructive target does before the others are held.
pub(crate) const BUDGET: usize = 10;

/// Where a broker is, and what it talks to.
pub(crate) struct Place<'a> {
    /// Its configuration folder.
    pub(crate) folder: &'a Path,
    /// NATS, by whatever wires.
    pub(crate) nats: &'a [String],
    /// Copies of each stream.
    pub(crate) replicas: usize,
    /// Where it takes webhooks.
    pub(crate) port: u16,
    /// Where the counting target is.
    pub(crate) target: &'a str,
}

/// Writes a broker's folder.
pub(crate) fn write(place: &Place<'_>) -> anyhow::Result<()> {
    let settings = format!(
        "nats: {{servers: {}}}\nstreams: {{replicas: {}}}\ningest: {{listen: \"127.0.0.1:{}\"}}\n\
         ops: {{listen: \"off\"}}\nconsole: {{listen: \"off\"}}\ndata: data\n",
        serde_json::to_string(place.nats)?,
        place.replicas,
        place.port
    );
    let target = |name: &str, more: &str| {
        format!(
            "kind: http\nurl: {}/{name}\nconcurrency: 16\ntimeout: 1s\n\
             retry: {{max_attempts: 5000, max_age: 1h, backoff: {{initial: 50ms, max: 1s}}}}\n{more}",
            place.target
        )
    };
    let destructive = format!("destructive: true\nguard: {{limit: {BUDGET}, window: 24h}}\n");
    let hooks = "preset: json\nsettings: {token: \"${file:secrets/token}\"}\n";
    for (file, text) in [
        ("emote.yaml", settings),
        ("secrets/token", TOKEN.to_owned()),
        ("sources/hooks.yaml", hooks.to_owned()),
        ("targets/count.yaml", target("count", "")),
        ("targets/mirror.yaml", target("mirror", "")),
        ("targets/doomed.yaml", target("doomed", &destructive)),
        ("rules/each.yaml", rule("{scope: [chaos]}", "", &["count"])),
        ("rules/pair.yaml", rule("{scope: [chaos], info: {pair: [true]}}", "", &["count", "mirror"])),
        ("rules/doom.yaml", rule("{scope: [chaos], action: [doom]}", "", &["doomed"])),
        ("rules/gone.yaml", rule("{scope: [user], action: [gone]}", "for_each: user_devices\n", &["mirror"])),
    ] {
        put(&place.folder.join(file), &text)?;
    }
    Ok(())
}

fn rule(pattern: &str, more: &str, targets: &[&str]) -> String {
    let input = "{event: .event.id, key: .event.info.key, refuse: .event.info.refuse}";
    let targets: Vec<String> =
        targets.iter().map(|target| format!("- {{target: {target}, input: '{input}'}}\n")).collect();
    format!("pattern: {pattern}\n{more}targets:\n{}", targets.concat())
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    let doing = || format!("writing {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(doing)?;
    }
    std::fs::write(path, text).with_context(doing)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).with_context(doing)
}
