//! The command line: flags after the manner of Prometheus, each with an environment variable.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, Resettable, TypedValueParser as _};
use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use jiff::{Span, SpanRelativeTo};
use tracing::level_filters::LevelFilter;

use crate::clock;
use crate::config::Variables;
use crate::core::time::Timestamp;

/// The values of `--log.level`.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Version and commit, as `--version` prints them.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("BUILD_COMMIT"), ")");

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
    pub(crate) command: Command,

    /// Flags that every command takes.
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Cli {
    /// The command line of this process over `variables`; ends the process where it asks for help or makes no sense.
    ///
    /// A flag wins over a variable, and that over the default.
    pub(crate) fn parse_over(variables: &Variables) -> Self {
        Self::matches(std::env::args_os(), variables)
            .and_then(|matches| Self::from_arg_matches(&matches))
            .unwrap_or_else(|error| error.exit())
    }

    /// clap itself reads the process's environment, which lacks what `.env` says, and takes an empty variable for a
    /// value. So variables are put in as defaults; but not before the command line was read once without them, for
    /// `--help` shows the defaults of the program and not those of the machine.
    fn matches(
        arguments: impl IntoIterator<Item = OsString>,
        variables: &Variables,
    ) -> Result<ArgMatches, clap::Error> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        with_variables(Self::command(), |_| None).try_get_matches_from(&arguments)?;
        with_variables(Self::command(), |name| variables.get(name)).try_get_matches_from(&arguments)
    }
}

/// The command whose arguments name their variable in the help and have its value, if there is one, as default.
fn with_variables(command: clap::Command, value_of: impl Fn(&str) -> Option<String> + Copy) -> clap::Command {
    let over_variable = |arg: Arg| {
        let Some(name) = arg.get_env().and_then(OsStr::to_str).map(str::to_owned) else { return arg };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let arg = arg.env(Resettable::Reset).help(format!("{help} [env: {name}]"));
        match value_of(&name) {
            Some(value) => arg.default_value(value),
            None => arg,
        }
    };
    command.mut_args(over_variable).mut_subcommands(|subcommand| with_variables(subcommand, value_of))
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// Groups, texts and behaviour of the status page (see config.json.example)
    #[arg(long = "config.file", env = "CONFIG_FILE", global = true)]
    #[arg(value_name = "FILE", default_value = "config.json")]
    pub config_file: PathBuf,

    /// The monitored targets and their labels: Prometheus' own configuration, or the Ansible role's prometheus_targets
    #[arg(long = "targets.file", env = "TARGETS_FILE", global = true)]
    #[arg(value_name = "FILE", default_value = "prometheus.yml")]
    pub targets_file: PathBuf,

    /// Where alerts and what was written to Cachet are kept; folders are made
    #[arg(long = "storage.url", env = "STORAGE_URL", global = true)]
    #[arg(value_name = "URL", default_value = "sqlite://data/alertmanager-cachet.db")]
    pub storage_url: String,

    /// Least severe message that is logged
    #[arg(long = "log.level", env = "LOG_LEVEL", value_name = "LEVEL", default_value = "info", global = true)]
    #[arg(value_parser = PossibleValuesParser::new(LEVELS).try_map(|level| level.parse::<LevelFilter>()))]
    pub log_level: LevelFilter,

    /// Form of the log: lines to grep, or the same events as JSON objects
    #[arg(long = "log.format", env = "LOG_FORMAT", value_name = "FORMAT", default_value = "text", global = true)]
    pub log_format: TextOrJson,
}

/// The form of the log, or of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it, and clap would print docs as help")]
pub enum TextOrJson {
    Text,
    Json,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Receive notifications and keep the status page true
    Serve(Serve),
    /// Create what is missing in Cachet: groups, components, and one disabled component a target
    #[command(alias = "setup-components")]
    Setup(Setup),
    /// Check all files and the environment, and report every problem at once
    Check(WebFile),
    /// Say why a component has its status
    Explain(Explain),
    /// Say what the page would have shown with this configuration, given recorded notifications or the history in the
    /// store; writes nothing
    Simulate(Simulate),
    /// Print the user:hash line that WEBHOOK_BASIC_AUTH wants
    HashPassword {
        /// The user name
        #[arg(value_name = "USER")]
        user: String,
    },
    /// Ask a running server whether it is healthy (for container images without curl)
    Healthcheck(Listen),
    /// Gone, with the API of the built-in page: say what replaced it
    #[command(hide = true)]
    EmbeddedToken,
    /// Show it working: serve the built-in page on loopback and tell a story of an outage
    Demo(Demo),
}

