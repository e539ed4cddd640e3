//! The tables of the built-in page: everything on it is read at one moment, and each write is one transaction.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite, SqliteConnection};

use super::{Store, StoreError, optional_timestamp, timestamp};
use alertmanager_cachet_core::builtin::{
    AffectedStatus, Component, Content, Group, Incident, MaintenanceId, PlannedMaintenance, Update,
};
use alertmanager_cachet_core::observed::{ComponentId, GroupId, IncidentId, NewComponent, NewGroup};
use alertmanager_cachet_core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet_core::time::Timestamp;

/// The content of the built-in page in a store. Clones share the store's connections.
#[derive(Debug, Clone)]
pub struct PageTables {
    pub(super) store: Store,
    pub(super) writer: PageWriter,
}

/// Who writes to the built-in page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageWriter {
    /// The engine, which knows what it has written.
    Engine,
    /// Operators, in the console.
    Operator,
}

/// What changes of a group; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupChange {
    /// What readers see in place of its name; empty: its name again.
    pub title: Option<String>,
    /// Whether readers see it.
    pub visible: Option<bool>,
}

/// What changes of a component; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ComponentChange {
    /// What readers see in place of its name; empty: its name again.
    pub title: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Its own status.
    pub status: Option<ComponentStatus>,
    /// Whether readers see it.
    pub visible: Option<bool>,
    /// The group that it moves to.
    pub group: Option<GroupId>,
}

/// An incident to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIncident {
    /// Its title.
    pub title: String,
    /// Its first message.
    pub message: String,
    /// How far the work on it is.
    pub status: IncidentStatus,
    /// The key of the outage that it is opened for; `None` if a person writes it.
    pub key: Option<String>,
    /// The component that it is opened for, by name.
    pub opened_for: Option<String>,
    /// When what it tells of began.
    pub began_at: Timestamp,
    /// The components that it is about.
    pub affected: Vec<AffectedStatus>,
}

/// A maintenance to announce, or its new state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Its title.
    pub title: String,
    /// The announcement.
    pub message: String,
    /// When it begins.
    pub begins_at: Timestamp,
    /// When it ends; `None`: when somebody ends it.
    pub ends_at: Option<Timestamp>,
    /// The components that are worked on.
    pub affected: Vec<AffectedStatus>,
}

/// A write to the page, which counts once it is over.
struct CountedWrite<'a>(&'a PageTables);

impl Drop for CountedWrite<'_> {
    fn drop(&mut self) {
        let PageTables { store, writer } = self.0;
        store.page_writes.fetch_add(1, Ordering::Release);
        if *writer == PageWriter::Operator {
            store.page_edits.fetch_add(1, Ordering::Release);
        }
    }
}

/// Each call fails with [`StoreError::Database`] if a statement failed, and then nothing was changed. Where a call says
/// `false`, there is nothing of that number.
impl PageTables {
    /// Counts what this process has written of the page and of overrides. It moves after the commit.
    pub fn own_writes(&self) -> u64 {
        self.store.page_writes.load(Ordering::Acquire)
    }

    /// Counts what operators have written of the page and of overrides in this process. It moves after the commit.
    pub fn edits(&self) -> u64 {
        self.store.page_edits.load(Ordering::Acquire)
    }

