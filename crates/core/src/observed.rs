//! What Cachet shows: groups, components, open incidents and maintenance in progress, as they were read.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::names::Group;
use super::status::{ComponentStatus, IncidentStatus};
use super::target::key_of_name;
use super::time::Timestamp;

/// The value of `meta.managed_by` on everything that this program made in Cachet.
pub const MANAGED_BY: &str = "alertmanager-cachet";

/// Cachet's number of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ComponentId(pub i64);

impl ComponentId {
    /// That of a component which is being made: no component has it, for Cachet counts from 1.
    pub const UNKNOWN: Self = Self(0);
}

/// Cachet's number of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupId(pub i64);

/// Cachet's number of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(pub i64);

/// A group of components.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedGroup {
    /// Its number.
    pub id: GroupId,
    /// Its name; Cachet accepts the same name twice.
    pub name: String,
    /// Whether guests see it; a group that is not visible hides its components with it.
    pub visible: bool,
    /// Whether its meta says that we made it; always false where Cachet has no meta.
    pub managed: bool,
}

/// A component, visible or disabled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedComponent {
    /// Its number.
    pub id: ComponentId,
    /// Its name; Cachet accepts the same name twice.
    pub name: String,
    /// Its own status, without what incidents and maintenance make of it; `None` for a number that we do not know.
    pub status: Option<ComponentStatus>,
    /// Whether it is shown on the page.
    pub enabled: bool,
    /// Its description.
    pub description: Option<String>,
    /// The group that it is in.
    pub group: Option<GroupId>,
    /// Whether its meta says that we made it; always false where Cachet has no meta.
    pub managed: bool,
}

/// An incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedIncident {
    /// Its number.
    pub id: IncidentId,
    /// Its title.
    pub name: String,
    /// How far the work on it is, as Cachet shows it; `None` for a number that we do not know.
    pub status: Option<IncidentStatus>,
    /// The key of our outage that it was opened for; `None` if it is not ours, or `is_anonymous`.
    #[serde(alias = "episode")]
    pub outage: Option<String>,
    /// The component that it was opened for, as `outage`.
    #[serde(default)]
    pub component: Option<String>,
    /// The component that it was posted with; only pages whose incidents are anonymous show it.
    #[serde(default)]
    pub component_id: Option<ComponentId>,
    /// Whether the page cannot say who opened it.
    #[serde(default)]
    pub is_anonymous: bool,
    /// Whether it is hidden from readers.
    #[serde(default)]
    pub is_hidden: bool,
}

/// A maintenance that is in progress: a schedule of Cachet's that has begun and is not over.
///
/// Whether it is in progress is for Cachet to say, by its own clock, at the moment when it is asked. The times that it tells
/// come without a zone (that of the installation, which nothing tells), so they are not compared with ours. But every zone is
/// a whole number of quarters of an hour away from UTC: a maintenance that ends at 02:10 somewhere ends ten minutes past a
/// quarter everywhere. Those are the moments at which it is worth asking again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// Its title.
    pub name: String,
    /// The components that are being worked on.
    pub components: Vec<ComponentId>,
    /// When it is to end, in milliseconds since the Unix epoch if the clock that it is told by were in UTC; `None` if it
    /// lasts until somebody ends it.
    pub ends_if_utc_ms: Option<i64>,
}

/// All offsets of time zones from UTC are multiples of it, in milliseconds.
const ZONE_STEP_MS: i64 = 15 * 60 * 1000;

/// How long after its end a maintenance is asked about, in milliseconds: Cachet tells ends to the second and counts the
/// last one in, and its clock may be a little behind ours.
const MARGIN_MS: i64 = 1000;

impl Maintenance {
    /// The next moment after `asked_at` at which it may be over by the clock, at most a quarter of an hour later; `None` if it
    /// lasts until somebody ends it.
    pub fn may_end_at(&self, asked_at: Timestamp) -> Option<Timestamp> {
        let end_ms = self.ends_if_utc_ms?.saturating_add(MARGIN_MS);
        let past_ms = asked_at.as_millis().saturating_sub(end_ms).rem_euclid(ZONE_STEP_MS);
        Some(Timestamp::from_millis(asked_at.as_millis().saturating_add(ZONE_STEP_MS - past_ms)))
    }
}

/// One reading of Cachet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// Every group, by number.
    pub groups: Vec<ObservedGroup>,
    /// Every component, visible or disabled, by number.
    pub components: Vec<ObservedComponent>,
    /// Every incident that is not fixed, by number.
    pub open_incidents: Vec<ObservedIncident>,
    /// Every maintenance that is in progress, by number.
    #[serde(default)]
    pub maintenance: Vec<Maintenance>,
}

/// Finds the components of one reading by name and by number. It is kept beside the reading, which may only grow meanwhile.
#[derive(Debug, Clone, Default)]
pub struct ComponentIndex {
    /// The places of the components in the reading, ordered by their keys ([`key_of_name`]).
    by_key: Vec<usize>,
    /// The same places, ordered by number.
    by_id: Vec<usize>,
    /// The key of each component whose key is not its name, by place.
    other_keys: HashMap<usize, Box<str>>,
    /// The group in which each component of the configuration belongs.
    groups: HashMap<String, GroupId>,
    /// How many components the public sees.
    pub enabled: usize,
}

