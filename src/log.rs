//! The log: the lines that operators grep for on stdout, and everything else on stderr.
//!
//! A [`Line`] goes to stdout; its words and their order are a public interface. What the program has to
//! say beside that goes through `tracing` to stderr; [`init`] sets that up.
//!
//! A request is logged without secrets, on one line, and of bounded length ([`logged_headers`], [`logged_body`]).

mod line;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use axum::http::HeaderMap;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use line::Line;

use crate::cli::{LogFormat, LogLevel};
use crate::clock;
use crate::core::history::Event;

/// How many bytes of one header's value are logged.
const HEADER_VALUE_LIMIT: usize = 512;

/// How many headers are logged.
const HEADERS_LIMIT: usize = 40;

/// Stands for a value that must not be seen.
const REDACTED: &str = "[redacted]";

/// A header whose name holds one of these carries a secret, or may.
const SECRET_NAMES: &[&str] = &[
    "auth",
    "cookie",
    "token",
    "secret",
    "password",
    "api-key",
    "apikey",
    "access-key",
    "signature",
    "session",
    "credential",
    "jwt",
    "csrf",
    "xsrf",
];

/// A value that begins with one of these is a secret, whatever the header's name.
const SECRET_SCHEMES: &[&str] = &["basic ", "bearer ", "digest ", "negotiate ", "token "];

/// Where events and other lines go. Clones write to the same place.
#[derive(Clone)]
pub struct Log {
    /// Neither may panic, and neither can report a failure.
    event: Arc<dyn Fn(&Event) + Send + Sync>,
    line: Arc<dyn Fn(&Line) + Send + Sync>,
}

impl Log {
    /// Events as values, given to `take`; other lines are dropped.
    pub(crate) fn of_events(take: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self { event: Arc::new(take), line: Arc::new(|_| {}) }
    }

    /// Lines on stdout. A write waits for whoever reads stdout; a closed stdout is ignored.
    pub fn stdout(format: LogFormat) -> Self {
        Self::new(format, |line| {
            // One write under the lock, so that lines of several threads do not mix. A closed stdout must not stop alerts.
            let _ = io::stdout().lock().write_all(format!("{line}\n").as_bytes());
        })
    }

    /// Lines, each given without its end to `write_line`, which must not panic.
    pub fn new(format: LogFormat, write_line: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let line: Arc<dyn Fn(&Line) + Send + Sync> = Arc::new(move |line: &Line| match format {
            LogFormat::Text => write_line(&line.to_string()),
            LogFormat::Json => write_line(&line.to_json(clock::now())),
        });
        let of_event = Arc::clone(&line);
        Self { event: Arc::new(move |event| Line::of(event).iter().for_each(|line| of_event(line))), line }
    }

    /// Writes the line of an event, if it has one.
    pub fn emit(&self, event: &Event) {
        (self.event)(event);
    }

    /// Writes a line that is no event.
    pub fn line(&self, line: &Line) {
        (self.line)(line);
    }
}

/// Sets up what goes to stderr, once; a second call changes nothing.
///
/// `level` is this program's own. Of libraries only warnings and errors are heard, whatever it is: below that, HTTP
/// clients and servers write what they send, secrets included.
pub fn init(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let targets =
        Targets::new().with_default(level.min(LevelFilter::WARN)).with_target(env!("CARGO_CRATE_NAME"), level);
    let registry = tracing_subscriber::registry().with(targets);
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let _ = match format {
        LogFormat::Text => registry.with(layer.with_target(false)).try_init(),
        LogFormat::Json => registry.with(layer.json()).try_init(),
    };
}

/// Headers as they may be logged, each such as `User-Agent: curl/7.68.0`. Secrets are `[redacted]`.
pub fn logged_headers(headers: &HeaderMap) -> Vec<String> {
    let is_secret = |name: &str, value: &[u8]| {
        let start: String = value.iter().take(16).map(|&byte| char::from(byte.to_ascii_lowercase())).collect();
        SECRET_NAMES.iter().any(|part| name.contains(part))
            || SECRET_SCHEMES.iter().any(|scheme| start.trim_start().starts_with(scheme))
    };
    // `user-agent` as people write it.
    let title_case = |name: &str| {
        let mut is_start = true;
        let letter = |letter: char| {
            let shown = if is_start { letter.to_ascii_uppercase() } else { letter };
            is_start = letter == '-';
            shown
        };
        name.chars().map(letter).collect::<String>()
    };
    let logged = headers.iter().take(HEADERS_LIMIT).map(|(name, value)| {
        let value = match is_secret(name.as_str(), value.as_bytes()) {
            true => REDACTED.to_owned(),
            false => excerpt(value.as_bytes(), HEADER_VALUE_LIMIT),
        };
        format!("{}: {value}", title_case(name.as_str()))
    });
    let more = (headers.len() > HEADERS_LIMIT).then(|| format!("… ({} in all)", headers.len()));
    logged.chain(more).collect()
}

