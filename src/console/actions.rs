//! The two things that can be done: hold a component, and release it. Each is asked for (GET, which changes nothing), shown
//! with what it means, and done by a form (POST) that only this page can send. The form says which hold it takes the place
//! of: if that is another one by then, nothing is done, and it is asked for again.

use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;

use super::asked::{Named, fields, moment};
use super::gate::{Forged, User};
use super::pages::{component_page, problem, show};
use super::view::{HoldForm, path_of};
use super::{Console, Failure};
use crate::core::explain::{Explanation, StatusWord};
use crate::core::history::{About, Event, Happening};
use crate::core::hold::Hold;
use crate::core::status::ComponentStatus;
use crate::core::target::ComponentName;
use crate::core::time::Timestamp;
use crate::web::guard::{self, Refusal};

/// What is asked before it is done.
#[derive(Serialize)]
struct Confirmation {
    user: String,
    title: String,
    component: String,
    confirming: bool,
    token: String,
    /// The hold that there is, as the form says it.
    seen: String,
    it: Explanation,
    /// Why it is asked for again.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<AskedHold>,
}

#[derive(Serialize)]
struct AskedHold {
    status: StatusWord,
    until: String,
    note: String,
}

impl From<Hold> for AskedHold {
    fn from(hold: Hold) -> Self {
        Self { status: hold.status.into(), until: hold.until.to_string(), note: hold.note }
    }
}

/// What is said to who was slower than somebody else.
const OVERTAKEN: &str = "Meanwhile somebody else has held or released it, or its time was over. See what is true now, and \
                         say so again.";

/// `GET …/hold`: what it would mean.
pub async fn ask_hold(
    State(console): State<Console>,
    Extension(user): Extension<User>,
    Named(name): Named,
    RawQuery(query): RawQuery,
) -> Response {
    let form = HoldForm::read(query.unwrap_or_default().as_bytes());
    let (component, explanation, insight) = match console.explained(&name).await {
        Ok(explained) => explained,
        Err(failure) => return problem(&console, &user.0, failure.status(), &failure.to_string()),
    };
    match form.wanted(component, &user, insight.now()) {
        Ok(hold) => {
            let content = confirmation(&console, &user, explanation, Some(hold.into()));
            show(&console, &user.0, "confirm.html", StatusCode::OK, Ok(content))
        }
        Err(fault) => refuse_form(&console, &user, &name, form, fault).await,
    }
}

/// `POST …/hold`.
pub async fn hold(
    State(console): State<Console>,
    Extension(user): Extension<User>,
    Named(name): Named,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(forged) = check(&console, &user, &headers, &body) {
        return problem(&console, &user.0, StatusCode::FORBIDDEN, &forged.to_string());
    }
    let form = HoldForm::read(&body);
    let _acting = console.shared.acting.lock().await;
    let done = async {
        let (component, explanation, insight) = console.explained(&name).await?;
        let hold = match form.wanted(component, &user, insight.now()) {
            Ok(hold) => hold,
            Err(fault) => return Ok(refuse_form(&console, &user, &name, form, fault).await),
        };
        if is_overtaken(&body, &explanation) {
            return Ok(ask_again(&console, &user, explanation, Some(hold.into())));
        }
        let parts = &console.shared.parts;
        parts.store.hold(&hold).await?;
        let (at, about) = (hold.since, About::Component(hold.component.clone()));
        parts.log.emit(&Happening { at, about, event: Event::held(&hold) });
        parts.wake.wake();
        parts.live.changed();
        Ok(see(&name, "held"))
    };
    done.await.unwrap_or_else(|failure: Failure| problem(&console, &user.0, failure.status(), &failure.to_string()))
}

/// `GET …/release`: what it would mean.
pub async fn ask_release(
    State(console): State<Console>,
    Extension(user): Extension<User>,
    Named(name): Named,
) -> Response {
    match console.explained(&name).await {
        Ok((_, explanation, _)) if explanation.hold.is_none() => see(&name, "nothing"),
        Ok((_, explanation, _)) => {
            let content = confirmation(&console, &user, explanation, None);
            show(&console, &user.0, "confirm.html", StatusCode::OK, Ok(content))
        }
        Err(failure) => problem(&console, &user.0, failure.status(), &failure.to_string()),
    }
}

/// `POST …/release`.
pub async fn release(
    State(console): State<Console>,
    Extension(user): Extension<User>,
    Named(name): Named,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(forged) = check(&console, &user, &headers, &body) {
        return problem(&console, &user.0, StatusCode::FORBIDDEN, &forged.to_string());
    }
    let _acting = console.shared.acting.lock().await;
    let done = async {
        let (component, explanation, insight) = console.explained(&name).await?;
        if explanation.hold.is_none() {
            return Ok(see(&name, "nothing"));
        }
        if is_overtaken(&body, &explanation) {
            return Ok(ask_again(&console, &user, explanation, None));
        }
        let parts = &console.shared.parts;
        if parts.store.release(&component, &user.0, insight.now()).await?.is_some() {
            let (at, about) = (insight.now(), About::Component(component));
            parts.log.emit(&Happening { at, about, event: Event::Released { user: user.0.clone() } });
            parts.wake.wake();
            parts.live.changed();
        }
        Ok(see(&name, "released"))
    };
    done.await.unwrap_or_else(|failure: Failure| problem(&console, &user.0, failure.status(), &failure.to_string()))
}

