//! Which questions are taken for the same: on real paraphrases, on questions changed on purpose, and over very many.
//!
//! The questions are those of a folder of labelled collections, if one is named: the last turns of conversations and what people made
//! of them so that they can be understood alone. Otherwise a few are made from templates, and there are no paraphrases.
//! Conversations are dealt out to two halves: a threshold is picked on one, and the figures are those of the other.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Instant;

use clap::Args;
use flywheel_similarity::{Question, THRESHOLD, clusters, contradicts, same, similarity};
use serde::Serialize;
use serde_json::Value;

use crate::report::{Table, short};

/// What the benchmark may be told.
#[derive(Args)]
pub(crate) struct Settings {
    /// Questions to find the duplicates among
    #[arg(long, default_value_t = 100_000)]
    questions: usize,
    /// Of these, how many are also compared each with each
    #[arg(long, default_value_t = 2_000)]
    sample: usize,
}

/// What was found of near duplicates.
#[derive(Serialize)]
pub(crate) struct NearDuplicates {
    /// Where the questions come from.
    questions: &'static str,
    /// The threshold in use.
    threshold: f64,
    /// The lowest with a precision of at least [`PRECISION`] on the first half.
    picked_on_the_first_half: Option<f64>,
    /// On the first half, by threshold.
    first_half: Vec<Figures>,
    /// On the second, with the threshold in use.
    second_half: Figures,
    /// The same without what contradicts likeness: shingles alone.
    second_half_by_shingles_alone: Figures,
    /// Very many in one process.
    many: Many,
}

/// Of pairs of questions that are the same, and of pairs that are not, how many were taken for the same.
#[derive(Serialize)]
struct Figures {
    threshold: f64,
    /// Of what is taken for the same, how much is, over all pairs below: it depends on how many there are of each.
    precision: f64,
    /// Of what is the same, how much is taken for it, over all pairs below.
    recall: f64,
    same: BTreeMap<&'static str, Share>,
    different: BTreeMap<&'static str, Share>,
}

#[derive(Serialize, Default)]
struct Share {
    taken_for_the_same: usize,
    of: usize,
}

#[derive(Serialize)]
struct Many {
    questions: usize,
    /// Different questions that they were made from.
    made_from: usize,
    clusters: usize,
    /// Of the pairs in one cluster, how many were made from one question.
    precision: f64,
    /// Of the pairs made from one question, how many are in one cluster.
    recall: f64,
    reading_seconds: f64,
    clustering_seconds: f64,
    /// The most that the process held during both, beyond what it held before: Linux only.
    peak_megabytes: Option<f64>,
    /// As many of them as were compared each with each.
    sample: usize,
    sample_all_pairs_seconds: f64,
    /// The same for all of them, which was not run: by the square of their number.
    all_pairs_seconds_extrapolated: f64,
    /// Of the pairs that are the same in the sample, how many are in one cluster, by a band or through others.
    in_one_cluster: f64,
}

/// What a threshold must reach to be picked: a wrong match loses a test case, a missed one only keeps two.
const PRECISION: f64 = 0.99;
const THRESHOLDS: [f64; 9] = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9];

/// Measures and prints a table.
pub(crate) fn measure(settings: &Settings, datasets: Option<&Path>) -> anyhow::Result<NearDuplicates> {
    let conversations = conversations(datasets)?;
    let from = if conversations.iter().any(|conversation| conversation.turns.iter().any(|turn| turn.asked != turn.alone)) {
        "the datasets"
    } else {
        "templates"
    };
    let [first, second] = [0, 1].map(|half| {
        let ours: Vec<&Conversation> = conversations.iter().skip(half).step_by(2).collect();
        pairs(&ours, &mut fastrand::Rng::with_seed(11 + half as u64))
    });
    let checked =
        |threshold| move |one: &Question, other: &Question| similarity(one, other) >= threshold && contradicts(one, other).is_none();
    let first_half: Vec<Figures> = THRESHOLDS.iter().map(|threshold| figures(&first, *threshold, checked(*threshold))).collect();
    let picked = first_half.iter().find(|figures| figures.precision >= PRECISION).map(|figures| figures.threshold);
    let second_half = figures(&second, THRESHOLD, same);
    let alone = figures(&second, THRESHOLD, |one, other| similarity(one, other) >= THRESHOLD);

    let table = Table::new(&[("pairs of the second half", 34), ("of", 7), ("the same", 8), ("by shingles alone", 8)]);
    for (sets, alone) in [(&second_half.same, &alone.same), (&second_half.different, &alone.different)] {
        for (name, Share { taken_for_the_same, of }) in sets {
            table.row(&[(*name).to_owned(), of.to_string(), taken_for_the_same.to_string(), alone[name].taken_for_the_same.to_string()]);
        }
    }
    println!("precision {}, recall {}\n", short(second_half.precision), short(second_half.recall));
    let many = many(settings, &conversations);
    Ok(NearDuplicates {
        questions: from,
        threshold: THRESHOLD,
        picked_on_the_first_half: picked,
        first_half,
        second_half,
        second_half_by_shingles_alone: alone,
        many,
    })
}

