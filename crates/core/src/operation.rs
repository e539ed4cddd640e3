//! One write to the page as data: what it is about, its rank, how it is printed, and what the ledger records of it
//! before it is sent and after it was answered.

use std::fmt;

use super::history::{About, EventKind};
use super::ledger::{
    ComponentValue, Delivery, Ended, EndedBy, IncidentValue, Ledger, Outage, OutageSubject, Recorded, ResourceKey,
    Unanswered, Update,
};
use super::names::GroupName;
use super::observed::{ComponentId, GroupId, IncidentId, NewComponent, NewGroup};
use super::status::ComponentStatus;
use super::status_page::{Failure, PageWrite};
use super::time::Timestamp;

/// One write to the page. Each carries the outage as it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Give a component its value, or create the component of a target.
    Write {
        /// Which one.
        key: ResourceKey,
        /// Its number; `None` if it is created.
        page_id: Option<ComponentId>,
        /// What the page shows.
        from: Option<ComponentStatus>,
        /// What it must show.
        value: ComponentValue,
        /// Whether readers see it. Of a visible component this stays as it is: somebody may have hidden it.
        enabled: bool,
        /// The earlier write that was carried out after a newer one, if that is why.
        late: Option<Unanswered<ComponentValue>>,
    },
    /// Open the incident of an outage. If an earlier create may have done that, the incident is looked up first.
    OpenIncident {
        /// The component that it is attached to; `None` for that of the monitoring.
        component: Option<ComponentId>,
        /// The outage.
        outage: Outage,
    },
    /// Find out whether the incident of an outage that is over was ever opened.
    FindIncident {
        /// The outage.
        outage: Outage,
    },
    /// Close an incident: its component has recovered (the outage ends with the answer), or a late write opened the incident
    /// after the outage had ended.
    CloseIncident {
        /// The incident.
        incident: IncidentId,
        /// The outage.
        outage: Outage,
        /// The component's current status: the closing message depends on it.
        now: ComponentStatus,
        /// The late write that explains why the page shows the incident open, or closed already; `None` if none does.
        late: Option<Unanswered<IncidentValue>>,
    },
    /// Reopen an incident: its component has relapsed, or an earlier close was carried out late.
    ReopenIncident {
        /// The incident.
        incident: IncidentId,
        /// The outage.
        outage: Outage,
        /// The earlier closing that was carried out late, if that is why.
        late: Option<Unanswered<IncidentValue>>,
    },
    /// Close and hide an incident that a late or repeated create opened: its outage already has another one, or has ended.
    HideDuplicate {
        /// The incident.
        incident: IncidentId,
        /// The outage.
        outage: Outage,
    },
    /// Create a group. `setup` alone plans this operation and those below, and the ledger records none of them.
    CreateGroup(NewGroup),
    /// Create a visible component in a group, or the component of a target.
    CreateComponent {
        /// What is created. Its group is missing while the group itself is yet to be created.
        new: NewComponent,
        /// The group that it goes into; `None` for the component of a target.
        group: Option<GroupName>,
    },
    /// Show or remove a group; or move, correct or remove a component, whose status stays.
    Rearrange {
        /// The write. As that of [`Self::CreateComponent`], the group that a component moves to may be missing.
        write: PageWrite,
        /// The name of the group or component.
        name: String,
        /// The group that the component moves to.
        group: Option<GroupName>,
    },
}

/// What came of a write that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The component with this number has this value.
    Written(ComponentId, ComponentValue),
    /// The incident was created.
    Opened(IncidentId),
    /// The incident is there already, and nothing was written.
    Found {
        /// The incident.
        incident: IncidentId,
        /// Whether it is open.
        is_open: bool,
    },
    /// The incident was never created.
    NotFound,
    /// The incident is open again.
    Reopened,
    /// The incident is closed, or removed.
    Closed(EndedBy),
    /// This duplicate is hidden.
    Hidden(IncidentId),
    /// The group was created.
    CreatedGroup(GroupId),
    /// The page is rearranged.
    Rearranged,
}

/// The order of operations: what matters most to the public comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A component gets worse.
    Worse,
    /// An incident opens.
    Open,
    /// A component gets better.
    Better,
    /// An incident closes.
    Close,
    /// The targets' own components, which only operators see. What `setup` does has no other rank.
    Bookkeeping,
}

