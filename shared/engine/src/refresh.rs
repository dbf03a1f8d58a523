//! Whether synchronising helps a topic that fails: only if something changed that its knowledge bases do not show yet.

use std::collections::BTreeSet;

use flywheel_model::{ActionKind, Body, DataSourceId, Event, Finding, Id, Metric, Refresh, RefreshHold, Scope};
use flywheel_policy::{Mode, Policy};
use jiff::Timestamp;

use crate::outcomes::still_cooling;
use crate::sync::Source;

/// What a finding asks for: the action, if any, and everything that is to be told, it included.
///
/// A data source whose documents changed since it was last synchronised is synchronised; one that Flywheel cannot see
/// changing as well. With neither, the knowledge base is as fresh as it can be, and the hold says so. Nothing is synchronised
/// for a topic before `cooling_until`: the last time it made the topic worse.
#[must_use]
pub fn decide(
    finding: &Finding,
    cause: &Id,
    sources: &[Source],
    cooling_until: Option<Timestamp>,
    policy: &Policy,
    now: Timestamp,
) -> (Option<Refresh>, Vec<Event>) {
    let mut holds = Vec::new();
    let mut wanted = Vec::new();
    if let Some(reason) = still_cooling(ActionKind::Refresh, cooling_until, now) {
        holds.push((None, reason));
    } else if finding.metric == Metric::FailedResponses {
        let knowledge_bases = serving(&finding.scope, policy);
        if knowledge_bases.is_empty() {
            let reason = match &finding.scope {
                Scope::Key(topic) => format!(
                    "no knowledge base serves {:?} in the policy: name them in knowledge_bases of its [[topic]] table",
                    topic.as_str()
                ),
                _ => "no [[topic]] table of the policy names knowledge_bases".to_owned(),
            };
            holds.push((None, reason));
        }
        for knowledge_base in knowledge_bases {
            let watched = policy.data_sources.iter().map(|source| (&source.id, true));
            let unseen = policy.unseen_sources.iter().map(|id| (id, false));
            let mut of_it = watched.chain(unseen).filter(|(id, _)| id.knowledge_base == knowledge_base).peekable();
            if of_it.peek().is_none() {
                holds.push((
                    None,
                    format!("knowledge base {knowledge_base} has no data source in the policy, so that nothing can be synchronised"),
                ));
            }
            for (id, watched) in of_it {
                match up_to_date(id, watched, sources) {
                    None => wanted.push(id.clone()),
                    Some(reason) => holds.push((Some(id.clone()), reason)),
                }
            }
        }
    }
    let subject = finding.subject();
    let tell = |id: Id, body: Body| Event { id, subject: subject.clone(), causes: vec![cause.clone()], at: now, body };
    let mut events: Vec<Event> = holds
        .into_iter()
        .map(|(data_source, reason)| {
            let id = Id::of("decision.refresh-hold", &[cause.as_str(), &reason]);
            tell(id, Body::RefreshHeld(RefreshHold { finding: finding.finding.clone(), data_source, reason }))
        })
        .collect();
    if wanted.is_empty() {
        return (None, events);
    }
    let dry_run = policy.mode == Mode::DryRun;
    let refresh = Refresh { finding: finding.finding.clone(), data_sources: wanted, examples: finding.examples.clone(), dry_run };
    events.push(tell(Id::of("decision.refresh", &[cause.as_str()]), Body::RefreshDecided(refresh.clone())));
    ((!dry_run).then_some(refresh), events)
}

/// The knowledge bases that serve a topic; those of all topics where all of them fail.
fn serving(scope: &Scope, policy: &Policy) -> BTreeSet<String> {
    let concerned = policy.topics.iter().filter(|topic| match scope {
        Scope::Everywhere => true,
        Scope::Key(key) => topic.name == *key,
        Scope::Cause { .. } => false,
    });
    concerned.flat_map(|topic| topic.knowledge_bases.iter().cloned()).collect()
}

/// Why synchronising a data source would bring nothing new.
fn up_to_date(id: &DataSourceId, watched: bool, sources: &[Source]) -> Option<String> {
    let source = sources.iter().find(|source| source.id == *id);
    if !watched || source.is_some_and(Source::needs_attention) {
        return None;
    }
    let since = source
        .and_then(|source| source.last_start.max(source.last_send))
        .map_or_else(|| "Flywheel watches it".to_owned(), |at| format!("its synchronisation of {at}"));
    Some(format!(
        "not a freshness problem: no document of {id} changed since {since}; look at what the documents say, at retrieval and at the prompt"
    ))
}

