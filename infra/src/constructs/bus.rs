use serde_json::Value;

use super::{Grant, Queue};
use crate::cfn::{self, Exp, Template, events};

/// The stack's own event bus.
#[derive(Debug)]
pub struct Bus(());

const BUS: &str = "Bus";

impl Bus {
    /// Adds the bus, named like the stack.
    pub fn new(template: &mut Template) -> Self {
        template.add(BUS, &events::EventBus! { name: cfn::reference("AWS::StackName") });
        Self(())
    }

    /// Keeps what passes over the bus for some days, to be replayed.
    pub fn archive(&self, template: &mut Template, days: i32) {
        template.add("Archive", &events::Archive! { source_arn: cfn::arn(BUS), retention_days: days });
    }

    /// Leave to put events on the bus.
    #[must_use]
    pub fn put_events(&self) -> Grant {
        Grant::new("PutEvents", ["events:PutEvents"], vec![cfn::arn(BUS)])
    }

    /// The bus's name.
    pub(crate) fn name(&self) -> Exp {
        cfn::reference(BUS)
    }
}

/// A rule that feeds a queue.
#[derive(Debug)]
pub struct Rule<'a> {
    id: String,
    description: &'a str,
    source: Source<'a>,
}

#[derive(Debug)]
enum Source<'a> {
    Default { pattern: Value },
    Own { bus: &'a Bus, pattern: Value },
    Schedule { expression: &'a str, input: Option<Value> },
}

impl<'a> Rule<'a> {
    /// Events of AWS services, which arrive on the default bus.
    #[must_use]
    pub fn on_default_bus(id: impl Into<String>, description: &'a str, pattern: Value) -> Self {
        Self { id: id.into(), description, source: Source::Default { pattern } }
    }

    /// Events on the stack's own bus.
    #[must_use]
    pub fn on_bus(id: impl Into<String>, description: &'a str, bus: &'a Bus, pattern: Value) -> Self {
        Self { id: id.into(), description, source: Source::Own { bus, pattern } }
    }

    /// A message at a rate: this one, or EventBridge's own, which says for when it is.
    #[must_use]
    pub fn schedule(id: impl Into<String>, description: &'a str, expression: &'a str, input: Option<Value>) -> Self {
        Self { id: id.into(), description, source: Source::Schedule { expression, input } }
    }

    pub(crate) fn arn(&self) -> Exp {
        cfn::arn(&self.id)
    }

    pub(crate) fn add(&self, template: &mut Template, queue: &Queue) {
        let dead_letters = events::rule::DeadLetterConfig! { arn: queue.dead_letters_arn() };
        let mut target = events::rule::Target! { id: "queue", arn: queue.arn(), dead_letter_config: dead_letters };
        if let Source::Schedule { input: Some(input), .. } = &self.source {
            target.input = Some(input.to_string().as_str().into());
        }
        let mut rule = events::Rule! { description: self.description, targets: vec![target], state: "ENABLED" };
        match &self.source {
            Source::Default { pattern } => rule.event_pattern = Some(pattern.clone()),
            Source::Own { bus, pattern } => {
                rule.event_bus_name = Some(bus.name());
                rule.event_pattern = Some(pattern.clone());
            }
            Source::Schedule { expression, .. } => rule.schedule_expression = Some((*expression).into()),
        }
        template.add(self.id.as_str(), &rule);
    }
}
