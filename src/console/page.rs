//! The status page that the server serves itself: what is on it, and the forms with which operators edit it.
//!
//! | file | what is there |
//! | --- | --- |
//! | `page/edit` | what can be done, the checks of what was typed, and what becomes of a form |
//! | `page/meaning` | what a change means, before and after it is done |
//!
//! All edits go the same way: GET shows the form, POST shows what it means, and a second POST (`step=do`) does it. The form
//! says what it has seen; if that is another one by then, nothing is done and it is asked again. Nothing else writes
//! components' titles, places and visibility, or maintenance, so it is enough that one edit is made at a time; an update of
//! an incident is compared with what was seen in the transaction that writes it, because the reconciler writes incidents.

mod edit;
mod meaning;

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::value::{Serde, merge_maps};
use minijinja::{Value, context};
use serde_json::json;

use self::edit::{
    Change, Edit, EditKind, Fault, INCIDENT_STATUSES, Known, MESSAGE_LIMIT_BYTES, Part, TITLE_LIMIT, field_of, filled,
    listed, typed,
};
use super::api::known;
use super::gate::{Forged, Form, Visit};
use super::{Console, Failure};
use crate::core::builtin::{AffectedStatus, Component, Content, Update};
use crate::core::explain::StatusWord;
use crate::core::observed::{ComponentId, GroupId};
use crate::core::status::IncidentStatus;
use crate::log::Line;
use crate::settings::Settings;
use crate::store::{ComponentChange, GroupChange, PageTables, StoreError};

/// The longest form that is taken: a message, each byte of which may be sent as three, and a field for each component.
pub(super) const FORM_LIMIT_BYTES: usize = 256 * 1024;

/// For how long incidents are listed after they began.
const LISTED: Duration = Duration::from_secs(14 * 24 * 3600);

/// `GET /console/page`.
pub(super) async fn list(visit: Visit) -> Response {
    let page = async {
        let state = match state(&visit.console).await {
            // Where a Cachet is driven.
            Err(Failure::NotFound(_)) => None,
            state => Some(Serde(state?)),
        };
        let content = context! { title => "Status page", on_page => true, done => visit.query.get("done"), state };
        visit.page("page.html", StatusCode::OK, content)
    };
    visit.answer(page.await)
}

/// The content of the page, as the read API tells it and the list shows it: groups and components in the order of the page,
/// without the targets' own; incidents that are open, or began or were fixed in the last 14 days; maintenance that is not over.
pub(super) async fn state(console: &Console) -> Result<serde_json::Value, Failure> {
    let now = console.parts.clock.now();
    let content = content(console, tables(console)?).await?;
    let shown = content.shown_statuses(now);
    let status = |status| json!(StatusWord::from(status));
    let word = |value: u8, word: &str| json!({ "value": value, "word": word });
    let of_incident = |status: IncidentStatus| word(status.value(), status.word());
    let affected = |one: &AffectedStatus| {
        let component = content.components.iter().find(|component| component.id == one.component)?;
        Some(json!({ "id": component.id, "name": component.shown_name(), "status": status(one.status) }))
    };
    let affected = |all: &[AffectedStatus]| all.iter().filter_map(affected).collect::<Vec<_>>();
    let update = |update: &Update| {
        let status = update.status.map(of_incident);
        known(json!({ "at": update.at.to_string(), "status": status, "message": update.message }))
    };
    let groups = content.groups.iter().map(|group| {
        known(json!({ "id": group.id, "name": group.name, "title": group.title, "visible": group.visible }))
    });
    let components = listed(&content).map(|component| {
        known(json!({
            "id": component.id,
            "name": component.name,
            "title": component.title,
            "group": component.group,
            "status": status(component.status),
            "shown_status": status(shown.get(&component.id).copied().unwrap_or(component.status)),
            "visible": component.visible,
            "shown": content.shows(component),
        }))
    });
    let incidents = content.incidents.iter().map(|incident| {
        known(json!({
            "id": incident.id,
            "title": incident.title,
            "message": incident.message,
            "status": of_incident(incident.status),
            "visible": incident.visible,
            "opened_for": incident.opened_for,
            "began_at": incident.began_at.to_string(),
            "created_at": incident.created_at.to_string(),
            "published_at": incident.published_at.to_string(),
            "fixed_at": incident.fixed_at.map(|at| at.to_string()),
            "components": affected(&incident.affected),
            "updates": incident.updates.iter().map(update).collect::<Vec<_>>(),
        }))
    });
    let maintenance = content.maintenance.iter().map(|maintenance| {
        known(json!({
            "id": maintenance.id.0,
            "title": maintenance.title,
            "message": maintenance.message,
            "phase": word(maintenance.phase(now).value(), maintenance.phase(now).word()),
            "begins_at": maintenance.begins_at.to_string(),
            "ends_at": maintenance.ends_at.map(|at| at.to_string()),
            "created_at": maintenance.created_at.to_string(),
            "published_at": maintenance.published_at.to_string(),
            "components": affected(&maintenance.affected),
            "updates": maintenance.updates.iter().map(update).collect::<Vec<_>>(),
        }))
    });
    Ok(json!({
        "read_at": now.to_string(),
        "groups": groups.collect::<Vec<_>>(),
        "components": components.collect::<Vec<_>>(),
        "incidents": incidents.collect::<Vec<_>>(),
        "maintenance": maintenance.collect::<Vec<_>>(),
    }))
}

