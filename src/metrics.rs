//! What Prometheus can ask the server about itself.
//!
//! | file | what is there |
//! | --- | --- |
//! | `catalogue` | **every metric**: name, labels, help; nowhere else is one defined |
//! | `labels` | the words of the labels, and which word says what |
//! | `record` | what the parts of the server tell: one method an occasion |
//! | `page_state` | how the page is at the end of a reconcile run |
//!
//! There is no global state. A [`Metrics`] is made once and handed to whoever has something to tell: the web server, the
//! store, the client of Cachet, the reconciler and the alert sync. Labels have few values, known beforehand; never the
//! name of a component or a target, of which there may be thousands. `docs/metrics.md` says what each metric means.

pub mod catalogue;
mod labels;
mod page_state;
mod record;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use prometheus::process_collector::ProcessCollector;
use prometheus::{Registry, TextEncoder};

use self::catalogue::Catalogue;
pub use self::labels::Refusal;
pub(crate) use self::labels::{NotificationResult, PollResult, ReconcileResult};
pub(crate) use self::page_state::PageState;
use crate::core::time::Timestamp;

/// What the text of [`Metrics::text`] is, as HTTP calls it.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Counts and measures. Clones share what they know; the default one knows nothing and tells nothing, for commands and
/// tests that nobody asks.
#[derive(Clone, Default)]
pub struct Metrics {
    measured: Option<Arc<Measured>>,
}

struct Measured {
    registry: Registry,
    catalogue: Catalogue,
}

/// The metrics cannot be told.
#[derive(Debug, thiserror::Error)]
#[error("the metrics cannot be told ({0}): report this with the version of the program")]
pub struct MetricsError(#[from] prometheus::Error);

impl Metrics {
    /// Metrics that begin to count now, with those of the process beside them.
    ///
    /// # Errors
    /// [`MetricsError`] if two definitions contradict each other, which a test rules out.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let catalogue = Catalogue::new(&registry)?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        catalogue.build_info.set([env!("CARGO_PKG_VERSION"), env!("BUILD_COMMIT")], 1.0);
        Ok(Self { measured: Some(Arc::new(Measured { registry, catalogue })) })
    }

    /// All metrics at `now`, in Prometheus' text format.
    ///
    /// # Errors
    /// [`MetricsError`] if they cannot be written down.
    pub fn text(&self, now: Timestamp) -> Result<String, MetricsError> {
        let Some(measured) = &self.measured else { return Ok(String::new()) };
        // An age is as old as the scrape, not as the reconcile run that saw its beginning.
        let age = measured.catalogue.oldest_waiting_since().map(|since| now.since(since)).unwrap_or_default();
        measured.catalogue.oldest_waiting_age.set([], age.as_secs_f64());
        Ok(TextEncoder::new().encode_to_string(&measured.registry.gather())?)
    }

    /// Where to count; `None` if nobody asks.
    fn catalogue(&self) -> Option<&Catalogue> {
        self.measured.as_deref().map(|measured| &measured.catalogue)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.measured.is_some() { "Metrics(on)" } else { "Metrics(off)" })
    }
}
