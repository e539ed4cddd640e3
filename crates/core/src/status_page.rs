//! The port to a status page: what the engine reads of one, the writes that it sends, and what can come of a write.
//!
//! Cachet (`crates/cachet`) and the built-in page are behind it. Nothing outside an adapter knows which one it is.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use super::observed::{
    ComponentId, ComponentUpdate, GroupId, IncidentId, Maintenance, NewComponent, NewGroup, NewIncident, Observed,
    ObservedIncident,
};
use super::status::IncidentStatus;
use super::time::Timestamp;

/// How long a call to a page may take, from its start to the last byte of its answer. The page may go on with it after
/// that.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// What a page answers, later.
pub type PageFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, PageError>> + Send + 'a>>;

/// A page that the engine keeps.
///
/// Each call fails with a [`PageError`], whose [`Failure`] says whether a write may have been carried out.
pub trait StatusPage: fmt::Debug + Send + Sync {
    /// Where the page is, without anything secret. A page at another address is another page.
    fn address(&self) -> &str;

    /// What this page can do.
    fn capabilities(&self) -> PageFuture<'_, Capabilities>;

    /// All groups, components and open incidents; maintenance is read separately. `doubtful` names incidents that must be
    /// checked one by one where the page's list of open incidents is unreliable.
    fn observe<'a>(&'a self, doubtful: &'a [IncidentId]) -> PageFuture<'a, Observed>;

    /// The maintenance that is in progress.
    fn maintenance(&self) -> PageFuture<'_, Vec<Maintenance>>;

    /// One incident, open or fixed; `None` if it was removed.
    fn incident(&self, id: IncidentId) -> PageFuture<'_, Option<ObservedIncident>>;

    /// The incident that a lost call may have opened.
    fn find_incident<'a>(&'a self, search: &'a IncidentSearch<'a>) -> PageFuture<'a, Option<ObservedIncident>>;

    /// Makes a group, visible.
    fn create_group<'a>(&'a self, new: &'a NewGroup) -> PageFuture<'a, GroupId>;

    /// Makes a component.
    fn create_component<'a>(&'a self, new: &'a NewComponent) -> PageFuture<'a, ComponentId>;

    /// Opens an incident. It is not idempotent: [`StatusPage::find_incident`] tells whether a lost one arrived.
    fn open_incident<'a>(&'a self, new: &'a NewIncident) -> PageFuture<'a, IncidentId>;

    /// Changes or removes what is there.
    fn apply<'a>(&'a self, operation: &'a PageWrite) -> PageFuture<'a, ()>;

    /// Counts the changes that operators of this process have made of the page: it is read again after each. `None`: they
    /// change it elsewhere, and it is read on the interval.
    fn edits(&self) -> Option<u64> {
        None
    }

    /// Whether it is the page of this server, the built-in one.
    fn is_local(&self) -> bool {
        self.edits().is_some()
    }

    /// What earlier calls have shown of the page.
    fn known(&self) -> Known {
        Known::default()
    }

    /// How many deferrable writes the rate limit allows now. A reserve is kept for `public` writes that readers wait for.
    fn spare(&self, public: usize) -> Spare {
        let _ = public;
        Spare::Unlimited
    }

    /// How long to delay a full reading that is not urgent, so that the next urgent one fits the rate limit. `None`: no
    /// delay.
    fn reading_waits(&self) -> Option<Duration> {
        None
    }
}

/// A write to something that exists. Creating is a call of its own, because it returns a number and cannot be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageWrite {
    /// Shows an existing group, and with it its components.
    ShowGroup(GroupId),
    /// Removes a group; its components stay, without one. One that is not there is as good as removed.
    RemoveGroup(GroupId),
    /// Brings a component up to date.
    UpdateComponent(ComponentId, ComponentUpdate),
    /// Removes a component. One that is not there is as good as removed.
    RemoveComponent(ComponentId),
    /// Says something about an incident, and gives it a status.
    UpdateIncident {
        /// The incident.
        id: IncidentId,
        /// Its new status.
        status: IncidentStatus,
        /// What is said.
        message: String,
    },
    /// Gives an incident a status without a word.
    SetIncidentStatus(IncidentId, IncidentStatus),
    /// Closes an incident without a word, and hides it from readers.
    HideIncident(IncidentId),
}

/// What a page can do beyond what all of them can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether groups, components and incidents carry `meta`, which says what is ours. Without it nothing is known to
    /// be ours but by name, and a lost incident is looked for by name, component and time.
    pub meta: bool,
}

