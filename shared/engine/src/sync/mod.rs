//! The document loop: changed documents in, synchronised knowledge bases out.
//!
//! [`plan`] looks at everything that is recorded and says what may be done at this moment within Bedrock's quotas and
//! the policy, and why the rest waits. Its claims are recorded before anything is called, so that whoever comes after a
//! crash finds what was under way. The functions of [`answers`] take Bedrock's answers into the record.

pub mod answers;
mod plan;
mod rate;
mod state;

pub use plan::{Demand, Plan, Step, pending_limit, plan};
pub use rate::Allowance;
pub use state::{Account, Answered, Asked, Quarantine, Source, Wait, Work};
