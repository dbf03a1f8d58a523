//! A world in memory for tests and benchmarks.
//!
//! [`Simulation`] runs the real functions against S3 buckets, queues, a record and Bedrock knowledge bases that live in
//! memory and in simulated time. Every call of a port is a step between which another invocation may come first, or
//! the process may die. Messages may come late, twice and out of order. All of it follows from one seed.

mod approvals;
mod cases;
mod experiments;
mod flags;
mod ledger;
mod outcomes;
mod ports;
mod processes;
mod signals;
mod simulation;
mod suites;
mod timeouts;
mod world;

pub use approvals::{ApprovalMemory, ApprovalProcess};
pub use cases::{CaseMemory, CaseProcess};
pub use experiments::{ExperimentMemory, ExperimentProcess};
pub use flags::evaluate;
pub use ledger::{LedgerMemory, LedgerProcess};
pub use outcomes::{OutcomeMemory, OutcomeProcess};
pub use processes::{Process, Processes};
pub use signals::{SignalMemory, SignalProcess, Spent};
pub use simulation::{Chaos, Simulation};
pub use suites::{SuiteMemory, SuiteProcess};
pub use timeouts::{TimeoutMemory, TimeoutProcess};
pub use world::{Memory, Problem};
