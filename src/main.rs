//! sharelock: parse, run, exit code.

fn main() -> std::process::ExitCode {
    sharelock::cli::main(std::env::args_os().skip(1).collect())
}
