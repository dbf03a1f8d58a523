//! What the policy says of regression tests.

use flywheel_model::Key;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::file::Check;

/// When failed conversations become regression tests, how many, and how tests are run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestPolicy {
    /// Tests of one intent that are proposed or active. 1 to 500, default 40.
    pub at_most: u32,
    /// Tests that one finding, or one request, may add. 1 to 50, default 5.
    pub new_at_most: u32,
    /// Days that a conversation may become a test, and that successful ones are compared with. 1 to 30, as long as observations
    /// are kept; default 14.
    pub keep_days: u32,
    /// A person decides of each new test whether it counts. Default false.
    pub review: bool,
    /// Tools that change something, in lower case. Empty: those whose names say so (`cancel_order`, `updateAddress`).
    pub changing: Vec<String>,
    /// A test that has passed for this many days while its intent had no finding and no conversation failed so is proposed for
    /// retirement. 7 to 3,650, default 90.
    pub retire_days: u32,
    /// Runs of a new test against the version that failed, if a target is named. 1 to 50, default 5.
    pub proof_runs: u32,
    /// The share of its runs that an active test must pass, 0.5 to 1, default 0.9 …
    pub pass_rate: f64,
    /// … and how sure that must be, either way. 0.8 to 0.999, default 0.95. Both decide how many runs a gate needs.
    pub confidence: f64,
    /// The Bedrock model that may propose titles and questions for a judge; none: rules alone write them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The assistants that tests are run against. The first that serves an intent proves its new tests.
    #[serde(rename = "target")]
    pub targets: Vec<TestTarget>,
}

impl Default for TestPolicy {
    /// What holds where the policy says nothing.
    fn default() -> Self {
        Check::new("").tests(Tests::default())
    }
}

impl TestPolicy {
    /// The assistant that an intent's tests are run against: the one of this name, or the first that serves the intent.
    #[must_use]
    pub fn target(&self, intent: &Key, name: Option<&str>) -> Option<&TestTarget> {
        let serves = |target: &&TestTarget| target.intents.is_empty() || target.intents.contains(intent);
        match name {
            Some(name) => self.targets.iter().find(|target| target.name.as_str() == name),
            None => self.targets.iter().find(serves),
        }
    }
}

/// An assistant that tests are run against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestTarget {
    /// What it is called.
    pub name: Key,
    /// The intents that it serves; empty for all.
    pub intents: Vec<Key>,
    /// How it is asked.
    #[serde(flatten)]
    pub assistant: Assistant,
}

/// How an assistant is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Assistant {
    /// An HTTP endpoint that takes the conversation so far and gives the assistant's next turn.
    Endpoint {
        /// Its address.
        url: String,
        /// The secret of Secrets Manager that holds the value of its `Authorization` header.
        #[serde(skip_serializing_if = "Option::is_none")]
        secret: Option<String>,
    },
    /// A Bedrock model, through Converse.
    Model {
        /// The model's or inference profile's id.
        model: String,
        /// The object of the bucket of data sets, below `tests/targets/`, that has its instructions and tools:
        /// `{"system": …, "tools": […]}`, the tools as in Converse's `toolConfig`.
        instructions: String,
    },
}

/// The table `[tests]` as written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tests {
    at_most: Option<Spanned<u32>>,
    new_at_most: Option<Spanned<u32>>,
    keep_days: Option<Spanned<u32>>,
    review: bool,
    changing: Vec<Spanned<String>>,
    retire_days: Option<Spanned<u32>>,
    proof_runs: Option<Spanned<u32>>,
    pass_rate: Option<Spanned<f64>>,
    confidence: Option<Spanned<f64>>,
    model: Option<Spanned<String>>,
    target: Vec<Spanned<TargetTable>>,
}

/// Either `url`, or `model` with `instructions`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetTable {
    name: Spanned<String>,
    #[serde(default)]
    intents: Vec<Spanned<String>>,
    url: Option<Spanned<String>>,
    secret: Option<Spanned<String>>,
    model: Option<Spanned<String>>,
    instructions: Option<Spanned<String>>,
}

