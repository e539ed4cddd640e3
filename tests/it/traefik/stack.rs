//! Traefik with the configuration that is shipped, our program behind it, and a stand-in for Cachet.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::extract::Request;
use fake_cachet::serve;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder};
use tempfile::TempDir;

use crate::support::processes::{PATIENCE, Process, eventually, program, run};

/// Where the page and the webhook are, unless a test has both on one.
pub const PAGE: &str = "status.example.org";
pub const WEBHOOK: &str = "hooks.example.org";

/// Who may post.
pub const USER: &str = "alertmanager";
pub const PASSWORD: &str = "a password to look for";

/// The same for the server, at the lowest cost.
const USERS: &str = "alertmanager:$2y$04$abcdefghijklmnopqrstuugzS0h3R3TqYbUxDwdqDjnkMvt8GvBFm";

/// Where the test's requests come from: not Traefik's address, so that the two can be told apart.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 99, 99, 99);

/// What `.env` says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// HTTPS with a certificate of the operator's own.
    Production,
    /// Plain HTTP.
    Local,
}

/// All of it, running.
pub struct Stack {
    pub folder: TempDir,
    /// An address of the stack's own, so that Traefik listens on the ports that it is shipped with.
    pub address: Ipv4Addr,
    pub server: Process,
    pub traefik: Process,
    domains: [String; 2],
    _cachet: fake_cachet::Server,
}

impl Stack {
    /// The page and the webhook on domains of their own.
    pub async fn start(kind: Kind) -> Self {
        Self::start_at(kind, PAGE, WEBHOOK).await
    }

    /// `page` or `webhook` may be `own address`.
    pub async fn start_at(kind: Kind, page: &str, webhook: &str) -> Self {
        let address = own_address();
        let domains = [page, webhook].map(|domain| domain.replace("own address", &address.to_string()));
        let folder = tempfile::tempdir().expect("a folder");
        let (cachet_url, cachet) = serve(Router::new().fallback(stand_in_for_cachet)).await;
        let (server, server_address) = start_server(folder.path()).await;
        let traefik = folder.path().join("traefik");
        ship(&traefik, kind, address, &cachet_url, &server_address);
        make_certificate(&traefik.join("certificates"), address);
        let mut command = Command::new(tool("traefik"));
        command.env_clear().arg(format!("--configFile={}", traefik.join("traefik.yml").display())).envs([
            ("ENVIRONMENT", if kind == Kind::Local { "local" } else { "production" }),
            ("CACHET_DOMAIN", &domains[0]),
            ("WEBHOOK_DOMAIN", &domains[1]),
            ("HTTPS_PORT", &format!("{address}:8443")),
            ("CERT_RESOLVER", ""),
        ]);
        let traefik = Process::start("traefik", &mut command, folder.path());
        let stack = Self { folder, address, server, traefik, domains, _cachet: cachet };
        let page = match kind {
            Kind::Production => stack.https(&stack.domains[0], "/"),
            Kind::Local => stack.http(&stack.domains[0], "/"),
        };
        let client = stack.client();
        eventually("the page answers", async || {
            let answer = client.get(&page).send().await.map_err(|error| format!("{error:?}"))?;
            if answer.status() == 200 { Ok(()) } else { Err(answer.status().to_string()) }
        })
        .await;
        stack
    }

    pub fn https(&self, domain: &str, path: &str) -> String {
        format!("https://{domain}:8443{path}")
    }

    pub fn http(&self, domain: &str, path: &str) -> String {
        format!("http://{domain}:8080{path}")
    }

    /// One that finds the stack under its domains, trusts its certificate and nothing else, and follows nothing.
    pub fn client(&self) -> Client {
        let certificate = fs::read(self.certificate()).expect("a certificate");
        let certificate = Certificate::from_pem(&certificate).expect("a certificate");
        let mut client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(PATIENCE)
            .local_address(IpAddr::V4(CLIENT))
            .tls_certs_only([certificate]);
        for domain in &self.domains {
            client = client.resolve(domain, SocketAddr::from((self.address, 0)));
        }
        client.build().expect("a client")
    }

    /// The notification that `deploy.sh` verifies with, by somebody who may post.
    pub fn post(&self, url: &str) -> RequestBuilder {
        self.client().post(url).basic_auth(USER, Some(PASSWORD)).body(empty_notification())
    }

    /// The certificate, which signed itself.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("traefik/certificates/fullchain.pem")
    }

    /// The requests that the server got, one line each.
    pub fn requests(&self) -> Vec<String> {
        let said = self.server.stdout();
        said.lines().filter(|line| line.starts_with("[WEBHOOK_REQUEST]")).map(str::to_owned).collect()
    }
}

