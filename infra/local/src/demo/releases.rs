//! Releases of a service, of which 40% fail for want of a permission: Flywheel learns the check that would have stopped them,
//! the next release is stopped before it starts, and the fix that is printed lets it pass.
//!
//! What each release does to the local AWS is real, under the role that deploys: the good ones look up their queue, the others
//! also create a second one, which the role may not. Only their times are made up, a day apart.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_sqs::error::DisplayErrorContext;
use flywheel_deploy::Deployed;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::LocalAws;
use crate::terminal::{Terminal, seconds};

const ROLE: &str = "demo-deploy";
const SERVICE: &str = "shop";

/// The releases of the past: of 20 8 fail, the last ones.
const GOOD: usize = 12;
const BROKEN: usize = 8;

/// Nothing came for this long: it will not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the releases went, for the summary.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Releases {
    /// Releases before the check.
    pub releases: usize,
    /// Of these, those that failed.
    pub failed: usize,
    /// Checks that were learned.
    pub checks: usize,
    /// Failed releases that the check would have stopped, and good ones, as the checks file says.
    pub caught: i64,
    /// Good releases that it would have stopped.
    pub blocked: i64,
    /// The next release was stopped before it started.
    pub stopped: bool,
    /// It passed after what was printed was done, and did what it had to.
    pub passed_after_the_fix: bool,
    /// How long it took.
    pub seconds: f64,
}

impl Releases {
    /// Whether the loop did what it is for.
    #[must_use]
    pub fn good(&self) -> bool {
        self.checks == 1 && self.caught > 0 && self.blocked == 0 && self.stopped && self.passed_after_the_fix
    }
}

/// The releases, on a deployed stack.
pub struct Pipeline<'a> {
    aws: &'a LocalAws,
    outputs: BTreeMap<String, String>,
    queue: aws_sdk_sqs::Client,
    iam: aws_sdk_iam::Client,
    /// SQS as the role that deploys.
    deploying: aws_sdk_sqs::Client,
    role: String,
}

