//! What a file is that is no program of one architecture for macOS: said to whoever gave it as one.

/// `e_machine` of the processors that there are programs for (elf(5), elf.h).
const ELF_MACHINES: [(u16, &str); 3] = [(3, "x86"), (62, "x86-64"), (183, "arm64")];

/// What it is, and what would do.
pub(super) fn told(data: &[u8]) -> String {
    const BUILD: &str = "build it with `cargo build --profile agent -p emote-agent --target aarch64-apple-darwin`, and \
                         x86_64-apple-darwin";
    let is = |magic: &[u8]| data.starts_with(magic);
    if data.is_empty() {
        "it is empty".to_owned()
    } else if is(b"\x7fELF") {
        format!("it is an ELF program{}, as Linux runs them: {BUILD}", elf(data))
    } else if is(b"\xca\xfe\xba\xbe") {
        "it is a universal file already: give the program of each architecture with a --bin of its own (`lipo -thin arm64`)".to_owned()
    } else if is(b"\xce\xfa\xed\xfe") {
        format!("it is a 32-bit program: {BUILD}")
    } else if is(b"MZ") {
        format!("it is a program for Windows: {BUILD}")
    } else if is(b"#!") {
        "it is a script: give the program itself".to_owned()
    } else if is(b"xar!") || is(b"PK\x03\x04") || is(b"\x1f\x8b") || is(b"!<arch>\n") {
        "it is an archive or a package: give the program that is in it".to_owned()
    } else {
        format!("it is no program that is known here: {BUILD}")
    }
}

/// The processor that a header of ELF names, where it is read here: with the smallest byte first.
fn elf(data: &[u8]) -> String {
    let is_little = data.get(5) == Some(&1);
    let machine = data.get(18..20).and_then(|two| <[u8; 2]>::try_from(two).ok()).map(u16::from_le_bytes);
    let named =
        machine.filter(|_| is_little).and_then(|machine| ELF_MACHINES.iter().find(|(known, _)| *known == machine));
    named.map(|(_, name)| format!(" for {name}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::Slice;

    #[test]
    fn what_is_no_program_for_macos_is_told_as_what_it_is() {
        let elf = |class: u8, order: u8, machine: u16| {
            let mut head = b"\x7fELF".to_vec();
            head.extend([class, order, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0]);
            head.extend(machine.to_le_bytes());
            head
        };
        for (data, said) in [
            (elf(2, 1, 62), "it is an ELF program for x86-64, as Linux runs them: build it with"),
            (elf(2, 1, 183), "`cargo build --profile agent -p emote-agent --target aarch64-apple-darwin`"),
            (elf(2, 1, 243), "it is an ELF program, as Linux"),
            (elf(2, 2, 62), "it is an ELF program, as Linux"),
            (b"\x7fELF".to_vec(), "it is an ELF program, as Linux"),
            (b"\xca\xfe\xba\xbe\0\0\0\x02".to_vec(), "it is a universal file already"),
            (b"#!/bin/sh\n".to_vec(), "it is a script"),
            (b"MZ\x90\0".to_vec(), "it is a program for Windows"),
            (b"xar!".to_vec(), "it is an archive or a package"),
            (b"hello".to_vec(), "it is no program that is known here"),
            (Vec::new(), "it is empty"),
        ] {
            let told = Slice::read(&data).unwrap_err().to_string();
            assert!(told.contains(said), "{told}");
        }
    }
}
