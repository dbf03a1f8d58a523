//! Questions to people: kept in DynamoDB, waited for by Step Functions, told by SNS.
//!
//! A table of its own: `requests` holds a row for each question by its id, with the question as JSON in `value`, its `answer`
//! once there is one, the `task_token` of the task that waits, and `told` once people were told. Each attribute is written by
//! itself, and the answer only where there is none: what comes late or twice changes nothing.

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use aws_sdk_sfn::error::ProvideErrorMetadata;
use aws_types::SdkConfig;
use flywheel_model::{Approval, ApprovalAnswer, ApprovalRequest, Id};
use flywheel_ports::{ApprovalTasks, Approvals, KeptApproval, Notices, Unavailable};
use serde_json::json;

use crate::error::unavailable;
use crate::table::{Item, Table, VALUE, as_text, if_it_held, key, number, string, text_of, value_of};

const READ: &str = "read a question to people";
const WRITE: &str = "record a question to people";
const BEGIN: &str = "begin to wait for a person";
const END: &str = "end a task that waits for a person";
const TELL: &str = "tell people of a question";

const REQUESTS: &str = "requests";

/// Questions are kept this long after their deadline, for whoever lists them; the ledger keeps them for good.
const KEPT_SECONDS: i64 = 400 * 86_400;

/// The table of questions.
#[derive(Debug, Clone)]
pub struct ApprovalTable {
    table: Table,
}

impl ApprovalTable {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self { table: Table::new(config, table) }
    }

    /// All questions of the last 400 days, the latest first.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn all(&self) -> Result<Vec<KeptApproval>, Unavailable> {
        let rows = self.table.rows(REQUESTS, READ).await?;
        let mut all = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        all.sort_by_key(|kept| std::cmp::Reverse(kept.approval.request.at));
        Ok(all)
    }

    fn update(&self, approval: &Id) -> UpdateItemFluentBuilder {
        let update = self.table.client.update_item().table_name(&self.table.name);
        update.set_key(Some(key(REQUESTS, approval.as_str())))
    }
}

impl Approvals for ApprovalTable {
    async fn approval(&self, approval: &Id) -> Result<Option<KeptApproval>, Unavailable> {
        let row = self.table.get(key(REQUESTS, approval.as_str()), READ).await?;
        row.as_ref().map(read).transpose()
    }

    async fn keep(&self, request: &ApprovalRequest, token: &str) -> Result<KeptApproval, Unavailable> {
        let update = with_request(self.update(&request.approval), request, "task_token = :token")?;
        let update = update.expression_attribute_values(":token", string(token)).return_values(ReturnValue::AllNew);
        let row = update.send().await.map_err(unavailable(WRITE))?.attributes.unwrap_or_default();
        read(&row)
    }

    async fn note_told(&self, approval: &Id) -> Result<(), Unavailable> {
        let update = self.update(approval).update_expression("SET told = :told");
        let update = update.expression_attribute_values(":told", AttributeValue::Bool(true));
        update.send().await.map(drop).map_err(unavailable(WRITE))
    }

    async fn answer(&self, request: &ApprovalRequest, answer: &ApprovalAnswer) -> Result<KeptApproval, Unavailable> {
        let update = with_request(self.update(&request.approval), request, "answer = :answer")?;
        let update = update.expression_attribute_values(":answer", string(&as_text(answer, WRITE)?));
        // Whether it was ours or another's: the first one stands.
        if_it_held(update.condition_expression("attribute_not_exists(answer)").send().await, WRITE)?;
        let kept = self.approval(&request.approval).await?;
        kept.ok_or_else(|| Unavailable { what: READ, why: "the question is gone".to_owned() })
    }
}

/// An update that sets something, and the question wherever it is not there yet.
fn with_request(update: UpdateItemFluentBuilder, request: &ApprovalRequest, set: &str) -> Result<UpdateItemFluentBuilder, Unavailable> {
    let expression = format!("SET {set}, #value = if_not_exists(#value, :request), expires_at = if_not_exists(expires_at, :expires)");
    let update = update.update_expression(expression).expression_attribute_names("#value", VALUE);
    let update = update.expression_attribute_values(":request", string(&as_text(request, WRITE)?));
    Ok(update.expression_attribute_values(":expires", number(request.deadline.as_second().saturating_add(KEPT_SECONDS))))
}

fn read(row: &Item) -> Result<KeptApproval, Unavailable> {
    let answer = text_of(row, "answer").map(serde_json::from_str::<ApprovalAnswer>).transpose();
    let answer = answer.map_err(|error| Unavailable { what: READ, why: error.to_string() })?;
    Ok(KeptApproval {
        approval: Approval { request: value_of(row, READ)?, answer },
        token: text_of(row, "task_token").map(str::to_owned),
        told: row.contains_key("told"),
    })
}

