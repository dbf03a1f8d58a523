//! The pieces that stacks are made of. Each comes with what it must never be without: a function with its role, log
//! group and alarms; a queue with its dead-letter queue, encryption and alarms.
//!
//! A role holds exactly what was granted. Grants are made only by the resource that they concern, so an action that a
//! resource does not have cannot be granted on it. This does not compile, for a queue has no items:
//!
//! ```compile_fail,E0599
//! use flywheel_infra::constructs::{Function, ItemAction, Queue};
//!
//! fn wire(function: &mut Function, queue: &Queue) {
//!     function.allow(queue.items(&[ItemAction::Get]));
//! }
//! ```
//!
//! while this does:
//!
//! ```
//! use flywheel_infra::constructs::{Function, ItemAction, Queue, Table};
//!
//! fn wire(function: &mut Function, queue: &Queue, table: &Table) {
//!     function.allow(queue.send());
//!     function.allow(table.items(&[ItemAction::Get]));
//! }
//! ```

mod alarms;
mod assistants;
mod bedrock;
mod bucket;
mod bus;
mod dashboard;
mod flags;
mod function;
mod grant;
mod policy_store;
mod queue;
mod settings;
mod state_machine;
mod surroundings;
pub(crate) mod table;

pub use alarms::Alarms;
pub use assistants::Assistants;
pub use bedrock::{Documents, KnowledgeBases};
pub use bucket::Bucket;
pub use bus::{Bus, Rule};
pub use dashboard::Dashboard;
pub(crate) use dashboard::{Line, Widget};
pub use flags::Flags;
pub use function::{Batches, Function};
pub use grant::Grant;
pub use policy_store::PolicyStore;
pub(crate) use policy_store::VERSION as POLICY_VERSION;
pub(crate) use queue::dead_letters_name;
pub use queue::{DeadLetters, Queue};
pub use settings::Settings;
pub use state_machine::StateMachine;
pub use surroundings::Surroundings;
pub(crate) use table::TableSpec;
pub use table::{ItemAction, Table};

/// The logical id of a name: `track-documents` → `TrackDocuments`.
pub(crate) fn logical(name: &str) -> String {
    name.split('-')
        .flat_map(|word| {
            let (first, rest) = word.split_at(1.min(word.len()));
            [first.to_uppercase(), rest.to_owned()]
        })
        .collect()
}

/// The physical name of a thing of the stack: `flywheel-changes`.
pub(crate) fn physical(name: &str) -> crate::cfn::Exp {
    crate::cfn::sub(format!("${{AWS::StackName}}-{name}"))
}
