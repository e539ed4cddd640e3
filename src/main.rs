//! The program's entry point; all of it is in the library, where the tests can use it.

fn main() -> std::process::ExitCode {
    alertmanager_cachet::main()
}