    /// A number that is another one after any commit to the store, whichever process made it.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the store cannot be read.
    pub async fn data_version(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar("PRAGMA data_version").fetch_one(&self.store.watcher).await?)
    }

    /// [`Store::write`] of something that readers may see.
    pub(super) async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // Counted at the end, also if nobody waits for it any more: the commit may be carried out all the same.
        let _counted = CountedWrite(self);
        self.store.write(work).await
    }

    /// [`PageTables::write`] of one statement; says whether it changed a row.
    async fn execute(&self, statement: Query<'_, Sqlite, SqliteArguments>) -> Result<bool, StoreError> {
        self.write(async |db| Ok(statement.execute(db).await?.rows_affected() > 0)).await
    }

    /// Everything on the page at `now`, with the incidents that began or were fixed at `since` or later, and those
    /// that are open.
    ///
    /// # Errors
    /// See [`PageTables`]; [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn content(&self, since: Timestamp, now: Timestamp) -> Result<Content, StoreError> {
        let mut db = self.store.reader.begin().await?;
        let groups = sqlx::query("SELECT * FROM page_groups ORDER BY position, id").fetch_all(&mut *db).await?;
        let components = sqlx::query("SELECT * FROM page_components ORDER BY position, id").fetch_all(&mut *db).await?;
        let fixed = i64::from(IncidentStatus::Fixed.value());
        let incidents = sqlx::query(
            "SELECT * FROM page_incidents WHERE status <> $1 OR began_at_ms >= $2 OR fixed_at_ms >= $2 \
             ORDER BY began_at_ms DESC, id DESC",
        );
        let incidents = incidents.bind(fixed).bind(since.as_millis()).fetch_all(&mut *db).await?;
        let mut details = Details::default();
        if !incidents.is_empty() {
            let of = "incident_id IN (SELECT id FROM page_incidents \
                      WHERE status <> $1 OR began_at_ms >= $2 OR fixed_at_ms >= $2)";
            details = Details::read(&mut db, "incident_id", of, (fixed, since.as_millis())).await?;
        }
        Ok(Content {
            groups: groups.iter().map(group).collect::<Result<_, _>>()?,
            components: components.iter().map(component).collect::<Result<_, _>>()?,
            incidents: incidents.iter().map(|row| details.incident(row)).collect::<Result<_, _>>()?,
            maintenance: maintenance(&mut db, now).await?,
        })
    }

    /// The maintenance that is not over at `now`; what begins first comes first.
    ///
    /// # Errors
    /// See [`PageTables::content`].
    pub async fn maintenance(&self, now: Timestamp) -> Result<Vec<PlannedMaintenance>, StoreError> {
        let mut db = self.store.reader.begin().await?;
        maintenance(&mut db, now).await
    }

    /// The incident of that number, open or fixed.
    ///
    /// # Errors
    /// See [`PageTables::content`].
    pub async fn incident(&self, id: IncidentId) -> Result<Option<Incident>, StoreError> {
        self.one_incident(sqlx::query("SELECT * FROM page_incidents WHERE id = $1").bind(id.0)).await
    }

    /// The first incident that was opened for the outage with this key, open or fixed.
    ///
    /// # Errors
    /// See [`PageTables::content`].
    pub async fn incident_of(&self, key: &str) -> Result<Option<Incident>, StoreError> {
        let query = sqlx::query("SELECT * FROM page_incidents WHERE outage_key = $1 ORDER BY id LIMIT 1");
        self.one_incident(query.bind(key)).await
    }

    async fn one_incident(&self, query: Query<'_, Sqlite, SqliteArguments>) -> Result<Option<Incident>, StoreError> {
        let mut db = self.store.reader.begin().await?;
        let Some(row) = query.fetch_optional(&mut *db).await? else { return Ok(None) };
        let id = (row.try_get("id")?, 0);
        Details::read(&mut db, "incident_id", "incident_id = $1", id).await?.incident(&row).map(Some)
    }

    /// Makes a group, visible, as this program does.
    ///
    /// # Errors
    /// See [`PageTables`].
    pub async fn make_group(&self, new: &NewGroup) -> Result<GroupId, StoreError> {
        let insert = sqlx::query_scalar(
            "INSERT INTO page_groups (name, position, visible, folded, managed) VALUES ($1, $2, 1, 0, 1) RETURNING id",
        );
        let insert = insert.bind(&new.name).bind(i64::from(new.order));
        self.write(async |db| Ok(GroupId(insert.fetch_one(db).await?))).await
    }

    /// Changes a group.
    ///
    /// # Errors
    /// See [`PageTables`].
    pub async fn change_group(&self, id: GroupId, change: &GroupChange) -> Result<bool, StoreError> {
        let update = sqlx::query(
            "UPDATE page_groups SET title = NULLIF(COALESCE($1, title), ''), visible = COALESCE($2, visible) WHERE id = $3",
        );
        let update = update.bind(&change.title).bind(change.visible).bind(id.0);
        self.execute(update).await
    }

    /// Removes a group; its components stay, without one.
    ///
    /// # Errors
    /// See [`PageTables`].
    pub async fn remove_group(&self, id: GroupId) -> Result<bool, StoreError> {
        let delete = sqlx::query("DELETE FROM page_groups WHERE id = $1").bind(id.0);
        self.execute(delete).await
    }

    /// Gives groups the places 1, 2, 3 and so on, in this order, in one transaction.
    ///
    /// # Errors
    /// See [`PageTables`].
    pub async fn order_groups(&self, order: &[GroupId]) -> Result<(), StoreError> {
        self.order("UPDATE page_groups SET position = $1 WHERE id = $2", order.iter().map(|id| id.0)).await
    }

    /// As [`PageTables::order_groups`], the components of one group.
    ///
    /// # Errors
    /// See [`PageTables`].
    pub async fn order_components(&self, order: &[ComponentId]) -> Result<(), StoreError> {
        self.order("UPDATE page_components SET position = $1 WHERE id = $2", order.iter().map(|id| id.0)).await
    }

    async fn order(&self, update: &'static str, ids: impl Iterator<Item = i64>) -> Result<(), StoreError> {
        self.write(async |db| {
            for (position, id) in (1_i64..).zip(ids) {
                sqlx::query(update).bind(position).bind(id).execute(&mut *db).await?;
            }
            Ok(())
        })
        .await
    }

    /// Makes a component, as this program does.
    ///
    /// # Errors
    /// See [`PageTables`].
    pub async fn make_component(&self, new: &NewComponent) -> Result<ComponentId, StoreError> {
        let insert = sqlx::query_scalar(
            "INSERT INTO page_components (name, description, status, position, visible, group_id, managed) \
             VALUES ($1, $2, $3, $4, $5, $6, 1) RETURNING id",
        );
        let insert = insert
            .bind(&new.name)
            .bind(&new.description)
            .bind(new.status.value())
            .bind(i64::from(new.order.unwrap_or(0)))
            .bind(new.enabled)
            .bind(new.group.map(|group| group.0));
        self.write(async |db| Ok(ComponentId(insert.fetch_one(db).await?))).await
    }

    /// Changes a component.
    ///
    /// # Errors
    /// See [`PageTables`].
    pub async fn change_component(&self, id: ComponentId, change: &ComponentChange) -> Result<bool, StoreError> {
        let update = sqlx::query(
            "UPDATE page_components SET title = NULLIF(COALESCE($1, title), ''), description = COALESCE($2, description), \
             status = COALESCE($3, status), visible = COALESCE($4, visible), group_id = COALESCE($5, group_id) \
             WHERE id = $6",
        );
        let update = update
            .bind(&change.title)
            .bind(&change.description)
            .bind(change.status.map(ComponentStatus::value))
            .bind(change.visible)
            .bind(change.group.map(|group| group.0))
            .bind(id.0);
        self.execute(update).await
    }

    /// Removes a component, also from incidents and maintenance.
    ///
    /// # Errors
    /// See [`PageTables`].
    pub async fn remove_component(&self, id: ComponentId) -> Result<bool, StoreError> {
        let delete = sqlx::query("DELETE FROM page_components WHERE id = $1").bind(id.0);
        self.execute(delete).await
    }

    /// Writes an incident that readers see at once.
    ///
    /// # Errors
    /// See [`PageTables`]; also if one of the components does not exist.
    pub async fn open_incident(&self, new: &NewIncident, now: Timestamp) -> Result<IncidentId, StoreError> {
        self.write(async |db| {
            let insert = sqlx::query_scalar(
                "INSERT INTO page_incidents (title, message, status, visible, outage_key, opened_for, began_at_ms, \
                 created_at_ms, published_at_ms, fixed_at_ms) VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $7, $8) RETURNING id",
            );
            let id: i64 = insert
                .bind(&new.title)
                .bind(&new.message)
                .bind(new.status.value())
                .bind(&new.key)
                .bind(&new.opened_for)
                .bind(new.began_at.as_millis())
                .bind(now.as_millis())
                .bind((new.status == IncidentStatus::Fixed).then_some(now.as_millis()))
                .fetch_one(&mut *db)
                .await?;
            let affect = "INSERT INTO page_affected (incident_id, component_id, status) VALUES ($1, $2, $3)";
            insert_affected(db, affect, id, &new.affected).await?;
            Ok(IncidentId(id))
        })
        .await
    }

    /// Says something about an incident, which gives it its new status.
    ///
    /// # Errors
    /// See [`PageTables`].
    pub async fn update_incident(
        &self,
        id: IncidentId,
        status: IncidentStatus,
        message: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(async |db| update_incident(db, id, status, message, now).await).await
    }

    /// As [`PageTables::update_incident`], if its status and the number of its updates are still those of `seen`.
    /// Otherwise nothing is changed, and this says `false`.
    ///
    /// # Errors
    /// See [`PageTables`].
    pub async fn update_incident_as_seen(
        &self,
        seen: &Incident,
        status: IncidentStatus,
        message: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(async |db| {
            let is_as_seen = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM page_incidents WHERE id = $1 AND status = $2 \
                 AND (SELECT COUNT(*) FROM page_updates WHERE incident_id = $1) = $3)",
            );
            let updates = i64::try_from(seen.updates.len()).unwrap_or(i64::MAX);
            let is_as_seen = is_as_seen.bind(seen.id.0).bind(seen.status.value()).bind(updates);
            Ok(is_as_seen.fetch_one(&mut *db).await? && update_incident(db, seen.id, status, message, now).await?)
        })
        .await
    }

    /// Gives an incident a status without saying anything.
    ///
    /// # Errors
    /// See [`PageTables`].
    pub async fn set_incident_status(
        &self,
        id: IncidentId,
        status: IncidentStatus,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(async |db| set_incident_status(db, id, status, now).await).await
    }

    /// Closes an incident without a word and hides it from readers. `false`: there is none.
    ///
    /// # Errors
    /// See [`PageTables`].
    pub async fn hide_incident(&self, id: IncidentId, now: Timestamp) -> Result<bool, StoreError> {
        let update = sqlx::query(
            "UPDATE page_incidents SET status = $1, fixed_at_ms = COALESCE(fixed_at_ms, $2), visible = 0 WHERE id = $3",
        );
        let fixed = IncidentStatus::Fixed.value();
        self.execute(update.bind(fixed).bind(now.as_millis()).bind(id.0)).await
    }

    /// Announces a maintenance, which readers see at once.
    ///
    /// # Errors
    /// See [`PageTables`]; also if one of the components does not exist.
    pub async fn announce(&self, new: &Announcement, now: Timestamp) -> Result<MaintenanceId, StoreError> {
        self.write(async |db| {
            let insert = sqlx::query_scalar(
                "INSERT INTO page_maintenance (title, message, begins_at_ms, ends_at_ms, created_at_ms, published_at_ms) \
                 VALUES ($1, $2, $3, $4, $5, $5) RETURNING id",
            );
            let id: i64 = insert
                .bind(&new.title)
                .bind(&new.message)
                .bind(new.begins_at.as_millis())
                .bind(new.ends_at.map(Timestamp::as_millis))
                .bind(now.as_millis())
                .fetch_one(&mut *db)
                .await?;
            insert_affected(db, AFFECT_BY_MAINTENANCE, id, &new.affected).await?;
            Ok(MaintenanceId(id))
        })
        .await
    }

    /// Changes a maintenance to what `new` says; what was said about it stays.
    ///
    /// # Errors
    /// See [`PageTables::announce`].
    pub async fn change_maintenance(&self, id: MaintenanceId, new: &Announcement) -> Result<bool, StoreError> {
        self.write(async |db| {
            let update = sqlx::query(
                "UPDATE page_maintenance SET title = $1, message = $2, begins_at_ms = $3, ends_at_ms = $4 WHERE id = $5",
            );
            let update = update
                .bind(&new.title)
                .bind(&new.message)
                .bind(new.begins_at.as_millis())
                .bind(new.ends_at.map(Timestamp::as_millis))
                .bind(id.0);
            if update.execute(&mut *db).await?.rows_affected() == 0 {
                return Ok(false);
            }
            sqlx::query("DELETE FROM page_affected WHERE maintenance_id = $1").bind(id.0).execute(&mut *db).await?;
            insert_affected(db, AFFECT_BY_MAINTENANCE, id.0, &new.affected).await?;
            Ok(true)
        })
        .await
    }

    /// Says something about a maintenance, and ends it at `ends_at` if one is given. One that begins later than that
    /// begins and ends at `ends_at`, so that none ends before it begins.
    ///
    /// # Errors
    /// See [`PageTables`].
    pub async fn update_maintenance(
        &self,
        id: MaintenanceId,
        message: &str,
        ends_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(async |db| {
            let update = sqlx::query(
                "UPDATE page_maintenance SET ends_at_ms = COALESCE($1, ends_at_ms), \
                 begins_at_ms = MIN(begins_at_ms, COALESCE($1, begins_at_ms)) WHERE id = $2",
            );
            let update = update.bind(ends_at.map(Timestamp::as_millis)).bind(id.0);
            if update.execute(&mut *db).await?.rows_affected() == 0 {
                return Ok(false);
            }
            let insert =
                sqlx::query("INSERT INTO page_updates (maintenance_id, message, created_at_ms) VALUES ($1, $2, $3)");
            insert.bind(id.0).bind(message).bind(now.as_millis()).execute(&mut *db).await?;
            Ok(true)
        })
        .await
    }
}

