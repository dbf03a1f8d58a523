//! Evaluation cases in DynamoDB.
//!
//! One table. `scores#SCALE` holds what was learned of a scale, a row for each day; `conversation#NAME` the retrievals of a
//! conversation that may go on. `shelf#KB` holds the sightings of a knowledge base and what people decided, so that one
//! query gives all of them; `questions#KB` how often each question was seen, and `shelves` how often each shelf was written
//! to and how far its data set is behind.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{Put, Select, TransactWriteItem, Update};
use flywheel_calibration::Calibration;
use flywheel_engine::cases::{Decision, Inquiry, LaterAnswer, Shelf, Sighting};
use flywheel_engine::erasure::Whose;
use flywheel_model::{Id, Key};
use flywheel_ports::{CaseStore, Inquiries, Known, Scores, ShelfState, Unavailable};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::error::unavailable;
use crate::packed::{pack, unpack};
use crate::table::{Item, Table, if_it_held, key, key_of, number, number_of, string, text_of};

/// A conversation is waited for so long: longer than users take to ask again, and short, since it holds what they said.
const CONVERSATION: SignedDuration = SignedDuration::from_hours(48);

/// Scores are learned from at most 60 days, and judged by up to 8 days later.
const SCORES_KEPT_DAYS: i64 = 75;

/// Tries to write what others write too.
const TRIES: usize = 20;

/// What is asked for, where an answer fails.
const READ: &str = "read cases";
const WRITE: &str = "keep cases";

const CONVERSATIONS: &str = "conversation#";
const INQUIRY: &str = "inquiry#";
const ANSWER: &str = "answer#";
const SIGHTING: &str = "sighting#";
const DECISION: &str = "decision#";
const SHELVES: &str = "shelves";
const VALUE: &str = "value";
const JUDGED_WITH: &str = "judged_with";
const EXPIRES_AT: &str = "expires_at";

/// The table of cases.
#[derive(Debug, Clone)]
pub struct CaseTable {
    table: Table,
}

impl CaseTable {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, table: String) -> Self {
        Self { table: Table::new(config, table) }
    }

    /// Puts a row of a conversation, unless it is there.
    async fn put_said(&self, conversation: &Key, sk: &str, value: &impl Serialize, now: Timestamp) -> Result<(), Unavailable> {
        let mut item = packed(&conversation_key(conversation), sk, value)?;
        let expires = now.saturating_add(CONVERSATION).unwrap_or(Timestamp::MAX);
        item.insert(EXPIRES_AT.to_owned(), number(expires.as_second()));
        self.table.put_new(item, WRITE).await.map(drop)
    }

    /// Notes that something was written to a shelf.
    async fn touch(&self, knowledge_base: &Key) -> Result<(), Unavailable> {
        let update = self.table.client.update_item().table_name(&self.table.name).set_key(Some(key(SHELVES, knowledge_base.as_str())));
        let update = update.update_expression("ADD writes :one").expression_attribute_values(":one", number(1));
        update.send().await.map(drop).map_err(unavailable(WRITE))
    }

    /// Erases the retrievals that are kept until their conversation is over, and the cases that were made of what is
    /// theirs. Says how many rows that were.
    ///
    /// # Errors
    /// If DynamoDB does not answer. Erasing again goes on.
    pub async fn erase(&self, whose: &Whose) -> Result<usize, Unavailable> {
        let mut erased = 0;
        for shelf in self.shelves().await? {
            let theirs = whose.of_shelf(&self.shelf(&shelf.knowledge_base).await?);
            erased += theirs.sightings.len();
            if !theirs.sightings.is_empty() {
                self.remove(&shelf.knowledge_base, &theirs).await?;
            }
        }
        // Few rows, since they expire after two days; a user's are under the names of any conversations.
        let conversations = self.table.client.scan().table_name(&self.table.name).filter_expression("begins_with(pk, :conversation)");
        let conversations = conversations.expression_attribute_values(":conversation", string(CONVERSATIONS)).consistent_read(true);
        let rows = conversations.into_paginator().items().send().collect::<Result<Vec<Item>, _>>().await.map_err(unavailable(READ))?;
        let theirs: Vec<Item> = rows.iter().filter(|row| is_theirs(row, whose)).map(key_of).collect();
        erased += theirs.len();
        self.table.delete(&theirs, WRITE).await?;
        Ok(erased)
    }

    /// How many questions of a knowledge base are kept, as far as it matters.
    async fn questions(&self, knowledge_base: &Key) -> Result<usize, Unavailable> {
        let count = self.table.query(&questions_key(knowledge_base)).select(Select::Count).into_paginator().send();
        let pages = count.try_collect().await.map_err(unavailable(READ))?;
        Ok(pages.iter().map(|page| usize::try_from(page.count()).unwrap_or_default()).sum())
    }
}

