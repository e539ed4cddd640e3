//! Lists: paging, filters, sorts and includes, and the refusal of those that are not allowed.

use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::answer::Refusal;
use super::request::{Call, Query};

/// The default size of a page.
const PER_PAGE: i64 = 15;

/// The largest size of a page; more is cut to it.
const PER_PAGE_MAX: i64 = 100;

/// The includes, filters and sorts of one kind of list.
pub struct Rules {
    /// Names for `include`, with those that Cachet's query builder allows beside them.
    pub includes: &'static [&'static str],
    /// Names for `filter[…]`.
    pub filters: &'static [&'static str],
    /// Names for `sort`, and the SQL that they stand for.
    pub sorts: &'static [(&'static str, &'static str)],
    /// The order if none is asked for.
    pub default_order: &'static str,
}

/// The requested includes.
#[derive(Debug)]
pub struct Includes(Vec<String>);

impl Includes {
    /// Whether `name` was asked for.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|include| include == name)
    }
}

impl Rules {
    /// The includes that the query requests.
    pub fn includes(&self, query: &Query) -> Result<Includes, Refusal> {
        let asked = listed(query.value("include").unwrap_or(""));
        let unknown: Vec<&str> = asked.iter().copied().filter(|name| !self.includes.contains(name)).collect();
        if unknown.is_empty() {
            return Ok(Includes(asked.into_iter().map(str::to_owned).collect()));
        }
        Err(Refusal::BadRequest(format!(
            "Requested include(s) `{}` are not allowed. Allowed include(s) are `{}`.",
            unknown.join(", "),
            self.includes.join(", "),
        )))
    }

    /// Refuses filters that do not exist.
    pub fn check_filters(&self, query: &Query) -> Result<(), Refusal> {
        let mut unknown: Vec<&str> =
            query.members("filter").map(|(name, ..)| name).filter(|name| !self.filters.contains(name)).collect();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        Err(Refusal::BadRequest(format!(
            "Requested filter(s) `{}` are not allowed. Allowed filter(s) are `{}`.",
            unknown.join(", "),
            self.filters.join(", "),
        )))
    }

    /// The SQL of the order that `sort` asks for; ties are in the order of their ids.
    fn order(&self, query: &Query) -> Result<String, Refusal> {
        let asked = listed(query.value("sort").unwrap_or(""));
        if asked.is_empty() {
            return Ok(self.default_order.to_owned());
        }
        let (mut order, mut unknown) = (String::new(), Vec::new());
        for sort in asked {
            let (name, direction) = sort.strip_prefix('-').map_or((sort, "ASC"), |name| (name, "DESC"));
            match self.sorts.iter().find(|(known, _)| *known == name) {
                Some((_, sql)) => order.push_str(&format!("{sql} {direction}, ")),
                None => unknown.push(name),
            }
        }
        if unknown.is_empty() {
            return Ok(order + "id");
        }
        let allowed: Vec<&str> = self.sorts.iter().map(|(name, _)| *name).collect();
        Err(Refusal::BadRequest(format!(
            "Requested sort(s) `{}` is not allowed. Allowed sort(s) are `{}`.",
            unknown.join(", "),
            allowed.join(", "),
        )))
    }

    /// The page of the list that was asked for: `select` ends in its conditions, `read` reads a row.
    pub async fn page<T>(
        &self,
        db: &mut SqliteConnection,
        call: &Call,
        mut select: QueryBuilder<Sqlite>,
        read: impl Fn(&SqliteRow) -> Result<T, sqlx::Error>,
    ) -> Result<(Vec<T>, Value), Refusal> {
        let paging = Paging::asked_for(&call.query);
        select.push(" ORDER BY ").push(self.order(&call.query)?);
        select.push(" LIMIT ").push_bind(paging.size + 1).push(" OFFSET ").push_bind(paging.offset());
        let rows = select.build().fetch_all(db).await?;
        let size = usize::try_from(paging.size).unwrap_or(usize::MAX);
        let has_next = rows.len() > size;
        let items: Vec<T> = rows.iter().take(size).map(read).collect::<Result<_, _>>()?;
        let frame = paging.frame(&call.url, i64::try_from(items.len()).unwrap_or(0), has_next);
        Ok((items, frame))
    }
}