async fn maintenance(db: &mut SqliteConnection, now: Timestamp) -> Result<Vec<PlannedMaintenance>, StoreError> {
    let announced = sqlx::query(
        "SELECT * FROM page_maintenance WHERE ends_at_ms IS NULL OR ends_at_ms >= $1 ORDER BY begins_at_ms, id",
    );
    let announced = announced.bind(now.as_millis()).fetch_all(&mut *db).await?;
    if announced.is_empty() {
        return Ok(Vec::new());
    }
    let of = "maintenance_id IN (SELECT id FROM page_maintenance WHERE ends_at_ms IS NULL OR ends_at_ms >= $1)";
    let mut details = Details::read(db, "maintenance_id", of, (now.as_millis(), 0)).await?;
    announced.iter().map(|row| details.maintenance(row)).collect()
}

const AFFECT_BY_MAINTENANCE: &str =
    "INSERT INTO page_affected (maintenance_id, component_id, status) VALUES ($1, $2, $3)";

async fn insert_affected(
    db: &mut SqliteConnection,
    insert: &'static str,
    owner: i64,
    affected: &[AffectedStatus],
) -> Result<(), StoreError> {
    for AffectedStatus { component, status } in affected {
        sqlx::query(insert).bind(owner).bind(component.0).bind(status.value()).execute(&mut *db).await?;
    }
    Ok(())
}

