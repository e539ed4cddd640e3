//! The imitation against calls that were recorded from a Cachet of August 2026.
//!
//! The recordings are replayed in their order over one empty database, with the clock set to the moment of each. Status,
//! content type, `Allow`, caching and the whole JSON body are compared, with ids, and with times to the second. GUIDs are not
//! compared, because Cachet's are random. "3 seconds ago" may be a second off, because Cachet's clock ran on while it
//! answered. The headers of the rate limit are not compared: `Faults` adds them.

use std::path::PathBuf;

use alertmanager_cachet_core::time::Timestamp;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use fake_cachet::TOKEN;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::server::Server;

/// The deliberate differences from Cachet: the numbers of the recordings, first to last, and the reason. A listed
/// recording that does not differ fails the test.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("016", "018", "there is one token, which may do everything; a lesser one does not exist, so it is an unknown one"),
    ("019", "020", "there are no subscribers: an unknown route"),
    ("154", "155", "there is one token, as above"),
    ("242", "242", "there is one token, as above"),
    ("251", "251", "there is one token, as above"),
    ("257", "262", "there are no incident templates: an unknown route"),
    ("263", "263", "there are no incident templates, so none that is named exists"),
    ("265", "265", "there are no incident templates: an unknown route"),
    ("281", "292", "there are no metrics: an unknown route"),
    ("293", "299", "there are no subscribers: an unknown route"),
    ("305", "305", "there are no badges"),
    ("306", "306", "there is no feed"),
    ("307", "307", "there is no health check"),
    ("402", "404", "reads are always public: Cachet can be told to ask for a token"),
    ("406", "407", "the API is always on: Cachet can be told to switch it off"),
    ("408", "409", "there is no maintenance mode of the API"),
    ("410", "411", "recorded with Cachet's database gone"),
    ("415", "415", "413 as well, but in JSON: what was recorded is the proxy's page"),
];

