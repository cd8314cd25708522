//! Holds the version of a Mac's system against the oldest that is fine. The rule's input is `{version, minimum}`; what is told
//! is `compliance.passed` or `compliance.failed`.

#![forbid(unsafe_code)]

use std::{io::Read, process::ExitCode};

use serde_json::{Value, json};

fn main() -> ExitCode {
    match told() {
        Ok(event) => {
            println!("{event}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn told() -> Result<Value, String> {
    let mut job = String::new();
    std::io::stdin().read_to_string(&mut job).map_err(|error| error.to_string())?;
    let job: Value = serde_json::from_str(&job).map_err(|error| error.to_string())?;
    let text = |key: &str| job["input"][key].as_str().ok_or_else(|| format!("the input has no text {key}"));
    let (version, minimum) = (text("version")?, text("minimum")?);
    let action = if parts(version)? >= parts(minimum)? { "passed" } else { "failed" };
    Ok(json!({
        "scope": "compliance",
        "action": action,
        "info": {"check": "os_version", "version": version, "minimum": minimum},
    }))
}

/// `15.4.1` as numbers; zeros at the end say nothing.
fn parts(version: &str) -> Result<Vec<u32>, String> {
    let numbers = version.split('.').map(str::parse).collect::<Result<Vec<u32>, _>>();
    let mut numbers = numbers.map_err(|_| format!("{version:?} is no version"))?;
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    Ok(numbers)
}
