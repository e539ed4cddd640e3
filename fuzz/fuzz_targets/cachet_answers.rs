//! Fuzzes [`cachet_answers::check`].
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/cachet_answers.rs"]
mod cachet_answers;

fuzz_target!(|data: &[u8]| cachet_answers::check(data));
