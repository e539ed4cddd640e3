//! `check`, and what it checks: all files and the environment, good and bad.
//!
//! `tests/fixtures/config/bad/` has one small file for each kind of problem: NAME.json is a `config.json`, NAME.yml a
//! targets file, NAME.env a `.env` and NAME.web a `--web.config.file`. Each is checked by the real program beside good
//! files, and NAME.….expected is all that it printed.

mod arbitrary;
mod good;
mod messages;
mod program;
mod promtool;
mod severity;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// With this variable set, expectations are written instead of compared: look at what `git diff` then says.
const UPDATE: &str = "UPDATE_EXPECTED";

/// A folder or file of these fixtures.
fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config").join(path)
}

/// The program in a folder, with no environment but the variables given.
fn program(folder: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alertmanager-cachet"));
    command.current_dir(folder).env_clear().envs(variables.iter().copied());
    command
}

fn stdout(output: &Output) -> String {
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// The program's verdict on one bad file beside good ones.
fn check(path: &Path) -> Output {
    let name = path.file_name().and_then(OsStr::to_str).expect("a name in UTF-8");
    let (config, targets) = ("../good/config/required_keys_only.json", "../good/targets/prometheus.yml");
    match path.extension().and_then(OsStr::to_str) {
        Some("json") => check_files(name, targets),
        Some("yml") => check_files(config, name),
        Some("web") => check_files_beside(config, targets, &["--web.config.file", name]),
        _ => {
            let (bad, own) = (fixture("bad"), tempfile::tempdir().expect("a folder"));
            let copies = [(path, ".env"), (&bad.join(config), "config.json"), (&bad.join(targets), "prometheus.yml")];
            for (from, to) in copies {
                std::fs::copy(from, own.path().join(to)).expect("copied");
            }
            program(own.path(), &[]).arg("check").output().expect("the program ran")
        }
    }
}

fn check_files(config: &str, targets: &str) -> Output {
    check_files_beside(config, targets, &[])
}

fn check_files_beside(config: &str, targets: &str, flags: &[&str]) -> Output {
    program(&fixture("bad"), &[("ENVIRONMENT", "local")])
        .args(["check", "--config.file", config, "--targets.file", targets])
        .args(flags)
        .output()
        .expect("the program ran")
}

/// What is in the folder of bad files: the files, and the expectations.
fn bad_files() -> (Vec<PathBuf>, Vec<PathBuf>) {
    let entries = std::fs::read_dir(fixture("bad")).expect("fixtures").map(|entry| entry.expect("an entry").path());
    let mut entries: Vec<PathBuf> = entries.filter(|path| path.extension().is_some()).collect();
    entries.sort();
    entries.into_iter().partition(|path| path.extension() != Some(OsStr::new("expected")))
}

/// Two fixtures of one name would share an expectation, so the kind is part of its name.
fn expectation_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".expected");
    name.into()
}

#[test]
fn every_bad_file_has_the_expected_report() {
    let (files, expectations) = bad_files();
    assert!(files.len() > 80, "the fixtures are gone: {}", files.len());
    let mut faults = Vec::new();
    for path in &files {
        let output = check(path);
        let report = stdout(&output);
        let name = path.file_name().unwrap_or_default().display();
        let code = if report.starts_with("no problems") { 0 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{name}: {report}");
        assert!(report.lines().all(|line| line.chars().count() <= 80), "{name} is wider than 80:\n{report}");
        assert!(!report.contains("geheim"), "{name} tells a secret:\n{report}");
        let expectation = expectation_of(path);
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&expectation, &report).expect("written");
        } else if std::fs::read_to_string(&expectation).ok().as_deref() != Some(report.as_str()) {
            faults.push(format!("{name}:\n{report}"));
        }
    }
    assert!(
        faults.is_empty(),
        "{} reports are not as expected. If they are right: {UPDATE}=1 cargo test --test it bad_file, and look at what \
         git diff says.\n\n{}",
        faults.len(),
        faults.join("\n")
    );
    let wanted: BTreeSet<PathBuf> = files.iter().map(|path| expectation_of(path)).collect();
    let orphans: Vec<_> = expectations.iter().filter(|path| !wanted.contains(*path)).collect();
    assert!(orphans.is_empty(), "these expectations have no file: {orphans:?}");
}
