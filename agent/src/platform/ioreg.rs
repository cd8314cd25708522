//! What `ioreg -rd1 -c IOPlatformExpertDevice` prints. Pure, so that it is tested where there is no Mac.

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
    fn other_output_gives_nothing() {
        for output in ["", "ioreg: error", "\"IOPlatformUUID\" = \"", "\"model\" = <\"\">", " = "] {
            assert_eq!(parse(output), Platform::default(), "{output}");
        }
    }
}
