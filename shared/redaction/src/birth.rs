//! Dates of birth: a date beside a word that says so. Other dates stay.

use std::ops::Range;

use crate::context::{Context, Topic};
use crate::number::Number;
use crate::text::{Lower, Text};

/// The first three letters that the months begin with in English, German, Spanish, French, Italian, Portuguese, Dutch
/// and the Nordic languages.
const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "mai", "mär", "mä", "okt", "dez", "ene", "abr",
    "ago", "dic", "fév", "fev", "avr", "jui", "aoû", "déc", "gen", "mag", "giu", "lug", "set", "ott", "out", "mei", "maj", "mrt", "des",
    // Polish, Czech, Finnish, Turkish, Russian.
    "sty", "lut", "kwi", "cze", "lip", "sie", "wrz", "paź", "lis", "gru", "led", "úno", "bře", "dub", "kvě", "čer", "srp", "zář", "říj",
    "tam", "hel", "maa", "huh", "tou", "kes", "hei", "elo", "syy", "lok", "jou", "oca", "şub", "nis", "haz", "tem", "ağu", "eyl", "eki",
    "kas", "ara", "янв", "фев", "мар", "апр", "мая", "июн", "июл", "авг", "сен", "окт", "ноя", "дек",
];

const ENGLISH: &[&str] =
    &["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];

/// The date that begins, or whose day stands, at a digit.
pub(crate) fn find(text: Text<'_>, number: &Number, context: &Context) -> Option<Range<usize>> {
    if !(context.is(Topic::Birth) || is_abbreviated(text, number.start())) || !text.opens(number.start()) {
        return None;
    }
    // 1990年6月5日.
    if number.width(0) == 4 && text.slice(number.end(0)..text.text.len()).starts_with('年') {
        let date = text.run(number.end(0), |byte| byte.is_ascii_digit() || byte >= 0x80);
        return Some(number.start()..date);
    }
    if number.is_date(text) {
        return Some(number.start()..number.end(2));
    }
    // 19850312.
    if number.width(0) == 8 && matches!(number.value(text, 0) / 100, 19 | 20) && text.closes(number.end(0)) {
        return Some(number.start()..number.end(0));
    }
    let day = number.width(0) <= 2 && (1..=31).contains(&number.value(text, 0));
    if !day {
        return None;
    }
    let year_after = |from: usize| {
        let word = text.words_after(from, 12).find(|word| !matches!(text.slice(word.clone()), "de" | "of" | "del"))?;
        is_year(text.slice(word.clone())).then_some(word.end)
    };
    // A day and a month without a year only in English, where the months' names are not other words.
    let dated = |start: usize, month: &str, end: usize, from: usize| match year_after(from) {
        Some(year) => Some(start..year),
        None => ENGLISH.iter().any(|known| month.eq_ignore_ascii_case(known)).then_some(start..end),
    };
    let ordinal = text.run(number.end(0), |byte| byte.is_ascii_alphabetic());
    // "March 12, 1985": the month comes first.
    if let Some(month) = text.words_before(number.start(), 16).next().filter(|word| is_month(text.slice(word.clone()))) {
        return dated(month.start, text.slice(month.clone()), number.end(0), ordinal);
    }
    // "12th of March, 1985", "12 de marzo de 1985", "12. März 1985".
    let month = text.words_after(ordinal, 20).find(|word| !matches!(text.slice(word.clone()), "de" | "of"))?;
    let name = text.slice(month.clone());
    if is_month(name) { dated(number.start(), name, month.end, month.end) } else { None }
}

/// Whether "D.O.B." stands before a place.
fn is_abbreviated(text: Text<'_>, at: usize) -> bool {
    let mut words = text.words_before(at, 12);
    ["b", "o", "d"].iter().all(|letter| words.next().is_some_and(|word| text.slice(word).eq_ignore_ascii_case(letter)))
}

fn is_month(word: &str) -> bool {
    let lower = Lower::of(word);
    word.len() >= 3 && word.len() <= 16 && MONTHS.iter().any(|month| lower.text().starts_with(month))
}

fn is_year(word: &str) -> bool {
    word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit()) && matches!(&word[..2], "18" | "19" | "20")
}
