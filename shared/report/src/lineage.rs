//! Which event came of which, within a period.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::{Event, Id};

/// Events by their ids, with the way from cause to effect and back.
#[derive(Debug, Clone, Default)]
pub struct Lineage<'a> {
    events: BTreeMap<&'a Id, &'a Event>,
    effects: BTreeMap<&'a Id, Vec<&'a Event>>,
}

impl<'a> Lineage<'a> {
    /// The lineage of these events.
    #[must_use]
    pub fn of(events: &'a [Event]) -> Self {
        let mut lineage = Self::default();
        for event in events {
            // The same event may be read twice, and has its effects once.
            if lineage.events.insert(&event.id, event).is_none() {
                for cause in &event.causes {
                    lineage.effects.entry(cause).or_default().push(event);
                }
            }
        }
        lineage.effects.values_mut().for_each(|effects| effects.sort_by(|one, other| one.by_time(other)));
        lineage
    }

    /// One event.
    #[must_use]
    pub fn get(&self, id: &Id) -> Option<&'a Event> {
        self.events.get(id).copied()
    }

    /// What an event came of, as far as it is among these events.
    pub fn causes(&self, event: &Event) -> impl Iterator<Item = &'a Event> {
        event.causes.iter().filter_map(|cause| self.get(cause))
    }

    /// What an event led to, in the order of time.
    #[must_use]
    pub fn effects(&self, id: &Id) -> &[&'a Event] {
        self.effects.get(id).map_or(&[], Vec::as_slice)
    }

    /// An event with all that it led to, directly or not, in the order of time; at most so many, the nearest.
    #[must_use]
    pub fn story(&self, from: &'a Event, at_most: usize) -> Vec<&'a Event> {
        let mut known = BTreeSet::from([&from.id]);
        let mut story = vec![from];
        let mut next = 0;
        while let Some(event) = story.get(next).copied()
            && story.len() < at_most
        {
            next += 1;
            let new: Vec<_> = self.effects(&event.id).iter().copied().filter(|effect| known.insert(&effect.id)).collect();
            story.extend(new.into_iter().take(at_most - story.len()));
        }
        story.sort_by(|one, other| one.by_time(other));
        story
    }
}

#[cfg(test)]
mod tests {
    use flywheel_model::{Body, Control};
    use jiff::Timestamp;

    use super::*;

    fn event(name: &str, causes: &[&str], second: i64) -> Event {
        let at = Timestamp::from_second(second).expect("a time");
        let body = Body::ActionsStopped(Control { by: name.to_owned(), why: String::new(), at });
        let causes = causes.iter().map(|cause| Id::of("test", &[cause])).collect();
        Event { id: Id::of("test", &[name]), subject: "control".to_owned(), causes, at, body }
    }

    #[test]
    fn a_way_is_found_in_both_directions_also_round_in_circles() {
        let events = [event("a", &["c"], 1), event("b", &["a", "elsewhere"], 3), event("c", &["b"], 2), event("b", &["a"], 3)];
        let lineage = Lineage::of(&events);
        assert_eq!(lineage.causes(&events[1]).map(|event| event.at.as_second()).collect::<Vec<_>>(), [1]);
        assert_eq!(lineage.effects(&events[0].id).len(), 1, "read twice, told once");
        let story: Vec<i64> = lineage.story(&events[0], 10).iter().map(|event| event.at.as_second()).collect();
        assert_eq!(story, [1, 2, 3]);
        assert_eq!(lineage.story(&events[0], 2).len(), 2);
    }
}