impl ComponentIndex {
    /// The index of a reading. Of several components with one name, that in the group of `configured` counts.
    pub fn of(observed: &Observed, configured: &[Group]) -> Self {
        let mut index = Self::default();
        let components = &observed.components;
        let mut by_key: Vec<(Cow<'_, str>, usize)> =
            components.iter().map(|it| key_of_name(&it.name)).zip(0..).collect();
        let mut by_id: Vec<(ComponentId, usize)> = components.iter().map(|it| it.id).zip(0..).collect();
        by_key.sort_unstable();
        by_id.sort_unstable();
        for (key, place) in by_key {
            index.by_key.push(place);
            if let Cow::Owned(key) = key {
                index.other_keys.insert(place, key.into());
            }
        }
        index.by_id = by_id.into_iter().map(|(_, place)| place).collect();
        for group in configured {
            // Of several groups with one name, the first one is used.
            let Some(id) = observed.groups.iter().find(|it| it.name == group.name.as_str()).map(|it| it.id) else {
                continue;
            };
            index.groups.extend(group.components.iter().map(|component| (component.to_string(), id)));
        }
        index.enabled = components.iter().filter(|component| component.enabled).count();
        index
    }

    /// Adds the last component of the reading.
    pub fn add_last(&mut self, observed: &Observed) {
        let Some(added) = observed.components.last() else { return };
        let (place, key) = (observed.components.len() - 1, key_of_name(&added.name));
        let at = self.by_key.partition_point(|place| self.key_at(observed, *place) <= &*key);
        self.by_key.insert(at, place);
        if let Cow::Owned(key) = key {
            self.other_keys.insert(place, key.into());
        }
        let at = self.by_id.partition_point(|place| id_at(observed, *place) <= added.id);
        self.by_id.insert(at, place);
        self.enabled += usize::from(added.enabled);
    }

    /// All components with this key.
    pub fn with_key<'a>(
        &self,
        observed: &'a Observed,
        key: &str,
    ) -> impl Iterator<Item = &'a ObservedComponent> + Clone + use<'_, 'a> {
        let first = self.by_key.partition_point(|place| self.key_at(observed, *place) < key);
        let places = self.by_key.get(first..).unwrap_or_default();
        let count = places.iter().take_while(|place| self.key_at(observed, **place) == key).count();
        places.iter().take(count).filter_map(|place| observed.components.get(*place))
    }

    /// The component with this key. Of several, that in the configured group counts, then one that is in no group, then that
    /// with the lowest number.
    pub fn find<'a>(&self, observed: &'a Observed, key: &str) -> Option<&'a ObservedComponent> {
        let configured = self.groups.get(key).copied();
        let is_configured = |it: &ObservedComponent| it.group.is_some() && it.group == configured;
        self.with_key(observed, key).min_by_key(|it| (!is_configured(it), it.group.is_some(), it.id))
    }

    /// The component with this number.
    pub fn get<'a>(&self, observed: &'a Observed, id: ComponentId) -> Option<&'a ObservedComponent> {
        observed.components.get(self.place_of(observed, id)?)
    }

    /// The component with this number, to change what it shows. Its name and whether the public sees it stay.
    pub fn get_mut<'a>(&self, observed: &'a mut Observed, id: ComponentId) -> Option<&'a mut ObservedComponent> {
        let place = self.place_of(observed, id)?;
        observed.components.get_mut(place)
    }

    fn place_of(&self, observed: &Observed, id: ComponentId) -> Option<usize> {
        let found = self.by_id.binary_search_by_key(&id, |place| id_at(observed, *place)).ok()?;
        self.by_id.get(found).copied()
    }

    fn key_at<'a>(&'a self, observed: &'a Observed, place: usize) -> &'a str {
        let name = || observed.components.get(place).map(|component| component.name.as_str()).unwrap_or_default();
        self.other_keys.get(&place).map(AsRef::as_ref).unwrap_or_else(name)
    }
}

fn id_at(observed: &Observed, place: usize) -> ComponentId {
    observed.components.get(place).map_or(ComponentId::UNKNOWN, |component| component.id)
}

/// A component to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewComponent {
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: ComponentStatus,
    /// Whether it is shown on the page.
    pub enabled: bool,
    /// Its description, if it has one (Cachet refuses an empty one).
    pub description: Option<String>,
    /// The group that it goes into.
    pub group: Option<GroupId>,
    /// Its place within the group, smallest first.
    pub order: Option<u32>,
}

/// A component's new state. `enabled` is always sent: releases of 2025 enable a disabled component on an update that
/// does not name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentUpdate {
    /// Its status, if it changes. What `setup` has read may be old by the time that it writes, so it sends none.
    pub status: Option<ComponentStatus>,
    /// Whether it is shown on the page.
    pub enabled: bool,
    /// Its description, if it changes.
    pub description: Option<String>,
    /// The group that it moves to, if it moves.
    pub group: Option<GroupId>,
}

/// A group to make; always visible, for a group that is not hides its components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGroup {
    /// Its name.
    pub name: String,
    /// Its place on the page, smallest first.
    pub order: u32,
}

/// The component that an incident is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AffectedComponent {
    /// Its number.
    pub id: ComponentId,
    /// Its name, for the incident's meta.
    pub name: String,
}

/// An incident to open: visible, Investigating, and attached to its component, if it has one, with Major Outage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIncident {
    /// Its title.
    pub name: String,
    /// Its first message.
    pub message: String,
    /// The component that it is attached to; `None`: it is about no single one.
    pub component: Option<AffectedComponent>,
    /// The key of the outage, with which the page marks the incident.
    pub outage: String,
    /// When it began.
    pub occurred_at: Timestamp,
    /// Whether Cachet writes to its subscribers.
    pub notify_subscribers: bool,
}

#[cfg(test)]
mod tests;
