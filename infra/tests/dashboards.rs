//! What the dashboards promise, on their bodies as CloudWatch gets them.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_infra::{FUNCTIONS, Options, synth};
use flywheel_model::{Figure, FunctionFigure, IntentFigure, Loop, LoopFigure};
use serde_json::Value;

const POLICY: &str = r#"
mode = "act"

[[data_source]]
knowledge_base = "KBHANDBOOK"
data_source = "DSHANDBOOK"
bucket = "handbook"

[[intent]]
name = "refund"
words = ["refund"]

[[intent]]
name = "odd ${AWS::Region} \"name\""
words = ["odd"]
"#;

const COSTS: &str = r"
[costs]
million_input_tokens = 0.06
million_output_tokens = 0.24
failed_conversation = 4.0
failed_release = 200.0
";

const STACK: &str = "flywheel";

/// Resolves what `Fn::Sub` would, and panics at what it would not take.
fn resolve(pattern: &str) -> String {
    let (mut resolved, mut rest) = (String::new(), pattern);
    while let Some(start) = rest.find("${") {
        resolved.push_str(&rest[..start]);
        let end = start + rest[start..].find('}').expect("a closing brace");
        resolved.push_str(&match &rest[start + 2..end] {
            "AWS::StackName" => STACK.to_owned(),
            "AWS::Region" => "eu-central-1".to_owned(),
            "AWS::AccountId" => "111122223333".to_owned(),
            "AWS::Partition" => "aws".to_owned(),
            literal => format!("${{{}}}", literal.strip_prefix('!').expect(literal)),
        });
        rest = &rest[end + 1..];
    }
    resolved + rest
}

struct Stack {
    template: Value,
    dashboards: BTreeMap<String, Value>,
}

fn stack(policy: &str) -> Stack {
    let template = synth(policy, &Options::default()).expect("a valid policy").compact();
    // CloudFormation takes templates of up to 1 MB from S3.
    assert!(template.len() < 1_000_000);
    let template: Value = serde_json::from_str(&template).expect("JSON");
    let dashboards = template["Resources"].as_object().expect("resources").values();
    let dashboards = dashboards.filter(|resource| resource["Type"] == "AWS::CloudWatch::Dashboard").map(|resource| {
        let properties = &resource["Properties"];
        let text = |property: &str| resolve(properties[property]["Fn::Sub"].as_str().expect(property));
        (text("DashboardName"), serde_json::from_str(&text("DashboardBody")).expect("the body is JSON"))
    });
    let dashboards = dashboards.collect();
    Stack { template, dashboards }
}

fn widgets(dashboard: &Value) -> &Vec<Value> {
    dashboard["widgets"].as_array().expect("widgets")
}

fn metrics(dashboard: &Value) -> impl Iterator<Item = &Vec<Value>> {
    widgets(dashboard)
        .iter()
        .filter(|widget| widget["type"] == "metric")
        .flat_map(|widget| widget["properties"]["metrics"].as_array().expect("metrics"))
        .map(|line| line.as_array().expect("a line"))
        .filter(|line| line[0].is_string())
}

fn many_intents() -> String {
    let intents: String = (0..60).map(|number| format!("\n[[intent]]\nname = \"intent {number}\"\nwords = [\"w{number}\"]\n")).collect();
    format!("{POLICY}{intents}{COSTS}")
}

#[test]
fn there_are_three_each_for_those_who_look_at_it() {
    let names: Vec<String> = stack(POLICY).dashboards.into_keys().collect();
    assert_eq!(names, ["engineers", "executives", "product"].map(|of| format!("flywheel-{of}-eu-central-1")));
}

