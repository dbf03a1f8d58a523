//! What is asked of a guardrail, and what its answer does to texts: patterns have taken out what they see, and it finds
//! names and the rest that has no form.

use std::cell::RefCell;
use std::mem;

use flywheel_redaction::Kind;

use super::{Redact, Texts};

/// Characters of one request. Bedrock counts and bills by units of 1,000, and throttles by units a second, 25 for an account
/// by default (Bedrock service quotas, "On-demand `ApplyGuardrail`").
const REQUEST: usize = 10_000;

/// What a text that is longer than a request has twice: no name is longer.
const OVERLAP: usize = 200;

/// What is to be looked at together: a value that is found in one of them is taken out of all.
pub struct Together<'i, T> {
    /// The things.
    pub items: &'i mut [T],
    /// Their texts, in requests.
    pub requests: Vec<Vec<String>>,
}

/// Things in groups of about a request each. `visit` hands each text of a thing over, as it does for redaction.
pub fn together<'i, T>(mut items: &'i mut [T], visit: impl Fn(&mut T, &dyn Redact)) -> Vec<Together<'i, T>> {
    let mut groups = Vec::new();
    while !items.is_empty() {
        let gathered: RefCell<Vec<String>> = RefCell::default();
        let gather = Texts::by(|text| {
            gathered.borrow_mut().push(text.to_owned());
            text.into()
        });
        let mut count = 0;
        for item in items.iter_mut() {
            visit(item, &gather);
            count += 1;
            if gathered.borrow().iter().map(String::len).sum::<usize>() >= REQUEST {
                break;
            }
        }
        let (these, rest) = mem::take(&mut items).split_at_mut(count);
        items = rest;
        groups.push(Together { items: these, requests: requests(gathered.into_inner()) });
    }
    groups
}

impl<T> Together<'_, T> {
    /// Takes what was found out of the things' texts.
    pub fn without(self, found: &[(Kind, String)], visit: impl Fn(&mut T, &dyn Redact), redact: &dyn Redact) {
        if !found.is_empty() {
            let without = Texts::by(|text| redact.values(text, found));
            self.items.iter_mut().for_each(|item| visit(item, &without));
        }
    }
}

/// Texts in requests, each once; long ones in parts that overlap, so that no name is cut in two.
fn requests(mut texts: Vec<String>) -> Vec<Vec<String>> {
    texts.sort_unstable();
    texts.dedup();
    let mut requests: Vec<Vec<String>> = Vec::new();
    let mut length = REQUEST;
    for text in texts.iter().filter(|text| text.chars().any(char::is_alphabetic)) {
        let mut rest = text.as_str();
        loop {
            let end = rest.char_indices().nth(REQUEST).map_or(rest.len(), |(end, _)| end);
            let part = &rest[..end];
            let characters = part.chars().count();
            if length + characters > REQUEST {
                requests.push(Vec::new());
                length = 0;
            }
            length += characters;
            requests.last_mut().expect("one was begun").push(part.to_owned());
            if end == rest.len() {
                break;
            }
            rest = &rest[part.char_indices().nth_back(OVERLAP - 1).map_or(0, |(start, _)| start)..];
        }
    }
    requests
}

#[cfg(test)]
mod tests {
    use flywheel_redaction::Redactor;

    use super::*;

    fn visit(text: &mut String, without: &dyn Redact) {
        *text = without.text(text).into_owned();
    }

    #[test]
    fn what_is_found_goes_from_those_that_were_looked_at_together() {
        let mut texts: Vec<String> = (0..40).map(|number| format!("{number} Lena {}", "x ".repeat(250))).collect();
        let groups = together(&mut texts, visit);
        assert_eq!(groups.len(), 2);
        assert!(groups.iter().all(|group| group.requests.len() <= 2));
        let redactor = Redactor::new(b"a salt for tests");
        for (place, group) in groups.into_iter().enumerate() {
            let found = if place == 0 { vec![(Kind::PersonName, "Lena".to_owned())] } else { Vec::new() };
            group.without(&found, visit, &redactor);
        }
        let kept = texts.iter().filter(|text| text.contains("Lena")).count();
        assert!(kept > 0 && kept < 40 && texts[0].contains("[person-name:"), "{kept}");
    }

    #[test]
    fn no_request_is_too_long_and_no_name_is_cut() {
        let long = "word ".repeat(9_000) + "Lena Berg" + &" word".repeat(3_000);
        let requests = requests(vec![long, "short".to_owned(), "short".to_owned(), "12 - 34".to_owned()]);
        assert!(requests.iter().all(|request| request.iter().map(|text| text.chars().count()).sum::<usize>() <= REQUEST));
        let texts: Vec<&String> = requests.iter().flatten().collect();
        assert!(texts.iter().any(|text| text.contains("Lena Berg")));
        assert_eq!(texts.iter().filter(|text| text.as_str() == "short").count(), 1);
        assert!(!texts.iter().any(|text| text.contains("12")));
        for place in 0..80 {
            let text = "a ".repeat(4_960 + place) + "Lena Berg" + &" b".repeat(3_000);
            assert!(super::requests(vec![text]).iter().flatten().any(|text| text.contains("Lena Berg")), "{place}");
        }
    }
}
