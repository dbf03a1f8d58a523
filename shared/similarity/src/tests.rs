#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::{BANDS, Contradiction, Question, clusters, contradicts, same, similarity};

fn are_same(one: &str, other: &str) -> bool {
    let (one, other) = (Question::of(one), Question::of(other));
    let answer = same(&one, &other);
    assert_eq!(answer, same(&other, &one), "whichever comes first");
    answer
}

fn contradiction(one: &str, other: &str) -> Option<Contradiction> {
    contradicts(&Question::of(one), &Question::of(other))
}

#[test]
fn case_spaces_punctuation_and_width_make_no_other_text() {
    let text = "how do i cancel order w1000";
    for written in [
        "How do I cancel order W-1000?",
        "  HOW   do I\ncancel order: “W-1000” ??!",
        "How do I cancel order W‑1000…",
        "Ｈｏｗ ｄｏ Ｉ ｃａｎｃｅｌ ｏｒｄｅｒ Ｗ-1000？",
    ] {
        assert_eq!(Question::of(written).text(), text, "{written}");
    }
    assert_eq!(Question::of("caf\u{e9} menu").text(), Question::of("cafe\u{301} menu").text());
}

#[test]
fn the_same_question_about_two_people_is_one() {
    assert_eq!(
        Question::of("Where is the parcel of [email:3fa9c1d2]?").text(),
        Question::of("where is the parcel of [email:00000000]").text()
    );
    assert_eq!(Question::of("born [birth-date:3fa9c1d2]").text(), "born [birth-date]");
    assert!(!are_same("Whose is [email:3fa9c1d2]?", "Whose is [card:3fa9c1d2]?"));
    // What only looks like one.
    for text in ["[email]", "[email:3fa9c1d]", "[email:3fa9c1dx]", "[:3fa9c1d2]", "[email:3fa9c1d2", "["] {
        assert!(!Question::of(text).text().contains("[email]"), "{text}");
    }
}

#[test]
fn one_question_in_other_words_is_the_same() {
    for (one, other) in [
        ("How do I cancel my order?", "Please tell me how I can cancel an order."),
        ("How do I cancel my order?", "how do i cancle my order"),
        ("How do I cancel my order?", "cancel order"),
        ("How do I cancel my order?", "Good morning! Sorry to bother you, how do I cancel my order? Thank you in advance."),
        ("Good morning", "good morning!"),
        ("What's the warranty on the kettle?", "Hi, could you tell me what the kettle's warranty is? Thanks!"),
        ("Does NASA have an intern program?", "does nasa have an internship programme"),
        ("Which items can't be returned?", "What are the items that cannot be returned?"),
        ("What is the warranty of the X-200?", "X200: what is the warranty?"),
        ("Is 1,000.50 USD refundable?", "is 1000.50 usd refundable"),
        ("Are two years of warranty usual?", "Is a warranty of 2 years usual?"),
        ("¿Cómo puedo cancelar mi pedido?", "quiero cancelar el pedido"),
        ("Wie kann ich meine Bestellung stornieren?", "Bestellung stornieren, bitte"),
        ("Comment puis-je annuler ma commande ?", "comment annuler la commande"),
        ("请问我的订单可以取消吗？", "订单可以取消吗"),
        ("注文をキャンセルしたいです", "注文はキャンセルしたいです。"),
        ("주문을 취소하고 싶어요", "주문을 취소하고 싶어요!!"),
        ("ยกเลิกคำสั่งซื้อ", "ยกเลิกคำสั่งซื้อ?"),
    ] {
        let alike = similarity(&Question::of(one), &Question::of(other));
        assert!(are_same(one, other), "{one} / {other}: {alike:.2}, {:?}", contradiction(one, other));
    }
}

