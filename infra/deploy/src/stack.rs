//! CloudFormation: change sets, and following a stack to its end.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::types::{
    Capability, ChangeAction, ChangeSetStatus, ChangeSetType, Parameter, Replacement, ResourceStatus, Stack, StackEvent, StackStatus,
};

use crate::{Options, Progress, code, say};

/// CloudFormation takes a template of this many bytes in the request; a larger one by way of S3
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>).
const TEMPLATE_BYTES: usize = 51_200;

/// The pause between two looks grows to this; CloudFormation throttles who looks more often.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// One line of a change set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Add, Modify, Remove or Import.
    pub action: String,
    /// The resource's logical id.
    pub id: String,
    /// Its type, such as `AWS::SQS::Queue`.
    pub kind: String,
    /// Whether a modification makes a new resource in its place: True, False or Conditional; empty for other actions.
    pub replacement: String,
}

impl Change {
    /// Whether data may go with it.
    #[must_use]
    pub fn is_grave(&self) -> bool {
        let holds_data = self.kind == "AWS::DynamoDB::Table" || self.kind == "AWS::SQS::Queue";
        holds_data && (self.action == ChangeAction::Remove.as_str() || self.replacement == Replacement::True.as_str())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {:<36} {:<46} {}", self.action, self.id, self.kind, self.replacement)
    }
}

/// A stack that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destroyed {
    /// Whether there was one.
    pub existed: bool,
    /// What was kept, by physical id: the tables.
    pub retained: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct ChangeSet {
    client: Client,
    stack: String,
    /// Its id; none where nothing would change.
    id: Option<String>,
    /// The stack stands, or stood before, and is not there for this change set only.
    pub(crate) stack_before: bool,
    pub(crate) changes: Vec<Change>,
    /// The keys of the code that the stack runs now.
    pub(crate) code_before: Vec<String>,
}

