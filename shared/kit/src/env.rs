//! Configuration from the environment.

use std::fmt::{Debug, Display, Formatter, Result as Written};

/// A variable that Lambda or the stack sets is not there.
#[derive(Clone, thiserror::Error)]
#[error(
    "the environment variable {0} is not set; Lambda and the stack set what a function needs (infra/src); for `cargo lambda watch` take target/local/env"
)]
pub struct MissingVariable(&'static str);

impl Debug for MissingVariable {
    // An error that `main` returns is printed like this.
    fn fmt(&self, f: &mut Formatter<'_>) -> Written {
        Display::fmt(self, f)
    }
}

/// Reads a variable that Lambda or the stack sets.
///
/// # Errors
/// If it is missing or empty.
pub fn variable(name: &'static str) -> Result<String, MissingVariable> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or(MissingVariable(name))
}
