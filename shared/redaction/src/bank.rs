//! Bank accounts: IBAN (ISO 13616), numbers beside a word for an account, and addresses of cryptocurrencies.

use std::ops::Range;

use hmac::digest::Digest;
use sha2::Sha256;

use crate::checksum::{mod_97_10, weighted};
use crate::context::{Context, Topic};
use crate::number::Number;
use crate::text::Text;

/// Each country's length, from the IBAN registry (SWIFT, release 99).
const LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 \
                       ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 \
                       KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 \
                       PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 \
                       VA22 VG24 XK20 YE30";

/// The IBAN that begins with a word, in one piece or in groups.
pub(crate) fn iban(text: Text<'_>, start: usize) -> Option<Range<usize>> {
    let &[a, b, c, d, ..] = text.bytes().get(start..)? else { return None };
    let is_head = a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_digit() && d.is_ascii_digit();
    if !is_head || !text.joins(start) {
        return None;
    }
    let country = [a.to_ascii_uppercase(), b.to_ascii_uppercase()];
    let entry = LENGTHS.split(' ').find(|entry| entry.as_bytes().starts_with(&country))?;
    let length: usize = entry.get(2..)?.parse().ok()?;
    let mut characters = Vec::with_capacity(length);
    let mut at = start;
    while characters.len() < length {
        let byte = text.byte(at);
        if byte.is_ascii_alphanumeric() {
            characters.push(byte);
        } else if !(matches!(byte, b' ' | b'-') && text.byte(at + 1).is_ascii_alphanumeric()) {
            return None;
        }
        at += 1;
    }
    let ends = text.after(at).is_none_or(|after| !crate::text::is_word(after));
    (ends && mod_97_10(characters.into_iter())).then_some(start..at)
}

/// The number of an account or a bank, where a word before it says so.
pub(crate) fn account(text: Text<'_>, number: &Number, context: &Context) -> Option<Range<usize>> {
    if !context.is(Topic::Bank) || number.is_date(text) {
        return None;
    }
    (1..=number.count()).rev().find_map(|groups| {
        let end = number.end(groups - 1);
        let separator = number.gap(text, 0);
        let is_one = groups == 1 || matches!(separator, " " | "-" | ".") && number.is_separated(text, groups, separator);
        let digits = number.digits(text, groups);
        // "Sort code 12-34-56" has six; a balance or a year has fewer than seven in one piece.
        let fits = if groups == 1 { (7..=20).contains(&digits.len()) } else { (6..=22).contains(&digits.len()) };
        let is_routing = digits.len() == 9 && weighted(&digits, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10);
        let is_named =
            is_routing || !text.words_before(number.start(), 12).next().is_some_and(|word| text.slice(word).eq_ignore_ascii_case("bank"));
        (is_one && fits && is_named && text.closes(end)).then(|| number.start()..end)
    })
}

/// The address of a cryptocurrency that is a word of its own.
pub(crate) fn wallet(text: Text<'_>, word: &Range<usize>) -> Option<Range<usize>> {
    let address = text.slice(word.clone()).as_bytes();
    let is_wallet = match address {
        [b'0', b'x' | b'X', hex @ ..] => hex.len() == 40 && hex.iter().all(u8::is_ascii_hexdigit),
        [b'1' | b'3', ..] => (26..=35).contains(&address.len()) && is_base58check(address),
        [b'b' | b'B', b'c' | b'C', b'1', data @ ..] => (14..=71).contains(&address.len()) && is_bech32(data),
        _ => false,
    };
    (is_wallet && text.opens(word.start)).then(|| word.clone())
}

/// Base58Check: the last four of 25 bytes are the beginning of a double SHA-256 of the others.
fn is_base58check(address: &[u8]) -> bool {
    const ALPHABET: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut bytes = [0_u8; 25];
    for character in address {
        let Some(value) = ALPHABET.iter().position(|known| known == character) else { return false };
        let mut carry = value;
        for byte in bytes.iter_mut().rev() {
            carry += usize::from(*byte) * 58;
            *byte = (carry & 0xFF) as u8;
            carry >>= 8;
        }
        if carry != 0 {
            return false;
        }
    }
    let (payload, check) = bytes.split_at(21);
    Sha256::digest(Sha256::digest(payload)).starts_with(check)
}

/// Bech32 and Bech32m (BIP 173, BIP 350) after the prefix "bc1".
fn is_bech32(data: &[u8]) -> bool {
    const ALPHABET: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let values = data.iter().map(|byte| ALPHABET.iter().position(|known| *known == byte.to_ascii_lowercase()));
    // The prefix, expanded: the high bits of "bc", a zero, the low bits.
    let expanded = [3, 3, 0, 2, 3].map(Some);
    let mut checksum = 1_u32;
    for value in expanded.into_iter().chain(values) {
        let Some(value) = value else { return false };
        let top = checksum >> 25;
        checksum = (checksum & 0x01FF_FFFF) << 5 ^ u32::try_from(value).unwrap_or_default();
        for (bit, generator) in GENERATOR.iter().enumerate() {
            if top >> bit & 1 == 1 {
                checksum ^= generator;
            }
        }
    }
    matches!(checksum, 1 | 0x2bc8_30a3)
}
