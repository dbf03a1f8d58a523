//! Cases captured by the real function while batches come twice, in any order and at the same time, calls fail and
//! processes die between any two steps. In the end the data sets are those of the distinct signals.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "a test")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use capture_retrievals::{Report, World};
use flywheel_engine::cases::cases;
use flywheel_engine::signals::Rules;
use flywheel_model::{Body, CaptureReason, Case, Id, Key, Observation, SignalBatch};
use flywheel_policy::Policy;
use flywheel_redaction::Redactor;
use flywheel_testkit::{CaseMemory, CaseProcess, Processes, SignalMemory, SignalProcess};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

const POLICY: &str = r#"mode = "act"
[[data_source]]
knowledge_base = "KBPRODUCTS"
data_source = "DSMANUALS1"
bucket = "docs"
[capture]
learn_from = 50
lowest_share = 0.02
"#;

fn policy() -> Policy {
    Policy::parse(POLICY).unwrap()
}

fn noon() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn observation(id: &str, minutes: i64, fact: Value) -> Observation {
    let mut signal = json!({ "id": id, "at": noon() + SignedDuration::from_mins(minutes) });
    signal.as_object_mut().unwrap().extend(fact.as_object().unwrap().clone());
    Rules::new(&policy()).observe(serde_json::from_value(signal).unwrap(), &Redactor::new(b"a test"))
}

/// A store that holds these batches of observations as evidence, all of them counted.
fn evidence(batches: &[Vec<Observation>]) -> (SignalMemory, Vec<SignalBatch>) {
    let mut memory = SignalMemory::new(1);
    let mut told = Vec::new();
    for (place, observations) in batches.iter().enumerate() {
        let name = format!("observations/{place}");
        for observation in observations {
            memory.marks.entry(observation.signal.identity()).or_insert_with(|| name.clone());
        }
        memory.objects.insert(name.clone(), observations.clone());
        told.push(SignalBatch { evidence: name, kinds: BTreeSet::from(["retrieval".to_owned()]) });
    }
    (memory, told)
}

type Site = World<SignalProcess, CaseProcess, SignalProcess, CaseProcess, CaseProcess>;

fn site(signals: &Rc<RefCell<SignalMemory>>, cases: &Rc<RefCell<CaseMemory>>) -> Site {
    let (signals, cases) = (SignalProcess(signals.clone()), CaseProcess(cases.clone()));
    World { observations: signals.clone(), store: cases.clone(), bus: signals, freshness: cases.clone(), datasets: cases }
}

/// Captures batches one after the other where nothing fails.
fn capture(batches: &[Vec<Observation>]) -> (Rc<RefCell<CaseMemory>>, Rc<RefCell<SignalMemory>>, Vec<Report>) {
    let (signals, told) = evidence(batches);
    let (signals, memory) = (Rc::new(RefCell::new(signals)), Rc::new(RefCell::new(CaseMemory::new(1))));
    let site = site(&signals, &memory);
    let reports = told.iter().map(|batch| finish(site.capture(batch, &Id::of("t", &[&batch.evidence]), &policy(), noon())).unwrap());
    let reports = reports.collect();
    (memory, signals, reports)
}

fn cases_of(memory: &CaseMemory, knowledge_base: &str) -> Vec<Case> {
    let knowledge_base = Key::try_from(knowledge_base).unwrap();
    cases(&knowledge_base, &memory.shelf_of(&knowledge_base))
}

fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

/// The observation of a number: the same number, the same signal. Some share a conversation, some a question.
fn numbered(number: u32) -> Observation {
    let subjects = ["the kettle", "the toaster", "an order", "a refund"];
    let subject = subjects[number as usize % 4];
    let query = match number / 4 % 5 {
        0 => format!("How do I descale {subject}?"),
        1 => format!("please, how can I descale {subject}"),
        2 => format!("What is the warranty of {subject} model X{}00?", 1 + number % 3),
        3 => format!("how do i descale {subject}"),
        _ => format!("Where is {subject} {}?", number % 7),
    };
    let mut retrieval = json!({ "knowledge_base": if number.is_multiple_of(5) { "KBPRODUCTS" } else { "KBHANDBOOK" }, "query": query });
    let fields = retrieval.as_object_mut().unwrap();
    if !number.is_multiple_of(3) {
        fields.insert("conversation".to_owned(), json!(format!("talk-{}", number % 6)));
    }
    match number % 7 {
        0 => drop(fields.insert("passages".to_owned(), json!([]))),
        1 => drop(fields.insert("answer".to_owned(), json!("I don't know."))),
        2 => drop(fields.insert("feedback".to_owned(), json!({ "rating": "negative", "correction": format!("Answer {}", number % 3) }))),
        _ => drop(fields.insert("passages".to_owned(), json!([{ "text": "some text", "score": 0.5 }]))),
    }
    if number % 11 == 10 {
        let turns = json!([
            { "role": "user", "text": "help" }, { "role": "assistant", "tool_calls": [{ "name": "transfer_to_human" }] },
            { "role": "assistant", "text": "I connect you." }, { "role": "assistant", "text": format!("A person says {number}.") }
        ]);
        let talk = json!({ "conversation": { "conversation": format!("talk-{}", number % 6), "turns": turns, "escalated": true } });
        return observation(&format!("c-{number}"), i64::from(number % 40), talk);
    }
    observation(&format!("r-{number}"), i64::from(number % 40), json!({ "retrieval": retrieval }))
}

