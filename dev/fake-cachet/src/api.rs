//! The API of the release of August 2026: routes, authorization and transactions.
//!
//! Deliberate differences from Cachet: there are no metrics, subscribers, templates, badges and feeds, and there is one
//! token, which has all abilities. The contract test lists all differences, each with its reason.

mod answer;
mod attached;
mod components;
mod document;
mod groups;
mod incidents;
mod list;
mod meta;
mod record;
mod request;
mod schedule_updates;
mod schedules;
mod times;
mod updates;
mod validate;

use std::sync::Arc;

use alertmanager_cachet_core::status::ComponentStatus;
use axum::Router;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value, json};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::Mutex;

use self::answer::{Answer, Refusal};
use self::components::Component;
use self::groups::Group;
use self::incidents::Incident;
use self::request::{Call, Query, Viewer};
use self::schedule_updates::ScheduleUpdate;
use self::schedules::Schedule;
use self::updates::IncidentUpdate;
use super::Clock;

/// The largest body that is read; a larger one is answered with 413, as by a proxy in front of Cachet.
const BODY_MAX_BYTES: usize = 1024 * 1024;

/// The state behind the API.
pub(super) struct Cachet {
    pub database: Mutex<SqliteConnection>,
    pub token: String,
    pub clock: Clock,
}

/// The API below `/api`. Every other path is answered with 404.
pub(super) fn router(cachet: Arc<Cachet>) -> Router {
    Router::new()
        .route("/api", any(answer))
        // a base URL with a second slash: refused with a message, as by Cachet
        .route("//api/{*path}", any(answer))
        .route("/api/{*path}", any(answer))
        .with_state(cachet)
}