impl Scores for CaseTable {
    async fn learn(&self, scale: &str, day: i64, learned: &Calibration) -> Result<(), Unavailable> {
        for _ in 0..TRIES {
            let row = self.table.get(scores_key(scale, day), READ).await?.unwrap_or_default();
            let before = calibration_of(&row)?;
            let mut after = before.clone();
            after.merge(learned);
            if after == before {
                return Ok(());
            }
            let revision = number_of::<u64>(&row, "revision").unwrap_or_default();
            let mut item = scores_key(scale, day);
            item.insert("sample".to_owned(), string(&String::from(after)));
            item.insert("revision".to_owned(), number(revision + 1));
            item.insert(EXPIRES_AT.to_owned(), number((day + SCORES_KEPT_DAYS) * 86_400));
            if self.table.make(self.table.revise(item, revision)?, WRITE).await? {
                return Ok(());
            }
        }
        Err(Unavailable { what: WRITE, why: format!("{TRIES} times others learned the same scale") })
    }

    async fn learned(&self, scale: &str, days: RangeInclusive<i64>) -> Result<Calibration, Unavailable> {
        let rows = self.table.rows_between(&format!("scores#{scale}"), &digits(*days.start()), &digits(*days.end()), READ).await?;
        let mut learned = Calibration::default();
        for row in &rows {
            learned.merge(&calibration_of(row)?);
        }
        Ok(learned)
    }
}

impl Inquiries for CaseTable {
    async fn keep_inquiry(&self, conversation: &Key, inquiry: &Inquiry, now: Timestamp) -> Result<(), Unavailable> {
        self.put_said(conversation, &format!("{INQUIRY}{}", inquiry.signal), inquiry, now).await
    }

    async fn keep_answer(&self, conversation: &Key, answer: &LaterAnswer, now: Timestamp) -> Result<(), Unavailable> {
        self.put_said(conversation, &format!("{ANSWER}{}", answer.signal), answer, now).await
    }

    async fn conversation(&self, conversation: &Key) -> Result<(Vec<Inquiry>, Vec<LaterAnswer>), Unavailable> {
        let (mut inquiries, mut answers) = (Vec::new(), Vec::new());
        for row in self.table.rows(&conversation_key(conversation), READ).await? {
            if text_of(&row, "sk").is_some_and(|sk| sk.starts_with(INQUIRY)) {
                inquiries.push(unpacked(&row)?);
            } else {
                answers.push(unpacked(&row)?);
            }
        }
        Ok((inquiries, answers))
    }
}

impl CaseStore for CaseTable {
    async fn known(&self, sighting: &Sighting, questions_at_most: u32) -> Result<Known, Unavailable> {
        let knowledge_base = &sighting.inquiry.knowledge_base;
        if let Some(row) = self.table.get(sighting_key(knowledge_base, sighting), READ).await? {
            return Ok(Known::Kept(Box::new(unpacked(&row)?)));
        }
        let question = self.table.get(key(&questions_key(knowledge_base), sighting.question.as_str()), READ).await?;
        let full = match question.as_ref().and_then(|row| number_of::<u64>(row, "times")).filter(|times| *times > 0) {
            Some(times) => times >= Known::SIGHTINGS,
            None => self.questions(knowledge_base).await? >= questions_at_most as usize,
        };
        Ok(if full { Known::Full } else { Known::New })
    }

