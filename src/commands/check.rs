//! `check`: every problem of both files and of the environment at once.

use std::io::{self, Write as _};
use std::process::ExitCode;

use secrecy::ExposeSecret as _;

use crate::cli::Common;
use crate::config::environment::{Environment, WEBHOOK_BASIC_AUTH};
use crate::config::{self, Place, Report, Variables};
use crate::web::auth::Users;

/// Prints what is wrong, then what was found. Exit code 1 if anything is wrong.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(common: &Common, variables: &Variables) -> anyhow::Result<ExitCode> {
    let mut files = config::load(&common.config_file, &common.targets_file);
    files.report.append(environment_report(variables));
    let mut out = io::stdout().lock();
    write!(out, "{}", files.report)?;
    if files.report.problems.is_empty() && files.report.remarks.is_empty() {
        writeln!(out, "no problems")?;
    }
    writeln!(out, "\nfound {}", files.summary(&common.targets_file))?;
    Ok(if files.report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong with the environment and with who may post.
fn environment_report(variables: &Variables) -> Report {
    let mut report = Report::default();
    report.problems.extend_from_slice(variables.problems());
    match Environment::from_vars(|name| variables.get(name)) {
        Ok(environment) => {
            report.problems.extend(environment.missing_authentication());
            if let Some(users) = &environment.webhook_basic_auth {
                check_users(users.expose_secret(), &mut report);
            }
        }
        Err(problems) => report.problems.extend(problems),
    }
    report
}

fn check_users(text: &str, report: &mut Report) {
    let place = Place::file(config::environment::PLACE).key(WEBHOOK_BASIC_AUTH);
    match Users::parse(text) {
        Ok(parsed) => parsed.warnings.into_iter().for_each(|warning| report.remark(place.clone(), warning)),
        Err(problems) => problems.into_iter().for_each(|problem| report.fatal(place.clone(), problem)),
    }
}
