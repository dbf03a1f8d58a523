//! Telephone numbers: international (ITU-T E.164), North American, with an area code in parentheses, with a national
//! trunk 0, and any other form beside a word that says so.

use std::ops::Range;

use crate::context::{Context, Topic, topic};
use crate::number::Number;
use crate::text::Text;

/// The telephone number whose first digit stands here.
pub(crate) fn find(text: Text<'_>, number: &Number, context: &Context) -> Option<Range<usize>> {
    let (start, form) = beginning(text, number.start());
    let begins = if form == Form::Plus { text.joins(start) } else { text.opens(start) };
    let opens = begins && text.before(start) != Some('#') && text.before(start) != Some('+');
    if !opens || number.is_date(text) {
        return None;
    }
    let end = (1..=number.count()).rev().find_map(|groups| {
        let end = number.end(groups - 1);
        let end = with_extension(text, end).or_else(|| text.closes(end).then_some(end))?;
        (is_gapped_like_a_phone(text, number, groups) && is_phone(text, number, groups, form, context, end)).then_some(end)
    })?;
    // "(950123456)": the parenthesis is around the number, not in it.
    let is_around = form == Form::Parenthesis && !text.slice(start..end).contains(')');
    Some(if is_around { number.start() } else { start }..end)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Plus,
    Parenthesis,
}

/// Where the number begins: its plus and parenthesis belong to it.
fn beginning(text: Text<'_>, digit: usize) -> (usize, Form) {
    let back = |steps: usize| digit.checked_sub(steps).map(|at| text.byte(at)).unwrap_or_default();
    match (back(2), back(1)) {
        (b'+', b'(') | (b'(', b'+') => (digit - 2, Form::Plus),
        (_, b'+') => (digit - 1, Form::Plus),
        (_, b'(') => (digit - 1, Form::Parenthesis),
        _ => (digit, Form::Plain),
    }
}

fn is_gapped_like_a_phone(text: Text<'_>, number: &Number, groups: usize) -> bool {
    (0..groups - 1).all(|group| number.gap(text, group) != ". ")
        && (0..groups - 1).filter(|group| number.gap(text, *group).contains('(')).count() <= 1
        && (0..groups - 1).filter(|group| number.gap(text, *group) == "/").count() <= 1
}

fn is_phone(text: Text<'_>, number: &Number, groups: usize, form: Form, context: &Context, end: usize) -> bool {
    let digits = number.digits(text, groups);
    let [first, second, ..] = *digits else { return false };
    let widths = number.widths(groups);
    let widths = &widths[..groups];
    let length = digits.len();
    let closes_parenthesis = groups > 1 && number.gap(text, 0).starts_with(')');
    if (0..groups - 1).any(|group| number.gap(text, group).starts_with(')')) && form == Form::Plain && !has_opening(text, number, groups) {
        return false;
    }
    match form {
        Form::Plus => return (7..=15).contains(&length) && is_country(&digits),
        Form::Parenthesis if closes_parenthesis => {
            let year = widths[0] == 4 && matches!((first, second), (1, 9) | (2, 0));
            let known = context.is(Topic::Phone) || names_line(text, end);
            return (2..=5).contains(&widths[0]) && (8..=12).contains(&length) && !year && widths[1] >= 2 && !context.is_thing()
                || known && length >= 7;
        }
        _ => {}
    }
    if first == 0 && second == 0 && groups > 1 && (10..=17).contains(&length) && is_country(&digits[2..]) {
        return true;
    }
    if context.is_thing() {
        return false;
    }
    let tight = (0..groups - 1).all(|group| matches!(number.gap(text, group), " " | "-" | "." | "\u{A0}" | "\u{2011}" | "\u{2013}" | "/"));
    let is_american = |digits: &[u8]| matches!(digits, [2..=9, _, _, 2..=9, ..] if digits.len() == 10);
    match widths {
        [3, 3, 4] if is_american(&digits) => return true,
        [1, 3, 3, 4] if first == 1 && is_american(&digits[1..]) => return true,
        // A trunk 0, then an area; dates and quantities are not written so.
        [2..=6, rest @ ..]
            if first == 0
                && second != 0
                && tight
                && (1..=4).contains(&rest.len())
                && (9..=12).contains(&length)
                && rest.iter().all(|width| *width >= 2) =>
        {
            return true;
        }
        _ => {}
    }
    let known = context.is(Topic::Phone) || names_line(text, end) || groups > 1 && context.is(Topic::Number);
    known && (if groups == 1 { 7..=15 } else { 6..=15 }).contains(&length) && widths.iter().all(|width| *width >= 2 || length > 9)
}

fn has_opening(text: Text<'_>, number: &Number, groups: usize) -> bool {
    (0..groups - 1).any(|group| number.gap(text, group).contains('('))
}

/// Whether the words after a number say what rings: "781 1704 office".
fn names_line(text: Text<'_>, end: usize) -> bool {
    let Some(word) = text.words_after(end, 24).next() else { return false };
    word.start <= end + 2
        && !text.slice(end..word.start).contains(['\n', '.', ','])
        && (["office", "work", "home"].iter().any(|line| text.slice(word.clone()).eq_ignore_ascii_case(line))
            || topic(text.slice(word.clone())) == Some(Topic::Phone) && !text.slice(word).eq_ignore_ascii_case("calls"))
}

/// Where an extension ends: x751, ext. 12.
fn with_extension(text: Text<'_>, end: usize) -> Option<usize> {
    let at = text.past_spaces(end).min(end + 2);
    let word = text.run(at, |byte| byte.is_ascii_alphabetic());
    let is_extension = ["x", "ext", "extn", "extension"].iter().any(|name| text.slice(at..word).eq_ignore_ascii_case(name));
    if !is_extension {
        return None;
    }
    let digits = text.run(word, |byte| matches!(byte, b' ' | b'.' | b':')).min(word + 2);
    let last = text.run(digits, |byte| byte.is_ascii_digit());
    ((1..=6).contains(&(last - digits)) && text.closes(last)).then_some(last)
}

/// Whether a country's code comes first (ITU-T E.164, list of assigned codes).
fn is_country(digits: &[u8]) -> bool {
    match digits {
        [1 | 7, ..] => digits.len() >= 10,
        [2, 0 | 7, ..] | [3, 0..=4 | 6 | 9, ..] | [4, 0 | 1 | 3..=9, ..] | [5, 1..=8, ..] | [6, 0..=6, ..] => true,
        [8, 1 | 2 | 4 | 6, ..] | [9, 0..=5 | 8, ..] => true,
        [2, 1..=6 | 9, _, ..] | [3, 5 | 7 | 8, _, ..] | [4, 2, _, ..] | [5, 0 | 9, _, ..] | [6, 7..=9, _, ..] => true,
        [8, 0 | 5 | 7 | 8, _, ..] | [9, 6 | 7 | 9, _, ..] => true,
        _ => false,
    }
}
