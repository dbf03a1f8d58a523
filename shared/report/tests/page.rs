//! The page: whole, closed in itself, and of a size that a browser shows at once.

mod support;

use std::collections::BTreeSet;
use std::rc::Rc;

use flywheel_model::{Body, Control, DocumentChange, DocumentId, Event, ExperimentHold, Id, Key, Refusal};
use flywheel_report::{Audit, Report, page};
use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use jiff::{SignedDuration, Timestamp};
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use proptest::prelude::*;

/// What nobody may get into the page as anything but text.
const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)></style></title>&lt;";

fn report_page(events: &[Event]) -> String {
    let times = || events.iter().map(|event| event.at);
    let from = times().min().unwrap_or(Timestamp::UNIX_EPOCH);
    page(&Report::of(events, from, times().max().unwrap_or(from)))
}

fn examples() -> Vec<Event> {
    support::examples().into_iter().map(|(_, event)| event).collect()
}

/// An element: its name, its attributes, and the names of its children.
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<String>,
}

impl Element {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn has_child(&self, name: &str) -> bool {
        self.children.iter().any(|child| child == name)
    }
}

fn name_of(node: &Handle) -> Option<String> {
    if let NodeData::Element { name, .. } = &node.data { Some(name.local.to_string()) } else { None }
}

fn parsed(html: &str) -> Vec<Element> {
    let dom = parse_document(RcDom::default(), ParseOpts::default()).one(html);
    let errors = dom.errors.borrow();
    assert!(errors.is_empty(), "{errors:?}");
    let mut elements = Vec::new();
    let mut left = vec![Rc::clone(&dom.document)];
    while let Some(node) = left.pop() {
        if let NodeData::Element { name, attrs, .. } = &node.data {
            let children = node.children.borrow().iter().filter_map(name_of).collect();
            let attributes = attrs.borrow().iter().map(|one| (one.name.local.to_string(), one.value.to_string())).collect();
            elements.push(Element { name: name.local.to_string(), attributes, children });
        }
        left.extend(node.children.borrow().iter().rev().cloned());
    }
    elements
}

/// What holds of every page.
fn check(html: &str) {
    let elements = parsed(html);
    let ids: Vec<&str> = elements.iter().filter_map(|element| element.attribute("id")).collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "an anchor stands twice");
    assert!(ids.iter().all(|id| id.starts_with(|first: char| first.is_ascii_alphabetic())), "{ids:?}");
    for element in &elements {
        assert!(!["script", "iframe", "object", "link", "base", "form"].contains(&element.name.as_str()), "{}", element.name);
        for (name, value) in &element.attributes {
            assert!(!name.starts_with("on"), "{name}={value}");
            match name.as_str() {
                "href" => {
                    let target = value.strip_prefix('#').unwrap_or_else(|| panic!("{value} leads elsewhere"));
                    assert!(unique.contains(target), "{value} leads nowhere");
                }
                "src" => assert!(value.starts_with("data:image/svg+xml;base64,"), "{value}"),
                "aria-labelledby" => assert!(unique.contains(value.as_str()), "{value} labels nothing"),
                _ => {}
            }
        }
        match element.name.as_str() {
            "svg" => assert!(element.has_child("title"), "{:?} has no title", element.attributes),
            "img" => assert!(element.attribute("alt").is_some_and(|alt| !alt.is_empty())),
            "section" => assert!(element.attribute("aria-labelledby").is_some()),
            _ => {}
        }
    }
    assert_eq!(elements.iter().filter(|element| element.name == "h1").count(), 1);
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("@import"), "an address outside");
}

#[test]
fn a_page_of_every_kind_of_event_is_whole_and_closed_in_itself() {
    check(&report_page(&examples()));
}

#[test]
fn a_page_of_nothing_says_so() {
    let html = report_page(&[]);
    check(&html);
    assert!(html.contains("Nothing got worse; nothing was done. Nothing waits for you."));
}

