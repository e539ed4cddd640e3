//! What a page says about alerts that nobody remembers: after a lost store, or at the first start over a page that the
//! older Python middleware kept.
//!
//! A target's own component in Major Outage names its alerts in its description. They are taken over as firing, by
//! target and alert name, for no fingerprint is known; and the open incidents of the components are taken over, so that
//! the outage does not get a second one.

use std::collections::{BTreeMap, BTreeSet};

use super::alert::{AlertRecord, AlertState, Fingerprint};
use super::ledger::{Recorded, Unanswered};
use super::names::IncidentName;
use super::observed::{ComponentId, Observed, ObservedComponent, ObservedIncident};
use super::outage::{IncidentValue, Outage, OutageKey, OutageSubject};
use super::page::{DESCRIPTION_LIMIT, alerts_named, says_critical};
use super::status::ComponentStatus;
use super::target::{ComponentName, Inventory, Target};
use super::time::Timestamp;

/// What is taken over from a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inheritance {
    /// Alerts that count as firing until a resolve of the same target and name comes, or Alertmanager does not list them.
    pub alerts: Vec<AlertRecord>,
    /// Outages whose incident is open.
    pub outages: Vec<Outage>,
}

/// What a page that was read at `now` leaves to a store that remembers nothing of it.
///
/// Only targets of the inventory leave something: a leftover may have been red for years.
pub fn inherit(
    inventory: &Inventory,
    observed: &Observed,
    incident_name: &IncidentName,
    now: Timestamp,
) -> Inheritance {
    let alerts = observed.components.iter().flat_map(|component| alerts_of(inventory, component, now)).collect();
    // A person may have hidden a component meanwhile: its incident is ours all the same.
    let components = observed.components.iter();
    let outages = components.filter_map(|component| outage_of(component, observed, incident_name, now));
    let outages = outages.chain(outages_without_component(observed, now)).collect();
    Inheritance { alerts, outages }
}

/// The `inherited` alerts that have ended: an alert of the same target and name is among those that have `changed`, and
/// speaks for itself from now on. Whether it fires or is resolved does not matter.
pub fn superseded<'a>(
    inherited: &[AlertRecord],
    changed: impl IntoIterator<Item = &'a AlertRecord>,
) -> Vec<Fingerprint> {
    // In most transactions no alert is inherited.
    if inherited.is_empty() {
        return Vec::new();
    }
    let identified = changed.into_iter().filter(|record| record.state != AlertState::Inherited);
    let (mut heard, mut rewritten) = (BTreeSet::new(), BTreeSet::new());
    for record in identified {
        heard.insert((record.target.name(), record.name.as_str()));
        rewritten.insert(record.fingerprint);
    }
    let ended = inherited.iter().filter(|record| {
        heard.contains(&(record.target.name(), record.name.as_str())) && !rewritten.contains(&record.fingerprint)
    });
    ended.map(|record| record.fingerprint).collect()
}

fn alerts_of(inventory: &Inventory, component: &ObservedComponent, now: Timestamp) -> Vec<AlertRecord> {
    let target = Target::from_name(&component.name).filter(|target| inventory.get(&target.name()).is_some());
    let down = !component.enabled && component.status == Some(ComponentStatus::MajorOutage);
    let (Some(target), true) = (target, down) else { return Vec::new() };
    let description = component.description.as_deref().unwrap_or_default();
    let mut names = alerts_named(description);
    // The last name of a description that was cut may be half a name, which no resolve would ever bear.
    if description.chars().count() >= DESCRIPTION_LIMIT && names.len() > 1 {
        names.pop();
    }
    let record = |name: &str| AlertRecord {
        fingerprint: Fingerprint::of_text(&format!("{}\n{name}", component.name)),
        name: name.to_owned(),
        target: target.clone(),
        critical: says_critical(description),
        starts_at: now,
        reported_starts_at: now,
        state: AlertState::Inherited,
        ends_at: None,
        last_seen_at: now,
    };
    names.into_iter().map(record).collect()
}

fn outage_of(
    component: &ObservedComponent,
    observed: &Observed,
    incident_name: &IncidentName,
    now: Timestamp,
) -> Option<Outage> {
    let name = ComponentName::try_from(component.name.as_str()).ok()?;
    let title = incident_name.render(&name);
    let ours = |incident: &&ObservedIncident| match &incident.component {
        Some(marked) => *marked == component.name,
        // An anonymous one: what has the configured title on this very component.
        None => incident.component_id == Some(component.id) && incident.name == title,
    };
    let incident = observed.open_incidents.iter().filter(ours).min_by_key(|incident| incident.id)?;
    let key = incident.outage.clone().map_or_else(|| OutageKey::new(component.id, now), OutageKey::from_stored);
    Some(inherited(key, OutageSubject::Component { name, id: component.id }, incident, observed, now))
}