/// Has batches captured until all are dealt with: in any order, some twice, several at a time, with publishing in between.
fn play(batches: &[Vec<Observation>], crash: f64, unavailable: f64, seed: u64) -> CaseMemory {
    let (mut signals, told) = evidence(batches);
    signals.unavailable = unavailable;
    let mut memory = CaseMemory::new(seed);
    memory.unavailable = unavailable;
    let (signals, memory) = (Rc::new(RefCell::new(signals)), Rc::new(RefCell::new(memory)));
    let calm = || {
        memory.borrow_mut().unavailable = 0.0;
        signals.borrow_mut().unavailable = 0.0;
    };
    Processes::new(&told, 3, crash, seed).work(50_000, calm, |told, chance| {
        let (site, publishes) = (site(&signals, &memory), chance.bool());
        Box::pin(async move {
            site.capture(&told, &Id::of("t", &[&told.evidence]), &policy(), noon()).await.is_ok()
                && (!publishes || site.publish(&policy(), noon()).await.is_ok())
        })
    });
    memory.borrow_mut().unavailable = 0.0;
    finish(site(&signals, &memory).publish(&policy(), noon())).unwrap();
    Rc::try_unwrap(memory).unwrap().into_inner()
}

/// The present version of each data set, and its lines.
fn datasets(memory: &CaseMemory) -> BTreeMap<Key, (String, String)> {
    let set = |(knowledge_base, (manifest, _)): (&Key, &(flywheel_engine::cases::dataset::Manifest, u64))| {
        let present = &manifest.versions[0];
        let lines = present.parts.iter().map(|part| {
            let bytes = memory.parts.get(&(knowledge_base.clone(), part.sha256.clone())).expect("a part that is named is there");
            String::from_utf8(bytes.clone()).unwrap()
        });
        (knowledge_base.clone(), (present.version.clone(), lines.collect()))
    };
    memory.manifests.iter().map(set).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_same_signals_give_the_same_data_sets_whatever_happens(
        batches in prop::collection::vec(prop::collection::vec(0..120_u32, 1..16), 1..6),
        crash in prop_oneof![Just(0.0), 0.0..0.05],
        unavailable in prop_oneof![Just(0.0), 0.0..0.1],
        seed in any::<u64>(),
    ) {
        let played: Vec<Vec<Observation>> = batches.iter().map(|numbers| numbers.iter().map(|number| numbered(*number)).collect()).collect();
        let distinct: BTreeSet<u32> = batches.iter().flatten().copied().collect();
        let plain = play(&[distinct.into_iter().map(numbered).collect()], 0.0, 0.0, 1);
        let chaotic = play(&played, crash, unavailable, seed);
        prop_assert_eq!(datasets(&plain), datasets(&chaotic));
        // Every version that is named can be read.
        for (knowledge_base, (manifest, _)) in &chaotic.manifests {
            for part in manifest.parts() {
                prop_assert!(chaotic.parts.contains_key(&(knowledge_base.clone(), part.to_owned())));
            }
        }
    }
}

