//! What the policy says of limits on how long workflows may run.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};

use flywheel_model::{Key, Setting};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use toml::Spanned;

use crate::file::Check;

/// The longest that a Lambda function may run (AWS Lambda quotas), in seconds.
const FUNCTION_AT_MOST: u32 = 900;
/// The longest visibility timeout (Amazon SQS message quotas), in seconds.
const VISIBILITY_AT_MOST: u32 = 43_200;

/// One limit that Flywheel may change, and how far.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimeoutPolicy {
    /// The workflow, with the range of tool calls if there is one: what decisions about the limit are called by.
    #[serde(skip)]
    pub name: Key,
    /// The workflow whose runs it cuts.
    pub workflow: Key,
    /// The runs among them that it cuts, by their calls of tools; all if the application does not tell them apart.
    #[serde(flatten, serialize_with = "at_least_and_at_most")]
    pub tool_calls: Option<RangeInclusive<u32>>,
    /// Where the limit is set.
    #[serde(serialize_with = "as_target")]
    pub target: Setting,
    /// No lower limit than this, in seconds. Default 1.
    pub floor_seconds: u32,
    /// No higher limit than this, in seconds.
    pub ceiling_seconds: u32,
    /// New limits are multiples of this. 1 to 3,600 seconds, default 5.
    pub step_seconds: u32,
    /// The most that one change may move the limit, as a share of it. 0.01 to 4, default 0.5.
    pub largest_step: f64,
    /// Between two changes, and from a change to its verification. 1 to 2,592,000 seconds, default a day.
    pub cooldown_seconds: u32,
    /// Acts when this share of runs is cut at the limit and would complete within the ceiling. 0.001 to 0.9, default 0.08.
    pub share: f64,
    /// The share of those that the new limit must rescue. 0.1 to 1, default 0.75.
    pub rescue: f64,
    /// The confidence of each bound, one-sided. 0.8 to 0.9999, default 0.95.
    pub confidence: f64,
    /// Fewer runs than this are never acted on. 50 or more, default 500.
    pub minimum_sample: u32,
    /// A run counts for half as much as one that is this many days younger. 1 to 28, default 7.
    pub half_life_days: u32,
    /// What a second of a run costs, in any currency. Default 0.0001.
    pub second_costs: f64,
    /// What a run that is cut costs, in the same currency. Default 0.05.
    pub lost_run_costs: f64,
    /// Limits around it: what calls the workflow gives up after so many seconds.
    pub above: Vec<OtherLimit>,
    /// Limits inside it: a client or tool that the whole run waits for gives up after so many seconds.
    pub below: Vec<OtherLimit>,
    /// The queue that starts runs, if one does. Its visibility timeout is kept at six times the limit at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Whether a share of the runs may have a longer limit to learn when they end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exploration: Option<ExplorationPolicy>,
}

/// A limit that is not Flywheel's to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherLimit {
    /// Whose it is: "API Gateway", "read timeout of the SDK".
    pub name: String,
    /// Seconds.
    pub seconds: u32,
}

/// How far an exploration may go.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ExplorationPolicy {
    /// The share of the runs with the longer limit. 0.001 to 0.2, default 0.05.
    pub share: f64,
    /// How long it lasts at most. 60 to 604,800 seconds, default a day.
    pub seconds: u32,
}

/// The range of tool calls in the two fields of the file.
fn at_least_and_at_most<S: Serializer>(range: &Option<RangeInclusive<u32>>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    if let Some(range) = range {
        map.serialize_entry("tool_calls_at_least", range.start())?;
        if *range.end() < u32::MAX {
            map.serialize_entry("tool_calls_at_most", range.end())?;
        }
    }
    map.end()
}

/// The setting in the fields of the file.
fn as_target<S: Serializer>(setting: &Setting, serializer: S) -> Result<S::Ok, S::Error> {
    let (fields, field) = match setting {
        Setting::Parameter { name, field } => (vec![("parameter", name)], field.as_ref()),
        Setting::FunctionTimeout { function } => (vec![("function", function)], None),
        Setting::QueueVisibility { queue } => (vec![("queue", queue)], None),
        Setting::AppConfig { application, environment, profile, strategy, field } => {
            let place = [("application", application), ("environment", environment), ("profile", profile), ("strategy", strategy)];
            (place.to_vec(), field.as_ref())
        }
    };
    serializer.collect_map(fields.into_iter().chain(field.map(|field| ("field", field))))
}

