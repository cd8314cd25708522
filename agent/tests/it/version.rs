//! The version in the program's bytes, by which a package is held to it.

use emote_agent::{VERSION, VERSION_MARK};

#[test]
fn the_program_carries_its_version_once_for_whoever_packs_it() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_emote-agent")).unwrap();
    let marks =
        program.windows(VERSION_MARK.len()).enumerate().filter(|(_, window)| *window == VERSION_MARK.as_bytes());
    let said: Vec<&str> = marks
        .map(|(at, mark)| {
            let text = &program[at + mark.len()..];
            let end = text.iter().position(|byte| *byte == 0).unwrap();
            std::str::from_utf8(&text[..end]).unwrap()
        })
        .collect();
    assert_eq!(said, [VERSION]);
}
