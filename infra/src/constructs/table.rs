use super::{Grant, logical, physical};
use crate::cfn::{self, Exp, Resource, Template, dynamodb};

/// A DynamoDB table: on demand, encrypted, with point-in-time recovery and expiry by `expires_at`.
#[derive(Debug)]
pub struct Table {
    id: String,
    indexes: Vec<Index>,
}

#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) name: &'static str,
    pub(crate) partition: &'static str,
    pub(crate) sort: &'static str,
    pub(crate) sort_kind: &'static str,
}

/// What may be done with items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemAction {
    /// Read one by its key.
    Get,
    /// Read many by their keys.
    GetMany,
    /// Write one, also in a transaction.
    Put,
    /// Change one, also in a transaction.
    Update,
    /// Delete one, also in a transaction.
    Delete,
    /// Write or delete many by their keys.
    WriteMany,
}

impl ItemAction {
    const fn name(self) -> &'static str {
        match self {
            Self::Get => "dynamodb:GetItem",
            Self::GetMany => "dynamodb:BatchGetItem",
            Self::Put => "dynamodb:PutItem",
            Self::Update => "dynamodb:UpdateItem",
            Self::Delete => "dynamodb:DeleteItem",
            Self::WriteMany => "dynamodb:BatchWriteItem",
        }
    }
}

/// How to add a table.
pub(crate) struct TableSpec {
    pub(crate) name: &'static str,
    /// The stack's name where it is known. CloudFormation takes a kept table of an earlier stack in again only where
    /// the template has its name in full.
    pub(crate) stack: Option<String>,
    /// Kept when the stack is deleted, and protected from deletion.
    pub(crate) keep: bool,
    /// The indexes; those whose partition key is the table's own are local.
    pub(crate) indexes: Vec<Index>,
}

impl Table {
    pub(crate) fn new(template: &mut Template, spec: TableSpec) -> Self {
        let id = format!("{}Table", logical(spec.name));
        let mut attributes = vec![("pk", "S"), ("sk", "S")];
        for index in &spec.indexes {
            attributes.extend([(index.partition, "S"), (index.sort, index.sort_kind)].iter().filter(|(name, _)| *name != "pk"));
        }
        let key = |partition: &str, sort: &str| {
            vec![
                dynamodb::table::KeySchema! { attribute_name: partition, key_type: "HASH" },
                dynamodb::table::KeySchema! { attribute_name: sort, key_type: "RANGE" },
            ]
        };
        let all = || dynamodb::table::Projection! { projection_type: "ALL" };
        let (local, global): (Vec<&Index>, Vec<&Index>) = spec.indexes.iter().partition(|index| index.partition == "pk");
        let local: Vec<_> = local
            .into_iter()
            .map(|index| {
                dynamodb::table::LocalSecondaryIndex! {
                    index_name: index.name, key_schema: key(index.partition, index.sort), projection: all()
                }
            })
            .collect();
        let global: Vec<_> = global
            .into_iter()
            .map(|index| {
                dynamodb::table::GlobalSecondaryIndex! {
                    index_name: index.name, key_schema: key(index.partition, index.sort), projection: all()
                }
            })
            .collect();
        let name = spec.stack.map_or_else(|| physical(spec.name), |stack| format!("{stack}-{}", spec.name).as_str().into());
        let mut table = dynamodb::Table! {
            table_name: name,
            billing_mode: "PAY_PER_REQUEST",
            key_schema: key("pk", "sk"),
            attribute_definitions: attributes
                .into_iter()
                .map(|(name, kind)| dynamodb::table::AttributeDefinition! { attribute_name: name, attribute_type: kind })
                .collect::<Vec<_>>(),
            point_in_time_recovery_specification: dynamodb::table::PointInTimeRecoverySpecification! { point_in_time_recovery_enabled: true },
            sse_specification: dynamodb::table::SSESpecification! { sse_enabled: true },
            time_to_live_specification: dynamodb::table::TimeToLiveSpecification! { attribute_name: "expires_at", enabled: true },
            deletion_protection_enabled: spec.keep
        };
        table.local_secondary_indexes = (!local.is_empty()).then_some(local);
        table.global_secondary_indexes = (!global.is_empty()).then_some(global);
        let resource: &mut Resource = template.add(id.as_str(), &table);
        resource.keep(spec.keep);
        Self { id, indexes: spec.indexes }
    }

    /// Leave to do these things with items.
    #[must_use]
    pub fn items(&self, actions: &[ItemAction]) -> Grant {
        Grant::new("Items", actions.iter().map(|action| action.name()).collect::<Vec<_>>(), vec![cfn::arn(&self.id)])
    }

    /// Leave to query the table and its indexes.
    #[must_use]
    pub fn query(&self) -> Grant {
        let mut resources = vec![cfn::arn(&self.id)];
        resources.extend(self.indexes.iter().map(|index| cfn::sub(format!("${{{}.Arn}}/index/{}", self.id, index.name))));
        Grant::new("Query", ["dynamodb:Query"], resources)
    }

    /// The table's name.
    pub(crate) fn name(&self) -> Exp {
        cfn::reference(&self.id)
    }
}
