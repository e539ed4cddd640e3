//! The status page that the server serves itself: what is on it, and the forms with which operators edit it.
//!
//! | file | what is there |
//! | --- | --- |
//! | `page/edit` | what can be done, and what becomes of a form |
//! | `page/form` | the fields of a form, and the checks of what was typed |
//! | `page/meaning` | what a change means, before and after it is done |
//! | `page/state` | the content of the page, for the API and the list |
//!
//! All edits go the same way: GET shows the form, POST shows what it means, and a second POST (`step=do`) does it. The form
//! says what it has seen; if that is another one by then, nothing is done and it is asked again. Nothing else writes
//! components' titles, places and visibility, or maintenance, so it is enough that one edit is made at a time; an update of
//! an incident is compared with what was seen in the transaction that writes it, because the reconciler writes incidents.

mod edit;
mod form;
mod meaning;
mod state;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::value::Serde;
use minijinja::{Value, context};

use self::edit::{Change, Edit, Known, PartId};
use self::form::{Fault, components, fields, filled, typed};
use self::state::PageState;
use super::gate::{Forged, Form, Visit};
use super::{Console, Failure};
use crate::core::builtin::Content;
use crate::core::observed::{ComponentId, GroupId};
use crate::log::Line;
use crate::settings::Settings;
use crate::store::{ComponentChange, GroupChange, PageTables, StoreError};

/// The longest form that is taken: a message, each byte of which may be sent as three, and a field for each component.
pub const FORM_LIMIT_BYTES: usize = 256 * 1024;

/// For how long incidents are listed after they began.
const LISTED: Duration = Duration::from_secs(14 * 24 * 3600);

const OVERTAKEN: &str = "It was changed meanwhile, and nothing was done. Review what it means now and submit again.";

/// What is said to who publishes something new where something else was published since the form was opened.
const PUBLISHED: &str = "nothing was done. If it is the same, cancel; if not, submit again.";

/// `GET /console/page`.
pub async fn list(visit: Visit) -> Response {
    let page = async {
        let state = match state(&visit.console).await {
            // Absent where a Cachet is driven.
            Err(Failure::NotFound(_)) => None,
            state => Some(Serde(state?)),
        };
        let done = meaning::done(visit.query.get("done"));
        visit.page("page.html", StatusCode::OK, context! { title => "Status page", on_page => true, done, state })
    };
    visit.answer(page.await)
}

/// The content of the page.
pub async fn state(console: &Console) -> Result<PageState, Failure> {
    let now = console.parts.clock.now();
    Ok(PageState::of(&content(console, tables(console)?).await?, now))
}

fn tables(console: &Console) -> Result<&PageTables, Failure> {
    console.parts.page.as_ref().ok_or_else(|| {
        let problem = "this server drives a Cachet (CACHET_API_URL) and has no page of its own: edit the page in Cachet's dashboard";
        Failure::NotFound(problem.to_owned())
    })
}

async fn content(console: &Console, tables: &PageTables) -> Result<Content, StoreError> {
    let now = console.parts.clock.now();
    tables.content(now.before(LISTED), now).await
}

/// `GET /console/page/…`: a form; or, if there is nothing to fill in or a link says it all, what it means.
pub async fn ask(visit: Visit) -> Response {
    let page = async {
        let content = content(&visit.console, tables(&visit.console)?).await?;
        let edit = Edit::find(&visit.name, &content).map_err(Failure::NotFound)?;
        let desk = Desk::new(&visit, &content);
        let is_said = !edit.has_form() || (matches!(edit, Edit::Move(_)) && visit.query.0.contains_key("to"));
        let mut form = edit.filled_in(&desk.known());
        form.0.extend(visit.query.0.clone());
        if !is_said {
            return desk.form(edit, &form, &edit.seen(&content), None, &[]);
        }
        match edit.check(&form, &desk.known()) {
            Ok(None) => Ok(see("nothing")),
            Ok(Some(change)) => desk.confirm(edit, &change, form, StatusCode::OK),
            Err(faults) => desk.form(edit, &form, &edit.seen(&content), None, &faults),
        }
    };
    visit.answer(page.await)
}