impl ChangeSet {
    pub(crate) async fn create(
        config: &SdkConfig,
        options: &Options,
        bucket: &code::Bucket,
        template: String,
        parameters: &BTreeMap<&'static str, Option<String>>,
        progress: &mut impl FnMut(Progress),
    ) -> Result<Self> {
        let client = Client::new(config);
        let now = describe(&client, &options.stack).await?;
        let status = now.as_ref().and_then(Stack::stack_status).cloned();
        let stack_before = match status {
            None => false,
            Some(StackStatus::ReviewInProgress) => false,
            Some(StackStatus::RollbackComplete | StackStatus::RollbackFailed | StackStatus::CreateFailed | StackStatus::DeleteFailed) => {
                bail!(
                    "stack {} never came to stand, or was not deleted whole ({}), and cannot be updated\nnext: deploy destroy --stack {}, then deploy again",
                    options.stack,
                    status_text(status.as_ref()),
                    options.stack
                )
            }
            Some(status) if status.as_str().ends_with("_IN_PROGRESS") => {
                bail!("stack {} is being changed by somebody else ({status})\nnext: wait for it to end, then deploy again", options.stack)
            }
            Some(StackStatus::UpdateRollbackFailed) => bail!(
                "stack {} is stuck in a roll-back (UPDATE_ROLLBACK_FAILED)\nnext: continue the roll-back in the CloudFormation console, then deploy again",
                options.stack
            ),
            Some(_) => true,
        };
        let code_before = now
            .iter()
            .flat_map(Stack::parameters)
            .filter(|parameter| parameter.parameter_key().is_some_and(|key| key.ends_with("CodeKey")))
            .filter_map(|parameter| parameter.parameter_value().map(ToOwned::to_owned))
            .collect();

        // What is not said now stays as it was: a later deployment does not silence the alarms.
        let known: HashSet<&str> =
            now.iter().filter(|_| stack_before).flat_map(Stack::parameters).filter_map(Parameter::parameter_key).collect();
        let parameter = |(key, value): (&&str, &Option<String>)| {
            let parameter = Parameter::builder().parameter_key(*key);
            match value {
                Some(value) => Some(parameter.parameter_value(value).build()),
                None => known.contains(key).then(|| parameter.use_previous_value(true).build()),
            }
        };

        let (body, url) = if template.len() <= TEMPLATE_BYTES {
            (Some(template), None)
        } else {
            bucket.ensure(progress).await?;
            let key = code::template_key(&options.stack);
            bucket.put(&key, template.into_bytes()).await?;
            let suffix = if bucket.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
            (None, Some(format!("https://s3.{}.{suffix}/{}/{key}", bucket.region, bucket.name)))
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let created = client
            .create_change_set()
            .stack_name(&options.stack)
            .change_set_name(format!("deploy-{since}"))
            .change_set_type(if stack_before { ChangeSetType::Update } else { ChangeSetType::Create })
            .set_template_body(body)
            .set_template_url(url)
            .set_parameters(Some(parameters.iter().filter_map(parameter).collect()))
            .capabilities(Capability::CapabilityIam)
            // Tables that an earlier stack of this name left behind are taken in again, instead of being in the way.
            .set_import_existing_resources((!stack_before && options.target.keeps_data()).then_some(true))
            .send()
            .await
            .map_err(say(format!("cannot make a change set of stack {}", options.stack)))?;
        let id = created.id().map(ToOwned::to_owned).ok_or_else(|| anyhow!("CloudFormation gave no id for the change set"))?;
        let mut change_set = Self { client, stack: options.stack.clone(), id: Some(id), stack_before, changes: Vec::new(), code_before };
        match change_set.ready().await {
            Ok(true) => Ok(change_set),
            Ok(false) => {
                change_set.discard().await?;
                change_set.id = None;
                Ok(change_set)
            }
            Err(error) => {
                change_set.discard().await?;
                Err(error)
            }
        }
    }

    /// Waits until the change set is worked out; false where it would change nothing.
    async fn ready(&mut self) -> Result<bool> {
        let mut pause = Pause::default();
        loop {
            let mut token = None;
            let mut changes = Vec::new();
            let status = loop {
                let page = self
                    .client
                    .describe_change_set()
                    .set_change_set_name(self.id.clone())
                    .stack_name(&self.stack)
                    .set_next_token(token)
                    .send()
                    .await
                    .map_err(say("cannot read the change set"))?;
                changes.extend(page.changes().iter().filter_map(|change| change.resource_change()).map(|change| Change {
                    action: change.action().map(ChangeAction::as_str).unwrap_or_default().to_owned(),
                    id: change.logical_resource_id().unwrap_or_default().to_owned(),
                    kind: change.resource_type().unwrap_or_default().to_owned(),
                    replacement: change.replacement().map(Replacement::as_str).unwrap_or_default().to_owned(),
                }));
                token = page.next_token().map(ToOwned::to_owned);
                if token.is_none() {
                    break (page.status().cloned(), page.status_reason().unwrap_or_default().to_owned());
                }
            };
            match status {
                (Some(ChangeSetStatus::CreateComplete), _) => {
                    self.changes = changes;
                    return Ok(true);
                }
                // No code tells an empty change set from a bad one, only these sentences.
                (Some(ChangeSetStatus::Failed), reason)
                    if reason.contains("didn't contain changes") || reason.contains("No updates are to be performed") =>
                {
                    return Ok(false);
                }
                (Some(ChangeSetStatus::Failed), reason) => bail!("CloudFormation cannot make this change: {reason}"),
                _ => pause.wait().await,
            }
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.id.is_none()
    }

    pub(crate) async fn outputs(&self) -> Result<BTreeMap<String, String>> {
        let stack = describe(&self.client, &self.stack).await?.with_context(|| format!("stack {} is gone", self.stack))?;
        Ok(outputs(&stack))
    }

    pub(crate) async fn execute(&self, progress: &mut impl FnMut(Progress)) -> Result<BTreeMap<String, String>> {
        let mut follow = Follow::new(&self.client, &self.stack).await?;
        self.client
            .execute_change_set()
            .set_change_set_name(self.id.clone())
            .stack_name(&self.stack)
            .send()
            .await
            .map_err(say("cannot execute the change set"))?;
        let end = follow.end(&self.client, progress).await?;
        match end.stack_status() {
            Some(StackStatus::CreateComplete | StackStatus::UpdateComplete | StackStatus::ImportComplete) => Ok(outputs(&end)),
            status => {
                let next = if self.stack_before {
                    "the stack runs on as it was before; mend the cause and deploy again".to_owned()
                } else {
                    format!("mend the cause, then: deploy destroy --stack {0}, and deploy again", self.stack)
                };
                bail!("stack {} ended {}{}\nnext: {next}", self.stack, status_text(status), follow.reasons())
            }
        }
    }

    /// Deletes the change set, and the stack where it holds nothing but that.
    pub(crate) async fn discard(&self) -> Result<()> {
        self.client
            .delete_change_set()
            .set_change_set_name(self.id.clone())
            .stack_name(&self.stack)
            .send()
            .await
            .map_err(say("cannot delete the change set"))?;
        if !self.stack_before {
            // Asked anew: what stands by now is not ours to delete.
            let now = describe(&self.client, &self.stack).await?;
            if now.as_ref().and_then(Stack::stack_status) == Some(&StackStatus::ReviewInProgress) {
                self.client.delete_stack().stack_name(&self.stack).send().await.map_err(say("cannot delete the empty stack"))?;
            }
        }
        Ok(())
    }
}

/// Deletes the stack. Tables of an account are kept, and so is everything that is not the stack's: documents, knowledge
/// bases, the code bucket.
///
/// # Errors
/// If a call fails, or something cannot be deleted.
pub async fn destroy(config: &SdkConfig, stack: &str, mut progress: impl FnMut(Progress)) -> Result<Destroyed> {
    let client = Client::new(config);
    let Some(found) = describe(&client, stack).await? else { return Ok(Destroyed { existed: false, retained: Vec::new() }) };
    delete_policy_versions(config, &outputs(&found)).await?;
    let mut follow = Follow::new(&client, stack).await?;
    client.delete_stack().stack_name(stack).send().await.map_err(say(format!("cannot delete stack {stack}")))?;
    let end = follow.end(&client, &mut progress).await?;
    if end.stack_status() != Some(&StackStatus::DeleteComplete) {
        bail!(
            "stack {stack} ended {}{}\nnext: mend the cause, then: deploy destroy --stack {stack}",
            status_text(end.stack_status()),
            follow.reasons()
        );
    }
    Ok(Destroyed { existed: true, retained: follow.retained })
}

/// AppConfig deletes no profile that has versions, and the stack knows the last one only that it made itself.
async fn delete_policy_versions(config: &SdkConfig, outputs: &BTreeMap<String, String>) -> Result<()> {
    // A stack that never came to stand has no outputs.
    let (Some(application), Some(profile)) = (outputs.get("PolicyApplication"), outputs.get("PolicyProfile")) else { return Ok(()) };
    let client = aws_sdk_appconfig::Client::new(config);
    let list = client.list_hosted_configuration_versions().application_id(application).configuration_profile_id(profile);
    let mut versions = list.into_paginator().items().send();
    let mut numbers = Vec::new();
    while let Some(version) = versions.next().await {
        match version {
            Ok(version) => numbers.push(version.version_number),
            // An earlier try took the profile away, and stopped later.
            Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(()),
            Err(error) => return Err(say("cannot list the policy's versions")(error)),
        }
    }
    for number in numbers {
        let delete = client.delete_hosted_configuration_version().application_id(application).configuration_profile_id(profile);
        delete.version_number(number).send().await.map_err(say(format!("cannot delete version {number} of the policy")))?;
    }
    Ok(())
}

/// The events of a stack from now on.
struct Follow {
    /// The stack's id: a deleted stack is not found by its name.
    stack: String,
    seen: HashSet<String>,
    failures: Vec<(String, String)>,
    retained: Vec<String>,
}

impl Follow {
    async fn new(client: &Client, stack: &str) -> Result<Self> {
        let found = describe(client, stack).await?.with_context(|| format!("stack {stack} is gone"))?;
        let stack = found.stack_id().unwrap_or(stack).to_owned();
        let mut follow = Self { stack, seen: HashSet::new(), failures: Vec::new(), retained: Vec::new() };
        // One page is enough to know the old events by: a stack may have thousands.
        let old = client.describe_stack_events().stack_name(&follow.stack).send().await.map_err(say("cannot read the stack's events"))?;
        follow.seen.extend(old.stack_events().iter().filter_map(|event| event.event_id().map(ToOwned::to_owned)));
        Ok(follow)
    }

    async fn end(&mut self, client: &Client, progress: &mut impl FnMut(Progress)) -> Result<Stack> {
        let mut pause = Pause::default();
        loop {
            pause.wait().await;
            // The status first: every event of an end that is seen here is then seen below.
            let stack = describe(client, &self.stack).await?.with_context(|| format!("stack {} is gone", self.stack))?;
            for event in self.new_events(client).await? {
                pause = Pause::default();
                self.take(&event, progress);
            }
            if !stack.stack_status().is_some_and(|status| status.as_str().ends_with("_IN_PROGRESS")) {
                return Ok(stack);
            }
        }
    }

    /// The events not seen yet, the oldest first.
    async fn new_events(&mut self, client: &Client) -> Result<Vec<StackEvent>> {
        let mut new = Vec::new();
        let mut pages = client.describe_stack_events().stack_name(&self.stack).into_paginator().send();
        // The newest come first, so a page that brings a known event is the last to look at.
        while let Some(page) = pages.next().await {
            let page = page.map_err(say("cannot read the stack's events"))?;
            let before = new.len();
            let events = page.stack_events();
            new.extend(events.iter().filter(|event| self.seen.insert(event.event_id().unwrap_or_default().to_owned())).cloned());
            if new.len() - before < events.len() {
                break;
            }
        }
        new.reverse();
        Ok(new)
    }

    fn take(&mut self, event: &StackEvent, progress: &mut impl FnMut(Progress)) {
        let id = event.logical_resource_id().unwrap_or_default().to_owned();
        let status = event.resource_status().map(ResourceStatus::as_str).unwrap_or_default().to_owned();
        let reason = event.resource_status_reason().filter(|reason| !reason.is_empty()).map(ToOwned::to_owned);
        if status == "DELETE_SKIPPED" {
            self.retained.extend(event.physical_resource_id().map(ToOwned::to_owned));
        }
        if let Some(reason) = &reason
            && status.ends_with("_FAILED")
            // Those that were under way when another failed.
            && !reason.contains("cancelled")
        {
            self.failures.push((id.clone(), reason.clone()));
        }
        progress(Progress::Resource { id, status, reason });
    }

    fn reasons(&self) -> String {
        self.failures.iter().map(|(id, reason)| format!("\n  {id}: {reason}")).collect()
    }
}

/// Short at first, for the local AWS and small changes, then longer.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(100))
    }
}

impl Pause {
    async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 3 / 2).min(LONGEST_PAUSE);
    }
}

async fn describe(client: &Client, stack: &str) -> Result<Option<Stack>> {
    match client.describe_stacks().stack_name(stack).send().await {
        Ok(found) => Ok(found.stacks().first().filter(|found| is_there(found, stack)).cloned()),
        // No code of its own says that a stack is not there.
        Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => Ok(None),
        Err(error) => Err(say(format!("cannot look at stack {stack}"))(error)),
    }
}

/// A deleted stack counts only for who asks by its id.
fn is_there(found: &Stack, asked: &str) -> bool {
    found.stack_status() != Some(&StackStatus::DeleteComplete) || asked.starts_with("arn:")
}

fn outputs(stack: &Stack) -> BTreeMap<String, String> {
    stack.outputs().iter().filter_map(|output| Some((output.output_key()?.to_owned(), output.output_value()?.to_owned()))).collect()
}

fn status_text(status: Option<&StackStatus>) -> &str {
    status.map_or("in no known state", StackStatus::as_str)
}
