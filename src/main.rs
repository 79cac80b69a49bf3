//! sharelock: parse, run, exit code.

#[cfg(any(entry = "armv6", entry = "armv7"))]
mod entry;

fn main() -> std::process::ExitCode {
    sharelock::cli::main(std::env::args_os().skip(1).collect())
}
