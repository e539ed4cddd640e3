//! Forms, and what becomes of them.

use super::*;
use crate::core::builtin::{Group, MaintenanceId};
use crate::core::observed::IncidentId;
use crate::core::target::{ComponentName, InventorySource, KnownTarget};

const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_000); // 2026-11-21T02:00:00Z

fn component(id: i64, name: &str, group: Option<i64>, visible: bool) -> Component {
    Component {
        id: ComponentId(id),
        name: name.to_owned(),
        title: None,
        description: None,
        status: ComponentStatus::Operational,
        position: 0,
        visible,
        group: group.map(GroupId),
        managed: true,
    }
}

fn content() -> Content {
    let group = |id, name: &str| Group {
        id: GroupId(id),
        name: name.to_owned(),
        title: None,
        position: 0,
        visible: true,
        folded: false,
        managed: true,
    };
    let incident = Incident {
        id: IncidentId(7),
        title: "Database is down".to_owned(),
        message: "We look.".to_owned(),
        status: IncidentStatus::Investigating,
        visible: true,
        key: Some("key".to_owned()),
        opened_for: Some("Database".to_owned()),
        began_at: NOW,
        created_at: NOW,
        published_at: NOW,
        fixed_at: None,
        affected: Vec::new(),
        updates: Vec::new(),
    };
    let maintenance = PlannedMaintenance {
        id: MaintenanceId(3),
        title: "New switch".to_owned(),
        message: "Short breaks.".to_owned(),
        begins_at: NOW.after(HOUR),
        ends_at: Some(NOW.after(2 * HOUR)),
        created_at: NOW,
        published_at: NOW,
        affected: vec![AffectedStatus { component: ComponentId(1), status: MAINTENANCE_STATUS }],
        updates: Vec::new(),
    };
    Content {
        groups: vec![group(1, "Platform"), group(2, "Old")],
        components: vec![
            component(1, "Database", Some(1), true),
            component(2, "Search", Some(1), true),
            component(3, "Mail", Some(1), false),
            component(4, "db:9100 | Database", None, false),
        ],
        incidents: vec![incident],
        maintenance: vec![maintenance],
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn known(content: &Content) -> Known<'_> {
    Known { content, groups: &[], inventory: None, now: NOW }
}

/// What a form comes to.
fn change<'a>(content: &'a Content, path: &str, form: &str) -> Option<Change<'a>> {
    let edit = Edit::find(path, content).expect("an edit");
    edit.check(&Form::read(form.as_bytes()), &known(content)).expect("no faults")
}

fn faults(content: &Content, path: &str, form: &str) -> Vec<String> {
    let edit = Edit::find(path, content).expect("an edit");
    let faults = edit.check(&Form::read(form.as_bytes()), &known(content)).expect_err("faults");
    faults.into_iter().map(|fault| format!("{} {}", fault.field, fault.problem)).collect()
}

#[test]
fn a_path_names_an_edit() {
    let content = content();
    for path in [
        "maintenance/new",
        "maintenance/3/change",
        "maintenance/3/update",
        "maintenance/3/end",
        "incidents/new",
        "incidents/7/update",
        "groups/1/rename",
        "groups/2/remove",
        "components/1/move",
        "components/2/hide",
        "components/3/show",
    ] {
        let edit = Edit::find(path, &content).expect(path);
        let named = match edit.id {
            Some(id) => path.contains(&format!("/{id}/")) && path.ends_with(edit.action),
            None => path.ends_with("/new"),
        };
        assert!(named && path.starts_with(edit.word), "{path}: {edit:?}");
    }
    for (path, words) in [
        ("components/4/rename", "no component 4"),
        ("components/9/rename", "no component 9"),
        ("groups/9/hide", "no group 9"),
        ("maintenance/9/end", "or it is over"),
        ("incidents/9/update", "14 days"),
        ("components/1/drop", "no such form"),
        ("components/x/hide", "no such form"),
        ("components", "no such form"),
        ("incidents/7/end", "no such form"),
    ] {
        let problem = Edit::find(path, &content).expect_err(path);
        assert!(problem.contains(words), "{path}: {problem}");
    }
}

