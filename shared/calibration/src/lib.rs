//! How unsure a retrieval looks, and how well an answer stands on its passages. No model is asked.
//!
//! A retriever's scores compare only within one knowledge base, search type and model: 0.5 is the best that one store ever
//! gives and the worst of another. So nothing here has a threshold on a score. A [`Calibration`] learns what is ordinary
//! from the traffic itself, without labels, and [`Calibration::unsure`] says how far below the ordinary a retrieval lies.
//! Which share of the traffic is worth a look (the lowest 5%) is the policy's to say.
//!
//! To forget slowly, keep one calibration a day for each knowledge base and search type and merge the days of a window.
//! When the index or the model changes, leave out the days before.
//!
//! Architecture invariant: nothing here knows AWS, waits, reads a clock or the environment, or draws a random number.

mod calibration;
mod codec;
mod features;
mod groundedness;
mod words;

pub use calibration::{Calibration, Quantile, SAMPLE, Unsureness, Verdict};
pub use codec::Unreadable;
pub use features::{Feature, Features};
pub use groundedness::{UNGROUNDED, groundedness};
