//! The stack, as code: the policy goes in, a CloudFormation template comes out, the same bytes each time.
//!
//! [`constructs`] has the pieces and the typed grants, `stack` puts Flywheel together from them. The template is plain
//! CloudFormation: `flywheel-deploy` is the short way to deploy it, and any other tool does as well.
//!
//! # What a local stack lacks
//!
//! The two targets differ in [`Target::archives`], [`Target::insists_on_tls`], [`Target::locks_objects`] and
//! [`Target::keeps_data`], and in nothing
//! else.

mod approvals;
mod cfn;
pub mod constructs;
mod dashboards;
mod stack;

use std::collections::BTreeMap;
use std::fmt;

use flywheel_policy::{Policy, PolicyErrors};

pub use cfn::Template;
pub use stack::{FUNCTIONS, FunctionCode};

/// Where the stack will stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// An AWS account.
    #[default]
    Account,
    /// The local AWS (ministack).
    Local,
}

impl Target {
    /// Whether the bus is archived. Not locally: ministack refuses `AWS::Events::Archive`.
    #[must_use]
    pub const fn archives(self) -> bool {
        matches!(self, Self::Account)
    }

    /// Whether buckets refuse what does not come over TLS. Not locally: the local AWS speaks plain HTTP on 127.0.0.1.
    #[must_use]
    pub const fn insists_on_tls(self) -> bool {
        matches!(self, Self::Account)
    }

    /// Whether the ledger's bucket refuses deletions. Not locally, where every run leaves nothing behind.
    #[must_use]
    pub const fn locks_objects(self) -> bool {
        matches!(self, Self::Account)
    }

    /// Whether tables and buckets are protected and outlive the stack. Not locally: every run starts from nothing and leaves
    /// nothing behind.
    #[must_use]
    pub const fn keeps_data(self) -> bool {
        matches!(self, Self::Account)
    }
}

/// What to synthesise, beside the policy.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where the stack will stand.
    pub target: Target,
    /// The stack's name, where it is known beforehand: the template then has the tables' names in full, which lets
    /// CloudFormation take in tables that an earlier stack of that name left behind.
    pub stack: Option<String>,
    /// More variables for every function's environment.
    pub environment: BTreeMap<String, String>,
}

/// Why there is no template.
#[derive(Debug)]
pub enum SynthError {
    /// The policy file is not valid.
    Policy(PolicyErrors),
    /// The policy is valid, and cannot be carried by a stack.
    Stack(String),
}

impl fmt::Display for SynthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(errors) => errors.fmt(f),
            Self::Stack(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for SynthError {}

/// The template for a policy file's text.
///
/// # Errors
/// If the policy is not valid, or asks for more than one stack can hold.
pub fn synth(policy_text: &str, options: &Options) -> Result<Template, SynthError> {
    let policy = Policy::parse(policy_text).map_err(SynthError::Policy)?;
    stack::synth(&policy, policy_text, options).map_err(SynthError::Stack)
}

/// What else of the stack a new policy needs to be otherwise, by logical id: roles that may do more or less, rules for other
/// buckets, dashboards. A policy that is put in force without the stack's deployment goes without them.
///
/// # Errors
/// If one of the policies is not valid, or asks for more than one stack can hold.
pub fn beside_the_policy(in_force: &str, new: &str) -> Result<Vec<String>, SynthError> {
    let options = Options::default();
    let mut unlike = synth(in_force, &options)?.unlike(&synth(new, &options)?);
    unlike.remove(constructs::POLICY_VERSION);
    Ok(unlike.into_iter().collect())
}
