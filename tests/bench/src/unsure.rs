//! Whether retrievals that found nothing relevant look unsure, and whether answers that are none or stand on nothing are
//! known without a model, on labelled collections. No measure here ever sees a label.
//!
//! A store's retrievals are learned by its own calibration and judged by it. Beside it stand what a fixed threshold on the
//! top score gives and a random order. The collections are small: every figure has an interval, from resampling whole
//! conversations, tasks or topics.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use flywheel_calibration::{Calibration, Feature, Features, UNGROUNDED, Verdict, groundedness};
use flywheel_engine::signals::Judge;
use flywheel_model::{Fact, FailureReason, Retrieval};
use flywheel_policy::Policy;
use serde::Serialize;
use serde_json::Value;
use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, Occur, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption, STORED, STRING, Schema, TEXT, Value as _};
use tantivy::tokenizer::TokenStream;
use tantivy::{Index, IndexReader, TantivyDocument, Term};

use crate::report::Table;

/// Passages that a retrieval has: Bedrock's own default.
const PASSAGES: usize = 5;
/// A passage of this grade is relevant: in TREC's grades 0 to 3, what the tracks themselves count as relevant where they
/// need yes or no.
const RELEVANT: i64 = 2;
/// Retrievals after which these small stores are judged; a store in use waits for 200.
const NEEDED: u64 = 10;
/// Thresholds on a score that one finds in guides and examples.
const CONSTANTS: [f64; 8] = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8];
/// Resamples for an interval, and orders for the random one.
const RESAMPLES: usize = 2_000;

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Unsure {
    pub(crate) unsure_retrievals: Vec<Set>,
    pub(crate) answers: Vec<Reason>,
}

/// Average precision, the area under the precision-recall curve, for "nothing relevant was retrieved".
#[derive(Debug, Serialize)]
pub(crate) struct Set {
    set: String,
    retrievals: usize,
    nothing_relevant: usize,
    prevalence: f64,
    calibrated: Interval,
    /// The best of the usual constants, chosen with the labels of this very set: better than anyone could have known.
    best_usual_threshold: Interval,
    /// The threshold that is best on the other half, for each half.
    threshold_of_other_half: Interval,
    /// The top score itself as the order: every threshold at once, which no fixed one reaches.
    order_of_score: Interval,
    random_order: f64,
    /// Less the better of the two thresholds.
    calibrated_less_threshold: Interval,
    calibrated_less_order_of_score: Interval,
    /// Of all retrievals, the share that a limit of 0.95 captures.
    at_0_95: f64,
}

/// A figure, and where 95% of its resamples lie.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Interval {
    value: f64,
    low: f64,
    high: f64,
}

/// What a reason that needs no model finds.
#[derive(Debug, Serialize)]
pub(crate) struct Reason {
    reason: &'static str,
    set: &'static str,
    truth: &'static str,
    answers: usize,
    positive: usize,
    found: usize,
    right: usize,
    precision: Option<f64>,
    recall: Option<f64>,
}

/// One retrieval with its label.
struct Labelled {
    /// What was asked together, and is resampled together.
    group: String,
    features: Features,
    nothing_relevant: bool,
}

/// One retrieval, judged.
#[derive(Clone)]
struct Judged {
    group: String,
    top: f64,
    unsureness: f64,
    nothing_relevant: bool,
}

/// Measures on the collections in a folder, prints tables.
pub(crate) fn measure(datasets: &Path) -> anyhow::Result<Unsure> {
    let folder = datasets.join("retrieval");
    let table = Table::new(&[
        ("nothing relevant retrieved", 30),
        ("n", 5),
        ("prevalence", 10),
        ("calibrated", 18),
        ("usual threshold", 15),
        ("other half's", 12),
        ("score's order", 13),
        ("random", 6),
        ("at 0.95", 7),
    ]);
    let mut sets = Vec::new();
    let mut together = Vec::new();
    for (name, retrievals) in stores(&folder)? {
        let judged = judge(&retrievals);
        sets.push(Set::of(name, &judged, &table));
        together.extend(judged);
    }
    ensure!(!sets.is_empty(), "no labelled retrievals in {}", folder.display());
    sets.push(Set::of("all stores together".to_owned(), &together, &table));
    Ok(Unsure { unsure_retrievals: sets, answers: answers(&folder)? })
}

