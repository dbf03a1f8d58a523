//! JSON Lines for Ragas: the fields of its `SingleTurnSample`.

use flywheel_model::Case;
use serde::Serialize;

use crate::{File, answer, json, passages, reference};

#[derive(Serialize)]
struct Sample<'c> {
    user_input: &'c str,
    retrieved_contexts: Vec<&'c str>,
    /// Null where it is not known: Ragas takes the columns of its first line for those of all.
    response: Option<&'c str>,
    reference: Option<&'c str>,
}

pub(crate) fn file(cases: &[&Case]) -> File {
    let sample = |case: &&Case| {
        let case = *case;
        json::line(&Sample {
            user_input: &case.query,
            retrieved_contexts: passages(case).collect(),
            response: answer(case),
            reference: reference(case),
        })
    };
    File { name: "ragas.jsonl".to_owned(), bytes: cases.iter().map(sample).collect::<String>().into_bytes() }
}
