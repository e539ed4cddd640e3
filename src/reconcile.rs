//! reconcile

use std::sync::Arc;

use tokio::sync::Notify;

/// Wakes the reconciler. Clones wake the same one.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// Says that there is news; several calls before anybody looks are as one.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Waits until there is news.
    pub async fn woken(&self) {
        self.0.notified().await;
    }
}
