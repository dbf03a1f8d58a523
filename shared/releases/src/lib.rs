//! Why releases fail.
//!
//! [`understand`] reads one failure's text, [`cloud_trail`] one record of a call. What the evidence does not name, they do
//! not name either.
//!
//! Architecture invariant: nothing here knows AWS's SDK, waits, reads a clock or the environment. The work is linear in the
//! text, whatever it is.

mod action;
mod cause;
mod name;
mod plain;
#[cfg(test)]
mod tests;
mod understand;

pub use action::{action_of, prefix_of_source};
pub use cause::{Cause, Kind, role_of};
pub use understand::{LONGEST, understand};
