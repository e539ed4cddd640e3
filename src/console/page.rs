//! The status page that the server serves itself: what is on it, and the forms with which operators edit it.
//!
//! | file | what is there |
//! | --- | --- |
//! | `page/edit` | what can be done, and what becomes of a form |
//! | `page/form` | the fields of a form, and what is wrong with them |
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

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;

use self::edit::{Change, Edit, INCIDENT_STATUSES, Known, MAINTENANCE_STATUS, listed};
use self::form::{Fault, Form, MESSAGE_LIMIT_BYTES, TITLE_LIMIT, field_of, is_of_component};
pub use self::state::PageState;
use self::state::Section;
use super::actions::check;
use super::asked::{Asked, Named, moment};
use super::gate::{Forged, User};
use super::pages::{problem, show};
use super::{Console, Failure};
use crate::core::builtin::{Component, Content};
use crate::core::status::{ComponentStatus, IncidentStatus};
use crate::log::Line;
use crate::settings::Settings;
use crate::store::{PageTables, StoreError};

/// The longest form that is taken: a message, each byte of which may be sent as three, and a field for each component.
pub const FORM_LIMIT_BYTES: usize = 256 * 1024;

/// For how long incidents are listed after they began.
const LISTED: Duration = Duration::from_secs(14 * 24 * 3600);

const OVERTAKEN: &str = "It was changed meanwhile, and nothing was done. Review what it means now and submit again.";

/// What is said to who publishes something new where something else was published since the form was opened.
const PUBLISHED: &str = "nothing was done. If it is the same, cancel; if not, submit again.";

/// The list of all that is on the page.
#[derive(Serialize)]
struct List {
    user: String,
    title: &'static str,
    on_page: bool,
    /// What was just done.
    done: Option<&'static str>,
    /// Absent where a Cachet is driven.
    state: Option<PageState>,
    summary: String,
    sections: Vec<Section>,
}

/// A form, or what it means.
#[derive(Serialize)]
struct EditPage {
    user: String,
    title: String,
    on_page: bool,
    confirming: bool,
    path: String,
    token: String,
    seen: String,
    problem: Option<String>,
    faults: Vec<Fault>,
    fields: Vec<Field>,
    components: Vec<Field>,
    has_form: bool,
    button: &'static str,
    means: Vec<String>,
    heading: Option<String>,
    message: Option<String>,
    hidden: Vec<(String, String)>,
}

/// A field of a form.
#[derive(Serialize)]
struct Field {
    name: String,
    label: String,
    /// `text`, `area`, `time`, `select` or `check`.
    kind: &'static str,
    value: String,
    hint: &'static str,
    limit: usize,
    required: bool,
    faulty: bool,
    options: Vec<(String, String)>,
}

/// `GET /console/page`.
pub async fn list(State(console): State<Console>, Extension(User(user)): Extension<User>, asked: Asked) -> Response {
    let page = async {
        let state = match state(&console).await {
            Ok(state) => Some(state),
            Err(Failure::NoPage) => None,
            Err(failure) => return Err(failure),
        };
        Ok(List {
            user: user.clone(),
            title: "Status page",
            on_page: true,
            done: asked.done.as_deref().and_then(meaning::done),
            summary: state.as_ref().map(PageState::summary).unwrap_or_default(),
            sections: state.as_ref().map(PageState::sections).unwrap_or_default(),
            state,
        })
    };
    show(&console, &user, "page.html", StatusCode::OK, page.await)
}

/// The content of the page.
pub async fn state(console: &Console) -> Result<PageState, Failure> {
    let now = console.shared.parts.clock.now();
    Ok(PageState::of(&content(console, tables(console)?).await?, now))
}

fn tables(console: &Console) -> Result<&PageTables, Failure> {
    console.shared.parts.page.as_ref().ok_or(Failure::NoPage)
}

async fn content(console: &Console, tables: &PageTables) -> Result<Content, StoreError> {
    let now = console.shared.parts.clock.now();
    tables.content(now.before(LISTED), now).await
}

