//! What intrinsic functions come to, as far as that can be known before the deployment.

use std::cell::Cell;

use serde_json::Value;

use crate::needs::Place;
use crate::template::Template;
use crate::types::Named;

/// How deep functions, conditions and references may lie in each other; beyond, nothing is known.
const DEEP: usize = 32;

/// Steps for one answer: conditions that refer to each other would otherwise take as long as they like.
const STEPS: usize = 10_000;

/// The most bytes of a text: names and ARNs are shorter.
const LONGEST: usize = 2_048;

/// A text, in which `*` stands for what is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) text: String,
    /// Whether what is asked of it is sure to hold for what the stack will make: it is known but for letters that
    /// CloudFormation makes up.
    pub(crate) is_sure: bool,
}

impl Text {
    fn known(text: impl Into<String>) -> Self {
        let text = text.into();
        let is_sure = !text.contains('*');
        Self { text, is_sure }
    }

    pub(crate) fn unknown() -> Self {
        Self { text: "*".to_owned(), is_sure: false }
    }

    /// All of it, if it is known to the letter.
    fn literal(&self) -> Option<&str> {
        (self.is_sure && !self.text.contains('*')).then_some(&self.text)
    }

    fn push(&mut self, other: &Self) {
        self.is_sure &= other.is_sure;
        if !(self.text.ends_with('*') && other.text == "*") {
            self.text.push_str(&other.text);
        }
        if self.text.len() > LONGEST {
            *self = Self::unknown();
        }
    }
}