/// Questions of one topic, one after the other.
struct Conversation {
    turns: Vec<Turn>,
}

struct Turn {
    /// As it was asked.
    asked: String,
    /// As it can be understood alone.
    alone: String,
}

const ABOUT: [&str; 12] = [
    "kettle",
    "invoice",
    "family plan",
    "return label",
    "warranty card",
    "dishwasher",
    "savings account",
    "delivery window",
    "gift voucher",
    "annual subscription",
    "coffee grinder",
    "loyalty programme",
];
const ASKED: [&str; 10] = [
    "How do I cancel the {}?",
    "What does the {} cost for a new customer?",
    "Why was my {} rejected last week?",
    "Where can I see the terms of the {}?",
    "Is the {} available for students in Portugal?",
    "When will the {} be delivered to the office?",
    "Who is responsible for the {} after the sale?",
    "Can I transfer the {} to another person in my family?",
    "Which documents are necessary for the {}?",
    "What happens with the {} if I move abroad?",
];

/// The conversations of a folder of labelled collections, in the order of their ids, or such as templates give.
fn conversations(datasets: Option<&Path>) -> anyhow::Result<Vec<Conversation>> {
    let folder = datasets.map(|folder| folder.join("retrieval/mtrag_retrieval"));
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        let conversation = |about: &&str| Conversation {
            turns: ASKED.iter().map(|asked| asked.replace("{}", about)).map(|text| Turn { asked: text.clone(), alone: text }).collect(),
        };
        return Ok(ABOUT.iter().map(conversation).collect());
    };
    let mut conversations: BTreeMap<String, Vec<Turn>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(collection) = path.file_name().and_then(|name| name.to_str()?.strip_suffix("_lastturn.jsonl")) else { continue };
        let asked = texts(&path)?;
        for (id, alone) in texts(&path.with_file_name(format!("{collection}_rewrite.jsonl")))? {
            let conversation = id.split('<').next().unwrap_or_default();
            if let Some(asked) = asked.get(&id).cloned() {
                conversations.entry(conversation.to_owned()).or_default().push(Turn { asked, alone });
            }
        }
    }
    Ok(conversations.into_values().map(|turns| Conversation { turns }).collect())
}

/// The texts of a file of JSON Lines, by their ids.
fn texts(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    for line in std::fs::read_to_string(path)?.lines() {
        let record: Value = serde_json::from_str(line)?;
        let text = record["text"].as_str().unwrap_or_default().trim_start_matches("|user|:").trim();
        texts.insert(record["_id"].as_str().unwrap_or_default().to_owned(), text.to_owned());
    }
    Ok(texts)
}

/// Pairs of questions by where they come from.
#[derive(Default)]
struct Pairs {
    same: BTreeMap<&'static str, Vec<[Question; 2]>>,
    different: BTreeMap<&'static str, Vec<[Question; 2]>>,
}

