//! Whatever stands in the targets file, as YAML and as JSON: it is used or refused with a reason, every target can be
//! found again by its name in Cachet, and every problem stays within its line.

use std::path::Path;
use std::sync::LazyLock;

use alertmanager_cachet::config::{self, TargetsFile};
use alertmanager_cachet::core::target::Target;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("config.json"), include_bytes!("../../config.json.example")).expect("written");
    folder
});

pub fn check(text: &[u8]) {
    for name in ["targets.yml", "targets.json"] {
        let path = FOLDER.path().join(name);
        std::fs::write(&path, text).expect("written");
        is_read_or_refused(&path);
    }
}

fn is_read_or_refused(path: &Path) {
    let files = config::load(&FOLDER.path().join("config.json"), path);
    match &files.targets {
        TargetsFile::Read(inventory) => {
            for (name, known) in inventory.iter() {
                assert_eq!(Target::from_name(name.as_str()).as_ref(), Some(&known.target));
            }
        }
        TargetsFile::Absent | TargetsFile::Unusable => {
            assert!(files.report.is_fatal(), "what is not used has a reason")
        }
    }
    for problem in &files.report.problems {
        assert!(!problem.to_string().contains('\n'), "{problem:?}");
    }
}
