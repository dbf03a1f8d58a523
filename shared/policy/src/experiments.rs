//! What the policy says of experiments on prompts.

use std::collections::BTreeSet;

use flywheel_model::{ApprovalAction, Key};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::ApprovalPolicy;
use crate::file::Check;

/// When experiments are made, how far they may go, and which intents they are about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExperimentPolicy {
    /// Where the application's feature flags are; none: no experiments.
    #[serde(flatten)]
    pub flags: Option<FlagPlace>,
    /// The AppConfig deployment strategy that splits are put in force with. Default `AppConfig.AllAtOnce`, which
    /// bakes for ten minutes, in which no other one may begin.
    pub strategy: String,
    /// The strategy that winners are deployed with. Default `AppConfig.Canary10Percent20Minutes`.
    pub promotion_strategy: String,
    /// The key of the flags' context that names the user or the conversation: who has the same value stays in one arm.
    /// Default `userId`.
    pub split_by: String,
    /// What counts as one unit of an experiment: all that a user does, or each conversation.
    pub unit: Unit,
    /// The share of wrong discoveries among all discoveries of the account. 0.001 to 0.5, default 0.05.
    pub false_discovery_rate: f64,
    /// The power that experiments are planned with. 0.5 to 0.99, default 0.8.
    pub power: f64,
    /// The smallest change of the rate of resolution worth having, relative: 0.1 is from 60% to 66%. 0.01 to 1, default 0.1.
    pub effect: f64,
    /// An experiment that would take longer is not made, and one that has taken that long ends. 1 to 90 days, default 28.
    pub days_at_most: u32,
    /// The share of the units that takes part, all arms together. 0.01 to 1, default 1.
    pub share: f64,
    /// The shares on the way there, rising. Default 1% and 5%.
    pub ramp: Vec<f64>,
    /// How long each of them holds. 1 to 604,800 seconds, default an hour.
    pub ramp_seconds: u32,
    /// Experiments that run at the same time. 1 to 20, default 3.
    pub at_once: u32,
    /// Experiments that wait. 1 to 50, default 20.
    pub queued_at_most: u32,
    /// Variants that one experiment compares with the control. 1 to 8, default 3.
    pub variants_at_most: u32,
    /// How much more of each guardrail's event a variant may have, in points. 0 to 0.5, default 0.02.
    pub guardrail_margin: f64,
    /// The error that each guardrail may have over all looks. 0.0001 to 0.5, default 0.01.
    pub guardrail_error: f64,
    /// A conversation that takes longer is slow; none: time is no guardrail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_seconds: Option<u32>,
    /// A conversation that takes more tokens, read and written, is costly; none: tokens are no guardrail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub costly_tokens: Option<u32>,
    /// Whether a person approves each experiment before it starts. One with a variant that a model wrote always waits for that,
    /// unless `start_proposed` says otherwise.
    pub approve: bool,
    /// Whether variants that a model wrote may start without a person. Default false.
    pub start_proposed: bool,
    /// What no prompt may say, in lower case.
    pub forbidden: Vec<String>,
    /// The Bedrock model that may propose a variant where the library has none left; none: only people write them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// While these last nothing starts, widens or is promoted. Ends and stops go on.
    #[serde(rename = "freeze")]
    pub freezes: Vec<Freeze>,
    /// The intents that experiments may be made for, each once.
    #[serde(rename = "intent")]
    pub intents: Vec<ExperimentIntent>,
}

impl Default for ExperimentPolicy {
    /// What holds where the policy says nothing.
    fn default() -> Self {
        Check::new("").experiments(Experiments::default(), &ApprovalPolicy::default())
    }
}

impl ExperimentPolicy {
    /// What is said of an intent.
    #[must_use]
    pub fn intent(&self, intent: &Key) -> Option<&ExperimentIntent> {
        self.intents.iter().find(|known| known.intent == *intent)
    }

    /// The freeze that lasts at a time.
    #[must_use]
    pub fn freeze(&self, at: Timestamp) -> Option<&Freeze> {
        self.freezes.iter().find(|freeze| freeze.from <= at && at < freeze.to)
    }
}

/// What counts as one unit of an experiment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A user: the first conversation of each that comes in counts. Several of one user's are not independent.
    #[default]
    User,
    /// A conversation.
    Conversation,
}

