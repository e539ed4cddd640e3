//! What is configured and may change while the server runs: checked as a whole, at the start and at every reload.

use crate::cli::{Common, Serve};
use crate::config::environment::{Environment, Mode};
use crate::config::users::Users;
use crate::config::watchdog::seen_too_rarely;
use crate::config::{self, Config, Files, Problem, Remark, Report, Severity, TargetsFile};
use crate::core::target::Inventory;
use crate::settings::WebAccess;

/// Everything that can be served with.
pub(super) struct Configured {
    /// `config.json`.
    pub config: Config,
    /// The targets; `None`: those that Cachet has.
    pub inventory: Option<Inventory>,
    /// Users, TLS and headers.
    pub web: WebAccess,
    /// What is worth knowing, and what is wrong that can be served without.
    pub report: Report,
    /// What works, and lets in more than it should, or may show less.
    unwise_choices: Vec<Remark>,
}

/// Reads and checks all files. What concerns single targets is no reason to refuse, so that a start at night does not
/// fail for a typo.
///
/// # Errors
/// Everything that the server cannot serve with.
pub(super) fn read(common: &Common, args: &Serve, environment: &Environment) -> Result<Configured, Vec<Problem>> {
    let Files { config, targets, mut report } = config::load(&common.config_file, &common.targets_file);
    let mut about_web = Report::default();
    let mut web = WebAccess::load(args.listen.web.web_config_file.as_deref(), environment, &mut about_web);
    let mut unwise_choices = std::mem::take(&mut about_web.remarks);
    report.append(about_web);
    if web.users.is_empty() && !report.is_fatal() {
        match environment.missing_authentication() {
            Some(problem) => report.problems.push(problem),
            None => web.users = Users::local_default(),
        }
    }
    let inventory = match targets {
        TargetsFile::Read(inventory) => Some(inventory),
        TargetsFile::Absent | TargetsFile::Unusable => None,
    };
    unwise_choices.extend(config.as_ref().and_then(|config| seen_too_rarely(config, environment, &common.config_file)));
    match config {
        Some(config) if !report.is_fatal() => Ok(Configured { config, inventory, web, report, unwise_choices }),
        _ => Err(report.problems.into_iter().filter(|problem| problem.severity == Severity::Fatal).collect()),
    }
}

impl Configured {
    /// What an operator should change.
    pub(super) fn warnings(&self) -> Vec<String> {
        let left_out = self.report.problems.iter().map(|problem| format!("{problem}; serving without it"));
        left_out.chain(self.unwise_choices.iter().map(ToString::to_string)).collect()
    }

    /// Says it in the log.
    pub(super) fn log(&self, mode: Mode) {
        self.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        self.report.remarks.iter().for_each(|remark| tracing::info!("{remark}"));
        if mode == Mode::Local && self.web.users == Users::local_default() {
            tracing::warn!("ENVIRONMENT=local without WEBHOOK_BASIC_AUTH: the webhook takes admin:admin");
        }
    }
}
