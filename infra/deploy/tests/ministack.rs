//! Deploys to a real (local) CloudFormation: ministack, whose executable the variable FLYWHEEL_MINISTACK names. Without
//! it the test says that it skips.
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use flywheel_deploy::{Options, Progress};
use flywheel_infra::{FUNCTIONS, Target};

const POLICY: &str = r#"
mode = "act"

[[data_source]]
knowledge_base = "KBHANDBOOK"
data_source = "DSHANDBOOK"
bucket = "handbook"
"#;

/// ministack on a port of its own, gone when it is dropped.
struct Ministack {
    process: Child,
    endpoint: String,
}

impl Ministack {
    fn start(executable: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
        let endpoint = format!("http://127.0.0.1:{port}");
        let process = Command::new(executable)
            .env_clear()
            .envs([
                ("GATEWAY_PORT", port.to_string().as_str()),
                ("BIND_HOST", "127.0.0.1"),
                ("AUTH", "true"),
                ("MINISTACK_REGION", "us-east-1"),
            ])
            .env("AWS_ENDPOINT_URL", &endpoint)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ministack starts");
        let started = Self { process, endpoint };
        let since = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(since.elapsed() < Duration::from_secs(30), "ministack does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        started
    }

    async fn config(&self) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(&self.endpoint)
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "the local AWS's own")))
            .load()
            .await
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Binaries(PathBuf);

