//! Actions that are to be graded and that were, in DynamoDB.
//!
//! In the table of signals: `awaited` holds a row for each action and rate that is to be graded, with its verdict from the
//! moment that there is one; `graded#METRIC` those whose verdict was told; `cooling#ACTION` the rates where an action is not to
//! be taken again yet. The last two expire.

use flywheel_engine::outcomes::{Awaited, Graded};
use flywheel_model::{ActionKind, Metric};
use flywheel_ports::{OutcomeStore, Pending, Unavailable};
use jiff::Timestamp;

use crate::table::{Item, Table, VALUE, as_text, if_it_held, key, number, number_of, string, text_of, value_of};

const READ: &str = "read which actions are graded";
const WRITE: &str = "record what came of an action";

const AWAITED: &str = "awaited";
const GRADED: &str = "graded";

/// Longer than any queue holds a message that could have an action graded a second time, and than any finding stays open.
const GRADED_KEPT_SECONDS: i64 = 120 * 86_400;

/// The table of signals, as grading uses it.
#[derive(Debug, Clone)]
pub struct OutcomeTable {
    table: Table,
}

impl OutcomeTable {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, table: String) -> Self {
        Self { table: Table::new(config, table) }
    }
}

impl OutcomeStore for OutcomeTable {
    async fn expect(&self, awaited: &Awaited) -> Result<(), Unavailable> {
        if self.table.get(key(&graded_of(awaited.metric), &place(awaited)), READ).await?.is_some() {
            return Ok(());
        }
        let mut row = key(AWAITED, &place(awaited));
        row.insert(VALUE.to_owned(), string(&as_text(awaited, WRITE)?));
        self.table.put_new(row, WRITE).await.map(drop)
    }

    async fn pending(&self) -> Result<Vec<Pending>, Unavailable> {
        let pending = |row: &Item| {
            let graded = text_of(row, GRADED).map(serde_json::from_str).transpose();
            let graded = graded.map_err(|error| Unavailable { what: READ, why: error.to_string() })?;
            Ok(Pending { awaited: value_of(row, READ)?, graded })
        };
        self.table.rows(AWAITED, READ).await?.iter().map(pending).collect()
    }

    async fn grade(&self, graded: &Graded) -> Result<bool, Unavailable> {
        let update = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(key(AWAITED, &place(&graded.awaited))))
            .update_expression("SET graded = :graded")
            // Also where it was settled by somebody else and is gone.
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(graded)")
            .expression_attribute_values(":graded", string(&as_text(graded, WRITE)?));
        if_it_held(update.send().await, WRITE)
    }

    async fn settle(&self, graded: &Graded) -> Result<(), Unavailable> {
        if let Some(until) = graded.cooling_until {
            let mut row = key(&cooling_of(graded.awaited.what), &graded.awaited.subject());
            row.insert("until".to_owned(), number(until.as_second()));
            row.insert("expires_at".to_owned(), number(until.as_second()));
            self.table.put(row, WRITE).await?;
        }
        let mut row = key(&graded_of(graded.awaited.metric), &place(&graded.awaited));
        row.insert(VALUE.to_owned(), string(&as_text(graded, WRITE)?));
        row.insert("expires_at".to_owned(), number(graded.at.as_second() + GRADED_KEPT_SECONDS));
        self.table.put(row, WRITE).await?;
        self.table.delete(&[key(AWAITED, &place(&graded.awaited))], WRITE).await
    }

    async fn graded(&self, metric: Metric) -> Result<Vec<Graded>, Unavailable> {
        let rows = self.table.rows(&graded_of(metric), READ).await?;
        let mut graded = rows.iter().map(|row| value_of(row, READ)).collect::<Result<Vec<Graded>, _>>()?;
        graded.sort_by(|one, other| one.at.cmp(&other.at).then_with(|| one.awaited.action.cmp(&other.awaited.action)));
        Ok(graded)
    }
}

/// Until when an action is not to be taken again for a rate.
pub(crate) async fn cooling_until(table: &Table, what: ActionKind, subject: &str) -> Result<Option<Timestamp>, Unavailable> {
    let row = table.get(key(&cooling_of(what), subject), READ).await?;
    Ok(row.and_then(|row| Timestamp::from_second(number_of(&row, "until")?).ok()))
}

/// An action is graded once for each rate that triggered it.
fn place(awaited: &Awaited) -> String {
    format!("{}#{}", awaited.action, awaited.subject())
}

fn graded_of(metric: Metric) -> String {
    format!("graded#{metric}")
}

fn cooling_of(what: ActionKind) -> String {
    format!("cooling#{what}")
}
