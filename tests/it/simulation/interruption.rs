//! A layer that stops at one call, before or after it is done, until it is told to go on.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tower::ServiceExt;

use super::scenario::Side;

/// The handle to one layer; clones steer the same one.
#[derive(Clone, Default)]
pub struct Interrupter {
    /// How many calls to let pass before the one to stop at; below zero: none.
    left: Arc<AtomicI64>,
    side: Arc<Mutex<Option<Side>>>,
    reached: Arc<Notify>,
    resumed: Arc<Notify>,
}

impl Interrupter {
    pub fn around(&self, router: Router) -> Router {
        let layer = self.clone();
        Router::new().fallback(move |request: Request| async move {
            let side = layer.side_of_this_call();
            layer.stop_if(side == Some(Side::Before)).await;
            let answer = router.oneshot(request).await.into_response();
            layer.stop_if(side == Some(Side::After)).await;
            answer
        })
    }

    /// The call after `calls` more is stopped at.
    pub fn arm(&self, calls: usize, side: Side) {
        // a call that was given up while it was stopped at left one of these behind
        let _ = (self.reached.notified().now_or_never(), self.resumed.notified().now_or_never());
        self.left.store(i64::try_from(calls).expect("few"), Ordering::SeqCst);
        *self.side() = Some(side);
    }

    /// No call is stopped at any more.
    pub fn disarm(&self) {
        *self.side() = None;
    }

    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    pub fn resume(&self) {
        self.resumed.notify_one();
    }

    fn side_of_this_call(&self) -> Option<Side> {
        let mut side = self.side();
        if side.is_some() && self.left.fetch_sub(1, Ordering::SeqCst) == 0 { side.take() } else { None }
    }

    async fn stop_if(&self, here: bool) {
        if here {
            self.reached.notify_one();
            self.resumed.notified().await;
        }
    }

    fn side(&self) -> std::sync::MutexGuard<'_, Option<Side>> {
        self.side.lock().expect("no test panics while it holds the lock")
    }
}