/// Learns a store's retrievals and judges each of them.
fn judge(retrievals: &[Labelled]) -> Vec<Judged> {
    let mut calibration = Calibration::default();
    for (number, retrieval) in retrievals.iter().enumerate() {
        calibration.learn(&number.to_string(), &retrieval.features);
    }
    let judged = retrievals.iter().map(|retrieval| Judged {
        group: retrieval.group.clone(),
        top: retrieval.features.get(Feature::TopScore).unwrap_or(f64::MIN),
        unsureness: match calibration.unsure(&retrieval.features, NEEDED) {
            Verdict::Known(unsureness) => unsureness.combined,
            // Nothing was found at all.
            Verdict::Unknown => 1.0,
            Verdict::Learning { .. } => 0.0,
        },
        nothing_relevant: retrieval.nothing_relevant,
    });
    judged.collect()
}

impl Set {
    fn of(set: String, judged: &[Judged], table: &Table) -> Self {
        table.working_on(&set);
        let share = |of: &dyn Fn(&Judged) -> bool| judged.iter().filter(|one| of(one)).count() as f64 / judged.len() as f64;
        let usual = *CONSTANTS.iter().max_by(|one, other| at(judged, **one).total_cmp(&at(judged, **other))).unwrap_or(&0.5);
        let tuned = tuned(judged);
        let [calibrated, usual, other_half, score, less_threshold, less_score] = intervals(judged, |sample| {
            let of = |measure: &dyn Fn(usize, &Judged) -> f64| {
                average_precision(sample.iter().map(|at| (measure(*at, &judged[*at]), judged[*at].nothing_relevant)).collect())
            };
            let calibrated = of(&|_, one| one.unsureness);
            let score = of(&|_, one| -one.top);
            let other_half = of(&|at, one| f64::from(u8::from(one.top < tuned[at])));
            let usual = of(&|_, one| f64::from(u8::from(one.top < usual)));
            [calibrated, usual, other_half, score, calibrated - usual.max(other_half), calibrated - score]
        });
        let set = Self {
            set,
            retrievals: judged.len(),
            nothing_relevant: judged.iter().filter(|one| one.nothing_relevant).count(),
            prevalence: share(&|one| one.nothing_relevant),
            calibrated,
            best_usual_threshold: usual,
            threshold_of_other_half: other_half,
            order_of_score: score,
            random_order: random_order(judged),
            calibrated_less_threshold: less_threshold,
            calibrated_less_order_of_score: less_score,
            at_0_95: share(&|one| one.unsureness >= 0.95),
        };
        table.row(&[
            set.set.clone(),
            set.retrievals.to_string(),
            format!("{:.3}", set.prevalence),
            format!("{:.3} ({:.2}–{:.2})", set.calibrated.value, set.calibrated.low, set.calibrated.high),
            format!("{:.3}", set.best_usual_threshold.value),
            format!("{:.3}", set.threshold_of_other_half.value),
            format!("{:.3}", set.order_of_score.value),
            format!("{:.3}", set.random_order),
            format!("{:.3}", set.at_0_95),
        ]);
        set
    }
}

/// What a threshold gives on its own.
fn at(judged: &[Judged], threshold: f64) -> f64 {
    average_precision(judged.iter().map(|one| (f64::from(u8::from(one.top < threshold)), one.nothing_relevant)).collect())
}

/// For each retrieval the threshold on the top score that is best on the half to which its group does not belong.
fn tuned(judged: &[Judged]) -> Vec<f64> {
    let groups: HashSet<&str> = judged.iter().map(|one| one.group.as_str()).collect();
    let mut groups: Vec<&str> = groups.into_iter().collect();
    groups.sort_unstable();
    let first: HashSet<&str> = groups.into_iter().step_by(2).collect();
    let of_half = |in_first: bool| {
        let half: Vec<Judged> = judged.iter().filter(|one| first.contains(one.group.as_str()) == in_first).cloned().collect();
        let thresholds = half.iter().map(|one| one.top);
        thresholds.max_by(|one, other| at(&half, *one).total_cmp(&at(&half, *other))).unwrap_or_default()
    };
    let (of_first, of_second) = (of_half(true), of_half(false));
    judged.iter().map(|one| if first.contains(one.group.as_str()) { of_second } else { of_first }).collect()
}

