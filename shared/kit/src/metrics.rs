//! Metrics in CloudWatch's embedded metric format: log lines that CloudWatch turns into metrics, so that a function calls
//! nothing to report them
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//!
//! Of each line CloudWatch makes its metrics at least once, and now and then twice, as that page says.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use flywheel_model::{Figure, FunctionFigure, IntentFigure, Loop, LoopFigure, NAMESPACE};
use serde_json::{Map, Value, json};

/// The specification: a line defines at most so many metrics.
const METRICS: usize = 100;

// A line holds all figures of one kind at most, once each.
const _: () = assert!(FunctionFigure::ALL.len() <= METRICS && LoopFigure::ALL.len() <= METRICS && IntentFigure::ALL.len() <= METRICS);

/// The figures of one function's invocation. Each line has one dimension of bounded values, so that the number of metrics,
/// and what they cost, stays bounded.
#[derive(Debug)]
pub struct Metrics {
    function: &'static str,
    /// By dimension and its value.
    values: BTreeMap<(&'static str, String), BTreeMap<&'static str, u64>>,
}

impl Metrics {
    /// No metrics yet.
    #[must_use]
    pub const fn new(function: &'static str) -> Self {
        Self { function, values: BTreeMap::new() }
    }

    /// Adds to a figure of the function.
    pub fn add(&mut self, figure: FunctionFigure, value: u64) {
        self.add_some(figure, self.function, value);
    }

    /// Adds to a figure of a loop.
    pub fn add_of_loop(&mut self, figure: LoopFigure, of: Loop, value: u64) {
        self.add_some(figure, of.as_str(), value);
    }

    /// Adds to a figure of an intent, under a name that the policy has (`Policy::measured_intent`). Zeros are written: shares
    /// are computed from these.
    pub fn add_of_intent(&mut self, figure: IntentFigure, intent: &str, value: u64) {
        self.add_to(figure, intent, value);
    }

    /// Adds to a figure where there is something to add: what is zero is not written.
    fn add_some<F: Figure>(&mut self, figure: F, of: &str, value: u64) {
        if value > 0 {
            self.add_to(figure, of, value);
        }
    }

    fn add_to<F: Figure>(&mut self, figure: F, of: &str, value: u64) {
        let sum = self.values.entry((F::DIMENSION, of.to_owned())).or_default().entry(figure.name()).or_default();
        *sum = sum.saturating_add(value);
    }

    /// Prints them, if there are any.
    #[allow(clippy::print_stdout, reason = "standard output is where CloudWatch reads the format")]
    pub fn print(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for line in self.lines(u64::try_from(now.as_millis()).unwrap_or_default()) {
            println!("{line}");
        }
    }

