//! What finds personal data that has no form.

use std::pin::Pin;

use flywheel_engine::signals::{Redact, together};
use flywheel_redaction::Kind;
use futures::{StreamExt, TryStreamExt};

use crate::Unavailable;

/// Requests of a guardrail at the same time.
const AT_ONCE: usize = 4;

/// The values that a guardrail finds, each with what it is.
pub type Found = Vec<(Kind, String)>;

/// Finds names of persons and other personal data that no pattern sees.
pub trait Guardrail {
    /// The values in texts of together at most 10,000 characters.
    fn find<'a>(&'a self, texts: &'a [String]) -> Pin<Box<dyn Future<Output = Result<Found, Unavailable>> + 'a>>;
}

/// Takes out of things what a guardrail finds in their texts, if there is a guardrail. `visit` hands each text over.
///
/// # Errors
/// If it does not answer: then nothing of them may be kept.
pub async fn guard<T>(
    guardrail: Option<&dyn Guardrail>,
    redact: &dyn Redact,
    items: &mut [T],
    visit: impl Fn(&mut T, &dyn Redact) + Copy,
) -> Result<(), Unavailable> {
    let Some(guardrail) = guardrail else { return Ok(()) };
    let groups = together(items, visit).into_iter().map(|group| async move {
        let mut found = Found::new();
        for request in &group.requests {
            found.extend(guardrail.find(request).await?);
        }
        group.without(&found, visit, redact);
        Ok::<(), Unavailable>(())
    });
    futures::stream::iter(groups).buffer_unordered(AT_ONCE).try_collect().await
}