impl Operation {
    /// What it is about.
    pub fn key(&self) -> ResourceKey {
        match self {
            Self::Write { key, .. } => key.clone(),
            Self::OpenIncident { outage, .. }
            | Self::FindIncident { outage }
            | Self::CloseIncident { outage, .. }
            | Self::ReopenIncident { outage, .. }
            | Self::HideDuplicate { outage, .. } => ResourceKey::Incident(outage.subject.clone()),
            Self::CreateGroup(_) | Self::CreateComponent { .. } | Self::Rearrange { .. } => ResourceKey::Structure,
        }
    }

    /// The outage whose incident it is about, if it is about one.
    pub fn outage(&self) -> Option<&Outage> {
        match self {
            Self::OpenIncident { outage, .. }
            | Self::FindIncident { outage }
            | Self::CloseIncident { outage, .. }
            | Self::ReopenIncident { outage, .. }
            | Self::HideDuplicate { outage, .. } => Some(outage),
            _ => None,
        }
    }

    /// Whether it creates a component or a group.
    pub fn creates(&self) -> bool {
        matches!(self, Self::Write { page_id: None, .. } | Self::CreateComponent { .. } | Self::CreateGroup(_))
    }

    /// Whether it removes a component or a group.
    pub fn removes(&self) -> bool {
        let Self::Rearrange { write, .. } = self else { return false };
        matches!(write, PageWrite::RemoveComponent(_) | PageWrite::RemoveGroup(_))
    }

    /// Its place in the order of operations.
    pub fn rank(&self) -> Rank {
        match self {
            Self::Write { key: ResourceKey::Target(_), .. } => Rank::Bookkeeping,
            Self::Write { from, value, .. } if from.is_none_or(|from| value.status.severity() > from.severity()) => {
                Rank::Worse
            }
            Self::Write { .. } => Rank::Better,
            Self::OpenIncident { .. } | Self::ReopenIncident { .. } => Rank::Open,
            Self::CloseIncident { .. } | Self::FindIncident { .. } | Self::HideDuplicate { .. } => Rank::Close,
            Self::CreateGroup(_) | Self::CreateComponent { .. } | Self::Rearrange { .. } => Rank::Bookkeeping,
        }
    }

    /// Within a rank, the worse first.
    pub(super) fn severity(&self) -> u8 {
        match self {
            Self::Write { value, .. } => value.status.severity(),
            _ => 0,
        }
    }

    /// What is recorded before it is sent at `now`, so that a crash or a lost answer leads to a look and not to a guess.
    /// `None` if it only looks, or if to carry it out late would undo nothing newer. `title` gives the title of a new
    /// incident.
    pub fn sent(
        &self,
        ledger: &Ledger,
        title: impl FnOnce(&OutageSubject) -> String,
        now: Timestamp,
    ) -> Option<Update> {
        match self {
            Self::Write { key, late: Some(_), .. } => {
                let row = ledger.rows.get(key)?.clone().resent(now);
                Some(Update::Component(key.clone(), Some(row)))
            }
            Self::Write { key, page_id, value, .. } => {
                // A component that was created anew has no unanswered values of the old one.
                let before = ledger.rows.get(key).filter(|row| row.page_id == *page_id);
                let row = Recorded::sent(before, *page_id, value.clone(), now);
                Some(Update::Component(key.clone(), Some(row)))
            }
            Self::OpenIncident { component, outage } => {
                let created = IncidentValue::Created { title: title(&outage.subject) };
                // The component may have been created anew. A lost create is looked up where the last one was sent.
                let outage = Outage { component_id: component.or(outage.component_id), ..outage.clone() };
                Some(incident_sent(&outage, None, created, now))
            }
            Self::CloseIncident { incident, outage, .. } if outage.is_active() => {
                Some(incident_sent(outage, Some(*incident), IncidentValue::Fixed, now))
            }
            Self::ReopenIncident { incident, outage, .. } => {
                Some(incident_sent(outage, Some(*incident), IncidentValue::Reopened, now))
            }
            _ => None,
        }
    }

