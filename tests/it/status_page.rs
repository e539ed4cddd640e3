//! The contract of a status page: what the engine relies on, whichever page it keeps.

use std::sync::Arc;
use std::time::Duration;

use alertmanager_cachet::core::builtin::AffectedStatus;
use alertmanager_cachet::core::observed::{
    AffectedComponent, ComponentId, ComponentUpdate, IncidentId, NewComponent, NewGroup, NewIncident, Observed,
    ObservedComponent,
};
use alertmanager_cachet::core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet::core::status_page::{Failure, IncidentSearch, PageWrite, StatusPage};
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::store::Announcement;
use futures_util::future::join_all;

use crate::page_server::PageServer;
use crate::support::world::{Release, World};

/// A page, with what a person does on it.
enum Kept {
    BuiltIn(Box<PageServer>),
    Cachet(Box<World>),
}

impl Kept {
    /// Every page that the engine can keep.
    async fn all() -> [Self; 3] {
        [
            Self::BuiltIn(Box::new(PageServer::start().await)),
            Self::Cachet(Box::new(World::empty(Release::Current, &[]).await)),
            Self::Cachet(Box::new(World::empty(Release::Older, &[]).await)),
        ]
    }

    fn page(&self) -> Arc<dyn StatusPage> {
        match self {
            Self::BuiltIn(server) => Arc::new(server.page.clone()),
            Self::Cachet(world) => Arc::new(world.cachet().clone()),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::BuiltIn(_) => "the built-in page".to_owned(),
            Self::Cachet(world) => format!("Cachet, {:?}", world.release()),
        }
    }

    fn now(&self) -> Timestamp {
        match self {
            Self::BuiltIn(server) => server.now(),
            Self::Cachet(world) => world.now(),
        }
    }

    fn pass(&self, span: Duration) {
        match self {
            Self::BuiltIn(server) => server.set_clock(server.now().after(span).as_millis()),
            Self::Cachet(world) => world.pass(span),
        }
    }

    /// A person announces maintenance that begins after `begins_in` and lasts an hour.
    async fn announces(&self, title: &str, component: (ComponentId, &str), begins_in: Duration) {
        let hour = Duration::from_secs(3600);
        match self {
            Self::BuiltIn(server) => {
                let begins_at = server.now().after(begins_in);
                let affected = AffectedStatus { component: component.0, status: ComponentStatus::UnderMaintenance };
                let announcement = Announcement {
                    title: title.to_owned(),
                    message: "Announced.".to_owned(),
                    begins_at,
                    ends_at: Some(begins_at.after(hour)),
                    affected: vec![affected],
                };
                server.tables.announce(&announcement, server.now()).await.expect("announced");
            }
            Self::Cachet(world) => drop(world.maintain(title, &[component.1], begins_in, hour).await),
        }
    }
}

fn component(name: &str) -> NewComponent {
    let (status, enabled) = (ComponentStatus::Operational, true);
    NewComponent { name: name.to_owned(), status, enabled, description: None, group: None, order: None }
}

fn incident(name: &str, outage: &str, component: Option<ComponentId>, occurred_at: Timestamp) -> NewIncident {
    NewIncident {
        name: name.to_owned(),
        message: "We are looking into it.".to_owned(),
        component: component.map(|id| AffectedComponent { id, name: "Database".to_owned() }),
        outage: outage.to_owned(),
        occurred_at,
        notify_subscribers: false,
    }
}

fn status(status: ComponentStatus) -> ComponentUpdate {
    ComponentUpdate { status: Some(status), enabled: true, description: None, group: None }
}

async fn observed(page: &dyn StatusPage) -> Observed {
    page.observe(&[]).await.expect("observed")
}

async fn shown(page: &dyn StatusPage, id: ComponentId) -> ObservedComponent {
    let observed = observed(page).await;
    observed.components.into_iter().find(|component| component.id == id).expect("the component")
}

fn open(observed: &Observed) -> Vec<IncidentId> {
    observed.open_incidents.iter().map(|incident| incident.id).collect()
}

