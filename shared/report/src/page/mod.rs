//! The report as one page.

use crate::report::Report;

/// The page.
#[must_use]
pub fn page(report: &Report<'_>) -> String {
    format!("{}", report.events.len())
}
