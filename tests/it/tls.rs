//! `--web.config.file`: TLS, clients' certificates, users and headers.

use std::time::Duration;

use alertmanager_cachet::config::{Environment, Report};
use alertmanager_cachet::settings::WebAccess;
use alertmanager_cachet::web;
use alertmanager_cachet::web::places::Limits;
use axum::Router;
use reqwest::tls::Version;
use reqwest::{Client, StatusCode};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::support::certificates::{Authority, Pair};
use crate::support::installation::{Installation, LOCAL};
use crate::support::processes::{eventually, run, written};
use crate::support::recordings::notifications;
use crate::support::web::with_users;
use crate::support::world::in_force;

/// `operator` with the password `admin`, at the lowest cost.
const OPERATOR: &str = "basic_auth_users: {operator: $2b$04$abcdefghijklmnopqrstuuQe66hACgXZ.ImKMvPGdqru0gQrWJ8Ju}\n";
const TLS: &str = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n";
const MUTUAL_TLS: &str = "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: clients.crt, \
                          client_auth_type: RequireAndVerifyClientCert}\n";

/// The file stands in a folder of its own, for what it names is relative to it.
const FILE: &str = "web/web.yml";

fn installed(web: &str, authority: &Authority) -> Installation {
    let installation = Installation::new();
    let folder = installation.folder.path().join("web");
    std::fs::create_dir(&folder).expect("a folder");
    authority.server().write(&folder);
    written(&folder, "web.yml", web);
    installation
}

const VARIABLES: [(&str, &str); 2] = [LOCAL, ("WEB_CONFIG_FILE", FILE)];

async fn post(client: &Client, url: &str, user: &str) -> reqwest::Result<StatusCode> {
    let body = notifications("09-prometheus-target-down-firing.json").remove(0);
    let post = client.post(format!("{url}/webhook")).basic_auth(user, Some("admin")).body(body);
    Ok(post.send().await?.status())
}

fn healthcheck(installation: &Installation, address: &str) -> (Option<i32>, String) {
    let flags = ["healthcheck", &format!("--web.listen-address={address}"), "--web.config.file", FILE];
    let ended = run(&mut installation.command(&flags));
    (ended.code, ended.stderr)
}

#[tokio::test]
async fn over_tls_alerts_are_taken_and_the_health_check_knows_how_to_ask() {
    let authority = Authority::new();
    let installation = installed(TLS, &authority);
    let (_server, address) = installation.serving(&VARIABLES).await;
    let status = post(&authority.trusting(None), &format!("https://{address}"), "admin").await;
    assert_eq!(status.expect("an answer"), StatusCode::OK);
    assert_eq!(healthcheck(&installation, &address), (Some(0), String::new()));
    assert!(post(&Authority::new().trusting(None), &format!("https://{address}"), "admin").await.is_err());
}

#[tokio::test]
async fn whoever_speaks_http_to_tls_is_told_so_in_a_way_that_loses_no_alert() {
    let authority = Authority::new();
    let installation = installed(TLS, &authority);
    let (_server, address) = installation.serving(&VARIABLES).await;
    let mut stream = TcpStream::connect(&address).await.expect("a connection");
    stream.write_all(b"GET / HTTP/1.1\r\n").await.expect("written");
    let mut head = [0; 24];
    stream.read_exact(&mut head).await.expect("an answer");
    assert_eq!(std::str::from_utf8(&head), Ok("HTTP/1.1 503 Service Una"));
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart() {
    let (before, after) = (Authority::new(), Authority::new());
    let installation = installed(TLS, &before);
    let (mut server, address) = installation.serving(&VARIABLES).await;
    let url = format!("https://{address}");
    assert!(post(&after.trusting(None), &url, "admin").await.is_err());
    let (folder, pair) = (installation.folder.path().join("web"), after.server());
    written(&folder, "server.crt", &pair.cert);
    server.tells("the certificate that was read before stays in use").await;
    post(&before.trusting(None), &url, "admin").await.expect("the old certificate");
    written(&folder, "server.key", &pair.key);
    eventually("the new certificate is served", async || post(&after.trusting(None), &url, "admin").await).await;
}

#[tokio::test]
async fn only_clients_with_a_certificate_that_is_known_come_in_and_the_health_check() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let installation = installed(MUTUAL_TLS, &authority);
    written(&installation.folder.path().join("web"), "clients.crt", &clients.pem());
    let (_server, address) = installation.serving(&VARIABLES).await;
    let url = format!("https://{address}");
    let as_client = async |pair: Option<Pair>| post(&authority.trusting(pair.as_ref()), &url, "admin").await;
    assert_eq!(as_client(Some(clients.client())).await.expect("an answer"), StatusCode::OK);
    assert!(as_client(None).await.is_err());
    assert!(as_client(Some(Authority::new().client())).await.is_err());
    assert_eq!(healthcheck(&installation, &address), (Some(0), String::new()));
}

