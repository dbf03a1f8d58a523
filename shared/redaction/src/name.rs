//! Names of persons where the words before them say that one comes: a title, "my name is", a field for a name. Other
//! names cannot be told from other words by their form.

use std::ops::Range;

use crate::text::{Text, is_capitalised, is_word};

/// The name after a title or after the last word of "my name is".
pub(crate) fn after(text: Text<'_>, word: &Range<usize>) -> Option<Range<usize>> {
    let trigger = text.slice(word.clone());
    if is_title(trigger) {
        // "Cheriton Dr", "Bob Sr": after a name these are none.
        let previous = text.words_before(word.start, 24).next().filter(|previous| text.slice(previous.end..word.start) == " ");
        let after_name = previous.is_some_and(|previous| is_capitalised(text.slice(previous))) && !trigger.starts_with('M');
        let from = text.run(word.end, |byte| byte == b'.');
        let from = if text.byte(from) == b' ' { from + 1 } else { return None };
        return if after_name { None } else { name_at(text, from, 3) };
    }
    let previous = text.words_before(word.start, 16).next().map_or("", |word| text.slice(word));
    let second = text.words_after(word.end, 12).next()?;
    let verb = text.slice(second.clone());
    let from = match (previous.to_lowercase().as_str(), trigger.to_lowercase().as_str()) {
        ("my" | "full" | "last" | "first" | "maiden" | "her" | "his" | "patient", "name") if matches!(verb, "is" | "was") => second.end,
        ("mi", "nombre") if verb == "es" => second.end,
        ("mein", "name") if verb == "ist" => second.end,
        ("meu", "nome") if verb == "é" => second.end,
        ("me", "llamo") | ("mi", "chiamo") | ("ich", "heiße" | "heisse") | ("m" | "me", "appelle" | "chamo") => word.end,
        _ => return None,
    };
    if text.byte(from) != b' ' {
        return None;
    }
    name_at(text, from + 1, 4)
}

fn is_title(word: &str) -> bool {
    matches!(
        word,
        "Mr" | "Mrs"
            | "Ms"
            | "Dr"
            | "Prof"
            | "mr"
            | "mrs"
            | "Herr"
            | "Frau"
            | "Mme"
            | "Sr"
            | "Sra"
            | "Señor"
            | "Señora"
            | "Signor"
            | "Signora"
    )
}

/// Words with capitals from a place on.
fn name_at(text: Text<'_>, from: usize, most: usize) -> Option<Range<usize>> {
    let mut end = from;
    for word in text.words_after(from, 80).take(most) {
        let between = text.slice(end..word.start);
        let joins = if end == from { between.is_empty() } else { matches!(between, " " | "-" | ". " | "'" | "’") };
        // After an initial there is a point; after a name it ends the sentence.
        let initial = between != ". " || text.slice(from..end).chars().rev().take_while(|character| is_word(*character)).count() == 1;
        let name = text.slice(word.clone());
        if !joins
            || !initial
            || !is_capitalised(name)
            || crate::context::topic(name).is_some()
            || name.bytes().any(|byte| byte.is_ascii_digit())
        {
            break;
        }
        end = word.end;
    }
    (end > from && text.slice(from..end).chars().count() > 1).then_some(from..end)
}

/// The value of a field for a name: `"last_name": "Li"`, `Surname: Li`.
pub(crate) fn field(text: Text<'_>, key: &str, value: &Range<usize>, quoted: bool) -> Option<Range<usize>> {
    const KEYS: [&str; 13] = [
        "firstname",
        "lastname",
        "fullname",
        "surname",
        "middlename",
        "maidenname",
        "patientname",
        "customername",
        "passengername",
        "cardholdername",
        "accountholder",
        "cardholder",
        "givenname",
    ];
    let is_key = KEYS.iter().any(|known| key.ends_with(known)) || key == "familyname";
    if !is_key {
        return None;
    }
    if quoted {
        let name = text.slice(value.clone());
        let fits = (2..=60).contains(&name.len())
            && name.chars().all(|character| is_word(character) || matches!(character, ' ' | '.' | '-' | '\'' | '’'));
        return (fits && !name.bytes().any(|byte| byte.is_ascii_digit()) && !matches!(name, "null" | "string" | "None"))
            .then(|| value.clone());
    }
    name_at(text, value.start, 4)
}
