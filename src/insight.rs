//! What is known of the page, read from the store alone: for `explain` beside a running server, for the console, and for
//! its API. All three tell the same values.

use std::collections::HashSet;

use crate::core::alert::{AlertRecord, signals};
use crate::core::explain::Facts;
use crate::core::ledger::Ledger;
use crate::core::observed::{ComponentIndex, Observed};
use crate::core::overrides::Override;
use crate::core::page::{desired, inventory_of};
use crate::core::plan::{Policy, Report, Views, plan};
use crate::core::target::{ComponentName, Inventory, host_of_name, key_of_name};
use crate::core::time::Timestamp;
use crate::core::uptime::{Past, Span, UPTIME_DAYS, timeline, uptime_of_days};
use crate::core::watchdog::{Monitoring, Pulse};
use crate::settings::Settings;
use crate::store::{Store, StoreError};

/// How many days back a timeline goes if nobody asks for more.
pub(crate) const TIMELINE_DAYS: u32 = 7;

/// How many things a timeline tells at most: more would be no page that somebody reads.
const TIMELINE_LIMIT: usize = 500;

/// Reads what `store` knows at `now`. What waits to be written is planned by `policy`: that of `settings`, adjusted to
/// what the page accepts.
///
/// # Errors
/// [`StoreError`] if the store cannot be read.
pub(crate) async fn facts(
    store: &Store,
    settings: &Settings,
    policy: Policy,
    now: Timestamp,
) -> Result<Facts, StoreError> {
    let read = tokio::try_join!(store.unresolved_alerts(), store.ledger(), store.observed());
    let (alerts, ledger, observed) = read?;
    let (overrides, pulse) = (store.overrides().await?, store.pulse().await?);
    let nothing = Observed::default();
    let inventory = settings.inventory(observed.as_ref().map_or(&nothing, |(observed, _)| observed));
    Ok(conclude((alerts, ledger, observed), &inventory, (&overrides, pulse), settings, policy, now))
}

/// As [`facts`], but only what explains `component`: much less is read. What the result has of other components is incomplete.
///
/// # Errors
/// As [`facts`].
pub(crate) async fn facts_about(
    component: &ComponentName,
    store: &Store,
    settings: &Settings,
    policy: Policy,
    now: Timestamp,
) -> Result<Facts, StoreError> {
    let (alerts, ledger) = (store.unresolved_alerts_about(component), store.ledger_about(component));
    let (alerts, ledger, observed) = tokio::try_join!(alerts, ledger, store.observed_about(component))?;
    let (overrides, pulse, named) = (store.overrides().await?, store.pulse().await?, store.unresolved_targets().await?);
    let inventory = match (&settings.inventory, &observed) {
        (Some(inventory), _) => {
            let feeding = inventory.values().filter(|known| known.target.components().contains(component));
            Inventory::new(inventory.source(), feeding.cloned())
        }
        (None, observed) => inventory_of(observed.as_ref().map_or(&Observed::default(), |(observed, _)| observed)),
    };
    // An alert that names its target otherwise than the inventory may be about one of these targets, and which one it is depends
    // on targets that feed other components.
    let hosts: HashSet<&str> = inventory.values().map(|known| known.target.host()).collect();
    let listed = settings.inventory.as_ref().unwrap_or(&inventory);
    let is_unlisted = |name: &str| !listed.contains_key(&*key_of_name(name));
    let may_be_about = |name: &String| hosts.contains(host_of_name(name)) && is_unlisted(name);
    if alerts.iter().any(|alert| is_unlisted(alert.target.name().key())) || named.iter().any(may_be_about) {
        return facts(store, settings, policy, now).await;
    }
    let facts = conclude((alerts, ledger, observed), &inventory, (&overrides, pulse), settings, policy, now);
    // These reports give numbers of all targets, so they need everything.
    let mut counting =
        facts.plan.reports.iter().filter(|it| matches!(it, Report::NotSetUp { .. } | Report::Leftovers { .. }));
    if counting.any(|report| report.components().is_none_or(|about| about.contains(component))) {
        return self::facts(store, settings, policy, now).await;
    }
    Ok(facts)
}

/// What follows from what was read: alerts, ledger and page; the inventory; overrides, and the watchdog's pulse.
fn conclude(
    (alerts, ledger, observed): (Vec<AlertRecord>, Ledger, Option<(Observed, Timestamp)>),
    inventory: &Inventory,
    (overrides, pulse): (&[Override], Pulse),
    settings: &Settings,
    policy: Policy,
    now: Timestamp,
) -> Facts {
    // When the server began to listen is not stored, so `now` stands for it. What it has heard of the watchdog is in `pulse`.
    let monitoring =
        settings.config.watchdog().map_or(Monitoring::Unwatched, |watchdog| watchdog.judge(pulse, now, now));
    let refire_delay = settings.config.alerts.refire_delay;
    let page = desired(inventory, &signals(&alerts, refire_delay, now))
        .apply_watchdog(monitoring, &settings.config.components())
        .apply_overrides(overrides, now);
    // Nothing can be said of a page that was never read.
    let shown = observed.as_ref().map(|(shown, _)| shown);
    let index = shown.map(|shown| ComponentIndex::of(shown, &settings.config.page.groups)).unwrap_or_default();
    let plan =
        shown.map(|observed| plan(Views { desired: &page, ledger: &ledger, observed, index: &index }, policy, now));
    let plan = plan.unwrap_or_default();
    Facts { page, alerts, ledger, observed, index, plan, pulse, refire_delay, now }
}

