//! Between serde's JSON and jaq's.

use jaq_json::{Map, Num, Rc, Val};
use serde_json::{Number, Value};

pub(super) fn to_val(value: &Value) -> Val {
    match value {
        Value::Null => Val::Null,
        Value::Bool(flag) => Val::Bool(*flag),
        Value::Number(number) => Val::Num(to_num(number)),
        Value::String(text) => text_val(text.clone()),
        Value::Array(items) => Val::Arr(Rc::new(items.iter().map(to_val).collect())),
        Value::Object(map) => {
            Val::obj(map.iter().map(|(key, value)| (text_val(key.clone()), to_val(value))).collect::<Map>())
        }
    }
}

pub(super) fn text_val(text: String) -> Val {
    Val::utf8_str(text.into_bytes())
}

fn to_num(number: &Number) -> Num {
    match (number.as_i64(), number.as_u64()) {
        (Some(integer), _) => Num::from_integral(integer),
        (None, Some(integer)) => Num::from_integral(integer),
        (None, None) => Num::Float(number.as_f64().unwrap_or(f64::NAN)),
    }
}

/// The value as JSON, or what about it JSON cannot say.
pub(super) fn to_json(value: &Val) -> Result<Value, String> {
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(flag) => Value::Bool(*flag),
        Val::Num(number) => from_num(number),
        Val::TStr(bytes) => Value::String(String::from_utf8_lossy(bytes).into_owned()),
        Val::BStr(bytes) => Value::String(data_encoding::BASE64.encode(bytes)),
        Val::Arr(items) => Value::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Val::Obj(map) => Value::Object(
            map.iter()
                .map(|(key, value)| match key {
                    Val::TStr(bytes) => Ok((String::from_utf8_lossy(bytes).into_owned(), to_json(value)?)),
                    other => Err(format!("an object key must be a string, not {other}")),
                })
                .collect::<Result<_, _>>()?,
        ),
    })
}

/// jaq keeps big integers and decimals as written; both are read as JSON reads them.
fn from_num(number: &Num) -> Value {
    match number {
        Num::Int(integer) => Value::from(*integer as i64),
        Num::Float(float) => Value::from(*float),
        other => serde_json::from_str(&other.to_string()).unwrap_or(Value::Null),
    }
}
