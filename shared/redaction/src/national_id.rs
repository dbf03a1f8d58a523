//! Numbers that states give to persons. What has a check digit or a form of its own is found wherever it stands, what has
//! neither only beside a word that names it.

use std::ops::Range;

use crate::Kind;
use crate::checksum::{luhn, mod_11_10, remainder, verhoeff, weighted};
use crate::context::{Context, Topic};
use crate::number::Number;
use crate::text::Text;

/// The number that begins at a digit.
pub(crate) fn find(text: Text<'_>, number: &Number, context: &Context) -> Option<Range<usize>> {
    let start = number.start();
    let named = context.is(Topic::NationalId);
    let is_one = |groups: usize| {
        let end = number.end(groups - 1);
        let digits = number.digits(text, groups);
        let closes = text.closes(end);
        let separator = number.gap(text, 0);
        let even = number.is_separated(text, groups, separator);
        let dashed = even && separator == "-";
        let dotted = even && separator == ".";
        let spaced = even && separator == " ";
        let is_own_form = match number.widths(groups)[..groups] {
            [3, 2, 4] => (dashed || spaced && named) && (is_ssn(&digits) || is_itin(&digits)),
            // Brazil: CPF and CNPJ.
            [3, 3, 3, 2] => number.gap(text, 1) == "." && number.gap(text, 2) == "-" && separator == "." && is_cpf(&digits),
            [2, 3, 3, 4, 2] => separator == "." && number.gap(text, 2) == "/" && number.gap(text, 3) == "-" && is_cnpj(&digits),
            // India: Aadhaar.
            [4, 4, 4] => {
                spaced && digits[0] > 1 && number.count() == 3 && !context.is_thing() && !goes_before(text, start) && verhoeff(&digits)
            }
            // Germany: Steuer-ID.
            [2, 3, 3, 3] => spaced && is_steuer_id(&digits),
            // France: numéro d'inscription au répertoire.
            [15] | [1, 2, 2, 2, 3, 3, 2] | [13, 2] => (groups == 1 || spaced) && is_nir(&digits),
            // Sweden and Denmark write theirs alike; only Sweden's last digit checks the others.
            [6 | 8, 4] => dashed && is_date(&digits[digits.len() - 10..], [0, 1, 2]) && luhn(&digits[digits.len() - 10..]),
            // Norway: fødselsnummer.
            [11] | [6, 5] => (groups == 1 || spaced) && is_fodselsnummer(&digits),
            // Belgium: numéro national.
            [2, 2, 2, 3, 2] => separator == "." && number.gap(text, 2) == "-" && is_belgian(&digits),
            // Switzerland: AHV number, an EAN-13 of the country 756.
            [3, 4, 4, 2] => dotted && digits.starts_with(&[7, 5, 6]) && is_ean(&digits),
            // Korea: resident registration number.
            [6, 7] => dashed && (1..=8).contains(&digits[6]) && is_date(&digits, [0, 1, 2]),
            // China: resident identity number (GB 11643).
            [18] => is_chinese(&digits, digits[17]),
            // South Africa: date, sequence, citizenship, check digit.
            [13] => is_date(&digits, [0, 1, 2]) && digits[10] < 2 && matches!(digits[11], 8 | 9) && luhn(&digits) && !context.is_thing(),
            _ => false,
        };
        (closes && is_own_form).then_some(start..end)
    };
    let found = (1..=number.count()).rev().find_map(is_one).or_else(|| with_letter(text, number, named));
    // Not after a hyphen: INV-123-45-6789 is no social security number.
    let begins = |start: usize| text.opens(start) || text.before(start) == Some('/') && text.joins(start);
    found.filter(|found| begins(found.start)).or_else(|| named.then(|| beside_its_name(text, number)).flatten())
}

/// Whether another number stands right before.
fn goes_before(text: Text<'_>, start: usize) -> bool {
    text.slice(0..start).strip_suffix(' ').is_some_and(|before| before.ends_with(|character: char| character.is_ascii_digit()))
}

