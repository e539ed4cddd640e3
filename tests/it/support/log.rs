//! The log of the program, kept.

use std::sync::{Arc, Mutex};

use alertmanager_cachet::cli::TextOrJson;
use alertmanager_cachet::log::Log;

/// The lines of a log. Clones share them.
#[derive(Clone, Default)]
pub struct KeptLines(Arc<Mutex<Vec<String>>>);

impl KeptLines {
    /// The lines written so far, oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

/// A log, and its lines.
pub fn kept() -> (Log, KeptLines) {
    let kept = KeptLines::default();
    let lines = kept.clone();
    (Log::new(TextOrJson::Text, move |line| lines.0.lock().expect("no panic").push(line.to_owned())), kept)
}
