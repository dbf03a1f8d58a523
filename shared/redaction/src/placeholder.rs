//! `[email:3fa9c1d2]`: what stands in a value's place.

use std::fmt::Write as _;
use std::ops::Range;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::Kind;

/// How many hexadecimal digits of the keyed hash a placeholder shows. 32 bits keep the values of one text apart; that two
/// of very many share one does no harm.
const SHOWN: usize = 8;

/// Appends the placeholder of a value.
pub(crate) fn write(out: &mut String, key: &Hmac<Sha256>, kind: Kind, value: &str) {
    let mut mac = key.clone();
    mac.update(kind.name().as_bytes());
    mac.update(&[0]);
    mac.update(normalised(kind, value).as_bytes());
    let hash = mac.finalize().into_bytes();
    out.push('[');
    out.push_str(kind.name());
    out.push(':');
    for byte in hash.iter().take(SHOWN / 2) {
        // Writing into a string does not fail.
        let _ = write!(out, "{byte:02x}");
    }
    out.push(']');
}

/// The same value in another spelling is the same value.
fn normalised(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Card | Kind::Phone | Kind::BankAccount | Kind::BirthDate if value.bytes().all(|byte| !byte.is_ascii_alphabetic()) => {
            let digits: String = value.chars().filter(char::is_ascii_digit).collect();
            match kind {
                Kind::Phone => subscriber(&digits).to_owned(),
                _ => digits,
            }
        }
        Kind::Iban | Kind::NationalId | Kind::Passport | Kind::DriverLicence | Kind::Mac | Kind::Postcode => {
            value.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
        }
        Kind::Ip => value.parse::<std::net::IpAddr>().map_or_else(|_| value.to_owned(), |ip| ip.to_string()),
        Kind::Email => value.to_lowercase().replace("%40", "@"),
        Kind::Address | Kind::PersonName | Kind::Phone | Kind::BirthDate => {
            let words: Vec<&str> = value.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
            words.join(" ").to_lowercase()
        }
        Kind::Secret | Kind::UrlCredential | Kind::Wallet | Kind::Card | Kind::BankAccount => value.to_owned(),
    }
}

/// A number without what only says that it is called from abroad. North America's may be written with its 1.
fn subscriber(digits: &str) -> &str {
    let digits = digits.strip_prefix("00").unwrap_or(digits);
    match digits.strip_prefix('1') {
        Some(national) if national.len() == 10 => national,
        _ => digits,
    }
}

/// The next placeholder at or after a place.
pub(crate) fn next(text: &str, from: usize) -> Option<Range<usize>> {
    let mut at = from;
    loop {
        at += text.get(at..)?.find('[')?;
        let rest = &text.as_bytes()[at + 1..];
        if let Some(length) = Kind::ALL.iter().find_map(|kind| inner_length(rest, kind.name().as_bytes())) {
            return Some(at..at + length + 2);
        }
        at += 1;
    }
}

fn inner_length(rest: &[u8], name: &[u8]) -> Option<usize> {
    let hash = rest.strip_prefix(name)?.strip_prefix(b":")?;
    let is_hash = hash.get(..SHOWN)?.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) && hash.get(SHOWN) == Some(&b']');
    is_hash.then_some(name.len() + 1 + SHOWN)
}

/// The key that all placeholders of one salt are made with.
pub(crate) fn key(salt: &[u8]) -> Hmac<Sha256> {
    // HMAC takes a key of any length.
    #[expect(clippy::expect_used, reason = "HMAC (RFC 2104) takes keys of every length")]
    <Hmac<Sha256> as KeyInit>::new_from_slice(salt).expect("a key of any length")
}
