//! For macOS, compiles the one function that writes to the unified log.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "macos") {
        let source = "src/platform/macos/os_log.c";
        println!("cargo::rerun-if-changed={source}");
        cc::Build::new().file(source).compile("emote_os_log");
    }
}