/// `GET /console/page/…`: a form; or, if there is nothing to fill in or a link says it all, what it means.
pub async fn ask(
    State(console): State<Console>,
    Extension(user): Extension<User>,
    Named(path): Named,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Form::read(query.unwrap_or_default().as_bytes());
    let answer = async {
        let content = content(&console, tables(&console)?).await?;
        let edit = Edit::find(&path, &content).map_err(Failure::UnknownOnPage)?;
        let desk = Desk::new(&console, &user, &content);
        let is_said = !edit.has_form() || (matches!(edit, Edit::Move(_)) && asked.has("to"));
        let form = edit.filled_in(&desk.known()).overlaid(asked);
        if !is_said {
            return Ok(desk.form(edit, &form, edit.seen(&content), StatusCode::OK, Vec::new()));
        }
        Ok(match edit.check(&form, &desk.known()) {
            Ok(None) => see("nothing"),
            Ok(Some(change)) => desk.confirm(edit, &change, form, StatusCode::OK),
            Err(faults) => desk.refuse(edit, &form, edit.seen(&content), faults),
        })
    };
    answer.await.unwrap_or_else(|failure| told(&console, &user, &failure))
}

/// `POST /console/page/…`: what a form means; with `step=do`, it is done; with `step=edit`, the form again.
pub async fn submit(
    State(console): State<Console>,
    Extension(user): Extension<User>,
    Named(path): Named,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Ok(body) = body else {
        let words = format!("the form is longer than {} KiB: shorten the message", FORM_LIMIT_BYTES / 1024);
        return problem(&console, &user.0, StatusCode::PAYLOAD_TOO_LARGE, &words);
    };
    let checked = check(&console, &user, &headers, &body);
    if checked == Err(Forged::Elsewhere) {
        return problem(&console, &user.0, StatusCode::FORBIDDEN, &Forged::Elsewhere.to_string());
    }
    let _acting = console.shared.acting.lock().await;
    let answer = decide(&console, &user, &path, Form::read(&body), checked.is_ok());
    answer.await.unwrap_or_else(|failure| told(&console, &user, &failure))
}