/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html> and
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html>: 500 widgets, 500 metrics in a
/// widget, 2,500 in a dashboard; an alarm widget shows 100 alarms.
#[test]
fn dashboards_are_within_the_limits_of_cloudwatch_with_as_many_intents_as_are_measured() {
    for policy in [POLICY.to_owned(), format!("{POLICY}{COSTS}"), many_intents()] {
        for (name, dashboard) in stack(&policy).dashboards {
            assert!((1..=500).contains(&widgets(&dashboard).len()), "{name}");
            let mut all = 0;
            for widget in widgets(&dashboard) {
                let [x, y, width, height] = ["x", "y", "width", "height"].map(|side| widget[side].as_u64().expect(side));
                assert!(x + width <= 24 && width >= 1 && (1..=1_000).contains(&height), "{name} at {y}");
                let lines = widget["properties"]["metrics"].as_array().map_or(0, Vec::len);
                assert!(lines <= 500, "{name}: {lines} lines of {}", widget["properties"]["title"]);
                assert!(widget["properties"]["alarms"].as_array().is_none_or(|alarms| alarms.len() <= 100));
                all += lines;
            }
            assert!(all <= 2_500, "{name}: {all} metrics");
        }
    }
}

#[test]
fn widgets_do_not_lie_upon_each_other() {
    for (name, dashboard) in stack(POLICY).dashboards {
        let mut taken = BTreeSet::new();
        for widget in widgets(&dashboard) {
            let [x, y, width, height] = ["x", "y", "width", "height"].map(|side| widget[side].as_u64().expect(side));
            for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{name} at {cell:?}");
            }
        }
    }
}

/// Names and dimensions are those of the types that the functions emit by, and of what a function is shown for, its source
/// has it.
#[test]
fn only_metrics_that_are_emitted_are_shown() {
    let source = |function: &str| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        // What events come to is told for `record` in one place.
        let folder = if function == "record" { format!("{root}/shared/kit/src") } else { format!("{root}/functions/{function}/src") };
        let files = std::fs::read_dir(folder).expect(function).map(|file| file.expect("a file").path());
        files.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).expect("a source")).collect::<String>()
    };
    let names = |all: &[&'static str]| all.iter().copied().collect::<BTreeSet<_>>();
    let loops = names(&LoopFigure::ALL.iter().map(|figure| figure.name()).collect::<Vec<_>>());
    let intents = names(&IntentFigure::ALL.iter().map(|figure| figure.name()).collect::<Vec<_>>());
    let functions = names(&FunctionFigure::ALL.iter().map(|figure| figure.name()).collect::<Vec<_>>());
    let mut shown = 0;
    for dashboard in stack(&many_intents()).dashboards.values() {
        for line in metrics(dashboard).filter(|line| line[0] == "Flywheel") {
            shown += 1;
            let [name, dimension, of] = [1, 2, 3].map(|place| line[place].as_str().expect("a text"));
            match dimension {
                "Loop" => assert!(loops.contains(name) && Loop::ALL.iter().any(|known| known.as_str() == of), "{name} of {of}"),
                "Intent" => assert!(intents.contains(name), "{name} of {of}"),
                "Function" => {
                    assert!(functions.contains(name) && FUNCTIONS.iter().any(|function| function.name == of), "{name} of {of}");
                    assert!(source(of).contains(&format!("::{name}")), "{of} does not emit {name}");
                }
                _ => panic!("{name} by {dimension}"),
            }
        }
    }
    assert!(shown > 100, "{shown}");
}

/// What nobody emits must not be in the list.
#[test]
fn every_figure_is_emitted_by_some_function() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut sources = std::fs::read_to_string(format!("{root}/shared/kit/src/events.rs")).expect("a source");
    for function in FUNCTIONS {
        for file in std::fs::read_dir(format!("{root}/functions/{}/src", function.name)).expect("sources") {
            let path = file.expect("a file").path();
            if path.is_file() {
                sources += &std::fs::read_to_string(path).expect("a source");
            }
        }
    }
    let names = FunctionFigure::ALL.iter().map(|figure| format!("FunctionFigure::{}", figure.name()));
    let names = names.chain(LoopFigure::ALL.iter().map(|figure| format!("LoopFigure::{}", figure.name())));
    for name in names.chain(IntentFigure::ALL.iter().map(|figure| format!("IntentFigure::{}", figure.name()))) {
        let is_there = sources.match_indices(&name).any(|(place, _)| !sources[place + name.len()..].starts_with(char::is_alphanumeric));
        assert!(is_there, "{name}");
    }
}

