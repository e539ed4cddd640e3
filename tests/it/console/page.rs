//! The status page in the console: every edit is asked, confirmed and done, and what keeps others from doing it.

use alertmanager_cachet::core::builtin::{AffectedStatus, Content, MaintenanceId};
use alertmanager_cachet::core::observed::{ComponentId, GroupId, IncidentId, NewComponent, NewGroup};
use alertmanager_cachet::core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::store::{Announcement, ComponentChange, NewIncident, PageTables};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

use super::api::{ask, document};
use super::{Answer, HOUR, Site};
use crate::support::web::ADMIN;

const NEW_MAINTENANCE: &str = "/console/page/maintenance/new";
const NEW_INCIDENT: &str = "/console/page/incidents/new";

/// A page with two groups: 1 Platform (1 Database, 2 Search) and 2 Shop (3 Website); 4 is a target's own component, 5 is
/// `Old` in no group. Of these, `config.json` and the targets name the Database and the Website.
pub async fn site() -> Site {
    let site = Site::start().await;
    let page = site.world.store.page();
    for (name, order) in [("Platform", 1), ("Shop", 2)] {
        page.make_group(&NewGroup { name: name.to_owned(), order }).await.expect("a group");
    }
    for (name, group, order, enabled) in [
        ("Database", Some(1), 1, true),
        ("Search", Some(1), 2, true),
        ("Website", Some(2), 1, true),
        ("db-1:9100 | Database", None, 0, false),
        ("Old", None, 1, true),
    ] {
        let new = NewComponent {
            name: name.to_owned(),
            status: ComponentStatus::Operational,
            enabled,
            description: None,
            group: group.map(GroupId),
            order: Some(order),
        };
        page.make_component(&new).await.expect("a component");
    }
    site
}

fn tables(site: &Site) -> PageTables {
    site.world.store.page()
}

async fn content(site: &Site) -> Content {
    let now = site.world.now();
    tables(site).content(now.before(HOUR), now).await.expect("the page")
}

/// Every hidden field of a page, as a browser sends it.
fn hidden(page: &Answer) -> String {
    let inputs = page.body.split("<input type=\"hidden\" name=\"").skip(1);
    let fields = inputs.map(|input| {
        let (name, rest) = input.split_once("\" value=\"").expect("a value");
        let value = rest.split_once('"').expect("an end").0;
        let value = value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#x27;", "'");
        let value = value.replace("&#x2f;", "/").replace("&amp;", "&");
        form_urlencoded::Serializer::new(String::new()).append_pair(name, &value).finish()
    });
    fields.collect::<Vec<_>>().join("&")
}

/// Opens a form, and sends it as filled in; what comes back asks for confirmation, or says what is wrong.
async fn fill_in(site: &Site, path: &str, fields: &str) -> Answer {
    let page = site.get(path).await;
    assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    site.post(path, &format!("{}&{fields}", hidden(&page))).await
}

/// Sends what a page of confirmation would.
async fn confirm(site: &Site, path: &str, page: &Answer) -> Answer {
    assert!(page.body.contains("name=\"step\" value=\"do\""), "{path}: {}", page.body);
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    site.post(path, &format!("{}&step=do", hidden(page))).await
}

/// Fills a form in, and confirms it.
pub async fn edit(site: &Site, path: &str, fields: &str) -> String {
    let asked = fill_in(site, path, fields).await;
    assert_eq!(asked.status, StatusCode::OK, "{path}: {}", asked.body);
    let done = confirm(site, path, &asked).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{path}: {}", done.body);
    done.location().to_owned()
}

/// Confirms what a link asks for.
async fn follow(site: &Site, path: &str) -> String {
    let asked = site.get(path).await;
    assert_eq!(asked.status, StatusCode::OK, "{path}: {}", asked.body);
    let done = confirm(site, path, &asked).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{path}: {}", done.body);
    done.location().to_owned()
}

