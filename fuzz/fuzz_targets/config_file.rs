//! Fuzzes [`config_file::check`].
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/config_file.rs"]
mod config_file;

fuzz_target!(|data: &[u8]| config_file::check(data));
