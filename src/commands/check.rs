//! `check`: every problem of all files and of the environment at once.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use ipnet::IpNet;

use crate::cli::{Check, Common};
use crate::config::environment::{Environment, PLACE, WEBHOOK_BASIC_AUTH};
use crate::config::watchdog::{heard_by_route_alone, seen_too_rarely};
use crate::config::{self, Config, Place, Report, TargetsFile, Variables, counted};
use crate::settings::WebAccess;
use crate::store::Store;

/// Prints what is wrong, then what was found. Exit code 1 if anything is wrong.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn run(common: &Common, args: &Check, variables: &Variables) -> anyhow::Result<ExitCode> {
    let mut files = config::load(&common.config_file, &common.targets_file);
    let web_file = args.web.web_config_file.as_deref();
    let (environment, report) = check_environment(common, web_file, variables);
    files.report.append(report);
    if let Some(config) = &files.config {
        files.report.remarks.extend(seen_too_rarely(config, &environment, &common.config_file));
        files.report.remarks.extend(heard_by_route_alone(config, &environment, &common.config_file));
    }
    let report = &files.report;

    let mut out = io::stdout().lock();
    if report.problems.is_empty() {
        writeln!(out, "no problems")?;
    }
    if report.problems.is_empty() && !report.remarks.is_empty() {
        writeln!(out)?;
    }
    write!(out, "{report}")?;
    writeln!(out, "\nfound")?;
    writeln!(out, "  {}", found_groups(files.config.as_ref(), &common.config_file))?;
    writeln!(out, "  {}", found_targets(&files.targets, &common.targets_file))?;
    writeln!(out, "  {}", found_page(&environment, report))?;
    if let Some(file) = web_file {
        writeln!(out, "  {}", found_web(file, report))?;
    }
    if report.is_fatal() {
        writeln!(out, "\nserve refuses to start with these problems")?;
    } else if !report.problems.is_empty() {
        writeln!(out, "\nserve starts all the same, without what these problems concern")?;
    }
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn found_groups(config: Option<&Config>, file: &Path) -> String {
    let Some(config) = config else { return format!("no usable configuration in {}", file.display()) };
    let components = config.page.groups.iter().map(|group| group.components.len()).sum();
    let (groups, components) = (counted(config.page.groups.len(), "group"), counted(components, "component"));
    format!("{groups} with {components} in {}", file.display())
}

fn found_targets(targets: &TargetsFile, file: &Path) -> String {
    match targets {
        TargetsFile::Absent => "the targets that the page has".to_owned(),
        TargetsFile::Unusable => format!("no usable targets in {}", file.display()),
        TargetsFile::Read(inventory) => {
            let critical = inventory.values().filter(|target| target.critical).count();
            format!("{} ({critical} critical) in {}", counted(inventory.len(), "target"), file.display())
        }
    }
}

fn found_page(environment: &Environment, report: &Report) -> &'static str {
    let of_cachet = |place: &Place| place.file == PLACE && place.path.starts_with("CACHET_");
    match environment.cachet {
        Some(_) => "a Cachet in the environment",
        None if report.problems.iter().any(|problem| of_cachet(&problem.place)) => {
            "no usable Cachet in the environment"
        }
        None => "no Cachet in the environment, so the built-in page",
    }
}

fn found_web(file: &Path, report: &Report) -> String {
    let name = file.display().to_string();
    match report.problems.iter().any(|problem| problem.place.file == name) {
        true => format!("no usable web configuration in {name}"),
        false => format!("a web configuration in {name}"),
    }
}

/// The environment as far as it can be used, and what is wrong with it, with `.env` and with who may do what.
fn check_environment(common: &Common, web_file: Option<&Path>, variables: &Variables) -> (Environment, Report) {
    let mut report = Report::default();
    report.problems.extend_from_slice(variables.problems());
    let (environment, problems) = Environment::read(|name| variables.get(name));
    let users_are_unknown = problems.iter().any(|problem| problem.place.path.starts_with(WEBHOOK_BASIC_AUTH));
    report.problems.extend(problems);
    let users = WebAccess::load(web_file, &environment, &mut report).users;
    if users.is_empty() && environment.webhook_basic_auth.is_none() && !users_are_unknown {
        report.problems.extend(environment.missing_authentication());
    }
    check_flags_of_serve(common, variables, &mut report);
    (environment, report)
}

/// What `serve` would refuse on its command line, where it comes from a variable: `check` does not take these flags.
fn check_flags_of_serve(common: &Common, variables: &Variables, report: &mut Report) {
    let mut check = |name: &str, is_valid: fn(&str) -> bool, message: &str| {
        if variables.get(name).is_some_and(|value| !is_valid(&value)) {
            report.fatal(variable(name), message);
        }
    };
    check(
        "LISTEN_ADDRESS",
        |value| value.parse::<SocketAddr>().is_ok(),
        "is no address with a port: write it as in 0.0.0.0:5000",
    );
    check(
        "METRICS_ADDRESS",
        |value| value.parse::<SocketAddr>().is_ok(),
        "is no address with a port: write it as in 127.0.0.1:9100, or leave it out",
    );
    check(
        "TRUSTED_PROXIES",
        |value| value.split(',').all(|network| network.parse::<IpNet>().is_ok()),
        "is no list of networks: write them as in 10.0.0.0/8, separated by commas without spaces",
    );
    check(
        "LOG_WEBHOOK_BODY_LIMIT",
        |value| value.parse::<usize>().is_ok(),
        "is no number of bytes: write one, or 0 to log no bodies",
    );
    // The value is not repeated, for the URL of a database may hold a password.
    if !Store::supports(&common.storage_url) {
        let message = "is not supported: write it as in sqlite://data/alertmanager-cachet.db";
        report.fatal(variable("STORAGE_URL"), message);
    }
}

fn variable(name: &str) -> Place {
    Place::file(PLACE).key(name)
}
