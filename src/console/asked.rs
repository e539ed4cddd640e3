//! What a path and a query ask for. Whatever is in them is taken as it comes, so that what is wrong with it is said in our
//! words, and nowhere in a framework's.

use std::collections::HashMap;
use std::convert::Infallible;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::core::time::Timestamp;

/// The component that the path names, as it was typed.
#[derive(Debug)]
pub struct Named(pub String);

/// What the query says.
#[derive(Debug, Default)]
pub struct Asked {
    /// How many days back.
    pub days: Option<String>,
    /// What was just done.
    pub done: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let named = Path::<String>::from_request_parts(parts, state).await;
        // What is no UTF-8 is the name of nothing.
        Ok(named.map_or_else(|_| Self(char::REPLACEMENT_CHARACTER.to_string()), |Path(name)| Self(name)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut fields = fields(parts.uri.query().unwrap_or_default().as_bytes());
        Ok(Self { days: fields.remove("days"), done: fields.remove("done") })
    }
}

/// The fields of a query or of the body of a form; of one that is there twice, the last.
pub fn fields(text: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(text).into_owned().collect()
}

/// Reads RFC 3339, or a date and a time in UTC. A zone that is named (`[Europe/Berlin]`) is refused: it would be passed
/// over, and the hold end hours too early or too late.
pub fn moment(text: &str) -> Option<Timestamp> {
    let in_utc = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
    if text.contains('[') {
        return None;
    }
    Timestamp::parse_rfc3339(text)
        .ok()
        .or_else(|| in_utc().map(|zoned| Timestamp::from_millis(zoned.timestamp().as_millisecond())))
}