/// The state machine whose executions wait for answers, one for each question.
#[derive(Debug, Clone)]
pub struct ApprovalMachine {
    client: aws_sdk_sfn::Client,
    arn: String,
}

impl ApprovalMachine {
    /// The state machine of this ARN.
    #[must_use]
    pub fn new(config: &SdkConfig, arn: String) -> Self {
        Self { client: aws_sdk_sfn::Client::new(config), arn }
    }

    /// Ends the task that waits for an answer. One that is over already stays over.
    ///
    /// # Errors
    /// If Step Functions does not answer.
    pub async fn end(&self, token: &str, answer: &ApprovalAnswer) -> Result<(), Unavailable> {
        let sent = self.client.send_task_success().task_token(token).output(as_text(answer, END)?).send().await;
        match sent {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error().and_then(ProvideErrorMetadata::code) {
                Some("TaskTimedOut" | "TaskDoesNotExist" | "InvalidToken") => Ok(()),
                _ => Err(unavailable(END)(error)),
            },
        }
    }
}

impl ApprovalTasks for ApprovalMachine {
    async fn begin(&self, request: &ApprovalRequest) -> Result<(), Unavailable> {
        let input = as_text(&json!({ "request": request }), BEGIN)?;
        // The name makes asking twice asking once: Step Functions takes each name once in 90 days.
        let start = self.client.start_execution().state_machine_arn(&self.arn).name(request.approval.as_str()).input(input);
        match start.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_execution_already_exists()) => Ok(()),
            Err(error) => Err(unavailable(BEGIN)(error)),
        }
    }
}

/// The topic that alarms go to as well.
#[derive(Debug, Clone)]
pub struct NoticeTopic {
    client: aws_sdk_sns::Client,
    arn: String,
}

impl NoticeTopic {
    /// The topic of this ARN.
    #[must_use]
    pub fn new(config: &SdkConfig, arn: String) -> Self {
        Self { client: aws_sdk_sns::Client::new(config), arn }
    }
}

impl Notices for NoticeTopic {
    async fn send(&self, subject: &str, text: &str) -> Result<(), Unavailable> {
        let publish = self.client.publish().topic_arn(&self.arn).subject(subject).message(text);
        publish.send().await.map(drop).map_err(unavailable(TELL))
    }
}

#[cfg(test)]
mod tests {
    use flywheel_model::{ApprovalAction, Word};
    use jiff::Timestamp;

    use super::*;

    fn request() -> ApprovalRequest {
        ApprovalRequest {
            approval: Id::of("approval", &["1"]),
            action: ApprovalAction::Promotion,
            subject: "experiment/exp-1".to_owned(),
            what: "Promote it.".to_owned(),
            why: "It is better.".to_owned(),
            risk: "It is a prompt.".to_owned(),
            evidence: vec![Id::of("outcome.experiment", &["1"])],
            at: Timestamp::UNIX_EPOCH,
            deadline: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_row_is_read_whatever_was_written_of_it_first() {
        let mut row = key(REQUESTS, "1");
        row.insert(VALUE.to_owned(), string(&as_text(&request(), WRITE).expect("JSON")));
        let fresh = read(&row).expect("a question");
        assert_eq!(fresh, KeptApproval { approval: Approval { request: request(), answer: None }, token: None, told: false });
        let answer = ApprovalAnswer::Rejected(Word { by: "ada".to_owned(), why: "no".to_owned(), at: Timestamp::UNIX_EPOCH });
        for (attribute, value) in [("answer", as_text(&answer, WRITE).expect("JSON")), ("task_token", "t".to_owned())] {
            row.insert(attribute.to_owned(), string(&value));
        }
        row.insert("told".to_owned(), AttributeValue::Bool(true));
        let kept = read(&row).expect("a question");
        assert_eq!((kept.approval.answer, kept.token.as_deref(), kept.told), (Some(answer), Some("t"), true));
    }

    #[test]
    fn a_row_that_is_no_question_is_told() {
        let mut row = key(REQUESTS, "1");
        row.insert(VALUE.to_owned(), string("{}"));
        assert!(read(&row).expect_err("no question").why.contains("approval"));
    }

    #[test]
    fn nobody_answered_is_written_as_a_word() {
        let text = as_text(&ApprovalAnswer::Expired, WRITE).expect("JSON");
        assert_eq!((text.as_str(), serde_json::from_str(&text).ok()), ("\"expired\"", Some(ApprovalAnswer::Expired)));
    }
}