/// Any number right after the name of one.
fn beside_its_name(text: Text<'_>, number: &Number) -> Option<Range<usize>> {
    if number.is_date(text) || !text.opens(number.start()) {
        return None;
    }
    let groups = (1..=number.count()).rev().find(|&groups| {
        text.closes(number.end(groups - 1))
            && (7..=15).contains(&number.length(groups))
            && (0..groups - 1).all(|group| matches!(number.gap(text, group), " " | "-" | "." | "/"))
    })?;
    Some(number.start()..number.end(groups - 1))
}

/// Numbers whose last character is a letter apart: Spain's DNI 12.345.678-Z, Chile's RUT 12.345.678-K, China's with an X.
fn with_letter(text: Text<'_>, number: &Number, named: bool) -> Option<Range<usize>> {
    let groups = number.count().min(3);
    let widths = number.widths(groups);
    let digits = number.digits(text, groups);
    let end = number.end(groups - 1);
    if matches!(widths[..groups], [1 | 2, 3, 3]) && number.gap(text, 0) == "." && number.gap(text, 1) == "." && text.byte(end) == b'-' {
        let check = text.byte(end + 1).to_ascii_uppercase();
        let is_one = is_rut(&digits, check) || digits.len() == 8 && check == dni_letter(&digits);
        return (is_one && text.closes(end + 2)).then(|| number.start()..end + 2);
    }
    let first = number.digits(text, 1);
    let end = number.end(0);
    match (first.len(), text.byte(end)) {
        (7 | 8, b'-') => {
            let check = text.byte(end + 1).to_ascii_uppercase();
            let is_dni = first.len() == 8 && check.is_ascii_alphabetic() && check == dni_letter(&first);
            // Chile's other name for it is an English word, so the check digit has to be right.
            let is_run = || text.words_before(number.start(), 24).take(3).any(|word| text.slice(word).eq_ignore_ascii_case("run"));
            let is_one = is_dni || named && (check.is_ascii_digit() || check == b'K') || is_run() && is_rut(&first, check);
            (is_one && text.closes(end + 2)).then(|| number.start()..end + 2)
        }
        (8, letter) if letter.is_ascii_uppercase() => {
            (letter == dni_letter(&first) && text.closes(end + 1)).then(|| number.start()..end + 1)
        }
        (17, b'X' | b'x') => (is_chinese(&first, 10) && text.closes(end + 1)).then(|| number.start()..end + 1),
        _ => None,
    }
}

/// Numbers with letters in them that are one word, or are grouped as the United Kingdom's are.
pub(crate) fn coded(text: Text<'_>, word: &Range<usize>, context: &Context) -> Option<Range<usize>> {
    if !text.opens(word.start) {
        return None;
    }
    if let Some(found) = nino(text, word.start, context.is(Topic::NationalId)) {
        return Some(found);
    }
    if let Some(found) = henkilotunnus(text, word) {
        return Some(found);
    }
    let code = text.slice(word.clone()).as_bytes();
    let upper: [u8; 18] = std::array::from_fn(|place| code.get(place).copied().unwrap_or_default().to_ascii_uppercase());
    let is_upper = !code.iter().any(u8::is_ascii_lowercase);
    let named = context.is(Topic::NationalId);
    let is_one = match code.len() {
        // Spain: NIE.
        9 if matches!(upper[0], b'X' | b'Y' | b'Z') => {
            let digits: Vec<u8> = std::iter::once(upper[0] - b'X').chain(upper[1..8].iter().map(|byte| byte.wrapping_sub(b'0'))).collect();
            digits.iter().all(|digit| *digit < 10) && dni_letter(&digits) == upper[8]
        }
        // Singapore: NRIC and FIN.
        9 if matches!(code[0], b'S' | b'T' | b'F' | b'G' | b'M') => is_nric(code),
        // India: PAN of a person.
        10 => {
            upper[..5].iter().chain(&upper[9..10]).all(u8::is_ascii_uppercase)
                && upper[5..9].iter().all(u8::is_ascii_digit)
                && upper[3] == b'P'
                && (is_upper || named)
        }
        // Italy: codice fiscale.
        16 => is_codice_fiscale(&upper[..16]),
        // Mexico: CURP.
        18 => is_curp(&upper),
        _ => false,
    };
    if is_one {
        return text.closes(word.end).then(|| word.clone());
    }
    let digits = code.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_named = named && (7..=18).contains(&code.len()) && digits >= 4 && text.closes(word.end);
    is_named.then(|| word.clone())
}

