use flywheel_model::{Figure, NAMESPACE};
use serde_json::{Map, Value, json};

use super::{logical, physical};
use crate::cfn::{self, Template, cloudwatch};

/// The grid of a dashboard is 24 columns wide
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html>).
const COLUMNS: usize = 24;

/// A dashboard of CloudWatch: rows of widgets of the same width.
#[derive(Debug)]
pub struct Dashboard {
    name: &'static str,
    widgets: Vec<Value>,
    next_row: usize,
}

impl Dashboard {
    /// An empty one.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, widgets: Vec::new(), next_row: 0 }
    }

    /// Adds a row of so many grid units in height.
    pub(crate) fn row<const N: usize>(&mut self, height: usize, widgets: [Widget; N]) {
        let width = COLUMNS / N.max(1);
        for (place, widget) in widgets.into_iter().enumerate() {
            self.widgets.push(json!({
                "type": widget.kind, "x": place * width, "y": self.next_row, "width": width, "height": height,
                "properties": widget.properties
            }));
        }
        self.next_row += height;
    }

    /// Adds it to the template. The body is a pattern: it names the stack, its account and Region. So does the name: dashboards
    /// are global to the account (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html>),
    /// and the stack may stand in two Regions of it.
    pub fn add(self, template: &mut Template) {
        let mut body = json!({ "widgets": self.widgets });
        // The same bytes, whether or not some other crate of the build has serde_json keep the order of fields.
        body.sort_all_objects();
        template.add(
            format!("{}Dashboard", logical(self.name)),
            &cloudwatch::Dashboard! { dashboard_name: physical(&format!("{}-${{AWS::Region}}", self.name)), dashboard_body: cfn::sub(body.to_string()) },
        );
    }
}

/// One widget.
#[derive(Debug)]
pub(crate) struct Widget {
    kind: &'static str,
    properties: Value,
}

impl Widget {
    /// A text in Markdown.
    pub(crate) fn text(markdown: &str) -> Self {
        Self { kind: "text", properties: json!({ "markdown": literal(markdown) }) }
    }

    /// The states of alarms of the stack, by their names without the stack's.
    pub(crate) fn alarms(title: &str, names: &[String]) -> Self {
        let arn =
            |name| format!("arn:${{AWS::Partition}}:cloudwatch:${{AWS::Region}}:${{AWS::AccountId}}:alarm:${{AWS::StackName}}-{name}");
        Self { kind: "alarm", properties: json!({ "title": title, "alarms": names.iter().map(arn).collect::<Vec<_>>() }) }
    }

    /// What was measured, over time.
    pub(crate) fn graph(title: &str, lines: impl IntoIterator<Item = Line>) -> Self {
        Self::of("timeSeries", title, lines)
    }

    /// One number for the whole time that is looked at, for each line.
    pub(crate) fn numbers(title: &str, lines: impl IntoIterator<Item = Line>) -> Self {
        let mut widget = Self::of("singleValue", title, lines);
        widget.properties["setPeriodToTimeRange"] = json!(true);
        widget
    }

    fn of(view: &str, title: &str, lines: impl IntoIterator<Item = Line>) -> Self {
        let metrics: Vec<Value> = lines.into_iter().map(|line| line.0).collect();
        Self {
            kind: "metric",
            properties: json!({
                "title": title, "view": view, "region": "${AWS::Region}", "period": 300, "stat": "Sum", "metrics": metrics
            }),
        }
    }
}

/// A metric or an expression, as a line of a widget.
#[derive(Debug)]
pub(crate) struct Line(Value);

impl Line {
    /// A figure that the functions emit. Of what is one of the values of its dimension.
    pub(crate) fn of<F: Figure>(figure: F, of: &str) -> Self {
        Self::metric(NAMESPACE, figure.name(), F::DIMENSION, &literal(of))
    }

    /// A metric that AWS keeps of something of the stack, by its name without the stack's.
    pub(crate) fn of_aws(namespace: &str, metric: &str, dimension: &str, name: &str) -> Self {
        Self::metric(namespace, metric, dimension, &format!("${{AWS::StackName}}-{name}"))
    }

    /// What is computed from lines with an id.
    pub(crate) fn computed(label: &str, expression: impl Into<String>) -> Self {
        Self(json!([{ "expression": expression.into(), "label": literal(label) }]))
    }

    fn metric(namespace: &str, metric: &str, dimension: &str, value: &str) -> Self {
        Self(json!([namespace, metric, dimension, value, {}]))
    }

    /// Names it.
    pub(crate) fn labelled(self, label: &str) -> Self {
        self.with("label", json!(literal(label)))
    }

    /// Takes another statistic than the sum: "Maximum", "p95".
    pub(crate) fn statistic(self, statistic: &str) -> Self {
        self.with("stat", json!(statistic))
    }

    /// Is there for expressions only, under this id.
    pub(crate) fn hidden(self, id: &str) -> Self {
        self.with("id", json!(id)).with("visible", json!(false))
    }

    fn with(mut self, property: &str, value: Value) -> Self {
        if let Some(properties) = self.0.as_array_mut().and_then(|parts| parts.last_mut()).and_then(Value::as_object_mut) {
            properties.extend(Map::from_iter([(property.to_owned(), value)]));
        }
        self
    }
}

/// `Fn::Sub` would take `${…}` for one of its variables; names are the team's.
fn literal(text: &str) -> String {
    text.replace("${", "${!")
}
