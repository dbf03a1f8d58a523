//! From a template and the schemas of its types to what has to be allowed.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::Need;
use serde_json::Value;

use crate::resolve::{Resolver, Text};
use crate::schema::Schema;
use crate::template::{Template, is_custom};
use crate::types::Named;

/// What CloudFormation will do with the resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Handler {
    /// Make them: the first release, and every new resource of a later one.
    Create,
    /// Change them.
    Update,
    /// Take them away: also what a failed first release does with what it made.
    Delete,
}

impl Handler {
    /// Its name in schemas.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// Where and by whom a template is deployed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The ARN of the role that calls: the stack's service role if it has one, or else who deploys.
    pub role: String,
    /// The stack's name, if it is known.
    pub stack: Option<String>,
    /// The Region, if it is known.
    pub region: Option<String>,
    /// The values of the template's parameters that are given; others take their defaults.
    pub parameters: BTreeMap<String, String>,
}

impl Place {
    pub(crate) fn partition(&self) -> &str {
        self.role.split(':').nth(1).unwrap_or("aws")
    }

    pub(crate) fn account(&self) -> &str {
        self.role.split(':').nth(4).unwrap_or("*")
    }
}

/// What a template needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Derived {
    /// The permissions, each with whether the release surely needs it on that resource. A handler lists whatever it may ever
    /// call, so most are only perhaps needed.
    pub needs: BTreeMap<Need, bool>,
    /// What could not be derived, and why.
    pub unknown: BTreeSet<String>,
}

/// Derives what a template needs from the schemas of its types, or why a type has none.
#[must_use]
pub fn derive(template: &Template, schemas: &BTreeMap<String, Result<Schema, String>>, place: &Place, handlers: &[Handler]) -> Derived {
    let mut derived = Derived::default();
    for name in template.macros() {
        derived.unknown.insert(format!(
            "what {name} makes of the template is not known: give the one that was processed (aws cloudformation get-template --template-stage Processed)"
        ));
    }
    let resolver = Resolver::new(template, place);
    for (id, kind, resource) in template.resources() {
        let holds = resource.get("Condition").and_then(Value::as_str).map_or(Some(true), |condition| resolver.condition(condition));
        if holds == Some(false) {
            continue;
        }
        if is_custom(kind) {
            derived.unknown.insert(format!("{kind}: a custom resource; what its function asks for is not known"));
            continue;
        }
        if kind == "AWS::CloudFormation::Stack" {
            derived.unknown.insert(format!("{id} is a nested stack: check its template by itself"));
        }
        let schema = match schemas.get(kind) {
            Some(Ok(schema)) => schema,
            Some(Err(why)) => {
                derived.unknown.insert(format!("{kind}: {why}"));
                continue;
            }
            None => {
                derived.unknown.insert(format!("{kind}: its schema is not there"));
                continue;
            }
        };
        let asked = Asked { id, kind, resource, named: Named::of(kind), is_sure: holds.is_some() };
        for handler in handlers {
            let Some(permissions) = schema.permissions.get(handler.name()) else {
                derived.unknown.insert(format!("{kind}: its schema has no {} handler", handler.name()));
                continue;
            };
            for permission in permissions {
                asked.permission(permission, *handler, &resolver, place, &mut derived);
            }
        }
    }
    derived
}

/// A resource whose handlers ask.
struct Asked<'a> {
    id: &'a str,
    kind: &'a str,
    resource: &'a Value,
    named: Option<&'static Named>,
    /// Whether the stack surely has it.
    is_sure: bool,
}

