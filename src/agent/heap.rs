//! Memory that a round has used goes back to the system.
#![allow(unsafe_code)]

/// Gives back what is free. glibc keeps what is free between pieces that are in use, in an agent for good; other
/// allocators give it back by themselves (musl's in the static binaries).
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes no pointer, and any thread may call it at any time (malloc_trim(3): MT-Safe).
    unsafe {
        libc::malloc_trim(0);
    }
}
