//! A store that is lost, and one that is put back as it was at an earlier time.

use std::path::{Path, PathBuf};

use alertmanager_cachet::store::Store;

use super::oracle::Knowledge;
use super::run::Run;
use super::theatre::{TABLES, empty, read_again};

/// Where a copy of the store is kept, and what was known when it was made.
pub struct Backup {
    file: PathBuf,
    then: Option<Then>,
}

struct Then {
    knowledge: Knowledge,
    told_firing: Vec<Option<u64>>,
    looked_ms: Option<i64>,
}

impl Backup {
    pub fn none_yet(file: PathBuf) -> Self {
        Self { file, then: None }
    }
}

impl Run<'_> {
    pub(super) async fn lose_the_store(&mut self) {
        empty(self.store).await;
        self.told_firing.fill(None);
        self.oracle.lost(self.clock.now());
        self.store_was_lost = true;
        self.news();
        self.restart();
    }

    pub(super) async fn back_up(&mut self) {
        copy(self.store, &self.backup.file).await;
        let (knowledge, told_firing) = (self.oracle.knowledge(), self.told_firing.clone());
        self.backup.then = Some(Then { knowledge, told_firing, looked_ms: looked_ms(self.store).await });
    }

    /// Puts the copy back, if there is one, and the server has kept since then that it looked: by that it knows it for one.
    pub(super) async fn restore_the_store(&mut self) {
        let Some(then) = &self.backup.then else { return };
        if looked_ms(self.store).await <= then.looked_ms {
            return;
        }
        put_back(self.store, &self.backup.file).await;
        self.oracle.restored(&then.knowledge, self.clock.now());
        let told_firing = then.told_firing.iter().enumerate();
        self.told_firing = told_firing.map(|(alert, told)| told.filter(|_| self.oracle.knows_of(alert))).collect();
        self.store_was_lost = true;
        self.news();
        self.restart();
    }
}

/// When the server has last kept that it looked.
async fn looked_ms(store: &Store) -> Option<i64> {
    let query = sqlx::query_scalar("SELECT at_ms FROM history_looked");
    query.fetch_optional(store.reader()).await.expect("read")
}

async fn copy(store: &Store, file: &Path) {
    let _ = std::fs::remove_file(file);
    let copy = format!("VACUUM INTO '{}'", file.display());
    sqlx::query(sqlx::AssertSqlSafe(copy)).execute(store.writer()).await.expect("copied");
}

/// Row by row: what lies beside the store, and whoever has it open, need not know.
async fn put_back(store: &Store, file: &Path) {
    let mut connection = store.writer().acquire().await.expect("a connection");
    let attach = format!("ATTACH '{}' AS backup", file.display());
    let rows = TABLES.iter().flat_map(|table| {
        [format!("DELETE FROM main.{table}"), format!("INSERT INTO main.{table} SELECT * FROM backup.{table}")]
    });
    for statement in [attach].into_iter().chain(rows).chain(["DETACH backup".to_owned()]) {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *connection).await.expect("put back");
    }
    drop(connection);
    read_again(store).await;
}