/// The component's page, which says what was done. A reload of it does nothing again.
fn see(name: &str, done: &str) -> Response {
    Redirect::to(&format!("{}?done={done}", path_of(name))).into_response()
}

/// Checks that `user` sent a form from here; what another site sent is counted.
pub fn check(console: &Console, user: &User, headers: &HeaderMap, body: &[u8]) -> Result<(), Forged> {
    let token = fields(body).remove("token").unwrap_or_default();
    let checked = console.shared.tokens.check(user, &token, headers);
    if checked == Err(Forged::Elsewhere) {
        guard::counted(&console.shared.parts.metrics, Refusal::CrossSite);
    }
    checked
}

/// The hold that there is, as a form says which one it has seen: since when; nothing, if there is none.
fn seen(explanation: &Explanation) -> String {
    explanation.hold.as_ref().map(|hold| hold.since.clone()).unwrap_or_default()
}

fn is_overtaken(form: &[u8], now: &Explanation) -> bool {
    fields(form).remove("seen").unwrap_or_default() != seen(now)
}

fn ask_again(console: &Console, user: &User, it: Explanation, hold: Option<AskedHold>) -> Response {
    let content = Confirmation { problem: Some(OVERTAKEN), ..confirmation(console, user, it, hold) };
    show(console, &user.0, "confirm.html", StatusCode::CONFLICT, Ok(content))
}

fn confirmation(console: &Console, user: &User, it: Explanation, hold: Option<AskedHold>) -> Confirmation {
    Confirmation {
        user: user.0.clone(),
        title: format!("{} {}", if hold.is_some() { "Hold" } else { "Release" }, it.component),
        component: it.component.clone(),
        confirming: true,
        token: console.shared.tokens.of(user),
        seen: seen(&it),
        it,
        problem: None,
        hold,
    }
}

/// The component's page again, with what was typed and why it cannot be done.
async fn refuse_form(console: &Console, user: &User, name: &str, form: HoldForm, fault: String) -> Response {
    let page = component_page(console, &user.0, name, None).await;
    let page = page.map(|mut page| {
        (page.problem, page.form) = (Some(fault), form);
        page
    });
    show(console, &user.0, "component.html", StatusCode::UNPROCESSABLE_ENTITY, page)
}

impl HoldForm {
    /// Reads a query or the body of a form.
    fn read(text: &[u8]) -> Self {
        let mut fields = fields(text);
        let mut take = |name: &str| fields.remove(name).unwrap_or_default();
        Self { status: take("status"), r#for: take("for"), until: take("until"), note: take("note") }
    }

    /// The hold that is wanted; else what is wrong with it, and the cure. A time that is named wins over a span.
    fn wanted(&self, component: ComponentName, user: &User, now: Timestamp) -> Result<Hold, String> {
        let status = self.status.parse().ok().and_then(ComponentStatus::from_value);
        let status = status.ok_or("choose the status to hold it at")?;
        let until = match (self.until.trim(), self.r#for.parse()) {
            // To the second: nobody reads milliseconds at night.
            ("", Ok(seconds)) => now.after(Duration::from_secs(seconds)).cut_to_seconds(),
            ("", Err(_)) => return Err("choose for how long to hold it".to_owned()),
            (text, _) => {
                moment(text).ok_or_else(|| format!("{text:?} is no time: write it as 2026-11-21 18:00, in UTC"))?
            }
        };
        Hold::new(component, status, until, (&user.0, &self.note), now).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_000); // 2026-11-21T02:00:00Z

    fn wanted(query: &str) -> Result<Hold, String> {
        let component = ComponentName::try_from("Database").expect("a name");
        HoldForm::read(query.as_bytes()).wanted(component, &User("ada".to_owned()), NOW)
    }

    #[test]
    fn a_form_is_read_with_a_span_or_with_a_time_in_utc_which_wins() {
        let hold = wanted("status=3&for=3600&until=&note=two+words").expect("a hold");
        assert_eq!((hold.status, hold.note.as_str()), (ComponentStatus::PartialOutage, "two words"));
        assert_eq!(hold.until.to_string(), "2026-11-21T03:00:00Z");
        for until in
            ["2026-11-21T18%3A30", "2026-11-21+18:30", "2026-11-21T19:30:00%2B01:00", "2026-11-21T19:30%2B01:00"]
        {
            let hold = wanted(&format!("status=1&for=3600&until={until}")).expect("a hold");
            assert_eq!(hold.until.to_string(), "2026-11-21T18:30:00Z", "{until}");
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
            let fault = wanted(query).expect_err("no hold");
            assert!(fault.contains(words), "{query}: {fault}");
        }
    }
}
