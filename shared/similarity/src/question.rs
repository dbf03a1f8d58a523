//! What is compared of a question.

use std::iter::once;

use crate::words::{Word, characters, words};
use crate::{hash, language, minhash};

/// How many characters of a long text are compared at its start, and as many at its end: who pastes a document asks before
/// or after it.
const READ: usize = 2_048;
/// Letters of one shingle of a word, its start and end being letters too.
const SHINGLE: usize = 3;
/// Characters of one shingle of a script without spaces: most words of Chinese have two.
const UNSPACED_SHINGLE: usize = 2;
/// What stands before and after a word in its shingles. It is no letter, so that no word has it.
const EDGE: char = '\u{1f}';

/// A question, read for comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    text: Box<str>,
    shingles: Box<[u32]>,
    pub(crate) words: Box<str>,
    pub(crate) identifiers: Box<str>,
    pub(crate) directions: Box<[Direction]>,
    pub(crate) asks: u8,
    pub(crate) is_negated: bool,
}

/// Where something comes from or goes to: "from Boston".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Direction {
    /// The hash of "from".
    pub(crate) way: u32,
    /// The hash of the place.
    pub(crate) place: u32,
}

impl Question {
    /// Reads a question: all of it for its normalised text, 2,048 characters at its start and at its end for what is
    /// compared. The text should be redacted: its placeholders count by their kind.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let characters = characters(text);
        let all = words(&characters);
        let text: Vec<&str> = all.iter().map(Word::text).collect();
        let text = text.join(" ").into_boxed_str();
        if characters.len() <= 2 * READ {
            return Self::of_words(text, &all);
        }
        let ends: Vec<char> = characters[..READ].iter().chain(once(&' ')).chain(&characters[characters.len() - READ..]).copied().collect();
        Self::of_words(text, &words(&ends))
    }

    fn of_words(text: Box<str>, all: &[Word]) -> Self {
        let all = language::without_courtesies(all);
        let mut content = Vec::new();
        let mut identifiers = Vec::new();
        let mut shingles = Vec::new();
        let mut asks = 0;
        let mut is_negated = false;
        for (place, word) in all.iter().enumerate() {
            match word {
                Word::Spaced(word) => {
                    asks |= language::asks_for(word, all.get(place + 1).map_or("", Word::text));
                    is_negated |= language::is_negation(word);
                    match meaning(word) {
                        Meaning::Number(digits) => identifiers.push(digits.to_owned()),
                        Meaning::Content(word) => content.push(word),
                        Meaning::Function => {}
                    }
                }
                Word::Placeholder(kind) => content.push(kind.clone()),
                Word::Identifier(identifier) => identifiers.push(identifier.clone()),
                Word::Unspaced(run) => unspaced_shingles(run, &mut shingles),
            }
        }
        if content.is_empty() && identifiers.is_empty() && shingles.is_empty() {
            content.extend(all.iter().map(|word| word.text().to_owned()));
        }
        let (content, identifiers) = (set(content), set(identifiers));
        shingles.extend(content.iter().flat_map(|word| of_word(word)));
        shingles.extend(identifiers.iter().map(|identifier| hash::short(&[b"identifier", identifier.as_bytes()])));
        Self {
            text,
            shingles: set(shingles).into(),
            words: content.join(" ").into(),
            identifiers: identifiers.join(" ").into(),
            directions: directions(&all),
            asks,
            is_negated,
        }
    }

    /// The whole text, normalised: Unicode's compatibility form (NFKC), lower case, one space between words, no
    /// punctuation, each number in one spelling, placeholders reduced to their kind. Questions with the same text are the
    /// same.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Keys of which two questions that are the same have one in common, with the probability that [`BANDS`](crate::BANDS)
    /// says. They are the same on every machine and in every release: whoever changes what goes into them has to fill the
    /// index anew.
    #[must_use]
    pub fn bands(&self) -> [u64; minhash::BANDS] {
        let kept_apart = hash::of(&[self.identifiers.as_bytes(), &[u8::from(self.is_negated)]]);
        minhash::bands(&self.shingles, kept_apart)
    }

    /// The hashes of its shingles, sorted, each once.
    pub(crate) fn shingles(&self) -> &[u32] {
        &self.shingles
    }
}

enum Meaning {
    Content(String),
    Number(&'static str),
    Function,
}

fn meaning(word: &str) -> Meaning {
    match language::digits(word) {
        Some(digits) => Meaning::Number(digits),
        None if language::is_function_word(word) || language::is_negation(word) => Meaning::Function,
        None => Meaning::Content(language::singular(word)),
    }
}

/// Sorted, each once.
fn set<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort_unstable();
    all.dedup();
    all
}

/// The shingles of a word: runs of letters inside of it and at its edges. A mistake in one letter leaves most of them.
pub(crate) fn of_word(word: &str) -> Vec<u32> {
    let letters: Vec<char> = once(EDGE).chain(word.chars()).chain(once(EDGE)).collect();
    set(letters.windows(SHINGLE).map(of_characters).collect())
}

fn unspaced_shingles(run: &str, shingles: &mut Vec<u32>) {
    let characters: Vec<char> = run.chars().filter(|character| !language::is_particle(*character)).collect();
    if characters.len() < UNSPACED_SHINGLE {
        shingles.extend(characters.iter().map(|character| of_characters(&[*character])));
    }
    shingles.extend(characters.windows(UNSPACED_SHINGLE).map(of_characters));
}

fn of_characters(characters: &[char]) -> u32 {
    let text: String = characters.iter().collect();
    hash::short(&[text.as_bytes()])
}

/// For each word of direction, the next word with a meaning.
fn directions(all: &[Word]) -> Box<[Direction]> {
    let mut directions = Vec::new();
    let mut way = None;
    for word in all {
        let place = match word {
            Word::Spaced(word) if language::is_direction(word) => {
                way = Some(word);
                continue;
            }
            Word::Spaced(word) => match meaning(word) {
                Meaning::Content(word) => word,
                Meaning::Number(digits) => digits.to_owned(),
                Meaning::Function => continue,
            },
            Word::Identifier(word) | Word::Placeholder(word) | Word::Unspaced(word) => word.clone(),
        };
        if let Some(way) = way.take() {
            directions.push(Direction { way: hash::short(&[way.as_bytes()]), place: hash::short(&[place.as_bytes()]) });
        }
    }
    directions.into()
}