async fn decide(
    console: &Console,
    user: &User,
    path: &str,
    mut form: Form,
    is_ours: bool,
) -> Result<Response, Failure> {
    let (step, seen) = (form.take("step"), form.take("seen"));
    form.take("token");
    let tables = tables(console)?;
    loop {
        let content = content(console, tables).await?;
        let edit = Edit::find(path, &content).map_err(Failure::UnknownOnPage)?;
        let desk = Desk::new(console, user, &content);
        if !is_ours {
            // What was typed is not lost by a restart of the server.
            return Ok(desk.outdated(edit, &form, seen));
        }
        if step == "edit" && edit.has_form() {
            return Ok(desk.form(edit, &form, seen, StatusCode::OK, Vec::new()));
        }
        let change = match edit.check(&form, &desk.known()) {
            Ok(Some(change)) => change,
            Ok(None) => return Ok(see("nothing")),
            Err(faults) => return Ok(desk.refuse(edit, &form, seen, faults)),
        };
        if seen != edit.seen(&content) {
            return Ok(desk.confirm(edit, &change, form, StatusCode::CONFLICT));
        }
        if step != "do" {
            return Ok(desk.confirm(edit, &change, form, StatusCode::OK));
        }
        if let Some(subject) = carry_out(tables, edit, &change, console).await? {
            let parts = &console.shared.parts;
            let name = if edit.name().is_empty() { change.title().unwrap_or_default() } else { edit.name() };
            let (action, details) = (edit.action(), change.details(&desk.known()));
            parts.log.line(&Line::page_edited(&user.0, action, &subject, name, &details));
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
    let now = console.shared.parts.clock.now();
    let done = match change {
        Change::Announce(new) => return Ok(Some(format!("maintenance {}", tables.announce(new, now).await?.0))),
        Change::WriteIncident(new) => return Ok(Some(format!("incident {}", tables.open_incident(new, now).await?.0))),
        Change::Maintenance(id, new) => tables.change_maintenance(*id, new).await?,
        Change::UpdateMaintenance(id, message, ends_at) => {
            tables.update_maintenance(*id, message, *ends_at, now).await?
        }
        Change::UpdateIncident(seen, status, message) => {
            tables.update_incident_as_seen(seen, *status, message, now).await?
        }
        Change::Group(id, change) => tables.change_group(*id, change).await?,
        Change::Component(id, change) => tables.change_component(*id, change).await?,
        Change::OrderGroups(order) => tables.order_groups(order).await.map(|()| true)?,
        Change::OrderComponents(order) => tables.order_components(order).await.map(|()| true)?,
        Change::RemoveGroup(id) => tables.remove_group(*id).await?,
        Change::RemoveComponent(id) => tables.remove_component(*id).await?,
    };
    Ok(done.then(|| edit.subject()))
}

/// The list, which says what was done. A reload of it does nothing again.
fn see(done: &str) -> Response {
    Redirect::to(&format!("/console/page?done={done}")).into_response()
}

fn told(console: &Console, user: &User, failure: &Failure) -> Response {
    problem(console, &user.0, failure.status(), &failure.to_string())
}

/// Answers one user about the content as it was read.
struct Desk<'a> {
    console: &'a Console,
    user: &'a User,
    content: &'a Content,
    settings: Arc<Settings>,
}

impl<'a> Desk<'a> {
    fn new(console: &'a Console, user: &'a User, content: &'a Content) -> Self {
        let settings = console.shared.parts.settings.borrow().clone();
        Self { console, user, content, settings }
    }

    fn known(&self) -> Known<'_> {
        Known {
            content: self.content,
            groups: &self.settings.config.page.groups,
            inventory: self.settings.inventory.as_ref(),
            now: self.console.shared.parts.clock.now(),
        }
    }

    fn page(&self, edit: Edit<'_>, seen: String) -> EditPage {
        EditPage {
            user: self.user.0.clone(),
            title: edit.title(),
            on_page: true,
            confirming: true,
            path: edit.path(),
            token: self.console.shared.tokens.of(self.user),
            seen,
            problem: None,
            faults: Vec::new(),
            fields: Vec::new(),
            components: Vec::new(),
            has_form: edit.has_form(),
            button: edit.button(),
            means: Vec::new(),
            heading: None,
            message: None,
            hidden: Vec::new(),
        }
    }

    fn show(&self, template: &str, status: StatusCode, page: EditPage) -> Response {
        show(self.console, &self.user.0, template, status, Ok(page))
    }

    /// The form with what was typed, and what is wrong with it.
    fn form(&self, edit: Edit<'_>, form: &Form, seen: String, status: StatusCode, faults: Vec<Fault>) -> Response {
        self.show("edit.html", status, self.form_page(edit, form, seen, faults))
    }

    fn form_page(&self, edit: Edit<'_>, form: &Form, seen: String, faults: Vec<Fault>) -> EditPage {
        let fields = fields(edit, form, &faults, self.content);
        let components = components(edit, form, self.content);
        EditPage { fields, components, faults, ..self.page(edit, seen) }
    }

    fn refuse(&self, edit: Edit<'_>, form: &Form, seen: String, faults: Vec<Fault>) -> Response {
        if edit.has_form() {
            return self.form(edit, form, seen, StatusCode::UNPROCESSABLE_ENTITY, faults);
        }
        let problems: Vec<String> = faults.into_iter().map(|fault| fault.problem).collect();
        problem(self.console, &self.user.0, StatusCode::UNPROCESSABLE_ENTITY, &problems.join("; "))
    }

    /// The form of a user whose token is not known.
    fn outdated(&self, edit: Edit<'_>, form: &Form, seen: String) -> Response {
        if !edit.has_form() {
            return problem(self.console, &self.user.0, StatusCode::FORBIDDEN, &Forged::Token.to_string());
        }
        let problem = Some(format!("{}. What you typed is below: review it and submit again.", Forged::Token));
        let page = EditPage { problem, ..self.form_page(edit, form, seen, Vec::new()) };
        self.show("edit.html", StatusCode::FORBIDDEN, page)
    }

    /// What a change means, to be confirmed; at a conflict, because somebody was faster.
    fn confirm(&self, edit: Edit<'_>, change: &Change<'_>, form: Form, status: StatusCode) -> Response {
        let is_known = |field: &str| FIELDS.contains(&field) || is_of_component(field);
        let form = change.asked_by(form);
        let hidden = form.filled().filter(|(field, _)| is_known(field));
        let overtaken = || match edit.last_made(self.content) {
            Some((_, title)) => format!("“{title}” was published meanwhile, and {PUBLISHED}"),
            None => OVERTAKEN.to_owned(),
        };
        let page = EditPage {
            problem: (status == StatusCode::CONFLICT).then(overtaken),
            means: edit.meaning(change, &self.known()),
            heading: change.title().map(str::to_owned),
            message: change.message().map(str::to_owned),
            hidden: hidden.map(|(field, content)| (field.to_owned(), content.to_owned())).collect(),
            ..self.page(edit, edit.seen(self.content))
        };
        self.show("edit_confirm.html", status, page)
    }
}