/// How the server is reached.
#[derive(Debug, Clone, Default, Args)]
pub struct WebFile {
    /// TLS, users and headers of the server, as in Prometheus' exporter-toolkit; none if not given
    #[arg(long = "web.config.file", env = "WEB_CONFIG_FILE", value_name = "FILE")]
    pub web_config_file: Option<PathBuf>,
}

/// Where the server listens.
#[derive(Debug, Clone, Args)]
pub struct Listen {
    /// Address to listen on
    #[arg(long = "web.listen-address", env = "LISTEN_ADDRESS")]
    #[arg(value_name = "ADDRESS:PORT", default_value = "0.0.0.0:5000")]
    pub listen_address: SocketAddr,

    /// How it does.
    #[command(flatten)]
    pub web: WebFile,
}

/// `serve`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Serve {
    /// Where to listen.
    #[command(flatten)]
    pub listen: Listen,

    /// Address for /metrics alone; without one, they are at the listen address
    #[arg(long = "web.metrics-address", env = "METRICS_ADDRESS", value_name = "ADDRESS:PORT")]
    pub metrics_address: Option<SocketAddr>,

    /// Networks (CIDR, separated by commas) whose X-Forwarded-For is believed; none if not given
    #[arg(long = "web.trusted-proxies", env = "TRUSTED_PROXIES", value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxies: Vec<IpNet>,

    /// How many bytes of a notification's body are logged; 0: none
    #[arg(long = "log.webhook-body-limit", env = "LOG_WEBHOOK_BODY_LIMIT")]
    #[arg(value_name = "BYTES", default_value_t = 65536)]
    pub webhook_body_limit: usize,
}

/// `setup`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Setup {
    /// Read the targets from FILE instead of --targets.file
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Print what would be made, moved and removed, and write nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Remove what setup made and no file names any more, target components included
    #[arg(long)]
    pub prune: bool,

    /// Remove every component and group that setup made first
    #[arg(long)]
    pub reset: bool,

    /// Answer every question with yes
    #[arg(long)]
    pub yes: bool,
}

/// `explain`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Explain {
    /// The component, by its name on the page
    #[arg(value_name = "COMPONENT")]
    pub component: String,

    /// Form of the answer
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub output: TextOrJson,
}

/// `simulate`.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("played").required(true))]
pub(crate) struct Simulate {
    /// The log of `serve` (stdout, text or JSON, with or without a collector's time in front), or files with what
    /// Alertmanager posted: one JSON notification, a list of them, or one after the other; `-`: standard input
    #[arg(value_name = "FILE", group = "played")]
    pub files: Vec<PathBuf>,

    /// Play what the history in the store has kept instead, beside a running server, too
    #[arg(long, group = "played")]
    pub from_store: bool,

    /// Tell only what was from then on: RFC 3339, or how long ago, as in 7d or 1h30m
    #[arg(long, value_name = "TIME", value_parser = |text: &str| moment(text, clock::now()))]
    pub since: Option<Timestamp>,

    /// Play only what was before
    #[arg(long, value_name = "TIME", value_parser = |text: &str| moment(text, clock::now()))]
    pub until: Option<Timestamp>,

    /// Form of the answer
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub output: TextOrJson,
}

/// `demo`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Demo {
    /// Loopback address to listen on; port 0: any free one
    #[arg(long = "web.listen-address", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub listen_address: SocketAddr,

    /// End after the story, with exit code 1 if the page did not show what it should
    #[arg(long)]
    pub once: bool,
}

