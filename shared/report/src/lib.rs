//! What happened, for people: each event in a sentence, the five loops in numbers, causes and effects, and all of it on one
//! page. Everything here is made of events alone, without AWS and without a clock.

mod audit;
mod describe;
mod lineage;
mod page;
mod pictures;
mod report;
mod standing;
mod words;

pub use audit::{Audit, Entry};
pub use describe::{describe, explanation};
pub use lineage::Lineage;
pub use page::page;
pub use report::{Need, Numbers, Report, Summary};
pub use standing::{changes_application, hold_reason, is_dry_run, is_undone, person};