/// The outages whose incident is open and ours by its meta, and whose component is gone: a person has removed or renamed it
/// meanwhile. Nobody else would ever close what is about nothing.
fn outages_without_component(observed: &Observed, now: Timestamp) -> impl Iterator<Item = Outage> {
    let there: BTreeSet<&str> = observed.components.iter().map(|component| component.name.as_str()).collect();
    let mut gone: BTreeMap<ComponentName, (OutageKey, &ObservedIncident)> = BTreeMap::new();
    for incident in &observed.open_incidents {
        let (Some(key), Some(marked)) = (&incident.outage, &incident.component) else { continue };
        let Ok(name) = ComponentName::try_from(marked.as_str()) else { continue };
        if !there.contains(name.as_str()) && gone.get(&name).is_none_or(|(_, known)| incident.id < known.id) {
            gone.insert(name, (OutageKey::from_stored(key.clone()), incident));
        }
    }
    gone.into_iter().map(move |(name, (key, incident))| {
        inherited(key, OutageSubject::Component { name, id: ComponentId::UNKNOWN }, incident, observed, now)
    })
}

/// The outage of the monitoring, if a page that was read at `now` has an open incident of it.
///
/// It is the only incident of ours that is about no component. Of an anonymous one, nothing but the configured `title` tells
/// whose it is.
pub fn inherit_monitoring(observed: &Observed, title: &str, now: Timestamp) -> Option<Outage> {
    let ours = |incident: &&ObservedIncident| match incident.is_anonymous {
        true => incident.component_id.is_none() && incident.name == title,
        false => incident.outage.is_some() && incident.component.is_none(),
    };
    let incident = observed.open_incidents.iter().filter(ours).min_by_key(|incident| incident.id)?;
    let key = incident.outage.clone().map_or_else(|| OutageKey::of_monitoring(now), OutageKey::from_stored);
    Some(inherited(key, OutageSubject::Monitoring, incident, observed, now))
}

/// The outage of an open incident. What else has its key was created by lost creates, and is hidden.
fn inherited(
    key: OutageKey,
    subject: OutageSubject,
    incident: &ObservedIncident,
    observed: &Observed,
    now: Timestamp,
) -> Outage {
    let of_it = observed.open_incidents.iter().filter(|open| open.outage.as_deref() == Some(key.as_str()));
    let duplicates = of_it.filter(|open| open.id != incident.id);
    let created = |incident: &ObservedIncident| IncidentValue::Created { title: incident.name.clone() };
    let unanswered = duplicates.map(|duplicate| Unanswered { value: created(duplicate), sent_at: now }).collect();
    let row = Recorded { unanswered, ..Recorded::confirmed(incident.id, created(incident)) };
    Outage { key, subject, occurred_at: now, began_at: now, calm_since: None, ended: None, incident: Some(row) }
}

#[cfg(test)]
mod tests {
    use super::super::observed::IncidentId;
    use super::super::status::IncidentStatus;
    use super::super::target::{ComponentList, InventorySource, KnownTarget};
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn component(id: i64, name: &str, enabled: bool, status: ComponentStatus, description: &str) -> ObservedComponent {
        ObservedComponent {
            id: ComponentId(id),
            name: name.to_owned(),
            status: Some(status),
            enabled,
            description: Some(description.to_owned()),
            group: None,
            managed: false,
        }
    }

    fn incident(id: i64, name: &str) -> ObservedIncident {
        ObservedIncident {
            id: IncidentId(id),
            name: name.to_owned(),
            status: Some(IncidentStatus::Investigating),
            outage: None,
            component: None,
            component_id: None,
            is_anonymous: false,
            is_hidden: false,
        }
    }

    fn inherited(components: Vec<ObservedComponent>, open_incidents: Vec<ObservedIncident>) -> Inheritance {
        let known = ["a:1", "b:1"].map(|instance| KnownTarget {
            target: Target::new(instance, ComponentList::parse("Web").names).expect("a target"),
            critical: false,
        });
        let inventory = Inventory::new(InventorySource::File, known);
        let observed = Observed { components, open_incidents, ..Observed::default() };
        inherit(&inventory, &observed, &IncidentName::new("%s is down").expect("a template"), NOW)
    }