fn pairs(conversations: &[&Conversation], random: &mut fastrand::Rng) -> Pairs {
    let mut pairs = Pairs::default();
    let turns: Vec<&Turn> = conversations.iter().flat_map(|conversation| &conversation.turns).collect();
    for turn in &turns {
        let (asked, alone) = (Question::of(&turn.asked), Question::of(&turn.alone));
        // Many rewrites name what the conversation was about, which no comparison of the two texts can know.
        let kind = if asked.text() == alone.text() { "real: word for word" } else { "real: rewritten" };
        if turn.asked != turn.alone {
            pairs.same.entry(kind).or_default().push([asked, alone]);
        }
        for change in CHANGES {
            if let Some(changed) = (change.make)(&turn.alone, random) {
                let sets = if change.is_the_same { &mut pairs.same } else { &mut pairs.different };
                sets.entry(change.name).or_default().push([Question::of(&turn.alone), Question::of(&changed)]);
            }
        }
        let other = turns[random.usize(..turns.len())];
        if let Some(replaced) = word_replaced(&turn.alone, &other.alone, random) {
            pairs.different.entry("one word of another question").or_default().push([Question::of(&turn.alone), Question::of(&replaced)]);
        }
    }
    for (place, conversation) in conversations.iter().enumerate() {
        for (number, turn) in conversation.turns.iter().enumerate() {
            for later in &conversation.turns[number + 1..] {
                let near = pairs.different.entry("real: other turn of one conversation").or_default();
                near.push([Question::of(&turn.alone), Question::of(&later.alone)]);
                near.push([Question::of(&turn.asked), Question::of(&later.alone)]);
            }
            let far = pairs.different.entry("real: other conversations").or_default();
            for other in &conversations[place + 1..] {
                let other = &other.turns[random.usize(..other.turns.len())];
                far.push([Question::of(&turn.alone), Question::of(&other.alone)]);
            }
        }
    }
    pairs
}

fn figures(pairs: &Pairs, threshold: f64, taken: impl Fn(&Question, &Question) -> bool) -> Figures {
    let shares = |sets: &BTreeMap<&'static str, Vec<[Question; 2]>>| -> BTreeMap<&'static str, Share> {
        let share = |pairs: &Vec<[Question; 2]>| Share {
            taken_for_the_same: pairs.iter().filter(|[one, other]| taken(one, other)).count(),
            of: pairs.len(),
        };
        sets.iter().map(|(name, pairs)| (*name, share(pairs))).collect()
    };
    let (same, different) = (shares(&pairs.same), shares(&pairs.different));
    let right: usize = same.values().map(|share| share.taken_for_the_same).sum();
    let wrong: usize = different.values().map(|share| share.taken_for_the_same).sum();
    let all: usize = same.values().map(|share| share.of).sum();
    Figures { threshold, precision: ratio(right, right + wrong), recall: ratio(right, all), same, different }
}

fn ratio(part: usize, all: usize) -> f64 {
    if all == 0 { 1.0 } else { part as f64 / all as f64 }
}

/// A way to change a question, if it can be changed so.
struct Change {
    name: &'static str,
    is_the_same: bool,
    make: fn(&str, &mut fastrand::Rng) -> Option<String>,
}

const CHANGES: [Change; 10] = [
    Change { name: "changed: case and punctuation", is_the_same: true, make: |text, random| Some(spelt(text, random)) },
    Change { name: "changed: politeness", is_the_same: true, make: |text, random| Some(politely(text, random)) },
    Change { name: "changed: order of words", is_the_same: true, make: turned },
    Change { name: "changed: articles and the like left out", is_the_same: true, make: |text, _| shortened(text) },
    Change { name: "changed: one mistake in typing", is_the_same: true, make: mistyped },
    Change { name: "changed: a synonym", is_the_same: true, make: |text, _| with_a_synonym(text) },
    Change { name: "changed: two of the above", is_the_same: true, make: |text, random| turned(&politely(text, random), random) },
    Change { name: "other order number", is_the_same: false, make: |text, random| Some(numbered(text, random.u32(20_000..30_000))) },
    Change { name: "negated", is_the_same: false, make: |text, _| negated(text) },
    Change { name: "another number", is_the_same: false, make: |text, random| another_number(text, random) },
];

fn spelt(text: &str, random: &mut fastrand::Rng) -> String {
    let plain: String = text.chars().filter(|character| !matches!(character, '?' | '!' | ';')).collect();
    match random.u8(..3) {
        0 => plain.to_uppercase(),
        1 => plain.to_lowercase() + " ??",
        _ => format!("  {}  ", plain.to_lowercase().replace(' ', "  ")),
    }
}

fn politely(text: &str, random: &mut fastrand::Rng) -> String {
    const WAYS: [&str; 8] = [
        "Please tell me: {}",
        "Hi, {} Thanks!",
        "{} Thank you in advance.",
        "I was wondering, {}",
        "Could you tell me {}",
        "Good morning. {}",
        "One of my customers wants to know: {}",
        "Short question before the weekend: {}",
    ];
    WAYS[random.usize(..WAYS.len())].replace("{}", text)
}

/// The second part before the first.
fn turned(text: &str, random: &mut fastrand::Rng) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = random.usize(1..words.len().max(2));
    (words.len() > 3).then(|| [&words[at..], &words[..at]].concat().join(" "))
}