/// Calls that keep the ids equal where the imitation differs or where a call was not recorded: each is made after the
/// recording with this number.
const MEANWHILE: &[(&str, &str, &str, &str)] = &[
    ("263", "POST", "/api/incidents", r#"{"name": "From tpl", "message": "Hi Bob", "status": 4, "visible": true}"#),
    // the component that the probes of the rate limit wrote to, made in the second of this recording
    ("303", "POST", "/api/components", r#"{"name": "rl", "status": 1}"#),
];

/// Recordings that are no call of the API: the probes of the rate limit, which is imitated by `Faults`, and the public page.
const NO_CALLS: [&str; 2] = ["401", "901"];

#[tokio::test]
#[expect(clippy::print_stdout, reason = "how much was compared is part of the result")]
async fn recorded_calls_are_answered_as_cachet_answered_them() {
    let recordings = Recording::all();
    let server = Server::start().await;
    let (mut compared, mut unexpected) = (0, Vec::new());
    for (recording, now) in recordings.iter().zip(clock_of(&recordings)) {
        server.set_clock(now);
        let difference = difference(&recording.number);
        let found = server.differs(recording).await;
        compared += usize::from(difference.is_none());
        match (found, difference) {
            (Some(found), None) => unexpected.push(format!("{}: {found}", recording.file)),
            (None, Some(reason)) => {
                unexpected.push(format!("{}: listed as different ({reason}), but alike", recording.file));
            }
            _ => {}
        }
        for (_, method, path, body) in MEANWHILE.iter().filter(|(after, ..)| *after == recording.number) {
            let body = (!body.is_empty()).then(|| serde_json::from_str(body).expect("JSON"));
            let (status, _) = server.call(method, path, body).await;
            assert!(status.is_success(), "{method} {path}: {status}");
        }
    }
    println!(
        "{} recordings: {compared} compared in full, {} deliberately different",
        recordings.len(),
        recordings.len() - compared,
    );
    assert!(unexpected.is_empty(), "{} of {}:\n{}", unexpected.len(), recordings.len(), unexpected.join("\n"));
    assert!(compared >= 281, "only {compared} recordings were compared");
}

#[tokio::test]
async fn what_was_refused_leaves_nothing_behind() {
    let server = Server::start().await;
    let (status, _) = server.call("POST", "/api/components", Some(json!({"name": "a", "meta": "x"}))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (_, made) = server.call("POST", "/api/components", Some(json!({"name": "b"}))).await;
    assert_eq!(made["data"]["id"], "1");
}

#[tokio::test]
async fn a_guest_does_not_learn_of_hidden_things_through_includes() {
    let server = Server::start().await;
    let made = [
        ("/api/component-groups", json!({"name": "open", "visible": true})),
        ("/api/components", json!({"name": "shown", "component_group_id": 1})),
        ("/api/components", json!({"name": "secret-target", "component_group_id": 1, "enabled": false})),
        (
            "/api/incidents",
            json!({"name": "i", "message": "m", "status": 1, "visible": true,
                "components": [{"id": 1, "status": 4}, {"id": 2, "status": 4}]}),
        ),
        (
            "/api/incidents",
            json!({"name": "secret-incident", "message": "m", "status": 1, "component_id": 1, "component_status": 2}),
        ),
    ];
    for (path, body) in made {
        server.create(path, body).await;
    }
    for path in [
        "/api/incidents?include=components,components.group",
        "/api/component-groups/1?include=components",
        "/api/components/1?include=incidents,group",
    ] {
        let (status, text) = server.get(path).await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("shown") || text.contains("open"), "{path}: {text}");
        assert!(!text.contains("secret"), "{path}: {text}");
    }
}

/// One recorded call and its answer.
struct Recording {
    file: String,
    number: String,
    request: Value,
    response: Value,
}

impl Recording {
    /// All that are calls, in the order in which they were made.
    fn all() -> Vec<Self> {
        let index = read("INDEX.tsv");
        let files = index.lines().skip(1).filter_map(|line| line.split('\t').next());
        let files = files.filter(|file| !NO_CALLS.contains(&&file[..3]));
        files.map(Self::read).filter(|recording| !recording.response["checks"].is_object()).collect()
    }

    fn read(file: &str) -> Self {
        let mut recording: Value = serde_json::from_str(&read(file)).expect("JSON");
        Self {
            file: file.to_owned(),
            number: file[..3].to_owned(),
            request: recording["request"].take(),
            response: recording["response"].take(),
        }
    }

    fn to_request(&self) -> Request<Body> {
        let query = match &self.request["query"] {
            Value::String(query) => format!("?{query}"),
            Value::Object(fields) => {
                let mut query = form_urlencoded::Serializer::new("?".to_owned());
                for (name, value) in fields {
                    query.append_pair(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                }
                query.finish()
            }
            _ => String::new(),
        };
        let path = self.request["path"].as_str().expect("a path");
        let method = self.request["method"].as_str().expect("a method");
        let mut request = Request::builder().method(method).uri(path.to_owned() + &query);
        request = request.header(header::HOST, "127.0.0.1:8088");
        for (name, value) in self.request["headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().expect("text"));
        }
        request = match &self.request["auth"]["abilities"] {
            Value::Array(abilities) if abilities == &[json!("*")] => {
                request.header("Authorization", format!("Bearer {TOKEN}"))
            }
            Value::Array(_) => request.header("Authorization", "Bearer 2|lesser"),
            Value::String(literal) => request.header("Authorization", literal.replace("(literal) ", "Bearer ")),
            _ => request,
        };
        let body = match &self.request["body"] {
            Value::Null => Body::empty(),
            Value::Object(raw) if raw.contains_key("raw") => raw["raw"].as_str().expect("text").to_owned().into(),
            body => body.to_string().replace("x * 3000000", &"x".repeat(3_000_000)).into(),
        };
        request.body(body).expect("a request")
    }
}

/// The moment of each recording, in milliseconds: as its own times tell it, else that of the next which tells.
fn clock_of(recordings: &[Recording]) -> Vec<i64> {
    let mut next = None;
    let mut clock: Vec<i64> = recordings
        .iter()
        .rev()
        .map(|recording| {
            next = told_by(&recording.response["body"]).or(next);
            next.unwrap_or_default()
        })
        .collect();
    clock.reverse();
    let last = clock.iter().copied().max().unwrap_or_default();
    clock.iter().map(|now| if *now == 0 { last } else { *now }).collect()
}

/// The moment at which "3 seconds ago" was true.
fn told_by(value: &Value) -> Option<i64> {
    if let (Some(human), Some(string)) = (value["human"].as_str(), value["string"].as_str()) {
        let moment = Timestamp::parse_rfc3339(&format!("{}Z", string.replace(' ', "T"))).expect("a time");
        return Some(moment.as_millis() + seconds_ago(human)? * 1000);
    }
    match value {
        Value::Array(items) => items.iter().find_map(told_by),
        Value::Object(fields) => fields.values().find_map(told_by),
        _ => None,
    }
}

fn seconds_ago(human: &str) -> Option<i64> {
    let (count, rest) = human.split_once(' ')?;
    rest.starts_with("second").then(|| count.parse().ok())?
}

fn difference(number: &str) -> Option<&'static str> {
    let found = DIFFERENCES.iter().find(|(first, last, _)| (*first..=*last).contains(&number));
    found.map(|(_, _, reason)| *reason)
}

fn read(file: &str) -> String {
    let folder: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "..", "tests", "fixtures", "cachet-2026-08"].iter().collect();
    std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

impl Server {
    /// Replays a call; the first difference to the recorded answer, if there is one.
    async fn differs(&self, recording: &Recording) -> Option<String> {
        let response = self.send(recording.to_request()).await;
        let recorded = &recording.response;
        let status = response.status().as_u16();
        if json!(status) != recorded["status"] {
            return Some(format!("status {status} instead of {}", recorded["status"]));
        }
        for name in [header::CONTENT_TYPE, header::ALLOW, header::CACHE_CONTROL, header::ACCESS_CONTROL_ALLOW_ORIGIN] {
            let found = response.headers().get(&name).and_then(|value| value.to_str().ok());
            let wanted = recorded["headers"][name.as_str()].as_str();
            // an answer without a body needs no type
            if found != wanted && !(status == 204 && name == header::CONTENT_TYPE) {
                return Some(format!("{name} {found:?} instead of {wanted:?}"));
            }
        }
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap_or_default() };
        first_difference("", &body, &recorded["body"])
    }
}

/// The first place at which two documents differ.
fn first_difference(path: &str, found: &Value, recorded: &Value) -> Option<String> {
    match (found, recorded) {
        (Value::Object(found), Value::Object(recorded)) => {
            let names = recorded.keys().chain(found.keys().filter(|name| !recorded.contains_key(*name)));
            names.filter(|name| *name != "guid").find_map(|name| {
                let path = format!("{path}/{name}");
                match (found.get(name), recorded.get(name)) {
                    (Some(found), Some(recorded)) => first_difference(&path, found, recorded),
                    (None, _) => Some(format!("{path} is missing")),
                    (_, None) => Some(format!("{path} is too much")),
                }
            })
        }
        (Value::Array(found), Value::Array(recorded)) if found.len() == recorded.len() => {
            let mut pairs = found.iter().zip(recorded).enumerate();
            pairs.find_map(|(at, (found, recorded))| first_difference(&format!("{path}/{at}"), found, recorded))
        }
        (Value::String(found), Value::String(recorded)) if path.ends_with("/human") && found != recorded => {
            let apart = seconds_ago(found).zip(seconds_ago(recorded)).map(|(found, recorded)| found - recorded);
            let alike = apart.is_some_and(|apart| apart.abs() <= 1);
            (!alike).then(|| format!("{path}: {found} instead of {recorded}"))
        }
        _ => (found != recorded).then(|| {
            let short = |value: &Value| value.to_string().chars().take(300).collect::<String>();
            format!("{path}: {} instead of {}", short(found), short(recorded))
        }),
    }
}
