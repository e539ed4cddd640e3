//! The house rules that the compiler does not know.

use std::path::{Path, PathBuf};

/// What a part of the house may not use, and why.
const RULES: &[(&str, &[&str], &str)] = &[
    (
        "crates/core/src",
        &[
            "std::fs",
            "std::net",
            "std::io",
            "std::env",
            "std::process",
            "std::thread",
            "Mutex",
            "RwLock",
            "sync::atomic",
            "SystemTime",
            "Instant",
            "::now()",
            "println!",
            "eprintln!",
            "print!(",
        ],
        "the core does no I/O, reads no clock and logs nothing",
    ),
    ("crates/cachet/src", &["axum", "tower::"], "the client sends requests through its transport"),
    ("src", &["fake_cachet"], "the imitation of Cachet is no part of the product"),
    ("src/web", &["crate::cachet", "crate::builtin", "crate::commands"], "the webhook never talks to Cachet"),
    (
        "src/console",
        &["crate::cachet", "crate::builtin", "crate::commands", "crate::repair", "crate::alertmanager"],
        "the console tells what the store and the parts of the server say",
    ),
    ("src/web", &["crate::console"], "imports point one way"),
    (
        "src/reconcile",
        &["crate::repair", "crate::web", "crate::config", "crate::commands", "crate::builtin"],
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
            "crate::commands",
            "crate::builtin",
        ],
        "the client knows the core and how it is configured",
    ),
    (
        "src/metrics",
        &[
            "crate::alertmanager",
            "crate::reconcile",
            "crate::repair",
            "crate::web",
            "crate::config",
            "crate::commands",
            "crate::builtin",
            "crate::clock",
        ],
        "metrics are told, and ask nobody",
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
            "crate::builtin",
        ],
        "configuration is read before anything is opened",
    ),
];

/// Every Rust file of a part: `src/web.rs` and those below `src/web/`, or those of a crate.
fn files_of(part: &str) -> Vec<PathBuf> {
    let mut files = vec![root().join(format!("{part}.rs"))];
    files.retain(|file| file.exists());
    files.extend(rust_files_below(part));
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files_below(folder: &str) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![root().join(folder)]);
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

/// What a file makes part of the program when it is compiled, if that is not below `src` or `crates`: from the repository's root.
fn included_from_elsewhere(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("a file");
    let included = code(&text).filter_map(|(_, line)| {
        let (_, rest) = line.split_once("include_str!(\"").or_else(|| line.split_once("include_bytes!(\""))?;
        let mut from = path.parent().expect("a folder").to_owned();
        for part in rest.split_once('"')?.0.split('/') {
            match part {
                ".." => drop(from.pop()),
                part => from.push(part),
            }
        }
        Some(from.strip_prefix(root()).expect("in the repository").display().to_string())
    });
    included.filter(|file| !file.starts_with("src/") && !file.starts_with("crates/")).collect()
}

/// Rust's official image cannot be fetched everywhere, so nothing else finds out that the image does not build.
#[test]
fn the_image_is_built_from_everything_that_the_program_is_made_of() {
    let read = |file: &str| std::fs::read_to_string(root().join(file)).expect("a file");
    let (containerfile, ignored) = (read("Containerfile"), read(".containerignore"));
    let copied: Vec<&str> = containerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY ").filter(|line| !line.starts_with("--from")))
        .flat_map(str::split_whitespace)
        .collect();
    let let_through: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let holds = |parts: &[&str], file: &str| parts.iter().any(|part| Path::new(file).starts_with(part));
    let files = [rust_files_below("src"), rust_files_below("crates")].concat();
    let mut needed: Vec<String> =
        files.iter().filter(|path| !is_test_file(path)).flat_map(|path| included_from_elsewhere(path)).collect();
    assert!(needed.len() >= 3, "{needed:?}");
    needed.extend(
        ["src", "crates", "dev/fake-cachet/Cargo.toml", "build.rs", "Cargo.toml", "Cargo.lock"].map(str::to_owned),
    );
    for file in needed {
        assert!(holds(&copied, &file), "the Containerfile does not copy {file}: {copied:?}");
        assert!(holds(&let_through, &file), ".containerignore leaves {file} out: {let_through:?}");
    }
}
