//! The pages: the overview, a component, and what every page shares. What is put into a template is escaped, for its name ends
//! in `.html`. Server-sent events keep the pages fresh: they say that something changed, and what changed is fetched by who
//! wants to know, so nothing is told twice in two forms.

use std::cmp::Reverse;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use jiff::tz::TimeZone;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, context};

use super::gate::{Form, Visit};
use super::{Console, Parts, api};
use crate::core::explain::{Explanation, StatusWord, summaries, waiting_firings};
use crate::core::overrides::{NOTE_LIMIT, Override};
use crate::core::status::ComponentStatus;
use crate::core::time::Timestamp;
use crate::core::uptime::{UPTIME_DAYS, UptimeOfDays, duration_text, percent_text};

/// How many entries of a list the overview has at most; the API has all of them.
const LISTED: usize = 20;

/// How many targets the page of a component has at most; the API has all of them.
const TARGETS_LISTED: usize = 100;

/// For how long an override may last, to choose from: seconds, and how it is called.
const DURATIONS: [(u64, &str); 8] = [
    (1800, "30 minutes"),
    (3600, "1 hour"),
    (2 * 3600, "2 hours"),
    (4 * 3600, "4 hours"),
    (8 * 3600, "8 hours"),
    (24 * 3600, "1 day"),
    (7 * 24 * 3600, "7 days"),
    (30 * 24 * 3600, "30 days"),
];

/// What is chosen of them as long as nobody chose.
const DEFAULT_DURATION_SECONDS: &str = "3600";

/// How many pages are kept fresh at the same time; one more reloads by hand. Each holds one of the server's connections,
/// which those who post need.
pub const WATCHERS_AT_ONCE: usize = 32;

/// The shortest time between two events: in a storm, a page that is made anew twice a second is fresh enough.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// How often a connection on which nothing happens is kept from being taken for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a browser waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(2);

/// Keeps nginx, if it is in front, from waiting until there is enough to pass on.
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

const TEMPLATES: [(&str, &str); 8] = [
    ("layout.html", include_str!("templates/layout.html")),
    ("overview.html", include_str!("templates/overview.html")),
    ("component.html", include_str!("templates/component.html")),
    ("confirm.html", include_str!("templates/confirm.html")),
    ("page.html", include_str!("templates/page.html")),
    ("edit.html", include_str!("templates/edit.html")),
    ("edit_confirm.html", include_str!("templates/edit_confirm.html")),
    ("problem.html", include_str!("templates/problem.html")),
];

/// The templates. A fault in one is told when its page is asked for; a test rules it out.
pub fn templates() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.add_filter("when", |iso: &str| when(iso));
    environment.add_filter("clock", |iso: &str| told(iso, "%H:%M:%S"));
    // Whatever the name, there is nothing to escape in its path.
    environment.add_filter("path", |component: &str| Value::from_safe_string(path_of(component)));
    for (name, text) in TEMPLATES {
        if let Err(error) = environment.add_template(name, text) {
            tracing::error!("the template {name} is none: {error}");
        }
    }
    environment
}

/// `GET /console`.
pub async fn overview(visit: Visit) -> Response {
    let console = &visit.console;
    let page = async {
        let insight = console.insight().await?;
        let parts = &console.parts;
        let components = summaries(insight.facts());
        // What is not Operational, the worst first.
        let operational = ComponentStatus::Operational.value();
        let mut affected: Vec<_> = components.iter().filter(|one| one.status.value != operational).collect();
        affected.sort_by_key(|one| {
            Reverse(ComponentStatus::from_value(one.status.value.into()).map(ComponentStatus::severity))
        });
        // All of it in a few words, also for who does not see the page.
        let title = match affected.as_slice() {
            [] if components.is_empty() => "No components".to_owned(),
            [] => "All operational".to_owned(),
            [one] => format!("{}: {}", one.component, one.status.word),
            several => format!("{} of {} components are not operational", several.len(), components.len()),
        };
        let sections = components.chunk_by(|one, next| one.group == next.group).map(|components| {
            let name = components.first().and_then(|one| one.group.as_deref()).unwrap_or("In no group");
            context! { name, components => Serde(components) }
        });
        let content = context! {
            title,
            affected => Serde(&affected),
            sections => sections.collect::<Vec<_>>(),
            changes => Serde(api::changes(console, &insight)),
            held => Serde(waiting_firings(insight.facts())),
            ignored => Serde(parts.live.ignored()),
            alertmanager => Serde(api::alertmanager(console)),
            monitoring => Serde(api::monitoring(console, &insight)),
            has_page => parts.page.is_some(),
            listed => LISTED,
        };
        visit.page("overview.html", StatusCode::OK, content)
    };
    visit.answer(page.await)
}

/// `GET /console/components/{component}`.
pub async fn component(visit: Visit) -> Response {
    let asked = |field: &str| visit.query.0.get(field).map(String::as_str);
    let page = async {
        let it = api::component(&visit.console, &visit.name, asked("days")).await?;
        // Said behind the redirect that follows what was done, as long as it is true.
        let done = match (asked("done"), &it.operator_override) {
            (Some("overridden"), Some(_)) => Some("It is overridden. The page is written now."),
            (Some("ended"), None) => Some("The override is ended: the alerts say what it shows."),
            (Some("nothing"), None) => Some("It is not overridden: there is nothing to end."),
            _ => None,
        };
        let mut form = Form::default();
        form.set("for", DEFAULT_DURATION_SECONDS);
        let content = context! { done, ..component_page(&visit.console, &it, &form) };
        visit.page("component.html", StatusCode::OK, content)
    };
    visit.answer(page.await)
}

