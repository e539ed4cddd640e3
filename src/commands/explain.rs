//! `explain`: why a component has its status, from the store alone, beside a running server.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;

use super::usable_settings;
use crate::cli::{Common, Explain, TextOrJson};
use crate::clock;
use crate::config::nearest;
use crate::core::explain::Explanation;
use crate::core::target::ComponentName;
use crate::core::time::Timestamp;
use crate::insight::{self, TIMELINE_DAYS};
use crate::settings::Settings;
use crate::store::Store;

/// Prints the explanation.
///
/// # Errors
/// When there is no store, the configuration cannot be read, or no such component is known.
pub(crate) async fn run(common: &Common, args: &Explain) -> anyhow::Result<ExitCode> {
    let settings = Arc::new(usable_settings(common)?);
    let store = Store::open_read_only(&common.storage_url).await?;
    let name = ComponentName::try_from(args.component.as_str())?;
    let explanation = explained(&store, &settings, &name, clock::now()).await?;
    let mut out = io::stdout();
    match args.output {
        TextOrJson::Text => write!(out, "{explanation}")?,
        TextOrJson::Json => writeln!(out, "{}", serde_json::to_string_pretty(&explanation)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Explains `name` from what the store holds.
///
/// # Errors
/// When the store cannot be read, or no such component is known.
pub async fn explained(
    store: &Store,
    settings: &Arc<Settings>,
    name: &ComponentName,
    now: Timestamp,
) -> anyhow::Result<Explanation> {
    let facts = insight::facts_about(name, store, settings, settings.policy(), now).await?;
    let Some(explanation) = facts.explain(name) else {
        let facts = insight::facts(store, settings, settings.policy(), now).await?;
        let components = facts.components();
        let known: BTreeSet<&str> = components.iter().map(ComponentName::as_str).collect();
        if let Some(near) = nearest(name.as_str(), known.iter().copied()) {
            bail!("there is no component {name:?}: did you mean {near:?}?");
        }
        if known.is_empty() {
            bail!("there is no component {name:?}, nor any other: run `setup` first");
        }
        bail!("there is no component {name:?}: the page has {}", known.into_iter().collect::<Vec<_>>().join(", "));
    };
    let past = insight::past(store, settings, name, TIMELINE_DAYS.min(settings.config.history_days), now).await?;
    Ok(Explanation { past: Some(past), ..explanation })
}