/// What earlier calls have shown of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Whether it refused the status Unknown of a component.
    pub refuses_unknown: bool,
    /// What its rate limit allows; `None` as long as it told of no limit.
    pub budget: Option<RateBudget>,
    /// The abilities that the server needs of its token, and whether it has them; `None`: no call needed it yet. Empty for
    /// a page without such.
    pub abilities: BTreeMap<&'static str, Option<bool>>,
    /// The last refusal for a missing ability.
    pub lacking: Option<PageError>,
}

/// What a page's rate limit allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateBudget {
    /// Writes in a minute.
    pub limit: u32,
    /// Writes that are left in this one.
    pub remaining: u32,
}

/// What may be spent on writes that can wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spare {
    /// Nothing is known of a limit: some pages have none.
    Unlimited,
    /// So many writes, without touching what is kept for the public.
    Writes(u32),
    /// None, until so long from now.
    Exhausted(Duration),
}

/// An incident that may have been opened by a call whose answer was lost.
#[derive(Debug, Clone, Copy)]
pub struct IncidentSearch<'a> {
    /// The key of its outage, with which the page may have marked it.
    pub outage: &'a str,
    /// Its title.
    pub name: &'a str,
    /// The component that it was opened for, if it was opened for one.
    pub component: Option<ComponentId>,
    /// When the outage began. If the incident shows another time, it is corrected.
    pub occurred_at: Timestamp,
    /// When the lost call was made.
    pub created_not_before: Timestamp,
}

/// Why a page did not do, or not say that it did, what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PageError {
    /// What it means for the engine.
    pub failure: Failure,
    /// Which call failed, why, and the cure.
    pub message: String,
    /// The message without the parts that change from call to call. Errors with the same text are logged once.
    pub news: String,
}

/// What a failed call means, one variant for each reaction to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The page takes nothing at the moment. Nothing was done.
    Away {
        /// How long it asked to be left alone, if it did.
        retry_after: Option<Duration>,
    },
    /// The rate limit is used up. Nothing was done.
    RateLimited {
        /// As that of [`Failure::Away`].
        retry_after: Option<Duration>,
    },
    /// The token lacks the ability for the call. Nothing was done.
    Forbidden,
    /// The object of the call is not there any more.
    NotFound,
    /// The page refuses this call, and always will. Nothing was done.
    Refused,
    /// What answered does not speak the page's API. If `done`, it said in unknown words that it did something.
    NotThePage {
        /// Whether the answer reported success.
        done: bool,
    },
    /// It may have been done.
    InDoubt {
        /// Whether the page may still carry it out later.
        yet: bool,
        /// Whether a read failed, before any write was sent.
        of_a_read: bool,
        /// As that of [`Failure::Away`].
        retry_after: Option<Duration>,
    },
}

impl Failure {
    /// Whether a write that ended so may have been done all the same. A create is then looked up, never repeated.
    pub fn may_have_been_applied(self) -> bool {
        matches!(self, Self::InDoubt { of_a_read: false, .. } | Self::NotThePage { done: true })
    }

    /// Whether a write that ended so may be done only later.
    pub fn may_be_applied_yet(self) -> bool {
        matches!(self, Self::InDoubt { yet: true, of_a_read: false, .. })
    }
}

impl PageError {
    /// An error whose message is the same from call to call.
    pub fn new(failure: Failure, message: String) -> Self {
        Self { failure, news: message.clone(), message }
    }

    /// The error of an operation whose first call was carried out and whose second one failed so: a part of it is done.
    pub fn of_a_second_call(self) -> Self {
        let (yet, retry_after) = (self.failure.may_be_applied_yet(), self.retry_after());
        Self { failure: Failure::InDoubt { yet, of_a_read: false, retry_after }, ..self }
    }

    /// Whether no answer came that makes sense.
    pub fn is_unanswered(&self) -> bool {
        matches!(self.failure, Failure::InDoubt { .. } | Failure::NotThePage { .. })
    }

    /// Whether the next call would fail for the same reason.
    ///
    /// [`Failure::NotThePage`] is not among these: what stands before a page may dislike the text of a single call.
    pub fn concerns_everything(&self) -> bool {
        matches!(self.failure, Failure::Away { .. } | Failure::RateLimited { .. })
    }

    /// Whether the object itself is not there.
    pub fn is_not_found(&self) -> bool {
        self.failure == Failure::NotFound
    }

    /// How long to wait because the answer asked for it; `None` if it did not.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.failure {
            Failure::Away { retry_after }
            | Failure::RateLimited { retry_after }
            | Failure::InDoubt { retry_after, .. } => retry_after,
            Failure::Forbidden | Failure::NotFound | Failure::Refused | Failure::NotThePage { .. } => None,
        }
    }
}