/// The page of a component, with what is in the form of an override.
pub fn component_page(console: &Console, it: &Explanation, form: &Form) -> Value {
    let history_days = console.parts.settings.borrow().config.history_days;
    let mut spans: Vec<u32> = UPTIME_DAYS.into_iter().filter(|days| *days <= history_days).collect();
    if !spans.contains(&history_days) {
        spans.push(history_days);
    }
    // Those that are down first, as many as somebody reads.
    let mut targets: Vec<_> = it.targets.iter().collect();
    targets.sort_by_key(|target| (!target.down, !target.critical));
    let down_and_not_listed = targets.iter().skip(TARGETS_LISTED).filter(|target| target.down).count();
    targets.truncate(TARGETS_LISTED);
    let past = it.past.as_ref();
    let timeline = past.map(|past| past.timeline.as_slice()).unwrap_or_default();
    // All times are told in UTC, so a day is the beginning of each.
    let days = timeline.chunk_by(|one, next| one.at.get(..10) == next.at.get(..10)).map(|entries| {
        let at = entries.first().map_or("", |entry| &entry.at);
        context! { label => told(at, "%-d %B %Y"), iso => at.get(..10), entries => Serde(entries) }
    });
    context! {
        title => format!("{}: {}", it.component, it.status.word),
        component => &*it.component,
        it => Serde(it),
        uptime => past.iter().flat_map(|past| &past.uptime).map(uptime).collect::<Vec<_>>(),
        targets => Serde(&targets),
        down_and_not_listed,
        days => days.collect::<Vec<_>>(),
        spans,
        statuses => Serde(Override::STATUSES.map(StatusWord::from)),
        durations => DURATIONS.map(|(seconds, label)| context! { seconds, label }).to_vec(),
        note_limit => NOTE_LIMIT,
        form => Serde(&form.0),
    }
}

fn uptime(uptime: &UptimeOfDays) -> Value {
    let parts =
        [(uptime.down_seconds, "down"), (uptime.partial_seconds, "partly down"), (uptime.unknown_seconds, "not known")];
    let parts = parts.into_iter().filter(|(seconds, _)| *seconds > 0);
    let detail: Vec<String> =
        parts.map(|(seconds, what)| format!("{what} {}", duration_text(Duration::from_secs(seconds)))).collect();
    context! {
        span => if uptime.days == 1 { "1 day".to_owned() } else { format!("{} days", uptime.days) },
        share => uptime.percent.map_or_else(|| "not known".to_owned(), percent_text),
        detail => detail.join(", "),
    }
}

/// `GET /console/events`.
pub async fn events(State(console): State<Console>) -> Response {
    let Ok(place) = console.watchers.clone().try_acquire_owned() else {
        let text = "too many pages are kept fresh already: reload by hand\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "60")], text).into_response();
    };
    let Parts { live, stop, .. } = &console.parts;
    // What changed between the page and this connection is not lost: the page looks once more now.
    let connected = stream::once(async { Event::default().event("changed").data("connected").retry(RECONNECT) });
    let state = (live.watch(), stop.clone(), place);
    let changes = stream::unfold(state, |(mut changes, stop, place)| async move {
        let changed = stop.run_until_cancelled(async {
            tokio::time::sleep(SHORTEST_PAUSE).await;
            changes.changed().await
        });
        changed.await?.ok()?;
        Some((Event::default().event("changed").data("something changed"), (changes, stop, place)))
    });
    let events = connected.chain(changes).map(Ok::<_, Infallible>);
    ([UNBUFFERED], Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))).into_response()
}

/// The page of a component.
pub fn path_of(component: &str) -> String {
    let name = percent_encoding::utf8_percent_encode(component, percent_encoding::NON_ALPHANUMERIC);
    format!("/console/components/{name}")
}

/// A moment, `21 Nov 2026, 14:05 UTC`.
pub fn when(iso: &str) -> String {
    told(iso, "%-d %b %Y, %H:%M UTC")
}

fn told(iso: &str, form: &str) -> String {
    let moment =
        Timestamp::parse_rfc3339(iso).ok().and_then(|at| jiff::Timestamp::from_millisecond(at.as_millis()).ok());
    moment.map_or_else(|| iso.to_owned(), |moment| moment.to_zoned(TimeZone::UTC).strftime(form).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_one() {
        let environment = templates();
        for (name, _) in TEMPLATES {
            assert!(environment.get_template(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_path_survives_whatever_a_component_is_called() {
        assert_eq!(path_of("A/B ü%?"), "/console/components/A%2FB%20%C3%BC%25%3F");
    }

    #[test]
    fn a_moment_is_told_in_utc() {
        assert_eq!(when("2026-11-21T14:05:09.5Z"), "21 Nov 2026, 14:05 UTC");
        assert_eq!(told("2026-11-21T14:05:09.5Z", "%H:%M:%S"), "14:05:09");
        assert_eq!(when("never"), "never");
    }
}
