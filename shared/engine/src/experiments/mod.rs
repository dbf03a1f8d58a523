//! Experiments on prompts: what is compared, when, on which share of the traffic, and what comes of it.
//!
//! [`read_variant`] takes a text of the library in. [`queue`] plans an experiment, or says why there is none. [`next`] says
//! what is to be done now about all of them: a pure function of policy, [`Book`], what was counted, what the feature flags
//! say, and time. [`flag`] writes and reads the flags. The statistics are `flywheel-sequential`.

mod book;
mod conclude;
pub mod flag;
mod next;
mod outcomes;
mod picture;
mod plan;
mod proposal;
mod variant;

pub use book::{Book, Tried};
pub use conclude::{Look, compare, conclude};
pub use next::{FlagChange, Flags, Next, Rollout, RolloutState, asked_to_stop, changed, next, promote, withdraw};
pub use outcomes::{Outcomes, Taken, UnitArm, unit_of};
pub use picture::draw;
pub use plan::{Queued, Traffic, approve, hold_while_cooling, plan, queue};
pub use proposal::{INSTRUCTIONS, request, take_variant};
pub use variant::{Library, Prompt, read_variant};