impl Asked<'_> {
    fn permission(&self, permission: &str, handler: Handler, resolver: &Resolver<'_>, place: &Place, derived: &mut Derived) {
        let is_action = permission.split_once(':').is_some_and(|(prefix, name)| {
            let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            plain(prefix) && plain(name)
        });
        if !is_action {
            // IAM simulates single actions.
            derived.unknown.insert(format!(
                "{}: its {} handler lists {permission:?}, which is no single action",
                self.kind,
                handler.name()
            ));
            return;
        }
        let mut add = |resource: Text, is_needed: bool, context: BTreeMap<String, Vec<String>>| {
            let need = Need::Permission { role: place.role.clone(), action: permission.to_owned(), resource: resource.text, context };
            *derived.needs.entry(need).or_default() |= is_needed && resource.is_sure && self.is_sure;
        };
        if permission.eq_ignore_ascii_case("iam:PassRole") {
            let mut roles = Vec::new();
            passed(self.resource.get("Properties").unwrap_or(&Value::Null), resolver, &mut roles);
            if roles.is_empty() {
                add(Text::unknown(), false, BTreeMap::new());
            }
            for role in roles {
                let to = self.named.and_then(|named| named.passes_to);
                let context = to.map(|service| ("iam:PassedToService".to_owned(), vec![service.to_owned()]));
                // A template may take a role and never hand it on where it is changed or deleted.
                add(role, handler == Handler::Create, context.into_iter().collect());
            }
            return;
        }
        let own = self.named.filter(|named| permission.split(':').next() == Some(named.prefix()));
        let resource = own.and_then(|named| resolver.arn(self.id, named, self.resource)).unwrap_or_else(Text::unknown);
        let makes_it = handler == Handler::Create
            && own.is_some_and(|named| named.create.is_some_and(|create| create.eq_ignore_ascii_case(permission)));
        add(resource, makes_it, BTreeMap::new());
    }
}

