//! `emote pin`: the PIN of a Mac that Emote has locked.

use anyhow::Context;
use emote_proto::Name;
use serde_json::{Map, Value};

use super::{Exit, Output, folder::FolderArgs, print_line};
use crate::{config::SecretRef, targets::pin_for};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A Mac is locked with a PIN made from the target's pin_key and the command's UUID; it is kept nowhere. The UUID is in the
event mdm.command_sent, or mdm.device_lock, as `emote node SERIAL` and `emote trace EVENT` show it.

Example: emote pin mdm-lock 0B7E63C2-6A51-5C0F-9D0C-6A3A1B1F5E11 --config my-emote")]
pub(super) struct Args {
    /// The target that sent the command that locks or erases
    target: Name,
    /// The command's UUID
    command_uuid: String,
    #[command(flatten)]
    folder: FolderArgs,
    /// What to print: table, or json, one value a line where there are several
    #[arg(long, short, value_enum, hide_possible_values = true, default_value_t)]
    output: Output,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let uuid = &args.command_uuid;
    let looks_right = uuid.len() == 36 && uuid.chars().all(|char| char.is_ascii_hexdigit() || char == '-');
    if !looks_right {
        anyhow::bail!("{uuid:?} is no command UUID such as 0B7E63C2-6A51-5C0F-9D0C-6A3A1B1F5E11");
    }
    let folder = args.folder.found()?;
    let file = folder.join(format!("targets/{}.yaml", args.target));
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    // The line that it stands in may hold a secret.
    let told = |error: serde_saphyr::Error| anyhow::anyhow!("{}: {}", file.display(), error.without_snippet());
    let map: Map<String, Value> = serde_saphyr::from_str(&text).map_err(told)?;
    let of_preset = || map.get("settings")?.get("pin_key");
    let Some(key) = map.get("pin_key").or_else(of_preset).and_then(Value::as_str) else {
        anyhow::bail!("{} has no pin_key: this target locks no Macs", file.display());
    };
    let key: SecretRef =
        key.parse().map_err(anyhow::Error::msg).with_context(|| format!("{}: pin_key", file.display()))?;
    let pin = pin_for(&key.resolve(folder)?, uuid);
    match args.output {
        Output::Table => print_line(pin.expose())?,
        Output::Json => {
            print_line(serde_json::json!({"target": args.target, "command_uuid": uuid, "pin": pin.expose()}))?
        }
    };
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pin_is_had_again_from_key_and_command() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("targets")).unwrap();
        std::fs::write(folder.path().join("targets/mdm-lock.yaml"), "kind: mdm\npin_key: ${file:key}\n").unwrap();
        let preset = "preset: jamf-pro\naction: lock\nsettings: {pin_key: '${file:key}'}\n";
        std::fs::write(folder.path().join("targets/jamf-lock.yaml"), preset).unwrap();
        std::fs::write(folder.path().join("targets/log.yaml"), "kind: log\n").unwrap();
        crate::testing::secret(&folder.path().join("key"), "0123456789abcdef0123");
        let ask = |target: &str, uuid: &str| {
            let (target, command_uuid) = (Name::new(target).unwrap(), uuid.to_owned());
            run(&Args { target, command_uuid, folder: FolderArgs::of(folder.path()), output: Output::Json })
        };
        assert_eq!(ask("mdm-lock", "0B7E63C2-6A51-5C0F-9D0C-6A3A1B1F5E11").unwrap(), Exit::Ok);
        assert_eq!(ask("jamf-lock", "0B7E63C2-6A51-5C0F-9D0C-6A3A1B1F5E11").unwrap(), Exit::Ok);
        assert!(ask("mdm-lock", "not-a-uuid").is_err());
        assert!(ask("log", "0B7E63C2-6A51-5C0F-9D0C-6A3A1B1F5E11").is_err());
        assert!(ask("nope", "0B7E63C2-6A51-5C0F-9D0C-6A3A1B1F5E11").is_err());
    }
}
