//! Why releases fail.
//!
//! [`understand`] reads one failure's text, [`LogReader`] the log of a deployment, [`from_event`] what AWS says of one, and
//! [`assemble`] puts it together into releases with their root causes. What the evidence does not name is not named.
//!
//! Architecture invariant: nothing here knows AWS's SDK, waits, reads a clock or the environment. The work is linear in the
//! text, whatever it is.

mod action;
mod assemble;
mod cause;
mod deployment;
mod log;
mod name;
mod plain;
mod quota;
mod record;
#[cfg(test)]
mod tests;
mod understand;

pub use action::{action_of, prefix_of_source};
pub use assemble::{CAUSES, Release, assemble, roots};
pub use cause::{Cause, Kind, role_of};
pub use deployment::{Deployment, DeploymentLog};
pub use log::{LogReader, Said};
pub use record::{Ending, Record, What, cloud_trail, from_cloud_trail, from_event, from_stack_event};
pub use understand::{LONGEST, understand};