/// Figures on all retrievals, with intervals from resampling their groups. The seed is fixed.
fn intervals<const N: usize>(judged: &[Judged], measure: impl Fn(&[usize]) -> [f64; N]) -> [Interval; N] {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, one) in judged.iter().enumerate() {
        groups.entry(&one.group).or_default().push(at);
    }
    let groups: Vec<Vec<usize>> = groups.into_values().collect();
    let mut random = fastrand::Rng::with_seed(7);
    let all: Vec<usize> = (0..judged.len()).collect();
    let values = measure(&all);
    let mut resampled: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..RESAMPLES {
        let sample: Vec<usize> = (0..groups.len()).flat_map(|_| groups[random.usize(..groups.len())].clone()).collect();
        for (list, value) in resampled.iter_mut().zip(measure(&sample)) {
            // A resample without a positive has no average precision.
            if value.is_finite() {
                list.push(value);
            }
        }
    }
    std::array::from_fn(|place| {
        let list = &mut resampled[place];
        list.sort_by(f64::total_cmp);
        let of =
            |share: f64| list.get(((list.len() as f64 * share) as usize).min(list.len().saturating_sub(1))).copied().unwrap_or(f64::NAN);
        Interval { value: values[place], low: of(0.025), high: of(0.975) }
    })
}

/// The mean over random orders, which is above the prevalence where there are few retrievals.
fn random_order(judged: &[Judged]) -> f64 {
    let mut random = fastrand::Rng::with_seed(11);
    let orders = (0..RESAMPLES).map(|_| average_precision(judged.iter().map(|one| (random.f64(), one.nothing_relevant)).collect()));
    orders.sum::<f64>() / RESAMPLES as f64
}

/// The area under the precision-recall curve in steps; those with the same measure come together, so that their order
/// among themselves is neither luck nor skill. Not a number without a positive.
fn average_precision(mut measured: Vec<(f64, bool)>) -> f64 {
    measured.sort_by(|one, other| other.0.total_cmp(&one.0));
    let positive = measured.iter().filter(|(_, positive)| *positive).count() as f64;
    let (mut seen, mut right, mut area) = (0.0, 0.0, 0.0);
    for alike in measured.chunk_by(|one, other| one.0 == other.0) {
        let new = alike.iter().filter(|(_, positive)| *positive).count() as f64;
        seen += alike.len() as f64;
        right += new;
        area += new / positive * (right / seen);
    }
    area
}

/// The labelled retrievals of each store.
fn stores(folder: &Path) -> anyhow::Result<Vec<(String, Vec<Labelled>)>> {
    let mut stores = Vec::new();
    stores.extend(trec(&folder.join("trec_run"))?.map(|retrievals| ("TREC run, graded".to_owned(), retrievals)));
    stores.extend(banking(folder)?);
    stores.extend(multi_turn(folder)?);
    Ok(stores)
}

/// A run of one system with its scores, of which the queries' and passages' texts are not known.
fn trec(folder: &Path) -> anyhow::Result<Option<Vec<Labelled>>> {
    let (run, grades) = (folder.join("run.txt"), folder.join("qrels.txt"));
    if !run.exists() || !grades.exists() {
        return Ok(None);
    }
    let mut relevant: HashMap<String, HashSet<String>> = HashMap::new();
    for line in fs::read_to_string(&grades)?.lines() {
        let [topic, _, passage, grade] = line.split_whitespace().collect::<Vec<_>>()[..] else { continue };
        if grade.parse::<i64>()? >= RELEVANT {
            relevant.entry(topic.to_owned()).or_default().insert(passage.to_owned());
        }
    }
    let mut found: BTreeMap<String, Vec<(f64, String)>> = BTreeMap::new();
    for line in fs::read_to_string(&run)?.lines() {
        let [topic, _, passage, _, score, _] = line.split_whitespace().collect::<Vec<_>>()[..] else { continue };
        found.entry(topic.to_owned()).or_default().push((score.parse()?, passage.to_owned()));
    }
    let retrievals = found.into_iter().map(|(topic, mut passages)| {
        passages.sort_by(|one, other| other.0.total_cmp(&one.0));
        passages.truncate(PASSAGES);
        Labelled {
            features: Features::of(passages.iter().map(|(score, _)| *score), None, []),
            nothing_relevant: !passages.iter().any(|(_, passage)| relevant.get(&topic).is_some_and(|ids| ids.contains(passage))),
            group: topic,
        }
    });
    Ok(Some(retrievals.collect()))
}