#[test]
fn texts_of_others_stay_texts() {
    let at = Timestamp::from_second(1_795_000_000).expect("a time");
    let key = Key::try_from(HOSTILE).expect("a key");
    let hold = ExperimentHold {
        experiment: Some(key.clone()),
        intent: key,
        reason: flywheel_model::ExperimentHoldReason::Approval,
        explanation: HOSTILE.to_owned(),
    };
    let document = DocumentId::new(HOSTILE, HOSTILE);
    let sequencer = "1".to_owned().try_into().expect("a sequencer");
    let change = DocumentChange { document, change: flywheel_model::ChangeKind::Written, sequencer, at, size: Some(1) };
    let bodies = [
        Body::ExperimentHeld(hold),
        Body::DocumentChanged(change),
        Body::InputRefused(Refusal::new(HOSTILE, HOSTILE, HOSTILE)),
        Body::ActionsStopped(Control { by: HOSTILE.to_owned(), why: HOSTILE.to_owned(), at }),
    ];
    let event = |(place, body): (usize, Body)| {
        let id = Id::of("hostile", &[&place.to_string()]);
        Event { id, subject: format!("experiment/{HOSTILE}"), causes: Vec::new(), at, body }
    };
    let mut events: Vec<Event> = bodies.into_iter().enumerate().map(event).collect();
    // A picture that an event carries is an image, whatever stands in it.
    for mut event in examples() {
        if let Body::TimeoutDecided(change) = &mut event.body {
            change.picture = format!("<svg><path d=\"M0 0\"/>{HOSTILE}</svg>");
            events.push(event);
        }
    }
    let html = report_page(&events);
    check(&html);
    assert!(!html.contains("<script") && !html.contains("<img src=x"), "markup got in");
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    let audit = Audit::of(&Report::of(&events, at, at)).markdown();
    assert!(!audit.contains("<script") && !audit.contains("<img"), "{audit}");
}

#[test]
fn causes_and_effects_are_linked_both_ways() {
    let at = Timestamp::from_second(1_795_000_000).expect("a time");
    let said = |name: &str, causes: Vec<Id>, seconds: i64| {
        let control = Control { by: name.to_owned(), why: String::new(), at };
        let at = at + SignedDuration::from_secs(seconds);
        Event { id: Id::of("said", &[name]), subject: "control".to_owned(), causes, at, body: Body::ActionsStopped(control) }
    };
    let cause = said("ada", Vec::new(), 0);
    let effect = said("bo", vec![cause.id.clone(), Id::of("said", &["elsewhere"])], 1);
    let html = report_page(&[cause.clone(), effect.clone()]);
    check(&html);
    let links = |to: &Event| html.matches(&format!("href=\"#e-{}\"", to.id)).count();
    assert!(links(&cause) >= 1 && links(&effect) >= 1);
    assert!(html.contains("and 1 more"), "the cause that is not here is counted");
}

#[test]
fn a_question_waits_for_a_person_until_it_is_answered_and_hides_no_stop() {
    let of = |kinds: &[&str]| {
        let mut events: Vec<Event> = examples();
        events.retain(|event| kinds.contains(&event.kind()));
        events.sort_by(Event::by_time);
        events
    };
    let needs = |events: &[Event]| -> Vec<String> {
        Report::of(events, events[0].at, events[0].at).needs.iter().map(|need| need.next.clone()).collect()
    };
    let asked = of(&["approval.requested"]);
    let next = needs(&asked);
    assert!(next.len() == 1 && next[0].starts_with("flywheel approve "), "{next:?}");
    assert!(needs(&of(&["approval.requested", "approval.granted"])).is_empty());
    // Whoever approves something has not let actions go on.
    let mut stopped = of(&["control.stopped", "approval.granted"]);
    stopped[1].at = stopped[0].at + SignedDuration::from_secs(1);
    assert_eq!(needs(&stopped), ["flywheel resume"]);
}

#[test]
fn documents_for_governance_name_people_and_count_what_was_refused() {
    let events = examples();
    let report = Report::of(&events, events[0].at, events[0].at);
    let audit = Audit::of(&report);
    assert_eq!(audit.people.len(), 4);
    assert!(audit.people.iter().all(|entry| entry.decided_by == "ada"));
    assert_eq!(audit.refused.values().sum::<u64>(), 1);
    let markdown = audit.markdown();
    for heading in ["What people decided", "Changes of the application", "Taken back", "Decided only", "Refused inputs"] {
        assert!(markdown.contains(&format!("## {heading}")), "{heading}");
    }
    // What was decided only is no change.
    let changes: usize = audit.changes.values().flat_map(|kinds| kinds.values()).map(Vec::len).sum();
    assert_eq!(changes as u64, report.loops.values().map(|numbers| numbers.actions).sum::<u64>());
}

/// Bytes that a page takes at most, whatever happened.
const LARGEST: usize = 1_500_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_page_stays_of_a_size_that_a_browser_shows_at_once(times in 1_usize..120, spread in 1_i64..100_000) {
        let mut events = Vec::new();
        for round in 0..times {
            for (place, mut event) in examples().into_iter().enumerate() {
                event.id = Id::of("round", &[&round.to_string(), &place.to_string()]);
                event.at += SignedDuration::from_secs(spread * round as i64);
                event.causes = vec![Id::of("round", &[&round.to_string(), &place.saturating_sub(1).to_string()])];
                events.push(event);
            }
        }
        let html = report_page(&events);
        prop_assert!(html.len() < LARGEST, "{} bytes of {} events", html.len(), events.len());
        if times > 40 {
            prop_assert!(html.contains(" older signals") || html.contains(" older holds"));
        }
    }
}