/// Which page of a list.
struct Paging {
    number: i64,
    size: i64,
}

impl Paging {
    /// `page` and `per_page`, read as PHP reads numbers: what is none is 0, and cut to what is allowed.
    fn asked_for(query: &Query) -> Self {
        let number = query.value("page").map_or(1, |page| page.parse().unwrap_or(0)).max(1);
        let size = query.value("per_page").map_or(PER_PAGE, |size| size.parse().unwrap_or(0)).clamp(1, PER_PAGE_MAX);
        Self { number, size }
    }

    fn offset(&self) -> i64 {
        (self.number - 1).saturating_mul(self.size)
    }

    /// `links` and `meta`. The links carry no filter, sort or size, as Cachet's do not.
    fn frame(&self, url: &str, count: i64, has_next: bool) -> Value {
        let link = |number: i64| format!("{url}?page={number}");
        let mut links = json!({ "first": link(1) });
        if self.number > 1 {
            links["prev"] = link(self.number - 1).into();
        }
        if has_next {
            links["next"] = link(self.number + 1).into();
        }
        let from = (count > 0).then(|| self.offset() + 1);
        let meta = json!({
            "current_page": self.number,
            "current_page_url": link(self.number),
            "from": from,
            "path": url,
            "per_page": self.size,
            "to": from.map(|from| from + count - 1),
        });
        json!({ "links": links, "meta": meta })
    }
}

/// Applies `filter[name]`: names that contain one of the texts, ignoring case.
pub fn by_name(select: &mut QueryBuilder<Sqlite>, query: &Query) {
    let parts = listed(query.member("filter", "name").unwrap_or(""));
    if parts.is_empty() {
        return;
    }
    let mut any = select.push(" AND (").separated(" OR ");
    for part in parts {
        any.push("name_folded LIKE ").push_bind_unseparated(format!("%{}%", escaped(&part.to_lowercase())));
        any.push_unseparated(" ESCAPE '\\'");
    }
    select.push(")");
}

/// Applies `filter[name]` to a column of numbers. A text that is not a number matches nothing.
pub fn by_number(select: &mut QueryBuilder<Sqlite>, query: &Query, name: &str, column: &str) {
    let asked = listed(query.member("filter", name).unwrap_or(""));
    if asked.is_empty() {
        return;
    }
    let mut any = select.push(format!(" AND {column} IN (")).separated(", ");
    for value in asked {
        let number = match value {
            "true" => Some(1),
            "false" => Some(0),
            value => value.parse::<i64>().ok(),
        };
        any.push_bind(number);
    }
    select.push(")");
}

/// Applies `filter[meta][key]`; the number 3 and the text "3" are equal.
pub fn by_meta(select: &mut QueryBuilder<Sqlite>, query: &Query, kind: &'static str, table: &str) {
    for (filter, path, value) in query.members("filter") {
        let ("meta", [key]) = (filter, path) else { continue };
        select.push(format!(" AND EXISTS (SELECT 1 FROM meta WHERE owner_id = {table}.id AND kind = "));
        select.push_bind(kind).push(" AND meta.name = ").push_bind(key.clone());
        let mut any = select.push(" AND matched IN (").separated(", ");
        for value in value.split(',') {
            any.push_bind(value.to_owned());
        }
        select.push("))");
    }
}

/// The parts of a comma-separated list, without empty ones.
fn listed(text: &str) -> Vec<&str> {
    text.split(',').filter(|part| !part.is_empty()).collect()
}

/// Escapes the wildcards of LIKE.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