    /// Dimension, its value, figure, sum.
    #[cfg(test)]
    pub(crate) fn sums(&self) -> Vec<(&'static str, String, &'static str, u64)> {
        let of = |((by, of), values): (&(&'static str, String), &BTreeMap<&'static str, u64>)| {
            values.iter().map(|(name, sum)| (*by, of.clone(), *name, *sum)).collect::<Vec<_>>()
        };
        self.values.iter().flat_map(of).collect()
    }

    /// A line for each value of each dimension.
    fn lines(&self, at: u64) -> impl Iterator<Item = Value> {
        self.values.iter().map(move |((dimension, of), values)| {
            let definitions: Vec<Value> = values.keys().map(|name| json!({ "Name": name, "Unit": "Count" })).collect();
            let mut line: Map<String, Value> = values.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            line.insert((*dimension).to_owned(), of.as_str().into());
            line.insert(
                "_aws".to_owned(),
                json!({
                    "Timestamp": at,
                    "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": [[dimension]], "Metrics": definitions }],
                }),
            );
            Value::Object(line)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification in as much as it bounds a line.
    fn is_valid(line: &Value) {
        assert!(line.to_string().len() <= 1_000_000);
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert!(line["_aws"]["Timestamp"].is_u64());
        assert!((1..=1_024).contains(&directive["Namespace"].as_str().expect("a namespace").len()));
        for set in directive["Dimensions"].as_array().expect("sets of dimensions") {
            let set = set.as_array().expect("a set");
            assert!(set.len() <= 30);
            for dimension in set {
                let value = line[dimension.as_str().expect("a dimension")].as_str().expect("its value stands beside it");
                assert!((1..=1_024).contains(&value.len()) && value.is_ascii(), "{value}");
            }
        }
        let metrics = directive["Metrics"].as_array().expect("metrics");
        assert!((1..=METRICS).contains(&metrics.len()));
        for metric in metrics {
            assert!(line[metric["Name"].as_str().expect("a name")].is_u64(), "{metric}");
            assert_eq!(metric["Unit"], "Count");
        }
    }

    #[test]
    fn a_line_defines_each_metric_that_it_carries() {
        let mut metrics = Metrics::new("test");
        metrics.add(FunctionFigure::JobsStarted, 2);
        metrics.add(FunctionFigure::Conflicts, 0);
        let lines: Vec<Value> = metrics.lines(1).collect();
        assert_eq!(
            lines,
            [json!({
                "_aws": {
                    "Timestamp": 1,
                    "CloudWatchMetrics": [
                        { "Namespace": "Flywheel", "Dimensions": [["Function"]], "Metrics": [{ "Name": "JobsStarted", "Unit": "Count" }] }
                    ]
                },
                "Function": "test",
                "JobsStarted": 2
            })]
        );
    }

    #[test]
    fn what_is_told_twice_is_added_up() {
        let mut metrics = Metrics::new("test");
        metrics.add(FunctionFigure::TestsProved, 2);
        metrics.add(FunctionFigure::TestsProved, 3);
        let lines: Vec<Value> = metrics.lines(1).collect();
        assert_eq!((lines.len(), &lines[0]["TestsProved"]), (1, &json!(5)));
    }

    #[test]
    fn each_value_of_a_dimension_has_a_line_of_its_own() {
        let mut metrics = Metrics::new("test");
        metrics.add(FunctionFigure::EventsRecorded, 3);
        metrics.add_of_loop(LoopFigure::Holds, Loop::Tests, 1);
        metrics.add_of_loop(LoopFigure::Holds, Loop::Timeouts, 2);
        metrics.add_of_intent(IntentFigure::Conversations, "billing", 4);
        let lines: Vec<Value> = metrics.lines(1).collect();
        lines.iter().for_each(is_valid);
        let of = |dimension: &str, value: &str| lines.iter().find(|line| line[dimension] == value).expect("a line");
        assert_eq!(lines.len(), 4);
        assert_eq!((&of("Loop", "tests")["Holds"], &of("Loop", "timeouts")["Holds"]), (&json!(1), &json!(2)));
        assert_eq!(of("Intent", "billing")["Conversations"], 4);
    }

    #[test]
    fn everything_at_once_is_within_the_limits_of_the_format() {
        let mut metrics = Metrics::new("sync-knowledge-bases");
        for figure in FunctionFigure::ALL {
            metrics.add(*figure, u64::MAX);
        }
        for of in Loop::ALL {
            LoopFigure::ALL.iter().for_each(|figure| metrics.add_of_loop(*figure, of, u64::MAX));
        }
        for figure in IntentFigure::ALL {
            metrics.add_of_intent(*figure, &"x".repeat(200), u64::MAX);
        }
        let lines: Vec<Value> = metrics.lines(u64::MAX).collect();
        assert_eq!(lines.len(), 2 + Loop::ALL.len());
        lines.iter().for_each(is_valid);
    }

    #[test]
    fn nothing_told_is_nothing_printed() {
        assert_eq!(Metrics::new("test").lines(1).count(), 0);
    }
}
