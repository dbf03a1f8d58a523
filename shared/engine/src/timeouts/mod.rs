//! Limits on how long workflows may run: whether they should change, to what, and whether a change did what it should.
//!
//! [`Runs`] is what is kept of a day's runs. [`decide`] gives a complete action or a reasoned hold; [`next`] says what is to
//! be done now, with the change under way taken into account.

mod decide;
mod evidence;
mod next;
mod picture;
mod runs;
mod state;
pub mod value;

pub use decide::{Decision, Present, decide};
pub use evidence::WINDOW_DAYS;
pub use next::{Next, made, next, taken_back};
pub use runs::{Day, Runs, Under, Unusable};
pub use state::{Awaiting, Declined, InForce, State, Told, UnderWay};
