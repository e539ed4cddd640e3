//! The pages: the overview, a component with the override that can be set and ended, and what every page shares. What is put into a template is escaped, for its name ends
//! in `.html`. Server-sent events keep the pages fresh: they say that something changed, and what changed is fetched by who
//! wants to know, so nothing is told twice in two forms.

use std::cmp::Reverse;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderName, StatusCode};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::{StreamExt as _, stream};
use jiff::tz::TimeZone;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, context};

use super::gate::{Form, Visit};
use super::{Console, Failure, Parts, api, moment};
use crate::core::explain::{Explanation, StatusWord};
use crate::core::history::{About, Event, EventKind};
use crate::core::overrides::{NOTE_LIMIT, Override};
use crate::core::status::ComponentStatus;
use crate::core::target::ComponentName;
use crate::core::time::Timestamp;
use crate::core::uptime::{UPTIME_DAYS, duration_text, percent_text};

/// How many entries of a list the overview has at most; the API has all of them.
const LISTED: usize = 20;

/// How many targets the page of a component has at most; the API has all of them.
const TARGETS_LISTED: usize = 100;

/// For how long an override lasts as long as nobody chose.
const DEFAULT_DURATION_SECONDS: &str = "3600";

/// How many pages are kept fresh at the same time; one more reloads by hand. Each holds one of the server's connections,
/// which those who post need.
pub(super) const WATCHERS_AT_ONCE: usize = 32;

/// The shortest time between two events: in a storm, a page that is made anew twice a second is fresh enough.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// How often a connection on which nothing happens is kept from being taken for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a browser waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(2);

/// Keeps nginx, if it is in front, from waiting until there is enough to pass on.
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

/// What is said to who was slower than somebody else.
const OVERTAKEN: &str = "The override changed meanwhile, and nothing was done. Review it and submit again.";

/// What is done with the override of a component.
#[derive(Debug, Clone, Copy)]
pub(super) enum OverrideAction {
    /// Set it, in place of the one that there is.
    Set,
    /// End it.
    End,
}

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
pub(super) fn templates() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.add_filter("when", |iso: &str| when(iso));
    environment.add_filter("clock", |iso: &str| told(iso, "%H:%M:%S"));
    environment.add_filter("duration", |seconds: u64| duration_text(Duration::from_secs(seconds)));
    environment.add_filter("percent", percent_text);
    environment.add_test("moment", |text: &str| moment(text).is_some());
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
pub(super) async fn overview(visit: Visit) -> Response {
    let console = &visit.console;
    let page = async {
        let facts = console.facts().await?;
        let parts = &console.parts;
        let components = facts.summaries();
        let ignored = parts.live.told().ignored.clone();
        // What is not Operational, the worst first.
        let operational = ComponentStatus::Operational.value();
        let mut affected: Vec<_> =
            components.iter().map(|one| &one.it).filter(|it| it.status.value != operational).collect();
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
        let sections = components.chunk_by(|one, next| one.it.group == next.it.group).map(|components| {
            let name = components.first().and_then(|one| one.it.group.as_deref()).unwrap_or("In no group");
            context! { name, components => Serde(api::summaries(components)) }
        });
        let content = context! {
            title,
            affected => Serde(affected),
            sections => sections.collect::<Vec<_>>(),
            changes => Serde(api::changes(console, &facts)),
            held => Serde(facts.waiting_firings()),
            ignored => Serde(ignored),
            alertmanager => Serde(api::alertmanager(console)),
            monitoring => Serde(api::monitoring(console, facts.pulse)),
            has_page => parts.page.is_some(),
            listed => LISTED,
        };
        visit.page("overview.html", StatusCode::OK, content)
    };
    visit.answer(page.await)
}

/// `GET /console/components/{component}`.
pub(super) async fn component(visit: Visit) -> Response {
    let asked = |field: &str| visit.query.0.get(field).map(String::as_str);
    let page = async {
        let it = api::component(&visit.console, &visit.name, asked("days")).await?;
        let mut form = Form::default();
        form.set("for", DEFAULT_DURATION_SECONDS);
        let content = context! { done => asked("done"), ..component_page(&visit.console, &it, &form) };
        visit.page("component.html", StatusCode::OK, content)
    };
    visit.answer(page.await)
}

