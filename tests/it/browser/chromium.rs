//! A headless Chromium, driven over its DevTools protocol.
//!
//! The protocol is spoken over two pipes (`--remote-debugging-pipe` reads from descriptor 3 and writes to 4), each
//! message ended by a zero byte. A shell hands it our pipes as those descriptors.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long one answer of the browser may take, with the machine busy and the page waiting for its next refresh.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
];

/// A browser with one tab.
pub struct Chromium {
    process: Child,
    commands: Option<ChildStdin>,
    messages: Receiver<Value>,
    session: Option<String>,
    last_id: u64,
    complaints: Vec<String>,
    _profile: TempDir,
}

/// Which colours the reader prefers.
#[derive(Debug, Clone, Copy)]
pub enum Scheme {
    Light,
    Dark,
}

impl Chromium {
    /// Starts the browser with a fresh profile and an empty tab.
    pub fn start() -> Self {
        let program = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
            .into_iter()
            .find(|program| PathBuf::from(program).exists())
            .expect("no Chromium found: install the package `chromium` (Debian, Ubuntu: apt-get install chromium)");
        let profile = tempfile::tempdir().expect("a folder");
        let mut process = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#, program])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let output = process.stdout.take().expect("piped");
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let Ok(message) = serde_json::from_slice(&message) else { break };
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let commands = process.stdin.take();
        let (session, last_id, complaints) = (None, 0, Vec::new());
        let mut browser = Self { process, commands, messages, session, last_id, complaints, _profile: profile };
        browser.attach();
        browser
    }

    fn attach(&mut self) {
        let target = self.command("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.command("Target.attachToTarget", attach);
        self.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.command(&format!("{domain}.enable"), json!({}));
        }
    }

    /// Opens `url` and waits until it and all that belongs to it are there.
    pub fn open(&mut self, url: &str) {
        self.command("Page.navigate", json!({ "url": url }));
        self.wait_for(&format!("location.href.startsWith({}) && document.readyState === 'complete'", json!(url)));
    }

    /// Gives the window a width and height, in CSS pixels, and the reader a taste.
    pub fn show_as(&mut self, width: u32, height: u32, scheme: Scheme) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.command("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.command("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// From now on every request says who the reader is, as after the browser asked for a password.
    pub fn authenticate(&mut self, authorization: &str) {
        let headers = json!({ "headers": { "Authorization": authorization } });
        self.command("Network.setExtraHTTPHeaders", headers);
    }

    /// Presses a key that writes nothing: `Tab`, `Enter`.
    pub fn press(&mut self, key: &str) {
        let code = if key == "Tab" { 9 } else { 13 };
        // Enter is a character, too; without it no link or button is followed.
        let text = if key == "Enter" { "\r" } else { "" };
        let down = json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
        self.command("Input.dispatchKeyEvent", down);
        let up = json!({ "type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code });
        self.command("Input.dispatchKeyEvent", up);
    }

    /// Clicks an element, and waits until the page at `path` that it leads to is there.
    pub fn click_through_to(&mut self, element: &str, path: &str) {
        self.evaluate(&format!("void ({element}).click()"));
        self.arrive_at(path);
    }

    /// Waits until the page at `path` is there, which another one led to.
    pub fn arrive_at(&mut self, path: &str) {
        self.arrive_where(&format!("location.pathname + location.search === {}", json!(path)));
    }

    /// Waits until a page is there, which another one led to, and on which a JavaScript expression is true.
    pub fn arrive_where(&mut self, condition: &str) {
        let is_there = format!("document.readyState === 'complete' && ({condition})");
        let ask = json!({ "expression": is_there, "returnByValue": true });
        let deadline = Instant::now() + ANSWER_WITHIN;
        // While one page gives way to the next there is nobody to ask.
        while self.ask("Runtime.evaluate", &ask).ok().is_none_or(|answer| answer["result"]["value"] != json!(true)) {
            assert!(Instant::now() < deadline, "not where {condition} in time");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The value of a JavaScript expression; a promise is awaited.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let ask = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.command("Runtime.evaluate", ask);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].take()
    }

    /// The text of the expression's value.
    pub fn text(&mut self, expression: &str) -> String {
        self.evaluate(expression).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a JavaScript expression is true, looking again and again.
    pub fn wait_for(&mut self, condition: &str) {
        let looks_until = format!(
            "new Promise((done) => {{ const look = () => ({condition}) ? done(true) : setTimeout(look, 50); look(); }})"
        );
        assert_eq!(self.evaluate(&looks_until), json!(true), "{condition}");
    }

    /// Keeps what is to be seen, from the top of the page to its end, as `target/screenshots/{name}.png`.
    pub fn screenshot(&mut self, name: &str) {
        let shot = self.command("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }));
        let image = BASE64_STANDARD.decode(shot["data"].as_str().expect("an image")).expect("base64");
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "target", "screenshots"].iter().collect();
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("{name}.png")), image).expect("written");
    }

    /// What the browser complained about so far: errors, and violations of the page's security policy.
    pub fn complaints(&mut self) -> Vec<String> {
        self.evaluate("0");
        std::mem::take(&mut self.complaints)
    }

    /// Sends a command and waits for its result.
    fn command(&mut self, method: &str, params: Value) -> Value {
        self.ask(method, &params).unwrap_or_else(|error| panic!("{method} {params}: {error}"))
    }

    /// As [`Self::command`], of what may be refused; what the page says meanwhile is kept.
    fn ask(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let pipe = self.commands.as_mut().expect("open until dropped");
        pipe.write_all(format!("{message}\0").as_bytes()).expect("the browser listens");
        let deadline = Instant::now() + ANSWER_WITHIN;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut message =
                self.messages.recv_timeout(left).unwrap_or_else(|error| panic!("{method} {params}: {error}"));
            if message["id"] == json!(self.last_id) {
                let error = message["error"].take();
                return if error.is_null() { Ok(message["result"].take()) } else { Err(error) };
            }
            let complaints = ["Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"];
            if message["method"].as_str().is_some_and(|method| complaints.contains(&method)) {
                self.complaints.push(message["params"].to_string());
            }
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // without its pipe the browser ends by itself; what does not is ended
        drop(self.commands.take());
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && matches!(self.process.try_wait(), Ok(None)) {
            // nothing tells of a child's end but asking
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
