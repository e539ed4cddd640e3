//! Who sent a request, if it came through proxies.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The address of the client: that of `peer`, or, while the address is that of a trusted proxy, what the proxy says it
/// got the request from.
///
/// `X-Forwarded-For` grows at its right end, so it is walked from there: everything left of the first address that is
/// not trusted may be invented. An entry that is no address ends the walk at the proxy that wrote it.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted_proxies.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    let mut hops = headers.get_all("x-forwarded-for").iter().rev().flat_map(|header| {
        let entries: Vec<&str> = header.to_str().unwrap_or_default().rsplit(',').collect();
        entries.into_iter().map(parse_entry)
    });
    while is_trusted(&client)
        && let Some(Some(address)) = hops.next()
    {
        client = address;
    }
    client
}

/// An address as proxies write it: `10.0.0.5`, `10.0.0.5:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
fn parse_entry(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.parse().ok().or_else(|| text.parse().ok().map(|with_port: SocketAddr| with_port.ip()));
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(bare).map(|address: IpAddr| address.to_canonical())
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
