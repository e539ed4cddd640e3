//! Whatever stands in the files, they are read without a panic, and what is said of them can be printed.

use std::path::PathBuf;

use alertmanager_cachet::config::{self, Files, TargetsFile};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::fixture;

/// Checks both contents, and what must hold of every outcome.
fn load(config: &[u8], targets: &[u8]) -> Result<Files, TestCaseError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str, content: &[u8]| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path
    };
    let files = config::load(&path("config.json", config), &path("prometheus.yml", targets));
    let report = files.report.to_string();
    for problem in &files.report.problems {
        let message = &problem.message;
        prop_assert!(!message.is_empty() && !message.chars().any(char::is_control), "{message:?}");
    }
    prop_assert_eq!(report.is_empty(), files.report.problems.is_empty() && files.report.remarks.is_empty());
    let usable = files.config.is_some() && matches!(files.targets, TargetsFile::Read(_));
    prop_assert!(usable != files.report.is_fatal(), "{report}");
    Ok(files)
}

/// Words of both languages, which reach deeper than any bytes.
const WORDS: &str = "([{}:,\"'|>#~\t\\\\ü\u{feff}]|\\[|\\]|- |\n|  |&a |\\*a|<<: |!x |true|-1|1e999|\\.nan|%s|\\{\\{ x \\}\\}|\\? |---\n|\
    scrape_configs:|prometheus_targets:|static_configs:|file_sd_configs:|files:|targets:|labels:|instance:|\
    status_page_alert:|status_page_component:|\"groups_configuration\":|\"status_page_group\":){0,40}";

/// A good file in which a few stretches are replaced.
fn mutated(paths: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let change = (
        any::<Index>(),
        0..12_usize,
        prop_oneof![WORDS.prop_map(String::into_bytes), any::<[u8; 2]>().prop_map(Vec::from)],
    );
    (select(paths), prop::collection::vec(change, 1..4)).prop_map(|(path, changes)| {
        let mut bytes = std::fs::read(fixture(path)).expect("a fixture");
        for (at, length, new) in changes {
            let start = at.index(bytes.len() + 1);
            let end = bytes.len().min(start + length);
            bytes.splice(start..end, new);
        }
        bytes
    })
}

const CONFIGS: &[&str] = &["good/config/every_key.json", "good/config/required_keys_only.json"];
const TARGETS: &[&str] = &[
    "good/targets/prometheus.yml",
    "good/targets/ansible.yml",
    "good/targets/anchors_and_merge_keys.yml",
    "good/targets/everything_of_prometheus.yml",
];

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(
        config in prop::collection::vec(any::<u8>(), 0..200),
        targets in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        load(&config, &targets)?;
    }

    #[test]
    fn any_words_of_both_languages_are_read_without_a_panic(config in WORDS, targets in WORDS) {
        load(config.as_bytes(), targets.as_bytes())?;
    }

    #[test]
    fn a_good_file_with_faults_is_read_without_a_panic(config in mutated(CONFIGS), targets in mutated(TARGETS)) {
        load(&config, &targets)?;
    }
}

#[test]
fn depth_and_repetition_without_end_are_problems_and_no_crash() {
    let good = std::fs::read(fixture(CONFIGS[0])).expect("a fixture");
    let laughs: String = (1..30).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}, *a{0}]\n", n - 1)).collect();
    for targets in ["[".repeat(10_000), "a: ".repeat(50_000), "- ".repeat(50_000), format!("a0: &a0 [x]\n{laughs}")] {
        let files = load(&good, targets.as_bytes()).expect("no crash");
        assert_eq!(files.targets, TargetsFile::Unusable);
    }
    let files = load("[".repeat(100_000).as_bytes(), b"").expect("no crash");
    assert_eq!(files.config, None);
}
