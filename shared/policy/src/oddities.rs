//! What is valid in a policy and yet hardly meant.

use std::collections::BTreeSet;
use std::fmt;

use flywheel_model::{CaptureReason, Metric};
use jiff::Timestamp;
use serde::Serialize;

use crate::{Measure, Policy, TimeoutPolicy};

/// Something that is allowed and looks like an oversight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Oddity {
    /// The field, as the file names it.
    pub field: String,
    /// What is odd about it.
    pub says: String,
    /// What to write if it was not meant.
    pub fix: String,
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.field, self.says, self.fix)
    }
}

/// What looks like an oversight, in the order of the policy's parts.
#[must_use]
pub fn oddities(policy: &Policy, now: Timestamp) -> Vec<Oddity> {
    let mut found = Found(Vec::new());
    found.sync(policy);
    found.sources(policy);
    found.findings(policy);
    found.capture(policy);
    found.classes(policy);
    found.alarms(policy);
    found.experiments(policy, now);
    for timeout in &policy.timeouts {
        found.timeout(timeout);
    }
    if policy.preflight.surely > policy.preflight.failed_share {
        let says =
            format!("{} is above failed_share ({}), which then never decides", policy.preflight.surely, policy.preflight.failed_share);
        found.add("preflight.surely", says, "use a share that is not above failed_share");
    }
    found.0
}

struct Found(Vec<Oddity>);

impl Found {
    fn add(&mut self, field: impl Into<String>, says: impl Into<String>, fix: &str) {
        self.0.push(Oddity { field: field.into(), says: says.into(), fix: fix.to_owned() });
    }

    fn sync(&mut self, policy: &Policy) {
        let (sync, quotas) = (&policy.sync, &policy.quotas);
        if sync.settle_at_most_seconds < sync.settle_seconds {
            let says =
                format!("{} is below settle_seconds ({}): no job ever waits for quiet", sync.settle_at_most_seconds, sync.settle_seconds);
            self.add("sync.settle_at_most_seconds", says, "use at least settle_seconds");
        }
        let caps = [
            (
                "sync.job_starts_per_hour",
                f64::from(sync.job_starts_per_hour),
                quotas.job_starts_per_second * 3_600.0,
                "quotas.job_starts_per_second",
            ),
            (
                "sync.direct_documents_per_hour",
                f64::from(sync.direct_documents_per_hour),
                quotas.direct_requests_per_second * f64::from(quotas.documents_per_request) * 3_600.0,
                "quotas.direct_requests_per_second",
            ),
        ];
        for (field, cap, possible, by) in caps {
            if cap > possible {
                self.add(
                    field,
                    format!("a cap of {cap:.0} never holds: {by} allows {possible:.0} an hour"),
                    "use a lower cap, or leave it out",
                );
            }
        }
    }

