//! A text as the scanners see it: words, what is between them, and where a value may begin and end.

use std::ops::Range;

/// A digit.
pub(crate) const DIGIT: u8 = 1;
/// A letter, or any other byte that words are made of.
pub(crate) const LETTER: u8 = 2;
/// Between words, but a value may begin or be named here.
pub(crate) const SIGN: u8 = 4;

/// What each byte is. Words are ASCII letters and digits, and all characters beyond ASCII but the blocks that hold
/// punctuation, symbols and pictures: U+0080 to U+00BF, U+2000 to U+2FFF, U+10000 and above (first bytes C2, E2, F0).
pub(crate) const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'A'..=b'Z' | b'a'..=b'z' => LETTER,
            b'@' | b':' | b'=' | b'-' | b'%' => SIGN,
            0xC2 | 0xE2 | 0xF0..=0xFF => 0,
            0x80.. => LETTER,
            _ => 0,
        };
        byte += 1;
    }
    class
};

/// Whether words are made of this character.
pub(crate) fn is_word(character: char) -> bool {
    match character {
        '\u{0}'..='\u{7F}' => character.is_ascii_alphanumeric(),
        '\u{80}'..='\u{BF}' | '\u{2000}'..='\u{2FFF}' | '\u{10000}'.. => false,
        _ => true,
    }
}

/// A text, or the part of one that lies between two placeholders.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    pub(crate) text: &'a str,
}

impl<'a> Text<'a> {
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.text.as_bytes()
    }

    pub(crate) fn byte(self, at: usize) -> u8 {
        self.bytes().get(at).copied().unwrap_or_default()
    }

    pub(crate) fn slice(self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or_default()
    }

    pub(crate) fn before(self, at: usize) -> Option<char> {
        self.slice(0..at).chars().next_back()
    }

    pub(crate) fn after(self, at: usize) -> Option<char> {
        self.slice(at..self.text.len()).chars().next()
    }

    /// Where a word begins whose first letter is one of an escape: in JSON inside of a text, `\n` stands before it.
    pub(crate) fn past_escape(self, start: usize) -> usize {
        if self.is_escape(start + 1) && self.after(start + 1).is_some_and(is_word) { start + 1 } else { start }
    }

    /// Whether an escape ends at a place.
    pub(crate) fn is_escape(self, end: usize) -> bool {
        end >= 2 && self.byte(end - 2) == b'\\' && matches!(self.byte(end - 1), b'n' | b'r' | b't')
    }

    /// Whether a number may begin here: not in the middle of a word, a code, a price or a longer number.
    pub(crate) fn opens(self, at: usize) -> bool {
        let Some(before) = self.before(at) else { return true };
        if self.is_escape(at) {
            return true;
        }
        let further = || self.before(at - before.len_utf8());
        match before {
            '_' | '$' | '€' | '£' | '¥' | '@' | '\\' => false,
            '-' | '/' | '~' | '–' => !further().is_some_and(|character| is_word(character) || character == '_'),
            '.' | ',' | ':' | '\'' => !further().is_some_and(|character| character.is_ascii_digit()),
            _ => !is_word(before),
        }
    }

    /// Whether a value that is known by a form or a check digit of its own may begin here: after a part of an id too, as in
    /// `card/4111…` or `user_4111…`, though not in the middle of a number.
    pub(crate) fn joins(self, at: usize) -> bool {
        let further = |before: char| self.before(at - before.len_utf8());
        match self.before(at) {
            Some(before @ ('/' | '-' | '_' | '~')) => !further(before).is_some_and(|character| character.is_ascii_digit()),
            _ => self.opens(at),
        }
    }

    /// Whether a number may end here.
    pub(crate) fn closes(self, at: usize) -> bool {
        let Some(after) = self.after(at) else { return true };
        let further = || self.after(at + after.len_utf8());
        match after {
            '_' | '%' | '@' | '€' | '°' => false,
            '-' | '–' => !further().is_some_and(is_word),
            '.' | '/' | ':' | ',' => !further().is_some_and(|character| character.is_ascii_digit()),
            _ => !is_word(after),
        }
    }

    /// The words after a place, as far as `limit` bytes.
    pub(crate) fn words_after(self, at: usize, limit: usize) -> impl Iterator<Item = Range<usize>> + use<'a> {
        let end = floor(self.text, (at + limit).min(self.text.len()));
        let mut characters = self.slice(at..end).char_indices().peekable();
        std::iter::from_fn(move || {
            let start = loop {
                let (place, character) = characters.next()?;
                if is_word(character) {
                    break at + place;
                }
            };
            let mut end = start + self.after(start)?.len_utf8();
            while let Some((place, character)) = characters.next_if(|(_, character)| is_word(*character)) {
                end = at + place + character.len_utf8();
            }
            Some(self.past_escape(start)..end)
        })
    }

    /// The words before a place, the nearest first, as far as `limit` bytes.
    pub(crate) fn words_before(self, at: usize, limit: usize) -> impl Iterator<Item = Range<usize>> + use<'a> {
        let start = floor(self.text, at.saturating_sub(limit));
        let mut characters = self.slice(start..at).char_indices().rev().peekable();
        std::iter::from_fn(move || {
            let (mut first, end) = loop {
                let (place, character) = characters.next()?;
                if is_word(character) {
                    break (start + place, start + place + character.len_utf8());
                }
            };
            while let Some((place, _)) = characters.next_if(|(_, character)| is_word(*character)) {
                first = start + place;
            }
            Some(self.past_escape(first)..end)
        })
    }

    /// Where a run of bytes ends.
    pub(crate) fn run(self, from: usize, is_part: impl Fn(u8) -> bool) -> usize {
        from + self.bytes().get(from..).unwrap_or_default().iter().take_while(|byte| is_part(**byte)).count()
    }

    /// Past spaces and tabs.
    pub(crate) fn past_spaces(self, from: usize) -> usize {
        self.run(from, |byte| byte == b' ' || byte == b'\t')
    }
}

/// The last character boundary that is not after a place.
fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|&place| text.is_char_boundary(place)).unwrap_or_default()
}

/// Whether a word is written with a capital first.
pub(crate) fn is_capitalised(word: &str) -> bool {
    word.chars().next().is_some_and(char::is_uppercase)
}

/// A short word in lower case, for looking it up; ASCII letters only, the others stay as they are.
#[derive(Clone, Copy)]
pub(crate) struct Lower {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl Lower {
    pub(crate) const LONGEST: usize = 31;

    pub(crate) fn of(word: &str) -> Self {
        let mut lower = Self { bytes: [0; Self::LONGEST], length: 0 };
        if word.len() <= Self::LONGEST {
            lower.length = word.len();
            lower.bytes[..word.len()].copy_from_slice(word.as_bytes());
            lower.bytes.make_ascii_lowercase();
        }
        lower
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}
