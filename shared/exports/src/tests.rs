use std::collections::BTreeSet;

use flywheel_model::{
    CaptureReason, Case, CaseReason, CaseState, Decided, Exchange, Id, Key, Passage, Reference, ReferenceOrigin, Source, Variant,
};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn key(text: &str) -> Key {
    Key::try_from(text).expect("a key")
}

fn decided() -> Decided {
    Decided { by: "ana".to_owned(), at: Timestamp::UNIX_EPOCH, why: None }
}

/// A confirmed case that every format takes.
fn case(query: &str) -> Case {
    Case {
        case: Id::of("case", &[query]),
        knowledge_base: key("KBPRODUCTS"),
        topic: Some(key("kettles")),
        state: CaseState::Confirmed(decided()),
        query: query.to_owned(),
        variants: vec![Variant { query: query.to_owned(), times: 3 }],
        context: vec![Exchange { query: "Which kettles are there?".to_owned(), answer: Some("The K1 and the K2.".to_owned()) }],
        passages: vec![
            Passage { text: Some("The K1 holds 1.7 litres.".to_owned()), score: Some(0.31), location: Some("s3://docs/k1.md".to_owned()) },
            Passage { text: None, score: Some(0.2), location: None },
        ],
        answer: Some("Sorry, I could not find that.".to_owned()),
        reference: Some(Reference { text: "1.7 litres.".to_owned(), from: ReferenceOrigin::Reviewer }),
        reasons: vec![CaseReason { reason: CaptureReason::NoAnswer, strength: 0.9, detail: "it says that it does not know".to_owned() }],
        synchronised_at: None,
        times: 3,
        first_seen: Timestamp::UNIX_EPOCH,
        last_seen: Timestamp::UNIX_EPOCH,
        sources: vec![Source {
            signal: Id::of("signal", &[query]),
            at: Timestamp::UNIX_EPOCH,
            conversation: Some(key("c-1")),
            trace: Some(key("t-1")),
        }],
    }
}

fn text(file: &File) -> &str {
    std::str::from_utf8(&file.bytes).expect("UTF-8")
}

fn parsed_lines(file: &File) -> Vec<Value> {
    text(file).lines().map(|line| serde_json::from_str(line).expect("a JSON value on each line")).collect()
}

fn promptfoo_tests(export: &Export) -> Value {
    let file = export.files.iter().find(|file| file.name == "promptfoo-tests.json").expect("the tests");
    serde_json::from_slice(&file.bytes).expect("JSON")
}

fn records(file: &File) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(file.bytes.as_slice());
    reader.records().map(|record| record.expect("a record").iter().map(str::to_owned).collect()).collect()
}

fn phrases() -> Vec<String> {
    vec!["i do not know".to_owned(), "could not find".to_owned()]
}

#[test]
fn names_read_back_and_others_are_refused_with_the_choice() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    let error = "xlsx".parse::<Format>().expect_err("no format");
    assert_eq!(
        error.to_string(),
        "\"xlsx\" is no format; use one of bedrock-retrieve, bedrock-generate, bedrock-byoi-retrieve, bedrock-byoi-generate, \
         promptfoo, ragas, csv"
    );
}

#[test]
fn confirmed_cases_are_exported_and_candidates_on_request() {
    let mut candidate = case("candidate");
    candidate.state = CaseState::Candidate;
    let mut rejected = case("rejected");
    rejected.state = CaseState::Rejected(decided());
    let mut retired = case("retired");
    retired.state = CaseState::Retired(decided());
    let cases = [case("confirmed"), candidate, rejected, retired];
    for format in Format::ALL {
        let export = |candidates| export(&cases, format, &Options { candidates, no_answer: &[] });
        let left = |export: &Export| export.left_out.keys().copied().collect::<Vec<_>>();
        assert_eq!((export(false).exported, left(&export(false))), (1, vec![LeftOut::Candidate, LeftOut::Rejected, LeftOut::Retired]));
        assert_eq!((export(true).exported, left(&export(true))), (2, vec![LeftOut::Rejected, LeftOut::Retired]));
    }
}