fn tables(console: &Console) -> Result<&PageTables, Failure> {
    console.parts.page.as_ref().ok_or_else(|| {
        let problem = "this server drives a Cachet (CACHET_API_URL) and has no page of its own: edit the page in \
                       Cachet's dashboard";
        Failure::NotFound(problem.to_owned())
    })
}

async fn content(console: &Console, tables: &PageTables) -> Result<Content, StoreError> {
    let now = console.parts.clock.now();
    tables.content(now.before(LISTED), now).await
}

/// `GET /console/page/…`: a form; or, if there is nothing to fill in or a link says it all, what it means.
pub(super) async fn ask(visit: Visit) -> Response {
    visit.answer(decide(&visit, None).await)
}

/// `POST /console/page/…`: what a form means; with `step=do`, it is done; with `step=edit`, the form again.
pub(super) async fn submit(visit: Visit, body: Result<Bytes, BytesRejection>) -> Response {
    let outcome = match body {
        Ok(body) => decide(&visit, Some(Form::read(&body))).await,
        Err(_) => Err(Failure::TooLong),
    };
    visit.answer(outcome)
}

/// What becomes of a form that was posted, or of a link.
async fn decide(visit: &Visit, posted: Option<Form>) -> Result<Response, Failure> {
    let console = &visit.console;
    let (tables, settings) = (tables(console)?, console.parts.settings.borrow().clone());
    let (checked, _acting) = match &posted {
        Some(form) => (visit.check(form), Some(console.acting.lock().await)),
        None => (Ok(()), None),
    };
    if checked == Err(Forged::Elsewhere) {
        return Err(Forged::Elsewhere.into());
    }
    loop {
        let content = content(console, tables).await?;
        let desk = Desk::new(visit, &content, &settings)?;
        let (edit, known) = (&desk.edit, &desk.known);
        let (form, step, seen) = match posted.clone() {
            Some(mut form) => {
                let [step, seen, _] = ["step", "seen", "token"].map(|field| form.0.remove(field).unwrap_or_default());
                (form, step, seen)
            }
            None => {
                let says_all = matches!(edit.kind, EditKind::Move(_)) && visit.query.0.contains_key("to");
                let mut form = edit.filled_in(known);
                form.0.extend(visit.query.0.clone());
                (form, if says_all { "" } else { "edit" }.to_owned(), edit.seen(&content))
            }
        };
        if let Err(forged) = checked {
            if !edit.has_form() {
                return Err(forged.into());
            }
            // What was typed is not lost by a restart of the server.
            let problem = format!("{forged}. What you typed is below: review it and submit again.");
            return desk.form(&form, &seen, Some(problem), &[]);
        }
        if step == "edit" && edit.has_form() {
            return desk.form(&form, &seen, None, &[]);
        }
        let change = match edit.check(&form, known) {
            Ok(Some(change)) => change,
            Ok(None) => return Ok(see("nothing")),
            Err(faults) => return desk.form(&form, &seen, None, &faults),
        };
        if seen != edit.seen(&content) {
            return desk.confirm(&change, form, StatusCode::CONFLICT);
        }
        if step != "do" {
            return desk.confirm(&change, form, StatusCode::OK);
        }
        if let Some(subject) = carry_out(console, tables, edit, &change).await? {
            let parts = &console.parts;
            let name = if edit.id.is_some() { edit.name } else { change.text().0.unwrap_or_default() };
            let details = change.details(known.content);
            parts.log.line(&Line::page_edited(&visit.user, edit.action, &subject, name, &details));
            parts.wake.wake();
            parts.live.changed();
            return Ok(see(edit.action));
        }
        // The reconciler was faster: what it wrote is read, and it is asked again.
    }
}

