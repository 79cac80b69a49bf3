//! What the CPU counts itself: cycles and instructions of this thread in user mode, where the system lets us
//! (perf_event_open(2); /proc/sys/kernel/perf_event_paranoid may be in the way, and most virtual machines have none).
#![allow(unsafe_code)]

/// A counter that runs.
pub struct Counter(#[cfg(target_os = "linux")] std::fs::File);

/// What can be counted (linux/perf_event.h, `PERF_COUNT_HW_*`).
#[derive(Clone, Copy)]
pub enum What {
    /// Cycles at whatever speed the CPU has.
    Cycles = 0,
    /// Instructions.
    Instructions = 1,
}

/// The first published form of `perf_event_attr`.
#[cfg(target_os = "linux")]
#[repr(C)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    period: u64,
    sample: u64,
    format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    address: u64,
}

impl Counter {
    /// Starts one; `None` if there is none to be had.
    #[cfg(target_os = "linux")]
    pub fn start(what: What) -> Option<Counter> {
        use std::os::fd::FromRawFd;
        const NOT_THE_KERNEL: u64 = 1 << 5 | 1 << 6;
        const CLOSE_ON_EXEC: libc::c_ulong = 1 << 3;
        let size = size_of::<Attributes>() as u32;
        let config = what as u64;
        let attributes = Attributes {
            kind: 0,
            size,
            config,
            period: 0,
            sample: 0,
            format: 0,
            flags: NOT_THE_KERNEL,
            wakeup: 0,
            breakpoint: 0,
            address: 0,
        };
        // SAFETY: the kernel reads `size` bytes of a structure of that size; the descriptor that it gives is nobody else's.
        unsafe {
            let fd = libc::syscall(libc::SYS_perf_event_open, &attributes, 0, -1, -1, CLOSE_ON_EXEC);
            (fd >= 0).then(|| Counter(std::fs::File::from_raw_fd(fd as i32)))
        }
    }

    /// Starts one; `None` if there is none to be had.
    #[cfg(not(target_os = "linux"))]
    pub fn start(_: What) -> Option<Counter> {
        None
    }

    /// The count so far; `None` if the hardware does not count after all.
    pub fn read(&mut self) -> Option<u64> {
        #[cfg(target_os = "linux")]
        {
            let mut count = [0; 8];
            std::io::Read::read_exact(&mut self.0, &mut count).ok()?;
            Some(u64::from_ne_bytes(count)).filter(|n| *n > 0)
        }
        #[cfg(not(target_os = "linux"))]
        None
    }
}

/// The time stamp counter: cycles at the CPU's nominal speed.
#[cfg(target_arch = "x86_64")]
pub fn ticks() -> Option<u64> {
    // SAFETY: every x86_64 has the instruction.
    Some(unsafe { std::arch::x86_64::_rdtsc() })
}

/// None that a program may read.
#[cfg(not(target_arch = "x86_64"))]
pub fn ticks() -> Option<u64> {
    None
}
