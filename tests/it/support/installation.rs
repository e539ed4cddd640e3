//! The program as it is installed: a folder with the two example files.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::processes::{Ended, Process, program, run, written};

/// A developer's machine, where the webhook takes `admin:admin`.
pub const LOCAL: (&str, &str) = ("ENVIRONMENT", "local");

/// A folder with the example files under the names that the program looks for.
pub struct Installation {
    pub folder: TempDir,
}

impl Installation {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (example, name) in [("config.json.example", "config.json"), ("prometheus.yml.example", "prometheus.yml")] {
            fs::copy(sources.join(example), folder.path().join(name)).expect("an example");
        }
        Self { folder }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(self.folder.path());
        command.args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        run(&mut self.command(arguments))
    }

    /// Runs it, and expects it to go well and to say nothing on stderr.
    pub fn prints(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}: {}", ended.stdout);
        ended.stdout
    }

    /// Runs it, and expects it to fail; answers with what it says on stderr.
    pub fn refuses(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(1), "{arguments:?}: {}", ended.stderr);
        ended.stderr
    }

    /// Starts the server, with these variables beside a free port; answers with its address as well.
    pub async fn serving(&self, variables: &[(&str, &str)]) -> (Process, String) {
        let mut command = self.command(&["serve", "--web.listen-address=127.0.0.1:0"]);
        let mut server = Process::start("serve", command.envs(variables.iter().copied()), self.folder.path());
        // http://, or https:// where the web configuration says so.
        let address = server.tells("listening on http").await;
        let address = address.trim_start_matches('s').trim_start_matches("://");
        // In a log of JSON, the text ends with its quotes.
        let address = address.split('"').next().unwrap_or_default().to_owned();
        (server, address)
    }

    /// Takes a target out of the targets file.
    pub fn forget(&self, target: &str) {
        let path = self.folder.path().join("prometheus.yml");
        let text = fs::read_to_string(&path).expect("the targets file");
        let left: Vec<&str> = text.lines().filter(|line| !line.contains(target)).collect();
        assert_eq!(left.len() + 1, text.lines().count(), "{target} stands there once");
        written(self.folder.path(), "prometheus.yml", &left.join("\n"));
    }
}