/// Writes a change, and returns what it was made to; `None` if that is not as it was seen any longer.
async fn carry_out(
    console: &Console,
    tables: &PageTables,
    edit: &Edit<'_>,
    change: &Change<'_>,
) -> Result<Option<String>, StoreError> {
    let now = console.parts.clock.now();
    let mut id = edit.id.unwrap_or_default();
    let done = match change {
        Change::Maintenance(None, new) => {
            id = tables.announce(new, now).await?.0;
            true
        }
        Change::Maintenance(Some(one), new) => tables.change_maintenance(one.id, new).await?,
        Change::UpdateMaintenance(one, message, ends) => {
            let ends_at = ends.then(|| now.cut_to_seconds());
            tables.update_maintenance(one.id, message, ends_at, now).await?
        }
        Change::WriteIncident(new) => {
            id = tables.open_incident(new, now).await?.0;
            true
        }
        Change::UpdateIncident(seen, status, message) => {
            tables.update_incident_as_seen(seen, *status, message, now).await?
        }
        Change::Rename(part, title) => change_part(tables, part, Some(title.clone()), None).await?,
        Change::SetVisible(part, visible) => change_part(tables, part, None, Some(*visible)).await?,
        Change::Order(part, order) => {
            let order = order.iter().copied();
            if part.is_group {
                tables.order_groups(&order.map(GroupId).collect::<Vec<_>>()).await?;
            } else {
                tables.order_components(&order.map(ComponentId).collect::<Vec<_>>()).await?;
            }
            true
        }
        Change::Remove(part) if part.is_group => tables.remove_group(GroupId(part.id)).await?,
        Change::Remove(part) => tables.remove_component(ComponentId(part.id)).await?,
    };
    Ok(done.then(|| format!("{} {id}", edit.word)))
}

async fn change_part(
    tables: &PageTables,
    part: &Part<'_>,
    title: Option<String>,
    visible: Option<bool>,
) -> Result<bool, StoreError> {
    if part.is_group {
        return tables.change_group(GroupId(part.id), &GroupChange { title, visible }).await;
    }
    let change = ComponentChange { title, visible, ..ComponentChange::default() };
    tables.change_component(ComponentId(part.id), &change).await
}

/// The list, which says what was done. A reload of it does nothing again.
fn see(done: &str) -> Response {
    Redirect::to(&format!("/console/page?done={done}")).into_response()
}

/// Answers one user about an edit of the content as it was read.
struct Desk<'a> {
    visit: &'a Visit,
    edit: Edit<'a>,
    known: Known<'a>,
}

