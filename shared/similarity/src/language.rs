//! The words that say how something is asked and not what: in English, Spanish, German, French, Portuguese and Italian,
//! and particles of Chinese and Japanese. In other languages every word counts, which finds fewer duplicates.

use crate::words::Word;

/// What a question asks for, as bits.
pub(crate) mod asks {
    pub(crate) const TIME: u8 = 1;
    pub(crate) const PLACE: u8 = 2;
    pub(crate) const PERSON: u8 = 4;
    pub(crate) const QUANTITY: u8 = 8;
    pub(crate) const MANNER: u8 = 16;
    pub(crate) const REASON: u8 = 32;
    /// "What time" asks for a time and "which team" for somebody, but neither for a reason or a manner.
    pub(crate) const THING: u8 = TIME | PLACE | PERSON | QUANTITY | 64;
}

// Each list is sorted. What means something else in another of the languages is left out: German "die", Spanish "son".
#[rustfmt::skip] // One word a line otherwise.
const ENGLISH: &[&str] = &[
    "a", "able", "about", "actually", "all", "also", "am", "an", "and", "any", "are", "as", "ask", "asking", "at", "basically", "be",
    "been", "being", "but", "by", "can", "cant", "could", "describe", "did", "didnt", "do", "does", "doesnt", "doing", "done", "dont",
    "each", "exactly", "explain", "for", "get", "give", "got", "had", "has", "have", "having", "he", "hello", "help", "her",
    "here", "hey", "hi", "him", "his", "how", "i", "if", "in", "into", "is", "isnt", "it", "its", "just", "kindly", "know", "let", "like",
    "look", "looking", "may", "me", "mean", "might", "mine", "more", "most", "must", "my", "need", "not", "of", "ok", "okay", "on", "one",
    "only", "or", "our", "out", "please", "possible", "quite", "really", "say", "shall", "she", "should", "so",
    "some", "such", "talk", "talking", "tell", "than", "thank", "thanks", "that", "the", "their", "them", "then", "there", "these",
    "they", "think", "this", "those", "to", "too", "up", "us", "using", "very", "want", "was", "we", "well", "were", "what", "whats", "when",
    "where", "which", "who", "whom", "whose", "why", "will", "with", "wonder", "wondering", "wont", "would", "you", "your", "yours",
];
#[rustfmt::skip] // One word a line otherwise.
const SPANISH: &[&str] = &[
    "al", "como", "con", "cual", "cuando", "cuanto", "cuál", "cuándo", "cuánto", "cómo", "de", "decir", "decirme", "del", "donde",
    "dónde", "el", "en", "es", "esta", "este", "esto", "estoy", "está", "gracias", "hay", "hola", "la", "las", "le", "lo", "los", "me",
    "mi", "mis", "necesito", "no", "o", "para", "pero", "por", "porque", "puede", "pueden", "puedes", "puedo", "que", "quiero",
    "quisiera", "quién", "qué", "se", "ser", "si", "su", "sus", "tengo", "tiene", "tu", "un", "una", "unos", "usted", "y", "yo",
];
#[rustfmt::skip] // One word a line otherwise.
const GERMAN: &[&str] = &[
    "am", "auf", "bei", "bitte", "danke", "das", "dass", "dem", "den", "der", "des", "du", "ein", "eine", "einem", "einen", "einer", "er",
    "es", "für", "gibt", "haben", "hallo", "hat", "ich", "ihr", "ihre", "im", "ist", "kann", "kannst", "können", "könnten", "man", "mein",
    "meine", "meinem", "meinen", "meiner", "mich", "mir", "mit", "möchte", "nicht", "oder", "sagen", "sich", "sie", "sind", "und", "uns",
    "von", "wann", "warum", "was", "welche", "welcher", "welches", "wer", "werden", "wie", "wieso", "wir", "wird", "wo", "zu", "zum",
    "zur",
];
#[rustfmt::skip] // One word a line otherwise.
const FRENCH: &[&str] = &[
    "au", "aux", "avec", "avoir", "bonjour", "ce", "cette", "combien", "d", "dans", "des", "dire", "dites", "du", "elle", "en", "est",
    "et", "il", "j", "je", "l", "le", "les", "leur", "m", "ma", "merci", "mes", "moi", "mon", "n", "ne", "nous", "on", "ou", "où", "par",
    "pas", "peut", "peux", "plaît", "pour", "pourquoi", "pouvez", "puis", "qu", "quand", "quel", "quelle", "quelles", "quels", "qui",
    "quoi", "s", "sont", "sur", "t", "un", "une", "votre", "voudrais", "vous", "à", "ça",
];
#[rustfmt::skip] // One word a line otherwise.
const PORTUGUESE: &[&str] = &[
    "ao", "as", "com", "da", "das", "do", "dos", "e", "em", "eu", "isso", "meu", "minha", "na", "no", "nos", "não", "o", "obrigado",
    "olá", "onde", "ou", "pelo", "pode", "por", "posso", "preciso", "qual", "quando", "quanto", "quem", "quero", "são", "um", "uma",
    "você", "à", "é",
];
#[rustfmt::skip] // One word a line otherwise.
const ITALIAN: &[&str] = &[
    "che", "chi", "ciao", "come", "cosa", "da", "degli", "dei", "del", "della", "delle", "di", "dove", "e", "gli", "grazie", "ho", "i",
    "il", "in", "la", "le", "lo", "mi", "mia", "mio", "nel", "nella", "non", "o", "per", "perché", "posso", "puoi", "può", "quale",
    "quali", "quando", "quanto", "sono", "un", "una", "uno", "vorrei", "è",
];