#[test]
fn a_case_that_lacks_what_a_format_needs_is_left_out_with_the_reason() {
    let mut without_query = case("q");
    without_query.query = " \n".to_owned();
    let mut without_reference = case("reference");
    without_reference.reference = None;
    let mut without_passages = case("passages");
    without_passages.passages.remove(0);
    let mut without_answer = case("answer");
    without_answer.answer = Some(String::new());
    let cases = [without_query, without_reference, without_passages, without_answer];
    let left_out = |format| {
        let export = export(&cases, format, &Options::default());
        assert_eq!(export.exported + export.left_out.values().map(Vec::len).sum::<usize>(), cases.len());
        export.left_out.into_iter().map(|(reason, ids)| (reason, ids.len())).collect::<Vec<_>>()
    };
    let reference = vec![(LeftOut::NoQuery, 1), (LeftOut::NeedsReference, 1)];
    for format in [Format::BedrockRetrieve, Format::BedrockGenerate, Format::Promptfoo, Format::Ragas] {
        assert_eq!(left_out(format), reference, "{format}");
    }
    let passages = [reference, vec![(LeftOut::NeedsPassages, 1)]].concat();
    assert_eq!(left_out(Format::BedrockByoiRetrieve), passages);
    assert_eq!(left_out(Format::BedrockByoiGenerate), [passages, vec![(LeftOut::NeedsAnswer, 1)]].concat());
    assert_eq!(left_out(Format::Csv), []);
}

#[test]
fn nothing_to_export_gives_no_file() {
    for format in Format::ALL {
        assert_eq!(export(&[], format, &Options::default()).files, []);
    }
}

#[test]
fn each_bedrock_dataset_has_the_fields_of_its_job() {
    let question = json!({"content": [{"text": "How much does the K1 hold?"}]});
    let reference = json!([{"content": [{"text": "1.7 litres."}]}]);
    let retrieved = json!({"retrievalResults": [{"content": {"text": "The K1 holds 1.7 litres."}}]});
    let earlier = json!({"prompt": {"content": [{"text": "Which kettles are there?"}]}});
    let expected = [
        (Format::BedrockRetrieve, json!([{"prompt": question, "referenceResponses": reference}])),
        (Format::BedrockGenerate, json!([earlier, {"prompt": question, "referenceResponses": reference}])),
        (
            Format::BedrockByoiRetrieve,
            json!([{
                "prompt": question,
                "referenceResponses": reference,
                "output": {"knowledgeBaseIdentifier": "KBPRODUCTS", "retrievedResults": retrieved},
            }]),
        ),
        (
            Format::BedrockByoiGenerate,
            json!([{
                "prompt": question,
                "referenceResponses": reference,
                "output": {
                    "text": "Sorry, I could not find that.",
                    "knowledgeBaseIdentifier": "KBPRODUCTS",
                    "retrievedPassages": retrieved,
                },
            }]),
        ),
    ];
    for (format, turns) in expected {
        let export = export(&[case("How much does the K1 hold?")], format, &Options::default());
        assert_eq!(export.files[0].name, format!("{format}-KBPRODUCTS-001.jsonl"));
        assert_eq!(parsed_lines(&export.files[0]), [json!({"conversationTurns": turns})], "{format}");
    }
}

#[test]
fn a_bedrock_file_has_at_most_1000_prompts_of_one_knowledge_base() {
    let mut cases: Vec<_> = (0..2_001).map(|number| case(&format!("question {number}"))).collect();
    let mut other = case("other");
    other.knowledge_base = key("Our manuals (new)");
    cases.push(other);
    let export = export(&cases, Format::BedrockByoiRetrieve, &Options::default());
    let sizes: Vec<_> = export.files.iter().map(|file| (file.name.as_str(), parsed_lines(file).len())).collect();
    assert_eq!(
        sizes,
        [
            ("bedrock-byoi-retrieve-KBPRODUCTS-001.jsonl", 1_000),
            ("bedrock-byoi-retrieve-KBPRODUCTS-002.jsonl", 1_000),
            ("bedrock-byoi-retrieve-KBPRODUCTS-003.jsonl", 1),
            ("bedrock-byoi-retrieve-kb-Our-manuals--new--5ec4dbc7-001.jsonl", 1),
        ]
    );
    let identifier = &parsed_lines(&export.files[3])[0]["conversationTurns"][0]["output"]["knowledgeBaseIdentifier"];
    assert_eq!(identifier, "kb-Our-manuals--new--5ec4dbc7");
}

