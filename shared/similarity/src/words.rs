//! From a text to its words, as they are compared: in Unicode's compatibility form (NFKC), in lower case, without
//! punctuation.

use icu_normalizer::ComposingNormalizerBorrowed;

/// Hexadecimal digits of a placeholder's hash.
const PLACEHOLDER_HASH: usize = 8;
/// Letters of the longest kind of placeholder, with room for kinds to come.
const PLACEHOLDER_KIND: usize = 32;

/// A part of a text that is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// A word of a script that puts spaces between words.
    Spaced(String),
    /// Writing without spaces between words, or with few: Chinese, Japanese, Thai, Korean and the like.
    Unspaced(String),
    /// With a digit: an amount, a date, an order number, a model.
    Identifier(String),
    /// What redaction left of a value: its kind, such as `[email]`. Whose it was makes no other question.
    Placeholder(String),
}

impl Word {
    /// As it is written in the normalised text.
    pub(crate) fn text(&self) -> &str {
        let (Self::Spaced(text) | Self::Unspaced(text) | Self::Identifier(text) | Self::Placeholder(text)) = self;
        text
    }
}

/// The characters of a text, normalised. All hyphens and all apostrophes are one.
pub(crate) fn characters(text: &str) -> Vec<char> {
    let normalised = ComposingNormalizerBorrowed::new_nfkc().normalize(text).to_lowercase();
    let plain = |character| match character {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2018}' | '\u{2019}' | '\u{2bc}' => '\'',
        other => other,
    };
    normalised.chars().map(plain).collect()
}

/// The words of normalised characters. A text without any, such as one of emoji, is one word as it is.
pub(crate) fn words(characters: &[char]) -> Vec<Word> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(&character) = characters.get(at) {
        at += match character {
            '[' => placeholder(&characters[at..], &mut words),
            _ if is_unspaced(character) => unspaced(&characters[at..], &mut words),
            _ if is_letter(character) => spaced(characters, at, &mut words),
            _ => 1,
        };
    }
    if words.is_empty() {
        let marks: String = characters.iter().filter(|character| !character.is_whitespace()).collect();
        if !marks.is_empty() {
            words.push(Word::Spaced(marks));
        }
    }
    words
}

fn is_letter(character: char) -> bool {
    // Accents that do not combine with the letter before them into one character.
    character.is_alphanumeric() || matches!(character, '\u{300}'..='\u{36f}')
}

fn is_unspaced(character: char) -> bool {
    matches!(character,
        '\u{e01}'..='\u{e4e}' | '\u{e81}'..='\u{ece}'   // Thai, Lao
        | '\u{1000}'..='\u{103e}' | '\u{1780}'..='\u{17d3}' // Burmese, Khmer
        | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}' // kana
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' // Chinese characters
        | '\u{ac00}'..='\u{d7a3}') // Korean
}

/// Takes a placeholder, or the bracket alone, and says how many characters that were.
fn placeholder(characters: &[char], words: &mut Vec<Word>) -> usize {
    let kind: String =
        characters.iter().skip(1).take(PLACEHOLDER_KIND).take_while(|letter| matches!(letter, 'a'..='z' | '-' | '_')).collect();
    let hash = characters.get(1 + kind.len()..).unwrap_or_default();
    let hash = hash.strip_prefix(&[':']).and_then(|rest| rest.get(..=PLACEHOLDER_HASH));
    match hash {
        Some([digits @ .., ']']) if !kind.is_empty() && digits.iter().all(char::is_ascii_hexdigit) => {
            words.push(Word::Placeholder(format!("[{kind}]")));
            kind.len() + PLACEHOLDER_HASH + 3
        }
        _ => 1,
    }
}

fn unspaced(characters: &[char], words: &mut Vec<Word>) -> usize {
    let run: String = characters.iter().take_while(|character| is_unspaced(**character)).collect();
    let length = run.chars().count();
    words.push(Word::Unspaced(run));
    length
}

