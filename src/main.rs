//! The program: reads the command line, sets up the log, runs one command.

use std::io::Write as _;
use std::process::ExitCode;

use alertmanager_cachet::cli::Cli;
use alertmanager_cachet::config::Variables;
use alertmanager_cachet::{commands, log};

fn main() -> ExitCode {
    let variables = Variables::load();
    let cli = Cli::parse_over(&variables);
    log::init(cli.common.log_level, cli.common.log_format);
    match commands::run(&cli, &variables) {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to tell if stderr is closed.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
