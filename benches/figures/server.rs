//! The release binary, started as an operator starts it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::fleet::Fleet;
use crate::outside_cachet::OutsideCachet;

/// Within this time, the server has given free memory back to the system: it does so every five seconds.
const GIVEN_BACK_AFTER: Duration = Duration::from_secs(6);

/// What is measured.
pub const BINARY: &str = env!("CARGO_BIN_EXE_alertmanager-cachet");

/// Where stores and logs are: on a disk, which a folder for temporary files need not be.
pub const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

/// How long a start, a setup or an answer may take before the figure is given up.
const PATIENCE: Duration = Duration::from_secs(300);

const USER: &str = "alertmanager";
const PASSWORD: &str = "figures";
/// What `hash-password` uses.
const BCRYPT_COST: u32 = 12;

/// The folder with the files and the store of one server.
pub struct Home {
    folder: tempfile::TempDir,
    basic_auth: String,
}

/// A running server; ends when dropped.
pub struct Server {
    process: Child,
    base: String,
    client: reqwest::Client,
    /// From the start of the process to the first 200 of `/health`.
    pub started_in: Duration,
}

/// Memory of a process.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// What is resident now, in KiB.
    pub resident_kib: u64,
    /// The most that ever was, in KiB.
    pub peak_kib: u64,
}

impl Home {
    /// A folder with both files and no store yet.
    pub fn new(fleet: Fleet) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(SCRATCH).context("no folder can be made")?;
        fleet.write_files(folder.path())?;
        let hash = bcrypt::hash(PASSWORD, BCRYPT_COST).context("the password cannot be hashed")?;
        Ok(Self { folder, basic_auth: format!("{USER}:{hash}") })
    }

    /// Runs `setup` against an outside Cachet.
    pub async fn setup(&self, cachet: &OutsideCachet) -> anyhow::Result<()> {
        let said = self.folder.path().join("setup.log");
        let mut process = self.command("setup", Some(cachet))?.stderr(File::create(&said)?).spawn()?;
        let status = ended(&mut process).await?;
        ensure!(status.success(), "setup failed: {}", fs::read_to_string(said)?);
        Ok(())
    }

    /// Runs `serve`, on an outside Cachet or on its built-in page, until `/health` is well.
    pub async fn serve(&self, cachet: Option<&OutsideCachet>) -> anyhow::Result<Server> {
        let mut command = self.command("serve", cachet)?;
        command.args(["--web.listen-address", "127.0.0.1:0"]).stderr(Stdio::piped());
        let began = Instant::now();
        let mut process = command.spawn().with_context(|| format!("{BINARY} cannot be started"))?;
        let stderr = process.stderr.take().context("no stderr")?;
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let mut server = Server { process, base: String::new(), client, started_in: Duration::ZERO };
        server.base = tokio::task::spawn_blocking(move || address_from(stderr)).await??;
        let health = server.client.get(format!("{}/health", server.base)).send().await?;
        server.started_in = began.elapsed();
        ensure!(health.status().is_success(), "/health answered {}", health.status());
        Ok(server)
    }

    /// Runs `explain` beside the server, and says how long that took. What it prints is kept.
    pub async fn explain(&self, component: &str, cachet: &OutsideCachet) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut command = self.command("explain", Some(cachet))?;
        command.arg(component);
        let status = tokio::task::spawn_blocking(move || command.status()).await??;
        ensure!(status.success(), "explain ended with {status}");
        Ok(began.elapsed())
    }

    /// The URL of its store.
    pub fn storage_url(&self) -> String {
        format!("sqlite://{}", self.folder.path().join("data/alertmanager-cachet.db").display())
    }

    fn command(&self, name: &str, cachet: Option<&OutsideCachet>) -> anyhow::Result<Command> {
        let stdout = File::options().create(true).append(true).open(self.folder.path().join("stdout"))?;
        let mut command = Command::new(BINARY);
        command.arg(name).current_dir(self.folder.path()).env_clear().env("WEBHOOK_BASIC_AUTH", &self.basic_auth);
        // As in the image.
        command.env("MALLOC_ARENA_MAX", "2");
        if let Some(cachet) = cachet {
            command.env("CACHET_API_URL", cachet.url()).env("CACHET_API_TOKEN", cachet.token());
        }
        command.stdin(Stdio::null()).stdout(stdout);
        Ok(command)
    }
}