/// Takes the word that starts here and says how many characters it had.
fn spaced(characters: &[char], start: usize, words: &mut Vec<Word>) -> usize {
    let mut end = start;
    while let Some(&character) = characters.get(end) {
        if (!is_letter(character) || is_unspaced(character)) && !joins(characters, end) {
            break;
        }
        end += 1;
    }
    let run = &characters[start..end];
    if run.iter().any(|character| character.is_numeric()) {
        let sign = start
            .checked_sub(1)
            .and_then(|before| characters.get(before))
            .filter(|_| start.checked_sub(2).and_then(|before| characters.get(before)).is_none_or(|before| !is_letter(*before)));
        words.push(Word::Identifier(identifier(sign.copied(), run, characters.get(end).copied())));
        return end - start;
    }
    // C++ and C# are not C.
    let marks = characters[end..].iter().take_while(|character| matches!(character, '+' | '#')).count();
    if marks > 0 && characters.get(end + marks).is_none_or(|next| !is_letter(*next)) {
        words.push(Word::Spaced(characters[start..end + marks].iter().collect()));
        return end + marks - start;
    }
    let text: String = run.iter().collect();
    // "No, I meant …" and "order no. 7" deny nothing.
    let denies = text != "no" || characters.get(end).is_none_or(|next| next.is_whitespace());
    if denies {
        apart(&text, words);
    }
    end - start
}

/// Whether the character joins the letters around it to one word: `x-200`, `1,000.50`, `23/11/2026`, `can't`.
fn joins(characters: &[char], at: usize) -> bool {
    let (Some(before), Some(after)) = (at.checked_sub(1).and_then(|before| characters.get(before)), characters.get(at + 1)) else {
        return false;
    };
    let digits = usize::from(before.is_numeric()) + usize::from(after.is_numeric());
    is_letter(*before)
        && is_letter(*after)
        && !is_unspaced(*after)
        && match characters[at] {
            '.' | ',' | ':' => digits == 2,
            '-' | '/' | '_' => digits > 0,
            '\'' => digits == 0,
            _ => false,
        }
}

/// The same identifier in another spelling is the same: `X-200` and `X200`, `1,000` and `1000`, `1,5` and `1.5`. A sign or
/// a currency before it and a percent sign after it belong to it.
fn identifier(sign: Option<char>, run: &[char], next: Option<char>) -> String {
    let mut written: String = sign.filter(|sign| matches!(sign, '-' | '$' | '€' | '£' | '¥' | '₹')).into_iter().collect();
    for (at, character) in run.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| run.get(before));
        let between_digits = before.zip(run.get(at + 1)).is_some_and(|(before, after)| before.is_numeric() && after.is_numeric());
        match character {
            ',' if thousands(&run[at + 1..]) => {}
            ',' => written.push('.'),
            '-' | '/' | '_' if between_digits => written.push('-'),
            '-' | '/' | '_' => {}
            _ => written.push(*character),
        }
    }
    written.extend(next.filter(|next| matches!(next, '%' | '$' | '€' | '£')));
    written
}

/// Whether exactly three digits follow: the comma only groups them.
fn thousands(after: &[char]) -> bool {
    after.iter().take_while(|character| character.is_numeric()).count() == 3
}

/// A word with apostrophes in its parts: what only belongs to grammar goes, and "n't" becomes "not".
fn apart(text: &str, words: &mut Vec<Word>) {
    let mut push = |word: &str| words.push(Word::Spaced(word.to_owned()));
    if let Some(verb) = text.strip_suffix("n't") {
        push(match verb {
            "ca" => "can",
            "wo" => "will",
            "sha" => "shall",
            _ => verb,
        });
        return push("not");
    }
    for (place, part) in text.split('\'').enumerate() {
        if place == 0 || !matches!(part, "s" | "m" | "re" | "ve" | "d" | "ll") {
            push(part);
        }
    }
}
