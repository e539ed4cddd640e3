//! `healthcheck`: asks a running server whether it is healthy.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::redirect::Policy;

use crate::cli;

/// How long the server may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Exit code 0 without a word if it is healthy; else 1, and one line on stderr.
///
/// # Errors
/// When not even that line can be printed.
pub async fn run(args: &cli::Healthcheck) -> anyhow::Result<ExitCode> {
    match ask(args.listen.listen_address).await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            writeln!(io::stderr(), "unhealthy: {error:#}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn ask(listen_address: SocketAddr) -> anyhow::Result<()> {
    let url = format!("http://{}/health", reachable(listen_address));
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(Policy::none())
        .no_proxy()
        // No TLS is spoken here. Without this, an image that has no CA certificates has no client either.
        .tls_certs_only([])
        .build()
        .context("no HTTP client can be made")?;
    let response =
        client.get(&url).send().await.with_context(|| format!("{url} does not answer, is `serve` running?"))?;
    let status = response.status();
    ensure!(status.is_success(), "{url} answered {status}: see the server's log");
    Ok(())
}

/// Where a server that listens on `address` can be reached from its own machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_is_reached_over_loopback() {
        for (listen, url) in [
            ("0.0.0.0:5000", "127.0.0.1:5000"),
            ("[::]:5000", "[::1]:5000"),
            ("10.0.0.5:80", "10.0.0.5:80"),
            ("127.0.0.1:1", "127.0.0.1:1"),
        ] {
            assert_eq!(reachable(listen.parse().expect("an address")).to_string(), url);
        }
    }
}
