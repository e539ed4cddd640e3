//! What people do in Cachet, and what of the page is theirs.

use std::collections::{BTreeMap, BTreeSet};

use alertmanager_cachet::cachet::Cachet;
use alertmanager_cachet::core::status_page::StatusPage;
use alertmanager_cachet::core::target::{ComponentName, Inventory};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::response::IntoResponse as _;
use fake_cachet::Release;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::oracle::{Oracle, Shown, ShownIncident};
use super::scenario::{COMPONENTS, Edit, Scenario};
use crate::support::world::set_up;

/// The way to the page that no fault disturbs, and the memory of what went it.
pub struct Person {
    router: Router,
    token: SecretString,
    page: Cachet,
    pub(super) release: Release,
    targets: Vec<String>,
    components: BTreeSet<i64>,
    incidents: BTreeSet<i64>,
    /// Visible components that were hidden or shown by hand.
    hidden: BTreeMap<i64, Hidden>,
}

/// Whether a component is shown on the page, by somebody's hand.
struct Hidden {
    shown: bool,
    /// From when on the server has read it.
    known_from_ms: u64,
    /// Whether the server wrote to the component before it could know; it has to say whether it is shown, and says what
    /// it read last.
    overtaken: bool,
}

impl Person {
    pub fn new(router: Router, token: SecretString, page: Cachet, scenario: &Scenario) -> Self {
        Self {
            router,
            token,
            page,
            release: scenario.release,
            targets: scenario.targets.iter().map(super::scenario::Target::name).collect(),
            components: BTreeSet::new(),
            incidents: BTreeSet::new(),
            hidden: BTreeMap::new(),
        }
    }

    /// Every component, by number.
    pub async fn page(&self) -> Vec<Shown> {
        let components = self.page.observe(&[]).await.expect("the page").components;
        let shown = components.into_iter().map(|component| Shown {
            id: component.id.0,
            name: component.name,
            status: component.status.expect("a status").value(),
            description: component.description.unwrap_or_default(),
            enabled: component.enabled,
        });
        shown.collect()
    }

    /// Every incident that people did not open, by number.
    pub async fn incidents(&self) -> Vec<ShownIncident> {
        let list = self.ask("GET", "/incidents?sort=id&per_page=100", &Value::Null).await;
        let mut incidents = self.ours(&list);
        for incident in &mut incidents {
            let path = format!("/incidents/{}/updates?sort=created_at&per_page=100", incident.id);
            let updates = self.ask("GET", &path, &Value::Null).await;
            let statuses = updates["data"].as_array().expect("a list").iter();
            incident.said = statuses.map(|row| row["attributes"]["status"]["value"] == 4).collect();
        }
        incidents
    }

    fn ours(&self, list: &Value) -> Vec<ShownIncident> {
        let rows = list["data"].as_array().expect("a list").iter().map(|row| {
            let created = row["attributes"]["created"]["string"].as_str().expect("a time").replace(' ', "T");
            let created: jiff::Timestamp = format!("{created}Z").parse().expect("a time");
            ShownIncident {
                id: number(row),
                component: row["attributes"]["name"].as_str().expect("a name").replace(" is down", ""),
                open: row["attributes"]["status"]["value"] != 4,
                created_ms: u64::try_from(created.as_millisecond()).expect("after 1970"),
                said: Vec::new(),
            }
        });
        rows.filter(|incident| !self.incidents.contains(&incident.id)).collect()
    }

    /// Whether a write that the server sent is one that it may send.
    pub fn may_be_written_by_us(&self, call: &str) -> bool {
        let Some((method, path)) = call.split_once(" /api/") else { return false };
        let parts: Vec<&str> = path.split('/').collect();
        let id = parts.get(1).and_then(|id| id.parse().ok()).unwrap_or_default();
        match (method, parts.as_slice()) {
            ("POST", ["components" | "incidents"]) => true,
            ("PUT", ["components", _]) => !self.components.contains(&id),
            ("PUT", ["incidents", _]) | ("POST", ["incidents", _, "updates"]) => !self.incidents.contains(&id),
            _ => false,
        }
    }

    /// The server sent these calls at `now_ms`.
    pub fn saw_written(&mut self, calls: &[String], now_ms: u64) {
        for (id, hidden) in &mut self.hidden {
            let written = calls.contains(&format!("PUT /api/components/{id}"));
            hidden.overtaken |= written && now_ms < hidden.known_from_ms;
        }
    }

    /// Cachet did something late, with a word on whether a component is shown that is older than people's.
    pub fn is_overtaken(&mut self) {
        self.hidden.values_mut().for_each(|hidden| hidden.overtaken = true);
    }

    /// What is not shown, or shown, against people's word.
    pub fn overruled(&self, page: &[Shown]) -> Option<String> {
        let visible = |found: &&Shown| COMPONENTS.contains(&found.name.as_str());
        page.iter().filter(visible).find_map(|found| {
            let by_hand = self.hidden.get(&found.id);
            let wrong = by_hand.is_none_or(|hidden| hidden.shown) != found.enabled;
            let wrong = wrong && by_hand.is_none_or(|hidden| !hidden.overtaken);
            wrong.then(|| format!("{} is shown: {}, against people's word", found.name, found.enabled))
        })
    }