    /// What is recorded once the page has answered the write that was sent at `sent_at`.
    pub fn answered(&self, ledger: &Ledger, outcome: &Outcome, sent_at: Timestamp, now: Timestamp) -> Option<Update> {
        if let (Self::Write { key, value, late, .. }, Outcome::Written(id, written)) = (self, outcome) {
            // Creates still in doubt would make other components, so their row does not count.
            let row = ledger.rows.get(key).cloned().filter(|row| row.page_id == Some(*id));
            let row = row.unwrap_or_else(|| Recorded::confirmed(*id, written.clone()));
            let settled = late.as_ref().map(|late| (&late.value, late.sent_at));
            let row = row.settled(*id, written.clone(), settled.into_iter().chain([(value, sent_at)]));
            return Some(Update::Component(key.clone(), Some(row)));
        }
        let before = self.outage()?;
        let mut outage = ledger.outages.get(&before.key)?.clone();
        let row = outage.incident.as_mut()?;
        row.forget(&row.value.clone(), sent_at);
        let over = match (self, outcome) {
            (Self::CloseIncident { late, .. } | Self::ReopenIncident { late, .. }, _) => late.as_ref(),
            // A create without an answer has created what was found.
            (_, Outcome::Found { .. } | Outcome::Hidden(_)) => before.lost_create(),
            _ => None,
        };
        if let Some(over) = over {
            row.forget(&over.value, over.sent_at);
        }
        match outcome {
            Outcome::Opened(id) | Outcome::Found { incident: id, .. } => {
                (row.page_id, row.delivery) = (Some(*id), Delivery::Confirmed);
            }
            Outcome::Reopened => {
                row.delivery = Delivery::Confirmed;
                outage.calm_since = None;
            }
            Outcome::Closed(by) => {
                (row.value, row.delivery) = (IncidentValue::Fixed, Delivery::Confirmed);
                outage.calm_since = None;
                // One that was removed cannot be continued.
                let ended = before.ended.filter(|_| *by != EndedBy::Removal);
                outage.ended = ended.or(Some(Ended { at: now, by: *by }));
            }
            Outcome::NotFound => outage.ended = Some(Ended { at: now, by: EndedBy::Unopened }),
            Outcome::Hidden(_) | Outcome::Written(..) | Outcome::CreatedGroup(_) | Outcome::Rearranged => {}
        }
        Some(outage.into())
    }

    /// The event of this outcome, if it has one. `title` gives the title of a new incident.
    pub fn event(&self, outcome: &Outcome, title: impl FnOnce(&OutageSubject) -> String) -> Option<(About, EventKind)> {
        let kind = match (self, outcome) {
            // What the page refuses is left as it is, and a new description alone is no change of status.
            (Self::Write { from, value, .. }, Outcome::Written(_, written))
                if written != value || *from == Some(value.status) =>
            {
                return None;
            }
            (Self::Write { from, value, late, .. }, _) => {
                EventKind::Written { from: *from, to: value.status, late: late.is_some() }
            }
            (
                Self::OpenIncident { outage, .. },
                Outcome::Opened(incident) | Outcome::Found { incident, is_open: true },
            ) => {
                let occurred_at_ms = outage.occurred_at.as_millis();
                EventKind::IncidentOpened { incident: *incident, title: title(&outage.subject), occurred_at_ms }
            }
            (Self::ReopenIncident { incident, late, .. }, Outcome::Reopened) => {
                let reason = late.as_ref().map(|_| "closed late".to_owned());
                EventKind::IncidentReopened { incident: *incident, reason }
            }
            (
                Self::CloseIncident { incident, outage, .. } | Self::ReopenIncident { incident, outage, .. },
                Outcome::Closed(by),
            ) => {
                let reason = match (by, &outage.subject) {
                    (EndedBy::Recovery, _) if !outage.is_active() => "opened late",
                    (EndedBy::Recovery | EndedBy::Unopened, OutageSubject::Component(_)) => "recovered",
                    (EndedBy::Recovery | EndedBy::Unopened, OutageSubject::Monitoring) => {
                        "monitoring data comes in again"
                    }
                    (EndedBy::Person, _) => "closed by a person",
                    (EndedBy::Removal, _) => "removed by a person",
                };
                EventKind::IncidentClosed { incident: *incident, reason: reason.to_owned() }
            }
            (Self::HideDuplicate { incident, .. }, Outcome::Hidden(_)) => {
                EventKind::IncidentClosed { incident: *incident, reason: "opened late".to_owned() }
            }
            _ => return None,
        };
        Some((About::from(&self.key()), kind))
    }

