//! `[email:3fa9c1d2]`: what stands in a value's place. `[email:3fa9c1d2e07b5a41]` inside of an id, and
//! `[user:3fa9c1d2e07b5a41]` in the place of a user's.

use std::fmt::Write as _;
use std::ops::Range;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::Kind;

/// How many hexadecimal digits of the keyed hash a placeholder shows. 32 bits keep the values of one text apart; that two
/// of very many share one does no harm.
const SHOWN: usize = 8;

/// How many it shows in an id. Signals count once and data are erased by their ids, so no two may become one: among a
/// million the chance that any two do is 3 in 100 million.
const SHOWN_IN_IDS: usize = 16;

const USER: &str = "user";

/// Appends the placeholder of a value.
pub(crate) fn write(out: &mut String, key: &Hmac<Sha256>, kind: Kind, value: &str) {
    write_hash(out, key, kind.name(), &normalised(kind, value), SHOWN);
}

/// Appends the placeholder of a value inside of an id. Spellings stay apart there: ids that differ are not the same.
pub(crate) fn write_in_id(out: &mut String, key: &Hmac<Sha256>, kind: Kind, value: &str) {
    write_hash(out, key, kind.name(), value, SHOWN_IN_IDS);
}

/// The placeholder of a user's id; of a placeholder, itself.
pub(crate) fn of_user(key: &Hmac<Sha256>, id: &str) -> String {
    let mut placeholder = String::new();
    if is_user(id) {
        placeholder.push_str(id);
    } else {
        write_hash(&mut placeholder, key, USER, id, SHOWN_IN_IDS);
    }
    placeholder
}

fn is_user(id: &str) -> bool {
    let inside = id.as_bytes().strip_prefix(b"[").and_then(|rest| inner_length(rest, USER.as_bytes(), SHOWN_IN_IDS));
    inside.is_some_and(|inside| inside + 2 == id.len())
}

fn write_hash(out: &mut String, key: &Hmac<Sha256>, name: &str, value: &str, shown: usize) {
    let mut mac = key.clone();
    mac.update(name.as_bytes());
    mac.update(&[0]);
    mac.update(value.as_bytes());
    let hash = mac.finalize().into_bytes();
    out.push('[');
    out.push_str(name);
    out.push(':');
    for byte in hash.iter().take(shown / 2) {
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
        Kind::Personal | Kind::Secret | Kind::UrlCredential | Kind::Wallet | Kind::Card | Kind::BankAccount => value.to_owned(),
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
        if let Some(length) = length_at(rest) {
            return Some(at..at + length + 2);
        }
        at += 1;
    }
}

/// How long the placeholder is whose inside begins here, without its brackets.
fn length_at(rest: &[u8]) -> Option<usize> {
    let of_kind = Kind::ALL.iter().find_map(|kind| {
        let name = kind.name().as_bytes();
        inner_length(rest, name, SHOWN).or_else(|| inner_length(rest, name, SHOWN_IN_IDS))
    });
    of_kind.or_else(|| inner_length(rest, USER.as_bytes(), SHOWN_IN_IDS))
}

fn inner_length(rest: &[u8], name: &[u8], shown: usize) -> Option<usize> {
    let hash = rest.strip_prefix(name)?.strip_prefix(b":")?;
    let is_hash = hash.get(..shown)?.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) && hash.get(shown) == Some(&b']');
    is_hash.then_some(name.len() + 1 + shown)
}

/// The key that all placeholders of one salt are made with.
pub(crate) fn key(salt: &[u8]) -> Hmac<Sha256> {
    // HMAC takes a key of any length.
    #[expect(clippy::expect_used, reason = "HMAC (RFC 2104) takes keys of every length")]
    <Hmac<Sha256> as KeyInit>::new_from_slice(salt).expect("a key of any length")
}