/// `POST /console/page/…`: what a form means; with `step=do`, it is done; with `step=edit`, the form again.
pub async fn submit(visit: Visit, body: Result<Bytes, BytesRejection>) -> Response {
    let outcome = match body {
        Ok(body) => decide(&visit, Form::read(&body)).await,
        Err(_) => Err(Failure::TooLong),
    };
    visit.answer(outcome)
}

async fn decide(visit: &Visit, mut form: Form) -> Result<Response, Failure> {
    let is_ours = match visit.check(&form) {
        Err(Forged::Elsewhere) => return Err(Forged::Elsewhere.into()),
        checked => checked.is_ok(),
    };
    let (console, user) = (&visit.console, visit.user.as_str());
    let _acting = console.acting.lock().await;
    let [step, seen, _] = ["step", "seen", "token"].map(|field| form.0.remove(field).unwrap_or_default());
    let tables = tables(console)?;
    loop {
        let content = content(console, tables).await?;
        let edit = Edit::find(&visit.name, &content).map_err(Failure::NotFound)?;
        let desk = Desk::new(visit, &content);
        if !is_ours {
            // What was typed is not lost by a restart of the server.
            let problem = format!("{}. What you typed is below: review it and submit again.", Forged::Token);
            return if edit.has_form() {
                desk.form(edit, &form, &seen, Some(problem), &[])
            } else {
                Err(Forged::Token.into())
            };
        }
        if step == "edit" && edit.has_form() {
            return desk.form(edit, &form, &seen, None, &[]);
        }
        let change = match edit.check(&form, &desk.known()) {
            Ok(Some(change)) => change,
            Ok(None) => return Ok(see("nothing")),
            Err(faults) => return desk.form(edit, &form, &seen, None, &faults),
        };
        if seen != edit.seen(&content) {
            return desk.confirm(edit, &change, form, StatusCode::CONFLICT);
        }
        if step != "do" {
            return desk.confirm(edit, &change, form, StatusCode::OK);
        }
        if let Some(subject) = carry_out(tables, edit, &change, console).await? {
            let parts = &console.parts;
            let (title, _) = change.text();
            let name = Some(edit.subject().name).filter(|name| !name.is_empty()).or(title).unwrap_or_default();
            let (action, details) = (edit.action(), change.details(&desk.known()));
            parts.log.line(&Line::page_edited(user, action, &subject, name, &details));
            parts.wake.wake();
            parts.live.changed();
            return Ok(see(action));
        }
        // The reconciler was faster: what it wrote is read, and it is asked again.
    }
}

/// Writes a change, and returns what it was made to; `None` if that is not as it was seen any longer.
async fn carry_out(
    tables: &PageTables,
    edit: Edit<'_>,
    change: &Change<'_>,
    console: &Console,
) -> Result<Option<String>, StoreError> {
    let now = console.parts.clock.now();
    let done = match change {
        Change::Announce(new) => return Ok(Some(format!("maintenance {}", tables.announce(new, now).await?.0))),
        Change::WriteIncident(new) => return Ok(Some(format!("incident {}", tables.open_incident(new, now).await?.0))),
        Change::Maintenance(one, new) => tables.change_maintenance(one.id, new).await?,
        Change::UpdateMaintenance(one, message) => tables.update_maintenance(one.id, message, None, now).await?,
        Change::EndMaintenance(one, message) => {
            tables.update_maintenance(one.id, message, Some(now.cut_to_seconds()), now).await?
        }
        Change::UpdateIncident(seen, status, message) => {
            tables.update_incident_as_seen(seen, *status, message, now).await?
        }
        Change::Rename(part, title) => change_part(tables, part.id, Some(title.clone()), None).await?,
        Change::SetVisible(part, visible) => change_part(tables, part.id, None, Some(*visible)).await?,
        Change::Order(part, order) => {
            let order = order.iter().copied();
            match part.id {
                PartId::Group(_) => tables.order_groups(&order.map(GroupId).collect::<Vec<_>>()).await?,
                PartId::Component(_) => tables.order_components(&order.map(ComponentId).collect::<Vec<_>>()).await?,
            }
            true
        }
        Change::Remove(part) => match part.id {
            PartId::Group(id) => tables.remove_group(id).await?,
            PartId::Component(id) => tables.remove_component(id).await?,
        },
    };
    let subject = edit.subject();
    Ok(done.then(|| format!("{} {}", subject.word, subject.id.unwrap_or_default())))
}