/// The roles that properties name: what is called a role, wherever it lies. One that is not known is `*`.
fn passed(value: &Value, resolver: &Resolver<'_>, roles: &mut Vec<Text>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let name = name.to_ascii_lowercase();
                let is_role = name.ends_with("role") || name.ends_with("rolearn");
                match resolver.text(value).filter(|_| is_role) {
                    Some(role) if role.text.contains(":role/") || role.text == "*" => {
                        if !roles.contains(&role) {
                            roles.push(role);
                        }
                    }
                    // A name in place of an ARN, or no text: what lies in it may name one.
                    _ => passed(value, resolver, roles),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| passed(item, resolver, roles)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::111122223333:role/deploy";

    fn place() -> Place {
        Place {
            role: ROLE.to_owned(),
            stack: Some("shop".to_owned()),
            region: Some("eu-west-1".to_owned()),
            parameters: BTreeMap::from([("Stage".to_owned(), "beta".to_owned())]),
        }
    }

    /// A schema of a type with these permissions of its create handler.
    fn schema(name: &str, permissions: &[&str]) -> (String, Result<Schema, String>) {
        let text = serde_json::json!({ "typeName": name, "handlers": { "create": { "permissions": permissions } } }).to_string();
        (name.to_owned(), Schema::parse(&text))
    }

    fn schemas() -> BTreeMap<String, Result<Schema, String>> {
        BTreeMap::from([
            schema("AWS::SQS::Queue", &["sqs:CreateQueue", "sqs:TagQueue "]),
            schema("AWS::S3::Bucket", &["s3:CreateBucket", "kms:*"]),
            schema("AWS::Lambda::Function", &["lambda:CreateFunction", "iam:PassRole", "ec2:DescribeVpcs"]),
            schema("AWS::IAM::Role", &["iam:CreateRole"]),
            ("AWS::Not::There".to_owned(), Err("it is not in the registry".to_owned())),
        ])
    }

    /// What a template comes to: action and resource, with `?` where it is only perhaps needed; and what is not known.
    fn derived(resources: &str) -> (Vec<String>, Vec<String>) {
        let template = Template::parse(&format!(
            "Parameters:\n  Stage: {{Type: String, Default: prod}}\n  Team: {{Type: String, Default: a}}\n  Net: {{Type: 'AWS::SSM::Parameter::Value<String>', Default: /net}}\n  Free: {{Type: String}}\nMappings:\n  Names: {{beta: {{queue: mapped}}}}\nConditions:\n  Beta: !Equals [!Ref Stage, beta]\n  Prod: !Not [!Condition Beta]\n  Open: !Equals [!Ref Free, x]\n  Loop: !Not [!Condition Loop]\nResources:\n{resources}"
        ))
        .expect("a template");
        let derived = derive(&template, &schemas(), &place(), &[Handler::Create]);
        let needs = derived.needs.iter().map(|(need, is_sure)| {
            let Need::Permission { role, action, resource, context } = need else { panic!("{need}") };
            assert_eq!(role, ROLE);
            let to: Vec<&str> = context.values().flatten().map(String::as_str).collect();
            format!(
                "{action} on {resource}{}{}",
                if to.is_empty() { String::new() } else { format!(" for {}", to.join(" ")) },
                if *is_sure { "" } else { "?" }
            )
        });
        (needs.collect(), derived.unknown.into_iter().collect())
    }

    /// The queue's create action for a queue of this name.
    fn queue(name: &str) -> String {
        derived(&format!("  Q:\n    Type: AWS::SQS::Queue\n    Properties:\n      QueueName: {name}\n")).0[0].clone()
    }

    #[test]
    fn a_name_narrows_the_resource_as_far_as_it_is_known() {
        let arn = |name: &str| format!("sqs:CreateQueue on arn:aws:sqs:eu-west-1:111122223333:{name}");
        for (name, expected) in [
            ("jobs", arn("jobs")),
            ("!Ref Stage", arn("beta")),
            ("!Ref Team", arn("a")),
            ("!Sub '${AWS::StackName}-${Stage}-${AWS::Region}'", arn("shop-beta-eu-west-1")),
            ("!Sub ['${X}-${!Y}', {X: !Ref Team}]", arn("a-${Y}")),
            ("!Join ['-', [a, !Ref 'AWS::AccountId']]", arn("a-111122223333")),
            ("!FindInMap [Names, !Ref Stage, queue]", arn("mapped")),
            ("!Select [1, [a, b]]", arn("b")),
            ("!If [Beta, one, other]", arn("one")),
            ("!If [Open, one, one]", arn("one")),
            ("!If [Open, one, other]", arn("*?")),
            ("!If [Loop, one, other]", arn("*?")),
            ("!Sub '${Free}-jobs'", arn("*-jobs?")),
            ("!Sub '${Net}-jobs'", arn("*-jobs?")),
            ("!ImportValue x", arn("*?")),
            ("!GetAtt Other.Name", arn("*?")),
            ("!Ref AWS::NoValue", arn("shop-Q-*")),
        ] {
            assert_eq!(queue(name), expected, "{name}");
        }
    }

    #[test]
    fn what_has_no_name_has_the_one_that_cloudformation_makes() {
        let (needs, unknown) = derived("  Files:\n    Type: AWS::S3::Bucket\n");
        assert_eq!(needs, ["s3:CreateBucket on arn:aws:s3:::shop-files-*"]);
        assert_eq!(unknown, ["AWS::S3::Bucket: its create handler lists \"kms:*\", which is no single action"]);
        let id = "Q".repeat(70);
        assert_eq!(
            derived(&format!("  {id}:\n    Type: AWS::SQS::Queue\n")).0[0],
            "sqs:CreateQueue on arn:aws:sqs:eu-west-1:111122223333:*?"
        );
    }

    #[test]
    fn what_a_handler_only_may_call_is_only_perhaps_needed() {
        let (needs, _) = derived("  Q: {Type: AWS::SQS::Queue, Properties: {QueueName: q}}\n");
        assert_eq!(needs[1], "sqs:TagQueue on arn:aws:sqs:eu-west-1:111122223333:q?");
    }

    #[test]
    fn a_role_is_passed_where_properties_name_it_and_to_the_service_of_the_type() {
        let function = |role: &str| {
            let text = format!(
                "  F:\n    Type: AWS::Lambda::Function\n    Properties:\n      FunctionName: f\n      Role: {role}\n  R:\n    Type: AWS::IAM::Role\n    Properties: {{Path: /team/, RoleName: app}}\n"
            );
            derived(&text).0.into_iter().filter(|need| need.starts_with("iam:PassRole")).collect::<Vec<_>>()
        };
        for (role, resource) in [
            ("arn:aws:iam::111122223333:role/x", "arn:aws:iam::111122223333:role/x for lambda.amazonaws.com"),
            ("!GetAtt R.Arn", "arn:aws:iam::111122223333:role/team/app for lambda.amazonaws.com"),
            ("!Sub 'arn:aws:iam::${AWS::AccountId}:role/${Stage}'", "arn:aws:iam::111122223333:role/beta for lambda.amazonaws.com"),
            ("!ImportValue r", "* for lambda.amazonaws.com?"),
            ("!Ref AWS::NoValue", "*?"),
        ] {
            assert_eq!(function(role), [format!("iam:PassRole on {resource}")], "{role}");
        }
        let of_another_service = derived("  F: {Type: AWS::Lambda::Function}\n").0;
        assert!(of_another_service.contains(&"ec2:DescribeVpcs on *?".to_owned()), "{of_another_service:?}");
    }

    #[test]
    fn a_condition_that_fails_takes_its_resource_away_and_an_open_one_leaves_it_perhaps_needed() {
        let under =
            |condition: &str| derived(&format!("  Q: {{Type: AWS::SQS::Queue, Condition: {condition}, Properties: {{QueueName: q}}}}\n")).0;
        assert_eq!(under("Beta")[0], "sqs:CreateQueue on arn:aws:sqs:eu-west-1:111122223333:q");
        assert_eq!(under("Prod"), Vec::<String>::new());
        for open in ["Open", "Loop", "Nowhere"] {
            assert_eq!(under(open)[0], "sqs:CreateQueue on arn:aws:sqs:eu-west-1:111122223333:q?", "{open}");
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        let (needs, unknown) = derived(
            "  A: {Type: Custom::Thing}\n  N: {Type: AWS::Not::There}\n  S: {Type: AWS::CloudFormation::Stack}\n  Fn::ForEach::Many: [a, [b], {}]\n",
        );
        assert_eq!(needs, Vec::<String>::new());
        assert_eq!(
            unknown,
            [
                "AWS::CloudFormation::Stack: its schema is not there",
                "AWS::Not::There: it is not in the registry",
                "Custom::Thing: a custom resource; what its function asks for is not known",
                "S is a nested stack: check its template by itself",
                "what Fn::ForEach::Many makes of the template is not known: give the one that was processed (aws cloudformation get-template --template-stage Processed)",
            ]
        );
    }

    #[test]
    fn without_region_and_stack_nothing_is_made_up() {
        let template =
            Template::parse("Resources:\n  Q: {Type: AWS::SQS::Queue}\n  N: {Type: AWS::SQS::Queue, Properties: {QueueName: q}}\n")
                .expect("a template");
        let derived = derive(&template, &schemas(), &Place { role: ROLE.to_owned(), ..Place::default() }, &[Handler::Create]);
        assert!(derived.needs.values().all(|is_sure| !is_sure), "{derived:?}");
    }

    #[test]
    fn conditions_that_refer_to_each_other_take_no_longer_than_they_may() {
        let mut text = "Conditions:\n".to_owned();
        for place in 0..40 {
            text.push_str(&format!("  C{place}: !And [!Condition C{next}, !Condition C{next}]\n", next = place + 1));
        }
        text.push_str("Resources:\n  Q: {Type: AWS::SQS::Queue, Condition: C0, Properties: {QueueName: q}}\n");
        let derived = derive(&Template::parse(&text).expect("a template"), &schemas(), &place(), &[Handler::Create]);
        assert!(derived.needs.values().all(|is_sure| !is_sure));
    }
}
