//! `application/x-www-form-urlencoded`: queries and forms.

use serde_json::{Map, Value};

/// The pairs of a query or form, in order.
pub(crate) fn pairs(encoded: &[u8]) -> Result<Vec<(String, String)>, serde_urlencoded::de::Error> {
    serde_urlencoded::from_bytes(encoded)
}

/// As an object: a name that stands there once gives a string, a repeated one an array.
pub(crate) fn object(pairs: Vec<(String, String)>) -> Map<String, Value> {
    let mut map = Map::new();
    for (name, text) in pairs {
        let text = Value::from(text);
        match map.get_mut(&name) {
            None => drop(map.insert(name, text)),
            Some(Value::Array(texts)) => texts.push(text),
            Some(first) => *first = Value::from(vec![first.take(), text]),
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_that_comes_again_is_a_list() {
        let read = |text: &str| Value::from(object(pairs(text.as_bytes()).unwrap()));
        assert_eq!(read("a=1&b=x+y%0d&a=2&a=3&c"), json!({"a": ["1", "2", "3"], "b": "x y\r", "c": ""}));
        assert_eq!(read(""), json!({}));
    }
}
