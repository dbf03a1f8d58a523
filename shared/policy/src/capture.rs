//! What the policy says of evaluation cases.

use std::collections::BTreeMap;

use flywheel_model::CaptureReason;
use serde::Serialize;

/// When a retrieval becomes an evaluation case, and how long it is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CapturePolicy {
    /// A retrieval is captured if its reasons, each weighed by its strength, come to this much together. 0.01 to 10, default
    /// 0.5: any one reason of full weight.
    pub threshold: f64,
    /// The weight of each reason. 0 to 10, default 1; 0 leaves it out.
    pub weights: BTreeMap<CaptureReason, f64>,
    /// A retrieval that looks more unsure than all but this share of its knowledge base's has low scores. 0.001 to 0.5,
    /// default 0.01.
    pub lowest_share: f64,
    /// Retrievals of a knowledge base that are learned from before scores count. 50 to 1,000, default 200.
    pub learn_from: u32,
    /// Days that scores are learned from. 2 to 60, default 28.
    pub learn_days: u32,
    /// A question that is asked again within this many minutes, in other words, was not answered. 1 to 1,440, default 15.
    pub again_minutes: u32,
    /// Days that a case is kept after it was last seen, unless a person confirmed it. 1 to 3,650, default 180.
    pub keep_days: u32,
    /// Questions kept for one knowledge base. Further ones are held and counted. 10 to 20,000, default 2,000.
    pub questions_at_most: u32,
}

impl CapturePolicy {
    /// The weight of one reason.
    #[must_use]
    pub fn weight(&self, reason: CaptureReason) -> f64 {
        self.weights.get(&reason).copied().unwrap_or(1.0)
    }
}
