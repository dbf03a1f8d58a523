//! Regression tests: from conversations that failed to a suite that fails until they are mended.
//!
//! [`generate`] looks at each failed conversation beside those that were resolved (`locate`, `usual`): what speaks for a step
//! having gone wrong, and what would have had to hold. Those that failed in the same way are a group, and each group is one
//! test (`suite`), written from its cleanest conversation (`write`) and checked: the recording must fail it, and what is
//! known to be good must pass. [`shortfalls`] is that check, and the one of every later run.

mod check;
mod deeds;
mod gate;
mod locate;
mod proposal;
mod steps;
mod suite;
mod usual;
mod write;

pub use check::{Run, same, shortfalls};
pub use gate::{Gate, Verdict};
pub use proposal::{INSTRUCTIONS, conversation_of, take_proposal};
pub use suite::{Generated, generate, locate, propose_retirements};