async fn update_incident(
    db: &mut SqliteConnection,
    id: IncidentId,
    status: IncidentStatus,
    message: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if !set_incident_status(db, id, status, now).await? {
        return Ok(false);
    }
    let insert =
        sqlx::query("INSERT INTO page_updates (incident_id, status, message, created_at_ms) VALUES ($1, $2, $3, $4)");
    insert.bind(id.0).bind(status.value()).bind(message).bind(now.as_millis()).execute(db).await?;
    Ok(true)
}

/// An incident that is fixed already keeps the moment at which it was.
async fn set_incident_status(
    db: &mut SqliteConnection,
    id: IncidentId,
    status: IncidentStatus,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let update = sqlx::query(
        "UPDATE page_incidents SET status = $1, fixed_at_ms = CASE WHEN $2 THEN COALESCE(fixed_at_ms, $3) END \
         WHERE id = $4",
    );
    let update = update.bind(status.value()).bind(status == IncidentStatus::Fixed).bind(now.as_millis()).bind(id.0);
    Ok(update.execute(db).await?.rows_affected() > 0)
}

/// What incidents, or maintenance, are about and what was said of them, by their number.
#[derive(Default)]
struct Details {
    affected: HashMap<i64, Vec<AffectedStatus>>,
    updates: HashMap<i64, Vec<Update>>,
}

