//! Captures retrievals that failed or look unsure as evaluation cases.
//!
//! A batch of signals was kept: its retrievals are learned from, judged beside what their knowledge base usually finds, and
//! looked at with the rest of their conversation. What suffices is kept as a sighting of its question. From time to time
//! the data set of each knowledge base is published. All of it can be done twice, half, and in any order: a sighting is
//! kept under its question and its signal, and everything else follows from the sightings.

mod capture;
mod publish;

pub use capture::Report;
pub use publish::{History, publish};

/// The world that cases are captured in.
#[derive(Debug)]
pub struct World<O, S, B, F, D> {
    /// The evidence.
    pub observations: O,
    /// The cases, and what is known of scores and conversations.
    pub store: S,
    /// The bus.
    pub bus: B,
    /// When knowledge bases were synchronised.
    pub freshness: F,
    /// The data sets.
    pub datasets: D,
}