/// A passport's or a driver's licence's number, right after a word for it.
pub(crate) fn document(text: Text<'_>, word: &Range<usize>, context: &Context) -> Option<(Range<usize>, Kind)> {
    let is_code = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'*');
    let licence = context.has(Topic::Licence) && context.has(Topic::Driver)
        || context.has(Topic::Licence) && has_word(text, word.start, "führerschein");
    let kind = match (context.is(Topic::Passport), licence) {
        (true, _) => Kind::Passport,
        (_, true) => Kind::DriverLicence,
        _ => return None,
    };
    let end = text.run(word.start, is_code);
    let code = text.slice(word.start..end);
    let digits = code.bytes().filter(u8::is_ascii_digit).count();
    let fits = (6..=20).contains(&code.len()) && digits >= 4 && !(digits == 8 && code.len() == 10 && code.contains('-'));
    (fits && text.opens(word.start) && text.closes(end)).then_some((word.start..end, kind))
}

fn has_word(text: Text<'_>, at: usize, known: &str) -> bool {
    text.words_before(at, 48).any(|word| text.slice(word).to_lowercase() == known)
}

/// The United Kingdom's national insurance number: QQ 12 34 56 C (HM Revenue & Customs, NIM39110).
fn nino(text: Text<'_>, start: usize, named: bool) -> Option<Range<usize>> {
    let mut characters = [0; 9];
    let mut at = start;
    for (place, character) in characters.iter_mut().enumerate() {
        if place > 0 && matches!(text.byte(at), b' ' | b'-') && place % 2 == 0 {
            at += 1;
        }
        *character = text.byte(at);
        at += 1;
    }
    let is_upper = !characters.iter().any(u8::is_ascii_lowercase);
    let [first, second, digits @ .., suffix] = characters.map(|byte| byte.to_ascii_uppercase());
    let is_prefix = |byte: u8| byte.is_ascii_uppercase() && !b"DFIQUV".contains(&byte);
    let is_one = is_prefix(first)
        && is_prefix(second)
        && second != b'O'
        && ![*b"BG", *b"GB", *b"KN", *b"NK", *b"NT", *b"TN", *b"ZZ"].contains(&[first, second])
        && digits.iter().all(u8::is_ascii_digit)
        && matches!(suffix, b'A'..=b'D');
    (is_one && (is_upper || named) && text.closes(at)).then_some(start..at)
}

/// The same, from the first of its pairs of digits: AB 12 34 56 C.
pub(crate) fn grouped_nino(text: Text<'_>, start: usize) -> Option<Range<usize>> {
    let letters = start.checked_sub(3).filter(|_| text.byte(start - 1) == b' ')?;
    (text.text.is_char_boundary(letters) && text.opens(letters)).then(|| nino(text, letters, false)).flatten()
}

/// Finland's henkilötunnus: DDMMYY, a sign for the century, three digits and a check character.
fn henkilotunnus(text: Text<'_>, word: &Range<usize>) -> Option<Range<usize>> {
    const CHECKS: &[u8] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    // 131052A308T is one word, 131052-308T are two and found from the first.
    let start = word.start;
    let code = text.bytes().get(start..start + 11)?;
    let sign = matches!(code[6], b'-' | b'+' | b'A'..=b'F' | b'U'..=b'Y');
    let digits: Vec<u8> = code[..6].iter().chain(&code[7..10]).map(|byte| byte.wrapping_sub(b'0')).collect();
    let is_one = sign
        && digits.iter().all(|digit| *digit < 10)
        && is_date(&digits, [2, 1, 0])
        && CHECKS[usize::try_from(remainder(&digits, 31)).unwrap_or_default()] == code[10];
    (is_one && text.closes(start + 11)).then_some(start..start + 11)
}

