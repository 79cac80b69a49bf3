//! What the CPU has, and which backend that speaks for.

use super::{Backend, Choice};

/// What matters here of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// As Rust names it: `arm`, `aarch64`, `x86_64`, ..
    pub arch: &'static str,
    /// NEON (of 32-bit ARM; each AArch64 has it).
    pub neon: bool,
    /// Instructions for AES.
    pub aes: bool,
    /// Instructions for SHA-256.
    pub sha2: bool,
}

/// This machine's.
pub fn cpu() -> Cpu {
    let (neon, aes, sha2) = features();
    Cpu { arch: std::env::consts::ARCH, neon, aes, sha2 }
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
fn features() -> (bool, bool, bool) {
    (false, is_x86_feature_detected!("aes"), is_x86_feature_detected!("sha"))
}

#[cfg(target_arch = "aarch64")]
fn features() -> (bool, bool, bool) {
    use std::arch::is_aarch64_feature_detected;
    (true, is_aarch64_feature_detected!("aes"), is_aarch64_feature_detected!("sha2"))
}

/// As the kernel tells every program (`HWCAP_NEON`, `HWCAP2_AES`, `HWCAP2_SHA2` of asm/hwcap.h).
#[cfg(all(target_arch = "arm", target_os = "linux"))]
fn features() -> (bool, bool, bool) {
    let (first, second) = rustix::param::linux_hwcap();
    (first & 1 << 12 != 0, second & 1 != 0, second & 1 << 3 != 0)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64", all(target_arch = "arm", target_os = "linux"))))]
fn features() -> (bool, bool, bool) {
    (false, false, false)
}

/// Who computes what on such a CPU, by the measurements in README.md beside this file.
#[cfg(feature = "ssh")]
pub fn best(cpu: Cpu) -> Choice {
    use Backend::{OpenSsl, RustCrypto};
    let (cipher, mac) = match cpu.arch {
        // Instructions that OpenSSL knows in 32-bit programs, too, or NEON. Without either its AES is one of tables, whose time
        // depends on keys and data: the crates' does not, and that is worth more than its speed.
        "arm" => (if cpu.neon || cpu.aes { OpenSsl } else { RustCrypto }, OpenSsl),
        // The assembly: with instructions for AES and without (NEON; Raspberry Pi 3 and 4).
        "aarch64" => (OpenSsl, if cpu.sha2 { RustCrypto } else { OpenSsl }),
        "x86_64" => (if cpu.aes { OpenSsl } else { RustCrypto }, if cpu.sha2 { RustCrypto } else { OpenSsl }),
        _ => (RustCrypto, RustCrypto),
    };
    Choice { cipher, mac }
}

/// There is only one.
#[cfg(not(feature = "ssh"))]
pub fn best(_: Cpu) -> Choice {
    Choice::all(Backend::RustCrypto)
}