#[tokio::test]
async fn what_is_made_is_shown_as_it_was_made() {
    for kept in Kept::all().await {
        let (page, name) = (kept.page(), kept.name());
        let meta = page.capabilities().await.expect("capabilities").meta;
        let group = page.create_group(&NewGroup { name: "Platform".to_owned(), order: 3 }).await.expect("a group");
        let new = NewComponent {
            description: Some("critical: yes\nno alerts".to_owned()),
            enabled: false,
            ..component("db:9100 | Database")
        };
        let target = page.create_component(&new).await.expect("a component");
        let visible = NewComponent { group: Some(group), ..component("Database") };
        let visible = page.create_component(&visible).await.expect("a component");
        let twin = page.create_component(&component("Database")).await.expect("one of the same name");
        assert_ne!(visible, twin, "{name}");

        let observed = observed(page.as_ref()).await;
        let of_group = &observed.groups[0];
        let expected_group = (group, "Platform", true, meta);
        assert_eq!((of_group.id, of_group.name.as_str(), of_group.visible, of_group.managed), expected_group, "{name}");
        let told: Vec<_> = observed
            .components
            .iter()
            .map(|one| (one.id, one.name.as_str(), one.enabled, one.description.as_deref(), one.group, one.managed))
            .collect();
        let description = Some("critical: yes\nno alerts");
        assert_eq!(
            told,
            [
                (target, "db:9100 | Database", false, description, None, meta),
                (visible, "Database", true, None, Some(group), meta),
                (twin, "Database", true, None, None, meta),
            ],
            "{name}"
        );
        assert!(observed.components.iter().all(|one| one.status == Some(ComponentStatus::Operational)), "{name}");
    }
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    for kept in Kept::all().await {
        let (page, name) = (kept.page(), kept.name());
        let new = NewComponent { description: Some("before".to_owned()), ..component("Database") };
        let id = page.create_component(&new).await.expect("a component");
        let other = page.create_component(&component("Search")).await.expect("a component");
        for to in [ComponentStatus::MajorOutage, ComponentStatus::PartialOutage, ComponentStatus::Unknown] {
            page.apply(&PageWrite::UpdateComponent(id, status(to))).await.expect("updated");
            let now = shown(page.as_ref(), id).await;
            assert_eq!(
                (now.status, now.description.as_deref(), now.enabled),
                (Some(to), Some("before"), true),
                "{name}"
            );
        }
        let text = ComponentUpdate { status: None, enabled: false, description: Some("after".to_owned()), group: None };
        page.apply(&PageWrite::UpdateComponent(id, text)).await.expect("updated");
        let now = shown(page.as_ref(), id).await;
        let expected = (Some(ComponentStatus::Unknown), Some("after"), false);
        assert_eq!((now.status, now.description.as_deref(), now.enabled), expected, "{name}");
        assert_eq!(shown(page.as_ref(), other).await.status, Some(ComponentStatus::Operational), "{name}");
        assert!(!page.known().refuses_unknown, "{name}");
    }
}

#[tokio::test]
async fn writes_at_the_same_time_are_all_carried_out() {
    for kept in Kept::all().await {
        let page = kept.page();
        let names: Vec<NewComponent> = (0..12).map(|number| component(&format!("Component {number}"))).collect();
        let made = join_all(names.iter().map(|new| page.create_component(new))).await;
        let made: Vec<ComponentId> = made.into_iter().map(|id| id.expect("made")).collect();
        let writes: Vec<PageWrite> =
            made.iter().map(|id| PageWrite::UpdateComponent(*id, status(ComponentStatus::MajorOutage))).collect();
        for outcome in join_all(writes.iter().map(|write| page.apply(write))).await {
            outcome.expect("updated");
        }
        let down = |observed: Observed| {
            observed.components.iter().filter(|one| one.status == Some(ComponentStatus::MajorOutage)).count()
        };
        assert_eq!(down(observed(page.as_ref()).await), 12, "{}", kept.name());
    }
}

#[tokio::test]
async fn an_incident_is_listed_while_it_is_open_and_known_by_its_number_afterwards() {
    for kept in Kept::all().await {
        let (page, name) = (kept.page(), kept.name());
        let database = page.create_component(&component("Database")).await.expect("a component");
        let began = kept.now();
        let id = page.open_incident(&incident("Down", "e-1", Some(database), began)).await.expect("opened");
        let about_nothing = page.open_incident(&incident("No data", "e-2", None, began)).await.expect("opened");
        assert_eq!(open(&observed(page.as_ref()).await), [id, about_nothing], "{name}");
        let told = page.incident(id).await.expect("read").expect("the incident");
        assert_eq!((told.name.as_str(), told.status), ("Down", Some(IncidentStatus::Investigating)), "{name}");

        kept.pass(Duration::from_secs(2));
        let close = PageWrite::UpdateIncident { id, status: IncidentStatus::Fixed, message: "It works.".to_owned() };
        page.apply(&close).await.expect("closed");
        assert_eq!(open(&observed(page.as_ref()).await), [about_nothing], "{name}");
        let told = page.incident(id).await.expect("read").expect("the incident");
        assert_eq!(told.status, Some(IncidentStatus::Fixed), "{name}");

        kept.pass(Duration::from_secs(2));
        let status = IncidentStatus::Investigating;
        let again = PageWrite::UpdateIncident { id, status, message: "It is back.".to_owned() };
        page.apply(&again).await.expect("opened again");
        let listed = page.observe(&[id]).await.expect("observed");
        let mut listed = open(&listed);
        listed.sort();
        assert_eq!(listed, [id, about_nothing], "{name}");

        kept.pass(Duration::from_secs(2));
        page.apply(&PageWrite::SetIncidentStatus(about_nothing, IncidentStatus::Fixed)).await.expect("closed");
        assert!(!open(&observed(page.as_ref()).await).contains(&about_nothing), "{name}");
        let twice = page.open_incident(&incident("Down", "e-1", Some(database), began)).await.expect("opened");
        page.apply(&PageWrite::HideIncident(twice)).await.expect("hidden");
        assert!(!open(&observed(page.as_ref()).await).contains(&twice), "{name}");
        let told = page.incident(twice).await.expect("read").expect("it still exists");
        assert_eq!(told.status, Some(IncidentStatus::Fixed), "{name}");
        let gone = page.apply(&PageWrite::HideIncident(IncidentId(999))).await.expect_err("there is none");
        assert!(gone.is_not_found(), "{name}: {gone}");
        assert_eq!(page.incident(IncidentId(999)).await.expect("read"), None, "{name}");
    }
}