/// A `[[timeout]]` table as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeoutTable {
    workflow: Spanned<String>,
    tool_calls_at_least: Option<u32>,
    tool_calls_at_most: Option<Spanned<u32>>,
    target: Spanned<TargetTable>,
    floor_seconds: Option<Spanned<u32>>,
    ceiling_seconds: Spanned<u32>,
    step_seconds: Option<Spanned<u32>>,
    largest_step: Option<Spanned<f64>>,
    cooldown_seconds: Option<Spanned<u32>>,
    share: Option<Spanned<f64>>,
    rescue: Option<Spanned<f64>>,
    confidence: Option<Spanned<f64>>,
    minimum_sample: Option<Spanned<u32>>,
    half_life_days: Option<Spanned<u32>>,
    second_costs: Option<Spanned<f64>>,
    lost_run_costs: Option<Spanned<f64>>,
    #[serde(default)]
    above: Vec<OtherLimitTable>,
    #[serde(default)]
    below: Vec<OtherLimitTable>,
    queue: Option<Spanned<String>>,
    exploration: Option<ExplorationTable>,
}

/// Exactly one of `parameter`, `function`, `queue` and the four of `AppConfig`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetTable {
    parameter: Option<String>,
    function: Option<String>,
    queue: Option<String>,
    application: Option<String>,
    environment: Option<String>,
    profile: Option<String>,
    strategy: Option<String>,
    field: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OtherLimitTable {
    name: Spanned<String>,
    seconds: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplorationTable {
    share: Option<Spanned<f64>>,
    seconds: Option<Spanned<u32>>,
}

impl Check<'_> {
    /// The limits of the file; no name and no setting may be there twice.
    pub(crate) fn timeouts(&mut self, tables: Vec<Spanned<TimeoutTable>>) -> Vec<TimeoutPolicy> {
        let (mut settings, mut timeouts) = (BTreeSet::new(), Vec::<TimeoutPolicy>::new());
        for table in tables {
            let span = table.span();
            let Some(timeout) = self.timeout(table.into_inner()) else { continue };
            if !settings.insert(timeout.target.clone()) {
                let fix = "give each [[timeout]] table a setting of its own: two would undo each other's changes";
                self.problem(span.clone(), "timeout.target", format!("the {} is there twice", timeout.target), fix);
            }
            let overlaps = |other: &&TimeoutPolicy| other.workflow == timeout.workflow && overlap(other, &timeout);
            if let Some(other) = timeouts.iter().find(overlaps) {
                let fix = "give the tables of one workflow ranges of tool_calls that do not overlap";
                self.problem(span, "timeout.workflow", format!("{} and {} cut the same runs", other.name, timeout.name), fix);
            }
            timeouts.push(timeout);
        }
        timeouts
    }

    fn timeout(&mut self, table: TimeoutTable) -> Option<TimeoutPolicy> {
        let target = self.target(table.target);
        let at_most = match &target {
            Some(Setting::FunctionTimeout { .. }) => FUNCTION_AT_MOST,
            Some(Setting::QueueVisibility { .. }) => VISIBILITY_AT_MOST,
            _ => 86_400,
        };
        let ceiling = table.ceiling_seconds.span();
        let ceiling_seconds = self.number("timeout.ceiling_seconds", Some(table.ceiling_seconds), at_most, 1..=at_most);
        let floor_seconds = self.number("timeout.floor_seconds", table.floor_seconds, 1, 1..=at_most);
        if floor_seconds > ceiling_seconds {
            let problem = format!("it is {ceiling_seconds}, and floor_seconds is {floor_seconds}");
            self.problem(ceiling, "timeout.ceiling_seconds", problem, "use a ceiling that is not below the floor");
        }
        let at_least = table.tool_calls_at_least.unwrap_or(0);
        if let Some(most) = &table.tool_calls_at_most
            && *most.get_ref() < at_least
        {
            let fix = "use a number that is not below tool_calls_at_least";
            self.problem(most.span(), "timeout.tool_calls_at_most", format!("{} is below {at_least}", most.get_ref()), fix);
        }
        let tool_calls = (table.tool_calls_at_least.is_some() || table.tool_calls_at_most.is_some())
            .then(|| at_least..=table.tool_calls_at_most.map_or(u32::MAX, Spanned::into_inner));
        let exploration = table.exploration.map(|exploration| ExplorationPolicy {
            share: self.number("timeout.exploration.share", exploration.share, 0.05, 0.001..=0.2),
            seconds: self.number("timeout.exploration.seconds", exploration.seconds, 86_400, 60..=604_800),
        });
        let span = table.workflow.span();
        let workflow = self.key("timeout.workflow", table.workflow);
        let name = workflow.as_ref().and_then(|workflow| self.timeout_name(span.clone(), workflow, tool_calls.as_ref()));
        let (above, below) = (self.other_limits("timeout.above", table.above), self.other_limits("timeout.below", table.below));
        if let Some(queue) = &table.queue {
            self.name("timeout.queue", queue.span(), queue.get_ref(), 80, "-_.");
        }
        let policy = TimeoutPolicy {
            name: name?,
            workflow: workflow?,
            tool_calls,
            target: target?,
            floor_seconds,
            ceiling_seconds,
            step_seconds: self.number("timeout.step_seconds", table.step_seconds, 5, 1..=3_600),
            largest_step: self.number("timeout.largest_step", table.largest_step, 0.5, 0.01..=4.0),
            cooldown_seconds: self.number("timeout.cooldown_seconds", table.cooldown_seconds, 86_400, 1..=2_592_000),
            share: self.number("timeout.share", table.share, 0.08, 0.001..=0.9),
            rescue: self.number("timeout.rescue", table.rescue, 0.75, 0.1..=1.0),
            confidence: self.number("timeout.confidence", table.confidence, 0.95, 0.8..=0.9999),
            minimum_sample: self.number("timeout.minimum_sample", table.minimum_sample, 500, 50..=1_000_000_000),
            half_life_days: self.number("timeout.half_life_days", table.half_life_days, 7, 1..=28),
            second_costs: self.number("timeout.second_costs", table.second_costs, 0.000_1, 0.0..=1e6),
            lost_run_costs: self.number("timeout.lost_run_costs", table.lost_run_costs, 0.05, 0.0..=1e9),
            above,
            below,
            queue: table.queue.map(Spanned::into_inner),
            exploration,
        };
        if policy.exploration.is_some() && !policy.target.holds_document() {
            let fix = "explore only where the target is a parameter or an AppConfig profile with a `field`, which tells the application";
            self.problem(span.clone(), "timeout.exploration", format!("the {} holds one number", policy.target), fix);
        }
        if policy.queue.is_some() && matches!(policy.target, Setting::QueueVisibility { .. }) {
            self.problem(span, "timeout.queue", "the target is a queue itself".to_owned(), "leave `queue` out");
        }
        Some(policy)
    }

    fn timeout_name(&mut self, span: Range<usize>, workflow: &Key, tool_calls: Option<&RangeInclusive<u32>>) -> Option<Key> {
        let name = match tool_calls {
            None => return Some(workflow.clone()),
            Some(range) if *range.end() == u32::MAX => format!("{workflow} ({} tool calls or more)", range.start()),
            Some(range) => format!("{workflow} ({} to {} tool calls)", range.start(), range.end()),
        };
        Key::try_from(name).map_err(|error| self.problem(span, "timeout.workflow", error.to_string(), "use a shorter name")).ok()
    }

    fn other_limits(&mut self, field: &str, tables: Vec<OtherLimitTable>) -> Vec<OtherLimit> {
        tables
            .into_iter()
            .map(|table| {
                self.words(&format!("{field}.name"), vec![table.name.clone()]);
                let seconds = self.number(&format!("{field}.seconds"), Some(table.seconds), 1, 1..=31_536_000);
                OtherLimit { name: table.name.into_inner(), seconds }
            })
            .collect()
    }

    fn target(&mut self, table: Spanned<TargetTable>) -> Option<Setting> {
        let span = table.span();
        let table = table.into_inner();
        let field = table.field;
        let app_config = (table.application, table.environment, table.profile, table.strategy);
        let setting = match (table.parameter, table.function, table.queue, app_config) {
            (Some(name), None, None, (None, None, None, None)) => {
                self.name("timeout.target.parameter", span.clone(), &name, 1_011, "-_./");
                Setting::Parameter { name, field }
            }
            (None, Some(function), None, (None, None, None, None)) if field.is_none() => {
                self.name("timeout.target.function", span, &function, 64, "-_");
                Setting::FunctionTimeout { function }
            }
            (None, None, Some(queue), (None, None, None, None)) if field.is_none() => {
                self.name("timeout.target.queue", span, &queue, 80, "-_.");
                Setting::QueueVisibility { queue }
            }
            (None, None, None, (Some(application), Some(environment), Some(profile), Some(strategy))) => {
                for (name, id) in [("application", &application), ("environment", &environment), ("profile", &profile)] {
                    self.name(&format!("timeout.target.{name}"), span.clone(), id, 36, "");
                }
                self.name("timeout.target.strategy", span, &strategy, 64, "-_.");
                Setting::AppConfig { application, environment, profile, strategy, field }
            }
            _ => {
                let fix = "give one of: parameter (with or without field); function; queue; or application, environment, profile and \
                           strategy (with or without field)";
                self.problem(span, "timeout.target", "it names no setting, or more than one".to_owned(), fix);
                return None;
            }
        };
        Some(setting)
    }

    /// A name or an id that goes into an ARN: no wildcard may get there.
    fn name(&mut self, field: &str, span: Range<usize>, name: &str, longest: usize, marks: &str) {
        let allowed = |char: char| char.is_ascii_alphanumeric() || marks.contains(char);
        if name.is_empty() || name.len() > longest || !name.chars().all(allowed) {
            let fix = format!("use 1 to {longest} letters, digits and any of {marks:?}: the name alone, not its ARN or address");
            self.problem(span, field, format!("{name:?} is not a name"), &fix);
        }
    }
}

