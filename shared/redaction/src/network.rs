//! IP addresses, network cards, and what URLs carry of their users.
//!
//! Private addresses are taken out as well: inside of a company they name a person's device. Loopback, unspecified and
//! broadcast addresses and masks are the same everywhere and stay.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use crate::context::{Context, Topic};
use crate::text::{Text, is_word};

/// The IPv4 address that begins at a digit.
pub(crate) fn ipv4(text: Text<'_>, start: usize, context: &Context) -> Option<Range<usize>> {
    let end = text.run(start, |byte| byte.is_ascii_digit() || byte == b'.');
    let end = if text.byte(end - 1) == b'.' { end - 1 } else { end };
    let address: Ipv4Addr = text.slice(start..end).parse().ok()?;
    if address.is_loopback() || address.is_unspecified() || address.octets()[0] == 0 || address.octets()[0] == 255 {
        return None;
    }
    // "Chrome/120.0.6099.109", "libfoo-1.2.3.4": of a program.
    let before = text.before(start);
    let stands_alone = match before {
        _ if text.is_escape(start) => true,
        Some('/') => text.slice(0..start).ends_with("//"),
        Some('-' | '_' | '.' | '~' | '^') => false,
        Some(before) => !is_word(before),
        None => true,
    };
    let after = text.after(end);
    let ends = match after {
        Some('-' | '_' | '+') => !text.after(end + 1).is_some_and(is_word),
        Some(after) => !is_word(after),
        None => true,
    };
    (stands_alone && ends && !is_version(text, start, context)).then_some(start..end)
}

fn is_version(text: Text<'_>, start: usize, context: &Context) -> bool {
    context.is(Topic::Version)
        && text.words_before(start, 32).take(3).any(|word| crate::context::topic(text.slice(word)) == Some(Topic::Version))
}

/// The IPv6 address around a colon.
pub(crate) fn ipv6(text: Text<'_>, colon: usize) -> Option<Range<usize>> {
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.';
    // The longest has 45 characters.
    let bytes = text.bytes();
    let back = bytes[..colon].iter().rev().take(46).take_while(|byte| is_part(**byte)).count();
    let start = colon - back;
    let forward = bytes[colon..].iter().take(46).take_while(|byte| is_part(**byte)).count();
    let candidate = text.slice(start..colon + forward);
    // A point or a colon after it belongs to the sentence.
    let candidate = candidate.strip_suffix('.').unwrap_or(candidate);
    let candidate = if candidate.ends_with("::") { candidate } else { candidate.strip_suffix(':').unwrap_or(candidate) };
    let end = start + candidate.len();
    let groups = candidate.split(':').filter(|group| !group.is_empty()).count();
    if candidate.len() < 5 || groups < 2 || !candidate.contains("::") && groups < 7 {
        return None;
    }
    let address: Ipv6Addr = candidate.parse().ok()?;
    let named = candidate.bytes().any(|byte| byte.is_ascii_digit()) && !address.is_loopback() && !address.is_unspecified();
    let stands_alone = !text.before(start).is_some_and(|before| is_word(before) || before == '_');
    let ends = !text.after(end).is_some_and(|after| is_word(after) || after == '_');
    (named && stands_alone && ends).then_some(start..end)
}

/// The network card's address (IEEE 802 EUI-48) whose first sign this is: 00:1b:44:11:3a:b7 or with hyphens.
pub(crate) fn mac(text: Text<'_>, sign: usize) -> Option<Range<usize>> {
    let start = sign.checked_sub(2)?;
    let code = text.bytes().get(start..start + 17)?;
    let separator = text.byte(sign);
    let is_one = code.iter().enumerate().all(|(place, byte)| if place % 3 == 2 { *byte == separator } else { byte.is_ascii_hexdigit() });
    let says_something = code.iter().any(|byte| byte.is_ascii_digit() && *byte != b'0') || code.iter().any(u8::is_ascii_alphabetic);
    let is_broadcast = code.iter().all(|byte| *byte == separator || byte.eq_ignore_ascii_case(&b'f'));
    let alone = |character: Option<char>| !character.is_some_and(|character| is_word(character) || character == ':' || character == '-');
    (is_one && says_something && !is_broadcast && alone(text.before(start)) && alone(text.after(start + 17))).then_some(start..start + 17)
}

/// `user:password` of a URL whose "://" begins here. The host stays readable.
pub(crate) fn credential(text: Text<'_>, colon: usize) -> Option<Range<usize>> {
    let start = colon + 3;
    // A password may have an `@` in it; the host begins after the last.
    let end =
        text.run(start, |byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'`' | b','));
    let at = start + text.slice(start..end).rfind('@')?;
    let user = text.slice(start..at);
    let is_template = user.contains(['{', '<', '$', '[']);
    (user.contains(':') && !is_template && at > start + 1).then_some(start..at)
}
