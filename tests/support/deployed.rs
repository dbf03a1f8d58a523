//! What the tests of the deployed stack have in common.

#![allow(dead_code, reason = "each test file uses a part of it")]

use aws_sdk_sqs::types::QueueAttributeName;
use flywheel_local::LocalAws;

/// Whether the local AWS is missing, said so that nobody takes a skipped test for one that passed.
pub(crate) fn tools_are_missing() -> bool {
    let missing = std::env::var_os("FLYWHEEL_TOOLS").is_none();
    if missing {
        println!("skipped: the local AWS is not named by FLYWHEEL_TOOLS; `make test` installs it and runs this test");
    }
    missing
}

/// A queue's address.
pub(crate) async fn queue(aws: &LocalAws, name: &str) -> (aws_sdk_sqs::Client, String) {
    let sqs = aws_sdk_sqs::Client::new(aws.config());
    let url = sqs.get_queue_url().queue_name(name).send().await.unwrap().queue_url.unwrap();
    (sqs, url)
}

/// That nothing was given up of what these queues of a stack delivered.
pub(crate) async fn assert_no_dead_letters(aws: &LocalAws, stack: &str, queues: &[&str]) {
    for name in queues {
        let (sqs, url) = queue(aws, &format!("{stack}-{name}-dead-letters")).await;
        let all = QueueAttributeName::ApproximateNumberOfMessages;
        let attributes = sqs.get_queue_attributes().queue_url(url).attribute_names(all.clone()).send().await.unwrap();
        assert_eq!(attributes.attributes.unwrap()[&all], "0", "{name}");
    }
}
