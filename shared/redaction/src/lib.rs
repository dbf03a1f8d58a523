//! Takes personal data and secrets out of text.
//!
//! Every text of a production signal goes through here before it is first stored. Each found value gives way to a
//! placeholder such as `[email:3fa9c1d2]`: a keyed hash of the value, so that two mentions of one person stay one, and
//! nobody without the salt can tell whose it is or link it to another tenant's.
//!
//! Found is what has a form: see [`Kind`]. Names of persons have none and are found only where the words before them
//! say so; what identifies products, orders and dates of other things stays.
//!
//! Architecture invariant: nothing here knows AWS, waits, reads a clock or the environment. The work is linear in the
//! text, whatever it is.

mod address;
mod bank;
mod birth;
mod card;
mod checksum;
mod context;
mod email;
mod kind;
mod name;
mod national_id;
mod network;
mod number;
mod phone;
mod placeholder;
mod scan;
mod secret;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::ops::Range;

use hmac::Hmac;
pub use kind::Kind;
use sha2::Sha256;
use text::Text;

/// How often what is left of a text is looked at again. Nearly always twice is enough.
const ROUNDS: usize = 6;

/// A found value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Where it is, in bytes.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind,
}

/// Finds values and puts placeholders in their places, with one salt.
#[derive(Clone)]
pub struct Redactor {
    key: Hmac<Sha256>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Redactor")
    }
}

impl Redactor {
    /// With a salt, which is to be secret and one for each tenant: under another the same value has another placeholder.
    #[must_use]
    pub fn new(salt: &[u8]) -> Self {
        Self { key: placeholder::key(salt) }
    }

    /// The text without the values; itself if there are none. Doing it again changes nothing.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.replace(text, &self.find(text), placeholder::write)
    }

    /// The value of a field without what its name says that it is: `4821` in `pin`, `hunter2` in `password`. Itself if
    /// there is nothing to take out. Doing it again changes nothing.
    #[must_use]
    pub fn redact_field<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        // As it would stand in JSON, in quotes that the value has not; a name in camel case as the words that it is.
        let quote = ['"', '\'', '`'].into_iter().find(|quote| !value.contains(*quote)).map_or_else(String::new, String::from);
        let mut text = String::with_capacity(name.len() + value.len() + 8);
        text.push_str(&quote);
        for letter in name.chars() {
            if letter.is_uppercase() && text.ends_with(char::is_lowercase) {
                text.push('_');
            }
            text.push(letter);
        }
        text.extend([&quote, ": ", &quote]);
        let start = text.len();
        text.extend([value, &quote]);
        let end = start + value.len();
        let inside = self.find(&text).into_iter().filter(|span| span.range.start < end && start < span.range.end);
        let spans: Vec<Span> =
            inside.map(|Span { range, kind }| Span { range: range.start.max(start) - start..range.end.min(end) - start, kind }).collect();
        self.replace(value, &spans, placeholder::write)
    }

    /// An id without the values in it; itself if there are none. Other ids give others, the same the same, so that what
    /// belongs together is found by it. One of up to 200 characters stays one.
    #[must_use]
    pub fn redact_id<'a>(&self, id: &'a str) -> Cow<'a, str> {
        const LONGEST: usize = 200;
        let spans = self.find(id);
        let redacted = self.replace(id, &spans, placeholder::write_in_id);
        match spans.first() {
            Some(first) if redacted.chars().count() > LONGEST => {
                let mut whole = String::new();
                placeholder::write_in_id(&mut whole, &self.key, first.kind, id);
                Cow::Owned(whole)
            }
            _ => redacted,
        }
    }

    /// The text without values that are known to be personal, wherever they stand as words of their own. Itself if there are
    /// none. Placeholders stay.
    #[must_use]
    pub fn redact_values<'a>(&self, text: &'a str, values: &[(Kind, String)]) -> Cow<'a, str> {
        let placeholders: Vec<Range<usize>> =
            std::iter::successors(placeholder::next(text, 0), |last| placeholder::next(text, last.end)).collect();
        let is_word = |letter: Option<char>| letter.is_some_and(text::is_word);
        let mut spans: Vec<Span> = Vec::new();
        for (kind, value) in values.iter().filter(|(_, value)| value.chars().any(char::is_alphanumeric)) {
            for (start, _) in text.match_indices(value.as_str()) {
                let range = start..start + value.len();
                let is_whole = !is_word(text[..start].chars().next_back()) && !is_word(text[range.end..].chars().next());
                if is_whole && !placeholders.iter().any(|placeholder| placeholder.start < range.end && range.start < placeholder.end) {
                    spans.push(Span { range, kind: *kind });
                }
            }
        }
        // Of those that begin together the longest, and none inside of another.
        spans.sort_by_key(|span| (span.range.start, std::cmp::Reverse(span.range.end)));
        let mut end = 0;
        spans.retain(|span| {
            let is_next = span.range.start >= end;
            end = if is_next { span.range.end } else { end };
            is_next
        });
        self.replace(text, &spans, placeholder::write)
    }

    fn replace<'a>(&self, text: &'a str, spans: &[Span], write: impl Fn(&mut String, &Hmac<Sha256>, Kind, &str)) -> Cow<'a, str> {
        if spans.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut redacted = String::with_capacity(text.len());
        let mut end = 0;
        for Span { range, kind } in spans {
            redacted.push_str(text.get(end..range.start).unwrap_or_default());
            write(&mut redacted, &self.key, *kind, text.get(range.clone()).unwrap_or_default());
            end = range.end;
        }
        redacted.push_str(text.get(end..).unwrap_or_default());
        Cow::Owned(redacted)
    }

    /// What stands for a user's id, whatever it looks like: `[user:3fa9c1d2e07b5a41]`. Of such a placeholder, itself.
    #[must_use]
    pub fn user(&self, id: &str) -> String {
        placeholder::of_user(&self.key, id)
    }

    /// The values in a text, in order and without overlaps. Placeholders are none.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut start = 0;
        while let Some(placeholder) = placeholder::next(text, start) {
            find_between(text, start..placeholder.start, ROUNDS, &mut spans);
            start = placeholder.end;
        }
        find_between(text, start..text.len(), ROUNDS, &mut spans);
        spans
    }
}

/// Finds the values in a part of a text, then in what is left between them: a placeholder ends what a scanner sees, so
/// what is left has to be free of values on its own. What will not come to rest goes as a whole.
fn find_between(text: &str, part: Range<usize>, rounds: usize, spans: &mut Vec<Span>) {
    let inside = scan::spans(Text { text: text.get(part.clone()).unwrap_or_default() });
    let Some(first) = inside.first() else { return };
    if rounds == 0 {
        spans.push(Span { range: part, kind: first.kind });
        return;
    }
    let mut start = part.start;
    for Span { range, kind } in inside {
        let range = part.start + range.start..part.start + range.end;
        find_between(text, start..range.start, rounds - 1, spans);
        start = range.end;
        spans.push(Span { range, kind });
    }
    find_between(text, start..part.end, rounds - 1, spans);
}