/// Where feature flags are: ids that AppConfig gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlagPlace {
    /// The application.
    pub application: String,
    /// The environment.
    pub environment: String,
    /// The configuration profile, of type `AWS.AppConfig.FeatureFlags`.
    pub profile: String,
}

/// A time in which nothing is to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Freeze {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
}

/// An intent that experiments may be made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExperimentIntent {
    /// The intent.
    pub intent: Key,
    /// The key of the feature flag that says which prompt its conversations get.
    pub flag: String,
    /// The variant of the library that is served while there is none in the flag.
    pub control: String,
    /// What its conversations have in common with those of other intents: a gateway, a knowledge base, users. Two
    /// experiments that share one of them do not run together. Default `["users"]`.
    pub uses: Vec<String>,
    /// Whether its winner is promoted at once or waits for a person. What is not said is what `approvals.high` says of
    /// promotions.
    pub risk: Risk,
}

/// How much a person has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// A winner is promoted at once.
    Low,
    /// It waits for a person.
    High,
}

/// The table `[experiments]` as written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Experiments {
    application: Option<Spanned<String>>,
    environment: Option<Spanned<String>>,
    profile: Option<Spanned<String>>,
    strategy: Option<Spanned<String>>,
    promotion_strategy: Option<Spanned<String>>,
    split_by: Option<Spanned<String>>,
    unit: Unit,
    false_discovery_rate: Option<Spanned<f64>>,
    power: Option<Spanned<f64>>,
    effect: Option<Spanned<f64>>,
    days_at_most: Option<Spanned<u32>>,
    share: Option<Spanned<f64>>,
    ramp: Option<Vec<Spanned<f64>>>,
    ramp_seconds: Option<Spanned<u32>>,
    at_once: Option<Spanned<u32>>,
    queued_at_most: Option<Spanned<u32>>,
    variants_at_most: Option<Spanned<u32>>,
    guardrail_margin: Option<Spanned<f64>>,
    guardrail_error: Option<Spanned<f64>>,
    slow_seconds: Option<Spanned<u32>>,
    costly_tokens: Option<Spanned<u32>>,
    approve: bool,
    start_proposed: bool,
    forbidden: Vec<Spanned<String>>,
    model: Option<Spanned<String>>,
    freeze: Vec<FreezeTable>,
    intent: Vec<Spanned<IntentTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FreezeTable {
    from: Spanned<Timestamp>,
    to: Spanned<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IntentTable {
    intent: Spanned<String>,
    flag: Spanned<String>,
    control: Spanned<String>,
    #[serde(default)]
    uses: Vec<Spanned<String>>,
    risk: Option<Risk>,
}

impl Check<'_> {
    pub(crate) fn experiments(&mut self, table: Experiments, approvals: &ApprovalPolicy) -> ExperimentPolicy {
        let flags = match (table.application, table.environment, table.profile) {
            (None, None, None) => None,
            (Some(application), Some(environment), Some(profile)) => Some(FlagPlace {
                application: self.named("experiments.application", application),
                environment: self.named("experiments.environment", environment),
                profile: self.named("experiments.profile", profile),
            }),
            (application, environment, profile) => {
                let span = [application, environment, profile].into_iter().flatten().next().map_or(0..0, |some| some.span());
                let fix = "give application, environment and profile together: the ids that AppConfig gave";
                self.problem(span, "experiments", "it names a part of where the flags are".to_owned(), fix);
                None
            }
        };
        let strategy = |check: &mut Self, field: &str, named: Option<Spanned<String>>, default: &str| {
            named.map_or_else(|| default.to_owned(), |named| check.named(field, named))
        };
        let usual_risk = if approvals.high.contains(&ApprovalAction::Promotion) { Risk::High } else { Risk::Low };
        let mut intents = Vec::<ExperimentIntent>::new();
        for intent in table.intent {
            let span = intent.span();
            let Some(intent) = self.experiment_intent(intent.into_inner(), usual_risk) else { continue };
            if intents.iter().any(|other| other.intent == intent.intent || other.flag == intent.flag) {
                let problem = format!("the intent {:?} or the flag {:?} is there twice", intent.intent.as_str(), intent.flag);
                self.problem(span.clone(), "experiments.intent", problem, "give each intent one table and a flag of its own");
            }
            if flags.is_none() {
                let fix = "name them: application, environment and profile of [experiments]";
                self.problem(span, "experiments.intent", "there is no place with feature flags".to_owned(), fix);
            }
            intents.push(intent);
        }
        let share = self.number("experiments.share", table.share, 1.0, 0.01..=1.0);
        let ramp = match table.ramp {
            None => [0.01, 0.05].into_iter().filter(|step| *step < share).collect(),
            Some(ramp) => self.ramp(ramp, share),
        };
        ExperimentPolicy {
            flags,
            strategy: strategy(self, "experiments.strategy", table.strategy, "AppConfig.AllAtOnce"),
            promotion_strategy: strategy(
                self,
                "experiments.promotion_strategy",
                table.promotion_strategy,
                "AppConfig.Canary10Percent20Minutes",
            ),
            split_by: table.split_by.map_or_else(|| "userId".to_owned(), |key| self.word("experiments.split_by", key)),
            unit: table.unit,
            false_discovery_rate: self.number("experiments.false_discovery_rate", table.false_discovery_rate, 0.05, 0.001..=0.5),
            power: self.number("experiments.power", table.power, 0.8, 0.5..=0.99),
            effect: self.number("experiments.effect", table.effect, 0.1, 0.01..=1.0),
            days_at_most: self.number("experiments.days_at_most", table.days_at_most, 28, 1..=90),
            share,
            ramp,
            ramp_seconds: self.number("experiments.ramp_seconds", table.ramp_seconds, 3_600, 1..=604_800),
            at_once: self.number("experiments.at_once", table.at_once, 3, 1..=20),
            queued_at_most: self.number("experiments.queued_at_most", table.queued_at_most, 20, 1..=50),
            variants_at_most: self.number("experiments.variants_at_most", table.variants_at_most, 3, 1..=8),
            guardrail_margin: self.number("experiments.guardrail_margin", table.guardrail_margin, 0.02, 0.0..=0.5),
            guardrail_error: self.number("experiments.guardrail_error", table.guardrail_error, 0.01, 0.0001..=0.5),
            slow_seconds: table.slow_seconds.map(|seconds| self.number("experiments.slow_seconds", Some(seconds), 0, 1..=86_400)),
            costly_tokens: table.costly_tokens.map(|tokens| self.number("experiments.costly_tokens", Some(tokens), 0, 1..=100_000_000)),
            approve: table.approve,
            start_proposed: table.start_proposed,
            forbidden: self.words("experiments.forbidden", table.forbidden),
            model: table.model.map(|model| self.named("experiments.model", model)),
            freezes: table.freeze.into_iter().map(|freeze| self.freeze(&freeze)).collect(),
            intents,
        }
    }

    fn experiment_intent(&mut self, table: IntentTable, usual_risk: Risk) -> Option<ExperimentIntent> {
        let mut uses: Vec<String> = table.uses.into_iter().map(|used| self.named("experiments.intent.uses", used)).collect();
        if uses.is_empty() {
            uses.push("users".to_owned());
        }
        let uses = uses.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let flag = self.flag(table.flag);
        let control = self.variant("experiments.intent.control", table.control);
        Some(ExperimentIntent {
            intent: self.key("experiments.intent.intent", table.intent)?,
            flag,
            control,
            uses,
            risk: table.risk.unwrap_or(usual_risk),
        })
    }

    /// The key of a feature flag, by AppConfig's schema of type `AWS.AppConfig.FeatureFlags`.
    fn flag(&mut self, flag: Spanned<String>) -> String {
        let key = flag.get_ref();
        let rest = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
        if !(1..=64).contains(&key.len()) || !key.starts_with(|char: char| char.is_ascii_lowercase()) || !key.chars().all(rest) {
            let fix = "use 1 to 64 letters, digits, hyphens and underscores, a lower-case letter first";
            self.problem(flag.span(), "experiments.intent.flag", format!("{key:?} is no key of a flag"), fix);
        }
        flag.into_inner()
    }

    /// The name of a variant in the library.
    fn variant(&mut self, field: &str, name: Spanned<String>) -> String {
        let text = name.get_ref();
        let allowed = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
        if !(1..=64).contains(&text.len()) || !text.chars().all(allowed) {
            let fix = "use 1 to 64 lower-case letters, digits and hyphens: its file's name without .md";
            self.problem(name.span(), field, format!("{text:?} is no name of a variant"), fix);
        }
        name.into_inner()
    }

    /// A key of a flag's context.
    fn word(&mut self, field: &str, word: Spanned<String>) -> String {
        let text = word.get_ref();
        if !(1..=64).contains(&text.len()) || !text.chars().all(|char| char.is_ascii_alphanumeric() || char == '_') {
            let fix = "use 1 to 64 letters, digits and underscores";
            self.problem(word.span(), field, format!("{text:?} is no key of a context"), fix);
        }
        word.into_inner()
    }

    fn ramp(&mut self, ramp: Vec<Spanned<f64>>, share: f64) -> Vec<f64> {
        let mut before = 0.0;
        for step in &ramp {
            let value = *step.get_ref();
            // Also what is no number.
            if !(value > before && value < share) {
                let fix = "let the shares rise, above 0 and below experiments.share";
                self.problem(step.span(), "experiments.ramp", format!("{value:?} does not fit in between"), fix);
            }
            before = value;
        }
        ramp.into_iter().map(Spanned::into_inner).collect()
    }

    fn freeze(&mut self, freeze: &FreezeTable) -> Freeze {
        let (from, to) = (*freeze.from.get_ref(), *freeze.to.get_ref());
        if to <= from {
            let problem = format!("{to} is not after {from}");
            self.problem(freeze.to.span(), "experiments.freeze.to", problem, "let the freeze end after it begins");
        }
        Freeze { from, to }
    }
}

