//! Configuration from the environment.

/// A variable that the stack sets is not there.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the environment variable {0} is not set; the stack sets it, see infra/src; for `cargo lambda watch` take target/local/env")]
pub struct MissingVariable(&'static str);

/// Reads a variable that the stack sets.
///
/// # Errors
/// If it is missing or empty.
pub fn variable(name: &'static str) -> Result<String, MissingVariable> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or(MissingVariable(name))
}
