//! What a CloudFormation template that is about to be deployed needs of who deploys it.
//!
//! [`Template`] reads it, [`Schema`] what CloudFormation's registry says of a resource type, and [`derive`] puts them
//! together: each permission that the handlers of the template's types list, on the resource that the template names, as far
//! as it names it.
//!
//! Architecture invariant: what is not known is said. A name that an intrinsic function makes and nobody can know becomes `*`,
//! and a permission on it one that is only perhaps needed.

mod needs;
mod resolve;
mod schema;
mod template;
mod types;

pub use needs::{Derived, Handler, Place, derive};
pub use schema::Schema;
pub use template::{LARGEST, Template, TemplateError};