/// The page of a component, with what is in the form of an override.
fn component_page(console: &Console, it: &Explanation, form: &Form) -> Value {
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
        targets => Serde(&targets),
        down_and_not_listed,
        days => days.collect::<Vec<_>>(),
        spans,
        statuses => Serde(Override::STATUSES.map(StatusWord::from)),
        note_limit => NOTE_LIMIT,
        form => Serde(&form.0),
    }
}

/// `GET …/override`, `GET …/override/end`: what it would mean.
pub(super) async fn ask_override(visit: Visit, action: OverrideAction) -> Response {
    visit.answer(decide(&visit, action, &visit.query, false).await)
}

/// `POST …/override`, `POST …/override/end`.
pub(super) async fn submit_override(visit: Visit, action: OverrideAction, body: Bytes) -> Response {
    visit.answer(decide(&visit, action, &Form::read(&body), true).await)
}

/// What becomes of a form: it is `posted` if it was confirmed, and else what it means is shown, to be confirmed. The form says
/// which override it takes the place of: if that is another one by then, nothing is done, and it is asked for again.
async fn decide(visit: &Visit, action: OverrideAction, form: &Form, posted: bool) -> Result<Response, Failure> {
    let (console, parts) = (&visit.console, &visit.console.parts);
    let _acting = if posted {
        visit.check(form)?;
        Some(console.acting.lock().await)
    } else {
        None
    };
    let (component, it, now) = console.explained(&visit.name).await?;
    // The component's page, which says what was done. A reload of it does nothing again.
    let see = |done| Ok(Redirect::to(&format!("{}?done={done}", path_of(&visit.name))).into_response());
    let override_ = match action {
        OverrideAction::Set => match wanted(form, component.clone(), &visit.user, now) {
            Ok(override_) => Some(override_),
            Err(fault) => {
                let it = api::component(console, &visit.name, None).await?;
                let content = context! { problem => fault, ..component_page(console, &it, form) };
                return visit.page("component.html", StatusCode::UNPROCESSABLE_ENTITY, content);
            }
        },
        OverrideAction::End if it.operator_override.is_none() => return see("nothing"),
        OverrideAction::End => None,
    };
    // Which override there is, by since when; nothing, if there is none.
    let seen = it.operator_override.as_ref().map_or("", |override_| &override_.since);
    if !posted || form.get("seen") != seen {
        let content = context! {
            title => format!("{} {}", if override_.is_some() { "Override" } else { "End the override of" }, it.component),
            component => &*it.component,
            confirming => true,
            token => console.tokens.of(&visit.user),
            seen,
            it => Serde(&it),
            problem => posted.then_some(OVERTAKEN),
            override => override_.map(|override_| context! {
                status => Serde(StatusWord::from(override_.status)),
                until => override_.until.to_string(),
                note => &*override_.note,
            }),
        };
        let status = if posted { StatusCode::CONFLICT } else { StatusCode::OK };
        return visit.page("confirm.html", status, content);
    }
    let (event, done) = match &override_ {
        Some(override_) => {
            parts.store.set_override(override_).await?;
            (Some(EventKind::override_set(override_)), "overridden")
        }
        None => {
            let ended = parts.store.end_override(&component, &visit.user, now).await?;
            (ended.map(|_| EventKind::OverrideEnded { user: visit.user.clone() }), "ended")
        }
    };
    if let Some(kind) = event {
        parts.log.emit(&Event { at: now, about: About::Component(component), kind });
        parts.wake.wake();
        parts.live.changed();
    }
    see(done)
}

