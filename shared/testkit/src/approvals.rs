//! Questions to people, their tasks and the messages about them, in a memory that fails on command.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use flywheel_model::{Approval, ApprovalAnswer, ApprovalRequest, Id};
use flywheel_ports::{ApprovalTasks, Approvals, KeptApproval, Notices, Unavailable};

use crate::ports::{Unreliable, call};

/// What people were asked and said.
#[derive(Debug)]
pub struct ApprovalMemory {
    /// The questions.
    pub kept: BTreeMap<Id, KeptApproval>,
    /// The tasks that were begun, by the questions that they are for.
    pub begun: BTreeSet<Id>,
    /// What tasks sent to the queue of questions and what nobody took yet: the question and what ends its task.
    pub queue: Vec<(ApprovalRequest, String)>,
    /// The messages to people: subject and text.
    pub notices: Vec<(String, String)>,
    /// The share of calls that fail, half of them after they took effect.
    pub unavailable: f64,
    /// Where chance comes from.
    pub chance: fastrand::Rng,
}

impl ApprovalMemory {
    /// An empty memory where nothing fails.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            kept: BTreeMap::new(),
            begun: BTreeSet::new(),
            queue: Vec::new(),
            notices: Vec::new(),
            unavailable: 0.0,
            chance: fastrand::Rng::with_seed(seed),
        }
    }

    /// Answers a question unless it is answered; gives the answer that stands.
    pub fn answer(&mut self, request: &ApprovalRequest, answer: &ApprovalAnswer) -> KeptApproval {
        let kept = self.row(request);
        kept.approval.answer.get_or_insert_with(|| answer.clone());
        kept.clone()
    }

    fn row(&mut self, request: &ApprovalRequest) -> &mut KeptApproval {
        let asked = || KeptApproval { approval: Approval { request: request.clone(), answer: None }, token: None, told: false };
        self.kept.entry(request.approval.clone()).or_insert_with(asked)
    }
}

impl Unreliable for ApprovalMemory {
    fn unreliability(&mut self) -> (f64, &mut fastrand::Rng) {
        (self.unavailable, &mut self.chance)
    }
}

/// What one process sees of the memory. Each call first lets others go first.
#[derive(Debug, Clone)]
pub struct ApprovalProcess(pub Rc<RefCell<ApprovalMemory>>);

impl Approvals for ApprovalProcess {
    async fn approval(&self, approval: &Id) -> Result<Option<KeptApproval>, Unavailable> {
        call(&self.0, "read a question", |memory| memory.kept.get(approval).cloned()).await
    }

    async fn keep(&self, request: &ApprovalRequest, token: &str) -> Result<KeptApproval, Unavailable> {
        call(&self.0, "keep a question", |memory| {
            let kept = memory.row(request);
            kept.token = Some(token.to_owned());
            kept.clone()
        })
        .await
    }

    async fn note_told(&self, approval: &Id) -> Result<(), Unavailable> {
        call(&self.0, "note that people were told", |memory| {
            if let Some(kept) = memory.kept.get_mut(approval) {
                kept.told = true;
            }
        })
        .await
    }

    async fn answer(&self, request: &ApprovalRequest, answer: &ApprovalAnswer) -> Result<KeptApproval, Unavailable> {
        call(&self.0, "answer a question", |memory| memory.answer(request, answer)).await
    }
}

impl ApprovalTasks for ApprovalProcess {
    async fn begin(&self, request: &ApprovalRequest) -> Result<(), Unavailable> {
        call(&self.0, "begin a task", |memory| {
            if memory.begun.insert(request.approval.clone()) {
                memory.queue.push((request.clone(), format!("token of {}", request.approval)));
            }
        })
        .await
    }
}

impl Notices for ApprovalProcess {
    async fn send(&self, subject: &str, text: &str) -> Result<(), Unavailable> {
        call(&self.0, "tell people", |memory| memory.notices.push((subject.to_owned(), text.to_owned()))).await
    }
}