impl Check<'_> {
    pub(crate) fn tests(&mut self, table: Tests) -> TestPolicy {
        let mut targets = Vec::<TestTarget>::new();
        for target in table.target {
            let span = target.span();
            let Some(target) = self.test_target(target) else { continue };
            if targets.iter().any(|other| other.name == target.name) {
                let fix = "give each target a name of its own";
                self.problem(span, "tests.target.name", format!("{} is there twice", target.name), fix);
            }
            targets.push(target);
        }
        TestPolicy {
            at_most: self.number("tests.at_most", table.at_most, 40, 1..=500),
            new_at_most: self.number("tests.new_at_most", table.new_at_most, 5, 1..=50),
            keep_days: self.number("tests.keep_days", table.keep_days, 14, 1..=30),
            review: table.review,
            changing: self.words("tests.changing", table.changing),
            retire_days: self.number("tests.retire_days", table.retire_days, 90, 7..=3_650),
            proof_runs: self.number("tests.proof_runs", table.proof_runs, 5, 1..=50),
            pass_rate: self.number("tests.pass_rate", table.pass_rate, 0.9, 0.5..=1.0),
            confidence: self.number("tests.confidence", table.confidence, 0.95, 0.8..=0.999),
            model: table.model.map(|model| self.named("tests.model", model)),
            targets,
        }
    }

    fn test_target(&mut self, target: Spanned<TargetTable>) -> Option<TestTarget> {
        let span = target.span();
        let TargetTable { name, intents, url, secret, model, instructions } = target.into_inner();
        let assistant = match (url, model, instructions) {
            (Some(url), None, None) => {
                let address = url.get_ref();
                let host = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
                if host.is_none_or(|host| host.is_empty() || host.starts_with('/') || host.contains(['@', ' ', '\n'])) {
                    let fix = "use an address such as \"https://assistant.example.com/turn\", without a user or a password in it";
                    self.problem(url.span(), "tests.target.url", format!("{address:?} is no address"), fix);
                }
                Assistant::Endpoint { url: url.into_inner(), secret: secret.map(|secret| self.named("tests.target.secret", secret)) }
            }
            (None, Some(model), Some(instructions)) if secret.is_none() => {
                if !instructions.get_ref().starts_with("tests/targets/") {
                    let problem = format!("{:?} is not below tests/targets/", instructions.get_ref());
                    let fix = "put the object there: prove-tests may read nothing else";
                    self.problem(instructions.span(), "tests.target.instructions", problem, fix);
                }
                Assistant::Model {
                    model: self.named("tests.target.model", model),
                    instructions: self.named("tests.target.instructions", instructions),
                }
            }
            _ => {
                let fix = "give one of: url (with or without secret); model and instructions";
                self.problem(span, "tests.target", "it names no assistant, or more than one".to_owned(), fix);
                return None;
            }
        };
        let intents = intents.into_iter().filter_map(|intent| self.key("tests.target.intents", intent)).collect();
        Some(TestTarget { name: self.key("tests.target.name", name)?, intents, assistant })
    }

    /// A name that goes into a role's grants: no wildcard may get there.
    pub(crate) fn named(&mut self, field: &str, name: Spanned<String>) -> String {
        let text = name.get_ref();
        let allowed = |char: char| char.is_ascii_alphanumeric() || "-_./:+=@".contains(char);
        if text.is_empty() || text.len() > 512 || !text.chars().all(allowed) {
            let fix = "use the name, id or ARN as AWS shows it, without wildcards";
            self.problem(name.span(), field, format!("{text:?} is not a name"), fix);
        }
        name.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use crate::Policy;

    const POLICY: &str = "mode = \"act\"\n[[unseen_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\n[tests]\n";

    #[test]
    fn what_is_not_said_has_its_default() {
        let tests = Policy::parse(POLICY).expect("valid").tests;
        assert_eq!((tests.at_most, tests.new_at_most, tests.proof_runs, tests.review), (40, 5, 5, false));
        assert!(tests.targets.is_empty());
    }

    #[test]
    fn the_first_target_that_serves_an_intent_is_its_own() {
        let text = format!(
            "{POLICY}[[tests.target]]\nname = \"orders\"\nintents = [\"order-tracking\"]\nurl = \"http://127.0.0.1:1/turn\"\n\
             [[tests.target]]\nname = \"all\"\nmodel = \"amazon.nova-lite-v1:0\"\ninstructions = \"tests/targets/all.json\"\n"
        );
        let tests = Policy::parse(&text).expect("valid").tests;
        let named = |intent: &str, name| tests.target(&intent.try_into().expect("a key"), name).map(|target| target.name.as_str());
        assert_eq!(named("order-tracking", None), Some("orders"));
        assert_eq!(named("billing", None), Some("all"));
        assert_eq!(named("billing", Some("orders")), Some("orders"));
        assert_eq!(named("billing", Some("nobody")), None);
    }

    #[test]
    fn problems_are_told_with_their_fields() {
        for (table, told) in [
            ("at_most = 0\n", "line 6: tests.at_most: 0 is out of range; use 1 to 500 (default 40)"),
            ("[[tests.target]]\nname = \"a\"\n", "line 6: tests.target: it names no assistant, or more than one"),
            ("[[tests.target]]\nname = \"a\"\nurl = \"ftp://x\"\n", "line 8: tests.target.url: \"ftp://x\" is no address"),
            ("[[tests.target]]\nname = \"a\"\nurl = \"https://me:pw@x\"\n", "line 8: tests.target.url: "),
            (
                "[[tests.target]]\nname = \"a\"\nmodel = \"*\"\ninstructions = \"tests/targets/b\"\n",
                "line 8: tests.target.model: \"*\" is not a name",
            ),
            ("pass_rate = 0.1\n", "line 6: tests.pass_rate: 0.1 is out of range"),
        ] {
            let found = Policy::parse(&format!("{POLICY}{table}")).expect_err("not valid").0[0].to_string();
            assert!(found.starts_with(told), "{found} does not start with {told}");
        }
    }
}
