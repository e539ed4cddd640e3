//! The client against recorded answers, and against servers that misbehave. How it gets on with a whole Cachet shows in
//! the integration tests, against the embedded page.

mod recordings;
mod trouble;

use axum::Router;
use secrecy::SecretString;

use super::{Cachet, Settings};

/// A token that must never show anywhere.
const TOKEN: &str = "1|the-secret-token";

fn in_process(router: Router) -> Cachet {
    Cachet::in_process(router, SecretString::from(TOKEN), 50)
}

fn settings(base_url: &str) -> Settings {
    Settings { base_url: base_url.to_owned(), token: SecretString::from(TOKEN), per_page: 50 }
}
