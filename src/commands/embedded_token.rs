//! `embedded-token`: prints the bearer token of the embedded page's API.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use secrecy::ExposeSecret as _;

use crate::cli::Common;
use crate::embedded;
use crate::store::Store;

/// Prints the token.
///
/// # Errors
/// When there is no store yet, or no server ever served the embedded page from it.
pub async fn run(common: &Common) -> anyhow::Result<ExitCode> {
    let store = Store::open_read_only(&common.storage_url).await?;
    let Some(token) = embedded::token(&store).await? else {
        bail!("the store has no embedded page yet: start `serve` without CACHET_API_URL first");
    };
    writeln!(std::io::stdout(), "{}", token.expose_secret())?;
    Ok(ExitCode::SUCCESS)
}
