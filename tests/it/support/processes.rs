//! Programs that a test starts, ours among them: killed when the test ends, in whatever way; and waiting for what they
//! do.

use std::fmt::Display;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a test waits for anything, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(50);

/// Waits until `look` finds what is wanted; fails with what it saw last.
pub async fn eventually<T, E: Display>(what: &str, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(_) if Instant::now() < deadline => tokio::time::sleep(INTERVAL).await,
            Err(seen) => panic!("{what}: not within {PATIENCE:?}, but {seen}"),
        }
    }
}

/// `alertmanager-cachet`, to be run in `folder`, knowing nothing of the environment that the tests run in.
pub fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alertmanager-cachet"));
    command.env_clear().current_dir(folder).stdin(Stdio::null());
    command
}

/// A program of a Debian package of the same name.
pub fn debian(package: &str) -> Command {
    of_debian(package, package)
}

/// A program of a Debian package.
pub fn of_debian(package: &str, program: &str) -> Command {
    let path = Path::new("/usr/bin").join(program);
    let missing = format!("no {}: install the package `{package}` (Debian: apt-get install {package})", path.display());
    assert!(path.exists(), "{missing}");
    Command::new(path)
}

/// Writes a file in `folder`.
pub fn written(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("written");
}

/// A program that runs beside the test.
pub struct Process {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command`; what it writes goes to files in `folder` that are called after `name`.
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Self {
        let stdout = folder.join(format!("{name}.stdout"));
        let stderr = folder.join(format!("{name}.stderr"));
        let file = |path| File::create(path).expect("a file");
        let child = command.stdout(file(&stdout)).stderr(file(&stderr)).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self { name: name.to_owned(), child, stdout, stderr }
    }

    /// What it wrote to stdout so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).expect("its stdout")
    }

    /// What it wrote to stderr so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).expect("its stderr")
    }

    /// Waits until a line on stderr holds `mark`, and gives what comes right after it, up to a blank.
    pub async fn tells(&mut self, mark: &str) -> String {
        eventually(&format!("{} says {mark:?}", self.name), async || {
            let said = self.stderr();
            // A line is read when it is whole.
            let whole = said.rfind('\n').map_or("", |end| &said[..=end]);
            if let Some((_, after)) = whole.split_once(mark) {
                return Ok(after.split_whitespace().next().unwrap_or_default().to_owned());
            }
            let ended = self.child.try_wait().expect("its state");
            assert!(ended.is_none(), "{} has ended, {ended:?}:\n{said}", self.name);
            Err(format!("it says:\n{said}"))
        })
        .await
    }

    /// Sends a signal: `TERM`, `HUP`.
    pub fn signal(&self, signal: &str) {
        // The standard library has no signal but SIGKILL.
        let id = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", r#"kill -"$0" "$1""#, signal, &id]).status();
        assert!(sent.expect("sh").success(), "{} takes no signal", self.name);
    }

    /// Sends SIGTERM, and waits for the end.
    pub async fn end(&mut self) -> ExitStatus {
        self.signal("TERM");
        eventually(&format!("{} ends", self.name), async || {
            self.child.try_wait().expect("its state").ok_or("it runs on")
        })
        .await
    }
}

impl Process {
    /// Sends SIGKILL: it has no time for anything.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "why a test failed is in what its programs said")]
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} wrote to stderr:\n{}", self.name, fs::read_to_string(&self.stderr).unwrap_or_default());
        }
    }
}

/// What a program that has ended wrote.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `command` to its end.
pub fn run(command: &mut Command) -> Ended {
    ended(command.output().expect("it starts"))
}

/// Runs `command` to its end, with `input` on its stdin.
pub fn run_with_input(command: &mut Command, input: &str) -> Ended {
    use std::io::Write;
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    ended(child.wait_with_output().expect("it ends"))
}

fn ended(output: Output) -> Ended {
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
