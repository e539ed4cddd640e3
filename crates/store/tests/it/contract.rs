//! What every store does, whatever database it is on.
//!
//! A rule takes a [`Place`]. Another database needs a place of its own and a call of each of the two macros.

mod alerts;
mod history;
mod limit;
mod page;

use alertmanager_cachet_store::Store;
use tempfile::TempDir;

/// Where a store is.
pub struct Place {
    folder: TempDir,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// A file of SQLite.
    File,
    /// SQLite in memory. Each opening makes an empty one.
    Memory,
}

impl Place {
    fn new(kind: Kind) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), kind }
    }

    /// An empty place of the same kind.
    pub fn another(&self) -> Self {
        Self::new(self.kind)
    }

    fn url(&self) -> String {
        format!("sqlite://{}/store.db", self.folder.path().display())
    }

    /// Opens the store; in a durable place it is the same one each time.
    pub async fn open(&self) -> Store {
        match self.kind {
            Kind::File => Store::open(&self.url()).await.expect("opens"),
            Kind::Memory => Store::open_in_memory().await.expect("opens"),
        }
    }

    /// Has every insert into `table` fail, until [`Self::heal`].
    pub async fn refuse_inserts(&self, store: &Store, table: &str) {
        let trigger = format!(
            "CREATE TRIGGER refused_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'refused'); END"
        );
        sqlx::query(sqlx::AssertSqlSafe(trigger)).execute(store.writer()).await.expect("a trigger");
    }

    pub async fn heal(&self, store: &Store, table: &str) {
        let trigger = format!("DROP TRIGGER refused_{table}");
        sqlx::query(sqlx::AssertSqlSafe(trigger)).execute(store.writer()).await.expect("no trigger");
    }
}

/// A test of each rule in a place that is made by `$place`.
macro_rules! tests_in {
    ($place:expr, $($part:ident: $($rule:ident),+;)+) => {
        $($(
            #[tokio::test]
            async fn $rule() {
                super::$part::$rule(&$place).await;
            }
        )+)+
    };
}

/// The rules of every store.
macro_rules! any_store {
    ($place:expr) => {
        tests_in! {
            $place,
            alerts:
                a_notification_is_kept_whole_or_not_at_all,
                notifications_that_are_committed_together_fail_together,
                a_repeat_changes_nothing_but_when_it_was_heard,
                who_follows_the_alerts_is_told_of_each_change_and_of_no_repeat,
                who_gives_up_a_write_leaves_the_memory_true_and_whoever_follows_starts_over,
                what_nobody_may_have_been_told_of_is_news_when_it_is_repeated,
                what_is_stored_is_what_the_core_makes_of_it,
                a_notification_larger_than_one_statement_is_kept_whole,
                notifications_at_the_same_time_lose_nothing,
                of_equal_notifications_at_the_same_time_one_is_the_first,
                what_was_adopted_ends_with_a_resolve_that_was_held_once_the_watchdog_is_heard,
                the_end_of_what_was_adopted_is_taken_back_when_prometheus_had_died,
                what_a_notification_has_named_already_is_not_adopted,
                an_alert_that_is_put_is_not_judged_and_ends_what_was_adopted_of_it,
                resolved_alerts_are_forgotten_after_a_while_and_firing_ones_never,
                a_correction_is_kept_whole_or_not_at_all,
                silence_and_a_missing_watchdog_end_alerts_with_a_history,
                a_clock_that_was_set_back_moves_everything_once,
                a_probe_fails_with_the_store_and_leaves_nothing;
            limit:
                the_oldest_resolved_alerts_are_forgotten_for_new_ones,
                if_no_alert_is_resolved_new_ones_are_not_stored_and_known_ones_are_updated,
                listed_alerts_are_stored_within_the_limit,
                what_was_adopted_from_the_page_is_ended_by_its_resolve_where_there_is_no_room,
                what_was_adopted_from_the_page_takes_its_true_name_where_there_is_no_room,
                the_limit_is_never_exceeded_and_always_used;
            page:
                what_is_remembered_is_kept_whole_or_not_at_all,
                the_last_reading_of_cachet_is_kept_with_its_time,
                at_another_address_nothing_is_certain,
                what_was_made_is_known_by_number_and_name;
            history:
                only_what_goes_on_outlives_the_limit_of_the_history,
                a_finding_is_known_until_the_status_changes,
                a_history_begins_with_the_first_look,
                an_override_lasts_until_it_is_replaced_ended_or_over,
                the_watchdog_is_missing_until_it_is_heard;
        }
    };
}

/// The rules of a store that outlives the process.
macro_rules! durable_store {
    ($place:expr) => {
        tests_in! {
            $place,
            alerts:
                an_alert_is_the_same_after_a_restart,
                what_a_beginning_in_the_future_was_told_as_is_known_after_a_restart,
                under_which_earlier_beginning_an_alert_has_ended_is_known_after_a_restart,
                readers_see_what_is_committed_and_nothing_else,
                an_alert_that_another_program_wrote_is_never_overwritten,
                a_write_beside_another_writer_fails_in_time_and_can_be_repeated;
            limit:
                a_start_with_more_alerts_than_the_limit_succeeds_and_keeps_them;
            page:
                what_was_written_is_the_same_after_a_restart;
            history:
                overrides_and_the_watchdog_are_the_same_after_a_restart,
                two_processes_write_at_the_same_time;
        }
    };
}

mod sqlite_file {
    use super::{Kind, Place};

    any_store!(Place::new(Kind::File));
    durable_store!(Place::new(Kind::File));
}

mod sqlite_in_memory {
    use super::{Kind, Place};

    any_store!(Place::new(Kind::Memory));
}
