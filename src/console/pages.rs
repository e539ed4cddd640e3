//! The pages. What is put into a template is escaped, for its name ends in `.html`.

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;

use super::asked::{Asked, Named};
use super::gate::User;
use super::view::{self, ComponentPage, Known, Overview};
use super::{Console, Failure, api};
use crate::core::explain::{held_refires, summaries};

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

/// The templates, read once.
pub struct Templates {
    environment: Environment<'static>,
    fault: Option<minijinja::Error>,
}

impl Templates {
    /// Reads them. A fault in one is told when a page is asked for; a test rules it out.
    pub fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.add_filter("when", |iso: &str| view::when(iso));
        environment.add_filter("clock", |iso: &str| view::clock(iso));
        // Whatever the name, there is nothing to escape in its path.
        environment.add_filter("path", |component: &str| Value::from_safe_string(view::path_of(component)));
        let added = TEMPLATES.into_iter().try_for_each(|(name, text)| environment.add_template(name, text));
        Self { environment, fault: added.err() }
    }

    fn render(&self, name: &str, content: &impl Serialize) -> Result<String, minijinja::Error> {
        match &self.fault {
            None => self.environment.get_template(name)?.render(minijinja::value::Serde(content)),
            Some(fault) => Err(minijinja::Error::new(fault.kind(), fault.to_string())),
        }
    }
}

/// `GET /console`.
pub async fn overview(State(console): State<Console>, Extension(User(user)): Extension<User>) -> Response {
    let page = async {
        let insight = console.insight().await?;
        let known = Known {
            components: summaries(insight.facts()),
            changes: api::changes(&console, &insight),
            held: held_refires(insight.facts()),
            ignored: console.shared.parts.live.ignored(),
            alertmanager: api::alertmanager_of(&console),
            monitoring: api::monitoring(&console, &insight),
            has_page: console.shared.parts.page.is_some(),
        };
        Ok(Overview::of(user.clone(), known))
    };
    show(&console, &user, "overview.html", StatusCode::OK, page.await)
}

/// `GET /console/components/{component}`.
pub async fn component(
    State(console): State<Console>,
    Extension(User(user)): Extension<User>,
    Named(name): Named,
    asked: Asked,
) -> Response {
    let page = async {
        let mut page = component_page(&console, &user, &name, asked.days.as_deref()).await?;
        // Said behind the redirect that follows what was done, as long as it is true.
        page.done = match (asked.done.as_deref(), &page.it.hold) {
            (Some("held"), Some(_)) => Some("It is held. The page is written now."),
            (Some("released"), None) => Some("It is released: the alerts say what it shows."),
            (Some("nothing"), None) => Some("It is not held: there is nothing to release."),
            _ => None,
        };
        Ok(page)
    };
    show(&console, &user, "component.html", StatusCode::OK, page.await)
}

/// The page of a component, with an empty form.
pub async fn component_page(
    console: &Console,
    user: &str,
    name: &str,
    days: Option<&str>,
) -> Result<ComponentPage, Failure> {
    let explanation = api::component(console, name, days).await?;
    let history_days = console.shared.parts.settings.borrow().config.history_days;
    Ok(ComponentPage::of(user.to_owned(), explanation, history_days))
}

/// A page, or one that says why there is none.
pub fn show<T: Serialize>(
    console: &Console,
    user: &str,
    template: &str,
    status: StatusCode,
    content: Result<T, Failure>,
) -> Response {
    let pages = &console.shared.pages;
    let rendered = content.and_then(|content| Ok(pages.render(template, &content)?));
    match rendered {
        Ok(html) => (status, Html(html)).into_response(),
        Err(failure) => problem(console, user, failure.status(), &failure.to_string()),
    }
}

/// A page that says what is wrong.
pub fn problem(console: &Console, user: &str, status: StatusCode, problem: &str) -> Response {
    #[derive(Serialize)]
    struct Content<'a> {
        user: &'a str,
        title: &'a str,
        problem: &'a str,
    }
    if status.is_server_error() {
        tracing::error!("the console could not be shown: {problem}");
    }
    let title = if status == StatusCode::NOT_FOUND { "Not found" } else { "That cannot be done" };
    match console.shared.pages.render("problem.html", &Content { user, title, problem }) {
        Ok(html) => (status, Html(html)).into_response(),
        Err(_) => (status, format!("{problem}\n")).into_response(),
    }
}

/// `GET /console/assets/console.css`.
pub async fn css() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("console.css")).into_response()
}

/// `GET /console/assets/console.js`.
pub async fn js() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("console.js")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_one() {
        assert!(Templates::new().fault.is_none());
    }
}