async fn change_part(
    tables: &PageTables,
    part: PartId,
    title: Option<String>,
    visible: Option<bool>,
) -> Result<bool, StoreError> {
    match part {
        PartId::Group(id) => tables.change_group(id, &GroupChange { title, visible }).await,
        PartId::Component(id) => {
            tables.change_component(id, &ComponentChange { title, visible, ..ComponentChange::default() }).await
        }
    }
}

/// The list, which says what was done. A reload of it does nothing again.
fn see(done: &str) -> Response {
    Redirect::to(&format!("/console/page?done={done}")).into_response()
}

/// Answers one user about the content as it was read.
struct Desk<'a> {
    visit: &'a Visit,
    content: &'a Content,
    settings: Arc<Settings>,
}

impl<'a> Desk<'a> {
    fn new(visit: &'a Visit, content: &'a Content) -> Self {
        let settings = visit.console.parts.settings.borrow().clone();
        Self { visit, content, settings }
    }

    fn known(&self) -> Known<'_> {
        Known {
            content: self.content,
            groups: &self.settings.config.page.groups,
            inventory: self.settings.inventory.as_ref(),
            now: self.visit.console.parts.clock.now(),
        }
    }

    /// What the form and its confirmation have in common.
    fn page(&self, edit: Edit<'_>, seen: &str) -> Value {
        context! {
            title => meaning::title(edit),
            on_page => true,
            confirming => true,
            path => edit.path(),
            token => self.visit.console.tokens.of(&self.visit.user),
            seen,
            has_form => edit.has_form(),
            button => meaning::button(edit),
        }
    }

    /// The form with what was typed, why it was not taken, and what is wrong with its fields.
    fn form(
        &self,
        edit: Edit<'_>,
        form: &Form,
        seen: &str,
        outdated: Option<String>,
        faults: &[Fault],
    ) -> Result<Response, Failure> {
        if !edit.has_form() {
            let problems: Vec<&str> = faults.iter().map(|fault| fault.problem.as_str()).collect();
            return Err(Failure::Bad(problems.join("; ")));
        }
        let status = match (&outdated, faults) {
            (Some(_), _) => StatusCode::FORBIDDEN,
            (None, []) => StatusCode::OK,
            (None, _) => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let page = context! {
            problem => outdated,
            fields => Serde(fields(edit, form, faults, self.content)),
            components => Serde(components(edit, form, self.content)),
            faults => Serde(faults),
            ..self.page(edit, seen)
        };
        self.visit.page("edit.html", status, page)
    }

    /// What a change means, to be confirmed; at a conflict, because somebody was faster.
    fn confirm(
        &self,
        edit: Edit<'_>,
        change: &Change<'_>,
        mut form: Form,
        status: StatusCode,
    ) -> Result<Response, Failure> {
        // What was left to the moment of asking is in the form that is confirmed.
        match change {
            Change::Announce(new) | Change::Maintenance(_, new) => form.set("begins", typed(new.begins_at)),
            Change::WriteIncident(new) => form.set("began", typed(new.began_at)),
            _ => {}
        }
        let overtaken = || match edit.last_made(self.content) {
            Some((_, title)) => format!("“{title}” was published meanwhile, and {PUBLISHED}"),
            None => OVERTAKEN.to_owned(),
        };
        let (heading, message) = change.text();
        let page = context! {
            problem => (status == StatusCode::CONFLICT).then(overtaken),
            means => change.meaning(&self.known()),
            heading,
            message,
            hidden => Serde(filled(&form).collect::<Vec<_>>()),
            ..self.page(edit, &edit.seen(self.content))
        };
        self.visit.page("edit_confirm.html", status, page)
    }
}
