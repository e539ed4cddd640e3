//! The content of the built-in page, and what follows from it: what readers see of a component, and how far a maintenance
//! is.

use std::collections::HashMap;
use std::time::Duration;

use super::observed::{ComponentId, GroupId, IncidentId, Maintenance, Observed};
use super::observed::{ObservedComponent, ObservedGroup, ObservedIncident};
use super::status::{ComponentStatus, IncidentStatus, ScheduleStatus};
use super::time::Timestamp;

/// For how many days back readers are told of incidents that are over, today included.
pub const DAYS: i32 = 14;

/// The beginning of the first of these days (UTC): incidents that began before it, and are over, are told no more.
pub fn first_day(now: Timestamp) -> Timestamp {
    const DAY_MS: i64 = 24 * 3_600_000;
    let today = now.as_millis().saturating_sub(now.as_millis().rem_euclid(DAY_MS));
    Timestamp::from_millis(today.saturating_sub(i64::from(DAYS - 1) * DAY_MS))
}

/// The number of a maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaintenanceId(pub i64);

/// Everything on the page at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// Every group, in the order of the page.
    pub groups: Vec<Group>,
    /// Every component, in the order of the page; the targets' own are hidden ones.
    pub components: Vec<Component>,
    /// The incidents that are open, and those that began or were fixed since the moment that was asked for; the newest first.
    pub incidents: Vec<Incident>,
    /// The maintenance that is not over; what begins first comes first.
    pub maintenance: Vec<PlannedMaintenance>,
}

/// A group of components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its number.
    pub id: GroupId,
    /// Its name, as the configuration has it.
    pub name: String,
    /// What readers see in place of the name, if an operator gave it one.
    pub title: Option<String>,
    /// Its place on the page, smallest first; of two with the same place, the smaller number comes first.
    pub position: u32,
    /// Whether readers see it, and with it its components.
    pub visible: bool,
    /// Whether it is folded while all its components are Operational.
    pub folded: bool,
    /// Whether this program made it.
    pub managed: bool,
}

/// A component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Its number.
    pub id: ComponentId,
    /// Its name, as labels and the configuration have it.
    pub name: String,
    /// What readers see in place of the name, if an operator gave it one.
    pub title: Option<String>,
    /// What it says of itself: of a target's own, whether it is critical and which alerts fire.
    pub description: Option<String>,
    /// Its own status, without incidents and maintenance.
    pub status: ComponentStatus,
    /// Its place within its group, as that of a group.
    pub position: u32,
    /// Whether readers see it; a target's own component they never do.
    pub visible: bool,
    /// The group that it is in.
    pub group: Option<GroupId>,
    /// Whether this program made it.
    pub managed: bool,
}

/// A component that an incident or a maintenance is about, and the status that it gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AffectedStatus {
    /// The component.
    pub component: ComponentId,
    /// What readers see of it meanwhile, unless it is worse by itself.
    pub status: ComponentStatus,
}

/// An incident with everything that was said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Its number.
    pub id: IncidentId,
    /// Its title.
    pub title: String,
    /// Its first message.
    pub message: String,
    /// How far the work on it is.
    pub status: IncidentStatus,
    /// Whether readers see it.
    pub visible: bool,
    /// The key of the outage that it was opened for; `None` if a person wrote it.
    pub key: Option<String>,
    /// The component that it was opened for, by name; as `key`.
    pub opened_for: Option<String>,
    /// When what it tells of began.
    pub began_at: Timestamp,
    /// When it was written.
    pub created_at: Timestamp,
    /// From when on readers see it.
    pub published_at: Timestamp,
    /// When it was fixed, if it is.
    pub fixed_at: Option<Timestamp>,
    /// The components that it is about.
    pub affected: Vec<AffectedStatus>,
    /// What was said since, the oldest first.
    pub updates: Vec<Update>,
}

/// One thing that was said about an incident or a maintenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The status that it gave the incident; `None` for a maintenance.
    pub status: Option<IncidentStatus>,
    /// The text.
    pub message: String,
    /// When it was said.
    pub at: Timestamp,
}

