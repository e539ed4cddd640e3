//! What a page says about alerts that nobody remembers: after a lost store, or at the first start over a page that the
//! older Python middleware kept.
//!
//! A target's own component in Major Outage names its alerts in its description. They are taken over as firing, by
//! target and alert name, for no fingerprint is known; and the open incidents of the components are taken over, so that
//! the outage does not get a second one.

use std::collections::{BTreeMap, BTreeSet};

use super::alert::{AlertRecord, AlertState, Fingerprint};
use super::ledger::{Ledger, Recorded, Unanswered, Update};
use super::names::IncidentName;
use super::observed::{ComponentId, Observed, ObservedComponent, ObservedIncident};
use super::outage::{IncidentValue, Outage, OutageKey, OutageSubject};
use super::page::{DESCRIPTION_LIMIT, alerts_named, says_critical};
use super::status::ComponentStatus;
use super::target::{ComponentName, Inventory, Target};
use super::time::Timestamp;

/// What is taken over from a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adoption {
    /// Alerts that count as firing until a resolve of the same target and name comes, or Alertmanager does not list them.
    pub alerts: Vec<AlertRecord>,
    /// Outages whose incident is open.
    pub outages: Vec<Outage>,
}

impl Adoption {
    /// Leaves out the outages of what the store knows to be in one, as after a move from another page. The others take over
    /// the writes that may still be carried out of outages of the same key, or of the same incident, which a restored backup
    /// has ended. What is returned removes those from the ledger.
    pub fn take_over(&mut self, known: &Ledger) -> Vec<Update> {
        self.outages.retain(|outage| known.active(outage.subject.component()).is_none());
        let mut removed = Vec::new();
        for outage in &mut self.outages {
            let incident = outage.incident_id();
            for before in known.outages().filter(|it| it.key == outage.key || it.incident_id() == incident) {
                outage.incident.iter_mut().for_each(|row| row.unanswered.extend_from_slice(before.unanswered()));
                if before.key != outage.key {
                    removed.push(Update::Outage(before.key.clone(), None));
                }
            }
        }
        removed
    }
}

/// What a page that was read at `now` leaves to a store that remembers nothing of it.
///
/// Only targets of the inventory leave something: a leftover may have been red for years.
pub fn adopt(inventory: &Inventory, observed: &Observed, incident_name: &IncidentName, now: Timestamp) -> Adoption {
    let alerts = observed.components.iter().flat_map(|component| alerts_of(inventory, component, now)).collect();
    // A person may have hidden a component meanwhile: its incident is ours all the same.
    let components = observed.components.iter();
    let outages = components.filter_map(|component| outage_of(component, observed, incident_name, now));
    let outages = outages.chain(outages_without_component(observed, now)).collect();
    Adoption { alerts, outages }
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
        state: AlertState::Adopted,
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
    Some(adopted(key, OutageSubject::Component { name, id: component.id }, incident, observed, now))
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
        adopted(key, OutageSubject::Component { name, id: ComponentId::UNKNOWN }, incident, observed, now)
    })
}

/// The outage of the monitoring, if a page that was read at `now` has an open incident of it.
///
/// It is the only incident of ours that is about no component. Of an anonymous one, nothing but the configured `title` tells
/// whose it is.
pub fn adopt_monitoring(observed: &Observed, title: &str, now: Timestamp) -> Option<Outage> {
    let ours = |incident: &&ObservedIncident| match incident.is_anonymous {
        true => incident.component_id.is_none() && incident.name == title,
        false => incident.outage.is_some() && incident.component.is_none(),
    };
    let incident = observed.open_incidents.iter().filter(ours).min_by_key(|incident| incident.id)?;
    let key = incident.outage.clone().map_or_else(|| OutageKey::of_monitoring(now), OutageKey::from_stored);
    Some(adopted(key, OutageSubject::Monitoring, incident, observed, now))
}