impl<'a> Pipeline<'a> {
    /// Makes the role that deploys, which may look queues up and no more, and takes it.
    ///
    /// # Errors
    /// If the local AWS does not let it.
    pub async fn new(aws: &'a LocalAws, deployed: &Deployed) -> Result<Self> {
        let iam = aws_sdk_iam::Client::new(aws.config());
        let queue = aws_sdk_sqs::Client::new(aws.config());
        queue.create_queue().queue_name("shop-orders").send().await?;
        let trust = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "sts:AssumeRole" }] });
        let made = iam.create_role().role_name(ROLE).assume_role_policy_document(trust.to_string()).send().await?;
        let role = made.role.context("the local AWS gives no role")?.arn;
        let may = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "sqs:GetQueueUrl", "Resource": "*" }] });
        iam.put_role_policy().role_name(ROLE).policy_name("look-up").policy_document(may.to_string()).send().await?;
        let session = aws_sdk_sts::Client::new(aws.config()).assume_role().role_arn(&role).role_session_name("release").send().await?;
        let keys = session.credentials.context("the local AWS gives no session")?;
        let keys =
            aws_sdk_sqs::config::Credentials::new(keys.access_key_id, keys.secret_access_key, Some(keys.session_token), None, "session");
        let config = aws_sdk_sqs::config::Builder::from(aws.config()).credentials_provider(keys).build();
        let deploying = aws_sdk_sqs::Client::from_conf(config);
        Ok(Self { aws, outputs: deployed.outputs.clone(), queue, iam, deploying, role })
    }

    /// Plays it all.
    ///
    /// # Errors
    /// If something does not come as it should.
    pub async fn play(self, terminal: &mut Terminal) -> Result<Releases> {
        let begun = Instant::now();
        let mut summary = Releases { releases: GOOD + BROKEN, failed: BROKEN, ..Releases::default() };
        terminal.title("Releases fail: the checks that would have stopped them");
        self.release_often(terminal).await?;
        let file = self.checks_file(terminal).await?;
        let checks = file["check"].as_array().context("no checks")?;
        summary.checks = checks.len();
        let figure = |name: &str| checks[0][name].as_integer().unwrap_or_default();
        (summary.caught, summary.blocked) = (figure("caught"), figure("blocked"));
        terminal.done(
            "Check learned",
            &format!(
                "it would have stopped {} failed releases and {} good ones of {}",
                summary.caught,
                summary.blocked,
                figure("releases")
            ),
        );
        terminal.detail(&format!("s3://{}/preflight/checks.toml", self.output("ChecksBucket")?));

        let stopped = self.preflight().await?.err().context("the broken release was not stopped")?;
        summary.stopped = true;
        terminal.done("Release stopped", "before it started");
        for line in stopped.lines() {
            terminal.detail(line);
        }
        self.mend(&stopped).await?;
        if let Err(still) = self.preflight().await? {
            bail!("the printed fix did not help: {still}");
        }
        self.release(true).await.map_err(|error| anyhow::anyhow!("the mended release failed: {error}"))?;
        summary.passed_after_the_fix = true;
        terminal.done("Fixed as printed", "the check passes, and so does the release");
        summary.seconds = begun.elapsed().as_secs_f64();
        terminal.detail(&seconds(begun.elapsed()));
        Ok(summary)
    }

    /// Makes the releases of the past, and tells of each as a pipeline would: by its log.
    async fn release_often(&self, terminal: &mut Terminal) -> Result<()> {
        let now = Timestamp::now();
        for place in 0..GOOD + BROKEN {
            terminal.now(&format!("release {} of {}", place + 1, GOOD + BROKEN));
            let result = self.release(place >= GOOD).await;
            ensure!(result.is_err() == (place >= GOOD), "release {place} ended otherwise than it should: {result:?}");
            let log = match result {
                Ok(()) => "Apply complete! Resources: 1 updated.".to_owned(),
                Err(error) => format!("deploying {SERVICE}\nError: {error}\n"),
            };
            let days = i64::try_from(GOOD + BROKEN - place)?;
            let deployment = json!({
                "release": format!("run-{place}"), "service": SERVICE, "role": self.role,
                "at": now - SignedDuration::from_hours(24 * days), "ended": if place < GOOD { "succeeded" } else { "failed" }
            });
            let body = json!({ "deployment": deployment, "log": log });
            self.queue.send_message().queue_url(self.output("ReleasesQueueUrl")?).message_body(body.to_string()).send().await?;
        }
        terminal.done("Released", &format!("{} times, {BROKEN} of them failed for want of a permission", GOOD + BROKEN));
        Ok(())
    }

    /// What a release does, as the role that deploys. The newer version needs a second queue.
    async fn release(&self, newer: bool) -> Result<(), String> {
        self.deploying.get_queue_url().queue_name("shop-orders").send().await.map_err(|error| DisplayErrorContext(&error).to_string())?;
        if newer {
            self.deploying
                .create_queue()
                .queue_name("shop-refunds")
                .send()
                .await
                .map_err(|error| DisplayErrorContext(&error).to_string())?;
        }
        Ok(())
    }

    async fn checks_file(&self, terminal: &mut Terminal) -> Result<toml::Table> {
        let bucket = self.output("ChecksBucket")?;
        let since = Instant::now();
        loop {
            if let Ok(object) = self.aws.s3().get_object().bucket(bucket).key("preflight/checks.toml").send().await {
                let text = String::from_utf8(object.body.collect().await?.to_vec())?;
                let file: toml::Table = toml::from_str(&text)?;
                // The first releases of the batch may have been learned from before the last came in.
                let seen = file["check"][0]["caught"].as_integer().unwrap_or_default();
                ensure!(seen > 0, "a check without a catch");
                return Ok(file);
            }
            ensure!(since.elapsed() < PATIENCE, "no check was learned: see the log of learn-preflight");
            terminal.now("learning from the releases");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Has the checks made, as a step of a pipeline does: what has to be mended, if the release may not start.
    async fn preflight(&self) -> Result<Result<(), String>> {
        let answer = aws_sdk_lambda::Client::new(self.aws.config())
            .invoke()
            .function_name(self.output("RunPreflightFunction")?)
            .payload(Blob::new(json!({ "service": SERVICE }).to_string()))
            .send()
            .await?;
        let said: Value = serde_json::from_slice(answer.payload.context("no answer")?.as_ref())?;
        if answer.function_error.is_none() {
            return Ok(Ok(()));
        }
        ensure!(said["errorType"] == "PreflightFailed", "the checks could not be made: {said}");
        Ok(Err(said["errorMessage"].as_str().unwrap_or_default().to_owned()))
    }

    /// Does what was printed: puts the policy of the command on the role of the command.
    async fn mend(&self, printed: &str) -> Result<()> {
        let argument = |name: &str| {
            printed
                .split(&format!("{name} "))
                .nth(1)
                .and_then(|rest| rest.strip_prefix('\'').map_or_else(|| rest.split(' ').next(), |quoted| quoted.split('\'').next()))
        };
        let (Some(role), Some(name), Some(policy)) = (argument("--role-name"), argument("--policy-name"), argument("--policy-document"))
        else {
            bail!("no command was printed: {printed}");
        };
        self.iam.put_role_policy().role_name(role).policy_name(name).policy_document(policy).send().await?;
        Ok(())
    }

    fn output(&self, name: &str) -> Result<&str> {
        self.outputs.get(name).map(String::as_str).with_context(|| format!("the stack has no output {name}"))
    }
}
