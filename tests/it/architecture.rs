//! The house rules that the compiler does not know.

use std::path::{Path, PathBuf};

/// What a part of the house may not use, and why.
const RULES: &[(&str, &[&str], &str)] = &[
    (
        "src/core",
        &[
            "std::fs",
            "std::net",
            "std::io",
            "std::env",
            "std::process",
            "std::thread",
            "std::sync",
            "SystemTime",
            "Instant",
            "::now()",
            "tokio",
            "sqlx",
            "reqwest",
            "axum",
            "hyper",
            "tracing",
            "println!",
            "eprintln!",
            "print!(",
            "getrandom",
            "crate::config",
            "crate::store",
            "crate::cachet",
            "crate::reconcile",
            "crate::alertmanager",
            "crate::repair",
            "crate::web",
            "crate::log",
            "crate::metrics",
            "crate::readiness",
            "crate::clock",
            "crate::commands",
            "crate::embedded",
            "crate::console",
            "crate::insight",
            "crate::live",
            "crate::cli",
        ],
        "the core does no I/O, reads no clock and logs nothing",
    ),
    ("src/web", &["crate::cachet", "crate::embedded", "crate::commands"], "the webhook never talks to Cachet"),
    (
        "src/console",
        &["crate::cachet", "crate::embedded", "crate::commands", "crate::repair", "crate::alertmanager"],
        "the console tells what the store and the parts of the server say",
    ),
    ("src/web", &["crate::console"], "imports point one way"),
    (
        "src/store",
        &["crate::cachet", "crate::reconcile", "crate::web", "crate::config", "crate::commands", "crate::embedded"],
        "the store knows the core alone",
    ),
    (
        "src/cachet",
        &["crate::store", "crate::reconcile", "crate::web", "crate::config", "crate::commands", "crate::embedded"],
        "the client knows the core alone",
    ),
    (
        "src/reconcile",
        &["crate::repair", "crate::web", "crate::config", "crate::commands", "crate::embedded"],
        "imports point one way",
    ),
    (
        "src/alertmanager",
        &[
            "crate::cachet",
            "crate::store",
            "crate::reconcile",
            "crate::repair",
            "crate::web",
            "crate::config",
            "crate::commands",
            "crate::embedded",
        ],
        "the client knows the core alone",
    ),
    (
        "src/metrics",
        &[
            "crate::cachet",
            "crate::alertmanager",
            "crate::store",
            "crate::reconcile",
            "crate::repair",
            "crate::web",
            "crate::config",
            "crate::commands",
            "crate::embedded",
            "crate::clock",
        ],
        "metrics know the core alone, and are told the rest",
    ),
    (
        "src/config",
        &[
            "crate::cachet",
            "crate::alertmanager",
            "crate::repair",
            "crate::reconcile",
            "crate::store",
            "crate::web",
            "crate::commands",
            "crate::embedded",
        ],
        "configuration is read before anything is opened",
    ),
];

/// Every Rust file of a part: `src/core.rs` and those below `src/core/`.
fn files_of(part: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join(format!("{part}.rs"))];
    let mut folders = vec![root.join(part)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// The lines of a file that are code of the program: no comments, no unit tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]");
    lines.enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

#[test]
fn every_part_of_the_house_keeps_to_its_place() {
    let mut broken = Vec::new();
    for (part, forbidden, reason) in RULES {
        let files = files_of(part);
        assert!(files.len() > 1, "{part} is where it was");
        for path in files.iter().filter(|path| !is_test_file(path)) {
            let text = std::fs::read_to_string(path).expect("a file");
            for (number, line) in code(&text) {
                for word in forbidden.iter().filter(|word| line.contains(**word)) {
                    broken.push(format!("{}:{}: {word}: {reason}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