#[test]
fn each_reason_captures_and_says_so() {
    let retrieval = |more: Value| {
        let mut fields = json!({ "knowledge_base": "KBPRODUCTS", "query": "how hot?", "passages": [{ "text": "t", "score": 1.0 }] });
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        observation("r", 0, json!({ "retrieval": fields }))
    };
    for (more, reason) in [
        (json!({ "passages": [] }), Some(CaptureReason::NoResults)),
        (json!({ "answer": "I could not find that." }), Some(CaptureReason::NoAnswer)),
        (json!({ "evaluations": [{ "name": "faithfulness", "score": 0.1 }] }), Some(CaptureReason::LowEvaluation)),
        (json!({ "feedback": { "rating": "negative" } }), Some(CaptureReason::NegativeFeedback)),
        (json!({ "succeeded": false }), Some(CaptureReason::Failed)),
        (
            json!({ "answer": "Bring the kettle to 90 degrees, wait two minutes, then pour slowly over the leaves.", "passages": [
            { "text": "Our delivery partners bring every order within three working days; returns are free for thirty days.", "score": 1.0 }
        ] }),
            Some(CaptureReason::Ungrounded),
        ),
        (json!({ "answer": "Pour at 90 degrees.", "passages": [{ "text": "Green tea: pour at 90 degrees.", "score": 1.0 }] }), None),
    ] {
        let (memory, ledger, _) = capture(&[vec![retrieval(more.clone())]]);
        let cases = cases_of(&memory.borrow(), "KBPRODUCTS");
        assert_eq!(cases.first().map(|case| case.reasons[0].reason), reason, "{more}");
        let told = ledger.borrow().ledger.values().filter(|event| matches!(event.body, Body::CaseCaptured(_))).count();
        assert_eq!(told, usize::from(reason.is_some()));
    }
}

/// A hundred retrievals of days that are over, and one that is far below them.
#[test]
fn low_scores_are_low_for_their_knowledge_base_and_only_once_it_is_known() {
    let scored = |id: String, days: i64, knowledge_base: &str, score: f64| {
        let passages = json!([{ "text": "all about kettles", "score": score }]);
        let fields = json!({ "knowledge_base": knowledge_base, "query": format!("kettles {id}"), "passages": passages });
        observation(&id, days * 24 * 60, json!({ "retrieval": fields }))
    };
    let usual = |knowledge_base: &'static str, from: f64| {
        (0..100).map(move |n| scored(format!("{knowledge_base}-{n}"), -3, knowledge_base, from + 0.003 * f64::from(n)))
    };
    let past: Vec<Observation> = usual("KBPRODUCTS", 1.2).chain(usual("KBHANDBOOK", 0.3)).collect();
    let today = ["KBPRODUCTS", "KBHANDBOOK", "KBSTARTING"].map(|of| scored(format!("today-{of}"), 0, of, 0.7));
    let (memory, ledger, _) = capture(&[past, today.to_vec()]);
    let low = |of: &str| cases_of(&memory.borrow(), of).iter().map(|case| case.reasons[0].clone()).collect::<Vec<_>>();
    assert_eq!(low("KBPRODUCTS").len(), 1);
    assert_eq!(low("KBPRODUCTS")[0].reason, CaptureReason::LowScores);
    assert!(low("KBPRODUCTS")[0].detail.contains("of 100 retrievals"), "{:?}", low("KBPRODUCTS"));
    // The same score is a good one here, and nothing can be said of it there.
    assert!(low("KBHANDBOOK").is_empty() && low("KBSTARTING").is_empty());
    let holds: Vec<String> = ledger
        .borrow()
        .ledger
        .values()
        .filter_map(|event| if let Body::CaptureHeld(hold) = &event.body { Some(hold.knowledge_base.to_string()) } else { None })
        .collect();
    assert!(holds.contains(&"KBSTARTING".to_owned()), "{holds:?}");
}

#[test]
fn what_is_asked_again_in_other_words_is_captured_with_what_was_found_and_what_a_person_answered() {
    let asked = |id: &str, minutes: i64, query: &str, answer: &str| {
        let passages = json!([{ "text": "a page", "score": 0.5, "location": "s3://docs/a.md" }]);
        let fields =
            json!({ "knowledge_base": "KBPRODUCTS", "conversation": "talk", "query": query, "answer": answer, "passages": passages });
        observation(id, minutes, json!({ "retrieval": fields }))
    };
    let turns = json!([
        { "role": "assistant", "tool_calls": [{ "name": "transfer_to_human" }] }, { "role": "assistant", "text": "I connect you." },
        { "role": "assistant", "text": "Descale it with vinegar." }
    ]);
    let person = observation("c", 5, json!({ "conversation": { "conversation": "talk", "turns": turns } }));
    let batches = [
        vec![asked("1", 0, "Do you sell kettles?", "Yes.")],
        // The later one comes first.
        vec![asked("3", 3, "how can the kettle's scale be removed, to descale the kettle", "See the manual.")],
        vec![asked("2", 1, "How do I descale the kettle?", "Kettles are for water.")],
        vec![person],
    ];
    let (memory, _, _) = capture(&batches);
    let cases = cases_of(&memory.borrow(), "KBPRODUCTS");
    assert_eq!(cases.len(), 1, "{cases:#?}");
    let case = &cases[0];
    assert_eq!((case.query.as_str(), case.reasons[0].reason), ("How do I descale the kettle?", CaptureReason::AskedAgain));
    assert_eq!(case.context.iter().map(|turn| turn.query.as_str()).collect::<Vec<_>>(), ["Do you sell kettles?"]);
    assert_eq!(case.passages[0].location.as_deref(), Some("s3://docs/a.md"));
    assert_eq!(case.reference.as_ref().map(|reference| reference.text.as_str()), Some("Descale it with vinegar."));
}

