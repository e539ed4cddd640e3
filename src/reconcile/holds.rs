//! What operators hold, and when that is over.

use super::Reconciler;
use crate::core::time::Timestamp;
use crate::log::Event;
use crate::store::StoreError;

impl Reconciler {
    /// Ends the holds whose time is over, and says so.
    pub(super) async fn end_holds(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.memory.holds.iter().all(|hold| hold.is_in_force(now)) {
            return Ok(());
        }
        for hold in self.store.end_holds(now).await? {
            let component = hold.component.as_str();
            self.log.emit(&Event::Release { component, user: None, reason: "its time is over" });
        }
        self.memory.holds = self.store.holds().await?;
        Ok(())
    }
}
