//! Names that are not the same everywhere: what Cachet takes off their ends, and what people make of them.

use alertmanager_cachet::core::names::IncidentName;
use fake_cachet::Release;

use crate::support::world::{TargetSpec, World};

const DATABASE: &[TargetSpec<'_>] = &[("db:9100", "Database", true)];

#[tokio::test]
async fn what_nobody_sees_around_a_name_in_a_label_does_not_make_it_another_name() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, DATABASE).await;
        world.settle().await;
        let components = world.shown().await.components.len();
        let alert = world.fire("\u{200b}db:9100", "\u{2060}Database\u{feff}").await;
        world.settle().await;
        assert_eq!((world.status("Database").await, world.status("db:9100 | Database").await), (4, 4), "{release:?}");
        world.resolve(&alert).await;
        world.settle().await;
        assert_eq!((world.status("Database").await, world.status("db:9100 | Database").await), (1, 1), "{release:?}");
        assert_eq!(world.shown().await.components.len(), components, "{release:?}");
    }
}

/// Cachet has no component of the name that it was asked to make one of, so it would be made again and again.
#[tokio::test]
async fn a_target_whose_name_ends_with_what_nobody_sees_is_made_once() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, DATABASE).await;
        world.settle().await;
        world.fire("new:9100", "Database\u{200b}").await;
        for _ in 0..3 {
            world.settle().await;
            world.pass(world.settings.config.page.reconcile_interval);
        }
        assert_eq!(world.faults.count("POST", "/api/components"), 1, "{release:?}");
    }
}

/// An alert rule may set `status_page_component` or `instance`, and a person may write the label in another order.
#[tokio::test]
async fn a_rule_that_changes_the_labels_of_a_target_makes_no_second_target() {
    let both: &[TargetSpec<'_>] = &[("web-01:9100", "Web Server, Database", false)];
    for release in Release::BOTH {
        for (instance, components, expected) in [
            ("web-01:9100", "Web Server", (4, 1)),
            ("web-01:9100", "Database, Web Server", (4, 4)),
            ("web-01", "Database", (1, 4)),
        ] {
            let mut world = World::set_up(release, both).await;
            world.settle().await;
            let alert = world.fire(instance, components).await;
            world.settle().await;
            let statuses = (world.status("Web Server").await, world.status("Database").await);
            assert_eq!(statuses, expected, "{release:?}: {instance} | {components}");
            assert_eq!(world.status("web-01:9100 | Web Server, Database").await, 4, "{release:?}: {components}");
            assert_eq!(world.faults.count("POST", "/api/components"), 0, "{release:?}: {components}");
            world.resolve(&alert).await;
            world.settle().await;
            assert_eq!((world.status("Web Server").await, world.status("Database").await), (1, 1), "{release:?}");
            assert_eq!(world.status("web-01:9100 | Web Server, Database").await, 1, "{release:?}: {components}");
        }
    }
}

#[tokio::test]
async fn an_incident_whose_title_was_cut_behind_a_word_is_taken_over_from_the_page() {
    let mut world = World::set_up(Release::Older, DATABASE).await;
    // The 255th character is a blank, which Cachet does not keep.
    let template = format!("%s {} and more", "x".repeat(254 - "Database ".len()));
    world.settings.config.incidents.new_name = IncidentName::new(&template).expect("a template");
    world.restart();
    world.fire("db:9100", "Database").await;
    world.settle().await;
    world.lose_the_store().await;
    world.settle().await;
    assert_eq!(world.incidents().await, (1, 1));
}

#[tokio::test]
async fn a_component_that_a_person_renames_while_it_is_down_is_theirs_and_its_incident_ends_all_the_same() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, DATABASE).await;
        let alert = world.fire("db:9100", "Database").await;
        world.settle().await;
        let shown = world.shown().await.components;
        let database = shown.iter().find(|component| component.name == "Database").expect("there").id;
        world.rename(database, "Databases").await;
        world.pass(world.settings.config.page.reconcile_interval);
        world.settle().await;
        world.resolve(&alert).await;
        world.settle().await;
        assert_eq!((world.status("Databases").await, world.incidents().await), (4, (0, 1)), "{release:?}");
        world.rename(database, "Database").await;
        world.pass(world.settings.config.page.reconcile_interval);
        world.settle().await;
        assert_eq!(world.status("Database").await, 1, "{release:?}");
        assert_eq!(world.lines("[MANUAL_OVERRIDE]"), [] as [&str; 0], "{release:?}");
    }
}
