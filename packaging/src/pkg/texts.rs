//! The texts in a package, with what differs between packages filled in. They are files of `packaging/macos`, to be read
//! and changed as what they are.

use super::DEPLOYMENT_TARGET;
use super::tree::Tree;
use super::version::Version;

/// What launchd starts the agent by.
pub const LAUNCH_DAEMON: &str = include_str!("../../macos/io.emote.agent.plist");
/// How long logs become.
pub const NEWSYSLOG: &str = include_str!("../../macos/newsyslog.conf");
/// Before files are installed.
pub const PREINSTALL: &str = include_str!("../../../pkg-scripts/preinstall");
/// After files are installed.
pub const POSTINSTALL: &str = include_str!("../../../pkg-scripts/postinstall");
/// Whenever somebody wants the agent gone.
pub const UNINSTALL: &str = include_str!("../../../pkg-scripts/uninstall");

/// The bundle's Info.plist.
pub fn info_plist(version: Version) -> String {
    filled(include_str!("../../macos/Info.plist"), version, &Tree::default())
}

/// What Installer shows and asks for.
pub fn distribution(version: Version, payload: &Tree) -> String {
    filled(include_str!("../../macos/Distribution.xml"), version, payload)
}

/// What the component is. It is never relocated to a copy of the bundle elsewhere (`<relocate/>`), and replaces a newer
/// bundle too (`<bundle-version/>`): which version may follow which is `preinstall`'s to say.
pub fn package_info(version: Version, payload: &Tree) -> String {
    filled(include_str!("../../macos/PackageInfo.xml"), version, payload)
}

fn filled(template: &str, version: Version, payload: &Tree) -> String {
    template
        .replace("{version}", &version.to_string())
        .replace("{minimum_os}", &DEPLOYMENT_TARGET.short())
        // The root counts too.
        .replace("{files}", &(payload.len() + 1).to_string())
        .replace("{kibibytes}", &payload.kibibytes().to_string())
}