#[test]
fn a_maintenance_is_announced_with_all_that_is_said() {
    let content = content();
    let form = "title=+New+switch+&message=Short+breaks.%0D%0A%0D%0ASorry.&begins=2026-11-21T03:00&ends=&c1=6&c3=6";
    let Some(Change::Maintenance(None, new)) = change(&content, "maintenance/new", form) else {
        panic!("no announcement")
    };
    assert_eq!((new.title.as_str(), new.message.as_str()), ("New switch", "Short breaks.\n\nSorry."));
    assert_eq!((new.begins_at, new.ends_at), (NOW.after(HOUR), None));
    let about: Vec<i64> = new.affected.iter().map(|affected| affected.component.0).collect();
    assert_eq!(about, [1, 3]);
    let now = Some(Change::Maintenance(None, Announcement { begins_at: NOW, ..new }));
    let form = form.replace("2026-11-21T03:00", "");
    assert_eq!(change(&content, "maintenance/new", &form), now, "an empty beginning is now");
}

#[test]
fn a_maintenance_that_says_all_that_already_is_not_changed() {
    let content = content();
    let edit = Edit::find("maintenance/3/change", &content).expect("an edit");
    let mut form = edit.filled_in(&known(&content));
    assert_eq!(edit.check(&form, &known(&content)), Ok(None));
    form.set("ends", "");
    let changed = edit.check(&form, &known(&content)).expect("no faults");
    assert!(matches!(changed, Some(Change::Maintenance(Some(_), Announcement { ends_at: None, .. }))), "{changed:?}");
}

#[test]
fn what_is_wrong_with_a_maintenance_is_said_at_once_with_field_and_cure() {
    let content = content();
    let all = faults(&content, "maintenance/new", "begins=soon&ends=2020-01-01T00:00&c9=6&c1=4");
    for words in [
        "title is missing: say",
        "message is missing: say",
        "begins \"soon\" is no time: write it as",
        "ends is not after the beginning: choose a later time",
        "components Database has no such status: choose",
        "components one of those that were chosen was removed meanwhile: look",
    ] {
        assert!(all.iter().any(|fault| fault.contains(words)), "{words}: {all:?}");
    }
    let good = "title=x&message=y";
    for (more, words) in [
        ("begins=2026-11-21T03:00[Europe/Berlin]", "is no time"),
        ("begins=2029-01-01T00:00", "more than a year away: choose an earlier time"),
        ("begins=2020-01-01T00:00", "more than 90 days ago: choose a later time"),
        ("begins=-009998-01-01T00:00", "more than 90 days ago"),
        ("begins=9999-12-01T23:59", "more than a year away"),
        ("begins=2026-11-21T03:00&ends=2026-11-21T03:00", "not after the beginning"),
        ("begins=2026-11-20T03:00&ends=2026-11-21T01:00", "is over already"),
        ("ends=2028-11-21T01:00", "more than a year after the beginning"),
    ] {
        let told = faults(&content, "maintenance/new", &format!("{good}&{more}")).join("; ");
        assert!(told.contains(words), "{more}: {told}");
    }
}

#[test]
fn titles_and_messages_have_limits() {
    let content = content();
    let incident = |title: &str, message: &str| {
        let form = format!("status=1&title={title}&message={message}");
        let edit = Edit::find("incidents/new", &content).expect("an edit");
        edit.check(&Form::read(form.as_bytes()), &known(&content)).map_err(|faults| faults[0].problem.clone())
    };
    assert!(incident(&"ü".repeat(255), &"x".repeat(16 * 1024)).is_ok());
    for (title, message, words) in [
        ("ü".repeat(256), "y".to_owned(), "has 256 characters: shorten it to 255"),
        ("a%0Ab".to_owned(), "y".to_owned(), "has a line break"),
        ("x".to_owned(), "x".repeat(16 * 1024 + 1), "has 16385 bytes: shorten it to 16384"),
        ("x".to_owned(), "a%00b".to_owned(), "has a control character"),
        ("+".to_owned(), "y".to_owned(), "is missing"),
        ("%E2%80%8B".to_owned(), "y".to_owned(), "is missing"),
    ] {
        let problem = incident(&title, &message).expect_err(words);
        assert!(problem.contains(words), "{words}: {problem}");
    }
}

#[test]
fn an_incident_is_written_with_a_status_for_each_component() {
    let content = content();
    let form = "title=Mail+is+slow&message=We+look.&status=2&began=2026-11-21T01:30&c1=&c2=3&c3=4";
    let Some(Change::WriteIncident(new)) = change(&content, "incidents/new", form) else { panic!("no incident") };
    assert_eq!((new.status, new.key, new.opened_for), (IncidentStatus::Identified, None, None));
    assert_eq!(new.began_at.to_string(), "2026-11-21T01:30:00Z");
    let affected: Vec<_> = new.affected.iter().map(|one| (one.component.0, one.status.value())).collect();
    assert_eq!(affected, [(2, 3), (3, 4)]);
    for (form, words) in [
        ("title=x&message=y&status=1&began=2026-11-21T02:01", "in the future: choose an earlier time"),
        ("title=x&message=y&status=9", "status is missing: choose"),
        ("title=x&message=y&status=1&c1=5", "Database has no such status"),
    ] {
        let told = faults(&content, "incidents/new", form).join("; ");
        assert!(told.contains(words), "{form}: {told}");
    }
}

