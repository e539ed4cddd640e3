//! `check`: every problem of all files and of the environment at once.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use ipnet::IpNet;

use crate::cli::{Common, WebFile};
use crate::config::{
    self, Config, ENVIRONMENT, Environment, Place, Report, Severity, TargetsFile, Variables, WEBHOOK_BASIC_AUTH,
    counted,
};
use crate::settings::WebAccess;
use crate::store::Store;

/// Prints what is wrong, then what was found. Exit code 1 if anything is wrong.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn run(common: &Common, web: &WebFile, variables: &Variables) -> anyhow::Result<ExitCode> {
    let mut files = config::load(&common.config_file, &common.targets_file);
    let web_file = web.web_config_file.as_deref();
    let (environment, report) = check_environment(common, web_file, variables);
    files.report.append(report);
    if let Some(config) = &files.config {
        files.report.remarks.extend(config::watchdog_remark(config, &environment, &common.config_file));
    }
    let report = &files.report;

    let mut out = io::stdout().lock();
    if report.problems.is_empty() {
        writeln!(out, "no problems{}", if report.remarks.is_empty() { "" } else { "\n" })?;
    }
    write!(out, "{report}")?;
    writeln!(out, "\nfound")?;
    let config_file = common.config_file.display();
    match &files.config {
        Some(Config { page, .. }) => {
            let components = page.groups.iter().map(|group| group.components.len()).sum();
            let (groups, components) = (counted(page.groups.len(), "group"), counted(components, "component"));
            writeln!(out, "  {groups} with {components} in {config_file}")?;
        }
        None => writeln!(out, "  no usable configuration in {config_file}")?,
    }
    let targets_file = common.targets_file.display();
    let targets = match &files.targets {
        TargetsFile::Absent => "the targets that the page has".to_owned(),
        TargetsFile::Unusable => format!("no usable targets in {targets_file}"),
        TargetsFile::Read(inventory) => {
            let critical = inventory.iter().filter(|(_, target)| target.critical).count();
            format!("{} ({critical} critical) in {targets_file}", counted(inventory.len(), "target"))
        }
    };
    writeln!(out, "  {targets}")?;
    let is_of_cachet = |place: &Place| place.file == ENVIRONMENT && place.path.starts_with("CACHET_");
    let page = match environment.cachet {
        Some(_) => "a Cachet in the environment",
        None if report.problems.iter().any(|problem| is_of_cachet(&problem.place)) => {
            "no usable Cachet in the environment"
        }
        None => "no Cachet in the environment, so the built-in page",
    };
    writeln!(out, "  {page}")?;
    if let Some(file) = web_file.map(|file| file.display().to_string()) {
        let web = match report.problems.iter().any(|problem| problem.place.file == file) {
            true => format!("no usable web configuration in {file}"),
            false => format!("a web configuration in {file}"),
        };
        writeln!(out, "  {web}")?;
    }
    if report.is_fatal() {
        writeln!(out, "\nserve refuses to start with these problems")?;
    } else if !report.problems.is_empty() {
        writeln!(out, "\nserve starts all the same, without what these problems concern")?;
    }
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The environment as far as it can be used, and what is wrong with it, with `.env` and with who may do what.
fn check_environment(common: &Common, web_file: Option<&Path>, variables: &Variables) -> (Environment, Report) {
    let mut report = Report::default();
    report.problems.extend_from_slice(&variables.problems);
    let (environment, problems) = Environment::read(|name| variables.get(name));
    let users_are_unknown = problems.iter().any(|problem| problem.place.path.starts_with(WEBHOOK_BASIC_AUTH));
    report.problems.extend(problems);
    let users = WebAccess::load(web_file, &environment, &mut report).users;
    if users.is_empty() && environment.webhook_basic_auth.is_none() && !users_are_unknown {
        report.problems.extend(environment.missing_authentication());
    }
    // What `serve` would refuse on its command line, where it comes from a variable: `check` does not take these flags.
    let mut check = |name: &str, is_valid: fn(&str) -> bool, message: &str| {
        if variables.get(name).is_some_and(|value| !is_valid(&value)) {
            report.add(Severity::Fatal, Place::variable(name), message);
        }
    };
    let is_address = |value: &str| value.parse::<SocketAddr>().is_ok();
    check("LISTEN_ADDRESS", is_address, "is no address with a port: write it as in 0.0.0.0:5000");
    check("METRICS_ADDRESS", is_address, "is no address with a port: write it as in 127.0.0.1:9100, or leave it out");
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
        report.add(Severity::Fatal, Place::variable("STORAGE_URL"), message);
    }
    (environment, report)
}
