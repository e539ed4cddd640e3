//! The log: the lines that operators grep for on stdout, and everything else on stderr.
//!
//! A [`Line`] goes to stdout; its words and their order are a public interface. What the program has to
//! say beside that goes through `tracing` to stderr; `init` sets that up.
//!
//! A request is logged without secrets, on one line, and of bounded length ([`logged_headers`], [`logged_body`]).

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderMap;
use serde_json::Value;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::TextOrJson;
use crate::clock;
use crate::core::history::{About, Event, EventKind};
use crate::core::observed::IncidentId;
use crate::core::status::ComponentStatus;
use crate::core::time::Timestamp;

/// How many characters of a name or reason are written. Names come from labels, which have no limit of their own.
const TEXT_LIMIT: usize = 512;

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
    pub(crate) fn stdout(format: TextOrJson) -> Self {
        Self::new(format, |line| {
            // One write under the lock, so that lines of several threads do not mix. A closed stdout must not stop alerts.
            let _ = io::stdout().lock().write_all(format!("{line}\n").as_bytes());
        })
    }

    /// Lines, each given without its end to `write_line`, which must not panic.
    pub fn new(format: TextOrJson, write_line: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let line: Arc<dyn Fn(&Line) + Send + Sync> = Arc::new(move |line: &Line| match format {
            TextOrJson::Text => write_line(&line.to_string()),
            TextOrJson::Json => write_line(&line.to_json(clock::now())),
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
pub(crate) fn init(level: LevelFilter, format: TextOrJson) {
    let targets =
        Targets::new().with_default(level.min(LevelFilter::WARN)).with_target(env!("CARGO_CRATE_NAME"), level);
    let registry = tracing_subscriber::registry().with(targets);
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let _ = match format {
        TextOrJson::Text => registry.with(layer.with_target(false)).try_init(),
        TextOrJson::Json => registry.with(layer.json()).try_init(),
    };
}

/// One line of the log on stdout.
///
/// [`Display`](fmt::Display) is the text form: `[COMPONENT_STATUS_CHANGE] component="Database" old_status=…`. Names are
/// quoted and escaped, so that none can start a line or pass for another field. `Line::to_json` is one JSON object with
/// the same fields, statuses as numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    name: &'static str,
    /// Each with its text and its JSON.
    fields: Vec<(&'static str, String, Value)>,
}

impl Line {
    fn new(name: &'static str) -> Self {
        Self { name, fields: Vec::new() }
    }

    /// The line of an event; `None` if the event has no line on stdout.
    fn of(event: &Event) -> Option<Self> {
        let about = match &event.about {
            About::Component(name) => Some(name.as_str()),
            About::Target(name) => Some(name.as_str()),
            About::Everything => None,
        };
        let line = |name| Self::new(name).name("component", about);
        Some(match &event.kind {
            EventKind::Written { from, to, late } => {
                let line = line("COMPONENT_STATUS_CHANGE").status("old_status", *from).status("new_status", Some(*to));
                line.reason(match (late, to) {
                    (true, _) => Some("carried out late"),
                    // The alerts explain any other status. Unknown means that there are none.
                    (false, ComponentStatus::Unknown) => Some("monitoring data is missing"),
                    (false, _) => None,
                })
            }
            EventKind::IncidentOpened { incident, title, occurred_at_ms } => line("INCIDENT_OPENED")
                .incident(*incident)
                .text("name", title)
                .time("occurred_at", Timestamp::from_millis(*occurred_at_ms)),
            EventKind::IncidentReopened { incident, reason } => {
                line("INCIDENT_REOPENED").incident(*incident).reason(reason.as_deref())
            }
            EventKind::IncidentClosed { incident, reason } => {
                line("INCIDENT_CLOSED").incident(*incident).text("reason", reason)
            }
            EventKind::IncidentSuppressed { maintenance } => {
                line("INCIDENT_HELD_BACK").text("maintenance", maintenance)
            }
            EventKind::StatusOverridden { expected, found } => {
                line("MANUAL_OVERRIDE").status("expected_status", Some(*expected)).status("found_status", *found)
            }
            EventKind::OverrideSet { status, until_ms, user, note } => line("HOLD")
                .status("status", Some(*status))
                .time("until", Timestamp::from_millis(*until_ms))
                .text("user", user)
                .text("note", note),
            EventKind::OverrideEnded { user } => line("RELEASE").text("user", user).text("reason", "released"),
            EventKind::OverrideExpired => line("RELEASE").name("user", None).text("reason", "its time is over"),
            EventKind::Status { .. }
            | EventKind::WriteFailed { .. }
            | EventKind::WritableAgain
            | EventKind::IncidentClosedByPerson { .. }
            | EventKind::WatchdogMissing { .. }
            | EventKind::WatchdogHeard
            | EventKind::NotRunning { .. } => return None,
        })
    }

    /// A request reached the webhook: who sent it, its headers without secrets ([`logged_headers`]),
    /// and its body ([`logged_body`]), or why there is none.
    pub fn webhook_request(source_ip: IpAddr, headers: Vec<String>, body: &str) -> Self {
        Self::new("WEBHOOK_REQUEST")
            .with("source_ip", source_ip.to_string(), source_ip.to_string().into())
            .with("headers", format!("[{}]", headers.join("; ")), headers.into())
            .with("body", body.to_owned(), body.into())
    }

    /// An alert of ours, or a part of it, could not be used: its label `alertname` and its fingerprint as they came, each
    /// empty if it has none; why, and what helps.
    pub fn alert_ignored(alertname: &str, fingerprint: &str, reason: &str) -> Self {
        Self::new("ALERT_IGNORED").text("alertname", alertname).word("fingerprint", fingerprint).text("reason", reason)
    }

    /// An operator changed the built-in page: who, what was done as the path of the form says it (`announce`, `rename`), what
    /// it was done to (`maintenance 3`), its title or name, and what it is now or what was said.
    pub fn page_edited(user: &str, action: &str, subject: &str, name: &str, details: &str) -> Self {
        let line = Self::new("PAGE_EDITED").text("user", user).word("action", action);
        line.text("subject", subject).text("name", name).text("details", details)
    }

    fn with(mut self, key: &'static str, text: String, json: Value) -> Self {
        self.fields.push((key, text, json));
        self
    }

    fn text(self, key: &'static str, text: &str) -> Self {
        self.with(key, quoted(text), text.into())
    }

    /// A name in quotes; `-` for none.
    fn name(self, key: &'static str, name: Option<&str>) -> Self {
        self.with(key, name.map_or_else(|| "-".to_owned(), quoted), name.into())
    }

    /// A text that is a word mostly: as it is if so, else quoted; `-` if empty.
    fn word(self, key: &'static str, word: &str) -> Self {
        let is_word = word.len() <= 64 && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let text = match word {
            "" => "-".to_owned(),
            word if is_word => word.to_owned(),
            text => quoted(text),
        };
        self.with(key, text, word.into())
    }

    fn incident(self, id: IncidentId) -> Self {
        self.with("incident", id.0.to_string(), id.0.into())
    }

    /// A status; `None` is a number that has no meaning.
    fn status(self, key: &'static str, status: Option<ComponentStatus>) -> Self {
        let text = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
        self.with(key, text, status.map(ComponentStatus::value).into())
    }

    fn time(self, key: &'static str, time: Timestamp) -> Self {
        self.with(key, time.to_string(), time.to_string().into())
    }

    fn reason(self, reason: Option<&str>) -> Self {
        if let Some(reason) = reason { self.text("reason", reason) } else { self }
    }

    /// The same as one JSON object on one line.
    pub(crate) fn to_json(&self, timestamp: Timestamp) -> String {
        let (timestamp, event) = (Value::from(timestamp.to_string()), Value::from(self.name));
        let mut json = format!(r#"{{"timestamp":{timestamp},"event":{event}"#);
        self.fields.iter().for_each(|(key, _, value)| json.push_str(&format!(r#","{key}":{value}"#)));
        json + "}"
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.name)?;
        self.fields.iter().try_for_each(|(key, text, _)| write!(f, " {key}={text}"))
    }
}

/// A text in quotes: quotes, backslashes, control and invisible characters escaped, cut at [`TEXT_LIMIT`].
fn quoted(text: &str) -> String {
    match text.char_indices().nth(TEXT_LIMIT) {
        Some((end, _)) => format!("{:?}", format!("{}…", &text[..end])),
        None => format!("{text:?}"),
    }
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
    let (text, mut line) = (String::from_utf8_lossy(&bytes[..end]), String::with_capacity(end));
    let mut safe = text.split(is_unsafe);
    line.push_str(safe.next().unwrap_or_default());
    for (character, safe) in text.matches(is_unsafe).zip(safe) {
        line.extend(character.escape_default());
        line.push_str(safe);
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
