//! One pass over a text. It stops only where something may begin: at a digit, at a sign, at a word that announces a
//! value, at a word too long to be one. What is looked at from there is bounded, so the work is linear in the text.

use std::ops::Range;

use crate::context::Context;
use crate::number::Number;
use crate::text::{CLASS, DIGIT, LETTER, Lower, SIGN, Text};
use crate::{Kind, Span, address, bank, birth, card, email, name, national_id, network, phone, secret};

/// Words after which a value may come.
const ANNOUNCING: &[&str] = &[
    "mr",
    "mrs",
    "ms",
    "dr",
    "prof",
    "herr",
    "frau",
    "mme",
    "sr",
    "sra",
    "señor",
    "señora",
    "signor",
    "signora",
    "name",
    "nombre",
    "nome",
    "llamo",
    "chiamo",
    "chamo",
    "appelle",
    "heiße",
    "heisse",
    "bearer",
    "password",
    "passwort",
    "passphrase",
    "contraseña",
    "passcode",
    "passwd",
    "senha",
    "corner",
    "intersection",
];

/// For each first letter, which lengths the words above have that begin with it.
const LENGTHS: [u32; 256] = {
    let mut lengths = [0; 256];
    let mut place = 0;
    while place < ANNOUNCING.len() {
        let word = ANNOUNCING[place].as_bytes();
        lengths[word[0] as usize] |= 1 << word.len();
        lengths[word[0].to_ascii_uppercase() as usize] |= 1 << word.len();
        place += 1;
    }
    lengths
};

/// From this length on a word may be a token.
const LONG: usize = 16;

/// Everything that is found, in order and without overlaps.
pub(crate) fn spans(text: Text<'_>) -> Vec<Span> {
    let bytes = text.bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let class = CLASS[usize::from(byte)];
        if class & (DIGIT | LETTER) == 0 {
            at = if class == SIGN { sign(text, at, byte, &mut found) } else { at + width(byte) };
            continue;
        }
        at = text.past_escape(at);
        let start = at;
        let mut classes = 0;
        while let Some(&byte) = bytes.get(at) {
            let class = CLASS[usize::from(byte)];
            if class & (DIGIT | LETTER) == 0 {
                break;
            }
            classes |= class;
            at += 1;
        }
        let word = start..at;
        if classes & DIGIT != 0 {
            at = with_digits(text, &word, classes, &mut found);
        } else if word.len() >= LONG || LENGTHS[usize::from(byte)] & 1_u32.checked_shl(word.len() as u32).unwrap_or_default() != 0 {
            at = announcing(text, &word, &mut found);
        } else if matches!(bytes.get(at), Some(b'-' | b'_' | b'.')) {
            at = token(text, &word, &mut found).unwrap_or(at);
        }
    }
    merged(found)
}

/// How many bytes the character has that begins with a byte outside of words.
fn width(first: u8) -> usize {
    match first {
        0xC2 => 2,
        0xE2 => 3,
        0xF0..=0xF7 => 4,
        _ => 1,
    }
}

/// A token, and the secret that goes with it.
fn token(text: Text<'_>, word: &Range<usize>, found: &mut Vec<Span>) -> Option<usize> {
    let id = secret::token(text, word)?;
    let end = id.end;
    let secret = secret::of_access_key(text, &id);
    push(found, Some(id), Kind::Secret);
    push(found, secret, Kind::Secret).or(Some(end))
}

fn push(found: &mut Vec<Span>, range: Option<Range<usize>>, kind: Kind) -> Option<usize> {
    let range = range?;
    let end = range.end;
    found.push(Span { range, kind });
    Some(end)
}

/// A sign between words. Says where to go on.
fn sign(text: Text<'_>, at: usize, byte: u8, found: &mut Vec<Span>) -> usize {
    let end = match byte {
        b'@' => push(found, email::find(text, at, 1), Kind::Email),
        b'%' if text.slice(at..at + 3) == "%40" => push(found, email::find(text, at, 3), Kind::Email),
        b'-' => {
            let is_line = at == 0 || text.byte(at - 1) != b'-';
            let key = match text.slice(at..at + 6) {
                "-----B" if is_line => secret::private_key(text, at),
                "-----E" if is_line => secret::end_of_private_key(text, at),
                _ => None,
            };
            push(found, key, Kind::Secret).or_else(|| push(found, network::mac(text, at), Kind::Mac))
        }
        b':' if text.slice(at..at + 3) == "://" => push(found, network::credential(text, at), Kind::UrlCredential).map(|end| end + 1),
        b':' | b'=' => {
            let near_hex = byte == b':' && text.byte(at + 1).is_ascii_hexdigit() || text.byte(at + 1) == b':';
            let network =
                near_hex.then(|| push(found, network::mac(text, at), Kind::Mac).or_else(|| push(found, network::ipv6(text, at), Kind::Ip)));
            network.flatten().or_else(|| {
                let (range, kind) = secret::field(text, at)?;
                push(found, Some(range), kind)
            })
        }
        _ => None,
    };
    end.filter(|end| *end > at).unwrap_or(at + 1)
}