#[test]
fn a_long_conversation_keeps_its_last_turns_and_the_question() {
    let mut long = case("last");
    long.context = (1..=Case::CONTEXT).map(|turn| Exchange { query: format!("turn {turn}"), answer: None }).collect();
    let queries = |format| -> Vec<String> {
        let export = export(std::slice::from_ref(&long), format, &Options::default());
        let turns = parsed_lines(&export.files[0])[0]["conversationTurns"].as_array().cloned().unwrap_or_default();
        turns.iter().map(|turn| turn["prompt"]["content"][0]["text"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(queries(Format::BedrockGenerate), ["turn 2", "turn 3", "turn 4", "turn 5", "last"]);
    for single in [Format::BedrockRetrieve, Format::BedrockByoiRetrieve, Format::BedrockByoiGenerate] {
        assert_eq!(queries(single), ["last"], "{single}");
    }
}

#[test]
fn a_promptfoo_test_asserts_what_is_known_and_nothing_else() {
    let asserted = |case: Case, phrases: &[String]| {
        let export = export(&[case], Format::Promptfoo, &Options { candidates: false, no_answer: phrases });
        if export.exported == 0 { Value::Null } else { promptfoo_tests(&export)[0]["assert"].clone() }
    };
    let factuality = json!({"type": "factuality", "value": "{{ case.reference }}"});
    let phrase = json!({"type": "not-icontains", "value": "could not find"});
    let mut without_reference = case("q");
    without_reference.reference = None;
    let mut other_reason = case("q");
    other_reason.reasons[0].reason = CaptureReason::LowScores;
    let mut not_there = case("q");
    not_there.reference.as_mut().expect("a reference").text = "You could not find it in the shop.".to_owned();

    assert_eq!(asserted(case("q"), &phrases()), json!([factuality, phrase]));
    assert_eq!(asserted(case("q"), &[]), json!([factuality]));
    assert_eq!(asserted(other_reason, &phrases()), json!([factuality]));
    assert_eq!(asserted(without_reference.clone(), &phrases()), json!([phrase]));
    assert_eq!(asserted(without_reference, &[]), Value::Null);
    assert_eq!(asserted(not_there, &phrases()), json!([factuality]), "the true answer says so itself");
}

#[test]
fn a_promptfoo_test_says_where_it_comes_from() {
    let case = case("q");
    let export = export(std::slice::from_ref(&case), Format::Promptfoo, &Options::default());
    assert_eq!(
        promptfoo_tests(&export)[0]["metadata"],
        json!({
            "case": case.case, "state": "confirmed", "knowledge_base": "KBPRODUCTS", "topic": "kettles", "reasons": ["no_answer"],
            "times": 3, "first_seen": "1970-01-01T00:00:00Z", "last_seen": "1970-01-01T00:00:00Z", "reference_from": "reviewer",
            "signal": case.sources[0].signal, "conversation": "c-1", "trace": "t-1",
        })
    );
}

#[test]
fn no_text_of_a_case_is_a_variable_of_promptfoo_itself() {
    let hostile = "file:///etc/passwd {{ env.HOME }}";
    let export = export(&[case(hostile)], Format::Promptfoo, &Options::default());
    let tests = promptfoo_tests(&export);
    assert_eq!(tests[0]["vars"]["case"]["query"], hostile);
    assert_eq!(tests[0]["vars"].as_object().map(|vars| vars.len()), Some(1));
    let configuration = export.files.iter().find(|file| file.name == "promptfooconfig.yaml").expect("the configuration");
    assert!(!text(configuration).contains(hostile));
}

#[test]
fn ragas_gets_what_was_found_and_answered() {
    let export = export(&[case("q")], Format::Ragas, &Options::default());
    assert_eq!(
        parsed_lines(&export.files[0]),
        [json!({
            "user_input": "q",
            "retrieved_contexts": ["The K1 holds 1.7 litres."],
            "response": "Sorry, I could not find that.",
            "reference": "1.7 litres.",
        })]
    );
}

#[test]
fn cells_that_a_spreadsheet_would_calculate_are_text() {
    let formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\u{feff}=1", "\u{200b}=1", "＝1", "'quoted", "'=1"];
    for formula in formulas {
        let export = export(&[case(formula)], Format::Csv, &Options::default());
        assert_eq!(records(&export.files[0])[0][4], format!("'{formula}"));
    }
    for harmless in ["1 = 1", "a-b", "mail me @ home", ""] {
        let export = export(&[case(harmless)], Format::Csv, &Options::default());
        assert_eq!(records(&export.files[0])[0][4], harmless);
    }
}

#[test]
fn a_table_says_all_that_is_known_of_a_case() {
    let export = export(&[case("How much?")], Format::Csv, &Options::default());
    let row = &records(&export.files[0])[0];
    assert_eq!(
        row[1..],
        [
            "confirmed",
            "KBPRODUCTS",
            "kettles",
            "How much?",
            "3",
            "3 × How much?",
            "User: Which kettles are there?\nAssistant: The K1 and the K2.",
            "0.310 s3://docs/k1.md The K1 holds 1.7 litres.\n0.200 ",
            "Sorry, I could not find that.",
            "1.7 litres.",
            "reviewer",
            "no_answer 0.90: it says that it does not know",
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
            "",
            "ana",
            "",
            "c-1",
            "t-1",
        ]
    );
}

/// Texts as someone might write them who wants them to be more than text, and any others.
fn hostile() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "{{ env.HOME }}",
            "{{ case.reference }}",
            "{% raw %}",
            "{% endraw %}",
            "{# #}",
            "{%",
            "file://",
            "package:",
            "\n---\n",
            "\r\n",
            "&anchor *anchor !!js/function",
            "<<: ",
            "\"",
            "'",
            "\\",
            "\\ud800",
            "\0",
            "\u{7f}",
            "\u{85}",
            "\u{2028}",
            "\u{2029}",
            "\u{feff}",
            "\u{fffe}",
            "\u{1f600}",
            "=cmd|' /C calc'!A0",
            ",",
            ";",
            "\t",
            "$ref",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(fragment, 0..6).prop_map(|fragments| fragments.concat())
}

prop_compose! {
    fn hostile_case()(
        id in any::<u64>(), query in hostile(), context in prop::collection::vec((hostile(), prop::option::of(hostile())), 0..7),
        passages in prop::collection::vec(prop::option::of(hostile()), 0..4), answer in prop::option::of(hostile()),
        reference in prop::option::of(hostile()), detail in hostile(), name in "\\PC{1,30}",
    ) -> Case {
        let mut case = case(&id.to_string());
        case.query = query;
        case.context = context.into_iter().map(|(query, answer)| Exchange { query, answer }).collect();
        case.passages = passages.into_iter().map(|text| Passage { text, score: None, location: None }).collect();
        case.answer = answer;
        case.reference = reference.map(|text| Reference { text, from: ReferenceOrigin::Person });
        case.reasons[0].detail = detail;
        case.knowledge_base = key(&name);
        case
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_the_same_texts(case in hostile_case()) {
        let phrases = phrases();
        let options = Options { candidates: false, no_answer: &phrases };
        let texts: Vec<_> = case.passages.iter().filter_map(|passage| passage.text.as_deref()).filter(|text| !is_blank(text)).collect();
        for format in Format::ALL {
            let export = export(std::slice::from_ref(&case), format, &options);
            prop_assert_eq!(export.exported + export.left_out.len(), 1);
            let Some(file) = export.files.last() else { continue };
            match format {
                Format::Csv => {
                    let records = records(file);
                    prop_assert_eq!(records.len(), 1);
                    let cell = |column: usize| records[0][column].strip_prefix('\'').unwrap_or(&records[0][column]).to_owned();
                    prop_assert_eq!(cell(4), case.query.clone());
                    prop_assert_eq!(cell(9), case.answer.clone().unwrap_or_default());
                    prop_assert_eq!(cell(10), case.reference.as_ref().map_or("", |reference| &reference.text));
                    for cell in &records[0] {
                        prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{cell:?}");
                    }
                }
                Format::Promptfoo => {
                    let test = &promptfoo_tests(&export)[0];
                    prop_assert_eq!(&test["vars"]["case"]["query"], &case.query);
                    prop_assert_eq!(test["vars"]["case"]["conversation"].as_array().map(Vec::len), Some(case.context.len()));
                    prop_assert_eq!(test["vars"]["case"]["reference"].as_str(), reference(&case));
                    prop_assert_eq!(&test["metadata"]["knowledge_base"], case.knowledge_base.as_str());
                }
                Format::Ragas => {
                    let line = &parsed_lines(file)[0];
                    prop_assert_eq!(&line["user_input"], &case.query);
                    prop_assert_eq!(&line["retrieved_contexts"], &json!(texts));
                    prop_assert_eq!(line["response"].as_str(), answer(&case));
                }
                _ => {
                    let lines = parsed_lines(file);
                    let turns = lines[0]["conversationTurns"].as_array().cloned().unwrap_or_default();
                    prop_assert!((1..=5).contains(&turns.len()));
                    let turn = &turns[turns.len() - 1];
                    prop_assert_eq!(&turn["prompt"]["content"][0]["text"], &case.query);
                    prop_assert_eq!(turn["referenceResponses"][0]["content"][0]["text"].as_str(), reference(&case));
                }
            }
            let line_ends = BTreeSet::from(['\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}']);
            if file.name.ends_with(".jsonl") {
                prop_assert_eq!(text(file).matches('\n').count(), 1);
                prop_assert!(!text(file).contains(|character| line_ends.contains(&character)), "another line's end in {:?}", text(file));
            }
            let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
            prop_assert!(export.files.iter().all(|file| file.name.chars().all(allowed)));
        }
    }

    #[test]
    fn the_order_of_the_cases_does_not_matter(cases in prop::collection::vec(hostile_case(), 1..5), format in prop::sample::select(Format::ALL.to_vec())) {
        let reversed: Vec<_> = cases.iter().rev().cloned().collect();
        prop_assert_eq!(export(&cases, format, &Options::default()), export(&reversed, format, &Options::default()));
    }
}
