//! Postal addresses: a number and a kind of street, in the order and the languages that they are written in; boxes;
//! flats. A city and a postcode that follow belong to it. Streets that nothing names as streets are found only where the
//! words before them say "address", or a flat follows.

use std::ops::Range;

use crate::context::{Context, Topic, topic};
use crate::text::{Lower, Text, is_capitalised, is_word};

/// Kinds of street that follow the name: Bay Street. Written small they count only with these.
const STREETS: &[&str] = &["street", "road", "avenue", "boulevard", "lane", "ave", "blvd", "rd", "highway", "hwy"];

/// The same, but words of other meanings too: they count with a capital only.
const CAPITAL_STREETS: &[&str] = &[
    "st",
    "drive",
    "dr",
    "court",
    "ct",
    "place",
    "pl",
    "way",
    "terrace",
    "square",
    "sq",
    "circle",
    "cir",
    "crescent",
    "close",
    "parkway",
    "pkwy",
    "trail",
    "trl",
    "row",
    "walk",
    "mews",
    "gardens",
    "grove",
    "hill",
    "alley",
    "plaza",
    "ln",
    "loop",
    "pike",
    "path",
    "ridge",
    "quay",
    "esplanade",
    "crossroad",
    "cove",
    "bend",
    "heights",
    "manor",
    "park",
    "rise",
    "vale",
    "turnpike",
    "promenade",
    "freeway",
    "expressway",
];

/// Kinds of street that come before the name: Via Tasso.
const FOREIGN_STREETS: &[&str] = &[
    "rue",
    "via",
    "calle",
    "avenida",
    "av",
    "avda",
    "avenue",
    "rua",
    "ul",
    "ulica",
    "piazza",
    "paseo",
    "plaza",
    "praça",
    "viale",
    "corso",
    "largo",
    "travessa",
    "camino",
    "carrera",
    "boulevard",
    "bd",
    "chemin",
    "place",
    "quai",
    "impasse",
    "allée",
    "alameda",
    "rúa",
    "carrer",
    "rúa",
    "strada",
    "vicolo",
    "ronda",
    "cours",
    "passage",
    "estrada",
    "beco",
    "jalan",
    "jl",
    "c",
    "cra",
    "calzada",
    "nám",
    "náměstí",
    "trg",
    "ulice",
    "rodovia",
    "pasaje",
    "jirón",
    "jr",
    "diagonal",
    "transversal",
    "λ",
    "πλατεία",
    "οδός",
    "λεωφόρος",
];

/// Endings of street names that are one word with their kind: Ziegelgasse.
const ENDINGS: &[&str] = &[
    "strasse", "straße", "gasse", "weg", "platz", "allee", "gata", "gatan", "gade", "vej", "vegen", "veien", "vägen", "vænget", "stien",
    "straat", "laan", "plein", "katu", "kuja", "tie", "utca", "gränd", "kade", "gracht", "damm", "ufer", "steig", "gürtel", "steeg",
    "dreef", "singel", "alléen", "allén", "stræde", "torv", "torg", "torget", "svingen", "bakken", "backen", "toppen", "lia", "veg", "väg",
    "vei", "gate", "tänav", "puiestee", "iela", "gatvė", "stien", "tun", "vangur", "braut", "straeti", "stræti", "stígur", "polku",
    "ranta", "brücke",
];

/// Kinds of street that are a word after the name and before the number: Wesselényi u. 94.
const AFTER_NAME: &[&str] = &[
    "u", "út", "utca", "rkp", "tér", "krt", "tee", "mnt", "pst", "str", "strasse", "straße", "platz", "allee", "weg", "gade", "vej", "gata",
];

/// Kinds of street before the name that may have a comma before the number.
const WITH_COMMA: &[&str] = &[
    "calle",
    "avenida",
    "avda",
    "paseo",
    "plaza",
    "camino",
    "ronda",
    "carrer",
    "via",
    "viale",
    "piazza",
    "corso",
    "largo",
    "rua",
    "travessa",
    "alameda",
    "estrada",
    "praça",
    "rue",
    "avenue",
    "boulevard",
];

