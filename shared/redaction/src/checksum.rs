//! Check digits.

/// Luhn's formula (ISO/IEC 7812-1, annex B).
pub(crate) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| {
            let digit = u32::from(digit);
            if place % 2 == 0 { digit } else { digit * 2 - if digit > 4 { 9 } else { 0 } }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The remainder of a number that is read digit by digit.
pub(crate) fn remainder(digits: &[u8], modulus: u64) -> u64 {
    digits.iter().fold(0, |rest, &digit| (rest * 10 + u64::from(digit)) % modulus)
}

/// The sum of the digits, each times its weight.
pub(crate) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(&digit, weight)| u32::from(digit) * weight).sum()
}

/// Verhoeff's scheme: multiplication in the dihedral group of ten elements.
pub(crate) fn verhoeff(digits: &[u8]) -> bool {
    const PERMUTED: [[u8; 10]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
        [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
        [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
        [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
        [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
        [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];
    let product = |a: u8, b: u8| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b - 5) % 5,
        (false, true) => 5 + (a - 5 + 5 - b) % 5,
        (false, false) => (a + 5 - b) % 5,
    };
    digits.iter().rev().enumerate().fold(0, |state, (place, &digit)| product(state, PERMUTED[place % 8][usize::from(digit % 10)])) == 0
}

/// ISO 7064, MOD 11,10: the last digit checks those before it.
pub(crate) fn mod_11_10(digits: &[u8]) -> bool {
    let Some((&check, digits)) = digits.split_last() else { return false };
    let product = digits.iter().fold(10_u32, |product, &digit| {
        let sum = (product + u32::from(digit)) % 10;
        if sum == 0 { 9 } else { sum * 2 % 11 }
    });
    (11 - product) % 10 == u32::from(check)
}

/// ISO 7064, MOD 97-10, as ISO 13616 uses it: the first four characters go to the end, letters count from 10.
pub(crate) fn mod_97_10(characters: impl Iterator<Item = u8> + Clone) -> bool {
    let moved = characters.clone().skip(4).chain(characters.take(4));
    let rest = moved.fold(0_u32, |rest, character| match character {
        b'0'..=b'9' => (rest * 10 + u32::from(character - b'0')) % 97,
        _ => (rest * 100 + u32::from(character.to_ascii_uppercase().wrapping_sub(b'A')) + 10) % 97,
    });
    rest == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> Vec<u8> {
        text.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect()
    }

    #[test]
    fn published_examples_are_right_and_changed_ones_wrong() {
        for (check, right, wrong) in [
            (luhn as fn(&[u8]) -> bool, "4111111111111111", "4111111111111112"),
            (verhoeff, "2363", "2364"),
            (verhoeff, "123451", "123452"),
            (mod_11_10, "86095742719", "86095742718"),
            (mod_11_10, "47036892816", "47036892861"),
        ] {
            assert!(check(&digits(right)), "{right}");
            assert!(!check(&digits(wrong)), "{wrong}");
        }
        assert!(mod_97_10("GB82WEST12345698765432".bytes()));
        assert!(!mod_97_10("GB82WEST12345698765431".bytes()));
    }
}