/// The same, from the digits before a hyphen.
pub(crate) fn finnish(text: Text<'_>, start: usize) -> Option<Range<usize>> {
    (text.opens(start) && matches!(text.byte(start + 6), b'-' | b'+')).then(|| henkilotunnus(text, &(start..start))).flatten()
}

/// Social Security Administration: no area 000, 666 or 9xx, no group 00, no serial 0000.
fn is_ssn(digits: &[u8]) -> bool {
    let number = |digits: &[u8]| digits.iter().fold(0_u32, |number, digit| number * 10 + u32::from(*digit));
    let area = number(&digits[..3]);
    area != 0 && area != 666 && area < 900 && number(&digits[3..5]) != 0 && number(&digits[5..]) != 0
}

/// Internal Revenue Service: 9xx, and groups 50 to 65, 70 to 88, 90 to 92, 94 to 99.
fn is_itin(digits: &[u8]) -> bool {
    digits[0] == 9 && matches!(digits[3] * 10 + digits[4], 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// Whether two digits each for year, month and day, in the order of these pairs, are a date. Poland and others add to the
/// month; those are found beside their names.
fn is_date(digits: &[u8], [_, month, day]: [usize; 3]) -> bool {
    let pair = |place: usize| digits[place * 2] * 10 + digits[place * 2 + 1];
    (1..=12).contains(&pair(month)) && (1..=31).contains(&pair(day))
}

fn are_same(digits: &[u8]) -> bool {
    digits.windows(2).all(|pair| pair[0] == pair[1])
}

/// Receita Federal: two check digits, modulo 11.
fn is_cpf(digits: &[u8]) -> bool {
    let check = |count: usize| {
        let sum: u32 = digits[..count].iter().zip((2..=count + 1).rev()).map(|(&digit, weight)| u32::from(digit) * weight as u32).sum();
        sum * 10 % 11 % 10 == u32::from(digits[count])
    };
    !are_same(digits) && check(9) && check(10)
}

fn is_cnpj(digits: &[u8]) -> bool {
    let check = |weights: &[u32]| {
        let rest = weighted(digits, weights) % 11;
        (if rest < 2 { 0 } else { 11 - rest }) == u32::from(digits[weights.len()])
    };
    check(&[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]) && check(&[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])
}

/// Bundeszentralamt für Steuern: one digit of the first ten comes two or three times; the last is by ISO 7064.
fn is_steuer_id(digits: &[u8]) -> bool {
    let most = (0..10).map(|digit| digits[..10].iter().filter(|known| **known == digit).count()).max();
    digits[0] != 0 && matches!(most, Some(2 | 3)) && mod_11_10(digits)
}

/// INSEE: sex, year, month, department, commune, order, and a key modulo 97.
fn is_nir(digits: &[u8]) -> bool {
    let month = digits[3] * 10 + digits[4];
    matches!(digits[0], 1..=4 | 7 | 8)
        && (matches!(month, 1..=12 | 20..=42) || month >= 50)
        && 97 - remainder(&digits[..13], 97) == u64::from(digits[13] * 10 + digits[14])
}

/// Skatteetaten: two check digits, modulo 11.
fn is_fodselsnummer(digits: &[u8]) -> bool {
    let day = digits[0] * 10 + digits[1];
    let month = digits[2] * 10 + digits[3];
    matches!(day, 1..=31 | 41..=71)
        && (1..=12).contains(&month)
        && weighted(digits, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11)
        && weighted(digits, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

/// The last two are 97 minus the rest of the others, which get a 2 before them for births since 2000.
fn is_belgian(digits: &[u8]) -> bool {
    let check = u64::from(digits[9] * 10 + digits[10]);
    let later: Vec<u8> = std::iter::once(2).chain(digits[..9].iter().copied()).collect();
    97 - remainder(&digits[..9], 97) == check || 97 - remainder(&later, 97) == check
}

fn is_ean(digits: &[u8]) -> bool {
    weighted(digits, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
}

/// ISO 7064, MOD 11-2, where 10 is written X.
fn is_chinese(digits: &[u8], check: u8) -> bool {
    let month = digits[10] * 10 + digits[11];
    let day = digits[12] * 10 + digits[13];
    let sum = weighted(digits, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]) + u32::from(check);
    matches!(digits[6..8], [1, 8 | 9] | [2, 0]) && (1..=12).contains(&month) && (1..=31).contains(&day) && sum % 11 == 1
}

/// Servicio de Registro Civil: weights 2 to 7 from the right, modulo 11, 10 is written K.
fn is_rut(digits: &[u8], check: u8) -> bool {
    let sum: u32 = digits.iter().rev().zip([2, 3, 4, 5, 6, 7].iter().cycle()).map(|(&digit, weight)| u32::from(digit) * weight).sum();
    let expected = match 11 - sum % 11 {
        11 => b'0',
        10 => b'K',
        digit => b'0' + u8::try_from(digit).unwrap_or_default(),
    };
    expected == check
}

/// Ministerio del Interior: the number modulo 23 names the letter.
fn dni_letter(digits: &[u8]) -> u8 {
    b"TRWAGMYFPDXBNJZSQVHLCKE"[usize::try_from(remainder(digits, 23)).unwrap_or_default()]
}

fn is_nric(code: &[u8]) -> bool {
    if !code[1..8].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let digits: Vec<u8> = code[1..8].iter().map(|byte| byte - b'0').collect();
    let sum = weighted(&digits, &[2, 7, 6, 5, 4, 3, 2]);
    let (added, letters) = match code[0] {
        b'S' => (0, b"JZIHGFEDCBA"),
        b'T' => (4, b"JZIHGFEDCBA"),
        b'F' => (0, b"XWUTRQPNMLK"),
        b'G' => (4, b"XWUTRQPNMLK"),
        _ => (3, b"KLJNPQRTUWX"),
    };
    letters[usize::try_from((sum + added) % 11).unwrap_or_default()] == code[8]
}

/// Agenzia delle Entrate (D.M. 23/12/1976): odd places count by a table of their own.
fn is_codice_fiscale(code: &[u8]) -> bool {
    const ODD: [u32; 26] = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let is_letter = |place: usize| matches!(place, 0..=5 | 8 | 11 | 15);
    // Where two persons would have the same code, letters stand for digits.
    let fits = |place: usize, byte: u8| {
        if is_letter(place) { byte.is_ascii_uppercase() } else { byte.is_ascii_digit() || b"LMNPQRSTUV".contains(&byte) }
    };
    if !code.iter().enumerate().all(|(place, byte)| fits(place, *byte)) || !b"ABCDEHLMPRST".contains(&code[8]) {
        return false;
    }
    let value = |byte: u8| u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' });
    let sum: u32 =
        code[..15].iter().enumerate().map(|(place, byte)| if place % 2 == 0 { ODD[value(*byte) as usize] } else { value(*byte) }).sum();
    sum % 26 == value(code[15])
}

/// Registro Nacional de Población: letters, date, sex, state, consonants, and a check digit.
fn is_curp(code: &[u8; 18]) -> bool {
    let is_form = code[..4].iter().all(u8::is_ascii_uppercase)
        && code[4..10].iter().all(u8::is_ascii_digit)
        && matches!(code[10], b'H' | b'M' | b'X')
        && code[11..16].iter().all(u8::is_ascii_uppercase)
        && code[17].is_ascii_digit();
    let value = |byte: u8| u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' + 10 + u8::from(byte > b'N') });
    let sum: u32 = code[..17].iter().zip((2..=18).rev()).map(|(byte, weight)| value(*byte) * weight).sum();
    is_form && (10 - sum % 10) % 10 == u32::from(code[17] - b'0')
}