impl<'a> Desk<'a> {
    fn new(visit: &'a Visit, content: &'a Content, settings: &'a Settings) -> Result<Self, Failure> {
        let edit = Edit::find(&visit.name, content).map_err(Failure::NotFound)?;
        let (groups, inventory) = (&settings.config.page.groups, settings.inventory.as_ref());
        let now = visit.console.parts.clock.now();
        Ok(Self { visit, edit, known: Known { content, groups, inventory, now } })
    }

    /// What the form and its confirmation have in common.
    fn page(&self, seen: &str) -> Value {
        let Edit { kind, action, word, shown_name, .. } = &self.edit;
        let (first, rest) = action.split_at(1);
        let verb = first.to_uppercase() + rest;
        context! {
            title => match kind {
                EditKind::Maintenance(None) => "Announce maintenance".to_owned(),
                EditKind::WriteIncident => "Write an incident".to_owned(),
                _ => format!("{verb} {word} “{shown_name}”"),
            },
            button => if matches!(*action, "update" | "write") { "Publish it".to_owned() } else { format!("{verb} it") },
            action => *action,
            word => *word,
            on_page => true,
            confirming => true,
            path => format!("/console/page/{}", self.visit.name),
            token => self.visit.console.tokens.of(&self.visit.user),
            seen,
            has_form => self.edit.has_form(),
        }
    }

    /// The form with what was typed, why it was not taken, and what is wrong with its fields.
    fn form(&self, form: &Form, seen: &str, outdated: Option<String>, faults: &[Fault]) -> Result<Response, Failure> {
        let (edit, content) = (&self.edit, self.known.content);
        if !edit.has_form() {
            let problems: Vec<&str> = faults.iter().map(|fault| fault.problem.as_str()).collect();
            return Err(Failure::Bad(problems.join("; ")));
        }
        let status = match (&outdated, faults) {
            (Some(_), _) => StatusCode::FORBIDDEN,
            (None, []) => StatusCode::OK,
            (None, _) => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let places = match edit.kind {
            EditKind::Move(part) => part.beside(content).into_iter().map(|(_, name)| name.to_owned()).collect(),
            _ => Vec::new(),
        };
        let component = |component: &Component| {
            context! { field => field_of(component.id), name => component.shown_name(), shown => content.shows(component) }
        };
        let page = context! {
            problem => outdated,
            form => Serde(&form.0),
            faults => Serde(faults),
            places,
            components => listed(content).map(component).collect::<Vec<_>>(),
            component_statuses => Serde(INCIDENT_STATUSES.map(StatusWord::from)),
            incident_statuses => IncidentStatus::ALL.iter().map(|one| context! { value => one.value(), word => one.word() }).collect::<Vec<_>>(),
            title_limit => TITLE_LIMIT,
            message_limit => MESSAGE_LIMIT_BYTES,
            ..self.page(seen)
        };
        self.visit.page("edit.html", status, page)
    }

    /// What a change means, to be confirmed; at a conflict, because somebody was faster.
    fn confirm(&self, change: &Change<'_>, mut form: Form, status: StatusCode) -> Result<Response, Failure> {
        let content = self.known.content;
        // What was left to the moment of asking is in the form that is confirmed.
        match change {
            Change::Maintenance(_, new) => form.set("begins", typed(new.begins_at)),
            Change::WriteIncident(new) => form.set("began", typed(new.began_at)),
            _ => {}
        }
        let overtaken = || match self.edit.last_made(content) {
            Some((_, title)) => format!(
                "“{title}” was published meanwhile, and nothing was done. If it is the same, cancel; if not, submit again."
            ),
            None => {
                "It was changed meanwhile, and nothing was done. Review what it means now and submit again.".to_owned()
            }
        };
        let (heading, message) = change.text();
        let page = context! {
            problem => (status == StatusCode::CONFLICT).then(overtaken),
            heading,
            message,
            hidden => Serde(filled(&form).collect::<Vec<_>>()),
            ..merge_maps([change.meaning(&self.known), self.page(&self.edit.seen(content))])
        };
        self.visit.page("edit_confirm.html", status, page)
    }
}