/// Searches the articles of a bank with what its customers are told to want: all of it as one question, and each sentence.
fn banking(folder: &Path) -> anyhow::Result<Vec<(String, Vec<Labelled>)>> {
    let tasks = lines(&folder.join("banking_kb_tasks.jsonl"))?;
    let documents = lines(&folder.join("shared/banking_kb_documents.jsonl"))?;
    if tasks.is_empty() || documents.is_empty() {
        return Ok(Vec::new());
    }
    let texts = documents.iter().map(|one| {
        let text = |field: &str| one[field].as_str().unwrap_or_default();
        (text("id").to_owned(), format!("{}\n{}", text("title"), text("content")))
    });
    let store = Store::new(texts)?;
    let (mut whole, mut sentences) = (Vec::new(), Vec::new());
    for task in &tasks {
        let group = task["id"].as_str().unwrap_or_default();
        let gold: HashSet<&str> = task["required_documents"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let told = &task["user_scenario"]["instructions"];
        let told = told.as_str().map_or_else(|| told.to_string(), str::to_owned);
        whole.push(store.retrieve(group, &told, &gold)?);
        for sentence in told.split_inclusive(['.', '!', '?', '\n']).filter(|sentence| sentence.split_whitespace().count() >= 4) {
            sentences.push(store.retrieve(group, sentence, &gold)?);
        }
    }
    Ok(vec![("banking, whole tasks".to_owned(), whole), ("banking, sentences".to_owned(), sentences)])
}

/// Searches the passages that came with the answers of the multi-turn collections. Most of the collections did not come, so
/// most questions find nothing: a store with gaps.
fn multi_turn(folder: &Path) -> anyhow::Result<Vec<(String, Vec<Labelled>)>> {
    let mut passages: BTreeMap<String, String> = BTreeMap::new();
    let mut add = |passage: &Value| {
        let text = |field: &str| passage[field].as_str().map(str::to_owned);
        passages.extend(text("document_id").zip(text("text")));
    };
    let evaluated = evaluated(folder)?;
    evaluated["documents"].as_array().into_iter().flatten().for_each(&mut add);
    for task in lines(&folder.join("mtrag_un.jsonl"))? {
        task["contexts"].as_array().into_iter().flatten().for_each(&mut add);
    }
    let mut sets = Vec::new();
    if passages.is_empty() {
        return Ok(sets);
    }
    let store = Store::new(passages)?;
    for (file, name) in [("lastturn", "multi-turn, as asked"), ("rewrite", "multi-turn, rewritten")] {
        let mut retrievals = Vec::new();
        for collection in ["clapnq", "cloud", "fiqa", "govt"] {
            let grades = folder.join(format!("mtrag_retrieval/{collection}_qrels.tsv"));
            if !grades.exists() {
                continue;
            }
            let grades = fs::read_to_string(grades)?;
            let mut gold: HashMap<&str, HashSet<&str>> = HashMap::new();
            for line in grades.lines().skip(1) {
                let [query, passage, _] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
                gold.entry(query).or_default().insert(passage);
            }
            for query in lines(&folder.join(format!("mtrag_retrieval/{collection}_{file}.jsonl")))? {
                let id = query["_id"].as_str().unwrap_or_default();
                let conversation = id.split("<::>").next().unwrap_or_default();
                let asked = query["text"].as_str().unwrap_or_default().replace("|user|:", "");
                retrievals.push(store.retrieve(conversation, &asked, gold.get(id).unwrap_or(&HashSet::new()))?);
            }
        }
        if !retrievals.is_empty() {
            sets.push((name.to_owned(), retrievals));
        }
    }
    Ok(sets)
}

/// Passages that are searched by their words, BM25.
struct Store {
    index: Index,
    reader: IndexReader,
    id: Field,
    text: Field,
}

impl Store {
    fn new(passages: impl IntoIterator<Item = (String, String)>) -> anyhow::Result<Self> {
        let mut schema = Schema::builder();
        let id = schema.add_text_field("id", STRING | STORED);
        let text = schema.add_text_field("text", TEXT | STORED);
        let index = Index::create_in_ram(schema.build());
        let mut writer = index.writer_with_num_threads::<TantivyDocument>(1, 15_000_000)?;
        for (its_id, its_text) in passages {
            let mut passage = TantivyDocument::new();
            passage.add_text(id, its_id);
            passage.add_text(text, its_text);
            writer.add_document(passage)?;
        }
        writer.commit()?;
        let reader = index.reader()?;
        Ok(Self { index, reader, id, text })
    }

    fn retrieve(&self, group: &str, query: &str, gold: &HashSet<&str>) -> anyhow::Result<Labelled> {
        let mut words = Vec::new();
        self.index.tokenizer_for_field(self.text)?.token_stream(query).process(&mut |token| words.push(token.text.clone()));
        let any_word = words.into_iter().map(|word| {
            let query = TermQuery::new(Term::from_field_text(self.text, &word), IndexRecordOption::WithFreqs);
            (Occur::Should, Box::new(query) as Box<dyn Query>)
        });
        let searcher = self.reader.searcher();
        let found = searcher.search(&BooleanQuery::new(any_word.collect()), &TopDocs::with_limit(PASSAGES).order_by_score())?;
        let (mut scores, mut texts, mut nothing_relevant) = (Vec::new(), Vec::new(), true);
        for (score, address) in found {
            let passage: TantivyDocument = searcher.doc(address)?;
            let stored = |field| passage.get_first(field).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
            nothing_relevant &= !gold.contains(stored(self.id).as_str());
            scores.push(f64::from(score));
            texts.push(stored(self.text));
        }
        let features = Features::of(scores, Some(query), texts.iter().map(String::as_str));
        Ok(Labelled { group: group.to_owned(), features, nothing_relevant })
    }
}

/// What the reasons that need no model find in answers.
fn answers(folder: &Path) -> anyhow::Result<Vec<Reason>> {
    let source = "[[data_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\nbucket = \"docs\"\n";
    let policy = Policy::parse(&format!("mode = \"act\"\n{source}")).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let judge = Judge::new(&policy.failures);
    let says_no = |answer: &str| {
        let retrieval = Retrieval { answer: Some(answer.to_owned()), ..Retrieval::default() };
        judge.failures(&Fact::Retrieval(retrieval)).iter().any(|failure| failure.reason == FailureReason::NoAnswer)
    };
    println!();
    let mut reasons = Vec::new();
    let labelled = lines(&folder.join("mtrag_un.jsonl"))?;
    let replies = labelled.iter().map(|task| {
        let unanswerable = task["answerability"][0].as_str() == Some("UNANSWERABLE");
        (says_no(task["targets"][0]["text"].as_str().unwrap_or_default()), unanswerable)
    });
    reasons.push(Reason::of("no answer", "multi-turn, four answerabilities", "unanswerable", replies));

    let evaluated = evaluated(folder)?;
    let texts: HashMap<&str, &str> = evaluated["documents"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|passage| passage["document_id"].as_str().zip(passage["text"].as_str()))
        .collect();
    let tasks: HashMap<&str, &Value> =
        evaluated["tasks"].as_array().into_iter().flatten().filter_map(|task| task["task_id"].as_str().zip(Some(task))).collect();
    let mut answers = Vec::new();
    for answer in evaluated["evaluations"].as_array().into_iter().flatten() {
        let task = answer["task_id"].as_str().and_then(|id| tasks.get(id)).context("an evaluation of no task")?;
        let passages = task["contexts"].as_array().into_iter().flatten();
        let passages: Vec<&str> = passages.filter_map(|passage| texts.get(passage["document_id"].as_str()?).copied()).collect();
        let text = answer["model_response"].as_str().unwrap_or_default();
        answers.push((task["Answerability"][0].as_str() == Some("UNANSWERABLE"), text, passages, faithfulness(answer)));
    }
    let replies = answers.iter().map(|(unanswerable, text, ..)| (says_no(text), *unanswerable));
    reasons.push(Reason::of("no answer", "multi-turn, judged by people", "unanswerable", replies));
    for (truth, least) in [("faithfulness 2 of 4 or less", 2.5), ("faithfulness less than 4 of 4", 4.0)] {
        let grounded = answers.iter().filter_map(|(_, text, passages, faithfulness)| {
            let ungrounded = groundedness(text, passages.iter().copied()).is_some_and(|share| share < UNGROUNDED);
            Some((ungrounded, (*faithfulness)? < least)).filter(|_| !passages.is_empty())
        });
        reasons.push(Reason::of("ungrounded", "multi-turn, judged by people", truth, grounded));
    }
    Ok(reasons)
}

/// The median of what people say.
fn faithfulness(answer: &Value) -> Option<f64> {
    let judgements = answer["annotations"]["faithfulness"].as_object()?.values();
    let mut grades: Vec<f64> = judgements.filter_map(|one| one["value"].as_str()?.parse().ok()).collect();
    grades.sort_by(f64::total_cmp);
    let middle = (grades.get(grades.len().checked_sub(1)? / 2)?, grades.get(grades.len() / 2)?);
    Some((middle.0 + middle.1) / 2.0)
}

impl Reason {
    /// Of answers, whether each was found and whether it should have been.
    fn of(reason: &'static str, set: &'static str, truth: &'static str, answers: impl Iterator<Item = (bool, bool)>) -> Self {
        let answers: Vec<(bool, bool)> = answers.collect();
        let count = |of: fn(&(bool, bool)) -> bool| answers.iter().filter(|answer| of(answer)).count();
        let (positive, found, right) = (count(|answer| answer.1), count(|answer| answer.0), count(|answer| answer.0 && answer.1));
        let share = |of: usize| (of > 0).then(|| right as f64 / of as f64);
        let reason =
            Self { reason, set, truth, answers: answers.len(), positive, found, right, precision: share(found), recall: share(positive) };
        println!(
            "{:<10}  {:<32}  {:<29}  {:>3} answers, {positive:>2} positive, {found:>2} found, {right:>2} right",
            reason.reason, reason.set, reason.truth, reason.answers
        );
        reason
    }
}

/// Answers that people judged, with their tasks and passages; null if they are not there.
fn evaluated(folder: &Path) -> anyhow::Result<Value> {
    let path = folder.join("mtrag_human_eval.json");
    if !path.exists() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&fs::read_to_string(&path)?).with_context(|| format!("{} is not JSON", path.display()))
}

/// The values of a file that has one on each line; none if it is not there.
fn lines(path: &Path) -> anyhow::Result<Vec<Value>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(path)?;
    let values = text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str);
    values.collect::<Result<_, _>>().with_context(|| format!("{} has a line that is not JSON", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_precision_is_the_area_in_steps() {
        assert_eq!(average_precision(vec![(0.9, true), (0.8, false), (0.7, true)]), (1.0 + 2.0 / 3.0) / 2.0);
        // All alike: the prevalence, whatever order they stand in.
        assert_eq!(average_precision(vec![(0.5, true), (0.5, false), (0.5, false), (0.5, false)]), 0.25);
        assert!(average_precision(vec![(0.5, false)]).is_nan());
    }

    #[test]
    fn a_threshold_is_tuned_without_the_half_that_it_judges() {
        let one = |group: &str, top: f64, nothing_relevant| Judged { group: group.to_owned(), top, unsureness: 0.0, nothing_relevant };
        let judged = [one("a", 1.0, true), one("b", 2.0, true), one("a", 3.0, false), one("b", 4.0, false)];
        assert_eq!(tuned(&judged), [4.0, 3.0, 4.0, 3.0]);
    }
}
