//! Several processes at work on the messages of a queue.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use fastrand::Rng;

/// A process that works on a message. Whether it dealt with it.
pub type Process = Pin<Box<dyn Future<Output = bool>>>;

/// Processes that work on messages as SQS delivers them: at least once and in no order. One may die between any two of its
/// steps, and the message of one that died or failed comes again. All of it follows from one seed.
pub struct Processes<M> {
    queue: Vec<M>,
    running: Vec<(M, Process)>,
    at_once: usize,
    /// The share of steps at which a process dies; none once nobody dies any more.
    crash: Option<f64>,
    chance: Rng,
}

impl<M: Clone> Processes<M> {
    /// Processes, so many at once, for these messages, about a third of which are delivered twice.
    #[must_use]
    pub fn new(messages: &[M], at_once: usize, crash: f64, seed: u64) -> Self {
        let mut chance = Rng::with_seed(seed);
        let mut queue = messages.to_vec();
        queue.extend(messages.iter().filter(|_| chance.u8(0..3) == 0).cloned());
        Self { queue, running: Vec::new(), at_once, crash: Some(crash), chance }
    }

    /// Delivers a message, at times twice.
    pub fn deliver_perhaps_twice(&mut self, message: &M) {
        let times = 1 + usize::from(self.chance.bool());
        self.deliver(std::iter::repeat_n(message.clone(), times));
    }

    /// Delivers messages.
    pub fn deliver(&mut self, messages: impl IntoIterator<Item = M>) {
        self.queue.extend(messages);
    }

    /// Whether all messages are dealt with.
    #[must_use]
    pub fn are_done(&self) -> bool {
        self.queue.is_empty() && self.running.is_empty()
    }

    /// Nobody dies any more.
    pub fn calm(&mut self) {
        self.crash = None;
    }

    /// Lets a new process begin if there may be one more, and one of those that run do a step, or die.
    pub fn step(&mut self, begin: impl FnOnce(M, &mut Rng) -> Process) {
        if self.running.len() < self.at_once && !self.queue.is_empty() {
            let message = self.queue.swap_remove(self.chance.usize(0..self.queue.len()));
            let process = begin(message.clone(), &mut self.chance);
            self.running.push((message, process));
        }
        let which = self.chance.usize(0..self.running.len());
        if self.crash.is_some_and(|share| self.chance.f64() < share) {
            self.queue.push(self.running.swap_remove(which).0);
            return;
        }
        if let Poll::Ready(dealt_with) = self.running[which].1.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            let (message, _) = self.running.swap_remove(which);
            if !dealt_with {
                self.queue.push(message);
            }
        }
    }

    /// Works until all messages are dealt with. The trouble ends after so many steps: nobody dies any more, and `calm` ends what
    /// else there is.
    ///
    /// # Panics
    /// If it does not come to an end in ten times as many steps.
    pub fn work(mut self, trouble: usize, calm: impl Fn(), begin: impl Fn(M, &mut Rng) -> Process) {
        for step in 0.. {
            if self.are_done() {
                return;
            }
            if step == trouble {
                self.calm();
                calm();
            }
            assert!(step < 10 * trouble, "it does not come to an end");
            self.step(&begin);
        }
    }
}
