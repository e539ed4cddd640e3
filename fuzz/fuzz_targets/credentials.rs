//! Fuzzes [`credentials::check`].
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/credentials.rs"]
mod credentials;

fuzz_target!(|data: &[u8]| credentials::check(data));
