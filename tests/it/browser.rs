//! The embedded page in a real browser.