/// A word that may announce a value or be one. Says where to go on.
fn announcing(text: Text<'_>, word: &Range<usize>, found: &mut Vec<Span>) -> usize {
    if word.len() >= LONG {
        return token(text, word, found).or_else(|| push(found, bank::wallet(text, word), Kind::Secret)).unwrap_or(word.end);
    }
    let lower = Lower::of(text.slice(word.clone()));
    if !ANNOUNCING.contains(&lower.text()) {
        return token(text, word, found).unwrap_or(word.end);
    }
    let corner = || matches!(lower.text(), "corner" | "intersection").then(|| address::corner(text, word)).flatten();
    push(found, secret::bearer(text, word).or_else(|| secret::said(text, word)).or_else(|| secret::option(text, word)), Kind::Secret)
        .or_else(|| push(found, name::after(text, word), Kind::PersonName))
        .or_else(|| push(found, corner(), Kind::Address))
        .unwrap_or(word.end)
}

/// A word with a digit in it. Says where to go on.
fn with_digits(text: Text<'_>, word: &Range<usize>, classes: u8, found: &mut Vec<Span>) -> usize {
    let start = word.start;
    if !text.byte(start).is_ascii_digit()
        && let Some(end) = token(text, word, found)
    {
        return end;
    }
    let mut push = |range: Option<Range<usize>>, kind: Kind| push(found, range, kind);
    if !text.byte(start).is_ascii_digit() {
        let end = push(bank::iban(text, start), Kind::Iban).or_else(|| push(bank::wallet(text, word), Kind::Wallet));
        if end.is_some() || word.len() > 32 {
            return end.unwrap_or(word.end);
        }
        let context = Context::before(text, start);
        return push(national_id::coded(text, word, &context), Kind::NationalId)
            .or_else(|| document(text, word, &context, &mut push))
            .or_else(|| push(address::postcode(text, word, &context), Kind::Postcode))
            .unwrap_or(word.end);
    }
    // The rest of a longer number or code.
    let begins = text.opens(start) || text.joins(start) || matches!(text.before(start), Some('+' | '(' | '/'));
    let digits_end = text.run(start, |byte| byte.is_ascii_digit());
    if !begins {
        return word.end;
    }
    let context = Context::before(text, start);
    let number = Number::at(text, start);
    let opens = text.opens(start);
    let is_number = digits_end == word.end;
    let only_if = |is_so: bool, find: &dyn Fn() -> Option<Range<usize>>| if is_so { find() } else { None };
    let long = number.length(number.count()) >= 6;
    push(only_if(text.joins(start) && long && text.before(start) != Some('+'), &|| card::find(text, &number, &context)), Kind::Card)
        .or_else(|| push(only_if(opens, &|| birth::find(text, &number, &context)), Kind::BirthDate))
        .or_else(|| push(network::ipv4(text, start, &context), Kind::Ip))
        .or_else(|| push(only_if(opens && digits_end - start == 6, &|| national_id::finnish(text, start)), Kind::NationalId))
        .or_else(|| push(only_if(word.len() == 2, &|| national_id::grouped_nino(text, start)), Kind::NationalId))
        .or_else(|| push(only_if(long, &|| national_id::find(text, &number, &context)), Kind::NationalId))
        .or_else(|| push(only_if(classes & LETTER != 0, &|| national_id::coded(text, word, &context)), Kind::NationalId))
        .or_else(|| document(text, word, &context, &mut push))
        .or_else(|| push(only_if(opens && long, &|| bank::account(text, &number, &context)), Kind::BankAccount))
        .or_else(|| push(only_if(is_number, &|| secret::pin(text, word, &context)), Kind::Secret))
        .or_else(|| push(only_if(long, &|| phone::find(text, &number, &context)), Kind::Phone))
        .or_else(|| push(address::postcode(text, word, &context), Kind::Postcode))
        .or_else(|| push(only_if(word.end - digits_end <= 1, &|| address::find(text, start..digits_end, &context)), Kind::Address))
        .or_else(|| push(only_if(word.len() >= 26, &|| bank::wallet(text, word)), Kind::Wallet))
        .or_else(|| push(only_if(word.len() == 42, &|| bank::wallet(text, word)), Kind::Wallet))
        .unwrap_or(word.end)
        .max(word.end)
}

fn document(
    text: Text<'_>,
    word: &Range<usize>,
    context: &Context,
    push: &mut impl FnMut(Option<Range<usize>>, Kind) -> Option<usize>,
) -> Option<usize> {
    let (range, kind) = national_id::document(text, word, context)?;
    push(Some(range), kind)
}

/// In order; what overlaps becomes one, with the kind that comes first of all kinds.
fn merged(mut found: Vec<Span>) -> Vec<Span> {
    found.retain(|span| !span.range.is_empty());
    found.sort_by_key(|span| span.range.start);
    let mut spans: Vec<Span> = Vec::with_capacity(found.len());
    for span in found {
        match spans.last_mut().filter(|last| span.range.start < last.range.end) {
            Some(last) => {
                last.range.end = last.range.end.max(span.range.end);
                last.kind = last.kind.min(span.kind);
            }
            None => spans.push(span),
        }
    }
    spans
}