/// Every field that a form can have, but for those of components.
const FIELDS: [&str; 7] = ["title", "message", "begins", "ends", "began", "status", "to"];

/// The fields of a form, in their order.
fn fields(edit: Edit<'_>, form: &Form, faults: &[Fault], content: &Content) -> Vec<Field> {
    let field = |name: &'static str, label: &str, kind: &'static str| {
        // What is no time stays as it was typed, where a field for a time would show nothing.
        let value = form.get(name);
        let is_no_time = kind == "time" && !value.is_empty() && moment(value).is_none();
        Field {
            name: name.to_owned(),
            label: label.to_owned(),
            kind: if is_no_time { "text" } else { kind },
            value: value.to_owned(),
            hint: "",
            limit: if kind == "area" { MESSAGE_LIMIT_BYTES } else { TITLE_LIMIT },
            required: matches!(name, "title" | "message"),
            faulty: faults.iter().any(|fault| fault.field == name),
            options: Vec::new(),
        }
    };
    let (title, message) = (|| field("title", "Title", "text"), || field("message", "Message", "area"));
    let status = || Field {
        options: IncidentStatus::ALL.map(|status| (status.value().to_string(), status.word().to_owned())).to_vec(),
        ..field("status", "Status", "select")
    };
    match edit {
        Edit::Announce | Edit::ChangeMaintenance(_) => vec![
            title(),
            Field { hint: "Empty: now.", ..field("begins", "Begins (UTC)", "time") },
            Field { hint: "Empty: when somebody ends it.", ..field("ends", "Ends (UTC)", "time") },
            message(),
        ],
        Edit::UpdateMaintenance(_) | Edit::EndMaintenance(_) => vec![message()],
        Edit::WriteIncident => {
            vec![title(), status(), Field { hint: "Empty: now.", ..field("began", "Began (UTC)", "time") }, message()]
        }
        Edit::UpdateIncident(_) => vec![status(), message()],
        Edit::Rename(_) => {
            vec![Field { hint: "What readers see. Empty: its name.", required: false, ..title() }]
        }
        Edit::Move(part) => {
            let beside = part.beside(content);
            let places = beside.iter().enumerate().map(|(place, (_, name))| {
                let place = place + 1;
                (place.to_string(), format!("{place} (now {name})"))
            });
            vec![Field { options: places.collect(), ..field("to", "Place", "select") }]
        }
        Edit::Hide(_) | Edit::Show(_) | Edit::Remove(_) => Vec::new(),
    }
}

/// A field for each component: what status it is given.
fn components(edit: Edit<'_>, form: &Form, content: &Content) -> Vec<Field> {
    let (kind, statuses): (_, &[ComponentStatus]) = match edit {
        Edit::Announce | Edit::ChangeMaintenance(_) => ("check", &[MAINTENANCE_STATUS]),
        Edit::WriteIncident => ("select", &INCIDENT_STATUSES),
        _ => return Vec::new(),
    };
    let options = statuses.iter().map(|status| (status.value().to_string(), status.word().to_owned()));
    let options: Vec<(String, String)> = match kind {
        "select" => std::iter::once((String::new(), "not affected".to_owned())).chain(options).collect(),
        _ => options.collect(),
    };
    let of = |component: &Component| {
        let name = field_of(component.id);
        Field {
            value: form.get(&name).to_owned(),
            name,
            label: component.shown_name().to_owned(),
            kind,
            hint: if content.shows(component) { "" } else { "hidden" },
            limit: 0,
            required: false,
            faulty: false,
            options: options.clone(),
        }
    };
    listed(content).map(of).collect()
}
