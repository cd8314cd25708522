//! What `ioreg` prints: the lines of `ioreg -rd1 -c IOPlatformExpertDevice`, and the property lists of `ioreg -a`.

use ::plist::{Dictionary, Value};

use super::host::{Host, HostError};
use super::plist;
use super::tool::Tool;

/// The entries that `ioreg -a` prints: one, with `-r` an array of all that match, and nothing where none does. Whatever
/// happens it ends with 0 (its source, IOKitTools).
pub(crate) fn entries(host: &dyn Host, tool: &'static Tool) -> Result<Vec<Dictionary>, HostError> {
    let text = host.run(tool)?.successful(tool)?;
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let failed = |problem: String| HostError::Failed { path: tool.path.into(), problem };
    match plist::parse(text.as_bytes()).map_err(|error| failed(error.to_string()))? {
        Value::Dictionary(entry) => Ok(vec![entry]),
        Value::Array(entries) => Ok(entries.into_iter().filter_map(Value::into_dictionary).collect()),
        _ => Err(failed("it printed no entries of the registry".into())),
    }
}

/// The number at `key`.
pub(crate) fn number(entry: &Dictionary, key: &str) -> Option<u64> {
    entry.get(key)?.as_unsigned_integer()
}

/// Whether `key` is there and says yes.
pub(crate) fn is_set(entry: &Dictionary, key: &str) -> bool {
    let value = entry.get(key);
    value.is_some_and(|value| value.as_boolean().unwrap_or_else(|| value.as_unsigned_integer().is_some_and(|n| n != 0)))
}

/// The properties the agent uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Platform {
    /// `IOPlatformSerialNumber`.
    pub(super) serial: Option<String>,
    /// `IOPlatformUUID`.
    pub(super) uuid: Option<String>,
    /// `model`, such as `Mac14,2`.
    pub(super) model: Option<String>,
}

/// Reads lines such as `"IOPlatformUUID" = "…"` and `"model" = <"Mac14,2">`; whatever else there is is passed over.
pub(super) fn parse(output: &str) -> Platform {
    let mut platform = Platform::default();
    for line in output.lines() {
        let Some((key, value)) = line.trim_start_matches([' ', '|']).split_once(" = ") else { continue };
        let value = value.trim().trim_start_matches('<').trim_end_matches('>');
        let Some(text) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else { continue };
        let text = Some(text.trim_end_matches('\0').to_owned()).filter(|text| !text.is_empty());
        match key {
            "\"IOPlatformSerialNumber\"" => platform.serial = text,
            "\"IOPlatformUUID\"" => platform.uuid = text,
            "\"model\"" => platform.model = text,
            _ => {}
        }
    }
    platform
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;

    const SAMPLE: &str = r#"
+-o J413AP  <class IOPlatformExpertDevice, id 0x100000110, registered, matched, active, busy 0 (139 ms), retain 39>
    {
      "manufacturer" = <"Apple Inc.">
      "compatible" = <"J413AP","Mac14,2","AppleARM">
      "IOPolledInterface" = "AppleARMWatchdogTimerHibernateHandler is not serializable"
      "IOPlatformSerialNumber" = "C02XL0GTJGH5"
      "region-info" = <4c4c2f41000000000000>
      "IOPlatformUUID" = "8B1F9A4E-0C5D-5F3E-9A64-7D4BC1E822F7"
      "model" = <"Mac14,2">
      "IOBusyInterest" = "IOCommand is not serializable"
    }
"#;

    #[test]
    fn a_macs_properties_are_found() {
        let platform = parse(SAMPLE);
        assert_eq!(platform.serial.as_deref(), Some("C02XL0GTJGH5"));
        assert_eq!(platform.uuid.as_deref(), Some("8B1F9A4E-0C5D-5F3E-9A64-7D4BC1E822F7"));
        assert_eq!(platform.model.as_deref(), Some("Mac14,2"));
    }

    #[test]
    fn entries_are_read_and_what_is_none_is_an_error() {
        static TOOL: Tool = Tool::new("/usr/sbin/ioreg", &["-a"]);
        let read = |text: &str| entries(&Recorded::mac().tool(&TOOL, text), &TOOL);
        let entry = "<dict><key>n</key><integer>7</integer><key>yes</key><true/><key>no</key><false/></dict>";
        let [entry] = &read(&format!("<plist><array>{entry}<string/></array></plist>")).unwrap()[..] else { panic!() };
        assert_eq!((number(entry, "n"), number(entry, "yes")), (Some(7), None));
        assert_eq!(["n", "yes", "no", "x"].map(|key| is_set(entry, key)), [true, true, false, false]);
        assert_eq!(read("<plist><dict/></plist>").unwrap().len(), 1);
        assert_eq!(read("\n").unwrap().len(), 0, "nothing matches");
        for text in ["<plist><string>x</string></plist>", "<plist><array>", "ioreg: error"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(entries(&Recorded::mac().tool_code(&TOOL, "", 1), &TOOL).is_err());
    }

    #[test]
    fn other_output_gives_nothing() {
        for output in ["", "ioreg: error", "\"IOPlatformUUID\" = \"", "\"model\" = <\"\">", " = "] {
            assert_eq!(parse(output), Platform::default(), "{output}");
        }
    }
}
