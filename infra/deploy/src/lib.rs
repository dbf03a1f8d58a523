//! Deploys the stack through the SDK alone: the local AWS and an account take the same way, and where the SDK's
//! configuration points is where every call goes.
//!
//! [`plan`] works out what would change and changes nothing but a change set of CloudFormation's. [`Plan::execute`]
//! carries it out, [`Plan::discard`] removes every trace of it. [`deploy`] is the two in one.

mod buckets;
mod code;
mod stack;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use aws_config::SdkConfig;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use flywheel_infra::{FUNCTIONS, Target};
use flywheel_policy::Policy;

pub use stack::{Change, Destroyed, destroy};

/// What to deploy.
#[derive(Debug, Clone)]
pub struct Options {
    /// The stack's name.
    pub stack: String,
    /// The policy file's text.
    pub policy: String,
    /// The directory with the functions' binaries: `NAME` or, as cargo-lambda leaves them, `NAME/bootstrap`.
    pub functions: PathBuf,
    /// What the binaries were built for.
    pub architecture: Architecture,
    /// An AWS account or the local AWS.
    pub target: Target,
    /// More variables for every function's environment.
    pub environment: BTreeMap<String, String>,
    /// Turns on events to EventBridge for the policy's buckets where they are off.
    pub enable_bucket_events: bool,
    /// Who is told of alarms. Without it, whoever was told before; empty for nobody.
    pub alarm_email: Option<String>,
    /// The ARN of a KMS key for the alarm topic, whose policy lets CloudWatch use it. Without it, the key used before.
    pub alarm_topic_key: Option<String>,
}

impl Options {
    /// Deploys the functions in a directory under a policy, into an account, as the stack `flywheel`.
    #[must_use]
    pub fn new(policy: impl Into<String>, functions: impl Into<PathBuf>) -> Self {
        Self {
            stack: "flywheel".to_owned(),
            policy: policy.into(),
            functions: functions.into(),
            architecture: Architecture::default(),
            target: Target::Account,
            environment: BTreeMap::new(),
            enable_bucket_events: false,
            alarm_email: None,
            alarm_topic_key: None,
        }
    }
}

/// A processor architecture that Lambda runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Architecture {
    /// 64-bit Intel and AMD.
    #[default]
    X86_64,
    /// Graviton.
    Arm64,
}

impl Architecture {
    /// As Lambda writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

/// What a deployment tells of its way.
#[derive(Debug, Clone)]
pub enum Progress {
    /// A step begins or ended.
    Step(String),
    /// Something needs the team, and does not stop the deployment.
    Warning(String),
    /// A resource of the stack changed its state.
    Resource {
        /// Its logical id.
        id: String,
        /// CloudFormation's status, such as `CREATE_COMPLETE`.
        status: String,
        /// Why, if CloudFormation says so.
        reason: Option<String>,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => f.write_str(step),
            Self::Warning(warning) => write!(f, "warning: {warning}"),
            Self::Resource { id, status, reason: None } => write!(f, "  {status:<28} {id}"),
            Self::Resource { id, status, reason: Some(reason) } => write!(f, "  {status:<28} {id}: {reason}"),
        }
    }
}

/// A stack that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The stack's outputs.
    pub outputs: BTreeMap<String, String>,
    /// Whether anything had to change.
    pub changed: bool,
}

/// Deploys the stack, or brings it up to date.
///
/// # Errors
/// If the policy or a binary is not fit, a call fails, or the stack does not reach its new state: with the failed
/// resources' reasons and what to do next.
pub async fn deploy(config: &SdkConfig, options: Options, mut progress: impl FnMut(Progress)) -> Result<Deployed> {
    let plan = plan(config, options, &mut progress).await?;
    plan.execute(progress).await
}

/// A deployment that was worked out and not carried out.
#[derive(Debug)]
pub struct Plan {
    config: SdkConfig,
    options: Options,
    binaries: Vec<code::Binary>,
    silent_buckets: Vec<String>,
    bucket: code::Bucket,
    change_set: stack::ChangeSet,
}