/// Phrases of courtesy whose words mean something elsewhere: a shop may open "in the morning".
const COURTESIES: &[&[&str]] = &[
    &["good", "morning"],
    &["good", "afternoon"],
    &["good", "evening"],
    &["good", "day"],
    &["thank", "you", "in", "advance"],
    &["thanks", "in", "advance"],
    &["sorry", "to", "bother", "you"],
    &["excuse", "me"],
    &["quick", "question"],
    &["i", "have", "a", "question"],
    &["buenos", "días"],
    &["buenas", "tardes"],
    &["por", "favor"],
    &["guten", "tag"],
    &["guten", "morgen"],
    &["vielen", "dank"],
    &["s", "il", "vous", "plaît"],
    &["bom", "dia"],
    &["boa", "tarde"],
    &["per", "favore"],
];

/// The words without phrases of courtesy; all of them if nothing else is said.
pub(crate) fn without_courtesies(mut words: &[Word]) -> Vec<Word> {
    let all = words;
    let mut left = Vec::with_capacity(words.len());
    while let [word, rest @ ..] = words {
        let begins = |phrase: &&&[&str]| words.len() >= phrase.len() && words.iter().zip(**phrase).all(|(word, said)| word.text() == *said);
        words = match COURTESIES.iter().find(begins) {
            Some(phrase) => &words[phrase.len()..],
            None => {
                left.push(word.clone());
                rest
            }
        };
    }
    if left.is_empty() { all.to_vec() } else { left }
}

/// Whether the word says how something is asked and not what.
pub(crate) fn is_function_word(word: &str) -> bool {
    [ENGLISH, SPANISH, GERMAN, FRENCH, PORTUGUESE, ITALIAN].iter().any(|language| language.binary_search(&word).is_ok())
}

/// Whether the word denies what is said.
pub(crate) fn is_negation(word: &str) -> bool {
    #[rustfmt::skip] // One word a line otherwise.
    const NEGATIONS: &[&str] = &[
        "cannot", "cant", "didnt", "doesnt", "dont", "isnt", "jamais", "jamás", "kein", "keine", "keinen", "keiner", "never", "nicht", "nie", "no", "non", "not",
        "nunca", "não", "ohne", "pas", "sans", "sem", "senza", "sin", "without", "wont",
    ];
    NEGATIONS.binary_search(&word).is_ok()
}

