//! Asks people whether something may be done, and notes it when nobody answered.
//!
//! The state machine of approvals sends two kinds of messages. A question, with the token that ends the task that waits for its
//! answer: it is kept, told to the ledger and to people. And a question whose task waited until its end: it is expired, unless
//! somebody answered. Who decides looks at what is kept; the messages only keep it.

use flywheel_engine::approvals::message;
use flywheel_model::{ApprovalAnswer, ApprovalRequest};
use flywheel_ports::{Approvals, Bus, Notices, Unavailable};
use serde::Deserialize;

/// The world that people are asked in.
#[derive(Debug)]
pub struct World<A, N, B> {
    /// What people were asked and said.
    pub approvals: A,
    /// How they are told.
    pub notices: N,
    /// The bus.
    pub bus: B,
    /// The stack's name, for the commands in messages.
    pub stack: String,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// A task waits for the answer to a question.
    Asks {
        /// The question.
        request: ApprovalRequest,
        /// What ends the task.
        token: String,
    },
    /// A task waited until its end.
    Expired {
        /// The question.
        request: ApprovalRequest,
    },
}

/// What a message came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// People were told of a question.
    Asked,
    /// Nobody answered a question.
    Expired,
    /// It was known.
    Nothing,
}

/// Reads a message of the queue.
///
/// # Errors
/// Why it is none that comes there, naming what was expected.
pub fn read(body: &str) -> Result<Message, String> {
    serde_json::from_str(body).map_err(|error| format!("no question of the state machine: {error}"))
}

impl<A: Approvals, N: Notices, B: Bus> World<A, N, B> {
    /// Does what a message asks for. Doing it again does no harm; people may be told again if it died after they were.
    ///
    /// # Errors
    /// If something that it needs does not answer.
    pub async fn take(&self, message: &Message) -> Result<Done, Unavailable> {
        match message {
            Message::Asks { request, token } => self.ask(request, token).await,
            Message::Expired { request } => self.expire(request).await,
        }
    }

    async fn ask(&self, request: &ApprovalRequest, token: &str) -> Result<Done, Unavailable> {
        let kept = self.approvals.keep(request, token).await?;
        self.bus.publish(&[request.event()]).await?;
        if kept.told || kept.approval.answer.is_some() {
            return Ok(Done::Nothing);
        }
        let (subject, text) = message(request, &self.stack);
        self.notices.send(&subject, &text).await?;
        self.approvals.note_told(&request.approval).await?;
        Ok(Done::Asked)
    }

    async fn expire(&self, request: &ApprovalRequest) -> Result<Done, Unavailable> {
        let stands = self.approvals.answer(request, &ApprovalAnswer::Expired).await?.approval;
        // Also a person's answer, which whoever recorded it may not have told.
        self.bus.publish(&stands.answered().into_iter().collect::<Vec<_>>()).await?;
        Ok(if stands.answer == Some(ApprovalAnswer::Expired) { Done::Expired } else { Done::Nothing })
    }
}
