//! List, read and delete, which are the same for all kinds of records. [`Record`] holds the differences.

use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Sqlite, SqliteConnection};

use super::answer::{Answer, Refusal};
use super::components::{self, Impacts};
use super::document::{self, Included, Resource};
use super::list::{self, Includes, Rules};
use super::meta;
use super::request::Call;

/// A kind of record.
pub trait Record: Sized {
    /// Its type in documents, and the kind of its ids and meta.
    const KIND: &'static str;

    /// Its table.
    const TABLE: &'static str;

    /// The name of Cachet's class, for 404.
    const MODEL: &'static str;

    /// The includes, filters and sorts of its list.
    const RULES: Rules;

    /// The record that its path is below: the incident of an update; `()` if there is none.
    type Owner;

    /// Its number.
    fn id(&self) -> i64;

    /// The query for the records that the caller may see. It ends with a condition, so `AND` can follow.
    fn visible(call: &Call, owner: &Self::Owner) -> QueryBuilder<Sqlite>;

    /// Applies the filters, without the one by meta.
    fn narrow(select: &mut QueryBuilder<Sqlite>, call: &Call);

    /// Reads a row.
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error>;

    /// Its resource of a document, with the includes of this kind.
    async fn show(
        &self,
        owner: &Self::Owner,
        draft: &mut Draft<'_>,
        db: &mut SqliteConnection,
    ) -> Result<Resource, Refusal>;
}

/// A document that is being built.
pub struct Draft<'a> {
    /// The call that is answered.
    pub call: &'a Call,
    /// The requested includes.
    pub includes: Includes,
    /// The resources included so far.
    pub included: Included,
    impacts: Option<Arc<Impacts>>,
}

impl<'a> Draft<'a> {
    /// An empty document for a call; refused if it requests an unknown include.
    fn begun(call: &'a Call, rules: &Rules) -> Result<Self, Refusal> {
        let includes = rules.includes(&call.query)?;
        Ok(Self { call, includes, included: Included::default(), impacts: None })
    }

    /// The impacts on components, read once per document.
    pub async fn impacts(&mut self, db: &mut SqliteConnection) -> Result<Arc<Impacts>, sqlx::Error> {
        if let Some(known) = &self.impacts {
            return Ok(known.clone());
        }
        let impacts = Arc::new(components::impacts(db, self.call.now).await?);
        Ok(self.impacts.insert(impacts).clone())
    }
}

/// Answers `GET` of a list.
pub async fn list<T: Record>(call: &Call, db: &mut SqliteConnection, owner: &T::Owner) -> Result<Answer, Refusal> {
    let mut draft = Draft::begun(call, &T::RULES)?;
    T::RULES.check_filters(&call.query)?;
    let mut select = T::visible(call, owner);
    T::narrow(&mut select, call);
    list::by_meta(&mut select, &call.query, T::KIND, T::TABLE);
    let (records, frame) = T::RULES.page(db, call, select, T::read).await?;
    let mut resources = Vec::with_capacity(records.len());
    for record in &records {
        resources.push(shown(record, owner, &mut draft, db).await?);
    }
    Ok(Answer::Document(document::list(resources, draft.included, frame, &call.query)))
}

/// Answers `GET` of one record.
pub async fn show<T: Record>(
    call: &Call,
    db: &mut SqliteConnection,
    owner: &T::Owner,
    id: &str,
) -> Result<Answer, Refusal> {
    let record: T = find(call, db, owner, id).await?;
    let mut draft = Draft::begun(call, &T::RULES)?;
    let resource = shown(&record, owner, &mut draft, db).await?;
    Ok(Answer::Document(document::single(resource, draft.included, &call.query)))
}

/// Answers `GET` of a list below `owner`.
pub async fn list_under<T: Record<Owner: Record<Owner = ()>>>(
    call: &Call,
    db: &mut SqliteConnection,
    owner: &str,
) -> Result<Answer, Refusal> {
    let owner = find(call, db, &(), owner).await?;
    list::<T>(call, db, &owner).await
}

/// Answers `GET` of one record below `owner`.
pub async fn show_under<T: Record<Owner: Record<Owner = ()>>>(
    call: &Call,
    db: &mut SqliteConnection,
    owner: &str,
    id: &str,
) -> Result<Answer, Refusal> {
    let owner = find(call, db, &(), owner).await?;
    show::<T>(call, db, &owner, id).await
}

/// Its resource of a document, with all includes. Kinds without user or meta refuse these includes by their rules.
async fn shown<T: Record>(
    record: &T,
    owner: &T::Owner,
    draft: &mut Draft<'_>,
    db: &mut SqliteConnection,
) -> Result<Resource, Refusal> {
    let mut resource = record.show(owner, draft, db).await?;
    if draft.includes.has("user") {
        // there are no accounts
        resource.relate_one("user", "users", None);
    }
    if draft.includes.has("meta") {
        meta::show(db, &mut resource).await?;
    }
    Ok(resource)
}

/// Answers `DELETE` of a record without an owner. Records below it are deleted with it.
pub async fn delete<T: Record<Owner = ()>>(
    call: &Call,
    db: &mut SqliteConnection,
    id: &str,
) -> Result<Answer, Refusal> {
    let record: T = find(call, db, &(), id).await?;
    meta::remove(db, T::KIND, record.id()).await?;
    let delete = format!("DELETE FROM {} WHERE id = ?", T::TABLE);
    sqlx::query(AssertSqlSafe(delete)).bind(record.id()).execute(db).await?;
    Ok(Answer::Nothing)
}

/// The record with this id, if the caller may see it.
pub async fn find<T: Record>(call: &Call, db: &mut SqliteConnection, owner: &T::Owner, id: &str) -> Result<T, Refusal> {
    let mut select = T::visible(call, owner);
    select.push(" AND id = ").push_bind(id.parse::<i64>().ok());
    match select.build().fetch_optional(db).await? {
        Some(row) => Ok(T::read(&row)?),
        None => Err(document::not_found(T::MODEL, id)),
    }
}