    /// Does it; the server has read of it from `known_from_ms` on.
    pub async fn does(&mut self, edit: Edit, known_from_ms: u64, oracle: &mut Oracle) {
        match edit {
            Edit::Status(name, _) | Edit::Enabled(name, _) | Edit::Rename(name) | Edit::Delete(name) => {
                if let Some(found) = self.find(name).await {
                    self.edit_component(edit, &found, oracle).await;
                    if let Edit::Enabled(_, shown) = edit {
                        self.hidden.insert(found.id, Hidden { shown, known_from_ms, overtaken: false });
                    }
                }
            }
            Edit::TargetStatus(target, _) | Edit::TargetText(target) | Edit::TargetDelete(target) => {
                let name = self.targets[target].clone();
                if let Some(found) = self.find(&name).await {
                    self.edit_target(edit, &found, oracle).await;
                }
            }
            Edit::CloseIncident(component) | Edit::ReopenIncident(component) | Edit::DeleteIncident(component) => {
                let incidents = self.incidents().await;
                if let Some(latest) = incidents.iter().rfind(|incident| incident.component == component) {
                    self.edit_incident(edit, latest, oracle).await;
                }
            }
            Edit::OwnIncident(component) => self.open_incident(component).await,
            Edit::OwnComponent => {
                let made = self.ask("POST", "/components", &json!({"name": "Coffee", "status": 2})).await;
                self.components.insert(number(&made["data"]));
            }
        }
    }

    /// An operator runs `setup` for the first time.
    pub async fn makes_everything(&self, inventory: &Inventory) {
        let components = COMPONENTS.map(|name| ComponentName::try_from(name).expect("a name"));
        set_up(&self.page, components.to_vec(), inventory).await;
    }

    /// An operator runs `setup` again, which makes what is missing and corrects the first line of what targets say.
    pub async fn runs_setup(&self, inventory: &Inventory, oracle: &mut Oracle) {
        let before = self.page().await;
        self.makes_everything(inventory).await;
        for found in self.page().await {
            match before.iter().find(|known| known.id == found.id) {
                None => oracle.moved(&found.name),
                Some(known) if known.description != found.description => {
                    oracle.target_edited(&found.name, found.status, &found.description);
                }
                Some(_) => {}
            }
        }
    }

    async fn edit_component(&self, edit: Edit, found: &Shown, oracle: &mut Oracle) {
        let path = format!("/components/{}", found.id);
        match edit {
            Edit::Status(_, status) => {
                self.ask("PUT", &path, &json!({"status": status, "enabled": found.enabled})).await;
                oracle.component_edited(&found.name, status);
            }
            Edit::Enabled(_, enabled) => {
                self.ask("PUT", &path, &json!({"status": found.status, "enabled": enabled})).await;
            }
            Edit::Rename(_) => {
                let name = format!("{} (old)", found.name);
                self.ask("PUT", &path, &json!({"name": name, "enabled": found.enabled})).await;
                oracle.moved(&found.name);
            }
            _ => {
                self.ask("DELETE", &path, &Value::Null).await;
                oracle.moved(&found.name);
            }
        }
    }

    async fn edit_target(&self, edit: Edit, found: &Shown, oracle: &mut Oracle) {
        let path = format!("/components/{}", found.id);
        match edit {
            Edit::TargetStatus(_, status) => {
                self.ask("PUT", &path, &json!({"status": status, "enabled": false})).await;
                oracle.target_edited(&found.name, status, &found.description);
            }
            Edit::TargetText(_) => {
                let text = "critical: no\nseen by the night shift";
                self.ask("PUT", &path, &json!({"description": text, "enabled": false})).await;
                oracle.target_edited(&found.name, found.status, text);
            }
            _ => {
                self.ask("DELETE", &path, &Value::Null).await;
                oracle.moved(&found.name);
            }
        }
    }

    async fn edit_incident(&self, edit: Edit, incident: &ShownIncident, oracle: &mut Oracle) {
        let path = format!("/incidents/{}", incident.id);
        match edit {
            Edit::CloseIncident(_) if incident.open => {
                self.say(&path, 4).await;
                oracle.incident_closed(&incident.component);
            }
            Edit::ReopenIncident(_) if !incident.open => {
                self.say(&path, 2).await;
                oracle.incident_reopened(&incident.component, incident.id);
            }
            Edit::DeleteIncident(_) => {
                self.ask("DELETE", &path, &Value::Null).await;
                oracle.incident_closed(&incident.component);
            }
            _ => {}
        }
    }

    async fn say(&self, path: &str, status: u8) {
        let update = json!({"status": status, "message": "By hand."});
        self.ask("POST", &format!("{path}/updates"), &update).await;
        self.ask("PUT", path, &json!({"status": status})).await;
    }

    /// Its title is the same as ours, where titles decide nothing.
    async fn open_incident(&mut self, component: &str) {
        let name = match self.release {
            Release::Current => format!("{component} is down"),
            Release::Older => format!("Work on {component}"),
        };
        let mut body = json!({"name": name, "status": 1, "message": "By hand.", "visible": true});
        if let Some(found) = self.find(component).await {
            body["component_id"] = found.id.into();
            body["component_status"] = 4.into();
        }
        let opened = self.ask("POST", "/incidents", &body).await;
        self.incidents.insert(number(&opened["data"]));
    }

    pub(super) async fn find(&self, name: &str) -> Option<Shown> {
        self.page().await.into_iter().find(|shown| shown.name == name)
    }

    pub(super) async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api{path}"))
            .header("Authorization", format!("Bearer {}", self.token.expose_secret()))
            .header("Content-Type", "application/json")
            .body(if body.is_null() { Body::empty() } else { Body::from(body.to_string()) })
            .expect("a request");
        let answer = self.router.clone().oneshot(request).await.into_response();
        assert!(answer.status().is_success(), "{method} {path}: {}", answer.status());
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
        serde_json::from_slice(&bytes).unwrap_or_default()
    }
}

pub fn number(row: &Value) -> i64 {
    row["id"].as_str().expect("a number").parse().expect("a number")
}