async fn answer(State(cachet): State<Arc<Cachet>>, request: Request) -> Response {
    let head = *request.method() == Method::HEAD;
    let mut response = match outcome(&cachet, request).await {
        Ok(answer) => answer.into_response(),
        Err(refusal) => refusal.into_response(),
    };
    if head {
        *response.body_mut() = Body::empty();
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    // as Cachet: scripts of other sites may read what guests may read; no browser sends them the token
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn outcome(cachet: &Cachet, request: Request) -> Result<Answer, Refusal> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_matches('/').to_owned();
    let Some(route) = Route::of(head.uri.path()) else {
        return Err(Refusal::NotFound(format!("The route {path} could not be found.")));
    };
    if head.method == Method::OPTIONS {
        return Ok(Answer::Nothing);
    }
    let viewer = viewer(cachet, &head.headers);
    let (input, method) = match viewer {
        // Guests only read, and no read looks at the body. Unlike Cachet, their `_method` is not looked at either:
        // a guest's body is not waited for.
        Viewer::Guest => (Map::new(), head.method),
        Viewer::Owner => {
            let input = request::input(&head.headers, &read_body(body).await?);
            let method = method_meant(&head.method, &input);
            (input, method)
        }
    };
    let Some(action) = Action::of(&method).filter(|action| route.allows(*action)) else {
        let method = method.to_string();
        return Err(Refusal::MethodNotAllowed { method, route: path, allowed: route.allowed() });
    };
    if action != Action::Read && viewer == Viewer::Guest {
        return Err(Refusal::Unauthenticated);
    }
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let call = Call {
        viewer,
        query: Query::parse(head.uri.query().unwrap_or("")),
        input,
        url: format!("http://{host}/{path}"),
        now: (cachet.clock)(),
    };
    in_transaction(cachet, &route, action, &call).await
}

/// Each call is one transaction: a refused one changes nothing.
async fn in_transaction(cachet: &Cachet, route: &Route, action: Action, call: &Call) -> Result<Answer, Refusal> {
    let mut database = cachet.database.lock().await;
    let mut transaction = database.begin().await?;
    let answer = act(route, action, call, &mut transaction).await?;
    transaction.commit().await?;
    Ok(answer)
}

async fn act(route: &Route, action: Action, call: &Call, db: &mut SqliteConnection) -> Result<Answer, Refusal> {
    use Action::{Create, Delete, Read, Update};
    match (route, action) {
        (Route::Ping, _) => Ok(Answer::Plain(json!({ "data": "Pong!" }))),
        (Route::Version, _) => Ok(Answer::Plain(json!({ "data": { "version": "3.x-dev" } }))),
        (Route::Status, _) => status(call, db).await,
        (Route::Components, Create) => components::create(call, db).await,
        (Route::Components, _) => record::list::<Component>(call, db, &()).await,
        (Route::Component(id), Read | Create) => record::show::<Component>(call, db, &(), id).await,
        (Route::Component(id), Update) => components::update(call, db, id).await,
        (Route::Component(id), Delete) => record::delete::<Component>(call, db, id).await,
        (Route::Groups, Create) => groups::create(call, db).await,
        (Route::Groups, _) => record::list::<Group>(call, db, &()).await,
        (Route::Group(id), Read | Create) => record::show::<Group>(call, db, &(), id).await,
        (Route::Group(id), Update) => groups::update(call, db, id).await,
        (Route::Group(id), Delete) => record::delete::<Group>(call, db, id).await,
        (Route::Incidents, Create) => incidents::create(call, db).await,
        (Route::Incidents, _) => record::list::<Incident>(call, db, &()).await,
        (Route::Incident(id), Read | Create) => record::show::<Incident>(call, db, &(), id).await,
        (Route::Incident(id), Update) => incidents::update(call, db, id).await,
        (Route::Incident(id), Delete) => record::delete::<Incident>(call, db, id).await,
        (Route::Updates(incident), Create) => updates::create(call, db, incident).await,
        (Route::Updates(incident), _) => record::list_under::<IncidentUpdate>(call, db, incident).await,
        (Route::Update(incident, id), Read | Create) => {
            record::show_under::<IncidentUpdate>(call, db, incident, id).await
        }
        (Route::Update(incident, id), Update) => updates::update(call, db, incident, id).await,
        (Route::Update(incident, id), Delete) => updates::delete(call, db, incident, id).await,
        (Route::Schedules, Create) => schedules::create(call, db).await,
        (Route::Schedules, _) => record::list::<Schedule>(call, db, &()).await,
        (Route::Schedule(id), Read | Create) => record::show::<Schedule>(call, db, &(), id).await,
        (Route::Schedule(id), Update) => schedules::update(call, db, id).await,
        (Route::Schedule(id), Delete) => record::delete::<Schedule>(call, db, id).await,
        (Route::ScheduleUpdates(schedule), Create) => schedule_updates::create(call, db, schedule).await,
        (Route::ScheduleUpdates(schedule), _) => record::list_under::<ScheduleUpdate>(call, db, schedule).await,
        (Route::ScheduleUpdate(schedule, id), Read | Create) => {
            record::show_under::<ScheduleUpdate>(call, db, schedule, id).await
        }
        (Route::ScheduleUpdate(schedule, id), Update) => schedule_updates::update(call, db, schedule, id).await,
        (Route::ScheduleUpdate(schedule, id), Delete) => schedule_updates::delete(call, db, schedule, id).await,
    }
}

/// The resource that a call addresses.
enum Route {
    Ping,
    Version,
    Status,
    Components,
    Component(String),
    Groups,
    Group(String),
    Incidents,
    Incident(String),
    Updates(String),
    Update(String, String),
    Schedules,
    Schedule(String),
    ScheduleUpdates(String),
    ScheduleUpdate(String, String),
}

impl Route {
    /// The route of a path. A trailing slash is ignored; an empty segment makes it an unknown route.
    fn of(path: &str) -> Option<Self> {
        let path = path.strip_prefix("/api/")?;
        let parts: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return None;
        }
        match parts[..] {
            ["ping"] => Some(Self::Ping),
            ["version"] => Some(Self::Version),
            ["status"] => Some(Self::Status),
            ["components"] => Some(Self::Components),
            ["components", id] => Some(Self::Component(id.to_owned())),
            ["component-groups"] => Some(Self::Groups),
            ["component-groups", id] => Some(Self::Group(id.to_owned())),
            ["incidents"] => Some(Self::Incidents),
            ["incidents", id] => Some(Self::Incident(id.to_owned())),
            ["incidents", incident, "updates"] => Some(Self::Updates(incident.to_owned())),
            ["incidents", incident, "updates", id] => Some(Self::Update(incident.to_owned(), id.to_owned())),
            ["schedules"] => Some(Self::Schedules),
            ["schedules", id] => Some(Self::Schedule(id.to_owned())),
            ["schedules", schedule, "updates"] => Some(Self::ScheduleUpdates(schedule.to_owned())),
            ["schedules", schedule, "updates", id] => Some(Self::ScheduleUpdate(schedule.to_owned(), id.to_owned())),
            _ => None,
        }
    }

    fn allows(&self, action: Action) -> bool {
        match action {
            Action::Read => true,
            Action::Create => matches!(
                self,
                Self::Components
                    | Self::Groups
                    | Self::Incidents
                    | Self::Updates(_)
                    | Self::Schedules
                    | Self::ScheduleUpdates(_)
            ),
            Action::Update | Action::Delete => matches!(
                self,
                Self::Component(_)
                    | Self::Group(_)
                    | Self::Incident(_)
                    | Self::Update(..)
                    | Self::Schedule(_)
                    | Self::ScheduleUpdate(..)
            ),
        }
    }

    /// For the `Allow` header.
    fn allowed(&self) -> &'static str {
        match self {
            _ if self.allows(Action::Create) => "GET, HEAD, POST",
            _ if self.allows(Action::Update) => "GET, HEAD, PUT, PATCH, DELETE",
            _ => "GET, HEAD",
        }
    }
}

