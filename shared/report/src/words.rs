//! Numbers, times and names as they stand in sentences.

use std::fmt::Display;

use jiff::Timestamp;

/// Characters of a text from elsewhere that stand in a sentence.
const QUOTED: usize = 300;

/// A number with its thousands apart: 12,345.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// So many of a thing, whose plural has an s; of a thing that ends in y, "ies".
pub(crate) fn count(many: u64, thing: &str) -> String {
    let many_of_it = || thing.strip_suffix('y').map_or_else(|| format!("{thing}s"), |stem| format!("{stem}ies"));
    format!("{} {}", number(many), if many == 1 { thing.to_owned() } else { many_of_it() })
}

/// A share of all, 0 to 1, with as many digits as tell something.
pub(crate) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    // Nothing and everything are round numbers, and only they.
    if share == 0.0 || share == 1.0 || percent.abs() >= 100.0 { format!("{percent:.0}%") } else { format!("{percent:.1}%") }
}

/// A difference of two shares, with its sign.
pub(crate) fn points(difference: f64) -> String {
    format!("{:+.1} points", 100.0 * difference)
}

/// Seconds without digits that tell nothing.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds == seconds.trunc() { format!("{seconds:.0} s") } else { format!("{seconds:.1} s") }
}

/// A time to the second.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A time to the minute.
pub(crate) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// Things one after the other, the last after "and".
pub(crate) fn listed<T: Display>(things: impl IntoIterator<Item = T>) -> String {
    let mut things: Vec<String> = things.into_iter().map(|thing| thing.to_string()).collect();
    match things.pop() {
        None => String::new(),
        Some(last) if things.is_empty() => last,
        Some(last) => format!("{} and {last}", things.join(", ")),
    }
}

/// What somebody else wrote, on one line and not too long, without the full stop that ends the sentence anyway.
pub(crate) fn quoted(text: &str) -> String {
    let words: Vec<&str> = text.split(|char: char| char.is_whitespace() || char.is_control()).filter(|word| !word.is_empty()).collect();
    shortened(words.join(" ").trim_end_matches('.'), QUOTED)
}

/// A text that is cut where it is too long, and says so.
pub(crate) fn shortened(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    text.chars().take(characters.saturating_sub(1)).chain(['…']).collect()
}

/// A name as an argument of a command that somebody may copy into a shell.
pub(crate) fn shell(name: &str) -> String {
    let plain = |char: char| char.is_alphanumeric() || "-_./:@".contains(char);
    if !name.is_empty() && !name.starts_with('-') && name.chars().all(plain) {
        return name.to_owned();
    }
    let printed: String = name.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    format!("'{}'", printed.replace('\'', "'\\''"))
}

/// Names as they are written in JSON, as words.
pub(crate) fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// A text as the beginning of a sentence.
pub(crate) fn sentence_case(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// The first digits of a hash, enough to tell it from others at a glance.
pub(crate) fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!([number(0), number(999), number(1_000), number(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([count(1, "run"), count(1_500, "run")], ["1 run", "1,500 runs"]);
        assert_eq!([count(1, "entry"), count(2, "entry")], ["1 entry", "2 entries"]);
        assert_eq!([percent(0.0), percent(0.0004), percent(0.3667), percent(1.0)], ["0%", "0.0%", "36.7%", "100%"]);
        assert_eq!([seconds(30.0), seconds(0.62)], ["30 s", "0.6 s"]);
        assert_eq!(listed(["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn a_name_in_a_command_stays_one_argument() {
        assert_eq!(shell("trip-planner"), "trip-planner");
        assert_eq!(shell("a; rm -rf ~"), "'a; rm -rf ~'");
        assert_eq!(shell("it's $(x)\n"), r"'it'\''s $(x) '");
    }

    #[test]
    fn what_others_wrote_stays_on_one_line_and_short() {
        assert_eq!(quoted(" it\n\u{1b}[31m failed. "), "it [31m failed");
        assert_eq!(quoted(&"x".repeat(5_000)).chars().count(), QUOTED);
    }
}