/// As `deploy.sh` has it.
pub fn empty_notification() -> String {
    let script = repository("deploy/verify.sh");
    let text = fs::read_to_string(script).expect("the script");
    let (_, after) = text.split_once("EMPTY_NOTIFICATION='").expect("the notification");
    after.split_once('\'').expect("its end").0.to_owned()
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program that `tests/tools.sh` installs.
fn tool(name: &str) -> PathBuf {
    let path = repository("target/tools/venv/bin").join(name);
    assert!(path.exists(), "no {}: run tests/tools.sh, which installs it", path.display());
    path
}

/// All of 127.0.0.0/8 is this machine. Other test runs have other process ids, mostly.
fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 100 + high % 64, low, COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Says what it was asked with, as Cachet would see it.
async fn stand_in_for_cachet(request: Request) -> ([(&'static str, &'static str); 2], String) {
    let asked = format!("{} {}\n{:#?}", request.method(), request.uri(), request.headers());
    ([("server", "nginx/1.28"), ("x-powered-by", "PHP/8.4")], format!("stand-in for Cachet\n{asked}"))
}

/// Our program with its built-in page, so that there is much behind it that Traefik must not show.
async fn start_server(folder: &Path) -> (Process, String) {
    fs::copy(repository("config.json.example"), folder.join("config.json")).expect("copied");
    fs::copy(repository("prometheus.yml.example"), folder.join("prometheus.yml")).expect("copied");
    let mut command = program(folder);
    command.arg("serve").envs([
        ("WEBHOOK_BASIC_AUTH", USERS),
        ("LISTEN_ADDRESS", "127.0.0.1:0"),
        ("TRUSTED_PROXIES", "127.0.0.1/32"),
    ]);
    let mut server = Process::start("server", &mut command, folder);
    let address = server.tells("listening on http://").await;
    (server, address)
}

/// The files of `traefik/`, with nothing changed but where things are: the container's folders and names do not exist here.
fn ship(folder: &Path, kind: Kind, address: Ipv4Addr, cachet_url: &str, server_address: &str) {
    let here = |path: &str| format!("{}/{path}", folder.display());
    for part in ["dynamic", "certificates", "acme"] {
        fs::create_dir_all(folder.join(part)).expect("a folder");
    }
    let (name, secure) = match kind {
        Kind::Production => ("traefik.production.yml", true),
        Kind::Local => ("traefik.local.yml", false),
    };
    let mut places = vec![
        ("\":8080\"", format!("\"{address}:8080\"")),
        ("127.0.0.1:8082", format!("{address}:8082")),
        ("/etc/traefik/dynamic", here("dynamic")),
    ];
    if secure {
        places.extend([("\":8443\"", format!("\"{address}:8443\"")), ("/acme/", here("acme/"))]);
    }
    moved(name, &folder.join("traefik.yml"), &places);
    moved("dynamic/page.yml", &folder.join("dynamic/page.yml"), &[("http://cachet:8080", cachet_url.to_owned())]);
    let server_url = format!("http://{server_address}");
    let places = [("http://alertmanager-cachet:5000", server_url)];
    moved("dynamic/webhook.yml", &folder.join("dynamic/webhook.yml"), &places);
    let places = [("/etc/traefik/certificates", here("certificates"))];
    moved("dynamic/tls.yml", &folder.join("dynamic/tls.yml"), &places);
    let shipped = fs::read_dir(repository("traefik/dynamic")).expect("a folder").count();
    assert_eq!(fs::read_dir(folder.join("dynamic")).expect("a folder").count(), shipped, "a file is not tested");
}

fn moved(name: &str, to: &Path, places: &[(&str, String)]) {
    let mut text = fs::read_to_string(repository("traefik").join(name)).expect("a shipped file");
    for (shipped, here) in places {
        assert!(text.contains(shipped), "{name} has no {shipped}");
        text = text.replace(shipped, here);
    }
    fs::write(to, text).expect("written");
}

/// One that signs itself, for both domains and the stack's address.
fn make_certificate(folder: &Path, address: Ipv4Addr) {
    let names = format!("subjectAltName=DNS:{PAGE},DNS:{WEBHOOK},IP:{address}");
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=a test"]);
    command.args([
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-addext",
        &names,
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ]);
    let made = run(command.args(["-keyout", "privkey.pem", "-out", "fullchain.pem"]));
    assert_eq!(made.code, Some(0), "{}", made.stderr);
}
