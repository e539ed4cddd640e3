//! The page that customers read: what guests may see, as HTML without a single outside resource.
//!
//! The HTML says only what the store says, never when it was asked: so it changes exactly when something happened (that
//! announced maintenance begins or ends is such a thing), its ETag is true, and the script that refreshes the page has something to compare.

mod maintenance;
mod past;

use std::collections::HashMap;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::core::status::{ComponentStatus, IncidentStatus};
use crate::core::time::Timestamp;

use super::components::{self, Component, Impacts};
use super::document;
use super::groups::{self, Group};
use super::incidents::{self, Incident};
use super::request::Viewer;
use super::{EmbeddedPage, NO_SNIFFING, times, updates};

/// The page's name.
const NAME: &str = "System status";

/// How many affected components the headline names.
const NAMED_MAX: usize = 3;

/// Nothing but what we serve ourselves, nowhere else to send anything to, and nobody may frame it.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

/// `GET /`.
pub async fn page(State(page): State<EmbeddedPage>, headers: HeaderMap) -> Response {
    let html = match render(&page).await {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "the embedded page could not be made");
            return (StatusCode::INTERNAL_SERVER_ERROR, "The status cannot be shown at the moment.").into_response();
        }
    };
    let etag = etag_of(&html);
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == etag);
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { Html(html).into_response() };
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::ETAG, etag),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        NO_SNIFFING,
    ];
    response.headers_mut().extend(headers);
    response
}

/// A state as it is shown: by colour, by sign and by word, so that no one of them is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tone {
    /// The name of its class in the style sheet, and of its icon.
    pub key: &'static str,
    /// The colour of its icon; white on it has a contrast of at least 4.5.
    pub colour: &'static str,
    /// Its sign, as an SVG path on a field of 16 by 16.
    pub sign: &'static str,
}

const OPERATIONAL: Tone = Tone { key: "operational", colour: "#1a7f4b", sign: "M4.75 8.25l2.25 2.25 4.25-4.75" };
const PERFORMANCE: Tone = Tone { key: "performance", colour: "#8a5a00", sign: "M8 4.5v4l2.5 1.75" };
const PARTIAL: Tone = Tone { key: "partial", colour: "#b3470f", sign: "M8 4.25v4.5M8 11.5v.01" };
const MAJOR: Tone = Tone { key: "major", colour: "#c0262d", sign: "M5.25 5.25l5.5 5.5M10.75 5.25l-5.5 5.5" };
const MAINTENANCE: Tone = Tone { key: "maintenance", colour: "#2559b8", sign: "M6 5v6M10 5v6" };
const UNKNOWN: Tone =
    Tone { key: "unknown", colour: "#5a6472", sign: "M6 6.25a2 2 0 1 1 2.75 1.9C8.25 8.4 8 8.6 8 9.25M8 11.75v.01" };

/// Every tone, for the icons.
pub const TONES: [Tone; 6] = [OPERATIONAL, PERFORMANCE, PARTIAL, MAJOR, MAINTENANCE, UNKNOWN];

/// Everything that the page says.
#[derive(Serialize)]
struct Content {
    name: &'static str,
    state: Overall,
    sections: Vec<Section>,
    open: Vec<Report>,
    maintenance: maintenance::Maintenance,
    past: Vec<past::Stretch>,
}

/// The state of everything together.
#[derive(Serialize)]
struct Overall {
    tone: Tone,
    headline: &'static str,
    detail: String,
}

/// A group, or the components that are in none.
#[derive(Serialize)]
struct Section {
    id: String,
    name: Option<String>,
    folded: bool,
    tone: Tone,
    word: &'static str,
    components: Vec<Line>,
}

/// A component.
#[derive(Serialize)]
struct Line {
    name: String,
    description: Option<String>,
    /// Until when a person says so, and not the monitoring.
    held_until: Option<Moment>,
    tone: Tone,
    word: &'static str,
}

/// An incident with all that was said about it, the newest first.
#[derive(Serialize)]
struct Report {
    id: i64,
    name: String,
    tone: Tone,
    word: &'static str,
    components: Vec<String>,
    began: Moment,
    /// How long it lasted; none: it is open.
    lasted: Option<String>,
    entries: Vec<Entry>,
}