/// The override that a form asks for; else what is wrong with it, and the cure. A time that is named wins over a span.
fn wanted(form: &Form, component: ComponentName, user: &str, now: Timestamp) -> Result<Override, String> {
    let status = form.get("status").parse().ok().and_then(ComponentStatus::from_value);
    let status = status.ok_or("choose the status that it shows")?;
    let until = match (form.get("until").trim(), form.get("for").parse()) {
        // To the second: nobody reads milliseconds at night.
        ("", Ok(seconds)) => now.after(Duration::from_secs(seconds)).cut_to_seconds(),
        ("", Err(_)) => return Err("choose for how long to override it".to_owned()),
        (text, _) => {
            moment(text).ok_or_else(|| format!("{text:?} is no time: write it as 2026-11-21 18:00, in UTC"))?
        }
    };
    Override::new(component, status, until, (user, form.get("note")), now)
}

/// `GET /console/events`.
pub(super) async fn events(State(console): State<Arc<Console>>) -> Response {
    let Ok(place) = console.watchers.clone().try_acquire_owned() else {
        let text = "too many pages are kept fresh already: reload by hand\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "60")], text).into_response();
    };
    let Parts { live, stop, .. } = &console.parts;
    // What changed between the page and this connection is not lost: the page looks once more now.
    let connected = stream::once(async { sse::Event::default().event("changed").data("connected").retry(RECONNECT) });
    let state = (live.watch(), stop.clone(), place);
    let changes = stream::unfold(state, |(mut changes, stop, place)| async move {
        let changed = stop.run_until_cancelled(async {
            tokio::time::sleep(SHORTEST_PAUSE).await;
            changes.changed().await
        });
        changed.await?.ok()?;
        Some((sse::Event::default().event("changed").data("something changed"), (changes, stop, place)))
    });
    let events = connected.chain(changes).map(Ok::<_, Infallible>);
    ([UNBUFFERED], Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))).into_response()
}

/// The page of a component.
fn path_of(component: &str) -> String {
    let name = percent_encoding::utf8_percent_encode(component, percent_encoding::NON_ALPHANUMERIC);
    format!("/console/components/{name}")
}

/// A moment, `21 Nov 2026, 14:05 UTC`.
pub(super) fn when(iso: &str) -> String {
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

    const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_000); // 2026-11-21T02:00:00Z

    fn wanted_by(query: &str) -> Result<Override, String> {
        let component = ComponentName::try_from("Database").expect("a name");
        wanted(&Form::read(query.as_bytes()), component, "ada", NOW)
    }

    #[test]
    fn a_form_is_read_with_a_span_or_with_a_time_in_utc_which_wins() {
        let override_ = wanted_by("status=3&for=3600&until=&note=two+words").expect("an override");
        assert_eq!((override_.status, override_.note.as_str()), (ComponentStatus::PartialOutage, "two words"));
        assert_eq!(override_.until.to_string(), "2026-11-21T03:00:00Z");
        for until in
            ["2026-11-21T18%3A30", "2026-11-21+18:30", "2026-11-21T19:30:00%2B01:00", "2026-11-21T19:30%2B01:00"]
        {
            let override_ = wanted_by(&format!("status=1&for=3600&until={until}")).expect("an override");
            assert_eq!(override_.until.to_string(), "2026-11-21T18:30:00Z", "{until}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_says_the_cure() {
        for (query, words) in [
            ("", "choose the status"),
            ("status=9&for=60", "choose the status"),
            ("status=5&for=60", "choose one of 1 to 4"),
            ("status=1", "choose for how long"),
            ("status=1&until=soon", "write it as"),
            ("status=1&until=2026-11-21T18:30[Europe/Berlin]", "write it as"),
            ("status=1&until=2026-11-21T18:30+Europe/Berlin", "write it as"),
            ("status=1&until=9999-12-01T23:59", "choose an earlier time"),
            ("status=1&until=-009998-01-01T00:00", "choose a later time"),
            ("status=1&for=0", "choose a later time"),
            ("status=1&for=-3600", "choose for how long"),
            ("status=1&for=18446744073709551615", "choose an earlier time"),
            ("status=-1&for=60", "choose the status"),
            ("status=1&until=2026-11-20T00:00", "choose a later time"),
            ("status=1&for=99999999999999999999", "choose for how long"),
            ("status=1&for=9999999", "choose an earlier time"),
        ] {
            let fault = wanted_by(query).expect_err("no override");
            assert!(fault.contains(words), "{query}: {fault}");
        }
    }
}
