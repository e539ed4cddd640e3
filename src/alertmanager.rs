//! The client of Alertmanager's API: what each member of a cluster lists, and how long it has been up.
//!
//! Only reads, and never through a redirect. What the answers mean is decided in [`crate::core::repair`].

mod client;
mod error;

pub use client::{Heard, Member};
pub use error::{Error, SettingsError};

use secrecy::SecretString;

/// How the members of a cluster are reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The base of each member's web interface, as in `http://alertmanager:9093`.
    pub urls: Vec<String>,
    /// Who we are to them.
    pub credentials: Credentials,
    /// Certificates in PEM that are trusted beside the system's.
    pub ca_pem: Option<String>,
}

/// Who we are to Alertmanager.
#[derive(Debug, Clone, Default)]
pub enum Credentials {
    /// Nobody.
    #[default]
    None,
    /// Basic Auth.
    Basic {
        /// The user's name.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// A bearer token.
    Bearer(SecretString),
}

impl Settings {
    /// A client of each member; nothing is sent yet.
    ///
    /// # Errors
    /// [`SettingsError`] if an address, the credentials or the certificates cannot be used.
    pub fn members(&self) -> Result<Vec<Member>, SettingsError> {
        client::members(self)
    }
}

#[cfg(test)]
mod tests;
