//! Who asks, who may ask for what, and what answers carry.
//!
//! Where there are operators (`basic_auth_users`), the paths of the server are theirs, except those that are named here.
//! The built-in page is not among them: it is for the public.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;

use super::App;
use super::auth::Authenticator;
use crate::config::Role;
use crate::metrics::{Metrics, Refusal};

/// What operators do not keep to themselves: what probes ask for, who have no password to send and are told no secret; and
/// what looks at passwords itself, because those who may post may use it as well.
const NOT_ONLY_OPERATORS: &[&str] = &["/health", "/-/ready", "/-/healthy", "/webhook", "/webhook/", "/-/reload"];

/// Where a browser says that a request came from, and what for.
const SEC_FETCH_SITE: &str = "sec-fetch-site";
const SEC_FETCH_MODE: &str = "sec-fetch-mode";

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Missing | Self::Wrong => StatusCode::UNAUTHORIZED,
            Self::NotAnOperator | Self::CrossSite => StatusCode::FORBIDDEN,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        with_advice((status, format!("{self}\n")).into_response())
    }
}

/// An answer with what its status tells the sender to do: to say who it is, or to come again.
pub(super) fn with_advice(mut response: Response) -> Response {
    let (name, value) = match response.status() {
        StatusCode::UNAUTHORIZED => (WWW_AUTHENTICATE, r#"Basic realm="alertmanager-cachet", charset="UTF-8""#),
        // In seconds. Alertmanager does not look at it, others do.
        StatusCode::SERVICE_UNAVAILABLE => (RETRY_AFTER, "5"),
        _ => return response,
    };
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

/// Whether a browser says that a request which changes something came from a page of ours. One that says nothing at all
/// is none: every browser says the one or the other of what it posts.
pub(crate) fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(SEC_FETCH_SITE), text(ORIGIN.as_str()), text(HOST.as_str())) {
        // A proxy may have changed the host, so what the browser itself judged counts first.
        (Some(site), ..) => site == "same-origin",
        (None, Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, authority)| authority == host),
        (None, Some(_), None) => false,
        (None, None, _) => true,
    }
}

/// Whether a page of another site wants something for itself: to show it, to run it, to watch it. A link from there,
/// which a person follows, is not that.
pub(crate) fn is_loaded_from_elsewhere(headers: &HeaderMap) -> bool {
    let is = |name: &str, words: &[&str]| headers.get(name).is_some_and(|value| words.iter().any(|word| value == word));
    if headers.contains_key(SEC_FETCH_SITE) {
        return is(SEC_FETCH_SITE, &["cross-site", "same-site"]) && !is(SEC_FETCH_MODE, &["navigate"]);
    }
    // Without TLS browsers say no more than an origin, and that only of what the other site wants to read.
    !is_from_here(headers)
}

/// Lets operators pass, and where there are none, whoever is known. Who may not is counted.
///
/// # Errors
/// See [`Refusal`].
pub(crate) async fn operator(
    authenticator: &Arc<Authenticator>,
    metrics: &Metrics,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    match authenticator.check(headers.get(AUTHORIZATION), None).await {
        Ok(Role::Poster) if authenticator.has_operators() => Err(metrics.refused(Refusal::NotAnOperator)),
        Ok(Role::Poster | Role::Operator) => Ok(()),
        Err(refusal) => Err(metrics.refused(refusal)),
    }
}

/// Lets only operators pass, where there are some.
pub(super) async fn operators_only(State(app): State<App>, request: Request, next: Next) -> Response {
    if NOT_ONLY_OPERATORS.contains(&request.uri().path()) || !app.authenticator.has_operators() {
        return next.run(request).await;
    }
    match operator(&app.authenticator, &app.parts.metrics, request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Adds the headers of `http_server_config` to an answer that does not have them already.
pub(super) async fn add_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in &app.parts.settings.borrow().web.headers {
        response.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    response
}

/// The address of the client: that of `peer`, or, while the address is that of a trusted proxy, what the proxy says it
/// got the request from.
///
/// `X-Forwarded-For` grows at its right end, so it is walked from there: everything left of the first address that is
/// not trusted may be invented. An entry that is no address ends the walk at the proxy that wrote it.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted_proxies.iter().any(|network| network.contains(address));
    // As proxies write it: `10.0.0.5`, `10.0.0.5:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
    let address = |entry: &str| {
        let (entry, with_port) = (entry.trim(), entry.trim().parse().map(|entry: SocketAddr| entry.ip()));
        let bare = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
        entry.parse().or(with_port).ok().or_else(bare).map(|address: IpAddr| address.to_canonical())
    };
    let mut client = peer.to_canonical();
    let headers = headers.get_all("x-forwarded-for").iter().rev();
    let mut hops = headers.flat_map(|header| header.to_str().unwrap_or_default().rsplit(',')).map(address);
    while is_trusted(&client)
        && let Some(Some(address)) = hops.next()
    {
        client = address;
    }
    client
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(peer: &str, forwarded_for: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded_for {
            headers.append("X-Forwarded-For", value.parse().expect("a value"));
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().expect("a network")).collect();
        client_address(peer.parse().expect("an address"), &headers, &trusted).to_string()
    }

    const PROXIES: &[&str] = &["10.0.0.0/8", "fd00::/8"];

    #[test]
    fn without_trusted_proxies_nothing_is_believed() {
        assert_eq!(client("203.0.113.7", &["198.51.100.1"], &[]), "203.0.113.7");
        assert_eq!(client("203.0.113.7", &["198.51.100.1"], PROXIES), "203.0.113.7");
    }

    #[test]
    fn the_right_most_address_that_is_not_trusted_counts() {
        assert_eq!(client("10.0.0.1", &["198.51.100.1"], PROXIES), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"], PROXIES), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 198.51.100.1", "10.0.0.3 ,10.0.0.2"], PROXIES), "198.51.100.1");
    }

    #[test]
    fn if_all_are_trusted_the_first_one_counts() {
        assert_eq!(client("10.0.0.1", &["10.9.9.9, 10.0.0.2"], PROXIES), "10.9.9.9");
        assert_eq!(client("10.0.0.1", &[], PROXIES), "10.0.0.1");
    }

    #[test]
    fn what_is_no_address_ends_the_walk() {
        assert_eq!(client("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], PROXIES), "10.0.0.2");
        assert_eq!(client("10.0.0.1", &[""], PROXIES), "10.0.0.1");
    }

    #[test]
    fn addresses_are_read_in_every_form_and_mapped_ones_are_plain() {
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.1:4711"], PROXIES), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["::ffff:198.51.100.1"], PROXIES), "198.51.100.1");
        assert_eq!(client("fd00::1", &["2001:db8::1"], PROXIES), "2001:db8::1");
        assert_eq!(client("fd00::1", &["[2001:db8::1]"], PROXIES), "2001:db8::1");
        assert_eq!(client("fd00::1", &["[2001:db8::1]:4711"], PROXIES), "2001:db8::1");
    }

    proptest! {
        #[test]
        fn a_client_cannot_choose_its_own_address(invented in "[ -~]{0,60}") {
            let forwarded_for = format!("{invented}, 198.51.100.1");
            prop_assert_eq!(client("10.0.0.1", &[&forwarded_for], PROXIES), "198.51.100.1");
        }
    }
}