    fn names(inheritance: &Inheritance) -> Vec<String> {
        inheritance.alerts.iter().map(|alert| format!("{} of {}", alert.name, alert.target.instance())).collect()
    }

    #[test]
    fn what_the_older_middleware_left_red_is_taken_over_by_target_and_alert_name() {
        use ComponentStatus::{MajorOutage, Operational};
        let inheritance = inherited(
            vec![
                component(1, "a:1 | Web", false, MajorOutage, "critical: no\nTargetDown,DiskFull"),
                component(2, "b:1 | Web", false, Operational, "critical: no\nno alerts"),
                component(3, "gone:1 | Web", false, MajorOutage, "critical: no\nTargetDown"),
                component(4, "Web", true, MajorOutage, "TargetDown"),
            ],
            vec![],
        );
        assert_eq!(names(&inheritance), ["TargetDown of a:1", "DiskFull of a:1"]);
        assert!(inheritance.alerts.iter().all(|alert| alert.is_firing(NOW, std::time::Duration::ZERO)));
        assert_ne!(inheritance.alerts[0].fingerprint, inheritance.alerts[1].fingerprint);
    }

    #[test]
    fn an_inherited_alert_ends_with_the_first_alert_of_its_target_and_name() {
        let red = component(1, "a:1 | Web", false, ComponentStatus::MajorOutage, "critical: no\nTargetDown,DiskFull");
        let inherited = inherited(vec![red], vec![]).alerts;
        let known = |name: &str, instance: &str, state| AlertRecord {
            fingerprint: Fingerprint::of_text(&format!("{name} {instance}")),
            name: name.to_owned(),
            target: Target::new(instance, ComponentList::parse("Web").names).expect("a target"),
            state,
            ..inherited[0].clone()
        };
        for state in [AlertState::Firing, AlertState::Resolved, AlertState::ResolveHeld] {
            let ended = superseded(&inherited, &[known("DiskFull", "a:1", state)]);
            assert_eq!(ended, [inherited[1].fingerprint], "{state:?}");
        }
        let others = [
            known("DiskFull", "b:1", AlertState::Firing),
            known("Load", "a:1", AlertState::Firing),
            known("DiskFull", "a:1", AlertState::Inherited),
            // Written by a correction of the inherited alert itself.
            AlertRecord { state: AlertState::Resolved, ..inherited[1].clone() },
        ];
        assert_eq!(superseded(&inherited, &others), []);
    }

    #[test]
    fn half_a_name_is_not_taken_over_where_there_are_whole_ones() {
        let long = format!("critical: no\nTargetDown, {}", "x".repeat(300));
        let cut: String = long.chars().take(DESCRIPTION_LIMIT).collect();
        let red = component(1, "a:1 | Web", false, ComponentStatus::MajorOutage, &cut);
        assert_eq!(names(&inherited(vec![red], vec![])), ["TargetDown of a:1"]);
    }

    #[test]
    fn a_single_name_is_taken_over_however_long() {
        let long = format!("critical: no\n{}", "x".repeat(DESCRIPTION_LIMIT));
        let cut: String = long.chars().take(DESCRIPTION_LIMIT).collect();
        let red = component(1, "a:1 | Web", false, ComponentStatus::MajorOutage, &cut);
        assert_eq!(inherited(vec![red], vec![]).alerts.len(), 1);
    }

    #[test]
    fn a_component_that_the_public_sees_is_no_targets_own() {
        let shown = component(1, "a:1 | Web", true, ComponentStatus::MajorOutage, "critical: no\nTargetDown");
        assert_eq!(names(&inherited(vec![shown], vec![])), [] as [&str; 0]);
    }

    #[test]
    fn red_without_a_name_leaves_nothing_that_could_ever_end() {
        for description in ["", "critical: yes", "critical: yes\nno alerts"] {
            let red = component(1, "a:1 | Web", false, ComponentStatus::MajorOutage, description);
            assert_eq!(names(&inherited(vec![red], vec![])), [] as [&str; 0], "{description:?}");
        }
    }

