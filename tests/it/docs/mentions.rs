//! What the text mentions between the lines: messages, files, the commands of scripts.

use std::fs;
use std::process::Command;

use super::page::{Page, code};
use super::{no_faults, pages, repository};
use crate::support::processes::run;

/// The column of a table in which somebody looks for what the server said.
const SEEN: &str = "what you see";

/// Folders of the repository whose files do not come and go with an installation.
const FOLDERS: &[&str] =
    &["containers/", "crates/", "deploy/", "docs/", "fuzz/", "monitoring/", "src/", "systemd/", "tests/"];

/// All code of the program, as its messages read: a text that goes on in the next line is one.
fn sources() -> String {
    let mut text = String::new();
    let mut folders = vec![repository("src"), repository("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(path).expect("a source"));
            }
        }
    }
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| text + line.trim_start()).replace("\\\"", "\"")
}

/// The messages that a page says one sees, and that the program does not have. `…` stands for what differs.
fn unknown_messages(page: &Page, sources: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for table in &page.tables {
        let Some(column) = table.head.iter().position(|name| name == SEEN) else { continue };
        for message in table.rows.iter().flat_map(|row| code(&row[column])).filter(|code| code.contains(' ')) {
            let parts = message.split('…').map(|part| part.trim_matches([' ', ':', ';', '…']));
            let unknown = parts.filter(|part| !part.is_empty()).find(|part| !sources.contains(*part));
            faults.extend(unknown.map(|part| format!("{}: no message has {part:?}: {message}", page.path)));
        }
    }
    faults
}

#[test]
fn every_message_that_one_is_said_to_see_is_in_the_program() {
    let sources = sources();
    let pages = pages();
    let tables = pages.iter().flat_map(|page| &page.tables);
    assert!(tables.filter(|table| table.head.iter().any(|name| name == SEEN)).count() >= 5, "the column was renamed");
    no_faults(&pages.iter().flat_map(|page| unknown_messages(page, &sources)).collect::<Vec<_>>());

    let wrong = Page::read("x.md", "| what you see |\n| --- |\n| `notifications can be stored now` |\n");
    assert_eq!(unknown_messages(&wrong, &sources).len(), 1);
}

/// The files that a page names and that do not exist. What has a pattern or a blank in it is no name of a file.
fn missing_files(page: &Page) -> Vec<String> {
    let names = page.codes.iter().filter(|(_, code)| {
        FOLDERS.iter().any(|folder| code.starts_with(folder)) && !code.contains([' ', '*', '…', '{'])
    });
    let missing = names.filter(|(_, name)| !repository(name).exists());
    missing.map(|(line, name)| format!("{}:{line}: `{name}` does not exist", page.path)).collect()
}

#[test]
fn every_file_of_ours_that_is_named_exists() {
    no_faults(&pages().iter().flat_map(missing_files).collect::<Vec<_>>());
    assert_eq!(
        missing_files(&Page::read("x.md", "see `crates/core/src/rules.rs` and `crates/core/src/rule.rs`")).len(),
        1
    );
}

/// Why `deploy.sh` does not take a command line, by its own parser.
fn misused(arguments: &str) -> Option<String> {
    let mut bash = Command::new("bash");
    // Sourced under another name, it does nothing by itself.
    bash.args(["-c", r#"source "$1"; shift; parse "$@""#, "its parser"]).arg(repository("deploy.sh"));
    bash.args(arguments.split_whitespace());
    let ended = run(&mut bash);
    (ended.code != Some(0)).then_some(ended.stderr)
}

#[test]
fn every_command_line_of_the_deployment_is_one_that_it_takes() {
    let mut faults = Vec::new();
    for page in pages() {
        for (line, code) in &page.codes {
            let arguments = code.split_once("./deploy.sh").map(|(_, arguments)| arguments);
            if let Some(fault) = arguments.and_then(misused) {
                faults.push(format!("{}:{line}: `{code}`: {fault}", page.path));
            }
        }
    }
    no_faults(&faults);
    assert!(misused("--chekc").is_some() && misused("restore").is_some());
}