impl Binaries {
    /// Programs that are none beyond their header: nothing runs them here.
    fn write(version: u8) -> Self {
        let directory = std::env::temp_dir().join(format!("flywheel-deploy-{}-{version}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let mut program = vec![0; 64];
        program[..4].copy_from_slice(b"\x7fELF");
        program[18] = 0x3e;
        for function in FUNCTIONS {
            // Only one of them changes with the version.
            program[32] = if function.name == "record" { version } else { 0 };
            std::fs::write(directory.join(function.name), &program).expect("a file");
        }
        Self(directory)
    }
}

impl Drop for Binaries {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn options(binaries: &Binaries, target: Target) -> Options {
    Options { target, ..Options::new(POLICY, &binaries.0) }
}

#[tokio::test]
async fn deploys_leaves_alone_what_is_unchanged_and_destroys() {
    let Some(executable) = std::env::var_os("FLYWHEEL_MINISTACK") else {
        eprintln!("skipped: FLYWHEEL_MINISTACK does not name ministack's executable");
        return;
    };
    let ministack = Ministack::start(Path::new(&executable));
    let config = ministack.config().await;
    let s3 = aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build());
    s3.create_bucket().bucket("handbook").send().await.expect("a bucket");
    let (first, second) = (Binaries::write(1), Binaries::write(2));

    // A dry run leaves nothing: no stack, no bucket, no setting of a bucket of the team's.
    let mut warnings = Vec::new();
    let plan = flywheel_deploy::plan(&config, options(&first, Target::Local), |progress| {
        if let Progress::Warning(warning) = progress {
            warnings.push(warning);
        }
    })
    .await
    .expect("a plan");
    assert!(plan.changes().len() > 40 && plan.changes().iter().all(|change| change.action == "Add"));
    assert!(warnings.len() == 1 && warnings[0].contains("handbook"), "{warnings:?}");
    plan.discard().await.expect("gone");
    assert_eq!(s3.list_buckets().send().await.expect("a list").buckets().len(), 1);
    let gone = flywheel_deploy::destroy(&config, "flywheel", |_| {}).await.expect("nothing to delete");
    assert!(!gone.existed);

    let enabling =
        Options { enable_bucket_events: true, alarm_email: Some("team@example.com".to_owned()), ..options(&first, Target::Local) };
    let deployed = flywheel_deploy::deploy(&config, enabling, |_| {}).await.expect("it deploys");
    assert!(deployed.changed);
    for output in
        ["StateTable", "LedgerTable", "Bus", "ChangesQueueUrl", "WakesQueueUrl", "LedgerQueueUrl", "PolicyProfile", "RecordFunction"]
    {
        assert!(deployed.outputs.contains_key(output), "{output}: {:?}", deployed.outputs);
    }
    let notifications = s3.get_bucket_notification_configuration().bucket("handbook").send().await.expect("notifications");
    assert!(notifications.event_bridge_configuration().is_some());

    // Nor does leaving out who is told of alarms change who is.
    let again = flywheel_deploy::deploy(&config, options(&first, Target::Local), |_| {}).await.expect("it deploys");
    assert!(!again.changed);
    assert_eq!(again.outputs, deployed.outputs);

    let plan = flywheel_deploy::plan(&config, options(&second, Target::Local), |_| {}).await.expect("a plan");
    let functions: Vec<&str> =
        plan.changes().iter().filter(|change| change.kind == "AWS::Lambda::Function").map(|change| change.id.as_str()).collect();
    assert_eq!(functions, ["RecordFunction"]);
    assert!(plan.execute(|_| {}).await.expect("it deploys").changed);

    // A new policy is a new version in force, under the same ids.
    let policy = Options { policy: POLICY.replace("act", "dry_run"), ..options(&second, Target::Local) };
    let plan = flywheel_deploy::plan(&config, policy, |_| {}).await.expect("a plan");
    let changed: BTreeMap<&str, &str> = plan.changes().iter().map(|change| (change.id.as_str(), change.action.as_str())).collect();
    assert_eq!(changed.keys().copied().collect::<Vec<_>>(), ["PolicyDeployment", "PolicyVersion"], "{changed:?}");
    assert_eq!(plan.execute(|_| {}).await.expect("it deploys").outputs, deployed.outputs);

    // The one before is kept: a rollback deploys it.
    let policies = aws_sdk_appconfig::Client::new(&config);
    let list = policies.list_hosted_configuration_versions().application_id(&deployed.outputs["PolicyApplication"]);
    let versions = list.configuration_profile_id(&deployed.outputs["PolicyProfile"]).send().await.expect("a list");
    assert_eq!(versions.items().iter().map(|version| version.version_number).collect::<Vec<_>>(), [1, 2]);

    let destroyed = flywheel_deploy::destroy(&config, "flywheel", |_| {}).await.expect("it goes");
    assert!(destroyed.existed && destroyed.retained.is_empty(), "{destroyed:?}");
}

#[tokio::test]
async fn a_deployment_that_fails_says_why_and_what_to_do() {
    let Some(executable) = std::env::var_os("FLYWHEEL_MINISTACK") else {
        eprintln!("skipped: FLYWHEEL_MINISTACK does not name ministack's executable");
        return;
    };
    let ministack = Ministack::start(Path::new(&executable));
    let config = ministack.config().await;
    let binaries = Binaries::write(3);
    let options = || Options { stack: "taken".to_owned(), ..options(&binaries, Target::Local) };
    let squatter = r#"{"Resources": {"Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "taken"}}}}"#;
    let cloudformation = aws_sdk_cloudformation::Client::new(&config);
    cloudformation.create_stack().stack_name("squatter").template_body(squatter).send().await.expect("a stack");

    let failed = flywheel_deploy::deploy(&config, options(), |_| {}).await.expect_err("its bus's name is taken").to_string();
    assert!(failed.contains("Bus: ") && failed.contains("next: ") && failed.contains("destroy --stack taken"), "{failed}");
    // Nor does leaving out who is told of alarms change who is.
    let again = flywheel_deploy::deploy(&config, options(), |_| {}).await.expect_err("it never came to stand").to_string();
    assert!(again.contains("next: deploy destroy --stack taken"), "{again}");
    flywheel_deploy::destroy(&config, "taken", |_| {}).await.expect("it goes");

    flywheel_deploy::destroy(&config, "squatter", |_| {}).await.expect("it goes");
    assert!(flywheel_deploy::deploy(&config, options(), |_| {}).await.expect("it deploys").changed);
}
