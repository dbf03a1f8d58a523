//! What no likeness of words outweighs.

use crate::question::{Direction, Question};
use crate::{hash, spelling};

/// Why two questions with alike words are not the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contradiction {
    /// Other order numbers, models, dates, amounts or versions; or one has what the other has not.
    Identifiers,
    /// One is negated: "can I", "can't I".
    Negation,
    /// One asks when and the other where, or how and what.
    Asked,
    /// From here to there, and from there to here.
    Direction,
    /// A word in the place of another that is no other spelling or ending of it. Synonyms fall under this too: without a
    /// model nothing tells them from words that differ in meaning.
    Word,
}

/// What makes two questions different however alike their words are, if anything does.
#[must_use]
pub fn contradicts(one: &Question, other: &Question) -> Option<Contradiction> {
    if one.identifiers != other.identifiers {
        Some(Contradiction::Identifiers)
    } else if one.is_negated != other.is_negated {
        Some(Contradiction::Negation)
    } else if one.asks != 0 && other.asks != 0 && one.asks & other.asks == 0 {
        Some(Contradiction::Asked)
    } else if turned_round(one, other) {
        Some(Contradiction::Direction)
    } else if replaced(&one.words, &other.words) {
        Some(Contradiction::Word)
    } else {
        None
    }
}

/// Whether one word of direction leads to other places in the two, all of which both name.
fn turned_round(one: &Question, other: &Question) -> bool {
    let leads = |question: &Question, to: &Direction| question.directions.contains(to);
    let goes = |question: &Question, way: u32| question.directions.iter().any(|direction| direction.way == way);
    let apart = |from: &Question, to: &Question, way: u32| {
        from.directions.iter().filter(|direction| direction.way == way).all(|direction| !leads(to, direction) && names(to, direction.place))
    };
    one.directions.iter().any(|Direction { way, .. }| goes(other, *way) && apart(one, other, *way) && apart(other, one, *way))
}

fn names(question: &Question, place: u32) -> bool {
    question.words.split(' ').chain(question.identifiers.split(' ')).any(|word| hash::short(&[word.as_bytes()]) == place)
}

/// Whether each of two sorted lists of words has one that the other has not in any spelling.
fn replaced(one: &str, other: &str) -> bool {
    lacks(one, other) && lacks(other, one)
}

fn lacks(one: &str, other: &str) -> bool {
    let has = |word: &str| other.split(' ').any(|theirs| word == theirs) || other.split(' ').any(|theirs| spelling::alike(word, theirs));
    one.split(' ').filter(|word| !word.is_empty()).any(|word| !has(word))
}