#[test]
fn what_aws_measures_is_shown_of_things_that_the_stack_has() {
    let Stack { template, dashboards } = stack(POLICY);
    let named: BTreeSet<String> = template["Resources"]
        .as_object()
        .expect("resources")
        .values()
        .flat_map(|resource| ["FunctionName", "QueueName", "TableName", "AlarmName"].map(|name| &resource["Properties"][name]["Fn::Sub"]))
        .filter_map(|name| Some(resolve(name.as_str()?)))
        .collect();
    for (dashboard, body) in &dashboards {
        for line in metrics(body).filter(|line| line[0] != "Flywheel") {
            assert!(["AWS/Lambda", "AWS/SQS", "AWS/DynamoDB"].contains(&line[0].as_str().expect("a namespace")));
            assert!(named.contains(line[3].as_str().expect("a name")), "{dashboard}: {line:?}");
        }
    }
    // The engineers see each function, each queue, each dead-letter queue and each alarm.
    let engineers = dashboards["flywheel-engineers-eu-central-1"].to_string();
    for name in named.iter().filter(|name| {
        !["state", "ledger", "switch", "approvals", "signals", "cases", "releases"].map(|table| format!("{STACK}-{table}")).contains(name)
    }) {
        assert!(engineers.contains(name.as_str()), "{name}");
    }
}

#[test]
fn every_id_of_an_expression_is_there_once_and_every_widget_shows_something() {
    for (name, dashboard) in stack(&many_intents()).dashboards {
        for widget in widgets(&dashboard).iter().filter(|widget| widget["type"] == "metric") {
            let title = &widget["properties"]["title"];
            let lines = widget["properties"]["metrics"].as_array().expect("metrics");
            let (mut ids, mut used, mut visible) = (BTreeSet::new(), BTreeSet::new(), 0);
            for line in lines {
                let options = line.as_array().and_then(|line| line.last()).expect("options");
                if let Some(id) = options["id"].as_str() {
                    assert!(id.starts_with(|first: char| first.is_ascii_lowercase()) && ids.insert(id.to_owned()), "{name}, {title}: {id}");
                }
                visible += u32::from(options["visible"] != false);
                let words = options["expression"].as_str().unwrap_or_default().split(|letter: char| !letter.is_ascii_alphanumeric());
                used.extend(words.filter(|word| word.starts_with(|first: char| first.is_ascii_lowercase())).map(str::to_owned));
            }
            assert!(visible >= 1, "{name}, {title}");
            assert!(used.is_subset(&ids), "{name}, {title}: {:?}", used.difference(&ids).collect::<Vec<_>>());
        }
    }
}

#[test]
fn dollars_are_shown_only_where_the_policy_says_what_things_cost_and_are_called_an_estimate() {
    let titles = |policy: &str| -> Vec<String> {
        let stack = stack(policy);
        let all = widgets(&stack.dashboards["flywheel-executives-eu-central-1"]).iter();
        all.filter_map(|widget| widget["properties"]["title"].as_str().map(str::to_owned)).collect()
    };
    let (without, with) = (titles(POLICY), titles(&format!("{POLICY}{COSTS}")));
    assert!(without.iter().any(|title| title == "Tokens for each resolved conversation (counted)"), "{without:?}");
    assert!(!without.iter().any(|title| title.contains("saved")), "{without:?}");
    for title in ["Model cost of each resolved conversation (estimate)", "What the loops saved (estimate)"] {
        assert!(with.iter().any(|shown| shown == title), "{with:?}");
    }
}

#[test]
fn an_intents_name_is_shown_as_it_is() {
    let product = &stack(POLICY).dashboards["flywheel-product-eu-central-1"];
    let of: BTreeSet<&str> = metrics(product).filter(|line| line[2] == "Intent").map(|line| line[3].as_str().expect("a name")).collect();
    assert_eq!(of, BTreeSet::from(["refund", "odd ${AWS::Region} \"name\"", "other"]));
}
