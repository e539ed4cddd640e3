//! Whatever stands in `config.json`: it is used or refused with a reason, and every problem stays within its line.

use std::path::Path;
use std::sync::LazyLock;

use alertmanager_cachet::config;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

pub fn check(text: &[u8]) {
    let path = FOLDER.path().join("config.json");
    std::fs::write(&path, text).expect("written");
    let files = config::load(&path, Path::new(config::DEFAULT_TARGETS_FILE));
    assert!(files.config.is_some() || files.report.is_fatal(), "what is not used has a reason");
    for problem in &files.report.problems {
        assert!(!problem.to_string().contains('\n'), "{problem:?}");
    }
}
