//! CFPreferences: settings that a profile forces, read as the system merges them.

#![expect(unsafe_code, reason = "CFPropertyListCreateData takes a pointer for its error")]

use objc2_core_foundation::{
    CFDictionary, CFPreferencesAppSynchronize, CFPreferencesAppValueIsForced, CFPreferencesCopyAppValue,
    CFPropertyListCreateData, CFPropertyListFormat, CFString,
};

/// The domain, as a profile names it.
const DOMAIN: &str = "io.emote.agent";

/// Those of `keys` that are forced, as an XML property list of one dictionary; `None` when none is.
pub(in crate::platform) fn forced(keys: &[&str]) -> Option<Vec<u8>> {
    let domain = CFString::from_static_str(DOMAIN);
    // A profile may have come since the last time.
    CFPreferencesAppSynchronize(&domain);
    let forced = keys.iter().filter_map(|key| {
        let key = CFString::from_str(key);
        let value = CFPreferencesAppValueIsForced(&key, &domain).then(|| CFPreferencesCopyAppValue(&key, &domain));
        Some((key, value??))
    });
    let (keys, values): (Vec<_>, Vec<_>) = forced.unzip();
    if keys.is_empty() {
        return None;
    }
    let keys: Vec<_> = keys.iter().map(|key| &**key).collect();
    let values: Vec<_> = values.iter().map(|value| &**value).collect();
    let all = CFDictionary::from_slices(&keys, &values);
    let format = CFPropertyListFormat::XMLFormat_v1_0;
    // SAFETY: values of preferences are property lists, keys strings; no error is asked for.
    let data = unsafe { CFPropertyListCreateData(None, Some(&all), format, 0, std::ptr::null_mut()) };
    data.map(|data| data.to_vec())
}