/// A template in its place.
pub(crate) struct Resolver<'a> {
    template: &'a Template,
    place: &'a Place,
    steps: Cell<usize>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(template: &'a Template, place: &'a Place) -> Self {
        Self { template, place, steps: Cell::new(0) }
    }

    /// What a value comes to; nothing for `AWS::NoValue` and for what is no text.
    pub(crate) fn text(&self, value: &Value) -> Option<Text> {
        self.steps.set(0);
        self.at(value, 0)
    }

    /// Whether the way here is longer than any template that means something.
    fn is_lost(&self, depth: usize) -> bool {
        self.steps.set(self.steps.get() + 1);
        depth > DEEP || self.steps.get() > STEPS
    }

    fn at(&self, value: &Value, depth: usize) -> Option<Text> {
        if self.is_lost(depth) {
            return Some(Text::unknown());
        }
        let object = match value {
            Value::String(text) => return Some(Text::known(text)),
            Value::Number(number) => return Some(Text::known(number.to_string())),
            Value::Bool(is) => return Some(Text::known(is.to_string())),
            Value::Object(object) if object.len() == 1 => object,
            _ => return None,
        };
        let (function, argument) = object.iter().next()?;
        let inner = |value: &Value| self.at(value, depth + 1);
        let found = match (function.as_str(), argument) {
            ("Ref", Value::String(name)) => return self.reference(name, depth),
            ("Fn::Sub", Value::String(text)) => Some(self.substituted(text, None, depth)),
            ("Fn::Sub", Value::Array(parts)) => {
                parts.first().and_then(Value::as_str).map(|text| self.substituted(text, parts.get(1), depth))
            }
            ("Fn::GetAtt", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(id), Value::String(attribute)] => self.attribute(id, attribute, depth),
                _ => None,
            },
            ("Fn::GetAtt", Value::String(of)) => of.split_once('.').and_then(|(id, attribute)| self.attribute(id, attribute, depth)),
            ("Fn::If", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(condition), yes, no] => match self.holds(condition, depth + 1) {
                    Some(true) => return inner(yes),
                    Some(false) => return inner(no),
                    None => inner(yes).filter(|yes| Some(yes) == inner(no).as_ref()),
                },
                _ => None,
            },
            ("Fn::Join", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(between), Value::Array(items)] => {
                    let mut joined = Text::known("");
                    for (place, item) in items.iter().enumerate() {
                        if place > 0 {
                            joined.push(&Text::known(between));
                        }
                        joined.push(&inner(item).unwrap_or_else(Text::unknown));
                    }
                    Some(joined)
                }
                _ => None,
            },
            ("Fn::Select", Value::Array(parts)) => match parts.as_slice() {
                [index, Value::Array(items)] => {
                    let index = inner(index).and_then(|index| index.literal()?.parse::<usize>().ok());
                    index.and_then(|index| inner(items.get(index)?))
                }
                _ => None,
            },
            ("Fn::FindInMap", Value::Array(parts)) => {
                let keys: Option<Vec<String>> = parts.iter().map(|key| inner(key)?.literal().map(str::to_owned)).collect();
                match keys.as_deref() {
                    Some([map, first, second]) => self.template.entry("Mappings", map).and_then(|map| inner(map.get(first)?.get(second)?)),
                    _ => None,
                }
            }
            _ => None,
        };
        Some(found.unwrap_or_else(Text::unknown))
    }

    /// What `Ref` gives of a pseudo parameter or a parameter.
    fn reference(&self, name: &str, depth: usize) -> Option<Text> {
        let known = |text: &Option<String>| Some(text.as_ref().map_or_else(Text::unknown, Text::known));
        match name {
            "AWS::NoValue" => return None,
            "AWS::Region" => return known(&self.place.region),
            "AWS::StackName" => return known(&self.place.stack),
            "AWS::AccountId" => return Some(Text::known(self.place.account())),
            "AWS::Partition" => return Some(Text::known(self.place.partition())),
            _ => {}
        }
        if let Some(value) = self.place.parameters.get(name) {
            return Some(Text::known(value));
        }
        // A parameter that is not given takes its default; one of Systems Manager is looked up under it.
        let default = self.template.entry("Parameters", name).and_then(|parameter| {
            let kind = parameter.get("Type").and_then(Value::as_str).unwrap_or_default();
            let is_plain =
                matches!(kind, "String" | "Number") || kind.starts_with("AWS::") && !kind.starts_with("AWS::SSM::Parameter::Value");
            parameter.get("Default").filter(|_| is_plain)
        });
        Some(default.and_then(|value| self.at(value, depth + 1)).unwrap_or_else(Text::unknown))
    }

    /// A text with its `${…}` filled in.
    fn substituted(&self, text: &str, own: Option<&Value>, depth: usize) -> Text {
        let mut filled = Text::known("");
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            filled.push(&Text::known(&rest[..start]));
            let Some(length) = rest[start..].find('}') else { return Text::unknown() };
            let name = rest[start + 2..start + length].trim();
            let part = match (name.strip_prefix('!'), own.and_then(|own| own.get(name)), name.split_once('.')) {
                (Some(literal), _, _) => Some(Text::known(format!("${{{literal}}}"))),
                (None, Some(value), _) => self.at(value, depth + 1),
                (None, None, Some((id, attribute))) => self.attribute(id, attribute, depth + 1),
                (None, None, None) => self.reference(name, depth + 1),
            };
            filled.push(&part.unwrap_or_else(Text::unknown));
            rest = &rest[start + length + 1..];
        }
        filled.push(&Text::known(rest));
        filled
    }

    /// An attribute of a resource: its ARN is known where its type's is.
    fn attribute(&self, id: &str, attribute: &str, depth: usize) -> Option<Text> {
        if attribute != "Arn" || depth > DEEP {
            return None;
        }
        let (kind, resource) = self.template.resource(id)?;
        self.arn_at(id, Named::of(kind)?, resource, depth + 1)
    }

    /// The ARN of a resource; nothing where it cannot be made of its name.
    pub(crate) fn arn(&self, id: &str, named: &Named, resource: &Value) -> Option<Text> {
        self.steps.set(0);
        self.arn_at(id, named, resource, 0)
    }

    fn arn_at(&self, id: &str, named: &Named, resource: &Value, depth: usize) -> Option<Text> {
        let properties = resource.get("Properties");
        let property = |name: &str| properties.and_then(|properties| properties.get(name)).and_then(|value| self.at(value, depth + 1));
        if named.unless.is_some_and(|unless| property(unless).is_some()) {
            return None;
        }
        let mut name = property(named.property).unwrap_or_else(|| self.made_up(id, named));
        if named.prefix() == "iam"
            && let Some(path) = property("Path")
        {
            let of_path = name;
            name = path;
            name.push(&of_path);
        }
        let region = self.place.region.as_deref().unwrap_or("*");
        let arn = named.arn(self.place.partition(), region, self.place.account(), &name.text);
        let has_region = self.place.region.is_some() || named.arn.split(':').nth(3) == Some("");
        Some(Text { is_sure: name.is_sure && has_region, text: arn })
    }

    /// The name that CloudFormation makes for a resource that has none: stack, logical id and 12 or 13 letters, cut where that is
    /// too long ("Name type", CloudFormation user guide).
    fn made_up(&self, id: &str, named: &Named) -> Text {
        const LETTERS: usize = 15;
        match &self.place.stack {
            Some(stack) if stack.len() + id.len() + LETTERS <= named.longest => {
                let text = format!("{stack}-{id}-*");
                let is_small = matches!(named.prefix(), "s3" | "ecr");
                Text { text: if is_small { text.to_ascii_lowercase() } else { text }, is_sure: true }
            }
            _ => Text::unknown(),
        }
    }

    /// Whether a condition holds; nothing if that cannot be known.
    pub(crate) fn condition(&self, name: &str) -> Option<bool> {
        self.steps.set(0);
        self.holds(name, 0)
    }

    fn holds(&self, name: &str, depth: usize) -> Option<bool> {
        self.judge(self.template.entry("Conditions", name)?, depth + 1)
    }

    fn judge(&self, value: &Value, depth: usize) -> Option<bool> {
        if self.is_lost(depth) {
            return None;
        }
        let (function, argument) = value.as_object().filter(|object| object.len() == 1)?.iter().next()?;
        if function == "Condition" {
            return self.holds(argument.as_str()?, depth + 1);
        }
        let arguments = argument.as_array()?;
        let all = || arguments.iter().map(|argument| self.judge(argument, depth + 1)).collect::<Vec<_>>();
        match function.as_str() {
            "Fn::Equals" => {
                let [one, other] = arguments.as_slice() else { return None };
                let (one, other) = (self.at(one, depth + 1)?, self.at(other, depth + 1)?);
                Some(one.literal()? == other.literal()?)
            }
            "Fn::Not" => self.judge(arguments.first()?, depth + 1).map(|holds| !holds),
            "Fn::And" => {
                let all = all();
                if all.contains(&Some(false)) { Some(false) } else { (!all.contains(&None)).then_some(true) }
            }
            "Fn::Or" => {
                let all = all();
                if all.contains(&Some(true)) { Some(true) } else { (!all.contains(&None)).then_some(false) }
            }
            _ => None,
        }
    }
}
