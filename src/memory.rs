//! The memory of the process.

/// Gives memory that is free back to the system.
///
/// The C library keeps what was freed for the next use. After a storm of alerts, or after the targets file was read, this can be
/// as much as what is in use. With another C library than glibc it does nothing.
#[cfg_attr(all(target_os = "linux", target_env = "gnu"), expect(unsafe_code))]
pub(crate) fn give_back() {
    // SAFETY: it takes no pointer, and locks what it changes (malloc_trim(3): "MT-Safe").
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
    }
}
