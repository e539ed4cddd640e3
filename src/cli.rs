//! The command line: flags after the manner of Prometheus, each with an environment variable.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

/// Version and commit, as `--version` prints them.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("BUILD_COMMIT"), ")");

/// Keeps a Cachet status page true from Prometheus Alertmanager notifications.
///
/// Secrets come from the environment only: CACHET_API_URL, CACHET_API_TOKEN and WEBHOOK_BASIC_AUTH, or from the files
/// that CACHET_API_URL_FILE, CACHET_API_TOKEN_FILE and WEBHOOK_BASIC_AUTH_FILE name. ENVIRONMENT=local relaxes what a
/// developer's machine does not need. A file `.env` in the working directory is read as well; the real environment wins.
#[derive(Debug, Parser)]
#[command(name = "alertmanager-cachet", version = VERSION, max_term_width = 120, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Flags that every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Groups, texts and behaviour of the status page (see config.json.example)
    #[arg(
        long = "config.file",
        env = "CONFIG_FILE",
        value_name = "FILE",
        default_value = "config.json",
        global = true
    )]
    pub config_file: PathBuf,

    /// The monitored targets and their labels: Prometheus' own configuration, or the Ansible role's prometheus_targets
    #[arg(
        long = "targets.file",
        env = "TARGETS_FILE",
        value_name = "FILE",
        default_value = "prometheus.yml",
        global = true
    )]
    pub targets_file: PathBuf,

    /// Where alerts and what was written to Cachet are kept; folders are made
    #[arg(
        long = "storage.url",
        env = "STORAGE_URL",
        value_name = "URL",
        default_value = "sqlite://data/alertmanager-cachet.db",
        global = true
    )]
    pub storage_url: String,

    /// Least severe message that is logged
    #[arg(long = "log.level", env = "LOG_LEVEL", value_name = "LEVEL", default_value = "info", global = true)]
    pub log_level: LogLevel,

    /// Form of the log: lines to grep, or the same events as JSON objects
    #[arg(long = "log.format", env = "LOG_FORMAT", value_name = "FORMAT", default_value = "text", global = true)]
    pub log_format: LogFormat,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it, and clap would print docs as help")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it, and clap would print docs as help")]
pub enum LogFormat {
    Text,
    Json,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Receive notifications and keep the status page true
    Serve(Serve),
    /// Create what is missing in Cachet: groups, components, and one disabled component a target
    #[command(alias = "setup-components")]
    Setup(Setup),
    /// Check both files and the environment, and report every problem at once
    Check,
    /// Say why a component has its status
    Explain(Explain),
    /// Print the user:hash line that WEBHOOK_BASIC_AUTH wants
    HashPassword(HashPassword),
    /// Ask a running server whether it is healthy (for container images without curl)
    Healthcheck(Healthcheck),
    /// Print the bearer token of the embedded page's API
    EmbeddedToken,
    /// Show it working: serve the embedded page on loopback and tell a story of an outage
    Demo(Demo),
}

/// Where the server listens.
#[derive(Debug, Clone, Args)]
pub struct Listen {
    /// Address to listen on
    #[arg(
        long = "web.listen-address",
        env = "LISTEN_ADDRESS",
        value_name = "ADDRESS:PORT",
        default_value = "0.0.0.0:5000"
    )]
    pub listen_address: SocketAddr,
}

/// `serve`.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Where to listen.
    #[command(flatten)]
    pub listen: Listen,

    /// Networks (CIDR, separated by commas) whose X-Forwarded-For is believed; none if not given
    #[arg(long = "web.trusted-proxies", env = "TRUSTED_PROXIES", value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxies: Vec<IpNet>,

    /// How many bytes of a notification's body are logged; 0: none
    #[arg(
        long = "log.webhook-body-limit",
        env = "LOG_WEBHOOK_BODY_LIMIT",
        value_name = "BYTES",
        default_value_t = 65536
    )]
    pub webhook_body_limit: usize,
}

/// `setup`.
#[derive(Debug, Clone, Args)]
pub struct Setup {
    /// Read the targets from FILE instead of --targets.file
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Print what would be made, moved and removed, and write nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Remove target components whose target is gone, and what we made and no file names any more
    #[arg(long)]
    pub prune: bool,

    /// Remove every component and group first
    #[arg(long)]
    pub reset: bool,

    /// Answer every question with yes
    #[arg(long)]
    pub yes: bool,
}

/// `explain`.
#[derive(Debug, Clone, Args)]
pub struct Explain {
    /// The component, by its name on the page
    #[arg(value_name = "COMPONENT")]
    pub component: String,

    /// Form of the answer
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub output: OutputForm,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it, and clap would print docs as help")]
pub enum OutputForm {
    Text,
    Json,
}

/// `hash-password`.
#[derive(Debug, Clone, Args)]
pub struct HashPassword {
    /// The user name
    #[arg(value_name = "USER")]
    pub user: String,
}

/// `healthcheck`.
#[derive(Debug, Clone, Args)]
pub struct Healthcheck {
    /// Where the server listens.
    #[command(flatten)]
    pub listen: Listen,
}

/// `demo`.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// Loopback address to listen on; port 0: any free one
    #[arg(long = "web.listen-address", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub listen_address: SocketAddr,

    /// End after the story, with exit code 1 if the page did not show what it should
    #[arg(long)]
    pub once: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