#[tokio::test]
async fn operators_may_do_everything_and_those_who_post_may_post_and_reload() {
    let authority = Authority::new();
    let installation = installed(OPERATOR, &authority);
    // alertmanager:admin
    let poster = "alertmanager:$2b$04$abcdefghijklmnopqrstuuQe66hACgXZ.ImKMvPGdqru0gQrWJ8Ju";
    let variables = [("WEB_CONFIG_FILE", FILE), ("WEBHOOK_BASIC_AUTH", poster)];
    let (_server, address) = installation.serving(&variables).await;
    let (client, url) = (Client::builder().no_proxy().build().expect("a client"), format!("http://{address}"));
    for (user, status) in [("operator", 200), ("alertmanager", 200), ("nobody", 401)] {
        assert_eq!(post(&client, &url, user).await.expect("an answer"), status, "{user}");
        let reload = client.post(format!("{url}/-/reload")).basic_auth(user, Some("admin")).send().await;
        assert_eq!(reload.expect("an answer").status(), status, "{user}");
    }
    for path in ["/metrics", "/console", "/console/api/v1/components", "/console/events"] {
        for (user, status) in [(Some("operator"), 200), (Some("alertmanager"), 403), (None, 401)] {
            let asked = client.get(format!("{url}{path}"));
            let asked = user.into_iter().fold(asked, |asked, user| asked.basic_auth(user, Some("admin")));
            assert_eq!(asked.send().await.expect("an answer").status(), status, "{path} {user:?}");
        }
    }
    let told = client.get(format!("{url}/metrics")).basic_auth("operator", Some("admin")).send().await;
    let told = told.expect("an answer").text().await.expect("a text");
    // Of `nobody` at the webhook and at the reload, and of four paths.
    for line in ["wrong\"} 2", "missing\"} 4", "not_an_operator\"} 4"] {
        let line = format!("alertmanager_cachet_authentications_refused_total{{reason=\"{line}\n");
        assert!(told.contains(&line), "{line}: {told}");
    }
    let (ok, gone) = (StatusCode::OK, StatusCode::GONE);
    for (open, expected) in
        [("/", ok), ("/api/components", gone), ("/health", ok), ("/-/healthy", ok), ("/-/ready", ok)]
    {
        let status = client.get(format!("{url}{open}")).send().await.expect("an answer").status();
        assert_eq!(status, expected, "{open}");
    }
}

#[tokio::test]
async fn metrics_with_an_address_of_their_own_speak_tls_and_are_for_operators() {
    let authority = Authority::new();
    let installation = installed(&format!("{TLS}{OPERATOR}"), &authority);
    let variables = [("WEB_CONFIG_FILE", FILE), ("METRICS_ADDRESS", "127.0.0.1:0")];
    let (mut server, address) = installation.serving(&variables).await;
    let apart = server.tells("telling metrics on ").await;
    assert!(apart.starts_with("https://"), "{apart}");
    let client = authority.trusting(None);
    let scraped = async |url: &str, user: &str| {
        let answer = client.get(url).basic_auth(user, Some("admin")).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    };
    let (status, text) = scraped(&apart, "operator").await;
    assert!(status == 200 && text.contains("alertmanager_cachet_build_info{"), "{status} {text}");
    assert_eq!(scraped(&apart, "nobody").await.0, 401);
    assert_eq!(scraped(&format!("https://{address}/metrics"), "operator").await.0, 404);
}

