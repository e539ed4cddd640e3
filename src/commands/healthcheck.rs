//! `healthcheck`: asks a running server whether it is healthy.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::Identity;
use reqwest::redirect::Policy;

use crate::cli;
use crate::config::{Report, Users, read_web_config};

/// How long the server may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Exit code 0 without a word if it is healthy; else 1, and one line on stderr.
///
/// # Errors
/// When not even that line can be printed.
pub async fn run(listen: &cli::Listen) -> anyhow::Result<ExitCode> {
    match ask(listen).await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            writeln!(io::stderr(), "unhealthy: {error:#}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn ask(listen: &cli::Listen) -> anyhow::Result<()> {
    let tls = match &listen.web.web_config_file {
        Some(file) => {
            let mut report = Report::default();
            // How the server speaks TLS, as far as that can be read.
            let Some(config) = read_web_config(file, &mut Users::default(), &mut report) else {
                let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
                bail!("{}", problems.join("; "));
            };
            config.tls
        }
        None => None,
    };
    let mut builder = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(Policy::none())
        .no_proxy()
        // An image that has no CA certificates has no client either, without this.
        .tls_certs_only([]);
    if let Some(tls) = &tls {
        // The server is on this machine and was reached by its number, which no certificate names.
        builder = builder.tls_danger_accept_invalid_certs(true);
        // What a server that asks clients for certificates is shown: its own, which it takes.
        if tls.client_auth.is_some()
            && let [Ok(cert), Ok(key)] = [&tls.cert_file, &tls.key_file].map(std::fs::read)
            && let Ok(identity) = Identity::from_pem(&[cert, key].join(&b'\n'))
        {
            builder = builder.identity(identity);
        }
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}/health", reachable(listen.listen_address));
    let client = builder.build().context("no HTTP client can be made")?;
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
