//! The embedded page as the Cachet of another server: the server that serves it does not fight over it.

use alertmanager_cachet::core::alert::{Alert, AlertStatus};
use alertmanager_cachet::core::config::{Config, PageConfig};
use alertmanager_cachet::core::rules::Drift;
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::log::{Log, MemorySink};
use alertmanager_cachet::reconcile::Reconciler;
use alertmanager_cachet::settings::{Settings, TargetsOfPage};
use alertmanager_cachet::store::Store;
use fake_cachet::Release;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::world::{World, alert, group};

/// The server that serves the page, without a targets file, beside the one of the world.
struct Host {
    store: Store,
    log: MemorySink,
    events: Log,
    settings: Settings,
    _folder: TempDir,
}

impl Host {
    async fn of(world: &World, drift: Drift) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&format!("sqlite://{}/host.db", folder.path().display())).await.expect("a store");
        let (events, log) = Log::memory();
        let settings = Settings { inventory: None, targets_of_page: TargetsOfPage::Ours, ..world.settings.clone() };
        let page = PageConfig { groups: vec![group("Database")], drift, ..settings.config.page };
        let settings = Settings { config: Config { page, ..settings.config }, ..settings };
        Self { store, log, events, settings, _folder: folder }
    }

    /// It is started anew, and goes once.
    async fn goes(&self, world: &World) {
        let (cachet, stop) = (world.person().clone(), CancellationToken::new());
        let (store, settings, events) = (self.store.clone(), self.settings.clone().in_force(), self.events.clone());
        let round = Reconciler::new(store, cachet, settings, world.clock(), events, stop).once().await;
        assert!(round.is_complete(), "{round:?}");
    }

    async fn is_told(&self, instance: &str, component: &str, since: Timestamp) {
        self.store.record(&[alert(instance, component, since)], since).await.expect("recorded");
    }
}

#[tokio::test]
async fn the_server_that_serves_the_page_leaves_it_to_the_one_that_drives_it() {
    for drift in [Drift::Respect, Drift::Enforce] {
        let mut world = World::empty(Release::Current, &[("db:9100", "Database", true)]).await;
        let host = Host::of(&world, drift).await;
        host.goes(&world).await;
        // All of this before the host reads its page again.
        world.run_setup().await;
        let down = world.fire("db:9100", "Database").await;
        world.settle().await;
        let shown = async |world: &World| {
            (world.status("Database").await, world.status("db:9100 | Database").await, world.incidents().await)
        };
        for expected in [(4, 4, (1, 1)), (1, 1, (0, 1))] {
            for _ in 0..2 {
                host.goes(&world).await;
                world.pass(world.settings.config.page.reconcile_interval);
                world.settle().await;
                assert_eq!(shown(&world).await, expected, "{drift:?}");
            }
            world.resolve(&down).await;
            world.settle().await;
        }
        assert_eq!((world.lines("[MANUAL_OVERRIDE]").len(), host.log.lines()), (0, vec![]), "{drift:?}");
    }
}

#[tokio::test]
async fn what_its_own_alerts_say_is_written_and_ends_with_them() {
    let world = World::set_up(Release::Current, &[("db:9100", "Database", true)]).await;
    let host = Host::of(&world, Drift::Respect).await;
    host.is_told("own:9100", "Database", world.now()).await;
    host.goes(&world).await;
    assert_eq!((world.status("Database").await, world.status("own:9100 | Database").await), (4, 4));
    let over = Alert { status: AlertStatus::Resolved, ..alert("own:9100", "Database", world.now()) };
    host.store.record(&[over], world.now()).await.expect("recorded");
    host.goes(&world).await;
    assert_eq!((world.status("Database").await, world.status("own:9100 | Database").await), (1, 1));
}
