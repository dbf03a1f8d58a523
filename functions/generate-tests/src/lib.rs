//! Makes regression tests of conversations that failed.
//!
//! A batch of signals was kept: which conversations of which intent there were, and whether they failed, is noted. A finding
//! says that conversations of an intent fail more often: those of its window are read, grouped by how they failed, and made
//! into tests of the intent's suite. As long as the finding is open this is done again from time to time, since more of
//! them come. All of it can be done twice, half, and in any order: a test is named by how its conversations failed.

mod generate;
mod note;

pub use generate::Report;

/// The world that tests are made in.
#[derive(Debug)]
pub struct World<O, I, S, B, P> {
    /// The evidence.
    pub observations: O,
    /// Which conversations there were.
    pub index: I,
    /// The suites.
    pub suites: S,
    /// The bus.
    pub bus: B,
    /// The model that may propose titles and questions.
    pub proposer: P,
}
