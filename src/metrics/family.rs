//! Counters, gauges and histograms whose number of labels the compiler knows, and their definitions as data.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Error, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use crate::core::time::Timestamp;

/// The upper bounds of every histogram, in seconds: from a commit on a good disk to more than the longest timeout.
const BUCKETS_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// One metric, as data: what the documentation and the dashboard are checked against.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Its whole name.
    pub name: &'static str,
    /// Its labels, in the order in which they are given.
    pub labels: &'static [Label],
    /// What it means, in a sentence.
    pub help: &'static str,
}

/// A label of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Every value that it can have, each of which is there from the start; empty where they come as they come (the
    /// version, an answer's code), which are few all the same.
    pub values: &'static [&'static str],
}

/// Something that a [`Definition`] can define.
pub(super) trait Family: Sized {
    fn register(definition: &Definition, registry: &Registry) -> Result<Self, Error>;
}

/// A counter with `N` labels.
pub(super) struct Counter<const N: usize>(IntCounterVec);

/// A gauge with `N` labels.
pub(super) struct Gauge<const N: usize>(GaugeVec);

/// A gauge without labels that is not there as long as its value is not known.
pub(super) struct GaugeOnceKnown(GaugeVec);

/// A histogram of durations with `N` labels.
pub(super) struct Histogram<const N: usize>(HistogramVec);

impl<const N: usize> Counter<N> {
    pub(super) fn add(&self, labels: [&str; N], count: usize) {
        // The number of labels is right by type, so there is always one to count on.
        if let Ok(counter) = self.0.get_metric_with_label_values(&labels) {
            counter.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }
}

impl<const N: usize> Gauge<N> {
    pub(super) fn set(&self, labels: [&str; N], value: f64) {
        if let Ok(gauge) = self.0.get_metric_with_label_values(&labels) {
            gauge.set(value);
        }
    }

    pub(super) fn set_count(&self, labels: [&str; N], count: usize) {
        // Exact up to 2^53.
        self.set(labels, count as f64);
    }

    /// A moment in seconds since the Unix epoch, which is how Prometheus tells time.
    pub(super) fn set_moment(&self, labels: [&str; N], moment: Timestamp) {
        self.set(labels, moment.as_millis() as f64 / 1000.0);
    }
}

impl GaugeOnceKnown {
    pub(super) fn set(&self, value: Option<f64>) {
        match (value, self.0.get_metric_with_label_values::<&str>(&[])) {
            (Some(value), Ok(gauge)) => gauge.set(value),
            _ => self.0.reset(),
        }
    }
}

impl<const N: usize> Histogram<N> {
    pub(super) fn observe(&self, labels: [&str; N], duration: Duration) {
        if let Ok(histogram) = self.0.get_metric_with_label_values(&labels) {
            histogram.observe(duration.as_secs_f64());
        }
    }
}

impl<const N: usize> Family for Counter<N> {
    fn register(definition: &Definition, registry: &Registry) -> Result<Self, Error> {
        let family = IntCounterVec::new(options(definition), &label_names(definition))?;
        for values in series(definition) {
            family.get_metric_with_label_values(&values)?;
        }
        registered(family, registry).map(Self)
    }
}

impl<const N: usize> Family for Gauge<N> {
    fn register(definition: &Definition, registry: &Registry) -> Result<Self, Error> {
        let family = GaugeVec::new(options(definition), &label_names(definition))?;
        for values in series(definition) {
            family.get_metric_with_label_values(&values)?;
        }
        registered(family, registry).map(Self)
    }
}

impl Family for GaugeOnceKnown {
    fn register(definition: &Definition, registry: &Registry) -> Result<Self, Error> {
        registered(GaugeVec::new(options(definition), &[])?, registry).map(Self)
    }
}

impl<const N: usize> Family for Histogram<N> {
    fn register(definition: &Definition, registry: &Registry) -> Result<Self, Error> {
        let options = HistogramOpts::from(options(definition)).buckets(BUCKETS_SECONDS.to_vec());
        let family = HistogramVec::new(options, &label_names(definition))?;
        for values in series(definition) {
            family.get_metric_with_label_values(&values)?;
        }
        registered(family, registry).map(Self)
    }
}

fn options(definition: &Definition) -> Opts {
    Opts::new(definition.name, definition.help)
}

fn label_names(definition: &Definition) -> Vec<&'static str> {
    definition.labels.iter().map(|label| label.name).collect()
}

/// The label values of every series that is there from the start, so that the first occurrence is an increase and not
/// the beginning of a series, which Prometheus could not tell from one that was always there.
fn series(definition: &Definition) -> Vec<Vec<&'static str>> {
    definition.labels.iter().fold(vec![Vec::new()], |series, label| {
        let with_each = |before: Vec<&'static str>| {
            label.values.iter().map(move |value| before.iter().copied().chain([*value]).collect())
        };
        series.into_iter().flat_map(with_each).collect()
    })
}

fn registered<C: Collector + Clone + 'static>(family: C, registry: &Registry) -> Result<C, Error> {
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

/// A moment that may have passed, and from which an age is counted when somebody asks.
pub(super) struct Since(AtomicI64);

impl Since {
    /// No moment is as late as this.
    const NEVER: i64 = i64::MAX;

    pub(super) fn set(&self, moment: Option<Timestamp>) {
        self.0.store(moment.map_or(Self::NEVER, Timestamp::as_millis), Ordering::Relaxed);
    }

    /// How long ago that was; nothing, if it never was.
    pub(super) fn age(&self, now: Timestamp) -> Duration {
        now.since(Timestamp::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

impl Default for Since {
    fn default() -> Self {
        Self(AtomicI64::new(Self::NEVER))
    }
}
