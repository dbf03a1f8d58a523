//! The local AWS and the Bedrock stand-in as one thing that is started and stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_s3::types::{EventBridgeConfiguration, NotificationConfiguration};
use aws_sdk_ssm::types::ParameterType;
use flywheel_bedrock::core::{DataSourceKind, NewDataSource, NewKnowledgeBase, Quotas, Speed};
use flywheel_bedrock::server::Server;
use flywheel_deploy::{Deployed, Options};
use flywheel_infra::{FUNCTIONS, Target};
use flywheel_model::{DataSourceId, Setting};
use flywheel_policy::Policy;
use serde_json::json;

use crate::ministack::{Ministack, tools};
use crate::standin::{Report, Standin, now};

/// The Region that everything runs in.
const REGION: &str = "us-east-1";

/// ministack's administrator: with AUTH on, this key is the account's root user, and everybody else needs a role.
const ADMINISTRATOR: &str = "test";

/// How to start the local AWS.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where its log and its private files go. Created if need be.
    pub folder: PathBuf,
    /// ministack's port; a free one if not set.
    pub port: Option<u16>,
    /// The stand-in's port; a free one if not set.
    pub bedrock_port: Option<u16>,
    /// The stand-in's limits.
    pub quotas: Quotas,
    /// How long the stand-in takes.
    pub speed: Speed,
    /// The folder with the functions' binaries; beside this program if not set.
    pub functions: Option<PathBuf>,
}

impl Config {
    /// Free ports, Bedrock's own quotas.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), port: None, bedrock_port: None, quotas: Quotas::default(), speed: Speed::default(), functions: None }
    }
}

/// A local AWS with a stand-in for Bedrock. Everything that it started ends when it is dropped, or when this process
/// ends in whatever way.
pub struct LocalAws {
    // Fields are dropped in this order: the stand-in asks ministack, so it goes first.
    standin: Standin,
    ministack: Ministack,
    sdk: SdkConfig,
    bedrock: SdkConfig,
    s3: aws_sdk_s3::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    functions: PathBuf,
}

impl LocalAws {
    /// Starts both on 127.0.0.1 and waits until they answer.
    ///
    /// # Errors
    /// If ministack is not installed or does not start; the message says what to do.
    pub async fn start(config: Config) -> Result<Self> {
        let tools = tools()?;
        let functions = config.functions.map_or_else(binaries, Ok)?;
        fs::create_dir_all(&config.folder).with_context(|| format!("cannot create {}", config.folder.display()))?;
        let folder = config.folder.canonicalize()?;
        let ministack = Ministack::start(&tools, &folder, config.port, REGION).await?;
        let sdk = sdk_config(ministack.address());
        let s3 = s3_client(&sdk);
        // ministack accepts connections before it can serve the first request, and loads each service when it is first
        // used: let that be over before somebody measures anything.
        s3.list_buckets().send().await.context("the local AWS does not answer")?;
        let bedrock_config = flywheel_bedrock::server::Config { quotas: config.quotas, speed: config.speed, ..Default::default() };
        let standin = Standin::start(bedrock_config, s3.clone(), url(ministack.address()), config.bedrock_port).await?;
        let bedrock = sdk_config(standin.address());
        let dynamodb = aws_sdk_dynamodb::Client::new(&sdk);
        Ok(Self { standin, ministack, sdk, bedrock, s3, dynamodb, functions })
    }

    /// ministack's endpoint.
    #[must_use]
    pub fn endpoint(&self) -> String {
        url(self.ministack.address())
    }

    /// The stand-in's endpoint, for `bedrock-agent` and `bedrock-agent-runtime`.
    #[must_use]
    pub fn bedrock_endpoint(&self) -> String {
        url(self.standin.address())
    }

    /// For clients of everything but Bedrock (S3: see [`LocalAws::s3`]), as the account's administrator.
    #[must_use]
    pub const fn config(&self) -> &SdkConfig {
        &self.sdk
    }

    /// For clients of `bedrock-agent` and `bedrock-agent-runtime`, as the account's administrator.
    #[must_use]
    pub const fn bedrock_config(&self) -> &SdkConfig {
        &self.bedrock
    }

    /// A client of S3 that addresses buckets by path, since there is no DNS for their names here.
    #[must_use]
    pub const fn s3(&self) -> &aws_sdk_s3::Client {
        &self.s3
    }

    /// A client of DynamoDB.
    #[must_use]
    pub const fn dynamodb(&self) -> &aws_sdk_dynamodb::Client {
        &self.dynamodb
    }

    /// The stand-in itself: its account can be inspected, and told to fail.
    #[must_use]
    pub const fn bedrock(&self) -> &Server {
        self.standin.server()
    }

    /// What was asked of the stand-in so far.
    #[must_use]
    pub fn bedrock_report(&self) -> Report {
        self.standin.report()
    }

    /// What the stand-in has in its index: the key and entity tag of each document of each data source.
    #[must_use]
    pub fn bedrock_index(&self) -> BTreeMap<DataSourceId, BTreeMap<String, String>> {
        self.standin.index()
    }

