//! Who comes in and for what, what every answer carries, and that a form was sent from here.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::ExtensionRejection;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, request};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use minijinja::{Value, context};
use sha2::Sha256;

use super::{Console, Failure, Parts};
use crate::metrics::Refusal;
use crate::web::auth::{Authenticator, NoRandomness};
use crate::web::guard::{self, is_from_here, is_loaded_from_elsewhere};

/// Nothing but what we serve ourselves, forms to nowhere else, and nobody may frame it. Not `no-referrer`: browsers would
/// send forms with the origin `null`.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    (REFERRER_POLICY, "same-origin"),
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// As long as a block of the hash.
const KEY_BYTES: usize = 64;

/// Who asks.
#[derive(Clone)]
struct User(String);

/// Makes and knows the tokens of forms. A token is bound to its user, and worth nothing after a restart.
pub(super) struct Tokens {
    key: [u8; KEY_BYTES],
}

/// Why a form is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Forged {
    /// Another site sent it.
    #[error("this form was not sent from the console: open the console and do it there")]
    Elsewhere,
    /// It is old, or another user's.
    #[error("this form is too old: the server was started anew since, so ask again")]
    Token,
}

impl Tokens {
    /// Makes a key.
    ///
    /// # Errors
    /// [`NoRandomness`] if the system gives no random numbers.
    pub(super) fn new() -> Result<Self, NoRandomness> {
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key)?;
        Ok(Self { key })
    }

    /// The token of `user`.
    pub(super) fn of(&self, user: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.mac(user).finalize().into_bytes())
    }

    /// Checks that `user` sent a form from here.
    fn check(&self, user: &str, token: &str, headers: &HeaderMap) -> Result<(), Forged> {
        if !is_from_here(headers) {
            return Err(Forged::Elsewhere);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
        // In constant time.
        self.mac(user).verify_slice(&bytes).map_err(|_| Forged::Token)
    }

    fn mac(&self, user: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        mac.update(user.as_bytes());
        mac
    }
}

/// What was typed into the fields of a form or of a query, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Form(pub BTreeMap<String, String>);

impl Form {
    /// Reads a query or the body of a form; of a field that is there twice, the last. Lines end as they do everywhere else:
    /// a browser ends them with two characters.
    pub(super) fn read(text: &[u8]) -> Self {
        let fields = form_urlencoded::parse(text).into_owned();
        Self(fields.map(|(field, content)| (field, content.replace("\r\n", "\n"))).collect())
    }

    /// What a field has; nothing, if it is not there.
    pub(super) fn get(&self, field: &str) -> &str {
        self.0.get(field).map(String::as_str).unwrap_or_default()
    }

    /// Gives a field its content.
    pub(super) fn set(&mut self, field: impl Into<String>, content: impl Into<String>) {
        self.0.insert(field.into(), content.into());
    }
}

/// A request that was let in: who asks, and for what. Whatever is in a path or a query is taken as it comes, so that what is
/// wrong with it is said in our words, and nowhere in a framework's.
pub(super) struct Visit {
    /// Where they ask.
    pub console: Arc<Console>,
    /// Who asks.
    pub user: String,
    /// What the path names: a component, or an edit of the page.
    pub name: String,
    /// What the query says.
    pub query: Form,
    headers: HeaderMap,
}

impl FromRequestParts<Arc<Console>> for Visit {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(parts: &mut request::Parts, console: &Arc<Console>) -> Result<Self, Self::Rejection> {
        let Extension(User(user)) = Extension::from_request_parts(parts, console).await?;
        let name = Path::<String>::from_request_parts(parts, console).await;
        Ok(Self {
            console: console.clone(),
            user,
            // What is no UTF-8 is the name of nothing.
            name: name.map_or_else(|_| char::REPLACEMENT_CHARACTER.to_string(), |Path(name)| name),
            query: Form::read(parts.uri.query().unwrap_or_default().as_bytes()),
            headers: parts.headers.clone(),
        })
    }
}

