//! A Cachet that is not in UTC. Releases of 2025 show and read times in the time zone of the installation, and never say
//! which zone that is.

use std::time::Duration;

use alertmanager_cachet::cachet::Cachet;
use alertmanager_cachet::core::observed::{ComponentId, NewIncident};
use alertmanager_cachet::core::status_page::{IncidentSearch, StatusPage};
use alertmanager_cachet::core::time::Timestamp;
use fake_cachet::Release;

use crate::support::world::{TargetSpec, World};

const WEB: &[TargetSpec<'_>] = &[("web:9100", "Web", true), ("db:9100", "Database", true)];

/// Los Angeles in winter, St. John's in winter, UTC, Berlin in summer, Kathmandu, Kiritimati.
const ZONES: [i64; 6] = [-8 * 60, -210, 0, 120, 345, 14 * 60];

async fn set_up(ahead_of_utc_minutes: i64) -> World {
    let world = World::set_up(Release::Older, WEB).await;
    world.move_cachet_ahead_of_utc_by(ahead_of_utc_minutes);
    world
}

/// When the first incident began, as the page shows it, converted to UTC from a zone `minutes` ahead of UTC.
async fn began(world: &World, minutes: i64) -> Timestamp {
    let shown = world.first_incident().await["data"]["attributes"]["occurred"]["string"].take();
    let local = format!("{}Z", shown.as_str().expect("a time").replace(' ', "T"));
    let local = Timestamp::parse_rfc3339(&local).expect("a time");
    Timestamp::from_millis(local.as_millis() - minutes * 60_000)
}

fn incident(occurred_at: Timestamp) -> NewIncident {
    NewIncident {
        name: "Web is down".into(),
        message: "We are looking into it.".into(),
        component: None,
        outage: "e-1".into(),
        occurred_at,
        notify_subscribers: false,
    }
}

#[tokio::test]
async fn an_incident_is_dated_right_in_whatever_zone_an_older_cachet_is() {
    for minutes in ZONES {
        let mut world = set_up(minutes).await;
        let alert = world.fire("web:9100", "Web").await;
        world.settle().await;
        assert_eq!(began(&world, minutes).await, alert.starts_at.cut_to_seconds(), "{minutes}");
        // The component was written before, and the answer to that gave the zone.
        assert_eq!(world.faults.count("PUT", "/api/incidents/1"), 0, "{minutes}");
    }
}

#[tokio::test]
async fn the_first_incident_of_all_is_corrected_as_soon_as_its_answer_tells_the_zone() {
    for minutes in ZONES {
        let world = set_up(minutes).await;
        let occurred_at = world.now().before(Duration::from_secs(90));
        world.cachet().open_incident(&incident(occurred_at)).await.expect("posted");
        assert_eq!(began(&world, minutes).await, occurred_at.cut_to_seconds(), "{minutes}");
        assert_eq!(world.faults.count("PUT", "/api/incidents/1"), usize::from(minutes != 0), "{minutes}");
    }
}

#[tokio::test]
async fn when_summer_time_ends_the_next_incident_is_right_too() {
    let world = set_up(120).await;
    world.cachet().open_incident(&incident(world.now())).await.expect("posted");
    world.remove_first_incident().await;
    world.move_cachet_ahead_of_utc_by(60);
    let id = world.cachet().open_incident(&incident(world.now())).await.expect("posted");
    let shown = world.incident_by_hand(id).await["data"]["attributes"]["occurred"]["string"].take();
    assert_eq!(shown, "2026-11-21 03:00:00");
}

#[tokio::test]
async fn an_incident_that_cannot_be_corrected_is_posted_all_the_same_and_once() {
    for (status, name) in [(403, "403"), (404, "404"), (422, "422"), (500, "500")] {
        let world = set_up(120).await;
        world.faults.on("PUT", "/api/incidents/*").answer(status);
        world.cachet().open_incident(&incident(world.now())).await.expect(name);
        assert_eq!(world.incidents().await, (1, 1), "{name}");
    }
    let world = set_up(120).await;
    world.faults.on("PUT", "/api/incidents/*").cut_before();
    world.cachet().open_incident(&incident(world.now())).await.expect("posted");
    assert_eq!(world.incidents().await, (1, 1));
}

/// Without the zone, times are compared within 13 hours, so incidents two hours apart could not be told apart.
#[tokio::test]
async fn where_the_zone_is_known_an_incident_of_hours_ago_is_not_taken_for_the_one_that_got_lost() {
    for minutes in ZONES {
        let world = set_up(minutes).await;
        let cachet: &Cachet = world.cachet();
        cachet.open_incident(&incident(world.now())).await.expect("posted");
        let search = |created_not_before| IncidentSearch {
            outage: "e-1",
            name: "Web is down",
            component: None::<ComponentId>,
            occurred_at: world.now(),
            created_not_before,
        };
        let found = cachet.find_incident(&search(world.now())).await.expect("an answer");
        assert!(found.is_some(), "{minutes}");
        let later = world.now().after(Duration::from_secs(2 * 3600));
        assert_eq!(cachet.find_incident(&search(later)).await, Ok(None), "{minutes}");
    }
}

#[tokio::test]
async fn an_incident_whose_answer_was_lost_is_found_once_and_dated_right() {
    for minutes in ZONES {
        let mut world = set_up(minutes).await;
        // Only the answer to the incident could give the zone.
        for component in world.shown().await.components {
            world.faults.on("PUT", &format!("/api/components/{}", component.id.0)).answer_after(500);
        }
        world.faults.on("POST", "/api/incidents").cut_after();
        let alert = world.fire("web:9100", "Web").await;
        assert!(!world.once().await.is_complete());
        world.faults.heal();
        world.settle_within(3).await;
        assert_eq!(world.incidents().await, (1, 1), "{minutes}");
        assert_eq!(began(&world, minutes).await, alert.starts_at.cut_to_seconds(), "{minutes}");
    }
}

#[tokio::test]
async fn the_newest_release_is_told_the_time_in_utc_as_ever() {
    let mut world = World::set_up(Release::Current, WEB).await;
    let alert = world.fire("web:9100", "Web").await;
    world.settle().await;
    assert_eq!(began(&world, 0).await, alert.starts_at.cut_to_seconds());
    assert_eq!(world.faults.count("PUT", "/api/incidents/1"), 0);
}
