//! E-mail addresses (RFC 5321, and RFC 6531 for letters beyond ASCII), also with the `@` percent-encoded in a URL.

use std::ops::Range;

use crate::text::{Text, is_word};

/// The address around an `@` (or `%40`) that is `width` bytes long.
pub(crate) fn find(text: Text<'_>, at: usize, width: usize) -> Option<Range<usize>> {
    let is_local =
        |character: char| is_word(character) || matches!(character, '.' | '_' | '+' | '-' | '\'' | '&' | '!' | '#' | '~' | '*' | '^');
    let before = text.slice(0..at);
    let length: usize = before.chars().rev().take_while(|character| is_local(*character)).map(char::len_utf8).sum();
    let local = &before[at - length..];
    let local = local.trim_start_matches(|character: char| !is_word(character) && character != '_');
    let start = text.past_escape(at - local.len());
    let local = text.slice(start..at);
    if local.is_empty() || local.ends_with('.') || local == "git" {
        return None;
    }
    let from = at + width;
    let is_host = |character: char| is_word(character) || matches!(character, '.' | '-');
    let length: usize = text.slice(from..text.text.len()).chars().take_while(|character| is_host(*character)).map(char::len_utf8).sum();
    let host = text.slice(from..from + length).trim_end_matches(['.', '-']);
    let (labels, last) = host.rsplit_once('.')?;
    let is_top = last.chars().count() >= 2 && last.chars().all(|character| !character.is_ascii_digit() && character != '-')
        || last.starts_with("xn--");
    let is_one = is_top && !labels.is_empty() && labels.split('.').all(|label| !label.is_empty());
    is_one.then(|| start..from + host.len())
}
