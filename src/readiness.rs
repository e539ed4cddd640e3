//! Whether the parts of the server work that the web server does not see itself: the page, and the configuration.
//!
//! Whoever works with a part says how it is; `/-/ready` tells it to whoever asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// How the parts are. Clones share it.
pub type Readiness = Arc<Mutex<Parts>>;

/// How each part is.
#[derive(Debug, Default)]
pub struct Parts {
    /// Whether Cachet, or the built-in page, takes what has to be written.
    pub cachet: Condition,
    /// The abilities of the token, by name: whether the last call that needed one was carried out; `None` if no call has
    /// needed it since the start. Empty for the built-in page, which has no token.
    pub abilities: BTreeMap<&'static str, Option<bool>>,
    /// Whether both files are such that all of them is used.
    pub configuration: Condition,
}

/// Whether a part works; if not, what is wrong, in one line that ends in the cure and holds no secret. `None`: nobody knows
/// yet.
pub type Condition = Option<Result<(), String>>;
