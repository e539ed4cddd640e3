//! Fuzzes [`notification::check`].
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/notification.rs"]
mod notification;

fuzz_target!(|data: &[u8]| notification::check(data));