    async fn keep_sighting(&self, sighting: &Sighting) -> Result<(), Unavailable> {
        let knowledge_base = &sighting.inquiry.knowledge_base;
        let mut item = sighting_key(knowledge_base, sighting);
        item.insert(VALUE.to_owned(), pack(sighting).map_err(|error| broken(WRITE, &error))?);
        item.insert(JUDGED_WITH.to_owned(), number(sighting.judged_with));
        let name = &self.table.name;
        let put = Put::builder().table_name(name).set_item(Some(item.clone())).condition_expression("attribute_not_exists(pk)");
        let add = |row: Item, what: &str| {
            let update = Update::builder().table_name(name).set_key(Some(row)).update_expression(format!("ADD {what} :one"));
            let update = update.expression_attribute_values(":one", number(1)).build();
            update.map(|update| TransactWriteItem::builder().update(update).build()).map_err(|error| broken(WRITE, &error))
        };
        let put = TransactWriteItem::builder().put(put.build().map_err(|error| broken(WRITE, &error))?).build();
        let counted = add(key(&questions_key(knowledge_base), sighting.question.as_str()), "times")?;
        let touched = add(key(SHELVES, knowledge_base.as_str()), "writes")?;
        for _ in 0..TRIES {
            let writes = self.table.client.transact_write_items().transact_items(put.clone());
            let Err(error) = writes.transact_items(counted.clone()).transact_items(touched.clone()).send().await else { return Ok(()) };
            let reasons = match error.as_service_error() {
                Some(error) if error.is_transaction_canceled_exception() => error.message().unwrap_or_default().to_owned(),
                _ => return Err(unavailable(WRITE)(error)),
            };
            // It is there, so it is counted: what is known of it by now takes its place, if that is more.
            if reasons.contains("ConditionalCheckFailed") {
                let put = self.table.client.put_item().table_name(name).set_item(Some(item));
                let put = put.condition_expression(format!("{JUDGED_WITH} <= :judged_with"));
                let put = put.expression_attribute_values(":judged_with", number(sighting.judged_with));
                return if if_it_held(put.send().await, WRITE)? { self.touch(knowledge_base).await } else { Ok(()) };
            }
        }
        Err(Unavailable { what: WRITE, why: format!("{TRIES} times others wrote to the same shelf") })
    }

    async fn keep_decision(&self, knowledge_base: &Key, decision: &Decision) -> Result<(), Unavailable> {
        self.table.put(packed(&shelf_key(knowledge_base), &decision_name(decision), decision)?, WRITE).await?;
        self.touch(knowledge_base).await
    }

    async fn shelf(&self, knowledge_base: &Key) -> Result<Shelf, Unavailable> {
        let mut shelf = Shelf::default();
        for row in self.table.rows(&shelf_key(knowledge_base), READ).await? {
            if text_of(&row, "sk").is_some_and(|sk| sk.starts_with(SIGHTING)) {
                shelf.sightings.push(unpacked(&row)?);
            } else {
                shelf.decisions.push(unpacked(&row)?);
            }
        }
        Ok(shelf)
    }

