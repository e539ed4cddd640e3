//! The two things that can be done: set the override of a component, and end it. Each is
//! asked for (GET, which changes nothing), shown with what it means, and done by a form (POST) that only this page can
//! send. The form says which override it takes the place of: if that is another one by then, nothing is done, and it is
//! asked for again.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;
use minijinja::value::Serde;

use super::gate::{Form, User, Visit};
use super::pages::{component_page, path_of};
use super::{Failure, api, moment};
use crate::core::explain::{Explanation, StatusWord};
use crate::core::history::{About, Event, EventKind};
use crate::core::overrides::Override;
use crate::core::status::ComponentStatus;
use crate::core::target::ComponentName;
use crate::core::time::Timestamp;

/// What is said to who was slower than somebody else.
const OVERTAKEN: &str = "The override changed meanwhile, and nothing was done. Review it and submit again.";

/// `GET …/override`: what it would mean.
pub async fn ask_set(visit: Visit) -> Response {
    let page = async {
        let (component, explanation, insight) = visit.console.explained(&visit.name).await?;
        match wanted(&visit.query, component, &visit.user, insight.now) {
            Ok(override_) => confirm(&visit, &explanation, Some(&override_), None),
            Err(fault) => refuse_form(&visit, &visit.query, fault).await,
        }
    };
    visit.answer(page.await)
}

/// `POST …/override`.
pub async fn set(visit: Visit, body: Bytes) -> Response {
    let (form, parts) = (Form::read(&body), &visit.console.parts);
    let done = async {
        visit.check(&form)?;
        let _acting = visit.console.acting.lock().await;
        let (component, explanation, insight) = visit.console.explained(&visit.name).await?;
        let override_ = match wanted(&form, component, &visit.user, insight.now) {
            Ok(override_) => override_,
            Err(fault) => return refuse_form(&visit, &form, fault).await,
        };
        if form.get("seen") != seen(&explanation) {
            return confirm(&visit, &explanation, Some(&override_), Some(OVERTAKEN));
        }
        parts.store.set_override(&override_).await?;
        let (at, about) = (override_.since, About::Component(override_.component.clone()));
        parts.log.emit(&Event { at, about, kind: EventKind::override_set(&override_) });
        parts.wake.wake();
        parts.live.changed();
        Ok(see(&visit.name, "overridden"))
    };
    visit.answer(done.await)
}

/// `GET …/override/end`: what it would mean.
pub async fn ask_end(visit: Visit) -> Response {
    let page = async {
        match visit.console.explained(&visit.name).await? {
            (_, explanation, _) if explanation.operator_override.is_none() => Ok(see(&visit.name, "nothing")),
            (_, explanation, _) => confirm(&visit, &explanation, None, None),
        }
    };
    visit.answer(page.await)
}

/// `POST …/override/end`.
pub async fn end(visit: Visit, body: Bytes) -> Response {
    let (form, parts) = (Form::read(&body), &visit.console.parts);
    let done = async {
        visit.check(&form)?;
        let _acting = visit.console.acting.lock().await;
        let (component, explanation, insight) = visit.console.explained(&visit.name).await?;
        if explanation.operator_override.is_none() {
            return Ok(see(&visit.name, "nothing"));
        }
        if form.get("seen") != seen(&explanation) {
            return confirm(&visit, &explanation, None, Some(OVERTAKEN));
        }
        let user = visit.user.0.as_str();
        if parts.store.end_override(&component, user, insight.now).await?.is_some() {
            let (at, about) = (insight.now, About::Component(component));
            parts.log.emit(&Event { at, about, kind: EventKind::OverrideEnded { user: user.to_owned() } });
            parts.wake.wake();
            parts.live.changed();
        }
        Ok(see(&visit.name, "ended"))
    };
    visit.answer(done.await)
}

/// The component's page, which says what was done. A reload of it does nothing again.
fn see(name: &str, done: &str) -> Response {
    Redirect::to(&format!("{}?done={done}", path_of(name))).into_response()
}

/// The override that there is, as a form says which one it has seen: since when; nothing, if there is none.
fn seen(explanation: &Explanation) -> &str {
    explanation.operator_override.as_ref().map_or("", |override_| &override_.since)
}

/// What it means to set `override_`, or without one to end the override that there is, to be confirmed; `overtaken`: why
/// it is asked for again.
fn confirm(
    visit: &Visit,
    it: &Explanation,
    override_: Option<&Override>,
    overtaken: Option<&str>,
) -> Result<Response, Failure> {
    let content = context! {
        title => format!("{} {}", if override_.is_some() { "Override" } else { "End the override of" }, it.component),
        component => &*it.component,
        confirming => true,
        token => visit.console.tokens.of(&visit.user),
        seen => seen(it),
        it => Serde(it),
        problem => overtaken,
        override => override_.map(|override_| context! {
            status => Serde(StatusWord::from(override_.status)),
            until => override_.until.to_string(),
            note => &*override_.note,
        }),
    };
    let status = if overtaken.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    visit.page("confirm.html", status, content)
}

/// The component's page again, with what was typed and why it cannot be done.
async fn refuse_form(visit: &Visit, form: &Form, fault: String) -> Result<Response, Failure> {
    let it = api::component(&visit.console, &visit.name, None).await?;
    let content = context! { problem => fault, ..component_page(&visit.console, &it, form) };
    visit.page("component.html", StatusCode::UNPROCESSABLE_ENTITY, content)
}

/// The override that a form asks for; else what is wrong with it, and the cure. A time that is named wins over a span.
fn wanted(form: &Form, component: ComponentName, user: &User, now: Timestamp) -> Result<Override, String> {
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
    Override::new(component, status, until, (&user.0, form.get("note")), now).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_000); // 2026-11-21T02:00:00Z

    fn wanted_by(query: &str) -> Result<Override, String> {
        let component = ComponentName::try_from("Database").expect("a name");
        wanted(&Form::read(query.as_bytes()), component, &User("ada".to_owned()), NOW)
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
