//! How much waits in the queues of the stack, and how much was given up.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, anyhow};
use aws_sdk_sqs::types::QueueAttributeName;
use futures::StreamExt;
use serde::Serialize;

use crate::site::{Site, said};

/// Queues asked at the same time.
const AT_ONCE: usize = 8;

/// How the stack names the queue of what another one gave up.
const DEAD_LETTERS: &str = "-dead-letters";

/// What waits in a queue and beside it.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Depth {
    /// The queue's name without the stack's; of dead letters without a queue, whose they are.
    pub(crate) queue: String,
    waiting: u64,
    /// Taken, and not done yet.
    at_work: u64,
    /// To be seen later.
    delayed: u64,
    /// In its dead-letter queue.
    pub(crate) given_up: u64,
    /// Why not all of it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unread: Option<String>,
}

impl Depth {
    /// All messages that are not given up.
    pub(crate) const fn messages(&self) -> u64 {
        self.waiting + self.at_work + self.delayed
    }
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} waiting, {} at work, {} delayed", self.queue, self.waiting, self.at_work, self.delayed)?;
        if self.given_up > 0 {
            write!(f, "; {} given up", self.given_up)?;
        }
        self.unread.iter().try_for_each(|why| write!(f, "; not all is known: {why}"))
    }
}

/// The messages of one queue, as SQS counts them: about.
#[derive(Debug, Clone, Copy, Default)]
struct Messages {
    waiting: u64,
    at_work: u64,
    delayed: u64,
}

/// The queues of the stack, each with its dead letters.
pub(crate) async fn depths(site: &Site) -> Result<Vec<Depth>> {
    let list = aws_sdk_cloudformation::Client::new(&site.sdk).list_stack_resources().stack_name(&site.stack);
    let mut resources = list.into_paginator().items().send();
    let mut urls = Vec::new();
    while let Some(resource) = resources.next().await {
        let resource = resource.map_err(|error| anyhow!("cannot list the stack's resources: {}", said(&error)))?;
        if resource.resource_type.as_deref() == Some("AWS::SQS::Queue") {
            urls.extend(resource.physical_resource_id);
        }
    }
    let client = aws_sdk_sqs::Client::new(&site.sdk);
    let asking = urls.into_iter().map(|url| {
        let client = &client;
        async move {
            let counted = messages(client, &url).await;
            (url, counted.map_err(|error| format!("{error:#}")))
        }
    });
    Ok(paired(&site.stack, futures::stream::iter(asking).buffer_unordered(AT_ONCE).collect().await))
}

async fn messages(client: &aws_sdk_sqs::Client, url: &str) -> Result<Messages> {
    use QueueAttributeName::{ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed, ApproximateNumberOfMessagesNotVisible};
    let names = [ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible, ApproximateNumberOfMessagesDelayed];
    let ask = client.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
    let answer = ask.send().await.map_err(|error| anyhow!(said(&error)))?;
    let attributes = answer.attributes.unwrap_or_default();
    let number = |name| attributes.get(&name).context("SQS does not tell a number")?.parse().context("SQS tells no number");
    let [waiting, at_work, delayed] = names;
    Ok(Messages { waiting: number(waiting)?, at_work: number(at_work)?, delayed: number(delayed)? })
}

/// Each queue with its dead letters, by name.
fn paired(stack: &str, counted: Vec<(String, Result<Messages, String>)>) -> Vec<Depth> {
    let mut depths: BTreeMap<String, Depth> = BTreeMap::new();
    for (url, counted) in counted {
        let name = url.rsplit('/').next().unwrap_or_default();
        let name = name.strip_prefix(stack).and_then(|name| name.strip_prefix('-')).unwrap_or(name);
        let (queue, dead) = name.strip_suffix(DEAD_LETTERS).map_or((name, false), |queue| (queue, true));
        let depth = depths.entry(queue.to_owned()).or_insert_with(|| Depth { queue: queue.to_owned(), ..Depth::default() });
        match counted {
            Ok(Messages { waiting, at_work, delayed }) if dead => depth.given_up = waiting + at_work + delayed,
            Ok(Messages { waiting, at_work, delayed }) => (depth.waiting, depth.at_work, depth.delayed) = (waiting, at_work, delayed),
            Err(why) => depth.unread = Some(format!("{name}: {why}")),
        }
    }
    depths.into_values().collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn deep(queue: &str, waiting: u64, given_up: u64) -> Depth {
        Depth { queue: queue.to_owned(), waiting, given_up, ..Depth::default() }
    }

    #[test]
    fn a_queue_stands_with_its_dead_letters_and_a_function_without_a_queue_with_its_own() {
        let url = |name: &str| format!("https://sqs.eu-central-1.amazonaws.com/111122223333/mine-{name}");
        let waiting = |waiting| Ok(Messages { waiting, ..Messages::default() });
        let depths = paired(
            "mine",
            vec![
                (url("signals"), waiting(3)),
                (url("signals-dead-letters"), waiting(2)),
                (url("read-logs-dead-letters"), waiting(1)),
                (url("looks"), Err("AccessDenied".to_owned())),
            ],
        );
        let refused = Depth { unread: Some("looks: AccessDenied".to_owned()), ..deep("looks", 0, 0) };
        assert_eq!(depths, [refused, deep("read-logs", 0, 1), deep("signals", 3, 2)]);
    }
}