impl Visit {
    /// Checks that the user sent `form` from here; what another site sent is counted.
    ///
    /// # Errors
    /// See [`Forged`].
    pub(super) fn check(&self, form: &Form) -> Result<(), Forged> {
        let checked = self.console.tokens.check(&self.user, form.get("token"), &self.headers);
        if checked == Err(Forged::Elsewhere) {
            self.console.parts.metrics.refused(Refusal::CrossSite);
        }
        checked
    }

    /// A page.
    ///
    /// # Errors
    /// [`Failure::Template`].
    pub(super) fn page(&self, template: &str, status: StatusCode, content: Value) -> Result<Response, Failure> {
        let template = self.console.pages.get_template(template)?;
        let html = template.render(context! { user => &*self.user, ..content })?;
        Ok((status, Html(html)).into_response())
    }

    /// The answer: what came of the request, or a page that says what is wrong.
    pub(super) fn answer(&self, outcome: Result<Response, Failure>) -> Response {
        let Err(failure) = outcome else { return outcome.into_response() };
        let (status, problem) = (failure.status(), failure.to_string());
        if status.is_server_error() {
            tracing::error!("the console could not be shown: {problem}");
        }
        let title = if status == StatusCode::NOT_FOUND { "Not found" } else { "That cannot be done" };
        let page = self.page("problem.html", status, context! { title, problem => &*problem });
        page.unwrap_or_else(|_| (status, format!("{problem}\n")).into_response())
    }
}

/// Lets in who says who they are, and gives every answer its headers. A page of another site may link here and get nothing
/// for itself: an event stream, say, would take the place of somebody's who watches.
pub(super) async fn let_in(State(console): State<Arc<Console>>, mut request: Request, next: Next) -> Response {
    let Parts { metrics, authenticator, .. } = &console.parts;
    let refusal = if is_loaded_from_elsewhere(request.headers()) {
        Some(metrics.refused(Refusal::CrossSite))
    } else {
        guard::operator(authenticator, metrics, request.headers()).await.err()
    };
    let mut response = match refusal {
        Some(refusal) => refusal.into_response(),
        None => {
            let user = Authenticator::claimed_user(request.headers().get(AUTHORIZATION)).unwrap_or_default();
            request.extensions_mut().insert(User(user));
            next.run(request).await
        }
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_token_is_its_users_and_its_processs() {
        let (tokens, after_a_restart) = (Tokens::new().expect("a key"), Tokens::new().expect("a key"));
        let token = tokens.of("ada");
        let here = headers(&[("sec-fetch-site", "same-origin")]);
        assert_eq!(tokens.check("ada", &token, &here), Ok(()));
        assert_eq!(tokens.check("grace", &token, &here), Err(Forged::Token));
        assert_eq!(after_a_restart.check("ada", &token, &here), Err(Forged::Token));
        for bad in ["", "zz", "ä", "0", &token[2..], &format!("{token}00")] {
            assert_eq!(tokens.check("ada", bad, &here), Err(Forged::Token), "{bad:?}");
        }
    }

    #[test]
    fn a_form_from_another_site_is_not_taken_though_its_token_is_right() {
        let tokens = Tokens::new().expect("a key");
        let token = tokens.of("ada");
        let check = |pairs: &[_]| tokens.check("ada", &token, &headers(pairs));
        for good in [
            &[("sec-fetch-site", "same-origin"), ("origin", "https://other"), ("host", "console")][..],
            &[("origin", "http://console:5000"), ("host", "console:5000")],
            &[("host", "console:5000")],
        ] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        for bad in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site"), ("origin", "http://console"), ("host", "console")],
            &[("sec-fetch-site", "none")],
            &[("origin", "https://evil.example"), ("host", "console:5000")],
            &[("origin", "null"), ("host", "console:5000")],
            &[("origin", "http://console:5000")],
        ] {
            assert_eq!(check(bad), Err(Forged::Elsewhere), "{bad:?}");
        }
    }
}