/// A maintenance that was announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedMaintenance {
    /// Its number.
    pub id: MaintenanceId,
    /// Its title.
    pub title: String,
    /// The announcement.
    pub message: String,
    /// When it begins.
    pub begins_at: Timestamp,
    /// When it ends; `None`: when somebody ends it.
    pub ends_at: Option<Timestamp>,
    /// When it was announced.
    pub created_at: Timestamp,
    /// From when on readers see it.
    pub published_at: Timestamp,
    /// The components that are worked on.
    pub affected: Vec<AffectedStatus>,
    /// What was said since, the oldest first.
    pub updates: Vec<Update>,
}

impl Group {
    /// What readers call it.
    pub fn shown_name(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }
}

impl Component {
    /// What readers call it.
    pub fn shown_name(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }
}

impl PlannedMaintenance {
    /// How far it is at `now`; its first and last moments belong to what is before them.
    pub fn phase(&self, now: Timestamp) -> ScheduleStatus {
        match self.ends_at {
            _ if self.begins_at >= now => ScheduleStatus::Upcoming,
            Some(ends_at) if ends_at < now => ScheduleStatus::Complete,
            _ => ScheduleStatus::InProgress,
        }
    }

    /// Whether readers see it at `now`.
    pub fn is_published(&self, now: Timestamp) -> bool {
        is_published(self.published_at, self.created_at, now)
    }

    fn is_in_progress(&self, now: Timestamp) -> bool {
        self.is_published(now) && self.phase(now) == ScheduleStatus::InProgress
    }
}

/// Whether what is to be published at `published_at` is, by `now`. What was published as it was written stays so when the
/// clock is set back.
fn is_published(published_at: Timestamp, created_at: Timestamp, now: Timestamp) -> bool {
    published_at <= now.max(created_at)
}

impl Incident {
    /// Whether the work on it goes on.
    pub fn is_open(&self) -> bool {
        self.status != IncidentStatus::Fixed
    }

    /// Whether readers see it at `now`.
    pub fn is_shown(&self, now: Timestamp) -> bool {
        self.visible && is_published(self.published_at, self.created_at, now)
    }

    /// As the engine sees it.
    pub fn observed(&self) -> ObservedIncident {
        ObservedIncident {
            id: self.id,
            name: self.title.clone(),
            status: Some(self.status),
            outage: self.key.clone(),
            component: self.opened_for.clone(),
            component_id: None,
            is_anonymous: false,
            is_hidden: !self.visible,
        }
    }
}

impl Content {
    /// Whether readers see a component: it is visible, and so is its group.
    pub fn shows(&self, component: &Component) -> bool {
        let group_is_visible = |id| self.groups.iter().any(|group| group.id == id && group.visible);
        component.visible && component.group.is_none_or(group_is_visible)
    }

    /// The status that readers see of each component: maintenance in progress takes the place of its own, and an open
    /// incident makes it worse.
    pub fn shown_statuses(&self, now: Timestamp) -> HashMap<ComponentId, ComponentStatus> {
        let mut shown: HashMap<_, _> =
            self.components.iter().map(|component| (component.id, component.status)).collect();
        let in_progress = self.maintenance.iter().filter(|maintenance| maintenance.is_in_progress(now));
        let during = worst(in_progress.flat_map(|maintenance| &maintenance.affected));
        shown.extend(during);
        let open = self.incidents.iter().filter(|incident| incident.is_open() && incident.is_shown(now));
        for (component, status) in worst(open.flat_map(|incident| &incident.affected)) {
            let own = shown.entry(component).or_insert(status);
            if status.severity() > own.severity() {
                *own = status;
            }
        }
        shown
    }

    /// The next moment after `now` at which time alone changes what readers see: the day ends, something is published, or a
    /// maintenance begins or ends.
    pub fn changes_at(&self, now: Timestamp) -> Timestamp {
        let day_ends_at = first_day(now).after(Duration::from_secs(u64::from(DAYS.unsigned_abs()) * 24 * 3600));
        let incidents = self.incidents.iter().map(|incident| incident.published_at);
        let maintenance = self.maintenance.iter().flat_map(|maintenance| {
            // See `phase`.
            let phases = [Some(maintenance.begins_at), maintenance.ends_at].into_iter().flatten();
            phases.map(|at| at.after(Duration::from_millis(1))).chain([maintenance.published_at])
        });
        incidents.chain(maintenance).filter(|at| *at > now).fold(day_ends_at, Timestamp::min)
    }