/// The last words of countries' names in English, and of some in their own languages.
const COUNTRIES: &[&str] = &[
    "argentina",
    "australia",
    "austria",
    "belgium",
    "bolivia",
    "brazil",
    "brasil",
    "britain",
    "bulgaria",
    "canada",
    "chile",
    "china",
    "colombia",
    "croatia",
    "cyprus",
    "czechia",
    "denmark",
    "danmark",
    "deutschland",
    "ecuador",
    "egypt",
    "england",
    "españa",
    "estonia",
    "finland",
    "france",
    "germany",
    "greece",
    "greenland",
    "hungary",
    "iceland",
    "india",
    "indonesia",
    "ireland",
    "israel",
    "italia",
    "italy",
    "japan",
    "kenya",
    "kingdom",
    "korea",
    "kuwait",
    "latvia",
    "liechtenstein",
    "lithuania",
    "luxembourg",
    "malaysia",
    "malta",
    "mexico",
    "méxico",
    "morocco",
    "nederland",
    "netherlands",
    "nigeria",
    "norge",
    "norway",
    "österreich",
    "pakistan",
    "panama",
    "paraguay",
    "peru",
    "perú",
    "philippines",
    "poland",
    "polska",
    "portugal",
    "qatar",
    "republic",
    "romania",
    "russia",
    "schweiz",
    "scotland",
    "serbia",
    "singapore",
    "slovakia",
    "slovenia",
    "africa",
    "spain",
    "states",
    "suisse",
    "suomi",
    "sverige",
    "sweden",
    "switzerland",
    "taiwan",
    "thailand",
    "tunisia",
    "turkey",
    "türkiye",
    "emirates",
    "uk",
    "ukraine",
    "uruguay",
    "usa",
    "venezuela",
    "vietnam",
    "wales",
    "zealand",
];

/// Words that begin what follows an address, not a part of it.
const AFTER_ADDRESS: &[&str] =
    &["thanks", "thank", "regards", "best", "sincerely", "cheers", "please", "it", "i", "we", "and", "tel", "email"];

const FLATS: &[&str] = &[
    "apt",
    "apartment",
    "suite",
    "ste",
    "unit",
    "floor",
    "flat",
    "apto",
    "piso",
    "apartamento",
    "depto",
    "dpto",
    "bldg",
    "building",
    "wohnung",
    "app",
];

const BOXES: &[&str] = &["postfach", "apartado", "casilla", "postbus", "bp", "postboks", "skrytka", "postilokero"];

/// Words inside of a street's name that are not written with a capital.
const LINKS: &[&str] = &[
    "de", "la", "las", "los", "du", "des", "del", "della", "delle", "dei", "di", "da", "do", "dos", "das", "el", "le", "les", "of", "the",
    "and", "e", "y", "l", "d", "von", "van", "der", "den", "zum", "am", "im", "nad", "pod", "sur", "sous", "an", "upon", "under",
];

/// Words that no street is called: "12 items on the road".
const ORDINARY: &[&str] = &[
    "a",
    "an",
    "the",
    "of",
    "to",
    "in",
    "on",
    "at",
    "for",
    "from",
    "by",
    "with",
    "and",
    "or",
    "is",
    "are",
    "was",
    "per",
    "my",
    "your",
    "down",
    "up",
    "off",
    "via",
    "any",
    "all",
    "more",
    "miles",
    "mile",
    "km",
    "blocks",
    "block",
    "hours",
    "hour",
    "minutes",
    "minute",
    "days",
    "day",
    "years",
    "year",
    "people",
    "lanes",
    "new",
    "different",
    "other",
    "major",
    "meters",
    "metres",
    "feet",
    "percent",
    "million",
    "billion",
    "times",
    "x",
];

/// Words that an address may come right after, where it is said that one comes.
const LEADS: &[&str] = &[
    "at",
    "on",
    "is",
    "to",
    "are",
    "in",
    "address",
    "adresse",
    "dirección",
    "direccion",
    "indirizzo",
    "endereço",
    "en",
    "with",
    "following",
];

/// The address whose number this is, with what comes before and after it.
pub(crate) fn find(text: Text<'_>, number: Range<usize>, context: &Context) -> Option<Range<usize>> {
    let closes = text.closes(number.end) || text.byte(number.end).is_ascii_alphanumeric() || text.byte(number.end) == b'-';
    if number.len() > 6 || !text.opens(number.start) || !closes {
        return None;
    }
    let street = post_box(text, &number)
        .or_else(|| street_after(text, &number))
        .or_else(|| street_before(text, &number))
        .map(|street| (street, false));
    let (core, has_flat) = street
        .or_else(|| Some((with_flat(text, &number)?, true)))
        .or_else(|| Some((after_lead(text, &number, context)?, false)))
        .or_else(|| Some((flat_alone(text, &number)?, true)))?;
    let start = leading_number(text, core.start);
    let start = crossed_before(text, start).unwrap_or(start);
    let (end, has_flat) = rest_of_address(text, core.end, has_flat);
    // "Tungata 11 Rott Crossroad, Apt. 322": a name before the number too.
    let named = line_before(text, start, 1).pop().filter(|word| has_flat && start == number.start && is_name(text, word));
    Some(named.map_or(start, |word| word.start)..end)
}

