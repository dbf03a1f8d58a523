//! Every decision of Flywheel as a pure function.
//!
//! Architecture invariant: nothing here knows AWS, waits, reads a clock or the environment, or draws a random number.
//! The same input gives the same verdict, whoever asks and whenever; time is an argument.

pub mod approvals;
pub mod cases;
pub mod chains;
pub mod documents;
pub mod erasure;
pub mod experiments;
pub mod findings;
pub mod outcomes;
mod picture;
pub mod preflight;
pub mod refresh;
pub mod regression;
pub mod replay;
pub mod s3_event;
pub mod signals;
pub mod sync;
pub mod timeouts;