    #[test]
    fn an_open_incident_of_ours_is_taken_over_and_a_persons_is_not() {
        let web = component(4, "Web", true, ComponentStatus::MajorOutage, "");
        let marked = ObservedIncident {
            component: Some("Web".to_owned()),
            outage: Some("4-1".to_owned()),
            ..incident(9, "renamed by a person")
        };
        let later = ObservedIncident { id: IncidentId(11), ..marked.clone() };
        let by_hand = incident(2, "Web is down");
        let outages = inherited(vec![web.clone()], vec![by_hand.clone(), later, marked]).outages;
        assert_eq!(outages.len(), 1);
        assert_eq!((outages[0].key.as_str(), outages[0].incident_id()), ("4-1", Some(IncidentId(9))));
        assert_eq!(inherited(vec![web.clone()], vec![by_hand.clone()]).outages, []);
        let older = ObservedIncident { component_id: Some(ComponentId(4)), is_anonymous: true, ..by_hand };
        assert_eq!(inherited(vec![web], vec![older]).outages[0].incident_id(), Some(IncidentId(2)));
    }

    #[test]
    fn of_several_incidents_of_one_outage_the_first_is_taken_over_and_the_others_count_as_lost() {
        let web = component(4, "Web", true, ComponentStatus::MajorOutage, "");
        let of_outage = |id, key: &str| ObservedIncident {
            component: Some("Web".to_owned()),
            outage: Some(key.to_owned()),
            ..incident(id, "Web is down")
        };
        let open = vec![of_outage(9, "4-1"), of_outage(7, "4-1"), of_outage(8, "4-1"), of_outage(10, "4-2")];
        let outages = inherited(vec![web], open).outages;
        assert_eq!(outages.len(), 1);
        assert_eq!(outages[0].incident_id(), Some(IncidentId(7)));
        assert_eq!(outages[0].unanswered().len(), 2);
    }

    #[test]
    fn an_incident_of_ours_whose_component_is_gone_is_taken_over_so_that_it_is_closed() {
        let incident_of = |id, component: &str, key: &str| ObservedIncident {
            component: Some(component.to_owned()),
            outage: Some(key.to_owned()),
            ..incident(id, "Web is down")
        };
        let renamed = component(4, "Web (old)", true, ComponentStatus::MajorOutage, "");
        let open = [incident_of(9, "Web", "4-2"), incident_of(7, "Web", "4-1"), incident_of(8, "Shop", "5-1")];
        let by_hand = incident(2, "Web is down");
        let outages = inherited(vec![renamed], [open.to_vec(), vec![by_hand]].concat()).outages;
        let taken: Vec<_> = outages.iter().map(|outage| (outage.key.as_str(), outage.incident_id())).collect();
        assert_eq!(taken, [("5-1", Some(IncidentId(8))), ("4-1", Some(IncidentId(7)))]);
        assert_eq!(outages[0].subject.component().map(ComponentName::as_str), Some("Shop"));
    }

    #[test]
    fn of_the_monitoring_an_incident_is_taken_over_that_is_ours_and_about_no_component() {
        let title = "Monitoring data is missing";
        let by_hand = incident(1, title);
        let of_component = ObservedIncident {
            outage: Some("4-1".to_owned()),
            component: Some("Web".to_owned()),
            ..incident(2, "Monitoring data is missing")
        };
        let ours = ObservedIncident { outage: Some("0-7".to_owned()), ..incident(3, "Another title by now") };
        let page = |incidents: &[&ObservedIncident]| Observed {
            open_incidents: incidents.iter().copied().cloned().collect(),
            ..Observed::default()
        };
        assert_eq!(inherit_monitoring(&page(&[&by_hand, &of_component]), title, NOW), None);
        let outage = inherit_monitoring(&page(&[&by_hand, &of_component, &ours]), title, NOW).expect("taken over");
        assert_eq!((outage.key.as_str(), outage.incident_id()), ("0-7", Some(IncidentId(3))));
        assert_eq!(outage.subject, OutageSubject::Monitoring);

        // A page that cannot say who opened it, where only the title tells.
        let of_component =
            ObservedIncident { component_id: Some(ComponentId(4)), is_anonymous: true, ..by_hand.clone() };
        let by_hand = ObservedIncident { is_anonymous: true, ..by_hand };
        assert_eq!(inherit_monitoring(&page(&[&of_component]), title, NOW), None);
        let outage = inherit_monitoring(&page(&[&of_component, &by_hand]), title, NOW).expect("taken over");
        assert_eq!((outage.key.as_str(), outage.incident_id()), ("0-1000000", Some(IncidentId(1))));
    }

    #[test]
    fn the_incident_of_a_component_that_a_person_has_hidden_is_taken_over_as_well() {
        let hidden = component(4, "Web", false, ComponentStatus::MajorOutage, "");
        let ours = ObservedIncident { component: Some("Web".to_owned()), ..incident(9, "Web is down") };
        assert_eq!(inherited(vec![hidden], vec![ours]).outages[0].incident_id(), Some(IncidentId(9)));
    }
}
