//! Checks before releases: which causes of failed releases become one, what each would have done to the releases of the
//! past, what a look at the account says of them, and the file in which they stand.

mod backtest;
mod file;
mod learn;
mod need;
mod verdict;

pub use backtest::backtest;
pub use file::{ChecksError, ChecksFile, Entry, State};
pub use learn::{Learned, learn};
pub use need::needs_of;
pub use verdict::{Answer, Finding, Report, report};