    /// What is recorded once the write that was sent at `sent_at` has failed as `failure` says, or was not sent at all
    /// (`None`).
    pub fn failed(
        &self,
        ledger: &Ledger,
        failure: Option<Failure>,
        sent_at: Timestamp,
        now: Timestamp,
    ) -> Option<Update> {
        match self {
            Self::Write { key, value, .. } => {
                let row = ledger.rows.get(key)?.clone().failed(value, sent_at, failure, now);
                Some(Update::Component(key.clone(), row))
            }
            Self::OpenIncident { outage: before, .. }
            | Self::CloseIncident { outage: before, .. }
            | Self::ReopenIncident { outage: before, .. } => {
                if !failure.is_some_and(Failure::may_have_been_applied) {
                    return Some(before.clone().into());
                }
                let mut outage = ledger.outages.get(&before.key)?.clone();
                let row = outage.incident.take()?;
                let value = row.value.clone();
                outage.incident = row.failed(&value, sent_at, failure, now);
                Some(outage.into())
            }
            _ => None,
        }
    }
}

/// The event of a ledger update without an operation: the page shows the incident of a lost create.
pub fn event_of(ledger: &Ledger, update: &Update) -> Option<(About, EventKind)> {
    let Update::Outage(key, Some(outage)) = update else { return None };
    let IncidentValue::Created { title } = &outage.incident.as_ref()?.value else { return None };
    let (incident, title) = (outage.incident_id()?, title.clone());
    let is_news = ledger.outages.get(key).is_some_and(|before| before.incident_id().is_none());
    let occurred_at_ms = outage.occurred_at.as_millis();
    let about = About::from(&ResourceKey::Incident(outage.subject.clone()));
    is_news.then_some((about, EventKind::IncidentOpened { incident, title, occurred_at_ms }))
}

/// What is recorded of an outage before `value` is sent to its incident.
fn incident_sent(outage: &Outage, id: Option<IncidentId>, value: IncidentValue, now: Timestamp) -> Update {
    let row = Recorded::sent(outage.incident.as_ref(), id, value, now);
    Outage { incident: Some(row), ended: None, ..outage.clone() }.into()
}

/// One line, as `explain` and the dry run of `setup` print it.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { key, page_id: None, value, .. } => write!(f, "make {key} as {}", value.status),
            Self::Write { key, from, value, .. } if *from == Some(value.status) => write!(f, "describe {key} anew"),
            Self::Write { key, from, value, .. } => {
                write!(f, "set {key} from {} to {}", shown(*from), value.status)
            }
            Self::OpenIncident { outage, .. } => write!(f, "open an incident for {}", outage.subject),
            Self::FindIncident { outage } => {
                write!(f, "look for the incident of {}, whose answer was lost", outage.subject)
            }
            Self::CloseIncident { incident, outage, .. } if outage.is_active() => {
                write!(f, "close incident {} of {}", incident.0, outage.subject)
            }
            Self::ReopenIncident { incident, outage, .. } => {
                write!(f, "open incident {} of {} again", incident.0, outage.subject)
            }
            Self::CloseIncident { incident, outage, .. } | Self::HideDuplicate { incident, outage } => {
                write!(f, "close incident {} of {}, which was opened late", incident.0, outage.subject)
            }
            Self::CreateGroup(new) => write!(f, "create group {:?}", new.name),
            Self::CreateComponent { new, group: Some(group) } => {
                write!(f, "create component {:?} in group {group:?}", new.name)
            }
            Self::CreateComponent { new, group: None } => write!(f, "create target component {:?}", new.name),
            Self::Rearrange { write, name, group } => match (write, group) {
                (PageWrite::ShowGroup(_), _) => write!(f, "show group {name:?}, which is hidden with its components"),
                (PageWrite::RemoveGroup(id), _) => write!(f, "remove group {name:?} ({})", id.0),
                (PageWrite::RemoveComponent(id), _) => write!(f, "remove component {name:?} ({})", id.0),
                (PageWrite::UpdateComponent(..), Some(group)) => {
                    write!(f, "move component {name:?} to group {group:?}")
                }
                (PageWrite::UpdateComponent(_, update), None) => {
                    let description = update.description.as_deref().unwrap_or_default();
                    write!(f, "correct target component {name:?}: {}", description.lines().next().unwrap_or_default())
                }
                // Incidents have operations of their own.
                _ => write!(f, "write {name:?}"),
            },
        }
    }
}

/// What the page shows of a component, in words.
pub(super) fn shown(status: Option<ComponentStatus>) -> String {
    status.map_or_else(|| "a status that we do not know".to_owned(), |status| status.to_string())
}