    /// The environment with which an AWS SDK of any language speaks to this local AWS and to nothing else, as the
    /// account's administrator.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<String, String> {
        let administrator = [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", ADMINISTRATOR.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", ADMINISTRATOR.to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ];
        administrator.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(self.function_environment()).collect()
    }

    /// What the functions need in their environment beside what ministack gives them: it sets `AWS_ENDPOINT_URL` to
    /// itself, and Bedrock is elsewhere.
    #[must_use]
    pub fn function_environment(&self) -> BTreeMap<String, String> {
        let bedrock = self.bedrock_endpoint();
        let variables = [
            ("AWS_ENDPOINT_URL_BEDROCK_AGENT", bedrock.as_str()),
            ("AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME", bedrock.as_str()),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Creates a bucket that tells EventBridge of its changes.
    ///
    /// # Errors
    /// If there is one of that name.
    pub async fn create_bucket(&self, name: &str) -> Result<()> {
        self.s3.create_bucket().bucket(name).send().await.with_context(|| format!("cannot create the bucket {name}"))?;
        let notifications =
            NotificationConfiguration::builder().event_bridge_configuration(EventBridgeConfiguration::builder().build()).build();
        self.s3.put_bucket_notification_configuration().bucket(name).notification_configuration(notifications).send().await?;
        Ok(())
    }

    /// Creates everything that a policy names and that is not Flywheel's own: buckets, knowledge bases, data sources, and the
    /// parameters and queues that hold limits. Functions and `AppConfig` profiles must be there.
    ///
    /// # Errors
    /// If one of them exists.
    pub async fn create_what_is_named(&self, policy: &Policy) -> Result<()> {
        for bucket in policy.buckets() {
            self.create_bucket(bucket).await?;
        }
        let mut known = BTreeSet::new();
        for source in &policy.data_sources {
            let DataSourceId { knowledge_base, data_source } = source.id.clone();
            let mut account = self.bedrock().account();
            if known.insert(knowledge_base.clone()) {
                account
                    .create_knowledge_base(now(), NewKnowledgeBase { id: Some(knowledge_base.clone()), name: knowledge_base.clone() })?;
            }
            let kind = DataSourceKind::prefix(&source.bucket, &source.prefix);
            let name = data_source.clone();
            account.create_data_source(now(), NewDataSource { id: Some(data_source), knowledge_base, name, kind })?;
        }
        for timeout in &policy.timeouts {
            self.create_setting(&timeout.target).await?;
            if let Some(queue) = &timeout.queue {
                self.create_setting(&Setting::QueueVisibility { queue: queue.clone() }).await?;
            }
        }
        Ok(())
    }

    /// Creates a parameter with a limit of 30 seconds, or a queue as it is by default.
    async fn create_setting(&self, setting: &Setting) -> Result<()> {
        match setting {
            Setting::Parameter { name, field } => {
                let value = field.as_ref().map_or_else(|| "30".to_owned(), |field| json!({ field: 30 }).to_string());
                let put = aws_sdk_ssm::Client::new(&self.sdk).put_parameter().name(name).value(value);
                put.r#type(ParameterType::String).send().await?;
            }
            Setting::QueueVisibility { queue } => {
                aws_sdk_sqs::Client::new(&self.sdk).create_queue().queue_name(queue).send().await?;
            }
            Setting::AppConfig { .. } | Setting::FunctionTimeout { .. } => {}
        }
        Ok(())
    }

    /// Creates a knowledge base in the stand-in and gives its id.
    ///
    /// # Errors
    /// If the stand-in was told to fail.
    pub fn create_knowledge_base(&self, name: &str) -> Result<String> {
        let new = NewKnowledgeBase { id: None, name: name.to_owned() };
        Ok(self.bedrock().account().create_knowledge_base(now(), new)?.id)
    }

    /// Creates a data source in the stand-in that reads a prefix of a bucket.
    ///
    /// # Errors
    /// If there is no such knowledge base.
    pub fn create_data_source(&self, knowledge_base: &str, name: &str, bucket: &str, prefix: &str) -> Result<DataSourceId> {
        let new = NewDataSource {
            id: None,
            knowledge_base: knowledge_base.to_owned(),
            name: name.to_owned(),
            kind: DataSourceKind::prefix(bucket, prefix),
        };
        let made = self.bedrock().account().create_data_source(now(), new)?;
        Ok(DataSourceId::new(made.knowledge_base, made.id))
    }

    /// Deploys the real stack with this policy, or updates it. `progress` is told each step.
    ///
    /// # Errors
    /// If the policy is not valid, or a resource cannot be created.
    pub async fn deploy(&self, stack: &str, policy: &str, progress: &mut (dyn FnMut(&str) + Send)) -> Result<Deployed> {
        let mut options = Options::new(policy, &self.functions);
        options.stack = stack.to_owned();
        options.target = Target::Local;
        options.environment = self.function_environment();
        flywheel_deploy::deploy(&self.sdk, options, |step| progress(&step.to_string())).await
    }

    /// Stops everything that was started. Dropping does the same.
    pub fn stop(self) {
        drop(self);
    }
}

/// The folder with the functions' binaries: this program's own, or the one above it if this is a test.
fn binaries() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let found = program.ancestors().skip(1).take(2).find(|folder| FUNCTIONS.iter().all(|function| folder.join(function.name).is_file()));
    match found {
        Some(folder) => Ok(folder.to_owned()),
        None => bail!("the functions are not built beside {}: run `cargo build --workspace`", program.display()),
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Written from nothing: no profile, no metadata service and no environment is read.
fn sdk_config(address: SocketAddr) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(url(address))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(ADMINISTRATOR, ADMINISTRATOR, None, None, "local")))
        .build()
}

fn s3_client(sdk: &SdkConfig) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(sdk).force_path_style(true).build())
}
