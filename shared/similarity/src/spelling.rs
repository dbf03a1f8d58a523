//! Which words may be one in two spellings.

/// Letters at its start by which a word is known whatever its ending.
const STEM: usize = 4;
/// Letters from which on a word may have a mistake: too many shorter ones differ in one letter.
const MAY_BE_MISSPELT: usize = 5;

/// Whether two words may be one: they begin alike for at least three quarters of the shorter ("compost", "composting"), or
/// differ in one letter or in the order of two ("cancel", "cancle"), but not in the first.
pub(crate) fn alike(one: &str, other: &str) -> bool {
    if one.chars().next() != other.chars().next() {
        return false;
    }
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let start = short.iter().zip(&long).take_while(|(a, b)| a == b).count();
    let common_stem = start >= STEM && start * 4 >= short.len() * 3;
    common_stem || (short.len() >= MAY_BE_MISSPELT && one_mistake(&short[start..], &long[start..]))
}

/// Whether a letter was changed, left out or doubled, or two changed places, at the start of what differs.
fn one_mistake(short: &[char], long: &[char]) -> bool {
    match long.len() - short.len() {
        0 => {
            let same_after = |count: usize| short.get(count..).is_some_and(|rest| Some(rest) == long.get(count..));
            let swapped = matches!((short, long), ([a, b, ..], [c, d, ..]) if a == d && b == c);
            same_after(1) || (swapped && same_after(2))
        }
        1 => short == &long[1..],
        _ => false,
    }
}

/// The words of two sorted lists that are in one of them alone, each with its other spelling, no word twice. The same
/// pairs whichever list comes first.
pub(crate) fn pairs<'w>(one: &'w str, other: &'w str) -> Vec<(&'w str, &'w str)> {
    let (one, other) = if one <= other { (one, other) } else { (other, one) };
    let mut left: Vec<&str> = other.split(' ').filter(|word| one.split(' ').all(|theirs| theirs != *word)).collect();
    let mut pairs = Vec::new();
    for word in one.split(' ').filter(|word| other.split(' ').all(|theirs| theirs != *word)) {
        if let Some(place) = left.iter().position(|theirs| alike(word, theirs)) {
            pairs.push((word, left.remove(place)));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_and_single_mistakes_make_no_other_word() {
        for (one, other) in [
            ("compost", "composting"),
            ("cancelled", "cancel"),
            ("cancel", "cancle"),
            ("password", "pasword"),
            ("address", "adress"),
            ("delivery", "dilivery"),
            ("cancelación", "cancelacion"),
            ("refund", "refunt"),
        ] {
            assert!(alike(one, other) && alike(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("enable", "disable"),
            ("import", "export"),
            ("install", "uninstall"),
            ("increase", "decrease"),
            ("cost", "cast"),
            ("legal", "illegal"),
            ("convert", "convict"),
            ("monday", "monthly"),
            ("", "order"),
        ] {
            assert!(!alike(one, other) && !alike(other, one), "{one} {other}");
        }
    }

    #[test]
    fn each_word_has_one_other_spelling() {
        assert_eq!(pairs("cancel order", "cancle order"), [("cancel", "cancle")]);
        assert_eq!(pairs("cancle order", "cancel order"), [("cancel", "cancle")]);
        assert_eq!(pairs("cancel cancle", "cancels"), [("cancel", "cancels")]);
        assert_eq!(pairs("", ""), []);
    }
}