#[test]
fn near_words_are_not_enough() {
    use Contradiction::{Asked, Direction, Identifiers, Negation, Word};
    for (one, other, why) in [
        ("Where is my order 10045?", "Where is my order 10046?", Identifiers),
        ("Where is my order 10045?", "Where is my order?", Identifiers),
        ("What is the warranty of the X200 kettle?", "What is the warranty of the X300 kettle?", Identifiers),
        ("Is my flight on 2026-11-23 delayed?", "Is my flight on 2026-11-24 delayed?", Identifiers),
        ("Do you refund $20 of shipping costs?", "Do you refund €20 of shipping costs?", Identifiers),
        ("Do you refund 20% of shipping costs?", "Do you refund 20 of shipping costs?", Identifiers),
        ("Does the freezer reach -5 degrees?", "Does the freezer reach 5 degrees?", Identifiers),
        ("Does version 1.2.3 run on Linux?", "Does version 12.3 run on Linux?", Identifiers),
        ("Can three people share the family plan?", "Can five people share the family plan?", Identifiers),
        ("我的订单12345在哪里", "我的订单12346在哪里", Identifiers),
        ("Can I return a used kettle?", "Can't I return a used kettle?", Negation),
        ("Is shipping possible with a signature?", "Is shipping possible without a signature?", Negation),
        ("¿Puedo devolver el pedido?", "¿No puedo devolver el pedido?", Negation),
        ("When was the kettle released?", "Where was the kettle released?", Asked),
        ("What is the WebSocket API?", "How is the WebSocket API?", Asked),
        ("How do I travel from Boston to Paris?", "How do I travel from Paris to Boston?", Direction),
        ("convert dollars to euros", "convert euros to dollars", Direction),
        ("Is the X200 louder than the X300?", "Is the X300 louder than the X200?", Direction),
        ("How do I enable two factor authentication for my account?", "How do I disable two factor authentication for my account?", Word),
        ("Can I cancel an annual subscription of the family plan?", "Can I extend an annual subscription of the family plan?", Word),
        ("Does the shop open in the morning?", "Does the shop open in the evening?", Word),
        ("Can I change my booking before departure from the airport?", "Can I change my booking after departure from the airport?", Word),
    ] {
        assert_eq!(contradiction(one, other), Some(why), "{one} / {other}");
        assert!(!are_same(one, other), "{one} / {other}");
    }
}

#[test]
fn a_language_is_told_by_its_marks_and_an_answer_by_its_no() {
    assert!(!are_same("Is there a client for C++?", "Is there a client for C#?"));
    assert_eq!(contradiction("No, I meant the kettle's lid", "I meant the kettle's lid"), None);
    assert_eq!(contradiction("Where is order no. 77?", "Where is order 77?"), None);
}

#[test]
fn one_more_condition_is_another_question() {
    for (one, other) in [
        ("How do I file an order?", "How do I file a restraining order in Sacramento?"),
        ("What are the opening hours?", "What are the opening hours of the shop in Lyon on holidays?"),
        ("订单可以取消吗", "订单可以退货吗"),
    ] {
        assert!(!are_same(one, other), "{one} / {other}");
    }
}

#[test]
fn questions_of_any_size_are_read() {
    let empty = Question::of("");
    assert_eq!((empty.text(), same(&empty, &Question::of(" \n\t"))), ("", true));
    assert!(!are_same("", "Why?"));
    assert!(are_same("Why?", "why"));
    assert!(!are_same("Why?", "Where?"));
    assert!(are_same("What is it?", "what is it"));
    assert!(!are_same("👍", "👎"));
    assert!(are_same("opening hours", "Opening hours?"));
    for part in ["a", "?", "order ", "订", "[email:3fa9c1d2]", "[", "1", "e\u{301}", "\u{fdfa}", "can't ", "\0"] {
        let long = part.repeat(100_000 / part.chars().count());
        let question = Question::of(&long);
        assert!(same(&question, &Question::of(&long)), "{part}");
        assert!(question.shingles().len() <= 4 * 2_048, "{part}");
    }
}

#[test]
fn of_a_long_text_both_ends_are_compared() {
    let document = "The kettle switches itself off when the water boils. ".repeat(2_000);
    let other = "A dishwasher has to be filled with salt twice a year. ".repeat(2_000);
    let asked = |document: &str, question: &str| format!("{document}{question}");
    assert!(!same(&Question::of(&asked(&document, "Is 5 enough?")), &Question::of(&asked(&document, "Is 7 enough?"))));
    assert!(!same(&Question::of(&asked(&document, "Is it safe?")), &Question::of(&asked(&other, "Is it safe?"))));
    assert!(same(&Question::of(&asked(&document, "Is it safe?")), &Question::of(&asked(&document, "is it safe"))));
}

/// These keys are rows in databases: another value here means that every index has to be filled anew.
#[test]
fn bands_are_the_same_in_every_release() {
    let keys = |text: &str| {
        let bands = Question::of(text).bands();
        [bands[0], bands[7], bands[BANDS - 1]].map(|key| format!("{key:016x}"))
    };
    assert_eq!(keys("How do I cancel my order 10045?"), ["e444704aea9bf603", "54cd468e92c1ea28", "04ecf1b77446a05d"]);
    assert_eq!(keys("订单可以取消吗"), ["94723486765485a8", "17af3007a14e42bb", "424c2a9bf86db6d4"]);
    assert_eq!(keys(""), ["1a91e6a12f69c759", "4cac805e49f4431c", "eb683dfa645c441f"]);
}

#[test]
fn other_identifiers_share_no_band() {
    let bands = Question::of("Where is my order 10045?").bands();
    let others = Question::of("Where is my order 10046?").bands();
    assert!(bands.iter().all(|key| !others.contains(key)));
}