/// One thing that was said.
#[derive(Debug, Serialize)]
struct Entry {
    word: &'static str,
    at: Moment,
    paragraphs: Vec<String>,
}

/// A moment for readers and for the script, which tells it in the reader's own time.
#[derive(Debug, Serialize)]
struct Moment {
    text: String,
    iso: String,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the store could not be read ({0}): check its disk and permissions")]
    Store(#[from] sqlx::Error),
    #[error("the template does not fit its content ({0}): this is a fault of the program, please report it")]
    Template(#[from] minijinja::Error),
}

async fn render(page: &EmbeddedPage) -> Result<String, Failure> {
    let mut transaction = page.store.reader().begin().await?;
    let content = read(&mut transaction, page.now()).await?;
    drop(transaction);
    // by its name the template is HTML, so whatever is put into it is escaped
    let page = include_str!("page.html");
    Ok(minijinja::Environment::new().render_named_str("page.html", page, minijinja::value::Serde(content))?)
}

async fn read(db: &mut SqliteConnection, now: Timestamp) -> Result<Content, sqlx::Error> {
    let impacts = components::impacts(db, now).await?;
    let components = components::for_guests(db).await?;
    let holds = holds(db, now).await?;
    let groups = groups::for_guests(db).await?;
    let (mut open, mut open_since, mut fixed) = (Vec::new(), None, Vec::new());
    for incident in incidents::for_guests(db, past::first_day(now), now).await? {
        let report = report(db, &incident).await?;
        if incident.status == IncidentStatus::Fixed {
            fixed.push((incident.began_at(), report));
        } else {
            // the newest comes first, so the last one seen is the oldest
            open_since = Some(incident.began_at());
            open.push(report);
        }
    }
    Ok(Content {
        name: NAME,
        state: state(&components, &impacts, open.len()),
        sections: sections(groups, &components, &impacts, &holds),
        open,
        maintenance: maintenance::read(db, now).await?,
        past: past::by_day(fixed, open_since, now),
    })
}

/// The headline is that of the worst component.
fn state(components: &[Component], impacts: &Impacts, open_incidents: usize) -> Overall {
    let worst =
        components.iter().map(|component| component.latest_status(impacts)).max_by_key(|status| status.severity());
    let Some(worst) = worst else {
        return Overall {
            tone: UNKNOWN,
            headline: "Nothing to show yet",
            detail: "No components are set up.".to_owned(),
        };
    };
    // What nobody knows of is not affected: it is named only where there is nothing worse to say.
    let is_named = |status: ComponentStatus| match (status, worst) {
        (ComponentStatus::Operational, _) => false,
        (ComponentStatus::Unknown, worst) => worst == ComponentStatus::Unknown,
        _ => true,
    };
    let named = components.iter().filter(|component| is_named(component.latest_status(impacts)));
    let affected: Vec<&str> = named.map(|component| component.name.as_str()).collect();
    let (all, some) = match worst {
        ComponentStatus::Unknown => ("components are not known at the moment", "Not known at the moment"),
        _ => ("components are affected", "Affected"),
    };
    let headline = match worst {
        ComponentStatus::Operational => "All systems operational",
        ComponentStatus::PerformanceIssues => "Degraded performance",
        ComponentStatus::PartialOutage => "Partial outage",
        ComponentStatus::MajorOutage => "Major outage",
        ComponentStatus::Unknown => "Status unknown",
        ComponentStatus::UnderMaintenance => "Under maintenance",
    };
    let detail = match (affected.len(), open_incidents) {
        (0, 0) => "No open incidents.".to_owned(),
        (0, 1) => "One incident is still being worked on.".to_owned(),
        (0, count) => format!("{count} incidents are still being worked on."),
        (count, _) if count == components.len() && count > 1 => format!("All {count} {all}."),
        (count, _) if count <= NAMED_MAX => format!("{some}: {}.", affected.join(", ")),
        (count, _) => format!("{some}: {} and {} more.", affected[..NAMED_MAX].join(", "), count - NAMED_MAX),
    };
    Overall { tone: tone(worst), headline, detail }
}

/// Groups in their order, then what is in none. A group without anything to show is left out.
fn sections(groups: Vec<Group>, components: &[Component], impacts: &Impacts, holds: &Holds) -> Vec<Section> {
    let section = |id: String, name: Option<String>, collapsed: Option<i64>, group: Option<i64>| {
        let members: Vec<&Component> = components.iter().filter(|component| component.group == group).collect();
        let statuses = members.iter().map(|component| component.latest_status(impacts));
        let worst = statuses.max_by_key(|status| status.severity())?;
        // where folding was asked for, it never hides that something is wrong
        let folded = collapsed.is_some_and(|collapsed| collapsed > 0) && worst == ComponentStatus::Operational;
        let components = members.into_iter().map(|component| line(component, impacts, holds)).collect();
        Some(Section { id, name, folded, tone: tone(worst), word: document::component_word(worst), components })
    };
    let named = groups
        .into_iter()
        .filter_map(|group| section(format!("group-{}", group.id), Some(group.name), group.collapsed, Some(group.id)));
    let mut sections: Vec<Section> = named.collect();
    let title = (!sections.is_empty()).then(|| "Other".to_owned());
    sections.extend(section("group-none".to_owned(), title, None, None));
    sections
}

/// Until when operators hold components, by name.
type Holds = HashMap<String, Timestamp>;

/// The holds that count at `now`. Who holds a component, and why, is nobody's business here.
async fn holds(db: &mut SqliteConnection, now: Timestamp) -> Result<Holds, sqlx::Error> {
    let query = "SELECT component, until_ms FROM holds WHERE until_ms > $1";
    let rows = sqlx::query(query).bind(now.as_millis()).fetch_all(db).await?;
    let hold = |row: &SqliteRow| Ok((row.try_get("component")?, document::moment(row, "until_ms")?));
    rows.iter().map(hold).collect()
}

fn line(component: &Component, impacts: &Impacts, holds: &Holds) -> Line {
    let status = component.latest_status(impacts);
    Line {
        held_until: holds.get(&component.name).map(|until| Moment::of(*until)),
        name: component.name.clone(),
        description: component.description.clone(),
        tone: tone(status),
        word: document::component_word(status),
    }
}

async fn report(db: &mut SqliteConnection, incident: &Incident) -> Result<Report, sqlx::Error> {
    let attached = components::of_incident(db, incident.id, Viewer::Guest).await?;
    let updates = updates::of_incident(db, incident.id).await?;
    let fixed_at = updates.iter().rev().find(|update| update.status == IncidentStatus::Fixed);
    let ended = fixed_at.map_or(incident.updated_at, |update| update.created_at);
    let mut entries: Vec<Entry> =
        updates.iter().rev().map(|update| entry(update.status.word(), update.created_at, &update.message)).collect();
    entries.push(entry("Reported", incident.created_at, &incident.message));
    let worst = attached.iter().map(|(_, impact)| *impact).max_by_key(|impact| impact.severity());
    let is_fixed = incident.status == IncidentStatus::Fixed;
    Ok(Report {
        id: incident.id,
        name: incident.name.clone(),
        tone: if is_fixed { OPERATIONAL } else { worst.map_or(PARTIAL, tone) },
        word: incident.status.word(),
        components: attached.into_iter().map(|(component, _)| component.name).collect(),
        began: Moment::of(incident.began_at()),
        lasted: is_fixed.then(|| times::duration(incident.began_at(), ended)),
        entries,
    })
}

fn entry(word: &'static str, at: Timestamp, message: &str) -> Entry {
    let paragraphs = message.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
    Entry { word, at: Moment::of(at), paragraphs: paragraphs.map(str::to_owned).collect() }
}

impl Moment {
    fn of(moment: Timestamp) -> Self {
        let zoned = times::zoned(moment);
        Self {
            text: zoned.strftime("%-d %b %Y, %H:%M UTC").to_string(),
            iso: zoned.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }
    }
}

fn tone(status: ComponentStatus) -> Tone {
    match status {
        ComponentStatus::Operational => OPERATIONAL,
        ComponentStatus::PerformanceIssues => PERFORMANCE,
        ComponentStatus::PartialOutage => PARTIAL,
        ComponentStatus::MajorOutage => MAJOR,
        ComponentStatus::Unknown => UNKNOWN,
        ComponentStatus::UnderMaintenance => MAINTENANCE,
    }
}

fn etag_of(html: &str) -> HeaderValue {
    let digest: String = Sha256::digest(html).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}