#[test]
fn an_incident_that_is_over_is_not_written_for_days_that_readers_do_not_see() {
    let content = content();
    let form = |status: u8, began: &str| format!("title=x&message=y&status={status}&began={began}");
    let told = faults(&content, "incidents/new", &form(4, "2026-11-07T23:59")).join("; ");
    assert!(told.contains("began is before 2026-11-08"), "{told}");
    for form in [form(4, "2026-11-08T00:00"), form(1, "2026-11-07T23:59")] {
        assert!(matches!(change(&content, "incidents/new", &form), Some(Change::WriteIncident(_))), "{form}");
    }
}

#[test]
fn a_title_is_given_and_taken_and_the_name_is_none() {
    let content = content();
    let title = |form: &str| match change(&content, "components/1/rename", form) {
        Some(Change::Rename(_, title)) => Some(title),
        None => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(title("title=Datenbank"), Some("Datenbank".to_owned()));
    assert_eq!(title("title="), None);
    assert_eq!(title("title=Database"), None);
}

#[test]
fn a_part_moves_among_those_beside_it() {
    let content = content();
    let order = |path: &str, to: &str| match change(&content, path, &format!("to={to}")) {
        Some(Change::Order(_, order)) => order,
        None => Vec::new(),
        other => panic!("{other:?}"),
    };
    assert_eq!(order("components/1/move", "3"), [2, 3, 1]);
    assert_eq!(order("components/3/move", "1"), [3, 1, 2]);
    assert_eq!(order("components/2/move", "2"), [] as [i64; 0], "it is there already");
    assert_eq!(order("groups/2/move", "1"), [2, 1]);
    for to in ["0", "4", "", "-1", "x"] {
        let told = faults(&content, "components/1/move", &format!("to={to}")).join("; ");
        assert_eq!(told, "to is not in the order: choose 1 to 3", "{to}");
    }
}

#[test]
fn what_the_configuration_names_is_not_removed() {
    let content = content();
    let names = |name: &str| vec![ComponentName::try_from(name).expect("a name")];
    let groups =
        [names::Group { name: names::GroupName::try_from("Platform").expect("a name"), components: names("Search") }];
    let target = Target::new("db:9100", names("Database")).expect("a target");
    let inventory = Inventory::new(InventorySource::File, [KnownTarget { target, critical: false }]);
    let known = Known { groups: &groups, inventory: Some(&inventory), ..known(&content) };
    let remove = |path: &str| {
        let edit = Edit::find(path, &content).expect("an edit");
        edit.check(&Form::default(), &known).map_err(|faults| faults[0].problem.clone())
    };
    for (path, words) in [
        ("groups/1/remove", "config.json names the group \"Platform\""),
        ("components/2/remove", "remove it from config.json and reload first, or hide it"),
        ("components/1/remove", "the target \"db:9100\" feeds the component \"Database\""),
    ] {
        let problem = remove(path).expect_err(path);
        assert!(problem.contains(words), "{path}: {problem}");
    }
    assert!(matches!(remove("groups/2/remove"), Ok(Some(Change::Remove(Part { is_group: true, name: "Old", .. })))));
    assert!(matches!(remove("components/3/remove"), Ok(Some(Change::Remove(Part { name: "Mail", .. })))));
}

#[test]
fn what_was_seen_differs_if_what_the_edit_depends_on_does() {
    let before = content();
    let seen = |content: &Content, path: &str| Edit::find(path, content).expect("an edit").seen(content);
    let mut after = content();
    after.components[0].status = ComponentStatus::MajorOutage;
    assert_eq!(seen(&before, "components/1/rename"), seen(&after, "components/1/rename"), "statuses come and go");
    after.components[0].title = Some("Datenbank".to_owned());
    after.components.swap(1, 2);
    after.incidents[0].status = IncidentStatus::Fixed;
    after.maintenance[0].ends_at = None;
    for path in ["components/1/rename", "components/2/move", "incidents/7/update", "maintenance/3/end"] {
        assert_ne!(seen(&before, path), seen(&after, path), "{path}");
    }
    assert_eq!(seen(&before, "groups/1/hide"), seen(&after, "groups/1/hide"));
}
