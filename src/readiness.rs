//! Whether the parts of the server work that the web server does not see itself: the page, and the configuration.
//!
//! Whoever works with a part says how it is; `/-/ready` tells it to whoever asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// How the parts are. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    parts: Arc<Mutex<Parts>>,
}

#[derive(Debug, Default)]
struct Parts {
    cachet: Condition,
    abilities: BTreeMap<&'static str, Ability>,
    configuration: Condition,
}

/// How a part is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Condition {
    /// Nobody knows yet.
    #[default]
    Unknown,
    /// It works.
    Good,
    /// It does not: what is wrong, in one line that ends in the cure and holds no secret.
    Bad(String),
}

/// Whether the token has an ability that `serve` needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ability {
    /// No call has needed it since the start.
    Unknown,
    /// The last call that needed it was carried out.
    Works,
    /// The last call that needed it was refused.
    Missing,
}

impl Readiness {
    /// Whether Cachet, or the built-in page, takes what has to be written.
    pub fn cachet(&self) -> Condition {
        self.lock().cachet.clone()
    }

    /// The page was written to, or refused to be.
    pub fn cachet_is(&self, condition: Condition) {
        self.lock().cachet = condition;
    }

    /// The abilities of the token, by name. Empty for the built-in page, which has no token.
    pub(crate) fn abilities(&self) -> BTreeMap<&'static str, Ability> {
        self.lock().abilities.clone()
    }

    /// Sets what is known of the abilities.
    pub(crate) fn abilities_are(&self, abilities: BTreeMap<&'static str, Ability>) {
        self.lock().abilities = abilities;
    }

    /// Whether both files are such that all of them is used.
    pub fn configuration(&self) -> Condition {
        self.lock().configuration.clone()
    }

    /// The configuration was read.
    pub fn configuration_is(&self, condition: Condition) {
        self.lock().configuration = condition;
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
