//! The log: the lines that operators grep for on stdout, and everything else on stderr.
//!
//! An [`Event`] is one line on stdout, whose words and order are part of the program's face to the outside. What the
//! program has to say beside that goes through `tracing` to stderr; [`init`] sets that up.

mod event;
mod request;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use event::Event;
pub use request::{LoggedBody, LoggedHeaders};

use crate::cli::{LogFormat, LogLevel};
use crate::clock;

/// Where events go. Clones write to the same place.
#[derive(Clone)]
pub struct Log {
    /// Must not panic, and has nobody to tell of a failure.
    take: Arc<dyn Fn(&Event<'_>) + Send + Sync>,
}

impl Log {
    /// Events as values, given to `take`.
    pub(crate) fn to(take: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        Self { take: Arc::new(take) }
    }

    /// Events as lines on stdout. A write waits for whoever reads stdout; that it is closed is borne in silence.
    pub fn stdout(format: LogFormat) -> Self {
        Self::new(format, |line| {
            // One write under the lock, so that lines of several threads do not mix. A closed stdout must not stop alerts.
            let _ = io::stdout().lock().write_all(format!("{line}\n").as_bytes());
        })
    }

    /// Events as lines, each given without its end to `write_line`, which must not panic.
    pub fn new(format: LogFormat, write_line: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self::to(move |event| match format {
            LogFormat::Text => write_line(&event.to_string()),
            LogFormat::Json => write_line(&event.to_json(clock::now())),
        })
    }

    /// Writes one event.
    pub(crate) fn emit(&self, event: &Event<'_>) {
        (self.take)(event);
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
