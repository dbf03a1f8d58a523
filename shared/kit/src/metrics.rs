//! Metrics in CloudWatch's embedded metric format: a log line that CloudWatch turns into metrics, so that a function
//! calls nothing to report them (CloudWatch user guide, "Specification: Embedded metric format").

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

/// A metric's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// A duration.
    Milliseconds,
}

/// Metrics of one function's invocation. The only dimension is the function's name, so that their number, and what they
/// cost, stays bounded.
#[derive(Debug)]
pub struct Metrics {
    function: &'static str,
    values: Vec<(&'static str, Unit, u64)>,
}

impl Metrics {
    /// No metrics yet.
    #[must_use]
    pub const fn new(function: &'static str) -> Self {
        Self { function, values: Vec::new() }
    }

    /// Adds a metric, unless it is zero.
    pub fn add(&mut self, name: &'static str, unit: Unit, value: u64) -> &mut Self {
        if value > 0 {
            self.values.push((name, unit, value));
        }
        self
    }

    /// Prints them, if there are any.
    #[allow(clippy::print_stdout, reason = "standard output is where CloudWatch reads the format")]
    pub fn print(&self) {
        if !self.values.is_empty() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            println!("{}", self.line(u64::try_from(now.as_millis()).unwrap_or_default()));
        }
    }

    fn line(&self, at: u64) -> Value {
        let unit = |unit| if unit == Unit::Count { "Count" } else { "Milliseconds" };
        let definitions: Vec<Value> = self.values.iter().map(|(name, of, _)| json!({ "Name": name, "Unit": unit(*of) })).collect();
        let mut line: Map<String, Value> = self.values.iter().map(|(name, _, value)| ((*name).to_owned(), json!(value))).collect();
        line.insert("Function".to_owned(), self.function.into());
        line.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": at,
                "CloudWatchMetrics": [{ "Namespace": "Flywheel", "Dimensions": [["Function"]], "Metrics": definitions }],
            }),
        );
        Value::Object(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_defines_each_metric_that_it_carries() {
        let mut metrics = Metrics::new("test");
        metrics.add("JobsStarted", Unit::Count, 2).add("Conflicts", Unit::Count, 0);
        let line = metrics.line(1);
        assert_eq!(line["JobsStarted"], 2);
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"], json!([{ "Name": "JobsStarted", "Unit": "Count" }]));
    }
}
