//! Fuzzes [`targets_file::check`].
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/targets_file.rs"]
mod targets_file;

fuzz_target!(|data: &[u8]| targets_file::check(data));
