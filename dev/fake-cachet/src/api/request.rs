//! A call to the API, parsed as Laravel parses it.

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use serde_json::{Map, Value};

use alertmanager_cachet_core::names::trimmed;
use alertmanager_cachet_core::time::Timestamp;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// Without a valid token: sees what is public.
    Guest,
    /// With the token.
    Owner,
}

/// A call without its route and method.
#[derive(Debug)]
pub struct Call {
    /// Who calls.
    pub viewer: Viewer,
    /// The query string.
    pub query: Query,
    /// The body's fields.
    pub input: Map<String, Value>,
    /// The called address without query and trailing slash, for the links of lists.
    pub url: String,
    /// The time of the call.
    pub now: Timestamp,
}

/// A query string with PHP's names in brackets: `filter[meta][key]=x`.
#[derive(Debug, Default)]
pub struct Query(Vec<(Vec<String>, String)>);

impl Query {
    /// Parses a query string. Every text is one.
    pub fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self(pairs.map(|(name, value)| (path_of(&name), value.into_owned())).collect())
    }

    /// The value of a plain name; the last one counts.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(path, _)| path.len() == 1 && path[0] == name).map(|(_, value)| value.as_str())
    }

    /// The value of `name[key]`.
    pub fn member(&self, name: &str, key: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(path, _)| path.len() == 2 && path[0] == name && path[1] == key);
        found.map(|(_, value)| value.as_str())
    }

    /// Each key and value of `name[key][…]`, with the rest of the path.
    pub fn members<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a [String], &'a str)> {
        let members = self.0.iter().filter(move |(path, _)| path.len() > 1 && path[0] == name);
        members.map(|(path, value)| (path[1].as_str(), &path[2..], value.as_str()))
    }
}

/// The fields of a body: JSON or a form. Like Laravel, it ignores what cannot be parsed.
pub fn input(headers: &HeaderMap, body: &Bytes) -> Map<String, Value> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let fields = if kind.contains("json") {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        }
    } else if kind.starts_with("application/x-www-form-urlencoded") {
        form(body)
    } else {
        Map::new()
    };
    fields.into_iter().map(|(name, value)| (name, cleaned(value))).collect()
}

/// The names of a form, with at most one level of brackets.
fn form(body: &Bytes) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(body) {
        let path = path_of(&name);
        match &path[..] {
            [name] => {
                fields.insert(name.clone(), value.into());
            }
            [name, key] => {
                let member = fields.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(members) = member {
                    members.insert(key.clone(), value.into());
                }
            }
            _ => {}
        }
    }
    fields
}

/// `a[b][c]` is `[a, b, c]`.
fn path_of(name: &str) -> Vec<String> {
    match name.split_once('[').filter(|_| name.ends_with(']')) {
        None => vec![name.to_owned()],
        Some((first, rest)) => {
            let rest = rest.strip_suffix(']').unwrap_or(rest);
            std::iter::once(first).chain(rest.split("][")).map(str::to_owned).collect()
        }
    }
}

/// Trims strings and replaces empty ones by null.
fn cleaned(value: Value) -> Value {
    match value {
        Value::String(text) => match trimmed(&text) {
            "" => Value::Null,
            trimmed => trimmed.into(),
        },
        Value::Array(items) => items.into_iter().map(cleaned).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, cleaned(value))).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn brackets_are_paths() {
        let query = Query::parse("filter[meta][key]=a%7Cb&filter%5Bname%5D=x+y&page=2&odd[=1");
        assert_eq!(query.value("page"), Some("2"));
        assert_eq!(query.member("filter", "name"), Some("x y"));
        let meta: Vec<_> = query.members("filter").filter(|(name, ..)| *name == "meta").collect();
        assert_eq!(meta, [("meta", &["key".to_owned()][..], "a|b")]);
        assert_eq!(query.value("odd["), Some("1"));
    }

    #[test]
    fn texts_are_trimmed_and_empty_ones_are_none() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/json".parse().expect("valid"));
        let body = Bytes::from(r#"{"name": "  padded \u200b", "link": " ", "meta": {"a": [" b "]}}"#);
        assert_eq!(
            Value::Object(input(&headers, &body)),
            json!({"name": "padded", "link": null, "meta": {"a": ["b"]}})
        );
        assert!(input(&headers, &Bytes::from("{\"name\": ")).is_empty());
    }
}