#[tokio::test]
async fn maintenance_is_announced_changed_updated_and_ended() {
    let site = site().await;
    let fields = "title=New+switch&message=Short+%3Cbreaks%3E.%0D%0A%0D%0ASorry.&begins=2026-11-21T03:00\
                  &ends=2026-11-21T05:00&c1=6&c2=6";
    let asked = fill_in(&site, NEW_MAINTENANCE, fields).await;
    for words in [
        "It begins 21 Nov 2026, 03:00 UTC, and ends 21 Nov 2026, 05:00 UTC.",
        "readers see Under Maintenance for Database, Search",
        "No incident is opened for these meanwhile",
        "<strong>New switch</strong>\nShort &lt;breaks&gt;.",
        "It is logged with your name, admin.",
    ] {
        assert!(asked.body.contains(words), "{words}: {}", asked.body);
    }
    assert_eq!(content(&site).await.maintenance, [], "to ask changes nothing");
    let done = confirm(&site, NEW_MAINTENANCE, &asked).await;
    assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/console/page?done=announce"));
    assert!(site.get(done.location()).await.body.contains("The maintenance is announced."));
    let one = content(&site).await.maintenance.remove(0);
    assert_eq!((one.title.as_str(), one.message.as_str()), ("New switch", "Short <breaks>.\n\nSorry."));
    let times = (one.begins_at.to_string(), one.ends_at.map(|at| at.to_string()));
    assert_eq!(times, ("2026-11-21T03:00:00Z".to_owned(), Some("2026-11-21T05:00:00Z".to_owned())));
    let during = |id| AffectedStatus { component: ComponentId(id), status: ComponentStatus::UnderMaintenance };
    assert_eq!(one.affected, [during(1), during(2)]);

    let change = "/console/page/maintenance/1/change";
    let form = site.get(change).await.body;
    for words in [
        "value=\"New switch\"",
        "type=\"datetime-local\" step=\"any\" value=\"2026-11-21T03:00\"",
        "name=\"c1\" type=\"checkbox\" value=\"6\" checked",
        "name=\"c3\" type=\"checkbox\" value=\"6\">",
    ] {
        assert!(form.contains(words), "{words}: {form}");
    }
    let fields = "title=New+switches&message=Short+breaks.&begins=2026-11-21T03:00&ends=&c2=6";
    let asked = fill_in(&site, change, fields).await;
    for words in [
        "Title: “New switches”, was “New switch”.",
        "Ends: open, was 21 Nov 2026, 05:00 UTC.",
        "Components: Search, was Database, Search.",
        "The message is changed.",
    ] {
        assert!(asked.body.contains(words), "{words}: {}", asked.body);
    }
    assert_eq!(confirm(&site, change, &asked).await.location(), "/console/page?done=change");
    let again = fill_in(&site, change, fields).await;
    assert_eq!(again.location(), "/console/page?done=nothing", "it is so already");

    site.world.pass(2 * HOUR);
    assert_eq!(content(&site).await.maintenance_in_progress(site.world.now()).len(), 1);
    let said = edit(&site, "/console/page/maintenance/1/update", "message=Half+of+it+is+done.").await;
    assert_eq!(said, "/console/page?done=update");
    let ask = fill_in(&site, "/console/page/maintenance/1/end", "message=All+done.").await;
    assert!(ask.body.contains("It is over at once."), "{}", ask.body);
    assert_eq!(content(&site).await.maintenance[0].updates.len(), 1);
    confirm(&site, "/console/page/maintenance/1/end", &ask).await;
    site.world.pass(HOUR);
    assert_eq!(content(&site).await.maintenance, [], "it is over");
    assert_eq!(site.get(change).await.status, StatusCode::NOT_FOUND);

    assert_eq!(
        site.world.lines("[PAGE_EDITED]"),
        [
            r#"[PAGE_EDITED] user="admin" action=announce subject="maintenance 1" name="New switch" details="begins 2026-11-21T03:00:00Z, ends 2026-11-21T05:00:00Z, components Database, Search: Short <breaks>.\n\nSorry.""#,
            r#"[PAGE_EDITED] user="admin" action=change subject="maintenance 1" name="New switch" details="begins 2026-11-21T03:00:00Z, ends open, components Search: Short breaks.""#,
            r#"[PAGE_EDITED] user="admin" action=update subject="maintenance 1" name="New switches" details="Half of it is done.""#,
            r#"[PAGE_EDITED] user="admin" action=end subject="maintenance 1" name="New switches" details="All done.""#,
        ]
    );
}