/// A moment: RFC 3339, or how long before `now`, where a day has 24 hours.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, &'static str> {
    let ago = || {
        let span: Span = text.parse().ok()?;
        let span = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        Some(now.before(Duration::try_from(span).ok()?))
    };
    Timestamp::parse_rfc3339(text).ok().or_else(ago).ok_or(
        "it is no moment: give an RFC 3339 time, as in 2026-11-21T02:00:00Z, or how long ago, as in 7d, 36h or 1h30m",
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Cli, clap::Error> {
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let variables = Variables::overlay(variables, Path::new("does/not/exist"));
        let arguments = ["alertmanager-cachet"].iter().chain(arguments).map(OsString::from);
        Cli::from_arg_matches(&Cli::matches(arguments, &variables)?)
    }

    fn listen_address(cli: &Cli) -> String {
        match &cli.command {
            Command::Serve(serve) => serve.listen.listen_address.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        with_variables(Cli::command(), |_| None).debug_assert();
    }

    #[test]
    fn a_flag_wins_over_a_variable_and_that_over_the_default() {
        let variable = ("LISTEN_ADDRESS", "127.0.0.1:6000");
        let flag = "--web.listen-address=127.0.0.1:7000";
        assert_eq!(listen_address(&parse(&["serve"], &[]).expect("parses")), "0.0.0.0:5000");
        assert_eq!(listen_address(&parse(&["serve"], &[variable]).expect("parses")), "127.0.0.1:6000");
        assert_eq!(listen_address(&parse(&["serve", flag], &[variable]).expect("parses")), "127.0.0.1:7000");
    }

    #[test]
    fn a_flag_of_all_commands_may_stand_before_or_behind_the_command() {
        for arguments in [["check", "--config.file=x.json"], ["--config.file=x.json", "check"]] {
            let cli = parse(&arguments, &[("CONFIG_FILE", "y.json")]).expect("parses");
            assert_eq!(cli.common.config_file, Path::new("x.json"));
        }
        assert_eq!(
            parse(&["check"], &[("CONFIG_FILE", "y.json")]).expect("parses").common.config_file,
            Path::new("y.json")
        );
    }

    #[test]
    fn an_empty_variable_is_none() {
        assert_eq!(listen_address(&parse(&["serve"], &[("LISTEN_ADDRESS", "")]).expect("parses")), "0.0.0.0:5000");
    }

    #[test]
    fn several_proxies_are_separated_by_commas() {
        let cli = parse(&["serve"], &[("TRUSTED_PROXIES", "10.0.0.0/8,fd00::/8")]).expect("parses");
        let Command::Serve(serve) = cli.command else { panic!("serve was asked for") };
        assert_eq!(serve.trusted_proxies.len(), 2);
    }

    #[test]
    fn a_bad_variable_is_an_error_that_names_the_flag() {
        let error = parse(&["serve"], &[("LISTEN_ADDRESS", "nowhere")]).expect_err("refused").to_string();
        assert!(error.contains("nowhere") && error.contains("--web.listen-address"), "{error}");
    }

    #[test]
    fn help_shows_the_programs_defaults_whatever_the_environment_says() {
        let error = parse(&["serve", "--help"], &[("LISTEN_ADDRESS", "127.0.0.1:6000")]).expect_err("help").to_string();
        assert!(error.contains("[env: LISTEN_ADDRESS] [default: 0.0.0.0:5000]"), "{error}");
    }

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        let now = Timestamp::parse_rfc3339("2026-11-21T02:00:00Z").expect("a time");
        for (text, moment) in [
            ("2026-11-14T02:00:00Z", "2026-11-14T02:00:00Z"),
            ("2026-11-14T03:00:00+01:00", "2026-11-14T02:00:00Z"),
            ("7d", "2026-11-14T02:00:00Z"),
            ("1w", "2026-11-14T02:00:00Z"),
            ("1h30m", "2026-11-21T00:30:00Z"),
            ("0s", "2026-11-21T02:00:00Z"),
        ] {
            assert_eq!(super::moment(text, now).expect(text).to_string(), moment, "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused_with_examples() {
        for text in ["", "yesterday", "7", "-7d", "7d ago", "1mo", "2026-11-14", "2026-11-14T02:00:00"] {
            let error = moment(text, Timestamp::from_millis(0)).expect_err(text);
            assert!(error.contains("as in 7d"), "{text}");
        }
    }
}
