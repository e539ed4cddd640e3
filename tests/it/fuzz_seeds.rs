//! The inputs in `fuzz/seeds`, checked as the fuzzer checks them. Building the fuzzer itself takes minutes, so only
//! `./test.sh --long` does it.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/checks/cachet_answers.rs"]
mod cachet_answers;
#[path = "../../fuzz/checks/config_file.rs"]
mod config_file;
#[path = "../../fuzz/checks/credentials.rs"]
mod credentials;
#[path = "../../fuzz/checks/notification.rs"]
mod notification;
#[path = "../../fuzz/checks/targets_file.rs"]
mod targets_file;

type Check = fn(&[u8]);

const CHECKS: &[(&str, Check)] = &[
    ("cachet_answers", cachet_answers::check),
    ("config_file", config_file::check),
    ("credentials", credentials::check),
    ("notification", notification::check),
    ("targets_file", targets_file::check),
];

#[test]
fn every_seed_passes_the_check_of_its_fuzz_target() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let folders = fs::read_dir(&seeds).expect("the seeds").map(|entry| entry.expect("an entry").file_name());
    let mut folders: Vec<_> = folders.map(|name| name.into_string().expect("UTF-8")).collect();
    folders.sort();
    let checked: Vec<&str> = CHECKS.iter().map(|(target, _)| *target).collect();
    assert_eq!(folders, checked, "every folder of seeds has a check");
    for (target, check) in CHECKS {
        let files = fs::read_dir(seeds.join(target)).expect("its seeds");
        let files: Vec<_> = files.map(|entry| entry.expect("an entry").path()).collect();
        assert!(!files.is_empty(), "{target} has seeds");
        for file in files {
            check(&fs::read(&file).expect("read"));
        }
    }
}