/// Two streets that meet, after "corner" or "intersection": the corner of Bay Street and 5th Avenue.
pub(crate) fn corner(text: Text<'_>, word: &Range<usize>) -> Option<Range<usize>> {
    let words: Vec<Range<usize>> = text.words_after(word.end, 90).take(12).collect();
    let name = |place: usize| words.get(place).map_or("", |word| text.slice(word.clone()));
    if !name(0).eq_ignore_ascii_case("of") {
        return None;
    }
    let and = (2..words.len().min(7)).find(|&place| name(place).eq_ignore_ascii_case("and"))?;
    let is_road = |word: &str| {
        is_one_of(word, STREETS)
            || has_ending(word)
            || is_one_of(word.strip_suffix('s').unwrap_or(word), CAPITAL_STREETS)
            || is_one_of(word, FOREIGN_STREETS)
    };
    let mut last = words[1].start;
    let mut is_one = false;
    let mut end = None;
    for (place, word) in words.iter().enumerate().skip(1).take(and + 5) {
        let name = name(place);
        let joined = place == 1 || joins(text.slice(last..word.start));
        let is_part = is_capitalised(name) || name.bytes().any(|byte| byte.is_ascii_digit()) || is_one_of(name, LINKS) || is_road(name);
        if !joined || place > and && !is_part && place > and + 1 {
            break;
        }
        is_one |= is_road(name) || name.bytes().any(|byte| byte.is_ascii_digit());
        last = word.end;
        if place > and && (is_part || place == and + 1) && !is_one_of(name, LINKS) {
            end = Some(word.end);
        }
    }
    let starts = !is_one_of(name(1), ORDINARY);
    end.filter(|_| is_one && starts).map(|end| words[1].start..end)
}

/// Where a street that is crossed begins: Lena and Via Tasso 129.
fn crossed_before(text: Text<'_>, start: usize) -> Option<usize> {
    let words = line_before(text, start, 4);
    let name = |place: usize| words.get(place).map_or("", |word| text.slice(word.clone()));
    let names = (1..words.len()).take_while(|&place| is_capitalised(name(place)) && !is_sentence_start(text, &words[place])).count();
    (name(0) == "and" && names > 0).then(|| words[names].start)
}

/// Past a number and what may be written to it: 12-14, 12B, "94.".
fn past_number(text: Text<'_>, end: usize) -> usize {
    let dash = text.run(end, |byte| byte == b'-');
    let range = text.run(dash, |byte| byte.is_ascii_digit());
    let end = if dash == end + 1 && range > dash { range } else { end };
    let letter = text.run(end, |byte| byte.is_ascii_alphabetic());
    if letter == end + 1 { letter } else { end }
}

/// The words after a place that are on its line and have nothing but spaces, points, hyphens and apostrophes between.
fn line_after(text: Text<'_>, from: usize, most: usize) -> Vec<Range<usize>> {
    let mut last = from;
    text.words_after(from, 80)
        .take(most)
        .take_while(|word| {
            // "2. Identify" is a list's item, "2  Prince" a table's row.
            let between = text.slice(last..word.start);
            let joined = if last == from { matches!(between, " " | "\u{A0}") } else { joins(between) };
            last = word.end;
            joined
        })
        .collect()
}

fn line_before(text: Text<'_>, at: usize, most: usize) -> Vec<Range<usize>> {
    words_before(text, at, most, joins)
}

/// The words of a line before a place, where what stands between the last of them and the place is as asked.
fn words_before(text: Text<'_>, at: usize, most: usize, leads_up: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let mut next = at;
    text.words_before(at, 80)
        .take(most)
        .take_while(|word| {
            let between = text.slice(word.end..next);
            let joined = if next == at { leads_up(between) } else { joins(between) };
            next = word.start;
            joined
        })
        .collect()
}