/// A body as it may be logged: its beginning of at most `limit` bytes, made safe; with 0, only its size.
pub fn logged_body(body: &[u8], limit: usize) -> String {
    if limit == 0 { format!("({} bytes, not logged)", body.len()) } else { excerpt(body, limit) }
}

/// At most `limit` bytes of a text on one line: cut between characters, with the full size if it was cut; what is no
/// UTF-8 replaced; what could break or disguise a line escaped.
fn excerpt(bytes: &[u8], limit: usize) -> String {
    const CONTINUATION_BYTES: usize = 3;
    let is_boundary = |&at: &usize| bytes.get(at).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000);
    let end = bytes.len().min(limit);
    let end = (end.saturating_sub(CONTINUATION_BYTES)..=end).rev().find(is_boundary).unwrap_or(end);
    let mut line = String::with_capacity(end);
    for character in String::from_utf8_lossy(&bytes[..end]).chars() {
        if is_unsafe(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    if end < bytes.len() {
        line.push_str(&format!("… ({} bytes in all)", bytes.len()));
    }
    line
}

/// Control characters, line and paragraph separators, and what turns the direction of writing.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
            })
            .collect()
    }

    #[test]
    fn headers_are_written_as_people_write_them() {
        let headers =
            headers(&[("host", "example.com"), ("user-agent", "curl/7.68.0"), ("content-type", "application/json")]);
        assert_eq!(
            logged_headers(&headers).join("; "),
            "Host: example.com; User-Agent: curl/7.68.0; Content-Type: application/json"
        );
    }

    #[test]
    fn secrets_are_redacted_by_name_and_by_form() {
        for name in [
            "authorization",
            "proxy-authorization",
            "cookie",
            "set-cookie",
            "x-api-key",
            "x-auth-token",
            "x-gitlab-token",
            "x-hub-signature-256",
            "x-session-id",
            "x-amz-security-token",
            "x-client-secret",
        ] {
            let logged = logged_headers(&headers(&[(name, "hunter2")])).concat();
            assert!(logged.ends_with(": [redacted]"), "{logged}");
        }
        for value in ["Basic YWRtaW46YWRtaW4=", "bearer hunter2", "  Bearer hunter2"] {
            let logged = logged_headers(&headers(&[("x-forwarded-thing", value)])).concat();
            assert_eq!(logged, "X-Forwarded-Thing: [redacted]");
        }
    }

    #[test]
    fn headers_have_a_limit_in_length_and_number() {
        let mut many = headers(&[("a", &"x".repeat(5000))]);
        assert_eq!(logged_headers(&many).join("; "), format!("A: {}… (5000 bytes in all)", "x".repeat(512)));
        for _ in 0..99 {
            many.append("b", HeaderValue::from_static("y"));
        }
        assert!(logged_headers(&many).join("; ").ends_with("; B: y; … (100 in all)"));
    }

    #[test]
    fn a_body_is_cut_between_characters_with_its_size() {
        assert_eq!(logged_body("aü🚨".as_bytes(), 7), "aü🚨");
        assert_eq!(logged_body("aü🚨".as_bytes(), 6), "aü… (7 bytes in all)");
        assert_eq!(logged_body("aü🚨".as_bytes(), 2), "a… (7 bytes in all)");
        assert_eq!(logged_body(b"abc", 0), "(3 bytes, not logged)");
        assert_eq!(logged_body(b"", 5), "");
    }

    #[test]
    fn a_body_cannot_start_a_line() {
        let body = "{\r\n \"a\": \"\u{1b}[2J\u{85}\u{2028}\"}\n[INCIDENT_OPENED] \u{0}";
        let logged = logged_body(body.as_bytes(), 100);
        assert_eq!(logged, r#"{\r\n "a": "\u{1b}[2J\u{85}\u{2028}"}\n[INCIDENT_OPENED] \u{0}"#);
    }

    proptest! {
        #[test]
        fn any_bytes_become_one_line_of_bounded_length(
            bytes in prop::collection::vec(any::<u8>(), 0..300), limit in 1..200_usize,
        ) {
            let line = logged_body(&bytes, limit);
            prop_assert!(!line.chars().any(is_unsafe));
            prop_assert!(line.chars().count() <= limit * 6 + 30);
        }

        #[test]
        fn a_cut_text_is_a_prefix(text in "[a-zäöü🚨]{0,60}", limit in 1..80_usize) {
            let line = logged_body(text.as_bytes(), limit);
            let shown = line.split('…').next().expect("always one");
            prop_assert!(text.starts_with(shown) && shown.len() + 4 > limit.min(text.len()));
        }
    }
}