fn shortened(text: &str) -> Option<String> {
    const LEFT_OUT: [&str; 16] = ["the", "a", "an", "of", "to", "in", "is", "are", "do", "does", "can", "i", "my", "your", "there", "it"];
    let kept: Vec<&str> = text.split_whitespace().filter(|word| !LEFT_OUT.contains(&word.to_lowercase().as_str())).collect();
    let shorter = kept.join(" ");
    (kept.len() > 1 && shorter != text).then_some(shorter)
}

/// Two letters of a longer word change places, or one is left out, doubled or another.
fn mistyped(text: &str, random: &mut fastrand::Rng) -> Option<String> {
    let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let long: Vec<&mut String> =
        words.iter_mut().filter(|word| word.len() > 5 && word.bytes().all(|letter| letter.is_ascii_alphabetic())).collect();
    let count = long.len();
    let word = long.into_iter().nth(random.usize(..count.max(1)))?;
    let at = random.usize(1..word.len() - 1);
    match random.u8(..4) {
        0 => word.insert(at, char::from(word.as_bytes()[at])),
        1 => drop(word.remove(at)),
        2 => word.replace_range(at..=at, "e"),
        _ => {
            let letter = word.remove(at);
            word.insert(at + 1, letter);
        }
    }
    let mistyped = words.join(" ");
    (mistyped != text).then_some(mistyped)
}

fn with_a_synonym(text: &str) -> Option<String> {
    const SYNONYMS: [(&str, &str); 14] = [
        ("buy", "purchase"),
        ("best", "ideal"),
        ("choose", "select"),
        ("difference", "distinction"),
        ("popular", "well-liked"),
        ("create", "build"),
        ("important", "significant"),
        ("cost", "price"),
        ("start", "begin"),
        ("types", "kinds"),
        ("reasons", "causes"),
        ("requirements", "prerequisites"),
        ("available", "offered"),
        ("documents", "papers"),
    ];
    let words: Vec<&str> = text.split(' ').collect();
    let (at, synonym) = words
        .iter()
        .enumerate()
        .find_map(|(at, word)| SYNONYMS.iter().find(|(known, _)| known == word).map(|(_, synonym)| (at, *synonym)))?;
    Some([&words[..at], &[synonym], &words[at + 1..]].concat().join(" "))
}

fn numbered(text: &str, number: u32) -> String {
    format!("{} (order {number})", text.trim_end_matches(['?', '.', ' ']))
}

fn negated(text: &str) -> Option<String> {
    const DENIED: [(&str, &str); 6] = [
        ("Can I ", "Can't I "),
        ("can I ", "can't I "),
        (" is ", " isn't "),
        ("Is ", "Isn't "),
        (" are ", " aren't "),
        ("Does ", "Doesn't "),
    ];
    if ["n't", " not ", " no ", " never ", "without "].iter().any(|denial| text.contains(denial)) {
        return None;
    }
    DENIED.iter().find(|(said, _)| text.contains(said)).map(|(said, denied)| text.replacen(said, denied, 1))
}

/// The first number in the text as another, if there is one.
fn another_number(text: &str, random: &mut fastrand::Rng) -> Option<String> {
    let at = text.find(|character: char| character.is_ascii_digit())?;
    let digit = text[at..].chars().next()?;
    let other = char::from_digit((digit.to_digit(10)? + random.u32(1..9)) % 10, 10)?;
    Some(format!("{}{other}{}", &text[..at], &text[at + 1..]))
}

