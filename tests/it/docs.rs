//! The documentation is right: its links lead somewhere, its commands run, its blocks of configuration are taken by the
//! programs that they are for, and its tables say what the code does.
//!
//! Every block of code says what it is in the first line of its fence: a language, and where that has several meanings a
//! word more, as in `json config`. [`blocks`] has the list; a block that is not of it is a fault, so none is passed over.

mod blocks;
mod commands;
mod configuration;
mod links;
mod mentions;
mod migration;
mod night;
mod page;
mod rules;
mod sandbox;

use std::fs;
use std::path::{Path, PathBuf};

use self::page::Page;

/// A file or folder of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The folders with pages of documentation, each with an index.
const FOLDERS: &[&str] = &["docs", "docs/decisions"];

/// Every page: those of `docs/` and `docs/decisions/`, and those elsewhere that people read.
fn pages() -> Vec<Page> {
    let elsewhere = ["README.md", "ARCHITECTURE.md", "tests/README.md", "traefik/certificates/README.md"];
    let mut paths: Vec<String> = elsewhere.map(str::to_owned).to_vec();
    for folder in FOLDERS {
        for entry in fs::read_dir(repository(folder)).expect("a folder") {
            let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
            if name.ends_with(".md") {
                paths.push(format!("{folder}/{name}"));
            }
        }
    }
    paths.sort();
    paths.iter().map(|path| page(path)).collect()
}

/// One page.
fn page(path: &str) -> Page {
    let text = fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    Page::read(path, &text)
}

/// Fails with all of them, if there are any.
fn no_faults(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n\n{}", faults.len(), faults.join("\n\n"));
}
