//! A real Traefik with the configuration that is shipped, in front of our program and a stand-in for Cachet.

mod stack;

use std::fs;
use std::process::Command;

use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use self::stack::{CLIENT, Kind, PAGE, PASSWORD, Stack, USER, WEBHOOK, repository};
use crate::support::alertmanager::Alertmanager;
use crate::support::processes::{eventually, run};

#[tokio::test]
async fn the_page_and_the_webhook_are_each_on_their_domain() {
    let stack = Stack::start(Kind::Production).await;
    let client = stack.client();
    let page = client.get(stack.https(PAGE, "/components/1?a=b")).send().await.expect("an answer");
    assert_eq!(page.status(), 200);
    let asked = page.text().await.expect("a text");
    assert!(asked.starts_with("stand-in for Cachet\nGET /components/1?a=b\n"), "{asked}");
    assert!(asked.contains(r#""x-forwarded-proto": "https""#), "{asked}");
    // On the page's domain, /webhook is a page like any other.
    let elsewhere = stack.post(&stack.https(PAGE, "/webhook")).send().await.expect("an answer");
    assert!(elsewhere.text().await.expect("a text").starts_with("stand-in for Cachet"));
    for path in ["/webhook", "/webhook/"] {
        let answer = stack.post(&stack.https(WEBHOOK, path)).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
    }
    assert_eq!(stack.requests().len(), 2);
    let stranger = client.get(stack.https(PAGE, "/")).header("Host", "elsewhere.example.org").send().await;
    assert_eq!(stranger.expect("an answer").status(), 404);
    assert_eq!(faults_of(&stack), Vec::<String>::new());
}

#[tokio::test]
async fn nothing_else_of_the_server_is_public() {
    let stack = Stack::start(Kind::Production).await;
    for path in [
        "/",
        "/metrics",
        "/console/api/v1/components",
        "/-/reload",
        "/-/ready",
        "/-/healthy",
        "/health",
        "/console",
        "/api/components",
        "/webhooks",
        "/webhook/x",
        "/webhook%2F",
        "/webhook%2fx",
        "/WEBHOOK",
        "/webhook;x",
    ] {
        for method in [Method::GET, Method::POST] {
            let request = stack.client().request(method.clone(), stack.https(WEBHOOK, path));
            let status = request.basic_auth(USER, Some(PASSWORD)).send().await.expect("an answer").status();
            assert!([400, 404].contains(&status.as_u16()), "{method} {path}: {status}");
        }
    }
    assert_eq!(stack.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_path_that_climbs_out_of_the_webhook_arrives_nowhere() {
    let stack = Stack::start_at(Kind::Local, PAGE, WEBHOOK).await;
    for path in [
        "/webhook/../health",
        "/webhook/..%2fhealth",
        "/webhook/%2e%2e/health",
        "/./health",
        "//health",
        "/webhook\\..\\health",
        "http://127.0.0.1/health",
    ] {
        let answer = raw(&stack, &format!("GET {path} HTTP/1.1\r\nHost: {WEBHOOK}\r\nConnection: close\r\n\r\n")).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(["400", "404"].contains(&status), "{path}: {answer}");
    }
}

#[tokio::test]
async fn readers_are_sent_to_https_and_alertmanager_is_not() {
    let stack = Stack::start(Kind::Production).await;
    let client = stack.client();
    // Traefik says 301 to a GET, where it means the same.
    for (method, status) in [(Method::GET, 301), (Method::HEAD, 308), (Method::POST, 308)] {
        let answer = client.request(method, stack.http(PAGE, "/a?b=c")).send().await.expect("an answer");
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["location"], stack.https(PAGE, "/a?b=c"));
    }
    for domain in [WEBHOOK, PAGE] {
        for path in ["/webhook", "/webhook/"] {
            let answer = stack.post(&stack.http(domain, path)).send().await.expect("an answer");
            assert_eq!(answer.status(), 404, "{domain}{path}");
        }
    }
    assert_eq!(stack.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn both_may_be_on_one_domain() {
    let stack = Stack::start_at(Kind::Production, PAGE, PAGE).await;
    assert_eq!(stack.post(&stack.https(PAGE, "/webhook")).send().await.expect("an answer").status(), 200);
    assert_eq!(stack.requests().len(), 1);
    let health = stack.client().get(stack.https(PAGE, "/health")).send().await.expect("an answer");
    assert!(health.text().await.expect("a text").starts_with("stand-in for Cachet"));
    assert_eq!(stack.post(&stack.http(PAGE, "/webhook")).send().await.expect("an answer").status(), 404);
    assert_eq!(stack.client().get(stack.http(PAGE, "/")).send().await.expect("an answer").status(), 301);
}

#[tokio::test]
async fn a_developers_machine_has_both_on_plain_http() {
    let stack = Stack::start_at(Kind::Local, "localhost", "localhost").await;
    let page = stack.client().get(stack.http("localhost", "/")).send().await.expect("an answer");
    assert_eq!((page.status().as_u16(), page.headers().get("strict-transport-security")), (200, None));
    assert_eq!(stack.post(&stack.http("localhost", "/webhook")).send().await.expect("an answer").status(), 200);
    assert_eq!(faults_of(&stack), Vec::<String>::new());
}

#[tokio::test]
async fn the_servers_own_authentication_is_the_one_that_counts() {
    let stack = Stack::start(Kind::Production).await;
    let url = stack.https(WEBHOOK, "/webhook");
    let nobody = stack.client().post(&url).body("{}").send().await.expect("an answer");
    assert_eq!(nobody.status(), 401);
    assert!(nobody.headers().contains_key("www-authenticate"));
    let wrong = stack.client().post(&url).basic_auth(USER, Some("wrong")).body("{}").send().await.expect("an answer");
    assert_eq!(wrong.status(), 401);
    assert_eq!(stack.post(&url).send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn the_server_sees_who_posts_and_not_what_they_say_of_themselves() {
    let stack = Stack::start(Kind::Production).await;
    let post = stack.post(&stack.https(WEBHOOK, "/webhook")).header("X-Forwarded-For", "203.0.113.7");
    let post = post.header("X_Forwarded_For", "203.0.113.8").header("X-Real-Ip", "203.0.113.9");
    assert_eq!(post.send().await.expect("an answer").status(), 200);
    let requests = stack.requests();
    let [line] = &requests[..] else { panic!("one request: {requests:#?}") };
    assert!(line.starts_with(&format!("[WEBHOOK_REQUEST] source_ip={CLIENT} ")), "{line}");
    assert!(!line.contains("203.0.113."), "{line}");

    let page = stack.client().get(stack.https(PAGE, "/")).header("X-Forwarded-For", "203.0.113.7");
    let page = page.header("X_Forwarded_For", "203.0.113.8").send().await.expect("an answer");
    let asked = page.text().await.expect("a text");
    assert!(asked.contains(&format!(r#""x-forwarded-for": "{CLIENT}""#)) && !asked.contains("203.0.113."), "{asked}");
}

#[tokio::test]
async fn the_access_log_has_neither_passwords_nor_the_links_of_mails() {
    let stack = Stack::start(Kind::Production).await;
    let post = stack.post(&stack.https(WEBHOOK, "/webhook")).header("Cookie", "session=a-cookie");
    assert_eq!(post.send().await.expect("an answer").status(), 200);
    stack.client().get(stack.https(PAGE, "/verify?signature=a-signature")).send().await.expect("an answer");
    let logged = eventually("both are logged", async || {
        let said = stack.traefik.stdout() + &stack.traefik.stderr();
        if said.contains("/verify") && said.contains("/webhook") { Ok(said) } else { Err("they are not") }
    })
    .await;
    // The first eight characters of `user:password` in Base64.
    for secret in [PASSWORD, "YWxlcnRt", "Authorization", "a-cookie", "a-signature"] {
        assert!(!logged.contains(secret), "{secret} is in\n{logged}");
    }
    let line = logged.lines().find(|line| line.contains("\"/webhook\"")).expect("a line");
    let line: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!((&line["ClientHost"], &line["DownstreamStatus"]), (&CLIENT.to_string().into(), &200.into()));
}

#[tokio::test]
async fn readers_get_headers_that_protect_them() {
    let stack = Stack::start(Kind::Production).await;
    let page = stack.client().get(stack.https(PAGE, "/")).send().await.expect("an answer");
    for (name, value) in [
        ("strict-transport-security", "max-age=31536000"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "SAMEORIGIN"),
        ("referrer-policy", "strict-origin-when-cross-origin"),
        ("content-security-policy", "base-uri 'self'; frame-ancestors 'self'; object-src 'none'"),
    ] {
        assert_eq!(page.headers().get(name).map(|value| value.as_bytes()), Some(value.as_bytes()), "{name}");
    }
    for name in ["server", "x-powered-by"] {
        assert_eq!(page.headers().get(name), None, "{name} tells too much");
    }
}

#[tokio::test]
async fn old_tls_and_weak_ciphers_are_refused() {
    let stack = Stack::start(Kind::Production).await;
    let handshake = |options: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &format!("{}:8443", stack.address), "-servername", PAGE]);
        let ended = run(command.args(options).stdin(std::process::Stdio::null()));
        ended.stdout + &ended.stderr
    };
    assert!(handshake(&["-tls1_3"]).contains("Verify return code"));
    assert!(handshake(&["-tls1_2"]).contains("Cipher is ECDHE-ECDSA-AES"));
    // The alert is the server's: the client was ready to speak it.
    let old = handshake(&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert!(old.contains("alert protocol version"), "{old}");
    let weak = handshake(&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0"]);
    assert!(weak.contains("alert handshake failure"), "{weak}");
}

#[tokio::test]
async fn while_the_server_is_away_alertmanager_is_told_to_come_again() {
    let mut stack = Stack::start(Kind::Production).await;
    stack.server.end().await;
    let answer = stack.post(&stack.https(WEBHOOK, "/webhook")).send().await.expect("an answer");
    assert_eq!(answer.status(), 502);
}

#[tokio::test]
async fn a_real_alertmanager_posts_through_it_with_the_example_configuration() {
    // Alertmanager asks a DNS for names, so the webhook is at an address.
    let stack = Stack::start_at(Kind::Production, PAGE, "own address").await;
    let folder = stack.folder.path().join("alertmanager");
    let password = stack.folder.path().join("webhook_password");
    fs::write(&password, format!("{PASSWORD}\n")).expect("written");
    let mut example = fs::read_to_string(repository("alertmanager.yml.example")).expect("the example");
    let url = stack.https(&stack.address.to_string(), "/webhook");
    let trust = format!("http_config:\n          tls_config: {{ca_file: {}}}", stack.certificate().display());
    for (shipped, here) in [
        ("https://webhook.example.com/webhook", url.as_str()),
        ("/etc/alertmanager/webhook_password", password.to_str().expect("UTF-8")),
        ("http_config:", &trust),
        ("group_wait: 10s", "group_wait: 0s"),
        ("group_interval: 30s", "group_interval: 1s"),
    ] {
        assert!(example.contains(shipped), "the example has no {shipped}");
        example = example.replace(shipped, here);
    }
    let alertmanager = Alertmanager::start(&folder, &example).await;
    alertmanager.fire(&["192.168.1.20:9100"], "Database").await;
    arrives(&stack, r#""status":"firing""#).await;
    alertmanager.resolve(&["192.168.1.20:9100"], "Database").await;
    arrives(&stack, r#""status":"resolved""#).await;
}

/// Waits for a notification that holds `text`.
async fn arrives(stack: &Stack, text: &str) {
    eventually(&format!("a notification with {text} arrives"), async || {
        let requests = stack.requests();
        let arrived = requests.iter().any(|line| line.contains(text) && line.contains("User-Agent: Alertmanager/"));
        if arrived { Ok(()) } else { Err(format!("{requests:#?}")) }
    })
    .await;
}

/// What Traefik finds wrong with its configuration.
fn faults_of(stack: &Stack) -> Vec<String> {
    let said = stack.traefik.stdout() + &stack.traefik.stderr();
    said.lines().filter(|line| line.contains("ERR")).map(str::to_owned).collect()
}

/// The answer to `text` as it is, over plain HTTP.
async fn raw(stack: &Stack, text: &str) -> String {
    let mut stream = TcpStream::connect((stack.address, 8080)).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}