/// Waits until a process has ended; one that does not is killed.
async fn ended(process: &mut Child) -> anyhow::Result<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(status) = process.try_wait()? {
            return Ok(status);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    process.kill()?;
    process.wait()?;
    bail!("it did not end within {PATIENCE:?}")
}

/// The address of the server's line about it. What comes after that line is read to its end and dropped, so that the
/// server never waits for us.
fn address_from(stderr: impl std::io::Read + Send + 'static) -> anyhow::Result<String> {
    let (found, address) = mpsc::channel();
    std::thread::spawn(move || {
        let mut last = String::new();
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some((_, base)) = line.split_once("listening on ") {
                let _ = found.send(Ok(base.to_owned()));
            }
            last = line;
        }
        let _ = found.send(Err(last));
    });
    match address.recv_timeout(PATIENCE) {
        Ok(Ok(base)) => Ok(base),
        Ok(Err(last)) => bail!("the server ended: {last}"),
        Err(_) => bail!("the server does not listen after {PATIENCE:?}"),
    }
}

impl Server {
    /// Posts a notification and says how long the answer took, which is 200.
    pub async fn post(&self, body: String) -> anyhow::Result<Duration> {
        let request = self.client.post(format!("{}/webhook", self.base)).basic_auth(USER, Some(PASSWORD)).body(body);
        let sent = Instant::now();
        let answer = request.send().await.context("the notification was not answered")?;
        let status = answer.status();
        let text = answer.text().await?;
        let taken = sent.elapsed();
        ensure!(status == 200, "the notification was answered {status}: {text}");
        Ok(taken)
    }

    /// Gets what is at `path`, and says how long it took until all of it was there; of a stream, its first part.
    pub async fn get(&self, path: &str) -> anyhow::Result<Duration> {
        let request = self.client.get(format!("{}{path}", self.base)).basic_auth(USER, Some(PASSWORD));
        let sent = Instant::now();
        let mut answer = request.send().await.with_context(|| format!("{path} was not answered"))?;
        ensure!(answer.status() == 200, "{path} was answered {}", answer.status());
        let is_stream = answer.headers().get("content-type").is_some_and(|it| it == "text/event-stream");
        while answer.chunk().await?.is_some() && !is_stream {}
        Ok(sent.elapsed())
    }

    /// The text of a request that posts a notification.
    pub fn request(body: &str) -> String {
        let credentials = STANDARD.encode(format!("{USER}:{PASSWORD}"));
        format!(
            "POST /webhook HTTP/1.1\r\nHost: figures\r\nAuthorization: Basic {credentials}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// The time that the server has spent on processors, which Linux tells.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let path = format!("/proc/{}/stat", self.process.id());
        let stat = fs::read_to_string(&path).with_context(|| format!("{path}, which only Linux has"))?;
        // After the name in parentheses: the 12th and the 13th field, in ticks of a hundredth of a second.
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(10 * ticks))
    }

    /// Where it listens: host and port.
    pub fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    /// The server's memory, which Linux tells, after the server has given back what is free.
    pub async fn memory(&self) -> anyhow::Result<Memory> {
        tokio::time::sleep(GIVEN_BACK_AFTER).await;
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(&path).with_context(|| format!("{path}, which only Linux has"))?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
            number.and_then(|number| number.parse().ok()).with_context(|| format!("{path} has no {name}"))
        };
        Ok(Memory { resident_kib: kib("VmRSS")?, peak_kib: kib("VmHWM")? })
    }

    /// Stops it in an orderly way.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let asked = Command::new("kill").arg(self.process.id().to_string()).status().context("no kill")?;
        ensure!(asked.success(), "the server could not be asked to stop");
        let status = ended(&mut self.process).await?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