/// Works out what deploying would change.
///
/// # Errors
/// If the policy or a binary is not fit, or a call fails.
pub async fn plan(config: &SdkConfig, options: Options, mut progress: impl FnMut(Progress)) -> Result<Plan> {
    let policy = Policy::parse(&options.policy).context("the policy file is not valid")?;
    let binaries: Vec<code::Binary> = FUNCTIONS.iter().map(|function| code::Binary::find(&options, *function)).collect::<Result<_>>()?;
    let Some(region) = config.region().map(ToString::to_string) else {
        bail!("no AWS Region is set\nnext: set AWS_REGION, or a profile that has one");
    };
    let identity = aws_sdk_sts::Client::new(config)
        .get_caller_identity()
        .send()
        .await
        .map_err(say("cannot tell which AWS account this is"))
        .context("next: set AWS_PROFILE, or the credentials that your organisation gives out")?;
    let account = identity.account().unwrap_or_default().to_owned();
    progress(Progress::Step(format!("account {account}, Region {region}, stack {}, policy {}", options.stack, policy.version)));

    let s3 = s3_client(config);
    let silent_buckets = buckets::without_events(&s3, &policy, &mut progress).await;
    if !options.enable_bucket_events {
        for bucket in &silent_buckets {
            progress(Progress::Warning(format!(
                "bucket {bucket} does not send its events to EventBridge, so its changes are never seen: deploy with --enable-bucket-events, or turn it on under the bucket's Properties, Event notifications"
            )));
        }
    }

    let template = flywheel_infra::synth(
        &options.policy,
        &flywheel_infra::Options { target: options.target, stack: Some(options.stack.clone()), environment: options.environment.clone() },
    )?
    .compact();
    let bucket = code::Bucket::new(s3, &account, &region);
    let mut parameters = BTreeMap::from([
        ("CodeBucket", Some(bucket.name.clone())),
        ("Architecture", Some(options.architecture.as_str().to_owned())),
        ("AlarmEmail", options.alarm_email.clone()),
        ("AlarmTopicKey", options.alarm_topic_key.clone()),
    ]);
    parameters.extend(binaries.iter().map(|binary| (binary.parameter, Some(binary.key.clone()))));
    let change_set = stack::ChangeSet::create(config, &options, &bucket, template, &parameters, &mut progress).await?;
    Ok(Plan { config: config.clone(), options, binaries, silent_buckets, bucket, change_set })
}

impl Plan {
    /// What CloudFormation would change; nothing if the stack is up to date.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.change_set.changes
    }

    /// The account and Region, for people to check.
    #[must_use]
    pub fn place(&self) -> String {
        format!("account {}, Region {}", self.bucket.account, self.bucket.region)
    }

    /// Carries it out.
    ///
    /// # Errors
    /// If a call fails or the stack does not reach its new state.
    pub async fn execute(self, mut progress: impl FnMut(Progress)) -> Result<Deployed> {
        if self.options.enable_bucket_events {
            for bucket in &self.silent_buckets {
                buckets::enable_events(&s3_client(&self.config), bucket).await?;
                progress(Progress::Step(format!("bucket {bucket} now sends its events to EventBridge")));
            }
        }
        if self.change_set.is_empty() {
            progress(Progress::Step(format!("stack {} is up to date", self.options.stack)));
            return Ok(Deployed { outputs: self.change_set.outputs().await?, changed: false });
        }
        let uploaded = self.upload(&mut progress).await;
        if let Err(error) = uploaded {
            self.change_set.discard().await?;
            return Err(error);
        }
        let outputs = self.change_set.execute(&mut progress).await?;
        // The code before this one stays, for a roll-back; older code goes.
        let mut keep = self.change_set.code_before.clone();
        keep.extend(self.binaries.iter().map(|binary| binary.key.clone()));
        if let Err(error) = self.bucket.prune(&code::prefix(&self.options.stack), &keep).await {
            progress(Progress::Warning(format!("old code stays in {}: {error:#}", self.bucket.name)));
        }
        Ok(Deployed { outputs, changed: true })
    }

    async fn upload(&self, progress: &mut impl FnMut(Progress)) -> Result<()> {
        self.bucket.ensure(progress).await?;
        for binary in &self.binaries {
            let sent = self.bucket.put_code(binary).await?;
            progress(Progress::Step(format!("{}: {}", binary.name, if sent { "code uploaded" } else { "code unchanged" })));
        }
        Ok(())
    }

    /// Removes the change set, and the stack where it was made for the change set only.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn discard(self) -> Result<()> {
        self.change_set.discard().await?;
        // A template of this size went by way of the code bucket. Where there is no stack, nothing else need be in it.
        if self.change_set.stack_before { Ok(()) } else { self.bucket.give_back(&self.options.stack).await }
    }
}

/// Path-style addresses work everywhere, with an endpoint of one's own as well.
fn s3_client(config: &SdkConfig) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(config).force_path_style(true).build())
}

/// An SDK error in a line: what AWS says, or, where it said nothing, what went wrong on the way.
fn say<E, R>(what: impl fmt::Display) -> impl FnOnce(SdkError<E, R>) -> anyhow::Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: fmt::Debug,
    SdkError<E, R>: ProvideErrorMetadata,
{
    move |error| match (error.code(), error.message()) {
        (Some(code), Some(message)) => anyhow::anyhow!("{what}: {message} ({code})"),
        (Some(code), None) => anyhow::anyhow!("{what}: {code}"),
        _ => anyhow::anyhow!("{what}: {}", DisplayErrorContext(&error)),
    }
}
