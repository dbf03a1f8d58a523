//! Regression tests: from conversations that failed to a suite that fails until they are mended.

mod check;

pub use check::{Run, shortfalls};
