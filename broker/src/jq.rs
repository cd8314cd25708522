//! jq programs: compiled once, run on JSON values.

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Ctx, Filter, Vars, data, unwrap_valr};
use jaq_json::Val;
use serde_json::Value;

/// Why a program cannot be compiled, or how a run of it ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JqError(String);

/// A compiled program.
pub struct Program {
    filter: Filter<data::JustLut<Val>>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Program(…)")
    }
}

impl Program {
    /// Compiles `text`, which may use the global variables `var_names` (written without `$`).
    pub fn compile(text: &str, var_names: &[&str]) -> Result<Self, JqError> {
        let names: Vec<String> = var_names.iter().map(|name| format!("${name}")).collect();
        let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
        let arena = Arena::default();
        let modules = Loader::new(defs)
            .load(&arena, File { code: text, path: () })
            .map_err(|errors| JqError(format!("not a jq program: {errors:?}")))?;
        let filter = jaq_core::Compiler::default()
            .with_funs(funs)
            .with_global_vars(names.iter().map(String::as_str))
            .compile(modules)
            .map_err(|errors| JqError(format!("not a jq program: {errors:?}")))?;
        Ok(Self { filter })
    }

    /// Runs the program on `input`, with the values of its variables in the order of their names.
    pub fn run(&self, input: &Value, vars: &[Value]) -> Result<Vec<Value>, JqError> {
        let vars: Vec<Val> = vars.iter().map(to_val).collect::<Result<_, _>>()?;
        let context = Ctx::<data::JustLut<Val>>::new(&self.filter.lut, Vars::new(vars));
        self.filter
            .id
            .run((context, to_val(input)?))
            .map(unwrap_valr)
            .map(|result| match result {
                Ok(value) => serde_json::from_str(&value.to_string()).map_err(|error| JqError(error.to_string())),
                Err(error) => Err(JqError(error.to_string())),
            })
            .collect()
    }
}

fn to_val(value: &Value) -> Result<Val, JqError> {
    serde_json::from_value(value.clone()).map_err(|error| JqError(error.to_string()))
}