/// What a word asks for, as a bit of [`asks`], given the word after it.
pub(crate) fn asks_for(word: &str, next: &str) -> u8 {
    match word {
        "when" | "cuándo" | "wann" | "quand" => asks::TIME,
        "where" | "dónde" | "wo" | "où" | "onde" | "dove" => asks::PLACE,
        "who" | "whom" | "whose" | "quién" | "wer" | "quem" => asks::PERSON,
        "why" | "warum" | "wieso" | "pourquoi" | "perché" => asks::REASON,
        "cuánto" | "combien" | "quanto" | "wieviel" => asks::QUANTITY,
        "how" if matches!(next, "many" | "much" | "long" | "often" | "far" | "old" | "big" | "large" | "fast" | "high") => asks::QUANTITY,
        "wie" if matches!(next, "viel" | "viele" | "lange" | "oft" | "weit" | "alt" | "groß") => asks::QUANTITY,
        "how" | "cómo" | "wie" => asks::MANNER,
        "what" | "whats" | "which" | "qué" | "cuál" | "welche" | "welcher" | "welches" | "quel" | "quelle" | "qual" => asks::THING,
        _ => 0,
    }
}

/// Whether the word says in which direction: what follows it may not change places with another.
pub(crate) fn is_direction(word: &str) -> bool {
    matches!(word, "from" | "to" | "into" | "than" | "before" | "after" | "desde" | "hasta" | "von" | "nach" | "vers")
}

/// The digits of a small number in words.
pub(crate) fn digits(word: &str) -> Option<&'static str> {
    Some(match word {
        "two" | "dos" | "zwei" | "deux" => "2",
        "three" | "tres" | "drei" | "trois" => "3",
        "four" | "cuatro" | "vier" | "quatre" => "4",
        "five" | "cinco" | "fünf" | "cinq" => "5",
        "six" | "seis" | "sechs" => "6",
        "seven" | "siete" | "sieben" => "7",
        "eight" | "ocho" | "acht" | "huit" => "8",
        "nine" | "nueve" | "neun" => "9",
        "ten" | "diez" | "zehn" | "dix" => "10",
        "eleven" => "11",
        "twelve" => "12",
        _ => return None,
    })
}

/// An English plural as its singular. What else changes at a word's end leaves most of its shingles.
pub(crate) fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies").filter(|stem| stem.len() > 1) {
        return format!("{stem}y");
    }
    let stem = match word.strip_suffix("es") {
        Some(stem) if stem.ends_with("ss") || stem.ends_with("sh") || stem.ends_with("ch") || stem.ends_with('x') => stem,
        _ => word.strip_suffix('s').unwrap_or(word),
    };
    let plain = stem.len() < 3 || stem.ends_with('s') && !word.ends_with("es") || stem.ends_with('u') || stem.ends_with('i');
    if plain { word } else { stem }.to_owned()
}

/// Whether the character is a particle that says nothing of what is asked, in Chinese or Japanese.
pub(crate) fn is_particle(character: char) -> bool {
    matches!(
        character,
        '的' | '了' | '吗' | '呢' | '吧' | '啊' | '请' | '我' | '您' | '你' | 'か' | 'は' | 'が' | 'を' | 'に' | 'の' | 'で' | 'も'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_as_their_search_needs() {
        for language in [ENGLISH, SPANISH, GERMAN, FRENCH, PORTUGUESE, ITALIAN] {
            assert!(language.is_sorted(), "{language:?}");
        }
        for word in ["cannot", "jamás", "no", "não", "wont"] {
            assert!(is_negation(word), "{word}");
        }
    }

    #[test]
    fn a_plural_and_its_singular_are_one() {
        for (plural, singular_of_it) in
            [("orders", "order"), ("policies", "policy"), ("boxes", "box"), ("classes", "class"), ("prices", "price"), ("matches", "match")]
        {
            assert_eq!(singular(plural), singular(singular_of_it), "{plural}");
        }
        for alone in ["status", "class", "this", "gas", "ios", "analysis"] {
            assert_eq!(singular(alone), alone);
        }
    }
}