fn joins(between: &str) -> bool {
    matches!(between, " " | "." | ". " | "'" | "’" | "-" | "\u{A0}")
}

fn is_one_of(word: &str, known: &[&str]) -> bool {
    let lower = word.to_lowercase();
    known.contains(&lower.as_str())
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_year(word: &str) -> bool {
    word.len() == 4 && is_number(word) && (word.starts_with("19") || word.starts_with("20"))
}

/// P.O. Box 104, PSC 3294 Box 9168, Unit 4719 Box 7394, and those of the forces: FPO AA 65728 after a ship's name.
fn post_box(text: Text<'_>, number: &Range<usize>) -> Option<Range<usize>> {
    let before = line_before(text, number.start, 3);
    let word = |place: usize| before.get(place).map_or("", |word| text.slice(word.clone()));
    let is = |place: usize, known: &str| word(place).eq_ignore_ascii_case(known);
    if is(0, "box") {
        if is(1, "o") && is(2, "p") {
            return Some(before[2].start..number.end);
        }
        if is(1, "po") || is(1, "office") && is(2, "post") {
            return Some(before[if is(1, "po") { 1 } else { 2 }].start..number.end);
        }
    }
    if is(0, "psc") || is(0, "unit") || is(0, "cmr") {
        let mut after = text.words_after(number.end, 16);
        let has_box = after.next().is_some_and(|word| text.slice(word).eq_ignore_ascii_case("box"));
        let second = after.next().filter(|word| has_box && is_number(text.slice(word.clone())));
        return second.map(|second| before[0].start..second.end);
    }
    if number.len() == 5 && ["aa", "ae", "ap"].iter().any(|state| is(0, state)) && ["apo", "fpo", "dpo"].iter().any(|office| is(1, office))
    {
        let ship = text
            .words_before(before[1].start, 40)
            .take(4)
            .find(|word| matches!(text.slice(word.clone()), "USNS" | "USS" | "USCGC" | "USNV"));
        return Some(ship.map_or(before[1].start, |ship| ship.start)..number.end);
    }
    let is_box = is_one_of(word(0), BOXES) && is_capitalised(word(0)) || is(0, "postal") && (is(1, "caixa") || is(1, "boîte"));
    is_box.then(|| before[usize::from(is(0, "postal"))].start..number.end)
}

/// 3968 Bay Street, 36 rue de Pologne.
fn street_after(text: Text<'_>, number: &Range<usize>) -> Option<Range<usize>> {
    let start = number.start;
    let words = line_after(text, past_number(text, number.end), 6);
    let word = |place: usize| words.get(place).map_or("", |word| text.slice(word.clone()));
    let before = text.words_before(start, 16).next().map_or("", |word| text.slice(word));
    if is_year(text.slice(number.clone()))
        && is_one_of(before, &["in", "since", "of", "from", "by", "until", "during", "and", "early", "late", "the", "to", "a"])
    {
        return None;
    }
    if is_one_of(word(0), FOREIGN_STREETS) && word(0).len() > 1 {
        // "12 via mail", "3 place settings": words of other meanings are streets with a capital only.
        let is_other = !is_capitalised(word(0)) && is_one_of(word(0), &["via", "place", "passage", "plaza"]);
        let name = name_length(text, &words[1..], true);
        if name > 0 && !is_other {
            return Some(start..words[name].end);
        }
    }
    let kind = (1..words.len()).rev().find(|&place| {
        let small = is_one_of(word(place), STREETS);
        small || is_capitalised(word(place)) && is_one_of(word(place), CAPITAL_STREETS)
    })?;
    let capital = is_capitalised(word(kind));
    let fits = (0..kind).all(|place| {
        let word = word(place);
        let ordinal = word.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
        (is_capitalised(word) || ordinal || place > 0 && is_one_of(word, LINKS))
            && !matches!(topic(word), Some(Topic::Phone | Topic::Thing))
            || !capital && !is_capitalised(word) && !is_one_of(word, ORDINARY)
    });
    let most = if capital { 5 } else { 3 };
    // A court that a year stands before is one of justice.
    let is_year_of = is_year(text.slice(number.clone())) && is_one_of(word(kind), &["court", "park", "plaza"]);
    (fits && kind <= most && !is_year_of).then(|| start..past_direction(text, words[kind].end))
}

/// Past the point of the compass that may follow a street: Elm Street NW.
fn past_direction(text: Text<'_>, end: usize) -> usize {
    const DIRECTIONS: [&str; 12] = ["N", "S", "E", "W", "NE", "NW", "SE", "SW", "North", "South", "East", "West"];
    let word = text.words_after(end, 8).next().filter(|word| word.start == end + 1 && text.byte(end) == b' ');
    word.filter(|word| DIRECTIONS.contains(&text.slice(word.clone()))).map_or(end, |word| word.end)
}

/// Via Tasso 129, Ziegelgasse 19, Villacher Strasse 89, Wesselényi u. 94.
fn street_before(text: Text<'_>, number: &Range<usize>) -> Option<Range<usize>> {
    // "Calle Mayor, 12": Romance languages put a comma before the number.
    let words = words_before(text, number.start, 6, |between| joins(between) || between == ", ");
    let has_comma = text.slice(0..number.start).ends_with(", ");
    let word = |place: usize| words.get(place).map_or("", |word| text.slice(word.clone()));
    let end = past_number(text, number.end);
    if number.len() > 5
        || words.is_empty()
        || is_year(text.slice(number.clone())) && !is_one_of(word(0), AFTER_NAME) && !has_ending(word(0))
    {
        return None;
    }
    if !has_comma && has_ending(word(0)) && is_capitalised(word(0)) {
        let more =
            (1..3).take_while(|&place| is_capitalised(word(place)) && (place == 1 || !is_sentence_start(text, &words[place]))).count();
        // The word itself is the street; before "Strasse" alone there is its name.
        let more = if word(0).chars().count() <= 7 { more } else { 0 };
        return Some(words[more].start..end);
    }
    if !has_comma && is_one_of(word(0), AFTER_NAME) && words.len() > 1 && !is_one_of(word(1), ORDINARY) && word(1).chars().count() > 2 {
        let small = !is_capitalised(word(1));
        if !small || !matches!(word(0), "u" | "tee" | "str" | "weg") {
            return Some(words[1].start..end);
        }
    }
    let kind = (1..words.len()).find(|&place| is_one_of(word(place), FOREIGN_STREETS))?;
    let named = (0..kind).all(|place| is_capitalised(word(place)) || is_one_of(word(place), LINKS))
        && (0..kind).any(|place| is_capitalised(word(place)));
    let is_kind = is_capitalised(word(kind)) || is_one_of(word(kind), &["rue", "calle", "avenida", "rua", "ul", "ulica", "viale", "λ"]);
    let fits = !has_comma || is_one_of(word(kind), WITH_COMMA) && number.len() <= 4;
    (named && is_kind && fits && (word(kind).len() > 1)).then(|| words[kind].start..end)
}

fn has_ending(word: &str) -> bool {
    let lower = word.to_lowercase();
    let letters = lower.chars().count();
    ENDINGS.iter().any(|ending| {
        let enough = if ending.chars().count() <= 4 { ending.chars().count() + 4 } else { ending.chars().count() };
        letters >= enough && lower.ends_with(ending)
    })
}

fn is_sentence_start(text: Text<'_>, word: &Range<usize>) -> bool {
    text.slice(0..word.start).trim_end().is_empty() || text.slice(0..word.start).ends_with(['.', '\n', '!', '?'])
}

/// A street that nothing names, with a flat: 213 Pilekrogen 53 Apt. 263.
fn with_flat(text: Text<'_>, number: &Range<usize>) -> Option<Range<usize>> {
    let after = line_after(text, number.end, 4);
    let named = after.iter().take_while(|word| is_name(text, word) && !is_one_of(text.slice((*word).clone()), FLATS)).count();
    // 2505 Heatherfield Suite 620: the number comes first.
    if let Some(end) = named.checked_sub(1).and_then(|last| flat(text, after[last].end)).filter(|_| number.len() >= 2) {
        return Some(number.start..end);
    }
    let flat_end = flat(text, number.end)?;
    let words = line_before(text, number.start, 5);
    let name = words
        .iter()
        .take_while(|word| is_capitalised(text.slice((*word).clone())) || is_one_of(text.slice((*word).clone()), LINKS))
        .count();
    let capital = words[..name].iter().rposition(|word| is_capitalised(text.slice(word.clone())))?;
    Some(words[capital].start..flat_end)
}

/// A street that nothing names where the words before say that an address comes: lives on Steinfelden 73.
fn after_lead(text: Text<'_>, number: &Range<usize>, context: &Context) -> Option<Range<usize>> {
    let says_so = context.has(Topic::Address) && !is_year(text.slice(number.clone()));
    if !says_so {
        return None;
    }
    let leads = |at: usize| {
        let before = text.slice(0..at).trim_end();
        before.ends_with(':')
            || text.words_before(at, 24).find(|word| !is_number(text.slice(word.clone()))).is_some_and(|word| {
                is_one_of(text.slice(word.clone()), LEADS)
                    && text.slice(word.end..at).chars().all(|character| character.is_ascii_digit() || matches!(character, ' ' | ':' | '\n'))
            })
    };
    let end = past_number(text, number.end);
    let before = line_before(text, number.start, 4);
    let name = before.iter().take_while(|word| is_name(text, word)).count();
    if name > 0 && number.len() <= 5 && leads(before[name - 1].start) {
        return Some(before[name - 1].start..end);
    }
    let after = line_after(text, end, 5);
    let name = name_length(text, &after, false);
    if !leads(number.start) {
        return None;
    }
    if name > 0 && is_name(text, &after[0]) {
        return Some(number.start..after[name - 1].end);
    }
    to_postcode(text, end).map(|end| number.start..end)
}

/// An address that is written small, as far as the postcode on a line of its own that ends it.
fn to_postcode(text: Text<'_>, from: usize) -> Option<usize> {
    let mut last = from;
    for (place, word) in text.words_after(from, 70).take(9).enumerate() {
        let name = text.slice(word.clone());
        if !goes_on(text.slice(last..word.start)) || topic(name).is_some() {
            return None;
        }
        if place > 1 && name.len() == 5 && is_number(name) {
            return text.slice(from..word.start).contains('\n').then_some(word.end);
        }
        last = word.end;
    }
    None
}

fn is_name(text: Text<'_>, word: &Range<usize>) -> bool {
    let word = text.slice(word.clone());
    is_capitalised(word) && topic(word).is_none() && !is_month(word) && !is_one_of(word, ORDINARY)
}

fn is_month(word: &str) -> bool {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let lower = Lower::of(word);
    MONTHS.iter().any(|month| lower.text().starts_with(month))
        && word.len() <= 9
        && (word.len() <= 4 || word.ends_with('y') || word.ends_with("er") || matches!(lower.text(), "march" | "april" | "august"))
}

/// How many of the words are a street's name: with capitals, small ones only as links between. After "rue" and its like
/// one small word is a name as well.
fn name_length(text: Text<'_>, words: &[Range<usize>], after_kind: bool) -> usize {
    let mut length = 0;
    for (place, word) in words.iter().enumerate().take(5) {
        let word = text.slice(word.clone());
        if is_number(word) || topic(word).is_some_and(|topic| topic != Topic::Address) {
            break;
        }
        let small_name = after_kind && length == 0 && !is_one_of(word, LINKS) && !is_one_of(word, ORDINARY) && word.chars().count() > 3;
        if is_capitalised(word) || small_name {
            length = place + 1;
        } else if !is_one_of(word, LINKS) {
            break;
        }
    }
    length
}

/// Apt. 050 on its own, and "Suite 541" where a line begins or an address goes on.
fn flat_alone(text: Text<'_>, number: &Range<usize>) -> Option<Range<usize>> {
    let word = line_before(text, number.start, 1).pop()?;
    let name = text.slice(word.clone());
    let before = text.slice(0..word.start).trim_end_matches(' ');
    let starts = before.is_empty() || before.ends_with(['\n', ',', '?']) || before.ends_with(|character: char| character.is_ascii_digit());
    let is_flat = name.eq_ignore_ascii_case("apt")
        || matches!(name, "Suite" | "Ste" | "Apartment") && number.len() >= 2 && starts
        || name == "Suite" && number.len() == 3;
    is_flat.then_some(word.start..number.end)
}

/// Where a flat ends that comes after a place: Apt. 050, #12.
fn flat(text: Text<'_>, from: usize) -> Option<usize> {
    let at = text.run(from, |byte| matches!(byte, b' ' | b',' | b'\n' | b'\r' | b'.' | b'-' | b'>' | b'?'));
    if at - from > 6 {
        return None;
    }
    let number = if text.byte(at) == b'#' {
        at + 1
    } else {
        let word = text.words_after(at, 16).next().filter(|word| word.start == at)?;
        if !is_one_of(text.slice(word.clone()), FLATS) {
            return None;
        }
        text.run(word.end, |byte| matches!(byte, b' ' | b'.' | b'#'))
    };
    let end = text.run(number, |byte| byte.is_ascii_alphanumeric());
    (end > number && end - number <= 5 && (text.byte(number).is_ascii_digit() || end == number + 1)).then_some(end)
}

/// A number of its own before the house's: 1987 74 Diakou Street.
fn leading_number(text: Text<'_>, start: usize) -> usize {
    let Some(space) = start.checked_sub(1).filter(|at| text.byte(*at) == b' ') else { return start };
    let digits = text.bytes()[..space].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let first = space - digits;
    if (1..=6).contains(&digits) && text.opens(first) { first } else { start }
}

/// Flats after the street, and as much of city, region, postcode and country as follows. A city alone is not told from
/// any other name: it goes with a flat before it, a postcode or a country after it.
fn rest_of_address(text: Text<'_>, from: usize, mut has_flat: bool) -> (usize, bool) {
    let mut end = from;
    while let Some(next) = flat(text, end).or_else(|| flat_after_names(text, end)) {
        end = next;
        has_flat = true;
    }
    let mut last = end;
    let mut has_postcode = false;
    for (place, word) in text.words_after(end, 90).take(10).enumerate() {
        let between = text.slice(last..word.start.max(last));
        let name = text.slice(word.clone());
        let is_other = topic(name).is_some() || is_one_of(name, AFTER_ADDRESS) || is_month(name);
        if !goes_on(between) || is_other {
            return (end, has_flat);
        }
        // The second half of a postcode.
        if word.start < last {
            continue;
        }
        let is_near = !between.contains('\n') && between.len() <= 2;
        last = word.end;
        if is_british(text, &word) {
            return (word.end + 4, has_flat);
        }
        if matches!(name.len(), 4..=6) && is_number(name) && !is_year(name) {
            let more = text.run(word.end, |byte| byte == b'-' || byte.is_ascii_digit());
            let more = if text.byte(more - 1) == b'-' { more - 1 } else { more };
            if has_postcode || text.after(more).is_some_and(is_word) {
                return (end, has_flat);
            }
            has_postcode = true;
            last = more;
            end = dutch_letters(text, more).unwrap_or(more);
            last = last.max(end);
            // Where the postcode comes first, the city follows: Musterstraße 5, 12345 Berlin.
            if place > 0 {
                return (end, has_flat);
            }
            continue;
        }
        if is_one_of(name, COUNTRIES) && is_capitalised(name) {
            end = word.end;
            continue;
        }
        if !(is_capitalised(name) || is_one_of(name, LINKS) || name == "nan") || is_number(name) {
            return (end, has_flat);
        }
        if has_postcode {
            return (if is_near { word.end } else { end }, has_flat);
        }
        // A word, or a line, after a flat.
        let ends = text.after(word.end).is_none_or(|after| matches!(after, '\n' | '\r' | ',' | '.' | '?' | '!' | ';' | ')' | '"'));
        if has_flat && place < 3 && is_capitalised(name) && (is_near || ends) {
            end = word.end;
        }
    }
    (end, has_flat)
}

/// Whether what stands between two words may stand inside of an address. Quoted lines have a sign before them.
fn goes_on(between: &str) -> bool {
    let rest = between.trim_start_matches(' ');
    let unquoted = rest.strip_prefix(['\n', '\r']).map_or(rest, |line| line.trim_start_matches(['\n', '>', '?', ' ']));
    unquoted.chars().all(|character| matches!(character, ' ' | ',' | '\n' | '\r' | '(' | ')' | '-' | '\'' | '.' | '\u{A0}'))
        && !between.contains("   ")
        && between.matches('\n').count() <= 2
        && !between.contains(". ")
}

/// A flat that has a name or two before it: Rott Crossroad, Apt. 322.
fn flat_after_names(text: Text<'_>, from: usize) -> Option<usize> {
    let names = line_after(text, from, 3);
    let count = names.iter().take_while(|word| is_name(text, word)).count();
    (1..=count).find_map(|count| flat(text, names[count - 1].end))
}

/// The two letters that end a Dutch postcode: 1017 GC.
fn dutch_letters(text: Text<'_>, from: usize) -> Option<usize> {
    let letters = text.bytes().get(from + 1..from + 3)?;
    let are_letters = text.byte(from) == b' ' && letters.iter().all(u8::is_ascii_uppercase) && text.closes(from + 3);
    are_letters.then_some(from + 3)
}

/// A Canadian postcode: K1A 0B1.
fn canadian(text: Text<'_>, word: &Range<usize>) -> Option<Range<usize>> {
    let code = text.bytes().get(word.start..word.start + 7)?;
    let fits = code.iter().enumerate().all(|(place, byte)| match place {
        0 | 2 | 5 => byte.is_ascii_uppercase() && !b"DFIOQU".contains(byte),
        3 => *byte == b' ',
        _ => byte.is_ascii_digit(),
    });
    (word.len() == 3 && fits && text.closes(word.start + 7)).then_some(word.start..word.start + 7)
}

/// Five digits after a place: in Chicago 60601; and the forms of Brazil, Portugal and the United States with a hyphen.
fn after_place(text: Text<'_>, word: &Range<usize>) -> Option<Range<usize>> {
    const BEFORE: [&str; 6] = ["in", "near", "from", "around", "outside", "en"];
    const AFTER: [&str; 14] = ["in", "and", "or", "to", "for", "on", "is", "was", "since", "with", "near", "but", "at", "as"];
    let end = text.run(word.start, |byte| byte == b'-' || byte.is_ascii_digit());
    let code = text.slice(word.start..end);
    let fits = code.len() == 5 && is_number(code)
        || code
            .split_once('-')
            .is_some_and(|(first, second)| matches!((first.len(), second.len()), (4 | 5, 3) | (5, 4)) && is_number(first));
    let ends = match text.words_after(end, 16).next() {
        Some(next) if next.start == end + 1 && text.byte(end) == b' ' => AFTER.contains(&text.slice(next)),
        _ => true,
    };
    if !fits || !ends || !text.closes(end) {
        return None;
    }
    let words = words_before(text, word.start, 5, |between| matches!(between, " " | ", "));
    let names = words
        .iter()
        .take_while(|word| is_name(text, word) || is_one_of(text.slice((*word).clone()), &["de", "la", "do", "da", "le", "am", "sur"]))
        .count();
    let leads = words.get(names).is_some_and(|word| BEFORE.contains(&text.slice(word.clone())));
    (names > 0 && leads).then_some(word.start..end)
}

/// The first half of a British postcode, with the second after it.
fn is_british(text: Text<'_>, word: &Range<usize>) -> bool {
    let first = text.slice(word.clone()).as_bytes();
    let second = text.bytes().get(word.end..word.end + 4).unwrap_or_default();
    (2..=4).contains(&first.len())
        && first[0].is_ascii_uppercase()
        && first.iter().any(u8::is_ascii_digit)
        && matches!(second, [b' ', digit, a, b] if digit.is_ascii_digit() && a.is_ascii_uppercase() && b.is_ascii_uppercase())
}

/// A postcode right after a word for it, one that no other code looks like, or one after a place's name.
pub(crate) fn postcode(text: Text<'_>, word: &Range<usize>, context: &Context) -> Option<Range<usize>> {
    if !text.opens(word.start) {
        return None;
    }
    if !context.has(Topic::Postcode) {
        return if context.is_thing() { None } else { canadian(text, word).or_else(|| after_place(text, word)) };
    }
    // "zip code is 12345": nothing but these words may stand between.
    let mut next = word.start;
    let near = text.words_before(word.start, 32).take(4).find_map(|near| {
        let between = text.slice(near.end..next);
        let joins = between.len() <= 6 && !between.contains(['/', '\\', '\n', ',', '_']);
        next = near.start;
        let name = text.slice(near);
        match (joins, topic(name)) {
            (false, _) => Some(false),
            (_, Some(Topic::Postcode)) => Some(true),
            _ if is_one_of(name, &["code", "codes", "is", "was", "es", "ist", "number", "no", "my", "to"]) => None,
            _ => Some(false),
        }
    });
    let end = text.run(word.start, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let second = end + 1..text.run(end + 1, |byte| byte.is_ascii_alphanumeric());
    let has_second = text.byte(end) == b' '
        && matches!(second.len(), 2 | 3)
        && text.slice(second.clone()).bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let end = if has_second { second.end } else { end };
    (near == Some(true) && (3..=10).contains(&(end - word.start)) && text.closes(end)).then_some(word.start..end)
}
