//! The program itself: what it prints, its exit codes, and which of flag, environment and `.env` has the say.

use std::fs::{File, copy, write};
use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use super::{fixture, program, stdout};

/// A bcrypt hash; its dollars are what careless readers of `.env` lose.
const HASH: &str = "$2y$05$abcdefghijklmnopqrstuu5s8.PbJ2hpsuK.zYBaxVw0LmJyf5xve";

/// A folder with good files under their default names.
fn good_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    copy(fixture("good/config/every_key.json"), folder.path().join("config.json")).expect("copied");
    copy(fixture("good/targets/prometheus.yml"), folder.path().join("prometheus.yml")).expect("copied");
    folder
}

fn check(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    program(folder, variables).arg("check").args(arguments).output().expect("the program ran")
}

/// What is printed of good files and an environment that must be good too.
fn good_report(folder: &Path, variables: &[(&str, &str)]) -> String {
    let output = check(folder, &[], variables);
    let report = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    report
}

#[test]
fn good_files_are_told_in_a_few_lines() {
    assert_eq!(
        good_report(good_folder().path(), &[("ENVIRONMENT", "local")]),
        "no problems\n\
         \n\
         1 remark\n\
         \n\
         config.json\n\
         \x20 watchdog\n\
         \x20   arrives only in notifications, so the page may be green for about two\n\
         \x20   notification intervals if Prometheus dies during an outage: set\n\
         \x20   ALERTMANAGER_URL to prevent that\n\
         \n\
         found\n\
         \x20 2 groups with 3 components in config.json\n\
         \x20 4 targets (1 critical) in prometheus.yml\n\
         \x20 no Cachet in the environment, so the built-in page\n"
    );
}

#[test]
fn the_problems_of_both_files_and_the_environment_come_at_once() {
    let folder = good_folder();
    write(folder.path().join("config.json"), "{}").expect("written");
    write(folder.path().join("prometheus.yml"), "scrape_configs: 5").expect("written");
    write(folder.path().join(".env"), "CACHET_API_TOKEN=1|geheim\n'").expect("written");
    let output = check(folder.path(), &[], &[("ENVIRONMENT", "prod")]);
    let report = stdout(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(report.starts_with("9 problems\n"), "{report}");
    for place in [
        "\nconfig.json\n  groups_configuration\n",
        "\nprometheus.yml\n  scrape_configs\n",
        "\n.env\n  line 2\n",
        "\nenvironment\n  ENVIRONMENT\n",
        "\n  CACHET_API_URL\n",
        "\n  WEBHOOK_BASIC_AUTH\n",
    ] {
        assert!(report.contains(place), "{place:?} is not in:\n{report}");
    }
}

#[test]
fn missing_files_are_problems_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = stdout(&check(folder.path(), &["--targets.file=targets.yml"], &[("ENVIRONMENT", "local")]));
    assert_eq!(
        report,
        "2 problems\n\
         \n\
         config.json\n\
         \x20 does not exist: copy config.json.example there, or correct --config.file\n\
         \x20 (CONFIG_FILE)\n\
         \n\
         targets.yml\n\
         \x20 does not exist: create it, or correct --targets.file (TARGETS_FILE)\n\
         \n\
         found\n\
         \x20 no usable configuration in config.json\n\
         \x20 no usable targets in targets.yml\n\
         \x20 no Cachet in the environment, so the built-in page\n\
         \n\
         serve refuses to start with these problems\n"
    );
}

#[test]
fn without_a_targets_file_the_targets_are_those_of_cachet() {
    let folder = good_folder();
    std::fs::remove_file(folder.path().join("prometheus.yml")).expect("removed");
    let report = good_report(folder.path(), &[("ENVIRONMENT", "local")]);
    assert!(
        report.contains("prometheus.yml\n  does not exist, so the targets are those that the page has\n"),
        "{report}"
    );
    assert!(report.contains("\n  the targets that the page has\n"), "{report}");
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let folder = good_folder();
    for name in ["config.json", "prometheus.yml", ".env"] {
        File::create(folder.path().join(name)).and_then(|file| file.set_len((8 << 20) + 1)).expect("a large file");
    }
    let report = stdout(&check(folder.path(), &[], &[("ENVIRONMENT", "local")]));
    assert_eq!(report.matches("is larger than 8 MiB: check that it is the right file").count(), 3, "{report}");
}

