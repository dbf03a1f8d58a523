//! When runs end, estimated from data that are cut at limits.
//!
//! A run that was cut after 30 seconds says that it takes longer than 30 seconds, and nothing else: its time is censored.
//! Taken for a latency it would make a limit look as if it sufficed. What is known of times is kept in histograms
//! ([`Times`]) of bounded size that merge exactly; everything else here is a function of them, so that the order in which
//! runs come in cannot matter.
//!
//! - [`Curve`]: the share of runs that have completed by each moment, with its bounds, where runs may also fail by
//!   themselves (Kaplan–Meier; Aalen–Johansen for competing risks). Recent runs may weigh more.
//! - [`Curve::completed_between`]: the share of all runs that a longer limit would let complete.
//! - [`log_rank`] and [`same_mix`]: whether two groups of runs differ.
//!
//! Architecture invariant: nothing here knows AWS, waits, reads a clock or the environment, or draws a random number.

mod compare;
mod curve;
mod times;

pub use compare::{log_rank, same_mix};
pub use curve::{Curve, Share, Step};
pub use times::{Bin, Counts, Times};
