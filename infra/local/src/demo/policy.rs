//! The demo's policy file, and what makes a demo take a minute and not an hour.

use std::fmt::Write;

use flywheel_model::DataSourceId;

use super::experiments::Place;
use super::launch::TOPICS;
use super::{tests as regression, timeouts};

/// Job starts a second, in the policy and at the stand-in alike. Bedrock's own quota is 0.1: one start in ten seconds.
pub(crate) const JOB_STARTS_PER_SECOND: f64 = 0.5;

/// Up to this many changes of a data source are ingested directly. So few that the demo's burst needs jobs and its
/// edits do not.
pub(crate) const DIRECT_AT_MOST: usize = 5;

/// The policy for these data sources, each with the prefix that it reads, and for the assistant at this address.
pub(crate) fn write(bucket: &str, sources: &[(DataSourceId, &str)], launch: &DataSourceId, assistant: &str, flags: &Place) -> String {
    let mut text = format!(
        r#"# The demo's policy: what Flywheel watches and how far it may go. Times are shorter than anybody would choose for
# production, and job_starts_per_second is five times Bedrock's own quota (0.1), so that the demo takes a minute.
mode = "act"

[sync]
direct_at_most = {DIRECT_AT_MOST}
settle_seconds = 2
settle_at_most_seconds = 20
poll_seconds = 1
check_seconds = 1
cooldown_seconds = 2
max_attempts = 2

[quotas]
job_starts_per_second = {JOB_STARTS_PER_SECOND:?}
"#
    );
    for (id, prefix) in sources {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[[data_source]]\nknowledge_base = \"{}\"\ndata_source = \"{}\"\nbucket = \"{bucket}\"\nprefix = {prefix:?}\nmetadata_files = false\n",
            id.knowledge_base, id.data_source
        );
    }
    let [topic, other] = TOPICS;
    let (knowledge_base, data_source) = (&launch.knowledge_base, &launch.data_source);
    let _ = write!(
        text,
        r#"
# Flywheel cannot see the launch's documents change, so it synchronises them when a finding asks for it.
[[unseen_source]]
knowledge_base = "{knowledge_base}"
data_source = "{data_source}"

[[topic]]
name = "{topic}"
words = ["zephyrine"]
knowledge_bases = ["{knowledge_base}"]

[[topic]]
name = "{other}"
words = ["order"]
"#
    );
    for workflow in timeouts::WORKFLOWS {
        let _ = write!(
            text,
            "\n[[timeout]]\nworkflow = \"{workflow}\"\ntarget = {{ parameter = \"{}\" }}\nceiling_seconds = 120\ncooldown_seconds = {}\n",
            timeouts::parameter(workflow),
            timeouts::COOLDOWN_SECONDS
        );
    }
    let _ = write!(
        text,
        "\n# New tests are proved against the assistant that is in production.\n[[tests.target]]\nname = \"{}\"\nintents = [\"{}\"]\nurl = \"{assistant}\"\n",
        regression::TARGET,
        regression::INTENT
    );
    let Place { application, environment, profile, strategy } = flags;
    let _ = write!(
        text,
        r#"
# Prompts are compared by the application's feature flags.
[experiments]
application = "{application}"
environment = "{environment}"
profile = "{profile}"
strategy = "{strategy}"
promotion_strategy = "{strategy}"
ramp = [0.5]
ramp_seconds = 1

[[experiments.intent]]
intent = "billing"
flag = "billing-prompt"
control = "baseline"
uses = ["gateway"]
risk = "low"

[[experiments.intent]]
intent = "returns"
flag = "returns-prompt"
control = "baseline"
uses = ["gateway"]
risk = "low"
"#
    );
    text
}

#[cfg(test)]
mod tests {
    use flywheel_policy::Policy;

    use super::*;

    #[test]
    fn is_a_valid_policy() {
        let source = DataSourceId::new("KB00000001", "DS00000001");
        let policy = Policy::parse(&write(
            "bucket",
            &[(source.clone(), "a \"quoted\" folder/")],
            &DataSourceId::new("KB00000002", "DS00000002"),
            "http://127.0.0.1:1/turn",
            &Place {
                application: "abc1234".to_owned(),
                environment: "def5678".to_owned(),
                profile: "ghi9012".to_owned(),
                strategy: "jkl3456".to_owned(),
            },
        ))
        .expect("valid");
        assert_eq!(policy.data_source(&source).map(|source| source.prefix.as_str()), Some("a \"quoted\" folder/"));
    }
}