#[test]
fn a_good_environment_has_no_problems() {
    let report = good_report(
        good_folder().path(),
        &[
            ("CACHET_API_URL", "https://status.example.com/status/api//"),
            ("CACHET_API_TOKEN", "1|geheim"),
            ("WEBHOOK_BASIC_AUTH", &format!("admin:{HASH}")),
            ("LISTEN_ADDRESS", "[::1]:0"),
            ("TRUSTED_PROXIES", "10.0.0.0/8,fd00::/8"),
            ("LOG_WEBHOOK_BODY_LIMIT", "0"),
        ],
    );
    assert!(report.contains("\n  a Cachet in the environment\n"), "{report}");
    assert!(!report.contains("geheim") && !report.contains(HASH), "{report}");
}

#[test]
fn a_watchdog_that_is_looked_for_too_rarely_is_worth_a_word() {
    let folder = good_folder();
    let file = folder.path().join("config.json");
    let good = std::fs::read_to_string(&file).expect("a configuration");
    let mut config: serde_json::Value = serde_json::from_str(&good).expect("JSON");
    let read_there = [("ENVIRONMENT", "local"), ("ALERTMANAGER_URL", "http://alertmanager:9093")];
    for (poll, timeout, longest) in [(60, 179, Some(59)), (300, 300, Some(180)), (60, 100, Some(1)), (60, 180, None)] {
        config["alertmanager_poll_seconds"] = poll.into();
        config["watchdog"] = serde_json::json!({"alertname": "Watchdog", "timeout_seconds": timeout});
        write(&file, config.to_string()).expect("written");
        let said = good_report(folder.path(), &read_there).split_whitespace().collect::<Vec<_>>().join(" ");
        let expected = longest.map(|longest| {
            format!(
                "alertmanager_poll_seconds is {poll}, so the watchdog may seem missing between two readings though \
                all is well: write at most {longest}, or raise \
                watchdog.timeout_seconds ({timeout})"
            )
        });
        assert_eq!(said.contains("the watchdog may seem missing"), expected.is_some(), "{said}");
        assert!(said.contains(&expected.unwrap_or_default()), "{said}");
        let nowhere = good_report(folder.path(), &read_there[..1]);
        assert!(!nowhere.contains("may seem missing between"), "{nowhere}");
    }
}

#[test]
fn every_secret_may_stand_in_a_file() {
    let folder = good_folder();
    for (name, text) in
        [("url", "http://cachet/api\n"), ("token", "1|geheim\n"), ("users", &format!("a:{HASH}\nb:{HASH}\n"))]
    {
        write(folder.path().join(name), text).expect("written");
    }
    let variables =
        [("CACHET_API_URL_FILE", "url"), ("CACHET_API_TOKEN_FILE", "token"), ("WEBHOOK_BASIC_AUTH_FILE", "users")];
    assert!(good_report(folder.path(), &variables).contains("\n  a Cachet in the environment\n"));
    for (variable, _) in variables {
        let mut wrong = variables;
        wrong.iter_mut().filter(|(name, _)| *name == variable).for_each(|(_, file)| *file = "no-such-file");
        let report = stdout(&check(folder.path(), &[], &wrong));
        assert!(report.starts_with("1 problem\n") && report.contains(&format!("\n  {variable}\n")), "{report}");
    }
}

