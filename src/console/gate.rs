//! Who comes in, what every answer carries, and that a form was sent from here.

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Console, Parts};
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
#[derive(Debug, Clone)]
pub struct User(pub String);

/// Makes and knows the tokens of forms. A token is bound to its user, and worth nothing after a restart.
pub struct Tokens {
    key: [u8; KEY_BYTES],
}

/// Why a form is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
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
    pub fn new() -> Result<Self, NoRandomness> {
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key)?;
        Ok(Self { key })
    }

    /// The token of `user`.
    pub fn of(&self, user: &User) -> String {
        let bytes = self.mac(user).finalize().into_bytes();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Checks that `user` sent a form from here.
    fn check(&self, user: &User, token: &str, headers: &HeaderMap) -> Result<(), Forged> {
        if !is_from_here(headers) {
            return Err(Forged::Elsewhere);
        }
        let bytes: Option<Vec<u8>> = (0..token.len())
            .step_by(2)
            .map(|at| token.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()))
            .collect();
        // In constant time.
        self.mac(user).verify_slice(&bytes.unwrap_or_default()).map_err(|_| Forged::Token)
    }

    fn mac(&self, user: &User) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        mac.update(user.0.as_bytes());
        mac
    }
}

/// Checks that `user` sent a form from here; what another site sent is counted.
///
/// # Errors
/// See [`Forged`].
pub fn check(console: &Console, user: &User, headers: &HeaderMap, token: Option<&String>) -> Result<(), Forged> {
    let checked = console.tokens.check(user, token.map_or("", String::as_str), headers);
    if checked == Err(Forged::Elsewhere) {
        guard::counted(&console.parts.metrics, Refusal::CrossSite);
    }
    checked
}

/// Lets in who says who they are, and gives every answer its headers.
pub async fn let_in(State(console): State<Console>, mut request: Request, next: Next) -> Response {
    let who = known(&console.parts, request.headers()).await;
    let mut response = match who {
        Ok(user) => {
            request.extensions_mut().insert(user);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Who asks, if they may. A page of another site may link here and get nothing for itself: an event stream, say, would
/// take the place of somebody's who watches.
async fn known(parts: &Parts, headers: &HeaderMap) -> Result<User, Refusal> {
    if is_loaded_from_elsewhere(headers) {
        return Err(guard::counted(&parts.metrics, Refusal::CrossSite));
    }
    guard::operator(&parts.authenticator, &parts.metrics, headers).await?;
    Ok(User(Authenticator::claimed_user(headers.get(AUTHORIZATION)).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value))).collect()
    }

    fn user(name: &str) -> User {
        User(name.to_owned())
    }

    #[test]
    fn a_token_is_its_users_and_its_processs() {
        let (tokens, after_a_restart) = (Tokens::new().expect("a key"), Tokens::new().expect("a key"));
        let token = tokens.of(&user("ada"));
        let here = headers(&[("sec-fetch-site", "same-origin")]);
        assert_eq!(tokens.check(&user("ada"), &token, &here), Ok(()));
        assert_eq!(tokens.check(&user("grace"), &token, &here), Err(Forged::Token));
        assert_eq!(after_a_restart.check(&user("ada"), &token, &here), Err(Forged::Token));
        for bad in ["", "zz", "ä", "0", &token[2..], &format!("{token}00")] {
            assert_eq!(tokens.check(&user("ada"), bad, &here), Err(Forged::Token), "{bad:?}");
        }
    }

    #[test]
    fn a_form_from_another_site_is_not_taken_though_its_token_is_right() {
        let tokens = Tokens::new().expect("a key");
        let token = tokens.of(&user("ada"));
        let check = |pairs: &[_]| tokens.check(&user("ada"), &token, &headers(pairs));
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
