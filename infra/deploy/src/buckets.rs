//! The team's own buckets of documents: looked at, and changed only when asked to.

use anyhow::Result;
use aws_sdk_s3::Client;
use aws_sdk_s3::types::{EventBridgeConfiguration, NotificationConfiguration};
use flywheel_policy::Policy;

use crate::{Progress, say};

/// The policy's buckets that do not send their events to EventBridge. One that cannot be looked at is told of and left
/// out: whoever deploys need not be allowed to see it.
pub(crate) async fn without_events(s3: &Client, policy: &Policy, progress: &mut impl FnMut(Progress)) -> Vec<String> {
    let mut silent = Vec::new();
    for bucket in policy.buckets() {
        match s3.get_bucket_notification_configuration().bucket(bucket).send().await {
            Ok(found) if found.event_bridge_configuration().is_some() => {}
            Ok(_) => silent.push(bucket.to_owned()),
            Err(error) => {
                let error = say(format!("cannot see whether bucket {bucket} sends its events to EventBridge"))(error);
                progress(Progress::Warning(format!("{error}")));
            }
        }
    }
    silent
}

/// Turns on events to EventBridge. S3 replaces the whole configuration, so everything that is there goes back with it.
pub(crate) async fn enable_events(s3: &Client, bucket: &str) -> Result<()> {
    let now = s3
        .get_bucket_notification_configuration()
        .bucket(bucket)
        .send()
        .await
        .map_err(say(format!("cannot read the notifications of bucket {bucket}")))?;
    let configuration = NotificationConfiguration::builder()
        .set_topic_configurations(now.topic_configurations)
        .set_queue_configurations(now.queue_configurations)
        .set_lambda_function_configurations(now.lambda_function_configurations)
        .event_bridge_configuration(EventBridgeConfiguration::builder().build())
        .build();
    s3.put_bucket_notification_configuration()
        .bucket(bucket)
        .notification_configuration(configuration)
        // What is there already is not ours to try out.
        .skip_destination_validation(true)
        .send()
        .await
        .map_err(say(format!("cannot turn on events to EventBridge for bucket {bucket}")))?;
    Ok(())
}
