//! The log: the lines that operators grep for on stdout, and everything else on stderr.
//!
//! A [`Line`] goes to stdout; its words and their order are part of the program's face to the outside. What the program has to
//! say beside that goes through `tracing` to stderr; [`init`] sets that up.

mod line;
mod request;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use line::Line;
pub use request::{LoggedBody, LoggedHeaders};

use crate::cli::{LogFormat, LogLevel};
use crate::clock;
use crate::core::history::Happening;

/// Where events and other lines go. Clones write to the same place.
#[derive(Clone)]
pub struct Log {
    /// Neither may panic, and neither has anybody to tell of a failure.
    event: Arc<dyn Fn(&Happening) + Send + Sync>,
    line: Arc<dyn Fn(&Line) + Send + Sync>,
}

impl Log {
    /// Events as values, given to `take`; other lines are dropped.
    pub(crate) fn of_events(take: impl Fn(&Happening) + Send + Sync + 'static) -> Self {
        Self { event: Arc::new(take), line: Arc::new(|_| {}) }
    }

    /// Lines on stdout. A write waits for whoever reads stdout; that it is closed is borne in silence.
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
    pub fn emit(&self, event: &Happening) {
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
    let level = level_filter(level);
    let targets =
        Targets::new().with_default(level.min(LevelFilter::WARN)).with_target(env!("CARGO_CRATE_NAME"), level);
    let registry = tracing_subscriber::registry().with(targets);
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let _ = match format {
        LogFormat::Text => registry.with(layer.with_target(false)).try_init(),
        LogFormat::Json => registry.with(layer.json()).try_init(),
    };
}

fn level_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