#[tokio::test]
async fn a_maintenance_that_has_not_begun_is_called_off() {
    let site = site().await;
    edit(&site, NEW_MAINTENANCE, "title=x&message=y&begins=2026-11-22T03:00&ends=2026-11-22T04:00").await;
    let path = "/console/page/maintenance/1/end";
    let asked = fill_in(&site, path, "message=Not+needed.").await;
    assert!(
        asked.body.contains("It has not begun (planned for 22 Nov 2026, 03:00 UTC), so it is called off."),
        "{}",
        asked.body
    );
    confirm(&site, path, &asked).await;
    site.world.pass(HOUR);
    assert_eq!(content(&site).await.maintenance, []);
    site.world.pass(25 * HOUR);
    assert_eq!(content(&site).await.maintenance_in_progress(site.world.now()), []);
}

#[tokio::test]
async fn an_incident_is_written_updated_and_closed() {
    let site = site().await;
    let fields = "title=Search+is+slow&message=We+look.&status=1&began=2026-11-21T01:30&c1=&c2=2&c3=3";
    let asked = fill_in(&site, NEW_INCIDENT, fields).await;
    for words in [
        "as Investigating, begun 21 Nov 2026, 01:30 UTC",
        "Search is shown as Performance Issues, unless it is worse by itself.",
        "The server does not close it",
    ] {
        assert!(asked.body.contains(words), "{words}: {}", asked.body);
    }
    assert_eq!(confirm(&site, NEW_INCIDENT, &asked).await.location(), "/console/page?done=write");
    let page = content(&site).await;
    assert_eq!((page.incidents[0].key.clone(), page.incidents[0].affected.len()), (None, 2));
    let shown = page.shown_statuses(site.world.now());
    assert_eq!(shown[&ComponentId(3)], ComponentStatus::PartialOutage);

    let path = "/console/page/incidents/1/update";
    let asked = fill_in(&site, path, "status=2&message=A+disk+is+full.").await;
    assert!(asked.body.contains("The status changes from Investigating to Identified."), "{}", asked.body);
    confirm(&site, path, &asked).await;
    let close = format!("{path}?status=4");
    assert!(site.get(&close).await.body.contains("<option value=\"4\" selected>Fixed"));
    let asked = fill_in(&site, &close, "status=4&message=It+is+fast+again.").await;
    for words in ["It is closed. Its components show their own statuses again.", "A disk is full."] {
        assert!(asked.body.contains(words), "{words}: {}", asked.body);
    }
    confirm(&site, path, &asked).await;
    let incident = content(&site).await.incidents.remove(0);
    assert_eq!((incident.status, incident.fixed_at), (IncidentStatus::Fixed, Some(site.world.now())));
    let said: Vec<&str> = incident.updates.iter().map(|update| update.message.as_str()).collect();
    assert_eq!(said, ["A disk is full.", "It is fast again."]);
    let lines = site.world.lines("[PAGE_EDITED]");
    assert_eq!(
        lines[0],
        r#"[PAGE_EDITED] user="admin" action=write subject="incident 1" name="Search is slow" details="status Investigating, began 2026-11-21T01:30:00Z, components Search, Website: We look.""#
    );
    assert!(lines[2].ends_with(r#"details="status Fixed: It is fast again.""#), "{lines:?}");
}

/// An incident that the server opened.
pub async fn open_by_the_server(site: &Site) -> IncidentId {
    let new = NewIncident {
        title: "Database is down".to_owned(),
        message: "We look.".to_owned(),
        status: IncidentStatus::Investigating,
        key: Some("key".to_owned()),
        opened_for: Some("Database".to_owned()),
        began_at: site.world.now(),
        affected: vec![AffectedStatus { component: ComponentId(1), status: ComponentStatus::MajorOutage }],
    };
    tables(site).open_incident(&new, site.world.now()).await.expect("an incident")
}

#[tokio::test]
async fn of_the_servers_own_incident_it_is_said_what_closing_means() {
    let site = site().await;
    let id = open_by_the_server(&site).await;
    let path = format!("/console/page/incidents/{}/update", id.0);
    let asked = fill_in(&site, &path, "status=2&message=A+disk.").await;
    assert!(asked.body.contains("The server opened it, and closes it when the outage is over."), "{}", asked.body);
    let down = ComponentChange { status: Some(ComponentStatus::MajorOutage), ..ComponentChange::default() };
    tables(&site).change_component(ComponentId(1), &down).await.expect("changed");
    let asked = fill_in(&site, &path, "status=4&message=It+is+not+so+bad.").await;
    for words in
        ["The server opened it, and Database is still in Major Outage.", "until something new is known of Database"]
    {
        assert!(asked.body.contains(words), "{words}: {}", asked.body);
    }
    confirm(&site, &path, &asked).await;
    assert_eq!(content(&site).await.incidents[0].status, IncidentStatus::Fixed);
    let asked = fill_in(&site, &path, "status=1&message=It+is.").await;
    assert!(asked.body.contains("the server closes it when the outage is over"), "{}", asked.body);
    let up = ComponentChange { status: Some(ComponentStatus::Operational), ..ComponentChange::default() };
    tables(&site).change_component(ComponentId(1), &up).await.expect("changed");
    let asked = fill_in(&site, &path, "status=1&message=It+is.").await;
    assert!(asked.body.contains("update it with Fixed when it is over"), "{}", asked.body);
}

#[tokio::test]
async fn groups_and_components_are_renamed_ordered_hidden_shown_and_removed() {
    let site = site().await;
    let rename = "/console/page/components/1/rename";
    let asked = fill_in(&site, rename, "title=Datenbank").await;
    assert!(asked.body.contains("Readers see “Datenbank” in place of “Database”."), "{}", asked.body);
    assert!(asked.body.contains("Its name stays “Database” in labels"), "{}", asked.body);
    confirm(&site, rename, &asked).await;
    edit(&site, "/console/page/groups/2/rename", "title=Our+shop").await;
    let page = content(&site).await;
    let database = page.components.iter().find(|one| one.id == ComponentId(1)).expect("the database");
    assert_eq!((database.name.as_str(), database.shown_name()), ("Database", "Datenbank"));
    assert_eq!(page.groups[1].shown_name(), "Our shop");
    assert_eq!(edit(&site, rename, "title=").await, "/console/page?done=rename");

    let down = "/console/page/components/1/move?to=2";
    let asked = site.get(down).await;
    for words in ["from place 1 to place 2 of 2", "It comes after Search."] {
        assert!(asked.body.contains(words), "{words}: {}", asked.body);
    }
    confirm(&site, down, &asked).await;
    edit(&site, "/console/page/groups/2/move", "to=1").await;
    assert_eq!(site.get("/console/page/groups/2/move?to=1").await.location(), "/console/page?done=nothing");
    let page = content(&site).await;
    let groups: Vec<i64> = page.groups.iter().map(|one| one.id.0).collect();
    let platform = page.components.iter().filter(|one| one.group == Some(GroupId(1)));
    assert_eq!((groups, platform.map(|one| one.id.0).collect()), (vec![2, 1], vec![2, 1]));

    follow(&site, "/console/page/components/2/hide").await;
    follow(&site, "/console/page/groups/2/hide").await;
    let page = content(&site).await;
    let shown: Vec<i64> = page.components.iter().filter(|one| page.shows(one)).map(|one| one.id.0).collect();
    assert_eq!(shown, [5, 1]);
    let list = site.get("/console/page").await.body;
    assert_eq!(list.matches("<span class=\"badge\">Hidden</span>").count(), 3, "{list}");
    assert_eq!(site.get("/console/page/groups/2/hide").await.location(), "/console/page?done=nothing");
    follow(&site, "/console/page/components/2/show").await;
    follow(&site, "/console/page/groups/2/show").await;
    assert!(content(&site).await.components.iter().all(|one| one.visible || one.id == ComponentId(4)));

    let remove = site.get("/console/page/groups/1/remove").await;
    assert!(remove.body.contains("Its components (2) stay on the page, in no group."), "{}", remove.body);
    confirm(&site, "/console/page/groups/1/remove", &remove).await;
    assert_eq!(follow(&site, "/console/page/components/5/remove").await, "/console/page?done=remove");
    let page = content(&site).await;
    assert!(page.groups.len() == 1 && page.components.iter().all(|one| one.id != ComponentId(5)), "{page:?}");

    let lines = site.world.lines("[PAGE_EDITED]");
    for line in [
        r#"[PAGE_EDITED] user="admin" action=rename subject="component 1" name="Database" details="title Datenbank""#,
        r#"[PAGE_EDITED] user="admin" action=rename subject="component 1" name="Database" details="no title""#,
        r#"[PAGE_EDITED] user="admin" action=move subject="component 1" name="Database" details="order Search, Database""#,
        r#"[PAGE_EDITED] user="admin" action=move subject="group 2" name="Shop" details="order Shop, Platform""#,
        r#"[PAGE_EDITED] user="admin" action=hide subject="component 2" name="Search" details="hidden""#,
        r#"[PAGE_EDITED] user="admin" action=show subject="group 2" name="Shop" details="shown""#,
        r#"[PAGE_EDITED] user="admin" action=remove subject="component 5" name="Old" details="removed""#,
    ] {
        assert!(lines.iter().any(|other| other == line), "{line}: {lines:#?}");
    }
    assert_eq!(lines.len(), 11, "what changes nothing is not logged: {lines:#?}");
}

#[tokio::test]
async fn what_the_configuration_names_is_not_removed() {
    let site = site().await;
    let path = "/console/page/components/1/remove";
    let refused = site.get(path).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.body.contains("or hide it"), "{}", refused.body);
    let token = site.get(NEW_INCIDENT).await.field("token");
    let posted = site.post(path, &format!("token={token}&step=do")).await;
    assert_eq!(posted.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(content(&site).await.components.iter().any(|one| one.id == ComponentId(1)));
}

#[tokio::test]
async fn who_was_slower_sees_what_is_true_now_and_submits_again() {
    let site = site().await;
    edit(&site, NEW_MAINTENANCE, "title=x&message=y&ends=2026-11-22T04:00").await;
    let change = "/console/page/maintenance/1/change";
    let slow = fill_in(&site, change, "title=slow&message=y&ends=2026-11-22T05:00").await;
    let slow_form = site.get(change).await;
    edit(&site, change, "title=fast&message=y&ends=2026-11-22T04:00").await;

    let refused = confirm(&site, change, &slow).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    for words in ["It was changed meanwhile", "role=\"alert\"", "Title: “slow”, was “fast”."] {
        assert!(refused.body.contains(words), "{words}: {}", refused.body);
    }
    assert_eq!(content(&site).await.maintenance[0].title, "fast");
    let fields = "title=third&message=y&begins=2026-11-21T02:00&ends=2026-11-22T04:00";
    let at_the_form = site.post(change, &format!("{}&{fields}", hidden(&slow_form))).await;
    assert_eq!(at_the_form.status, StatusCode::CONFLICT, "a form that is older than the change");
    assert_eq!(confirm(&site, change, &refused).await.status, StatusCode::SEE_OTHER);
    assert_eq!(content(&site).await.maintenance[0].title, "slow");
}

#[tokio::test]
async fn a_form_that_is_sent_twice_publishes_once() {
    let site = site().await;
    for (path, form) in [(NEW_MAINTENANCE, "title=New+switch&message=y"), (NEW_INCIDENT, "title=x&message=y&status=1")]
    {
        let asked = fill_in(&site, path, form).await;
        let (one, other) = tokio::join!(confirm(&site, path, &asked), confirm(&site, path, &asked));
        let mut statuses = [one.status, other.status];
        statuses.sort();
        assert_eq!(statuses, [StatusCode::SEE_OTHER, StatusCode::CONFLICT]);
        let refused = if one.status == StatusCode::CONFLICT { one } else { other };
        assert!(refused.body.contains("was published meanwhile"), "{}", refused.body);
        open_by_the_server(&site).await;
        assert_eq!(confirm(&site, path, &refused).await.status, StatusCode::SEE_OTHER, "the server's do not count");
    }
    let page = content(&site).await;
    assert_eq!((page.maintenance.len(), page.incidents.iter().filter(|one| one.key.is_none()).count()), (2, 2));
}

#[tokio::test]
async fn an_incident_that_the_server_closed_meanwhile_is_not_opened_by_an_update() {
    let site = site().await;
    let id = open_by_the_server(&site).await;
    let path = format!("/console/page/incidents/{}/update", id.0);
    let asked = fill_in(&site, &path, "status=2&message=A+disk.").await;
    let closed = tables(&site).update_incident(id, IncidentStatus::Fixed, "It works.", site.world.now()).await;
    assert!(closed.expect("written"));
    let refused = confirm(&site, &path, &asked).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.body.contains("The status changes from Fixed to Identified."), "{}", refused.body);
    assert_eq!(content(&site).await.incidents[0].status, IncidentStatus::Fixed);
}

#[tokio::test]
async fn an_update_is_written_only_to_the_incident_as_it_was_seen() {
    let site = site().await;
    let (page, now) = (tables(&site), site.world.now());
    let id = open_by_the_server(&site).await;
    let seen = page.incident(id).await.expect("read").expect("an incident");
    assert!(page.update_incident_as_seen(&seen, IncidentStatus::Identified, "one", now).await.expect("written"));
    assert!(!page.update_incident_as_seen(&seen, IncidentStatus::Watching, "two", now).await.expect("not written"));
    let seen = page.incident(id).await.expect("read").expect("an incident");
    assert_eq!((seen.status, seen.updates.len()), (IncidentStatus::Identified, 1));
    assert!(page.update_incident(id, IncidentStatus::Identified, "three", now).await.expect("written"));
    let late = page.update_incident_as_seen(&seen, IncidentStatus::Fixed, "four", now).await;
    assert!(!late.expect("not written"), "the status is the same, and another update was written");
}

#[tokio::test]
async fn what_cannot_be_done_is_asked_again_with_what_was_typed() {
    let site = site().await;
    let fields = "title=%3Cb%3E&message=%3Ci%3E%0D%0A&begins=soon&ends=2020-01-01T00:00&c2=6";
    let refused = fill_in(&site, NEW_MAINTENANCE, fields).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    for words in [
        "role=\"alert\"",
        "<a href=\"#begins\">Begins</a> &quot;soon&quot; is no time: write it as 2026-11-21 18:00, in UTC.",
        "<a href=\"#ends\">Ends</a>",
        "value=\"&lt;b&gt;\"",
        "\n&lt;i&gt;",
        "value=\"soon\" aria-invalid=\"true\"",
        "name=\"c2\" type=\"checkbox\" value=\"6\" checked",
    ] {
        assert!(refused.body.contains(words), "{words}: {}", refused.body);
    }
    let token = refused.field("token");
    for (path, fields, words) in [
        (NEW_INCIDENT, "message=y&status=1", "Title</a> is missing"),
        (NEW_INCIDENT, "title=x&message=y&status=1&c99=4", "was removed meanwhile"),
        ("/console/page/components/1/move", "to=9", "choose 1 to 2"),
        ("/console/page/groups/1/rename", "title=a%0Ab", "has a line break"),
    ] {
        let refused = site.post(path, &format!("token={token}&step=do&{fields}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert!(refused.body.contains(words), "{words}: {}", refused.body);
    }
    let long = format!("token={token}&title=x&status=1&message={}", "%C3%BC".repeat(20_000));
    let refused = site.post(NEW_INCIDENT, &long).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.body.contains("has 40000 bytes: shorten it to 16384"), "{}", refused.body);
    let longer = format!("token={token}&title=x&status=1&message={}", "x".repeat(300_000));
    let refused = site.post(NEW_INCIDENT, &longer).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(refused.body.contains("shorten the message"), "{}", refused.body);
    let page = content(&site).await;
    assert!(page.maintenance.is_empty() && page.incidents.is_empty());
    assert_eq!(site.world.lines("[PAGE_EDITED]"), Vec::<String>::new());
}

#[tokio::test]
async fn from_the_confirmation_one_goes_back_to_the_form_with_what_was_typed() {
    let site = site().await;
    let asked = fill_in(&site, NEW_INCIDENT, "title=x+%26+y&message=one%0D%0Atwo&status=3&began=&c2=4").await;
    let form = site.post(NEW_INCIDENT, &format!("{}&step=edit", hidden(&asked))).await;
    assert_eq!(form.status, StatusCode::OK);
    for words in [
        "value=\"x &amp; y\"",
        "one\ntwo</textarea>",
        "<option value=\"3\" selected>Watching",
        "value=\"2026-11-21T02:00\"",
        "<option value=\"4\" selected>Outage",
    ] {
        assert!(form.body.contains(words), "{words}: {}", form.body);
    }
    assert_eq!(content(&site).await.incidents, []);
}

#[tokio::test]
async fn a_form_that_was_not_sent_from_the_console_does_nothing() {
    let site = site().await;
    let asked = fill_in(&site, NEW_INCIDENT, "title=x&message=typed+long+ago&status=1").await;
    let good = format!("{}&step=do", hidden(&asked));
    let send = |name: &'static str, value: &'static str, body: &str| {
        let request = Request::post(NEW_INCIDENT).header("Authorization", ADMIN).header("Host", "console:5000");
        site.send(request.header(name, value).body(Body::from(body.to_owned())).expect("a request"))
    };
    for (name, value) in
        [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example"), ("Sec-Fetch-Site", "same-site")]
    {
        let answer = send(name, value, &good).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(!answer.body.contains("typed long ago"), "{}", answer.body);
    }
    let forged = good.replace(&asked.field("token"), "00");
    let answer = send("Sec-Fetch-Site", "same-origin", &forged).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.body.contains("too old") && answer.body.contains("typed long ago"), "{}", answer.body);
    assert_eq!(content(&site).await.incidents, []);
    assert_eq!(site.world.lines("[PAGE_EDITED]"), Vec::<String>::new());
    let again = site.post(NEW_INCIDENT, &format!("{}&title=x&message=y&status=1", hidden(&answer))).await;
    assert_eq!(again.status, StatusCode::OK, "the form has a token again");

    let stranger = Request::post(NEW_INCIDENT).body(Body::from(good)).expect("a request");
    assert_eq!(site.send(stranger).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let site = site().await;
    for path in [
        "/console/page/components/4/rename",
        "/console/page/components/99/hide",
        "/console/page/groups/99/show",
        "/console/page/maintenance/99/end",
        "/console/page/incidents/99/update",
        "/console/page/incidents/1/end",
        "/console/page/anything",
        "/console/page/components/%FF/hide",
    ] {
        assert_eq!(site.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
        let token = site.get(NEW_INCIDENT).await.field("token");
        let answer = site.post(path, &format!("token={token}&step=do")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_list_has_links_to_every_form_and_the_overview_to_the_list() {
    let site = site().await;
    assert!(site.get("/console").await.body.contains("href=\"/console/page\""));
    edit(&site, NEW_MAINTENANCE, "title=New+switch&message=y&ends=2026-11-22T04:00&c3=6").await;
    edit(&site, NEW_INCIDENT, "title=%3Cscript%3E&message=y&status=1").await;
    open_by_the_server(&site).await;
    let list = site.get("/console/page").await.body;
    let links = list.split("href=\"/console/page/").skip(1).map(|rest| rest.split_once('"').expect("an end").0);
    let links: Vec<&str> = links.collect();
    for link in [
        "maintenance/new",
        "maintenance/1/update",
        "maintenance/1/change",
        "maintenance/1/end",
        "incidents/new",
        "incidents/1/update",
        "incidents/2/update?status=4",
        "groups/1/move?to=2",
        "groups/2/move?to=1",
        "components/1/move?to=2",
        "components/2/move?to=1",
        "components/3/rename",
        "components/5/remove",
    ] {
        assert!(links.contains(&link), "{link}: {links:?}");
    }
    assert!(!links.iter().any(|link| link.starts_with("components/4/")), "a target's own component: {links:?}");
    for link in &links {
        let answer = site.get(&format!("/console/page/{link}")).await;
        let is_configured = link.ends_with("/remove") && answer.body.contains("or hide it");
        assert!(answer.status == StatusCode::OK || is_configured, "{link}: {}", answer.body);
    }
    for words in ["&lt;script&gt;", "opened by the server for Database", "1 maintenance planned", "2 incidents open"] {
        assert!(list.contains(words), "{words}: {list}");
    }
    assert!(list.contains("Its own status is Operational."), "{list}");
}

#[tokio::test]
async fn the_api_has_the_content_as_documented() {
    let (site, document) = (site().await, document());
    let path = "/console/api/v1/page";
    edit(&site, NEW_MAINTENANCE, "title=New+switch&message=y&ends=2026-11-22T04:00&c3=6").await;
    edit(&site, "/console/page/maintenance/1/update", "message=Soon.").await;
    let id = open_by_the_server(&site).await;
    edit(&site, &format!("/console/page/incidents/{}/update", id.0), "status=4&message=It+works.").await;
    edit(&site, NEW_INCIDENT, "title=x&message=y&status=2&c2=3").await;
    edit(&site, "/console/page/components/2/rename", "title=Suche").await;
    edit(&site, "/console/page/groups/1/rename", "title=Plattform").await;
    follow(&site, "/console/page/groups/2/hide").await;
    site.world.pass(HOUR / 60);
    let page = ask(&site, &document, path, path, 200).await;
    assert_eq!(page["groups"][0], json!({"id": 1, "name": "Platform", "title": "Plattform", "visible": true}));
    let components = page["components"].as_array().expect("a list");
    let search = components.iter().find(|one| one["id"] == json!(2)).expect("the search");
    assert_eq!((&search["title"], &search["status"]["value"]), (&json!("Suche"), &json!(1)));
    assert_eq!((&search["shown_status"]["value"], &search["group"]), (&json!(3), &json!(1)));
    let website = components.iter().find(|one| one["id"] == json!(3)).expect("the website");
    assert_eq!((&website["shown_status"]["value"], &website["shown"]), (&json!(6), &json!(false)));
    assert!(components.iter().all(|one| one["id"] != json!(4)), "{components:?}");
    let incidents = page["incidents"].as_array().expect("a list");
    let own = incidents.iter().find(|one| one["opened_for"] == json!("Database")).expect("the server's");
    assert_eq!((&own["status"]["word"], &own["updates"][0]["message"]), (&json!("Fixed"), &json!("It works.")));
    let maintenance = &page["maintenance"][0];
    assert_eq!(
        (&maintenance["phase"]["word"], &maintenance["updates"][0]["message"]),
        (&json!("In progress"), &json!("Soon."))
    );
}

#[tokio::test]
async fn where_a_cachet_is_driven_the_page_is_edited_there() {
    let (site, document) = (Site::beside_a_cachet().await, document());
    assert!(!site.get("/console").await.body.contains("/console/page"));
    let list = site.get("/console/page").await;
    assert_eq!(list.status, StatusCode::OK);
    assert!(list.body.contains("Edit the page in Cachet’s dashboard"), "{}", list.body);
    let path = "/console/api/v1/page";
    let problem = ask(&site, &document, path, path, 404).await;
    assert!(problem["error"].as_str().expect("text").contains("edit the page in Cachet's dashboard"), "{problem}");
    assert_eq!(site.get(NEW_MAINTENANCE).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn each_edit_is_told_to_the_open_pages() {
    let site = site().await;
    let mut changes = site.world.live().watch();
    changes.borrow_and_update();
    edit(&site, "/console/page/components/1/rename", "title=Datenbank").await;
    assert!(changes.has_changed().expect("a sender"));
}

#[tokio::test]
async fn parts_are_ordered_in_one_go_and_a_maintenance_never_ends_before_it_begins() {
    let site = site().await;
    let (page, now) = (tables(&site), site.world.now());
    page.order_components(&[ComponentId(2), ComponentId(1), ComponentId(99)]).await.expect("ordered");
    let positions = content(&site).await.components.into_iter().filter(|one| one.group == Some(GroupId(1)));
    assert_eq!(positions.map(|one| (one.id.0, one.position)).collect::<Vec<_>>(), [(2, 1), (1, 2)]);
    let new = Announcement {
        title: "x".to_owned(),
        message: "y".to_owned(),
        begins_at: now.after(HOUR),
        ends_at: None,
        affected: Vec::new(),
    };
    let id: MaintenanceId = page.announce(&new, now).await.expect("announced");
    assert!(page.update_maintenance(id, "not needed", Some(now), now).await.expect("written"));
    let at_once = page.content(Timestamp::from_millis(0), now).await.expect("the page").maintenance.remove(0);
    assert_eq!((at_once.begins_at, at_once.ends_at), (now, Some(now)));
}