    fn sources(&mut self, policy: &Policy) {
        for source in &policy.data_sources {
            let field = |name: &str| format!("data_source {}.{name}", source.id);
            let prefix = source.prefix.trim_end_matches('/');
            for glob in &source.include {
                if !prefix.is_empty() && glob.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/')) {
                    let says = format!(
                        "{glob:?} begins with the prefix, and is looked for below it: it matches no document of {}{glob}",
                        source.prefix
                    );
                    self.add(field("include"), says, "write the glob without the prefix");
                }
            }
            if source.exclude.iter().any(|glob| matches!(glob.as_str(), "**" | "**/*")) {
                self.add(
                    field("exclude"),
                    "it leaves every document out: nobody feeds the data source",
                    "leave out less, or take the table out",
                );
            }
            if !source.prefix.is_empty() && !source.prefix.ends_with('/') {
                let says = format!("{:?} also takes in what only begins so, such as {0:?}-old", source.prefix);
                self.add(field("prefix"), says, "end it with a slash if a folder is meant");
            }
        }
        for (place, source) in policy.data_sources.iter().enumerate() {
            let same = |other: &&crate::DataSource| {
                other.id.knowledge_base == source.id.knowledge_base
                    && (&other.bucket, &other.prefix, &other.include, &other.exclude)
                        == (&source.bucket, &source.prefix, &source.include, &source.exclude)
            };
            if let Some(other) = policy.data_sources[..place].iter().find(same) {
                let says = format!("it reads the same documents as {} into the same knowledge base, which then finds each twice", other.id);
                self.add(format!("data_source {}", source.id), says, "keep one of them");
            }
        }
        let served: BTreeSet<&String> = policy.topics.iter().flat_map(|topic| &topic.knowledge_bases).collect();
        for source in policy.unseen_sources.iter().filter(|source| !served.contains(&source.knowledge_base)) {
            let says =
                format!("no topic names the knowledge base {}, so no finding ever asks for it: nobody feeds it", source.knowledge_base);
            self.add(format!("unseen_source {source}"), says, "add a [[topic]] with it in knowledge_bases");
        }
    }

    fn findings(&mut self, policy: &Policy) {
        if policy.findings.window_days >= policy.findings.baseline_days {
            let says = format!(
                "{} is not below baseline_days ({}): there is no earlier time to compare with",
                policy.findings.window_days, policy.findings.baseline_days
            );
            self.add("findings.window_days", says, "use fewer days");
        }
        for metric in Metric::ALL {
            let rule = policy.findings.rule(metric);
            let falls = metric == Metric::Resolution;
            if rule.change >= 1.0 && (rule.measure == Measure::Points || falls) {
                let says = format!(
                    "no rate can {} by {}: this never is a finding",
                    if falls { "fall" } else { "rise" },
                    change_told(rule.change, rule.measure)
                );
                self.add(format!("findings.{metric}.change"), says, "use less than 1.0");
            }
            if rule.minimum_sample > 1_000_000 {
                let says = format!("few applications have {} of them in a window: this is hardly ever a finding", rule.minimum_sample);
                self.add(format!("findings.{metric}.minimum_sample"), says, "use fewer");
            }
        }
        for limit in policy.failures.evaluations.iter().filter(|limit| limit.below <= 0.0) {
            let says = format!("a score from 0 to 1 is never below {}", limit.below);
            self.add(format!("failures.evaluation {}.below", limit.name), says, "use the score from which on it is good enough");
        }
        if policy.failures.no_answer.is_empty() {
            self.add(
                "failures.no_answer",
                "without phrases, \"I do not know\" counts as a success",
                "leave the field out for those that are built in",
            );
        }
    }

    fn capture(&mut self, policy: &Policy) {
        let most: f64 = CaptureReason::ALL.into_iter().map(|reason| policy.capture.weight(reason)).sum();
        if most < policy.capture.threshold {
            let says =
                format!("all reasons together weigh {most}, and the threshold is {}: nothing is ever captured", policy.capture.threshold);
            self.add("capture.threshold", says, "use a lower threshold, or larger weights");
        }
    }

    fn classes(&mut self, policy: &Policy) {
        let known: BTreeSet<&str> = policy
            .data_sources
            .iter()
            .map(|source| &source.id)
            .chain(&policy.unseen_sources)
            .map(|id| id.knowledge_base.as_str())
            .collect();
        for topic in &policy.topics {
            let field = |name: &str| format!("topic {}.{name}", topic.name);
            if topic.words.is_empty() && topic.knowledge_bases.is_empty() {
                let says = "it has neither words nor knowledge bases, so it does nothing";
                self.add(format!("topic {}", topic.name), says, "give it words, or take it out");
            }
            for unknown in topic.knowledge_bases.iter().filter(|id| !known.contains(id.as_str())) {
                let says = format!("no data source of {unknown} is in the policy: a finding about the topic cannot synchronise it");
                self.add(field("knowledge_bases"), says, "add its [[data_source]] or [[unseen_source]]");
            }
        }
        for intent in policy.intents.iter().filter(|intent| intent.words.is_empty() && intent.tools.is_empty()) {
            let says = "it has neither words nor tools: only conversations that name it have it";
            self.add(format!("intent {}", intent.name), says, "give it words or tools");
        }
        for (kind, classes) in [("topic", &policy.topics), ("intent", &policy.intents)] {
            for (place, class) in classes.iter().enumerate().filter(|(_, class)| !class.words.is_empty()) {
                let earlier = classes[..place].iter().find(|other| other.words == class.words && other.tools == class.tools);
                if let Some(other) = earlier {
                    let says = format!("it has the words of {}, which comes first and always wins", other.name);
                    self.add(format!("{kind} {}", class.name), says, "give it words of its own");
                }
            }
        }
    }

    fn alarms(&mut self, policy: &Policy) {
        for alarm in &policy.alarms {
            let (kind, classes) = match alarm.metric {
                Metric::FailedResponses => ("topic", &policy.topics),
                Metric::Resolution | Metric::ConversationFailures => ("intent", &policy.intents),
                Metric::RetrievalFailures | Metric::Timeouts | Metric::FailedReleases => continue,
            };
            if !classes.is_empty() && classes.iter().all(|class| class.name != alarm.key) {
                let says = format!("the policy has no {kind} {}", alarm.key);
                self.add(format!("alarm {}.key", alarm.name), says, "check the spelling; signals may still name it");
            }
        }
    }

    fn experiments(&mut self, policy: &Policy, now: Timestamp) {
        let experiments = &policy.experiments;
        if experiments.flags.is_some() && experiments.intents.is_empty() {
            self.add("experiments", "it names flags, and no intent: no experiment is ever made", "add an [[experiments.intent]] table");
        }
        for freeze in experiments.freezes.iter().filter(|freeze| freeze.to <= now) {
            self.add("experiments.freeze", format!("it ended at {}", freeze.to), "take it out");
        }
        let named: BTreeSet<&str> = policy.intents.iter().map(|intent| intent.name.as_str()).collect();
        for intent in experiments.intents.iter().filter(|intent| !named.is_empty() && !named.contains(intent.intent.as_str())) {
            let says = format!("the policy has no intent {}", intent.intent);
            self.add("experiments.intent.intent", says, "check the spelling; signals may still name it");
        }
    }

    fn timeout(&mut self, timeout: &TimeoutPolicy) {
        let field = |name: &str| format!("timeout {}.{name}", timeout.name);
        let room = timeout.ceiling_seconds - timeout.floor_seconds;
        if room == 0 {
            self.add(field("ceiling_seconds"), "it is the floor as well: the limit never moves", "use a higher ceiling");
        } else if room < timeout.step_seconds {
            let says = format!("from the floor to the ceiling are {room} seconds, which is less than a step: the limit hardly ever moves");
            self.add(field("step_seconds"), says, "use a smaller step");
        }
        if timeout.lost_run_costs == 0.0 {
            self.add(field("lost_run_costs"), "a run that is cut costs nothing: the limit is never raised", "say what such a run costs");
        } else if timeout.second_costs == 0.0 {
            self.add(field("second_costs"), "waiting costs nothing: the limit goes to the ceiling", "say what a second costs");
        }
        for limit in timeout.above.iter().filter(|limit| limit.seconds < timeout.ceiling_seconds) {
            let says = format!("{} gives up after {} seconds: the limit never gets beyond that", limit.name, limit.seconds);
            self.add(field("ceiling_seconds"), says, "use a ceiling that its callers wait for");
        }
        for limit in timeout.below.iter().filter(|limit| limit.seconds < timeout.floor_seconds) {
            let says =
                format!("{} gives up after {} seconds, before the lowest limit: no limit ever cuts a run", limit.name, limit.seconds);
            self.add(field("below"), says, "use a lower floor, or raise what is inside");
        }
    }
}

