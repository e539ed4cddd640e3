//! What calls about every kind of thing have in common: its lists, one of them, and its end. The kinds differ in nothing
//! but what [`Kept`] says.

use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Sqlite, SqliteConnection};

use super::answer::{Answer, Refusal};
use super::components::{self, Impacts};
use super::document::{self, Included, Resource};
use super::list::{self, Includes, Rules};
use super::meta;
use super::request::Call;

/// A kind of thing that the page keeps and the API shows.
pub trait Kept: Sized {
    /// Its type in documents, and the kind of its ids and meta.
    const KIND: &'static str;

    /// The table that it is kept in.
    const TABLE: &'static str;

    /// What Cachet calls it where it finds none.
    const MODEL: &'static str;

    /// What may be asked of a list of it.
    const RULES: Rules;

    /// What it is called under: an update's incident; `()` for what stands for itself.
    type Owner;

    /// Its number.
    fn id(&self) -> i64;

    /// The beginning of a query for those that the caller may see: up to a first condition, so that `AND` can follow.
    fn visible(call: &Call, owner: &Self::Owner) -> QueryBuilder<Sqlite>;

    /// Narrows a list to what its filters ask for, that by meta aside.
    fn narrow(select: &mut QueryBuilder<Sqlite>, call: &Call);

    /// From its row.
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error>;

    /// For a document, together with what shall come along of its own kind.
    async fn show(
        &self,
        owner: &Self::Owner,
        draft: &mut Draft<'_>,
        db: &mut SqliteConnection,
    ) -> Result<Resource, Refusal>;
}

/// A document in the making.
pub struct Draft<'a> {
    /// The call that it answers.
    pub call: &'a Call,
    /// What shall come along.
    pub includes: Includes,
    /// What does, so far.
    pub included: Included,
    impacts: Option<Arc<Impacts>>,
}

impl<'a> Draft<'a> {
    /// For a call about things with these rules; refused if it asks for something to come along that cannot.
    fn begun(call: &'a Call, rules: &Rules) -> Result<Self, Refusal> {
        let includes = rules.includes(&call.query)?;
        Ok(Self { call, includes, included: Included::default(), impacts: None })
    }

    /// What incidents and maintenance do to components: read once for the whole document.
    pub async fn impacts(&mut self, db: &mut SqliteConnection) -> Result<Arc<Impacts>, sqlx::Error> {
        if let Some(known) = &self.impacts {
            return Ok(known.clone());
        }
        let impacts = Arc::new(components::impacts(db, self.call.now).await?);
        Ok(self.impacts.insert(impacts).clone())
    }
}

/// Answers `GET` of a list.
pub async fn list<T: Kept>(call: &Call, db: &mut SqliteConnection, owner: &T::Owner) -> Result<Answer, Refusal> {
    let mut draft = Draft::begun(call, &T::RULES)?;
    T::RULES.check_filters(&call.query)?;
    let mut select = T::visible(call, owner);
    T::narrow(&mut select, call);
    list::by_meta(&mut select, &call.query, T::KIND, T::TABLE);
    let (things, frame) = T::RULES.page(db, call, select, T::read).await?;
    let mut resources = Vec::with_capacity(things.len());
    for thing in &things {
        resources.push(shown(thing, owner, &mut draft, db).await?);
    }
    Ok(Answer::Document(document::list(resources, draft.included, frame, &call.query)))
}

/// Answers `GET` of one thing.
pub async fn show<T: Kept>(
    call: &Call,
    db: &mut SqliteConnection,
    owner: &T::Owner,
    id: &str,
) -> Result<Answer, Refusal> {
    let thing: T = find(call, db, owner, id).await?;
    let mut draft = Draft::begun(call, &T::RULES)?;
    let resource = shown(&thing, owner, &mut draft, db).await?;
    Ok(Answer::Document(document::single(resource, draft.included, &call.query)))
}

/// Answers `GET` of a list of what is called under `owner`.
pub async fn list_under<T: Kept<Owner: Kept<Owner = ()>>>(
    call: &Call,
    db: &mut SqliteConnection,
    owner: &str,
) -> Result<Answer, Refusal> {
    let owner = find(call, db, &(), owner).await?;
    list::<T>(call, db, &owner).await
}

/// Answers `GET` of one thing that is called under `owner`.
pub async fn show_under<T: Kept<Owner: Kept<Owner = ()>>>(
    call: &Call,
    db: &mut SqliteConnection,
    owner: &str,
    id: &str,
) -> Result<Answer, Refusal> {
    let owner = find(call, db, &(), owner).await?;
    show::<T>(call, db, &owner, id).await
}

/// For a document, with all that shall come along. That a kind has no user or meta, its rules say.
async fn shown<T: Kept>(
    thing: &T,
    owner: &T::Owner,
    draft: &mut Draft<'_>,
    db: &mut SqliteConnection,
) -> Result<Resource, Refusal> {
    let mut resource = thing.show(owner, draft, db).await?;
    if draft.includes.has("user") {
        // nobody has an account here
        resource.relate_one("user", "users", None);
    }
    if draft.includes.has("meta") {
        meta::show(db, &mut resource).await?;
    }
    Ok(resource)
}

/// Answers `DELETE` of what stands for itself; what is called under it goes with it.
pub async fn delete<T: Kept<Owner = ()>>(call: &Call, db: &mut SqliteConnection, id: &str) -> Result<Answer, Refusal> {
    let thing: T = find(call, db, &(), id).await?;
    meta::remove(db, T::KIND, thing.id()).await?;
    let delete = format!("DELETE FROM {} WHERE id = ?", T::TABLE);
    sqlx::query(AssertSqlSafe(delete)).bind(thing.id()).execute(db).await?;
    Ok(Answer::Nothing)
}

/// The thing that the caller means, if the caller may see it.
pub async fn find<T: Kept>(call: &Call, db: &mut SqliteConnection, owner: &T::Owner, id: &str) -> Result<T, Refusal> {
    let mut select = T::visible(call, owner);
    select.push(" AND id = ").push_bind(id.parse::<i64>().ok());
    match select.build().fetch_optional(db).await? {
        Some(row) => Ok(T::read(&row)?),
        None => Err(document::not_found(T::MODEL, id)),
    }
}
