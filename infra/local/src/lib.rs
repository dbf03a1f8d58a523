//! Flywheel on this machine: a local AWS, a stand-in for Bedrock knowledge bases, and the real stack deployed into them.
//!
//! [`LocalAws`] starts and stops it all, for the end-to-end tests as for `make demo`, `make local` and `make watch`.
//! Nothing that runs here can reach another machine: ministack and the functions get an environment written from
//! nothing, with endpoints on 127.0.0.1 for every service, and no credentials but the local ones.

mod aws;
pub mod demo;
mod interrupt;
mod ministack;
mod process;
mod shop;
mod standin;
pub mod terminal;
pub mod watch;

pub use aws::{Config, LocalAws};
pub use flywheel_bedrock::core::{Quotas, Speed};
pub use interrupt::interrupted;
pub use ministack::tools;
pub use shop::Shop;
pub use standin::Report;