impl Details {
    /// Reads those of the incidents or the maintenance, told by the column `owner`, that a condition is about.
    async fn read(
        db: &mut SqliteConnection,
        owner: &'static str,
        condition: &'static str,
        (first, second): (i64, i64),
    ) -> Result<Self, StoreError> {
        let mut details = Self::default();
        let select = |table: &str, order: &str| {
            sqlx::AssertSqlSafe(format!("SELECT * FROM {table} WHERE {condition} ORDER BY {order}"))
        };
        let query = sqlx::query(select("page_affected", "component_id")).bind(first).bind(second);
        for row in query.fetch_all(&mut *db).await? {
            let component = ComponentId(row.try_get("component_id")?);
            let affected = AffectedStatus { component, status: status(&row)? };
            details.affected.entry(row.try_get(owner)?).or_default().push(affected);
        }
        let query = sqlx::query(select("page_updates", "created_at_ms, id")).bind(first).bind(second);
        for row in query.fetch_all(&mut *db).await? {
            let number: Option<i64> = row.try_get("status")?;
            let status = number.map(incident_status).transpose()?;
            let update = Update { status, message: row.try_get("message")?, at: timestamp(&row, "created_at_ms")? };
            details.updates.entry(row.try_get(owner)?).or_default().push(update);
        }
        Ok(details)
    }

