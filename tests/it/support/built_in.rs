//! What the built-in page of a running server says, read from its store, as lines to compare.

use std::path::Path;

use alertmanager_cachet::clock;
use alertmanager_cachet::core::builtin::{Component, Content};
use alertmanager_cachet::core::observed::IncidentId;
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::store::Store;

use crate::support::processes::eventually;

/// Reads the page beside the server.
pub struct BuiltIn {
    store: Store,
}

impl BuiltIn {
    /// The page in the store of a server that runs in `folder`.
    pub async fn of(folder: &Path) -> Self {
        Self::at(&format!("sqlite://{}", folder.join("data/alertmanager-cachet.db").display())).await
    }

    /// The page in the store at `url`.
    pub async fn at(url: &str) -> Self {
        Self { store: Store::open_read_only(url).await.expect("the store") }
    }

    /// Waits until the visible components, by name, and then all incidents, in their order, are these:
    /// `Database: Partial Outage`, `Database is down: Fixed (It works again.)`.
    pub async fn comes_to_show(&self, expected: &[&str]) {
        eventually("the page shows it", async || as_expected(shown(&self.content().await), expected)).await;
    }

    /// Waits until the targets' own components are these: `db-1 | Database: Outage (critical: no; …)`.
    pub async fn comes_to_know(&self, expected: &[&str]) {
        eventually("the page knows it", async || as_expected(known(&self.content().await), expected)).await;
    }

    /// Everything on it, since the beginning of time.
    pub async fn content(&self) -> Content {
        self.store.page().content(Timestamp::from_millis(0), clock::now()).await.expect("read")
    }
}

fn shown(content: &Content) -> Vec<String> {
    let visible = content.components.iter().filter(|component| content.shows(component));
    let mut lines: Vec<String> = visible.map(state).collect();
    lines.sort();
    let mut incidents: Vec<(IncidentId, String)> = Vec::new();
    for incident in &content.incidents {
        let texts: Vec<&str> = incident.updates.iter().map(|update| update.message.as_str()).collect();
        let state = format!("{}: {}", incident.title, incident.status.word());
        incidents.push((incident.id, if texts.is_empty() { state } else { format!("{state} ({})", texts.join(" ")) }));
    }
    incidents.sort();
    lines.extend(incidents.into_iter().map(|(_, line)| line));
    lines
}

fn known(content: &Content) -> Vec<String> {
    let own = content.components.iter().filter(|component| component.name.contains('|'));
    let mut lines: Vec<String> = own
        .map(|component| {
            let description = component.description.as_deref().unwrap_or("no description").replace('\n', "; ");
            format!("{} ({description})", state(component))
        })
        .collect();
    lines.sort();
    lines
}

fn state(component: &Component) -> String {
    format!("{}: {}", component.name, component.status.word())
}

fn as_expected(lines: Vec<String>, expected: &[&str]) -> Result<(), String> {
    if lines == expected { Ok(()) } else { Err(format!("it says\n{lines:#?}\ninstead of\n{expected:#?}")) }
}