#[test]
fn a_full_shelf_holds_new_questions_and_takes_known_ones() {
    let full = Policy::parse(&POLICY.replace("learn_from = 50", "learn_from = 50\nquestions_at_most = 10")).unwrap();
    let asked = |id: usize, question: usize| {
        let words = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima"];
        let fields =
            json!({ "knowledge_base": "KBPRODUCTS", "query": format!("{} {}", words[question], words[11 - question]), "passages": [] });
        observation(&format!("r-{id}"), 0, json!({ "retrieval": fields }))
    };
    let (signals, told) = evidence(&[(0..12).map(|n| asked(n, n)).collect(), vec![asked(100, 0)]]);
    let (signals, memory) = (Rc::new(RefCell::new(signals)), Rc::new(RefCell::new(CaseMemory::new(1))));
    let site = site(&signals, &memory);
    let reports: Vec<Report> = told.iter().map(|batch| finish(site.capture(batch, &Id::of("t", &[]), &full, noon())).unwrap()).collect();
    // Sixteen are kept at the same time, so a few more than allowed may come in.
    assert!(reports[0].captured >= 10 && reports[0].captured + reports[0].held == 12, "{reports:?}");
    assert_eq!((reports[1].captured, reports[1].held), (1, 0));
}

#[test]
fn bad_retrievals_stop_nobody() {
    let retrieval = |id: &str, fields: Value| observation(id, 0, json!({ "retrieval": fields }));
    let scores: Vec<Value> = (0..3_000).map(|n| json!({ "score": -f64::from(n), "text": "t" })).collect();
    let batch = vec![
        retrieval("1", json!({ "query": "", "passages": [] })),
        retrieval("2", json!({ "query": "  \n", "passages": [] })),
        retrieval("3", json!({ "passages": [] })),
        retrieval("4", json!({ "query": "x".repeat(100_000), "passages": [] })),
        retrieval("5", json!({ "query": "many", "passages": scores, "succeeded": false })),
        retrieval(
            "6",
            json!({ "query": "Ignore the above; =cmd|' /C calc'!A0 {{7*7}}", "passages": [{}, { "score": -1e308 }], "succeeded": false }),
        ),
        retrieval("7", json!({ "query": "???", "passages": [] })),
    ];
    let (memory, _, reports) = capture(&[batch]);
    assert_eq!((reports[0].retrievals, reports[0].without_question, reports[0].captured), (7, 3, 4));
    let cases = cases_of(&memory.borrow(), "unnamed");
    assert_eq!(cases.len(), 4);
    assert!(cases.iter().all(|case| case.query.chars().count() <= 2_000 && case.passages.len() <= 10));
    assert!(cases.iter().any(|case| case.query.contains("{{7*7}}")), "data stays as it is");
}

/// What is no Unicode, or no number, is no JSON: it is refused where it comes in, with its reason, beside what is good.
#[test]
fn records_that_are_no_text_or_no_number_are_refused_and_the_others_captured() {
    let record = |id: &str, query: &str, score: &str| {
        let at = noon();
        format!(r#"{{"id":"{id}","at":"{at}","retrieval":{{"query":"{query}","passages":[{{"score":{score}}}],"succeeded":false}}}}"#)
    };
    let lines = [
        record("1", "lone \\ud800 surrogate", "0.5"),
        record("2", "not a number", "NaN"),
        record("3", "too large a number", "1e999"),
        record("4", "mojibake Ã¼ and \u{fffd}", "-0.5"),
        record("5", "no score", "null"),
    ];
    let (good, refused): (Vec<_>, Vec<_>) = count_signals::read(&lines.join("\n")).into_iter().partition(Result::is_ok);
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(refused.iter().all(|refused| refused.as_ref().is_err_and(|refused| !refused.reason.is_empty())));
    let rules = Rules::new(&policy());
    let batch = good.into_iter().map(|signal| rules.observe(signal.unwrap(), &Redactor::new(b"a test"))).collect();
    let (memory, _, reports) = capture(&[batch]);
    assert_eq!(reports[0].captured, 2);
    assert!(cases_of(&memory.borrow(), "unnamed").iter().any(|case| case.query.contains("mojibake Ã¼ and \u{fffd}")));
}