/// Words that make questions which differ in one to all of them.
const WORDS: [&str; 16] = [
    "kettle",
    "warranty",
    "return",
    "broken",
    "refund",
    "shipping",
    "invoice",
    "address",
    "password",
    "account",
    "delivery",
    "voucher",
    "discount",
    "subscription",
    "payment",
    "complaint",
];

fn some_questions() -> impl Strategy<Value = Vec<(u8, String)>> {
    let words = prop::sample::subsequence(WORDS.to_vec(), 2..9).prop_shuffle();
    let question =
        (words, prop::sample::select(vec!["", "please", "not", "7", "8"])).prop_map(|(words, more)| words.join(" ") + " " + more);
    prop::collection::vec((0..40_u8, question), 0..60)
}

#[test]
fn those_that_are_the_same_share_a_band() {
    let words: Vec<String> = (0_u32..400)
        .map(|number| format!("{}{}", WORDS[number as usize % 16], ["s", "ing", "ed", "or"][number as usize / 16 % 4]))
        .collect();
    let (mut near, mut shared) = (0, 0);
    for start in 0..390 {
        for more in 3..9 {
            let one = Question::of(&words[start..(start + more).min(400)].join(" "));
            let other = Question::of(&words[start..(start + more + 1).min(400)].join(" "));
            if same(&one, &other) {
                near += 1;
                shared += usize::from(one.bands().iter().any(|key| other.bands().contains(key)));
            }
        }
    }
    assert!(near > 1_000, "{near}");
    assert!(shared * 100 >= near * 98, "{shared} of {near}");
}

#[test]
fn clusters_go_through_others_and_are_named_by_the_smallest() {
    let chain = ["cancel order kettle voucher", "cancel order kettle voucher refund", "cancel order kettle voucher refund invoice"];
    let questions = chain.map(Question::of);
    assert!(same(&questions[0], &questions[1]) && same(&questions[1], &questions[2]));
    let apart = Question::of("Where is the parcel?");
    let found = clusters([(9, &questions[0]), (4, &questions[2]), (7, &questions[1]), (1, &apart)]);
    assert_eq!(found, BTreeMap::from([(1, vec![1]), (4, vec![4, 7, 9])]));
}

#[test]
fn a_band_with_more_than_its_neighbours_is_still_one_cluster() {
    // One set of words in 20,000 orders: each band has all of them.
    let questions: Vec<Question> = (0..20_000_usize)
        .map(|mut number| {
            let mut left = WORDS[..9].to_vec();
            let mut words = Vec::new();
            while !left.is_empty() {
                words.push(left.remove(number % left.len()));
                number /= left.len() + 1;
            }
            Question::of(&words.join(" "))
        })
        .collect();
    assert_eq!(clusters(questions.iter().enumerate()).len(), 1);
}

proptest! {
    #[test]
    fn any_text_is_read(one in "(.|\n|[a-z0-9 '’,.#+-]|\\[email:|订|\u{301}){0,80}", other in ".{0,80}") {
        let (one, other) = (Question::of(&one), Question::of(&other));
        prop_assert!(same(&one, &one));
        prop_assert_eq!(contradicts(&one, &one), None);
        prop_assert_eq!(same(&one, &other), same(&other, &one));
        prop_assert_eq!(contradicts(&one, &other), contradicts(&other, &one));
        prop_assert!((0.0..=1.0).contains(&similarity(&one, &other)));
        prop_assert_eq!(similarity(&one, &one), 1.0);
    }

    #[test]
    fn questions_in_any_order_and_twice_have_the_same_clusters(questions in some_questions(), seed in any::<prop::sample::Index>()) {
        let read: Vec<(u8, Question)> = questions.iter().map(|(id, text)| (*id, Question::of(text))).collect();
        let bands: Vec<[u64; BANDS]> = read.iter().map(|(_, question)| question.bands()).collect();
        let found = clusters(read.iter().map(|(id, question)| (*id, question)));
        let turn = seed.index(read.len().max(1));
        let again = read[turn..].iter().rev().chain(&read[..turn]).chain(&read[turn / 2..]);
        prop_assert_eq!(&found, &clusters(again.map(|(id, question)| (*id, question))));
        // Each id is once in what is named by its smallest.
        for (name, ids) in &found {
            prop_assert_eq!(ids.first(), Some(name));
            prop_assert!(ids.is_sorted_by(|one, other| one < other));
        }
        // Nothing is together that is not connected, and what shares a band and is the same is together.
        let cluster = |id: &u8| found.iter().find(|(_, ids)| ids.contains(id)).map(|(name, _)| *name);
        for ((id, one), keys) in read.iter().zip(&bands) {
            for ((other_id, other), other_keys) in read.iter().zip(&bands) {
                if keys.iter().any(|key| other_keys.contains(key)) && same(one, other) {
                    prop_assert_eq!(cluster(id), cluster(other_id));
                }
            }
        }
    }
}
