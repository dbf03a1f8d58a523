//! Each kind of event, in a sentence.

mod support;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use flywheel_model::{Body, Loop, Stage};
use flywheel_report::{describe, hold_reason};

#[test]
fn every_kind_of_event_has_its_sentence() {
    let mut told = String::new();
    for (_, event) in support::examples() {
        let sentence = describe(&event);
        assert!(sentence.len() > 20 && sentence.ends_with('.') && !sentence.contains(['<', '\n']), "{}: {sentence}", event.kind());
        let of = Loop::of(&event).map_or("all", Loop::as_str);
        let _ = writeln!(told, "{} | {of} | {} | {sentence}", event.kind(), Stage::of(&event).as_str());
    }
    let file = support::file("shared/report/tests/sentences.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &told).expect("written");
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(told, expected, "UPDATE_GOLDEN=1 writes what is told now");
}

#[test]
fn every_hold_has_a_reason_and_nothing_else_has() {
    for (_, event) in support::examples() {
        assert_eq!(hold_reason(&event).is_some(), Stage::of(&event) == Stage::Hold, "{}", event.kind());
    }
}

#[test]
fn every_kind_has_an_example() {
    let kinds: BTreeSet<&str> = support::examples().iter().map(|(_, event)| event.kind()).collect();
    let files: BTreeSet<String> = support::examples().into_iter().map(|(name, _)| name).collect();
    assert_eq!(kinds.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), files);
}

#[test]
fn what_others_wrote_breaks_no_line() {
    for (_, mut event) in support::examples() {
        if let Body::InputRefused(refusal) = &mut event.body {
            refusal.reason = "a\u{1b}[2J\nb".to_owned();
            assert!(!describe(&event).contains(char::is_control));
        }
    }
}