/// The outage of an open incident. What else has its key was created by lost creates, and is hidden.
fn adopted(
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

    fn adopted(components: Vec<ObservedComponent>, open_incidents: Vec<ObservedIncident>) -> Adoption {
        let known = ["a:1", "b:1"].map(|instance| KnownTarget {
            target: Target::new(instance, ComponentList::parse("Web").names).expect("a target"),
            critical: false,
        });
        let inventory = Inventory::new(InventorySource::File, known);
        let observed = Observed { components, open_incidents, ..Observed::default() };
        adopt(&inventory, &observed, &IncidentName::new("%s is down").expect("a template"), NOW)
    }

    fn names(adoption: &Adoption) -> Vec<String> {
        adoption.alerts.iter().map(|alert| format!("{} of {}", alert.name, alert.target.instance())).collect()
    }

    #[test]
    fn what_the_older_middleware_left_red_is_taken_over_by_target_and_alert_name() {
        use ComponentStatus::{MajorOutage, Operational};
        let adoption = adopted(
            vec![
                component(1, "a:1 | Web", false, MajorOutage, "critical: no\nTargetDown,DiskFull"),
                component(2, "b:1 | Web", false, Operational, "critical: no\nno alerts"),
                component(3, "gone:1 | Web", false, MajorOutage, "critical: no\nTargetDown"),
                component(4, "Web", true, MajorOutage, "TargetDown"),
            ],
            vec![],
        );
        assert_eq!(names(&adoption), ["TargetDown of a:1", "DiskFull of a:1"]);
        assert!(adoption.alerts.iter().all(|alert| alert.is_firing(NOW, std::time::Duration::ZERO)));
        assert_ne!(adoption.alerts[0].fingerprint, adoption.alerts[1].fingerprint);
    }

    #[test]
    fn half_a_name_is_not_taken_over_where_there_are_whole_ones() {
        let long = format!("critical: no\nTargetDown, {}", "x".repeat(300));
        let cut: String = long.chars().take(DESCRIPTION_LIMIT).collect();
        let red = component(1, "a:1 | Web", false, ComponentStatus::MajorOutage, &cut);
        assert_eq!(names(&adopted(vec![red], vec![])), ["TargetDown of a:1"]);
    }

    #[test]
    fn a_single_name_is_taken_over_however_long() {
        let long = format!("critical: no\n{}", "x".repeat(DESCRIPTION_LIMIT));
        let cut: String = long.chars().take(DESCRIPTION_LIMIT).collect();
        let red = component(1, "a:1 | Web", false, ComponentStatus::MajorOutage, &cut);
        assert_eq!(adopted(vec![red], vec![]).alerts.len(), 1);
    }

    #[test]
    fn a_component_that_the_public_sees_is_no_targets_own() {
        let shown = component(1, "a:1 | Web", true, ComponentStatus::MajorOutage, "critical: no\nTargetDown");
        assert_eq!(names(&adopted(vec![shown], vec![])), [] as [&str; 0]);
    }

    #[test]
    fn red_without_a_name_leaves_nothing_that_could_ever_end() {
        for description in ["", "critical: yes", "critical: yes\nno alerts"] {
            let red = component(1, "a:1 | Web", false, ComponentStatus::MajorOutage, description);
            assert_eq!(names(&adopted(vec![red], vec![])), [] as [&str; 0], "{description:?}");
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
        let outages = adopted(vec![web.clone()], vec![by_hand.clone(), later, marked]).outages;
        assert_eq!(outages.len(), 1);
        assert_eq!((outages[0].key.as_str(), outages[0].incident_id()), ("4-1", Some(IncidentId(9))));
        assert_eq!(adopted(vec![web.clone()], vec![by_hand.clone()]).outages, []);
        let older = ObservedIncident { component_id: Some(ComponentId(4)), is_anonymous: true, ..by_hand };
        assert_eq!(adopted(vec![web], vec![older]).outages[0].incident_id(), Some(IncidentId(2)));
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
        let outages = adopted(vec![web], open).outages;
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
        let outages = adopted(vec![renamed], [open.to_vec(), vec![by_hand]].concat()).outages;
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
        assert_eq!(adopt_monitoring(&page(&[&by_hand, &of_component]), title, NOW), None);
        let outage = adopt_monitoring(&page(&[&by_hand, &of_component, &ours]), title, NOW).expect("taken over");
        assert_eq!((outage.key.as_str(), outage.incident_id()), ("0-7", Some(IncidentId(3))));
        assert_eq!(outage.subject, OutageSubject::Monitoring);

        // A page that cannot say who opened it, where only the title tells.
        let of_component =
            ObservedIncident { component_id: Some(ComponentId(4)), is_anonymous: true, ..by_hand.clone() };
        let by_hand = ObservedIncident { is_anonymous: true, ..by_hand };
        assert_eq!(adopt_monitoring(&page(&[&of_component]), title, NOW), None);
        let outage = adopt_monitoring(&page(&[&of_component, &by_hand]), title, NOW).expect("taken over");
        assert_eq!((outage.key.as_str(), outage.incident_id()), ("0-1000000", Some(IncidentId(1))));
    }

    #[test]
    fn the_incident_of_a_component_that_a_person_has_hidden_is_taken_over_as_well() {
        let hidden = component(4, "Web", false, ComponentStatus::MajorOutage, "");
        let ours = ObservedIncident { component: Some("Web".to_owned()), ..incident(9, "Web is down") };
        assert_eq!(adopted(vec![hidden], vec![ours]).outages[0].incident_id(), Some(IncidentId(9)));
    }

    #[test]
    fn an_adopted_outage_takes_over_the_lost_writes_of_the_one_that_a_backup_has_ended() {
        let web = component(4, "Web", true, ComponentStatus::MajorOutage, "");
        let title = "Web is down";
        let ours = ObservedIncident { component_id: Some(ComponentId(4)), is_anonymous: true, ..incident(9, title) };
        let mut adoption = adopted(vec![web], vec![ours]);
        let adopted = adoption.outages[0].clone();
        let of = |id: i64, incident, ended| {
            let row = Recorded::sent(None, Some(IncidentId(incident)), IncidentValue::Reopened, NOW);
            Outage {
                key: OutageKey::new(ComponentId(id), Timestamp::from_millis(1)),
                subject: OutageSubject::Component {
                    name: ComponentName::try_from("Web").expect("a name"),
                    id: ComponentId(id),
                },
                ended,
                incident: Some(row),
                ..adopted.clone()
            }
        };
        let ended = Some(super::super::outage::Ended { at: NOW, by: super::super::outage::EndedBy::Recovery });
        let (same, other) = (of(4, 9, ended), of(5, 3, ended));
        let mut known = Ledger::default();
        known.record(same.clone().into());
        known.record(other.into());
        assert_eq!(adoption.take_over(&known), [Update::Outage(same.key, None)]);
        assert_eq!(adoption.outages[0].unanswered().len(), 1);
        known.record(of(6, 3, None).into());
        adoption.take_over(&known);
        assert_eq!(adoption.outages, [], "the store knows that the component is in an outage");
    }
}