/// Whether a run could be cut by both.
fn overlap(one: &TimeoutPolicy, other: &TimeoutPolicy) -> bool {
    match (&one.tool_calls, &other.tool_calls) {
        (Some(one), Some(other)) => one.start() <= other.end() && other.start() <= one.end(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use flywheel_model::Setting;

    use crate::Policy;

    const POLICY: &str = r#"mode = "act"
[[unseen_source]]
knowledge_base = "KB12345678"
data_source = "DS12345678"
[[timeout]]
workflow = "trip"
target = { parameter = "/trip/limits", field = "seconds" }
ceiling_seconds = 120
exploration = {}
above = [{ name = "API Gateway", seconds = 29 }]
"#;

    fn problems(text: &str) -> Vec<String> {
        Policy::parse(text).expect_err("not valid").0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let policy = Policy::parse(POLICY).expect("valid");
        let [timeout] = policy.timeouts.as_slice() else { panic!("{:?}", policy.timeouts) };
        assert_eq!((timeout.share, timeout.largest_step, timeout.cooldown_seconds), (0.08, 0.5, 86_400));
        assert_eq!(timeout.exploration.map(|exploration| exploration.share), Some(0.05));
        assert!(matches!(&timeout.target, Setting::Parameter { name, .. } if name == "/trip/limits"));
        assert_eq!((timeout.name.as_str(), timeout.above[0].seconds), ("trip", 29));
    }

    #[test]
    fn ranges_of_tool_calls_are_part_of_the_name() {
        let text = POLICY.replace("workflow = \"trip\"", "workflow = \"trip\"\ntool_calls_at_least = 3\ntool_calls_at_most = 9");
        let policy = Policy::parse(&text).expect("valid");
        assert_eq!(policy.timeouts[0].name.as_str(), "trip (3 to 9 tool calls)");
        assert_eq!(policy.timeouts[0].workflow.as_str(), "trip");
    }

    #[test]
    fn problems_are_told_with_their_fields() {
        for (written, instead, told) in [
            ("ceiling_seconds = 120", "ceiling_seconds = 0", "timeout.ceiling_seconds: 0 is out of range; use 1 to 86400"),
            (
                "ceiling_seconds = 120",
                "ceiling_seconds = 9\nfloor_seconds = 10",
                "timeout.ceiling_seconds: it is 9, and floor_seconds is 10",
            ),
            (
                "parameter = \"/trip/limits\", field = \"seconds\"",
                "function = \"f\"",
                "timeout.exploration: the timeout of function f holds one",
            ),
            ("parameter = \"/trip/limits\"", "parameter = \"/trip/*\"", "timeout.target.parameter: \"/trip/*\" is not a name"),
            ("parameter = \"/trip/limits\", field = \"seconds\"", "function = \"f\", queue = \"q\"", "timeout.target: it names no setting"),
            ("exploration = {}", "exploration = { share = 0.5 }", "timeout.exploration.share: 0.5 is out of range"),
            ("exploration = {}", "confidence = 1.0", "timeout.confidence: 1.0 is out of range"),
            ("exploration = {}", "tool_calls_at_least = 3\ntool_calls_at_most = 2", "timeout.tool_calls_at_most: 2 is below 3"),
            ("seconds = 29 }", "seconds = 0 }", "timeout.above.seconds: 0 is out of range"),
        ] {
            let found = problems(&POLICY.replace(written, instead));
            assert!(found.iter().any(|problem| problem.contains(told)), "{found:?} does not tell {told}");
        }
    }

    #[test]
    fn no_setting_and_no_run_belongs_to_two() {
        let table = POLICY.find("[[timeout]]").map_or("", |at| &POLICY[at..]);
        let found = problems(&format!("{POLICY}{table}"));
        assert!(found.iter().any(|problem| problem.contains("the parameter /trip/limits (seconds) is there twice")), "{found:?}");
        assert!(found.iter().any(|problem| problem.contains("trip and trip cut the same runs")), "{found:?}");
    }
}
