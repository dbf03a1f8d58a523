//! The words of a text that tell what it is about.

use std::collections::HashSet;

/// Characters of one text that are read.
const READ: usize = 20_000;
/// Letters of a word that count: what follows is mostly inflection. Truncation to 5 letters stems about as well as
/// stemmers do, in many languages (McNamee & Mayfield 2004). A word with a digit is an order number or a version, and whole.
const STEM: usize = 5;

/// Words that say nothing of what a text is about. English only: function words of other languages count as telling, and
/// since nearly every passage has them, they raise the coverage of all of a store's retrievals alike.
const FUNCTION_WORDS: [&str; 134] = [
    "a", "about", "again", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "been", "before", "being", "but", "by", "can",
    "could", "d", "did", "do", "does", "doesn", "doing", "don", "done", "each", "explain", "for", "from", "give", "had", "has", "have",
    "having", "he", "help", "her", "here", "him", "his", "how", "i", "if", "in", "into", "is", "isn", "it", "its", "just", "know", "let",
    "like", "ll", "m", "may", "me", "might", "more", "most", "must", "my", "need", "no", "nor", "not", "of", "off", "on", "once", "only",
    "or", "other", "our", "out", "over", "own", "please", "re", "s", "same", "shall", "she", "should", "so", "some", "such", "t", "tell",
    "than", "thank", "thanks", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "through", "to", "too",
    "under", "until", "up", "us", "ve", "very", "want", "was", "we", "were", "what", "when", "where", "which", "while", "who", "whom",
    "whose", "why", "will", "with", "would", "yes", "you", "your", "yours",
];

/// Calls `of` with every telling word of a text, stemmed, in order.
pub(crate) fn telling(text: &str, mut of: impl FnMut(&str)) {
    each(text, |word| {
        if FUNCTION_WORDS.binary_search(&word).is_err() {
            of(stem(word));
        }
    });
}

/// Which of the words a text has.
pub(crate) fn found(words: &HashSet<String>, text: &str) -> HashSet<String> {
    let mut found = HashSet::new();
    each(text, |word| {
        if let Some(word) = words.get(stem(word))
            && !found.contains(word)
        {
            found.insert(word.clone());
        }
    });
    found
}

/// Every word in lower case: runs of letters and digits; of scripts that put no space between words, every two neighbours.
fn each(text: &str, mut of: impl FnMut(&str)) {
    let mut word = String::new();
    let mut before = None;
    for c in text.chars().take(READ).chain([' ']) {
        if unspaced(c) {
            if !word.is_empty() {
                of(&word);
                word.clear();
            }
            if let Some(before) = before.replace(c) {
                word.extend([before, c]);
                of(&word);
                word.clear();
            }
            continue;
        }
        before = None;
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        } else if !word.is_empty() {
            of(&word);
            word.clear();
        }
    }
}

fn stem(word: &str) -> &str {
    match word.char_indices().nth(STEM) {
        Some((end, _)) if !word.contains(|c: char| c.is_numeric()) => &word[..end],
        _ => word,
    }
}

/// Thai, Lao, Myanmar, Khmer, kana and Han; Hangul too, where particles are written onto the word.
fn unspaced(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{20000}'..='\u{3134f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        telling(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn function_words_and_endings_tell_nothing_and_numbers_are_whole() {
        assert_eq!(words("How do I descale the Kettle-3000? Don't tell me!"), ["desca", "kettl", "3000"]);
        assert_eq!(words("kettles, KETTLE"), ["kettl", "kettl"]);
        assert_eq!(words("order W1234567 v2.10.3"), ["order", "w1234567", "v2", "10", "3"]);
        assert_eq!(words("我要退款"), ["我要", "要退", "退款"]);
        assert_eq!(words("退"), [""; 0]);
    }

    #[test]
    fn function_words_are_sorted_so_that_they_are_found() {
        assert!(FUNCTION_WORDS.is_sorted());
    }
}