/// What happened to `component` in the `days` before `now`, and how much of the time it was up.
///
/// # Errors
/// [`StoreError`] if the store cannot be read.
pub(crate) async fn past(
    store: &Store,
    settings: &Settings,
    component: &ComponentName,
    days: u32,
    now: Timestamp,
) -> Result<Past, StoreError> {
    let from = Span::of_last_days(days, now).from;
    // One more tells whether there are more.
    let limit = u32::try_from(TIMELINE_LIMIT).unwrap_or(u32::MAX).saturating_add(1);
    let alerts = store.alert_history(component, from, limit).await?;
    let events = store.event_history(component, from, limit).await?;
    let changes = store.status_history(component).await?;
    let longest = UPTIME_DAYS.into_iter().max().unwrap_or_default();
    let absences = store.absences(Span::of_last_days(longest, now).from).await?;
    Ok(Past {
        uptime: uptime_of_days(&changes, &absences, settings.config.history_days, now),
        days,
        cut: alerts.len() + events.len() > TIMELINE_LIMIT,
        timeline: timeline(&alerts, &events, TIMELINE_LIMIT),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::core::alert::{Alert, AlertStatus, Fingerprint};
    use crate::core::ledger::{ComponentValue, Recorded, ResourceKey, Update};
    use crate::core::observed::{ComponentId, ObservedComponent};
    use crate::core::status::ComponentStatus;
    use crate::core::target::{ComponentList, InventorySource, KnownTarget, Target};

    const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_000);
    const CONFIG: &str = r#"{"new_incident_name": "%s", "new_incident_message": "-", "resolved_incident_message": "-",
        "groups_configuration": [{"status_page_group": "All", "status_page_components": ["Web", "Empty"]}]}"#;
    const COMPONENTS: [&str; 5] = ["Web", "Web 2", "Say \"ä\"", "Mail", "Empty"];

    fn target(name: &str) -> Target {
        let (instance, components) = name.split_once(" | ").expect("a name");
        Target::new(instance, ComponentList::parse(components).names).expect("a target")
    }

    /// A store that knows this of the page: of each target and component its name, and whether it is shown and recorded as up.
    async fn store(shown: &[&str], firing: &[&str]) -> Store {
        let store = Store::open_in_memory().await.expect("a store");
        let alerts = firing.iter().map(|name| Alert {
            fingerprint: Fingerprint::of_text(name),
            name: "TargetDown".to_owned(),
            target: target(name),
            critical: false,
            status: AlertStatus::Firing,
            starts_at: NOW,
            ends_at: None,
        });
        store.record(&alerts.collect::<Vec<_>>(), NOW).await.expect("stored");
        let (mut observed, mut updates) = (Observed::default(), Vec::new());
        for (name, number) in shown.iter().chain(&COMPONENTS[..4]).zip(1..) {
            let (id, enabled, status) = (ComponentId(number), !name.contains('|'), ComponentStatus::Operational);
            let (name, status, group) = ((*name).to_owned(), Some(status), None);
            let key = match ComponentName::try_from(&*name) {
                Ok(component) => ResourceKey::Component(component),
                Err(_) => ResourceKey::Target(target(&name).name()),
            };
            let value = ComponentValue::of_component(ComponentStatus::Operational);
            updates.push(Update::Component(key, Some(Recorded::confirmed(id, value))));
            let (description, managed) = (Some("critical: no\nno alerts".to_owned()), true);
            observed.components.push(ObservedComponent { id, name, status, enabled, description, group, managed });
        }
        store.replace_observed(&observed, NOW).await.expect("stored");
        store.remember(&updates, &[]).await.expect("stored");
        store
    }

    #[tokio::test]
    async fn what_is_read_of_one_component_explains_it_as_all_does() {
        let known =
            ["a | Web", "b | Web, Web 2", "c | Web 2", "d | Say \"ä\", Mail", "Web | Mail", "e:9100 | Web, Mail"];
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), CONFIG).expect("written");
        let config = crate::config::load(file.path(), Path::new("none")).config.expect("a configuration");
        for (shown, firing) in [
            (&known[..], &["a | Web", "b | Web, Web 2"][..]),
            // One is not set up, one is left over, and one is known from its alert only.
            (&["a | Web", "b | Web, Web 2", "z | Mail", "y | Web"], &["d | Say \"ä\", Mail", "x | Web 2"]),
            (&known[1..], &[]),
            // A rule narrows the components, another one takes the port off, and one names a component more.
            (&known[..], &["b | Web"]),
            (&known[..], &["b | Web, Web 2", "b | Web 2"]),
            (&known[..], &["e | Web", "a | Web, Mail"]),
        ] {
            let store = store(shown, firing).await;
            let inventory = known.map(|name| KnownTarget { target: target(name), critical: false });
            let mut settings = Settings::from(config.clone());
            for source in [Some(InventorySource::File), None] {
                settings.inventory = source.map(|source| Inventory::new(source, inventory.clone()));
                let all = facts(&store, &settings, settings.policy(), NOW).await.expect("read");
                for name in COMPONENTS.into_iter().chain(["Nothing"]) {
                    let name = ComponentName::try_from(name).expect("a name");
                    let about = facts_about(&name, &store, &settings, settings.policy(), NOW).await.expect("read");
                    assert_eq!(about.explain(&name), all.explain(&name), "{name}, {source:?}");
                }
                let summaries = all.summaries();
                let names: Vec<&str> = summaries.iter().map(|summary| &*summary.it.component).collect();
                assert_eq!(names, all.components().iter().map(ComponentName::as_str).collect::<Vec<_>>());
            }
        }
    }
}