#[test]
fn a_hash_in_a_dotenv_file_needs_no_quotes() {
    for line in [
        format!("WEBHOOK_BASIC_AUTH=admin:{HASH}\n"),
        format!("export WEBHOOK_BASIC_AUTH='admin:{HASH}'  # the receiver\r\n"),
        format!("USERS=\"admin:{HASH},\nother:{HASH}\"\nWEBHOOK_BASIC_AUTH=${{USERS}}\n"),
        format!("WEBHOOK_BASIC_AUTH=${{NO_SUCH:-admin:{HASH}}}\n"),
    ] {
        let folder = good_folder();
        write(folder.path().join(".env"), &line).expect("written");
        let report = good_report(folder.path(), &[]);
        assert!(report.starts_with("no problems\n"), "{line}\n{report}");
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_dotenv_and_that_over_the_default() {
    let folder = good_folder();
    let found = |arguments: &[&str], variables: &[(&str, &str)]| {
        let variables = [&[("ENVIRONMENT", "local")], variables].concat();
        let report = stdout(&check(folder.path(), arguments, &variables));
        let line = report.lines().find(|line| line.contains(" with 3 components in ")).map(str::to_owned);
        line.and_then(|line| line.rsplit(' ').next().map(str::to_owned)).unwrap_or(report)
    };
    for name in ["dotenv.json", "environment.json", "flag.json"] {
        copy(folder.path().join("config.json"), folder.path().join(name)).expect("copied");
    }
    let (flag, variable) = (["--config.file=flag.json"], [("CONFIG_FILE", "environment.json")]);
    assert_eq!(found(&[], &[]), "config.json");
    write(folder.path().join(".env"), "CONFIG_FILE=dotenv.json").expect("written");
    assert_eq!(found(&[], &[]), "dotenv.json");
    assert_eq!(found(&[], &variable), "environment.json");
    assert_eq!(found(&flag, &variable), "flag.json");
    assert_eq!(found(&flag, &[]), "flag.json");
    assert_eq!(found(&[], &[("CONFIG_FILE", "")]), "config.json");
}

#[test]
fn the_environment_says_who_may_post_before_dotenv_does() {
    let folder = good_folder();
    let good = format!("admin:{HASH}");
    let is_good = |variables: &[(&str, &str)]| check(folder.path(), &[], variables).status.success();
    assert!(!is_good(&[]), "nobody may post by default");
    write(folder.path().join(".env"), format!("WEBHOOK_BASIC_AUTH={good}")).expect("written");
    assert!(is_good(&[]));
    assert!(!is_good(&[("WEBHOOK_BASIC_AUTH", "nonsense")]));
    assert!(!is_good(&[("WEBHOOK_BASIC_AUTH", "")]), "an empty variable switches the one in .env off");
    write(folder.path().join(".env"), "WEBHOOK_BASIC_AUTH=nonsense").expect("written");
    assert!(!is_good(&[]));
    assert!(is_good(&[("WEBHOOK_BASIC_AUTH", &good)]));
}

#[test]
fn passwords_in_the_configuration_of_prometheus_are_never_printed() {
    let folder = good_folder();
    let text = "remote_write: [{basic_auth: {password: geheim}, url: 'http://geheim@x/'}]\n\
                scrape_configs:\n- {basic_auth: {password: geheim, password: geheim}, static_configs: geheim}\n";
    for text in [text.to_owned(), format!("{text}  password: geheim: geheim\n"), format!("{text}x: !geheim [\n")] {
        write(folder.path().join("prometheus.yml"), text).expect("written");
        let report = stdout(&check(folder.path(), &[], &[("ENVIRONMENT", "local")]));
        assert!(report.contains("problem") && !report.contains("geheim"), "{report}");
    }
}

#[test]
fn serve_refuses_what_is_fatal_and_names_all_of_it() {
    let folder = good_folder();
    write(folder.path().join("config.json"), r#"{"groups_configuration": [], "drift": 1}"#).expect("written");
    write(folder.path().join("prometheus.yml"), "scrape_configs: 5").expect("written");
    let variables = [("ENVIRONMENT", "local"), ("LISTEN_ADDRESS", "127.0.0.1:0")];
    let output = program(folder.path(), &variables).arg("serve").output().expect("the program ran");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for problem in [
        "config.json: new_incident_name: is missing",
        "config.json: drift: is a number",
        "prometheus.yml: scrape_configs: ",
    ] {
        assert!(errors.contains(problem), "{problem} is not in:\n{errors}");
    }
}
