//! Files that are built in: a new one among them is noticed.

fn main() {
    for folder in ["catalog/sources", "catalog/targets", "src/cli/init/template"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
