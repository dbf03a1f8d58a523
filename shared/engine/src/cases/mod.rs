//! Evaluation cases: which retrievals are captured, which questions are one case, and the data sets made of them.
//!
//! A retrieval is an [`Inquiry`] as long as its conversation may go on, and a [`Sighting`] once its reasons suffice. The
//! sightings of a knowledge base come to its [`cases`]; these to a data set of [`parts`](dataset::parts). Everything is a
//! function of what there is, whatever the order in which it came.

mod assemble;
mod capture;
pub mod dataset;

pub use assemble::{Decision, Shelf, Verdict, cases, expired};
pub use capture::{Inquiry, LaterAnswer, Scored, Sighting, UNNAMED, is_learning, later_answer, question_of, sightings};