    async fn remove(&self, knowledge_base: &Key, what: &Shelf) -> Result<(), Unavailable> {
        let mut times: BTreeMap<&Id, i64> = BTreeMap::new();
        for sighting in &what.sightings {
            *times.entry(&sighting.question).or_default() += 1;
        }
        let mut keys: Vec<Item> = what.sightings.iter().map(|sighting| sighting_key(knowledge_base, sighting)).collect();
        keys.extend(what.decisions.iter().map(|decision| key(&shelf_key(knowledge_base), &decision_name(decision))));
        self.table.delete(&keys, WRITE).await?;
        for (question, times) in times {
            let question = key(&questions_key(knowledge_base), question.as_str());
            let update = self.table.client.update_item().table_name(&self.table.name).set_key(Some(question.clone()));
            let update = update.update_expression("ADD times :less").expression_attribute_values(":less", number(-times));
            update.send().await.map_err(unavailable(WRITE))?;
            let delete = self.table.client.delete_item().table_name(&self.table.name).set_key(Some(question));
            let delete = delete.condition_expression("times <= :none").expression_attribute_values(":none", number(0));
            if_it_held(delete.send().await, WRITE)?;
        }
        self.touch(knowledge_base).await
    }

    async fn shelves(&self) -> Result<Vec<ShelfState>, Unavailable> {
        let state = |row: &Item| {
            Some(ShelfState {
                knowledge_base: Key::try_from(text_of(row, "sk")?).ok()?,
                writes: number_of(row, "writes").unwrap_or_default(),
                published_writes: number_of(row, "published_writes").unwrap_or_default(),
                published_day: number_of(row, "published_day").unwrap_or_default(),
            })
        };
        Ok(self.table.rows(SHELVES, READ).await?.iter().filter_map(state).collect())
    }

    async fn published(&self, knowledge_base: &Key, writes: u64, day: i64) -> Result<(), Unavailable> {
        let update = self.table.client.update_item().table_name(&self.table.name).set_key(Some(key(SHELVES, knowledge_base.as_str())));
        let update = update.update_expression("SET published_writes = :writes, published_day = :day");
        let update = update.expression_attribute_values(":writes", number(writes)).expression_attribute_values(":day", number(day));
        update.send().await.map(drop).map_err(unavailable(WRITE))
    }
}

fn scores_key(scale: &str, day: i64) -> Item {
    key(&format!("scores#{scale}"), &digits(day))
}

fn conversation_key(conversation: &Key) -> String {
    format!("{CONVERSATIONS}{conversation}")
}

/// Whether a row of a conversation is of theirs.
fn is_theirs(row: &Item, whose: &Whose) -> bool {
    let of_conversation = matches!(whose, Whose::Conversation(name) if text_of(row, "pk") == Some(&conversation_key(name)));
    of_conversation || unpacked::<Inquiry>(row).is_ok_and(|inquiry| whose.is_inquiry(&inquiry))
}

fn shelf_key(knowledge_base: &Key) -> String {
    format!("shelf#{knowledge_base}")
}

fn questions_key(knowledge_base: &Key) -> String {
    format!("questions#{knowledge_base}")
}

fn sighting_key(knowledge_base: &Key, sighting: &Sighting) -> Item {
    key(&shelf_key(knowledge_base), &format!("{SIGHTING}{}#{}", sighting.question, sighting.inquiry.signal))
}

fn decision_name(decision: &Decision) -> String {
    format!("{DECISION}{}#{}", decision.question, digits(decision.decided.at.as_millisecond()))
}

/// Digits that sort as the numbers do.
fn digits(number: i64) -> String {
    format!("{:015}", number.max(0))
}

fn calibration_of(row: &Item) -> Result<Calibration, Unavailable> {
    let Some(sample) = text_of(row, "sample") else { return Ok(Calibration::default()) };
    Calibration::try_from(sample.to_owned()).map_err(|error| broken(READ, &error))
}

fn packed(pk: &str, sk: &str, value: &impl Serialize) -> Result<Item, Unavailable> {
    let mut item = key(pk, sk);
    item.insert(VALUE.to_owned(), pack(value).map_err(|error| broken(WRITE, &error))?);
    Ok(item)
}

fn unpacked<T: serde::de::DeserializeOwned>(row: &Item) -> Result<T, Unavailable> {
    unpack(row.get(VALUE)).map_err(|error| broken(READ, &error))
}

fn broken(what: &'static str, error: &dyn std::error::Error) -> Unavailable {
    Unavailable { what, why: error.to_string() }
}