fn change_told(change: f64, measure: Measure) -> String {
    match measure {
        Measure::Relative => format!("{:.0}%", change * 100.0),
        Measure::Points => format!("{:.0} points", change * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"mode = "act"
[[data_source]]
knowledge_base = "KB12345678"
data_source = "DS12345678"
bucket = "docs"
prefix = "manuals/"
"#;

    fn told(text: &str) -> Vec<String> {
        let now = "2026-11-27T12:00:00Z".parse().expect("a time");
        oddities(&Policy::parse(text).expect("valid"), now).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_plain_policy_has_none_and_neither_has_the_example() {
        assert_eq!(told(GOOD), [""; 0]);
        assert_eq!(told(include_str!("../../../events/policy.toml")), [""; 0]);
    }

    #[test]
    fn each_oversight_is_told_with_its_field() {
        let more = |text: &str| format!("{GOOD}{text}");
        let timeout = |rest: &str| {
            more(&format!("[[timeout]]\nworkflow = \"trip\"\ntarget = {{ function = \"trip\" }}\nceiling_seconds = 60\n{rest}"))
        };
        let place = "application = \"abc\"\nenvironment = \"def\"\nprofile = \"ghi\"\n";
        for (text, starts) in [
            (
                more("include = [\"manuals/**/*.md\"]\n"),
                "data_source KB12345678/DS12345678.include: \"manuals/**/*.md\" begins with the prefix",
            ),
            (more("exclude = [\"**/*\"]\n"), "data_source KB12345678/DS12345678.exclude: it leaves every document out"),
            (GOOD.replace("manuals/", "manuals"), "data_source KB12345678/DS12345678.prefix: \"manuals\" also takes in"),
            (
                more(
                    "[[data_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS22222222\"\nbucket = \"docs\"\nprefix = \"manuals/\"\n",
                ),
                "data_source KB12345678/DS22222222: it reads the same documents as KB12345678/DS12345678",
            ),
            (
                more("[[unseen_source]]\nknowledge_base = \"KB22222222\"\ndata_source = \"DS22222222\"\n"),
                "unseen_source KB22222222/DS22222222: no topic names the knowledge base KB22222222",
            ),
            (more("[sync]\nsettle_seconds = 90\n"), "sync.settle_at_most_seconds: 60 is below settle_seconds (90)"),
            (more("[sync]\njob_starts_per_hour = 3600\n"), "sync.job_starts_per_hour: a cap of 3600 never holds"),
            (more("[findings]\nbaseline_days = 7\n"), "findings.window_days: 7 is not below baseline_days (7)"),
            (more("[findings.resolution]\nchange = 1.0\n"), "findings.resolution.change: no rate can fall by 100%"),
            (more("[findings.timeouts]\nchange = 2.0\nmeasure = \"points\"\n"), "findings.timeouts.change: no rate can rise by 200 points"),
            (more("[findings.timeouts]\nminimum_sample = 2000000\n"), "findings.timeouts.minimum_sample: few applications"),
            (more("[failures]\nno_answer = []\n"), "failures.no_answer: without phrases"),
            (more("[[failures.evaluation]]\nname = \"tone\"\nbelow = 0.0\n"), "failures.evaluation tone.below: a score from 0 to 1"),
            (more("[capture]\nthreshold = 9.0\n"), "capture.threshold: all reasons together weigh 8"),
            (more("[[topic]]\nname = \"launch\"\n"), "topic launch: it has neither words nor knowledge bases"),
            (
                more("[[topic]]\nname = \"launch\"\nknowledge_bases = [\"KB99999999\"]\n"),
                "topic launch.knowledge_bases: no data source of KB99999999",
            ),
            (more("[[intent]]\nname = \"billing\"\n"), "intent billing: it has neither words nor tools"),
            (
                more("[[intent]]\nname = \"a\"\nwords = [\"x\"]\n[[intent]]\nname = \"b\"\nwords = [\"x\"]\n"),
                "intent b: it has the words of a",
            ),
            (
                more("[[intent]]\nname = \"a\"\nwords = [\"x\"]\n[[alarm]]\nname = \"al\"\nmetric = \"resolution\"\nkey = \"b\"\n"),
                "alarm al.key: the policy has no intent b",
            ),
            (more(&format!("[experiments]\n{place}")), "experiments: it names flags, and no intent"),
            (
                more("[[experiments.freeze]]\nfrom = \"2025-12-20T00:00:00Z\"\nto = \"2026-01-04T00:00:00Z\"\n"),
                "experiments.freeze: it ended at 2026-01-04T00:00:00Z",
            ),
            (timeout("floor_seconds = 60\n"), "timeout trip.ceiling_seconds: it is the floor as well"),
            (timeout("floor_seconds = 58\n"), "timeout trip.step_seconds: from the floor to the ceiling are 2 seconds"),
            (timeout("lost_run_costs = 0.0\n"), "timeout trip.lost_run_costs: a run that is cut costs nothing"),
            (timeout("second_costs = 0.0\n"), "timeout trip.second_costs: waiting costs nothing"),
            (
                timeout("above = [{ name = \"API Gateway\", seconds = 29 }]\n"),
                "timeout trip.ceiling_seconds: API Gateway gives up after 29",
            ),
            (
                timeout("floor_seconds = 20\nbelow = [{ name = \"SDK\", seconds = 10 }]\n"),
                "timeout trip.below: SDK gives up after 10 seconds",
            ),
            (more("[preflight]\nsurely = 0.5\n"), "preflight.surely: 0.5 is above failed_share (0.4)"),
        ] {
            let told = told(&text);
            assert!(matches!(&told[..], [one] if one.starts_with(starts)), "{starts}: {told:?}");
        }
    }
}