#[tokio::test]
async fn operators_alone_are_enough_to_serve() {
    let installation = installed(OPERATOR, &Authority::new());
    let (_server, address) = installation.serving(&[("WEB_CONFIG_FILE", FILE)]).await;
    let client = Client::builder().no_proxy().build().expect("a client");
    let url = format!("http://{address}");
    assert_eq!(post(&client, &url, "operator").await.expect("an answer"), StatusCode::OK);
    assert_eq!(post(&client, &url, "admin").await.expect("an answer"), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn headers_are_added_to_answers_that_do_not_have_them() {
    let web = "http_server_config: {headers: {X-Frame-Options: deny, Content-Security-Policy: mine}}\n";
    let installation = installed(web, &Authority::new());
    let (_server, address) = installation.serving(&VARIABLES).await;
    let client = Client::builder().no_proxy().build().expect("a client");
    let headers = async |path: &str| {
        let answer = client.get(format!("http://{address}{path}")).send().await.expect("an answer");
        let header = |name| answer.headers().get_all(name).iter().map(|value| value.to_str().expect("text").to_owned());
        header("Content-Security-Policy").chain(header("X-Frame-Options")).collect::<Vec<String>>()
    };
    assert_eq!(headers("/health").await, ["mine", "deny"]);
    assert_eq!(headers("/no/such").await, ["mine", "deny"]);
    let page = headers("/").await;
    assert!(page.len() == 2 && page[0].contains("default-src"), "the page keeps its own: {page:?}");
}

#[tokio::test]
async fn serve_refuses_files_that_tls_cannot_be_spoken_with() {
    let installation = installed(TLS, &Authority::new());
    Authority::new().server().write(&installation.folder.path().join("web"));
    let other = Authority::new().server();
    written(&installation.folder.path().join("web"), "server.key", &other.key);
    let refused = run(installation.command(&["serve"]).envs(VARIABLES));
    assert_eq!(refused.code, Some(1));
    let expected = "web/web.yml: tls_server_config.key_file: names the file \"web/server.key\", which is not the key";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    let checked = run(installation.command(&["check"]).envs(VARIABLES));
    assert!(checked.code == Some(1) && checked.stdout.contains("tls_server_config.key_file"), "{}", checked.stdout);
}

#[test]
fn a_good_web_configuration_is_found() {
    let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/web.yml.example")).expect("a file");
    let installation = installed(&example, &Authority::new());
    let checked = run(installation.command(&["check"]).envs(VARIABLES));
    assert!(checked.stdout.starts_with("no problems\n"), "{}", checked.stdout);
    assert!(checked.stdout.contains("\n  a web configuration in web/web.yml\n"), "{}", checked.stdout);
    let checked = run(installation.command(&["check", "--web.config.file=no-such.yml"]).envs([LOCAL]));
    assert!(checked.stdout.contains("correct --web.config.file (WEB_CONFIG_FILE)"), "{}", checked.stdout);
}

/// A server in this process that answers everything with 200.
struct Here {
    url: String,
    authority: Authority,
    clients: Authority,
    _folder: TempDir,
}

impl Here {
    /// Speaks TLS with these words of the file beside certificate and key; `clients.crt` is there.
    async fn serving(words: &str) -> Self {
        let (authority, clients) = (Authority::new(), Authority::new());
        let folder = tempfile::tempdir().expect("a folder");
        authority.server().write(folder.path());
        written(folder.path(), "clients.crt", &clients.pem());
        let web = format!("tls_server_config: {{cert_file: server.crt, key_file: server.key, {words}}}");
        written(folder.path(), "web.yml", &web);
        let mut report = Report::default();
        let (environment, _) = Environment::read(|_| None);
        let mut settings = with_users();
        settings.web.tls = WebAccess::load(Some(&folder.path().join("web.yml")), &environment, &mut report).tls;
        assert!(settings.web.tls.is_some() && !report.is_fatal(), "{report}");
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://{}/", tcp.local_addr().expect("an address"));
        let router = Router::new().fallback(async || "hello");
        let never = std::future::pending();
        tokio::spawn(web::serve(Limits::default(), tcp, Some(in_force(settings)), router, never, Duration::ZERO));
        Self { url, authority, clients, _folder: folder }
    }

    async fn lets_in(&self, client: &Client) -> bool {
        client.get(&self.url).send().await.is_ok()
    }
}

#[tokio::test]
async fn each_client_auth_type_lets_in_whom_it_says() {
    for (word, none, unknown, known) in [
        ("NoClientCert", true, true, true),
        ("RequestClientCert", true, true, true),
        ("RequireAnyClientCert", false, true, true),
        ("VerifyClientCertIfGiven, client_ca_file: clients.crt", true, false, true),
        ("RequireAndVerifyClientCert, client_ca_file: clients.crt", false, false, true),
    ] {
        let here = Here::serving(&format!("client_auth_type: {word}")).await;
        let (stranger, friend) = (Authority::new().client(), here.clients.client());
        for (pair, expected) in [(None, none), (Some(&stranger), unknown), (Some(&friend), known)] {
            assert_eq!(here.lets_in(&here.authority.trusting(pair)).await, expected, "{word}");
        }
    }
}

#[tokio::test]
async fn only_the_versions_and_suites_of_the_file_are_spoken() {
    // The certificates of the tests are of the kind ECDSA.
    let suite = "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384], curve_preferences: [CurveP384]";
    let unfit = "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]";
    for (words, tls12, tls13) in [
        ("min_version: TLS12".to_owned(), true, true),
        ("min_version: TLS13".to_owned(), false, true),
        ("max_version: TLS12".to_owned(), true, false),
        (format!("prefer_server_cipher_suites: false, {suite}"), true, true),
        (unfit.to_owned(), false, true),
    ] {
        let here = Here::serving(&words).await;
        for (version, expected) in [(Version::TLS_1_2, tls12), (Version::TLS_1_3, tls13)] {
            let client =
                here.authority.client_of(None, |builder| builder.tls_version_min(version).tls_version_max(version));
            assert_eq!(here.lets_in(&client).await, expected, "{words} {version:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn handshakes_that_stop_half_way_make_room_for_others() {
    let here = Here::serving("").await;
    let address = here.url.trim_start_matches("https://").trim_end_matches('/');
    // The beginning of a handshake of 512 bytes.
    let half = [22, 3, 1, 2, 0, 1, 0, 1, 252];
    let mut silent = Vec::new();
    for _ in 0..512 {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(&half).await.expect("written");
        silent.push(stream);
    }
    let began = Instant::now();
    assert!(here.lets_in(&here.authority.trusting(None)).await);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(silent);
}