/// A longer word in the place of another that is quite unlike it.
fn word_replaced(text: &str, other: &str, random: &mut fastrand::Rng) -> Option<String> {
    // Words that say how something is asked: another in their place makes no other question.
    const SAYS_NOTHING: [&str; 16] = [
        "about", "could", "would", "should", "there", "where", "which", "these", "those", "their", "other", "please", "explain", "using",
        "while", "describe",
    ];
    let is_long = |word: &&str| {
        word.len() > 4 && word.bytes().all(|letter| letter.is_ascii_alphabetic()) && !SAYS_NOTHING.contains(&word.to_lowercase().as_str())
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let ours: Vec<usize> = (0..words.len()).filter(|at| is_long(&words[*at])).collect();
    let theirs: Vec<&str> = other.split_whitespace().filter(is_long).collect();
    let (at, word) = (*ours.get(random.usize(..ours.len().max(1)))?, *theirs.get(random.usize(..theirs.len().max(1)))?);
    let begins = |word: &str| word[..3].to_lowercase();
    // One that the question has already makes no other question either.
    let is_other = words.iter().all(|known| known.get(..3).is_none_or(|known| known.to_lowercase() != begins(word)));
    is_other.then(|| [&words[..at], &[word], &words[at + 1..]].concat().join(" "))
}

/// Very many questions, made from those of the conversations with a fixed seed: a third about one of many orders, each
/// changed in none to two ways that leave it the same.
fn many(settings: &Settings, conversations: &[Conversation]) -> Many {
    let mut random = fastrand::Rng::with_seed(4);
    let turns: Vec<&Turn> = conversations.iter().flat_map(|conversation| &conversation.turns).collect();
    let changes: Vec<&Change> = CHANGES.iter().filter(|change| change.is_the_same && change.name != "changed: a synonym").collect();
    // Turns with the same words are one question.
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut made = Vec::with_capacity(settings.questions);
    for _ in 0..settings.questions {
        let mut text = turns[random.usize(..turns.len())].alone.clone();
        if random.u8(..3) == 0 {
            text = numbered(&text, random.u32(20_000..20_200));
        }
        let next = numbers.len();
        let original = *numbers.entry(Question::of(&text).text().to_owned()).or_insert(next);
        for _ in 0..random.usize(..3) {
            text = (changes[random.usize(..changes.len())].make)(&text, &mut random).unwrap_or(text);
        }
        made.push((original, text));
    }

    let before = reset_peak_memory();
    let start = Instant::now();
    let questions: Vec<Question> = made.iter().map(|(_, text)| Question::of(text)).collect();
    let reading_seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let found = clusters(questions.iter().enumerate());
    let clustering_seconds = start.elapsed().as_secs_f64();
    let peak_megabytes = before.and_then(|before| Some((peak_memory()? - before) / 1e6));

    let mut cluster_of = vec![0; questions.len()];
    for (name, ids) in &found {
        ids.iter().for_each(|id| cluster_of[*id] = *name);
    }
    let (precision, recall) = agreement(made.iter().map(|(original, _)| *original).zip(cluster_of.iter().copied()));

    let sample = &questions[..settings.sample.min(questions.len())];
    let start = Instant::now();
    let (mut alike, mut together) = (0, 0);
    for (place, one) in sample.iter().enumerate() {
        for (later, other) in sample.iter().enumerate().skip(place + 1) {
            if same(one, other) {
                alike += 1;
                together += usize::from(cluster_of[place] == cluster_of[later]);
            }
        }
    }
    let sample_all_pairs_seconds = start.elapsed().as_secs_f64();
    let many = Many {
        questions: questions.len(),
        made_from: numbers.len(),
        clusters: found.len(),
        precision,
        recall,
        reading_seconds,
        clustering_seconds,
        peak_megabytes,
        sample: sample.len(),
        sample_all_pairs_seconds,
        all_pairs_seconds_extrapolated: sample_all_pairs_seconds * (questions.len() as f64 / sample.len().max(1) as f64).powi(2),
        in_one_cluster: ratio(together, alike),
    };
    println!(
        "{} questions made from {}: {} clusters in {} s and {} MB (each with each: {} s for {}, so about {} s)",
        many.questions,
        many.made_from,
        many.clusters,
        short(reading_seconds + clustering_seconds),
        many.peak_megabytes.map_or_else(|| "?".to_owned(), short),
        short(sample_all_pairs_seconds),
        many.sample,
        short(many.all_pairs_seconds_extrapolated),
    );
    println!("pairs in one cluster: precision {precision:.4}, recall {recall:.4}");
    many
}

/// Precision and recall over pairs, from what each question was made from and the cluster it is in.
fn agreement(questions: impl Iterator<Item = (usize, usize)> + Clone) -> (f64, f64) {
    fn pairs<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> usize {
        let mut counts: HashMap<K, usize> = HashMap::new();
        keys.for_each(|key| *counts.entry(key).or_default() += 1);
        counts.values().map(|count| count * (count - 1) / 2).sum()
    }
    let both = pairs(questions.clone());
    (ratio(both, pairs(questions.clone().map(|(_, cluster)| cluster))), ratio(both, pairs(questions.map(|(original, _)| original))))
}

/// Forgets the most that the process held, and says what it holds now, in bytes.
fn reset_peak_memory() -> Option<f64> {
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    peak_memory()
}

/// The most that the process held, in bytes.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches("kB").trim();
    Some(kilobytes.parse::<f64>().ok()? * 1024.0)
}