#[tokio::test]
async fn a_lost_incident_is_found_if_it_was_opened_and_only_then() {
    for kept in Kept::all().await {
        let (page, name) = (kept.page(), kept.name());
        let database = page.create_component(&component("Database")).await.expect("a component");
        let (began, no_earlier) = (kept.now(), kept.now());
        let search = |outage, name| IncidentSearch {
            outage,
            name,
            component: Some(database),
            occurred_at: began,
            created_not_before: no_earlier,
        };
        let nothing = page.find_incident(&search("e-1", "Down")).await.expect("looked up");
        assert_eq!(nothing, None, "{name}");
        let id = page.open_incident(&incident("Down", "e-1", Some(database), began)).await.expect("opened");
        let found = page.find_incident(&search("e-1", "Down")).await.expect("looked up").expect("found");
        assert_eq!(found.id, id, "{name}");
        let other = page.find_incident(&search("e-2", "Slow")).await.expect("looked up");
        assert_eq!(other, None, "{name}");
    }
}

#[tokio::test]
async fn what_is_removed_is_gone_and_removing_it_again_is_no_fault() {
    for kept in Kept::all().await {
        let (page, name) = (kept.page(), kept.name());
        let group = page.create_group(&NewGroup { name: "Platform".to_owned(), order: 0 }).await.expect("a group");
        let stays = NewComponent { group: Some(group), ..component("Database") };
        let stays = page.create_component(&stays).await.expect("a component");
        let goes = page.create_component(&component("Search")).await.expect("a component");
        for _ in 0..2 {
            page.apply(&PageWrite::RemoveGroup(group)).await.expect("removed");
            page.apply(&PageWrite::RemoveComponent(goes)).await.expect("removed");
        }
        let observed = observed(page.as_ref()).await;
        assert!(observed.groups.is_empty(), "{name}");
        let left: Vec<_> = observed.components.iter().map(|one| (one.id, one.group)).collect();
        assert_eq!(left, [(stays, None)], "{name}");
        let write = PageWrite::UpdateComponent(goes, status(ComponentStatus::MajorOutage));
        let error = page.apply(&write).await.expect_err("it is gone");
        assert_eq!(error.failure, Failure::NotFound, "{name}: {error}");
        assert!(!error.failure.may_have_been_applied() && !error.concerns_everything(), "{name}: {error}");
        let made = page.create_component(&component("Search")).await.expect("made anew");
        assert_ne!(made, goes, "{name}: a number is never given twice");
    }
}

#[tokio::test]
async fn maintenance_is_told_while_it_is_in_progress() {
    for kept in Kept::all().await {
        let (page, name) = (kept.page(), kept.name());
        let database = page.create_component(&component("Database")).await.expect("a component");
        let minute = Duration::from_secs(60);
        kept.announces("New switch", (database, "Database"), minute).await;
        assert_eq!(page.maintenance().await.expect("read"), [], "{name}: announced");
        kept.pass(2 * minute);
        let running = page.maintenance().await.expect("read");
        let told: Vec<_> = running.iter().map(|one| (one.name.as_str(), one.components.clone())).collect();
        assert_eq!(told, [("New switch", vec![database])], "{name}");
        assert!(running[0].ends_if_utc_ms.is_some(), "{name}");
        kept.pass(60 * minute);
        assert_eq!(page.maintenance().await.expect("read"), [], "{name}: over");
    }
}

#[tokio::test]
async fn a_page_is_another_one_where_its_address_is() {
    let addresses: Vec<String> = Kept::all().await.iter().map(|kept| kept.page().address().to_owned()).collect();
    assert!(addresses.iter().all(|address| !address.is_empty() && !address.contains('@')), "{addresses:?}");
    assert_ne!(addresses[0], addresses[1]);
}
