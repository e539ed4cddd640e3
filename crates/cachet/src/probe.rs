//! Finds out what this Cachet can do, and whether it takes the token.

use super::Error;
use super::client::Cachet;
use super::transport::Call;
use super::wire::{Group, Page};
use alertmanager_cachet_core::status_page::Capabilities;

/// A component that cannot exist: Cachet counts from 1.
const NO_COMPONENT: &str = "/components/0";

impl Cachet {
    /// What this Cachet can do; asked once, then remembered for the life of the client and its clones.
    ///
    /// # Errors
    /// When Cachet does not answer; the next call asks again.
    pub async fn probe(&self) -> Result<Capabilities, Error> {
        self.capabilities().get_or_try_init(|| self.ask_capabilities()).await.copied()
    }

    /// An include that a release does not know is 400 and names it (2025-08: 030).
    async fn ask_capabilities(&self) -> Result<Capabilities, Error> {
        let groups = Call::get("/component-groups").with("include", "meta").with("sort", "id").with("per_page", 1);
        match self.read::<Page<Group>>(groups).await {
            Ok(_) => Ok(Capabilities { meta: true }),
            Err(Error::Invalid { status: 400, message, .. }) if message.contains("meta") => {
                Ok(Capabilities { meta: false })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether Cachet takes the token, without changing anything: a write to a component that cannot exist is 404 with
    /// a good token (152) and 401 with any other (153). A read would not tell, for a wrong token is answered as a guest
    /// (014). Which abilities the token has shows only when they are used.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] for a wrong token, or why Cachet could not be asked.
    pub async fn check_token(&self) -> Result<(), Error> {
        let write = Call::put(NO_COMPONENT).body(serde_json::json!({"status": 1, "enabled": false}));
        match self.send(&write).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