#[cfg(test)]
mod tests {
    use flywheel_model::{Evidence, Key};

    use super::*;

    const POLICY: &str = r#"mode = "act"
[[data_source]]
knowledge_base = "KBWATCHED1"
data_source = "DSWATCHED1"
bucket = "docs"
[[unseen_source]]
knowledge_base = "KBUNSEEN01"
data_source = "DSUNSEEN01"
[[topic]]
name = "launch"
knowledge_bases = ["KBWATCHED1", "KBUNSEEN01"]
[[topic]]
name = "watched"
knowledge_bases = ["KBWATCHED1"]
[[topic]]
name = "elsewhere"
knowledge_bases = ["KBOTHERTEA"]
"#;

    fn finding(scope: Scope) -> Finding {
        let name = Key::try_from("alarm").expect("a key");
        Finding {
            finding: Id::of("finding", &["1"]),
            metric: Metric::FailedResponses,
            scope,
            opened_at: Timestamp::UNIX_EPOCH,
            evidence: Evidence::Alarm { name, reason: None },
            examples: Vec::new(),
        }
    }

    fn topic(name: &str) -> Scope {
        Scope::Key(Key::try_from(name).expect("a key"))
    }

    fn asked(scope: Scope, sources: &[Source], mode: &str) -> (Vec<String>, Vec<String>) {
        let policy = Policy::parse(&POLICY.replace("\"act\"", mode)).expect("valid");
        let cause = Id::of("finding.opened", &["1"]);
        let (refresh, events) = decide(&finding(scope), &cause, sources, None, &policy, Timestamp::UNIX_EPOCH);
        let reasons = events.iter().filter_map(|event| match &event.body {
            Body::RefreshHeld(hold) => Some(hold.reason.split(':').next().unwrap_or_default().to_owned()),
            _ => None,
        });
        let wanted = refresh.map(|refresh| refresh.data_sources.iter().map(ToString::to_string).collect());
        (wanted.unwrap_or_default(), reasons.collect())
    }

    fn changed() -> Source {
        Source { changes: 1, ..Source::new(DataSourceId::new("KBWATCHED1", "DSWATCHED1")) }
    }

    #[test]
    fn what_cannot_be_seen_changing_is_synchronised_and_what_did_not_change_is_not() {
        let (wanted, held) = asked(topic("launch"), &[], "\"act\"");
        assert_eq!((wanted, held), (vec!["KBUNSEEN01/DSUNSEEN01".to_owned()], vec!["not a freshness problem".to_owned()]));
    }

    #[test]
    fn what_changed_since_is_synchronised() {
        let (wanted, held) = asked(topic("watched"), &[changed()], "\"act\"");
        assert_eq!((wanted, held), (vec!["KBWATCHED1/DSWATCHED1".to_owned()], vec![]));
    }

    #[test]
    fn a_dry_run_decides_and_asks_for_nothing() {
        assert_eq!(asked(topic("watched"), &[changed()], "\"dry_run\"").0, Vec::<String>::new());
    }

    #[test]
    fn where_all_topics_fail_all_their_knowledge_bases_are_looked_at() {
        let (wanted, held) = asked(Scope::Everywhere, &[changed()], "\"act\"");
        assert_eq!(wanted, ["KBUNSEEN01/DSUNSEEN01", "KBWATCHED1/DSWATCHED1"]);
        assert_eq!(held.len(), 1);
    }

    #[test]
    fn what_made_a_topic_worse_is_not_tried_again_before_its_time() {
        let policy = Policy::parse(POLICY).expect("valid");
        let cause = Id::of("finding.opened", &["1"]);
        let until = "1970-01-08T00:00:00Z".parse().expect("a time");
        let at = |now| decide(&finding(topic("watched")), &cause, &[changed()], Some(until), &policy, now).0.is_some();
        assert_eq!([at(Timestamp::UNIX_EPOCH), at(until)], [false, true]);
    }

    #[test]
    fn a_topic_without_knowledge_bases_is_told() {
        for name in ["unclassified", "elsewhere"] {
            let (wanted, held) = asked(topic(name), &[], "\"act\"");
            assert_eq!((wanted.len(), held.len()), (0, 1), "{name}");
        }
    }
}
