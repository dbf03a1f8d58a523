//! Payment cards (ISO/IEC 7812: issuer number, account, check digit).

use std::ops::Range;

use crate::checksum::luhn;
use crate::context::{Context, Topic};
use crate::number::Number;
use crate::text::Text;

/// The card whose number begins at a digit.
pub(crate) fn find(text: Text<'_>, number: &Number, context: &Context) -> Option<Range<usize>> {
    (1..=number.count()).rev().find_map(|groups| {
        let end = number.end(groups - 1);
        if !(12..=19).contains(&number.length(groups)) || !is_grouped_like_a_card(text, number, groups) || !closes(text, end) {
            return None;
        }
        let digits = number.digits(text, groups);
        let is_card = is_issued(&digits) && luhn(&digits) && !(context.is(Topic::Thing) && is_product_code(text, number));
        is_card.then(|| number.start()..end)
    })
}

/// A list may go on with a comma and a date of expiry with a slash.
fn closes(text: Text<'_>, end: usize) -> bool {
    matches!(text.byte(end), b',' | b'/') || text.closes(end)
}

fn is_grouped_like_a_card(text: Text<'_>, number: &Number, groups: usize) -> bool {
    if groups == 1 {
        return true;
    }
    let separator = number.gap(text, 0);
    matches!(separator, " " | "-" | "." | "\u{A0}")
        && number.is_separated(text, groups, separator)
        && matches!(
            number.widths(groups)[..groups],
            [4, 4, 4, 1..=4] | [4, 4, 4, 4, 1..=3] | [4, 6, 4 | 5] | [4, 4, 5] | [4, 4, 7] | [6, 13] | [4, 4, 4, 7] | [5, 4, 5, 5]
        )
}

/// Article and device numbers have a check digit too; the word before them says so.
fn is_product_code(text: Text<'_>, number: &Number) -> bool {
    text.words_before(number.start(), 24).take(2).any(|word| {
        ["upc", "ean", "isbn", "gtin", "imei", "sku", "asin", "tracking"]
            .iter()
            .any(|code| text.slice(word.clone()).eq_ignore_ascii_case(code))
    })
}

/// Whether some issuer's numbers begin like this and have this length: the networks' public ranges of issuer numbers.
fn is_issued(digits: &[u8]) -> bool {
    let length = digits.len();
    let prefix = |count: usize| digits.iter().take(count).fold(0_u32, |prefix, &digit| prefix * 10 + u32::from(digit));
    let (two, three, four) = (prefix(2), prefix(3), prefix(4));
    match two {
        // Visa.
        40..=49 => matches!(length, 13 | 16 | 18 | 19),
        // Mastercard.
        51..=55 => length == 16,
        22..=27 if (2221..=2720).contains(&four) => length == 16,
        // Mir.
        22 if (2200..=2205).contains(&four) => (16..=19).contains(&length),
        // American Express.
        34 | 37 => length == 15,
        // Diners Club.
        30 if (300..=305).contains(&three) || four == 3095 => (14..=19).contains(&length),
        36 | 38 | 39 => (14..=19).contains(&length),
        // JCB, and its older numbers.
        35 => (16..=19).contains(&length),
        21 | 18 => matches!(four, 2131 | 1800) && length == 15,
        // Discover, UnionPay, RuPay, Hipercard, Elo and Maestro share these.
        60 | 62 | 64 | 65 => (16..=19).contains(&length),
        63 | 66 | 67 | 69 | 50 | 56..=58 if is_maestro(four) => (12..=19).contains(&length),
        63 | 66 | 67 | 69 | 50 | 56..=58 => length == 16 || (17..=19).contains(&length),
        // UnionPay and RuPay.
        81 | 82 => length == 16,
        // Troy.
        97 => four == 9792 && length == 16,
        _ => false,
    }
}

fn is_maestro(four: u32) -> bool {
    matches!(four, 5018 | 5020 | 5038 | 5612 | 5893 | 6304 | 6390 | 6706 | 6709 | 6759 | 6761..=6763 | 6771)
}