#[cfg(test)]
mod tests {
    use crate::Policy;

    const POLICY: &str =
        "mode = \"act\"\n[[unseen_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\n[experiments]\n";
    const PLACE: &str = "application = \"abc1234\"\nenvironment = \"def5678\"\nprofile = \"ghi9012\"\n";

    #[test]
    fn what_is_not_said_has_its_default() {
        let policy = Policy::parse(POLICY).expect("valid").experiments;
        assert_eq!((policy.days_at_most, policy.at_once, policy.ramp.as_slice()), (28, 3, [0.01, 0.05].as_slice()));
        assert!(policy.flags.is_none() && policy.intents.is_empty());
    }

    #[test]
    fn intents_that_say_nothing_of_what_they_use_share_their_users() {
        let text =
            format!("{POLICY}{PLACE}[[experiments.intent]]\nintent = \"billing\"\nflag = \"billing-prompt\"\ncontrol = \"baseline\"\n");
        let policy = Policy::parse(&text).expect("valid").experiments;
        assert_eq!(policy.intent(&"billing".try_into().expect("a key")).expect("there").uses, ["users"]);
    }

    #[test]
    fn problems_are_told_with_their_fields() {
        let intent = |rest: &str| format!("{PLACE}[[experiments.intent]]\nintent = \"billing\"\n{rest}");
        for (table, told) in [
            ("application = \"abc1234\"\n".to_owned(), "line 6: experiments: it names a part of where the flags are"),
            ("power = 1.5\n".to_owned(), "line 6: experiments.power: 1.5 is out of range; use 0.5 to 0.99 (default 0.8)"),
            ("ramp = [0.05, 0.01]\n".to_owned(), "line 6: experiments.ramp: 0.01 does not fit in between"),
            ("ramp = [nan]\n".to_owned(), "line 6: experiments.ramp: NaN does not fit in between"),
            (
                "freeze = [{ from = \"2026-12-24T00:00:00Z\", to = \"2026-12-20T00:00:00Z\" }]\n".to_owned(),
                "line 6: experiments.freeze.to: 2026-12-20T00:00:00Z is not after 2026-12-24T00:00:00Z",
            ),
            (intent("flag = \"Prompt\"\ncontrol = \"a\"\n"), "line 11: experiments.intent.flag: \"Prompt\" is no key of a flag"),
            (intent("flag = \"prompt\"\ncontrol = \"../a\"\n"), "line 12: experiments.intent.control: \"../a\" is no name of a variant"),
            (
                "[[experiments.intent]]\nintent = \"billing\"\nflag = \"prompt\"\ncontrol = \"a\"\n".to_owned(),
                "line 6: experiments.intent: there is no place with feature flags",
            ),
        ] {
            let found = Policy::parse(&format!("{POLICY}{table}")).expect_err("not valid").0[0].to_string();
            assert!(found.starts_with(told), "{found} does not start with {told}");
        }
    }
}