    fn incident(&mut self, row: &SqliteRow) -> Result<Incident, StoreError> {
        let id = row.try_get("id")?;
        Ok(Incident {
            id: IncidentId(id),
            title: row.try_get("title")?,
            message: row.try_get("message")?,
            status: incident_status(row.try_get("status")?)?,
            visible: row.try_get("visible")?,
            key: row.try_get("outage_key")?,
            opened_for: row.try_get("opened_for")?,
            began_at: timestamp(row, "began_at_ms")?,
            created_at: timestamp(row, "created_at_ms")?,
            published_at: timestamp(row, "published_at_ms")?,
            fixed_at: optional_timestamp(row, "fixed_at_ms")?,
            affected: self.affected.remove(&id).unwrap_or_default(),
            updates: self.updates.remove(&id).unwrap_or_default(),
        })
    }

    fn maintenance(&mut self, row: &SqliteRow) -> Result<PlannedMaintenance, StoreError> {
        let id = row.try_get("id")?;
        Ok(PlannedMaintenance {
            id: MaintenanceId(id),
            title: row.try_get("title")?,
            message: row.try_get("message")?,
            begins_at: timestamp(row, "begins_at_ms")?,
            ends_at: optional_timestamp(row, "ends_at_ms")?,
            created_at: timestamp(row, "created_at_ms")?,
            published_at: timestamp(row, "published_at_ms")?,
            affected: self.affected.remove(&id).unwrap_or_default(),
            updates: self.updates.remove(&id).unwrap_or_default(),
        })
    }
}

fn group(row: &SqliteRow) -> Result<Group, StoreError> {
    Ok(Group {
        id: GroupId(row.try_get("id")?),
        name: row.try_get("name")?,
        title: row.try_get("title")?,
        position: position(row)?,
        visible: row.try_get("visible")?,
        folded: row.try_get("folded")?,
        managed: row.try_get("managed")?,
    })
}

fn component(row: &SqliteRow) -> Result<Component, StoreError> {
    Ok(Component {
        id: ComponentId(row.try_get("id")?),
        name: row.try_get("name")?,
        title: row.try_get("title")?,
        description: row.try_get("description")?,
        status: status(row)?,
        position: position(row)?,
        visible: row.try_get("visible")?,
        group: row.try_get::<Option<i64>, _>("group_id")?.map(GroupId),
        managed: row.try_get("managed")?,
    })
}

/// Out of range, it comes first or last.
fn position(row: &SqliteRow) -> Result<u32, StoreError> {
    let position: i64 = row.try_get("position")?;
    Ok(u32::try_from(position.max(0)).unwrap_or(u32::MAX))
}

fn status(row: &SqliteRow) -> Result<ComponentStatus, StoreError> {
    let number: i64 = row.try_get("status")?;
    ComponentStatus::from_value(number).ok_or_else(|| corrupt(number))
}

fn incident_status(number: i64) -> Result<IncidentStatus, StoreError> {
    IncidentStatus::from_value(number).ok_or_else(|| corrupt(number))
}

fn corrupt(status: i64) -> StoreError {
    StoreError::Corrupt { what: format!("the status {status} on the built-in page") }
}