    /// What the engine keeps the page by: components, groups, and the incidents that are open. Maintenance is read apart
    /// ([`Content::maintenance_in_progress`]).
    pub fn observed(&self) -> Observed {
        let groups = self.groups.iter().map(|group| ObservedGroup {
            id: group.id,
            name: group.name.clone(),
            visible: group.visible,
            managed: group.managed,
        });
        let components = self.components.iter().map(|component| ObservedComponent {
            id: component.id,
            name: component.name.clone(),
            status: Some(component.status),
            enabled: component.visible,
            description: component.description.clone(),
            group: component.group,
            managed: component.managed,
        });
        let open = self.incidents.iter().filter(|incident| incident.is_open());
        let mut observed = Observed {
            groups: groups.collect(),
            components: components.collect(),
            open_incidents: open.map(Incident::observed).collect(),
            maintenance: Vec::new(),
        };
        observed.groups.sort_by_key(|group| group.id);
        observed.components.sort_by_key(|component| component.id);
        observed.open_incidents.sort_by_key(|incident| incident.id);
        observed
    }

    /// The maintenance that is in progress at `now`.
    pub fn maintenance_in_progress(&self, now: Timestamp) -> Vec<Maintenance> {
        let in_progress = self.maintenance.iter().filter(|maintenance| maintenance.is_in_progress(now));
        in_progress
            .map(|maintenance| Maintenance {
                name: maintenance.title.clone(),
                components: maintenance.affected.iter().map(|affected| affected.component).collect(),
                ends_if_utc_ms: maintenance.ends_at.map(Timestamp::as_millis),
            })
            .collect()
    }
}

