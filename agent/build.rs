//! For macOS, compiles the one function that writes to the unified log. For Linux, leaves out of the agent as it is
//! deployed (profile `agent`, which aborts on panic) the tables by which a panic would unwind: an eighth of the file.

use std::env::var;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    match var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos") => {
            let source = "src/platform/macos/os_log.c";
            println!("cargo::rerun-if-changed={source}");
            cc::Build::new().file(source).compile("emote_os_log");
        }
        // Cargo does not tell a build script of `panic`; no other profile is built for size.
        Ok("linux") if var("OPT_LEVEL").is_ok_and(|level| level == "z") => leave_out_unwind_tables(),
        _ => {}
    }
}

/// A linker script that adds to the linker's own (ld(1), INSERT).
fn leave_out_unwind_tables() {
    let Ok(folder) = var("OUT_DIR") else { return };
    let script = Path::new(&folder).join("no-unwind-tables.ld");
    let text = "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.eh_frame_hdr) *(.gcc_except_table .gcc_except_table.*) } } \
                INSERT AFTER .text;\n";
    if std::fs::write(&script, text).is_ok() {
        println!("cargo::rustc-link-arg-bin=emote-agent=-Wl,-T,{},--no-eh-frame-hdr", script.display());
    }
}