/// The action that a call requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Read,
    Create,
    Update,
    Delete,
}

impl Action {
    fn of(method: &Method) -> Option<Self> {
        match method.as_str() {
            "GET" | "HEAD" => Some(Self::Read),
            "POST" => Some(Self::Create),
            "PUT" | "PATCH" => Some(Self::Update),
            "DELETE" => Some(Self::Delete),
            _ => None,
        }
    }
}

/// `GET /status`, computed from the components that guests see.
///
/// Cachet's rule: a major outage if at least a quarter of the components is down; else maintenance if any component is
/// under maintenance; else operational if all components are and no incident is open.
async fn status(call: &Call, db: &mut SqliteConnection) -> Result<Answer, Refusal> {
    let impacts = components::impacts(db, call.now).await?;
    let components = components::for_guests(db).await?;
    let statuses: Vec<ComponentStatus> = components.iter().map(|one| one.latest_status(&impacts)).collect();
    let count = |status| statuses.iter().filter(|one| **one == status).count();
    let any_open = !incidents::open_for_guests(db, call.now).await?.is_empty();
    let (status, message) = if !statuses.is_empty() && count(ComponentStatus::MajorOutage) * 4 >= statuses.len() {
        ("major_outage", "Some systems are experiencing major issues.")
    } else if count(ComponentStatus::UnderMaintenance) > 0 {
        ("under_maintenance", "Some systems are under maintenance.")
    } else if count(ComponentStatus::Operational) == statuses.len() && !any_open {
        ("operational", "All systems are operational.")
    } else {
        ("partial_outage", "Some systems are experiencing issues.")
    };
    Ok(Answer::Plain(json!({ "data": { "status": status, "message": message } })))
}

async fn read_body(body: Body) -> Result<Bytes, Refusal> {
    match Limited::new(body, BODY_MAX_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
        // It broke off, or took longer than the server waits.
        Err(_) => Err(Refusal::BodyLost),
    }
}

/// A POST may name another method in the field `_method`.
fn method_meant(sent: &Method, input: &Map<String, Value>) -> Method {
    let meant = input.get("_method").and_then(Value::as_str).filter(|_| *sent == Method::POST);
    meant.and_then(|method| method.to_uppercase().parse().ok()).unwrap_or_else(|| sent.clone())
}

/// Cachet treats a wrong token like a missing one.
fn viewer(cachet: &Cachet, headers: &HeaderMap) -> Viewer {
    let presented = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match presented.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(presented) if presented.trim() == cachet.token => Viewer::Owner,
        _ => Viewer::Guest,
    }
}
