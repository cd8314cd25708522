//! Programs that give one value.

use serde_json::Value;

use super::Program;

impl Program {
    /// The only value that the program gives; else what is wrong with it, which people know as `what`.
    pub fn only(&self, what: &str, input: &Value) -> Result<Value, String> {
        let mut results = self.run(input, &[]).map_err(|error| format!("{what}: {}", said(&error.to_string())))?;
        match (results.pop(), results.len()) {
            (Some(result), 0) => Ok(result),
            (None, _) => Err(format!("{what}: the program gave nothing; it must give one value")),
            (_, more) => Err(format!("{what}: the program gave {} values; it must give one", more.saturating_add(1))),
        }
    }
}

/// What a program says by `error("…")`, which comes as JSON.
fn said(error: &str) -> String {
    serde_json::from_str::<String>(error).unwrap_or_else(|_| error.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gives_one_value_or_it_is_said_what_it_does() {
        for (program, expected) in [
            (".a", Ok(Value::from(1))),
            ("empty", Err("body: the program gave nothing; it must give one value")),
            ("1, 2, 3", Err("body: the program gave 3 values; it must give one")),
            ("error(\"no name\")", Err("body: no name")),
            (".a.b", Err("body: cannot index 1 with \"b\"")),
        ] {
            let given = Program::compile(program, &[]).unwrap().only("body", &serde_json::json!({"a": 1}));
            assert_eq!(given, expected.map_err(str::to_owned), "{program}");
        }
    }
}
