//! `hash-password USER`: the `user:hash` line that `WEBHOOK_BASIC_AUTH` wants.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, Error, ensure};
use bcrypt::{DEFAULT_COST, Version};

use crate::config::check_user_name;

/// The longest password that bcrypt sees whole: its limit is 72 bytes, and one is the end of the text.
const PASSWORD_LIMIT_BYTES: usize = 71;

/// Reads a password, twice and unseen on a terminal, else one line of stdin, and prints the line.
///
/// # Errors
/// When the user name or the password cannot be used, or reading or printing fails.
pub(crate) fn run(user: &str) -> anyhow::Result<ExitCode> {
    check_user_name(user).map_err(Error::msg)?;
    let stdin = io::stdin();
    let prompt = |text| {
        rpassword::prompt_password(text).context("the password cannot be read from the terminal: pipe it in instead")
    };
    let password = if stdin.is_terminal() {
        let password = prompt("Password: ")?;
        ensure!(password == prompt("Again: ")?, "the two passwords differ: try again");
        password
    } else {
        read_line(stdin.lock())?
    };
    let line = credentials(user, &password, DEFAULT_COST)?;
    writeln!(io::stdout(), "{line}").context("the line cannot be printed: check where stdout goes")?;
    Ok(ExitCode::SUCCESS)
}

fn read_line(mut input: impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    input.read_line(&mut line).context("the password cannot be read from stdin: it must be UTF-8")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The line, with the prefix that htpasswd uses.
pub(super) fn credentials(user: &str, password: &str, cost: u32) -> anyhow::Result<String> {
    ensure!(!password.is_empty(), "the password is empty: give one");
    ensure!(
        password.len() <= PASSWORD_LIMIT_BYTES,
        "the password has {} bytes, and bcrypt sees only {PASSWORD_LIMIT_BYTES}: choose a shorter one",
        password.len()
    );
    let hash = bcrypt::non_truncating_hash_with_result(password, cost)
        .context("the password cannot be hashed: check that the system gives random numbers")?;
    Ok(format!("{user}:{}", hash.format_for_version(Version::TwoY)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Users;

    const LOWEST_COST: u32 = 4;

    #[test]
    fn the_line_is_what_webhook_basic_auth_takes() {
        let line = credentials("prometheus", "Grüße: 🚨", LOWEST_COST).expect("a line");
        assert!(line.starts_with("prometheus:$2y$04$"), "{line}");
        let (_, warnings) = Users::parse(&line).expect("valid");
        assert!(warnings.is_empty());
    }

    #[test]
    fn a_password_that_bcrypt_would_cut_is_refused() {
        assert!(credentials("a", "", LOWEST_COST).is_err());
        assert!(credentials("a", &"x".repeat(71), LOWEST_COST).is_ok());
        let error = credentials("a", &"ü".repeat(36), LOWEST_COST).expect_err("72 bytes");
        assert_eq!(error.to_string(), "the password has 72 bytes, and bcrypt sees only 71: choose a shorter one");
    }

    #[test]
    fn one_line_of_stdin_is_the_password_blanks_included() {
        assert_eq!(read_line(&b" a b \r\nrest"[..]).expect("a line"), " a b ");
        assert_eq!(read_line(&b""[..]).expect("a line"), "");
    }
}