/// The worst status that each component is given.
fn worst<'a>(affected: impl Iterator<Item = &'a AffectedStatus>) -> HashMap<ComponentId, ComponentStatus> {
    let mut worst = HashMap::new();
    for one in affected {
        let known = worst.entry(one.component).or_insert(one.status);
        if one.status.severity() > known.severity() {
            *known = one.status;
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_000);

    fn component(id: i64, status: ComponentStatus, group: Option<i64>) -> Component {
        Component {
            id: ComponentId(id),
            name: format!("component {id}"),
            title: None,
            description: None,
            status,
            position: 0,
            visible: true,
            group: group.map(GroupId),
            managed: true,
        }
    }

    fn incident(status: IncidentStatus, affected: AffectedStatus) -> Incident {
        Incident {
            id: IncidentId(1),
            title: "Down".to_owned(),
            message: String::new(),
            status,
            visible: true,
            key: None,
            opened_for: None,
            began_at: NOW,
            created_at: NOW,
            published_at: NOW,
            fixed_at: None,
            affected: vec![affected],
            updates: Vec::new(),
        }
    }

    fn maintenance(begins_ms: i64, ends_ms: Option<i64>, affected: AffectedStatus) -> PlannedMaintenance {
        let at = |ms| Timestamp::from_millis(NOW.as_millis() + ms);
        PlannedMaintenance {
            id: MaintenanceId(1),
            title: "Switch".to_owned(),
            message: String::new(),
            begins_at: at(begins_ms),
            ends_at: ends_ms.map(at),
            created_at: at(-10),
            published_at: at(-10),
            affected: vec![affected],
            updates: Vec::new(),
        }
    }

    #[test]
    fn a_component_shows_the_worse_of_its_own_status_and_an_open_incident() {
        let affected = |status| AffectedStatus { component: ComponentId(1), status };
        let shown = |own, incident: Incident| {
            let content =
                Content { components: vec![component(1, own, None)], incidents: vec![incident], ..Content::default() };
            content.shown_statuses(NOW)[&ComponentId(1)]
        };
        use ComponentStatus::{MajorOutage, Operational, PartialOutage, PerformanceIssues};
        let open = |status| incident(IncidentStatus::Investigating, affected(status));
        assert_eq!(shown(Operational, open(PartialOutage)), PartialOutage);
        assert_eq!(shown(MajorOutage, open(PerformanceIssues)), MajorOutage);
        assert_eq!(shown(Operational, incident(IncidentStatus::Fixed, affected(MajorOutage))), Operational);
        assert_eq!(shown(Operational, Incident { visible: false, ..open(MajorOutage) }), Operational, "hidden");
        let later = Timestamp::from_millis(NOW.as_millis() + 1);
        assert_eq!(shown(Operational, Incident { published_at: later, ..open(MajorOutage) }), Operational, "not yet");
    }

    #[test]
    fn maintenance_in_progress_takes_the_place_of_the_components_own_status() {
        let affected = AffectedStatus { component: ComponentId(1), status: ComponentStatus::UnderMaintenance };
        let shown = |maintenance| {
            let components = vec![component(1, ComponentStatus::MajorOutage, None)];
            let content = Content { components, maintenance: vec![maintenance], ..Content::default() };
            (content.shown_statuses(NOW)[&ComponentId(1)], content.maintenance_in_progress(NOW).len())
        };
        let (during, not) = ((ComponentStatus::UnderMaintenance, 1), (ComponentStatus::MajorOutage, 0));
        assert_eq!(shown(maintenance(-1, Some(1), affected)), during);
        assert_eq!(shown(maintenance(-1, None, affected)), during);
        assert_eq!(shown(maintenance(-1, Some(0), affected)), during, "its last moment");
        assert_eq!(shown(maintenance(-2, Some(-1), affected)), not);
        assert_eq!(shown(maintenance(0, None, affected)), not, "its first moment");
        let mut unpublished = maintenance(-1, None, affected);
        unpublished.published_at = Timestamp::from_millis(NOW.as_millis() + 1);
        assert_eq!(shown(unpublished), not);
    }

    #[test]
    fn what_was_published_at_once_is_shown_though_the_clock_is_set_back() {
        let affected = AffectedStatus { component: ComponentId(1), status: ComponentStatus::MajorOutage };
        let earlier = Timestamp::from_millis(NOW.as_millis() - 3_600_000);
        let open = incident(IncidentStatus::Investigating, affected);
        assert!(open.is_shown(earlier) && !Incident { visible: false, ..open }.is_shown(earlier));
        let mut in_progress = maintenance(-7_200_000, None, affected);
        (in_progress.created_at, in_progress.published_at) = (NOW, NOW);
        let mut content = Content { maintenance: vec![in_progress], ..Content::default() };
        assert_eq!(content.maintenance_in_progress(earlier).len(), 1);
        content.maintenance[0].published_at = Timestamp::from_millis(NOW.as_millis() + 1);
        assert_eq!(content.maintenance_in_progress(earlier), [], "to be published later");
    }

    #[test]
    fn a_hidden_group_hides_its_components() {
        let group = |id, visible| Group {
            id: GroupId(id),
            name: String::new(),
            title: None,
            position: 0,
            visible,
            folded: false,
            managed: true,
        };
        let content = Content { groups: vec![group(1, true), group(2, false)], ..Content::default() };
        let shows = |group| content.shows(&component(1, ComponentStatus::Operational, group));
        assert!(shows(None) && shows(Some(1)) && !shows(Some(2)));
        assert!(!content.shows(&Component { visible: false, ..component(1, ComponentStatus::Operational, None) }));
    }

    #[test]
    fn the_next_change_is_the_first_moment_at_which_readers_see_something_else() {
        let affected = AffectedStatus { component: ComponentId(1), status: ComponentStatus::UnderMaintenance };
        let incident = incident(IncidentStatus::Fixed, affected);
        let at = |ms| Timestamp::from_millis(NOW.as_millis() + ms);
        let day_ends = 86_400_000 - NOW.as_millis().rem_euclid(86_400_000);
        let after_ms = |incidents, maintenance| {
            let content = Content { incidents, maintenance, ..Content::default() };
            content.changes_at(NOW).as_millis() - NOW.as_millis()
        };
        assert_eq!(after_ms(vec![incident.clone()], vec![]), day_ends);
        let published_later = |incident: Incident| Incident { published_at: at(3), ..incident };
        assert_eq!(after_ms(vec![published_later(incident)], vec![maintenance(-9, None, affected)]), 3);
        for (begins, ends, changes) in [(4, Some(8), 5), (0, Some(8), 1), (-1, Some(8), 9), (-1, Some(0), 1)] {
            let content = Content { maintenance: vec![maintenance(begins, ends, affected)], ..Content::default() };
            let phase = |ms| content.maintenance[0].phase(at(ms));
            assert_eq!(content.changes_at(NOW), at(changes), "{begins} {ends:?}");
            assert_eq!(phase(0), phase(changes - 1), "{begins} {ends:?}");
            assert_ne!(phase(0), phase(changes), "{begins} {ends:?}");
        }
    }
}
