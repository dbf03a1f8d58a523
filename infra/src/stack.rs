//! Flywheel's stack.

use flywheel_policy::Policy;
use serde_json::json;

use crate::Options;
use crate::approvals;
use crate::cfn::{Exp, Parameter, Template, reference};
use crate::constructs::{
    Alarms, Assistants, Batches, Bucket, Bus, Documents, Flags, Function, Grant, ItemAction, KnowledgeBases, PolicyStore, Queue, Rule,
    Settings, Surroundings, Table,
};
use crate::constructs::{TableSpec, dead_letters_name, table};
use crate::dashboards;

/// A function of the stack and the parameter that names its code object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionCode {
    /// The function's name, which is also its binary's.
    pub name: &'static str,
    /// The parameter with the key of its code in the bucket `CodeBucket`.
    pub parameter: &'static str,
    /// The output with the deployed function's name.
    pub output: &'static str,
}

const TRACK: FunctionCode = FunctionCode { name: "track-documents", parameter: "TrackDocumentsCodeKey", output: "TrackDocumentsFunction" };
const SYNC: FunctionCode =
    FunctionCode { name: "sync-knowledge-bases", parameter: "SyncKnowledgeBasesCodeKey", output: "SyncKnowledgeBasesFunction" };
const RECORD: FunctionCode = FunctionCode { name: "record", parameter: "RecordCodeKey", output: "RecordFunction" };

const COUNT: FunctionCode = FunctionCode { name: "count-signals", parameter: "CountSignalsCodeKey", output: "CountSignalsFunction" };
const READ: FunctionCode = FunctionCode { name: "read-logs", parameter: "ReadLogsCodeKey", output: "ReadLogsFunction" };
const ASSEMBLE: FunctionCode =
    FunctionCode { name: "assemble-conversations", parameter: "AssembleConversationsCodeKey", output: "AssembleConversationsFunction" };
const DETECT: FunctionCode = FunctionCode { name: "detect-changes", parameter: "DetectChangesCodeKey", output: "DetectChangesFunction" };
const REFRESH: FunctionCode = FunctionCode { name: "refresh-topics", parameter: "RefreshTopicsCodeKey", output: "RefreshTopicsFunction" };
const CAPTURE: FunctionCode =
    FunctionCode { name: "capture-retrievals", parameter: "CaptureRetrievalsCodeKey", output: "CaptureRetrievalsFunction" };
const ADJUST: FunctionCode = FunctionCode { name: "adjust-timeouts", parameter: "AdjustTimeoutsCodeKey", output: "AdjustTimeoutsFunction" };

const LEARN: FunctionCode = FunctionCode { name: "learn-preflight", parameter: "LearnPreflightCodeKey", output: "LearnPreflightFunction" };
const CHECK: FunctionCode = FunctionCode { name: "run-preflight", parameter: "RunPreflightCodeKey", output: "RunPreflightFunction" };

const GENERATE: FunctionCode = FunctionCode { name: "generate-tests", parameter: "GenerateTestsCodeKey", output: "GenerateTestsFunction" };
const PROVE: FunctionCode = FunctionCode { name: "prove-tests", parameter: "ProveTestsCodeKey", output: "ProveTestsFunction" };

const PLAN: FunctionCode =
    FunctionCode { name: "queue-experiments", parameter: "QueueExperimentsCodeKey", output: "QueueExperimentsFunction" };
const RUN: FunctionCode = FunctionCode { name: "run-experiments", parameter: "RunExperimentsCodeKey", output: "RunExperimentsFunction" };

const ASK: FunctionCode = FunctionCode { name: "ask-approval", parameter: "AskApprovalCodeKey", output: "AskApprovalFunction" };
const VALIDATE: FunctionCode = FunctionCode { name: "check-policy", parameter: "CheckPolicyCodeKey", output: "CheckPolicyFunction" };
const VERIFY: FunctionCode = FunctionCode { name: "verify-outcomes", parameter: "VerifyOutcomesCodeKey", output: "VerifyOutcomesFunction" };

/// The functions of the stack.
pub const FUNCTIONS: [FunctionCode; 19] = [
    TRACK, SYNC, RECORD, COUNT, READ, ASSEMBLE, DETECT, REFRESH, CAPTURE, ADJUST, LEARN, CHECK, GENERATE, PROVE, PLAN, RUN, VERIFY, ASK,
    VALIDATE,
];

/// Running tests against an assistant takes minutes: Lambda's longest.
const PROOF_SECONDS: i32 = 900;

/// Observations are kept this long: what findings, tests and evaluation cases are made of. Counts and findings stay longer.
const OBSERVATION_DAYS: i32 = 30;

/// Nobody may delete the ledger's entries before (save with `s3:BypassGovernanceRetention`).
const LEDGER_DAYS: i32 = 365;

/// The checks file.
const CHECKS: &str = "preflight/checks.toml";

/// Earlier versions of the checks file are kept this long.
const EARLIER_CHECKS_DAYS: i32 = 365;

/// EventBridge: an event pattern has at most 2,048 characters
/// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html>); the rest of the pattern takes about 130.
const BUCKETS_CHARACTERS: usize = 1_900;

/// IAM: the inline policies of a role have at most 10,240 characters
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>).
const ROLE_CHARACTERS: usize = 10_240;

pub(crate) fn synth(policy: &Policy, policy_text: &str, options: &Options) -> Result<Template, String> {
    if policy_text.contains("{{resolve:") {
        return Err("the policy file holds \"{{resolve:\", which CloudFormation would replace; write it another way".to_owned());
    }
    let mut template = Template::new("Flywheel: notices what got worse in a GenAI application, and acts on it within limits");
    let t = &mut template;
    t.parameter("CodeBucket", Parameter::required("Bucket with the functions' code"));
    t.parameter("Architecture", Parameter::one_of("What the functions' binaries were built for", &["x86_64", "arm64"]));

    let alarms = Alarms::new(t);
    let bus = Bus::new(t);
    if options.target.archives() {
        bus.archive(t, 30);
    }
    let store = PolicyStore::new(t, policy_text, &policy.version, VALIDATE.name);
    let knowledge_bases = KnowledgeBases::of(policy);
    let documents = Documents::of(policy);
    let state = Table::new(
        t,
        TableSpec {
            name: "state",
            stack: options.stack.clone(),
            keep: options.target.keeps_data(),
            indexes: vec![table::Index { name: "pending", partition: "pk", sort: "pending_since", sort_kind: "N" }],
        },
    );
    let ledger = Table::new(
        t,
        TableSpec {
            name: "ledger",
            stack: options.stack.clone(),
            keep: options.target.keeps_data(),
            indexes: vec![table::Index { name: "by-subject", partition: "subject", sort: "at", sort_kind: "N" }],
        },
    );

    let kept = if options.target.locks_objects() {
        Bucket::locked(t, "ledger", LEDGER_DAYS, options.target.keeps_data())
    } else {
        Bucket::new(t, "ledger", None, options.target.keeps_data())
    };

    let switch =
        Table::new(t, TableSpec { name: "switch", stack: options.stack.clone(), keep: options.target.keeps_data(), indexes: Vec::new() });

    let answers = Table::new(
        t,
        TableSpec { name: "approvals", stack: options.stack.clone(), keep: options.target.keeps_data(), indexes: Vec::new() },
    );

    let signals =
        Table::new(t, TableSpec { name: "signals", stack: options.stack.clone(), keep: options.target.keeps_data(), indexes: Vec::new() });
    let evidence = Bucket::new(t, "evidence", Some(OBSERVATION_DAYS), options.target.keeps_data());
    let cases =
        Table::new(t, TableSpec { name: "cases", stack: options.stack.clone(), keep: options.target.keeps_data(), indexes: Vec::new() });
    // What expires is taken out of a data set by whoever publishes it: a part is as old as the last change of its cases.
    let datasets = Bucket::new(t, "datasets", None, options.target.keeps_data());
    let releases =
        Table::new(t, TableSpec { name: "releases", stack: options.stack.clone(), keep: options.target.keeps_data(), indexes: Vec::new() });
    let checks = Bucket::versioned(t, "checks", EARLIER_CHECKS_DAYS, options.target.keeps_data());
    if options.target.insists_on_tls() {
        evidence.insist_on_tls(t);
        datasets.insist_on_tls(t);
        checks.insist_on_tls(t);
        kept.insist_on_tls(t);
    }

    let changes = Queue::new(t, &alarms, "changes", 1, 900);
    // A wake may be asked for up to 15 minutes ahead, so half an hour is late.
    let wakes = Queue::new(t, &alarms, "wakes", 0, 1_800);
    let entries = Queue::new(t, &alarms, "ledger", 5, 900);
    let incoming = Queue::new(t, &alarms, "signals", 5, 900);
    // A conversation is put together up to 15 minutes after its last span.
    let conversations = Queue::new(t, &alarms, "conversations", 0, 1_800);
    let looks = Queue::new(t, &alarms, "looks", 0, 900);
    let findings = Queue::new(t, &alarms, "findings", 0, 900);
    let captures = Queue::new(t, &alarms, "captures", 0, 900);
    let runs = Queue::new(t, &alarms, "runs", 5, 900);
    let releasing = Queue::new(t, &alarms, "releases", 5, 900);
    let testing = Queue::new(t, &alarms, "tests", 0, 900);
    let proofs = Queue::worked_on_for(t, &alarms, "proofs", PROOF_SECONDS, 7_200);
    let planning = Queue::new(t, &alarms, "plans", 0, 900);
    let experimenting = Queue::new(t, &alarms, "experiments", 0, 900);
    let verifying = Queue::new(t, &alarms, "outcomes", 0, 1_800);
    let questions = Queue::new(t, &alarms, "approvals", 0, 900);
    let machine = approvals::add(t, &alarms, &questions, &policy.approvals);
    let buckets = policy.buckets();
    let patterns: Vec<_> = in_patterns(&buckets)
        .into_iter()
        .map(|buckets| {
            json!({
                "source": ["aws.s3"],
                "detail-type": ["Object Created", "Object Deleted"],
                "detail": { "bucket": { "name": buckets } }
            })
        })
        .collect();
    let document_rules: Vec<_> = patterns
        .into_iter()
        .enumerate()
        .map(|(place, pattern)| {
            // The first has no number, so that a policy that outgrows one rule leaves it in place.
            let id = if place == 0 { "DocumentChanges".to_owned() } else { format!("DocumentChanges{}", place + 1) };
            Rule::on_default_bus(id, "Documents created and deleted in the buckets of the policy", pattern)
        })
        .collect();
    changes.fed_by(t, &document_rules);
    wakes.fed_by(t, &[Rule::schedule("Sweep", "Looks whether an event was lost", "rate(5 minutes)", Some(json!({ "trigger": "sweep" })))]);
    entries.fed_by(t, &[Rule::on_bus("Everything", "Every event goes to the ledger", &bus, json!({ "source": ["flywheel"] }))]);

    let mut signal_rules = vec![
        Rule::on_default_bus(
            "SignalEvents",
            "Signals that applications put on the default bus",
            json!({ "detail-type": [{ "prefix": "signal." }], "source": [{ "anything-but": { "prefix": "aws." } }] }),
        ),
        Rule::on_default_bus(
            "AlarmChanges",
            "Alarms that change their state",
            json!({ "source": ["aws.cloudwatch"], "detail-type": ["CloudWatch Alarm State Change"] }),
        ),
    ];
    // A workflow may be a state machine of the same name.
    let machines: Vec<_> =
        policy.timeouts.iter().map(|timeout| json!({ "suffix": format!(":stateMachine:{}", timeout.workflow) })).collect();
    if !machines.is_empty() {
        signal_rules.push(Rule::on_default_bus(
            "ExecutionEnds",
            "Ends of executions of the state machines whose limit the policy names",
            json!({
                "source": ["aws.states"],
                "detail-type": ["Step Functions Execution Status Change"],
                "detail": { "status": ["SUCCEEDED", "FAILED", "TIMED_OUT"], "stateMachineArn": machines }
            }),
        ));
    }
    incoming.fed_by(t, &signal_rules);
    looks.fed_by(t, &[Rule::schedule("Look", "Looks whether a rate moved", "rate(1 minute)", None)]);
    findings.fed_by(
        t,
        &[Rule::on_bus(
            "Findings",
            "Findings, and the ends of synchronisations that findings asked for",
            &bus,
            json!({ "source": ["flywheel"], "detail-type": ["finding.opened", "outcome.refresh"] }),
        )],
    );

    captures.fed_by(
        t,
        &[
            Rule::on_bus(
                "BatchesToCapture",
                "Batches of signals that evaluation cases may come of",
                &bus,
                json!({
                    "source": ["flywheel"],
                    "detail-type": ["signal.batch"],
                    "detail": { "detail": { "kinds": ["retrieval", "conversation"] } }
                }),
            ),
            Rule::schedule("Publish", "Publishes data sets of evaluation cases", "rate(15 minutes)", Some(json!({ "trigger": "publish" }))),
        ],
    );
    runs.fed_by(
        t,
        &[
            Rule::on_bus(
                "WorkflowRuns",
                "Signals that are kept, with runs of workflows among them",
                &bus,
                json!({ "source": ["flywheel"], "detail-type": ["signal.batch"], "detail": { "detail": { "kinds": ["workflow_run"] } } }),
            ),
            Rule::schedule("Review", "Looks at every limit", "rate(5 minutes)", Some(json!({ "trigger": "review" }))),
        ],
    );
    releasing.fed_by(t, &release_rules(policy, &bus));
    testing.fed_by(
        t,
        &[
            Rule::on_bus(
                "Conversations",
                "Batches of signals with conversations, which tests may be made of",
                &bus,
                json!({ "source": ["flywheel"], "detail-type": ["signal.batch"], "detail": { "detail": { "kinds": ["conversation"] } } }),
            ),
            Rule::on_bus(
                "FailingIntents",
                "Findings about conversations that fail",
                &bus,
                json!({
                    "source": ["flywheel"],
                    "detail-type": ["finding.opened", "finding.updated", "finding.closed"],
                    "detail": { "detail": { "metric": ["conversation_failures"] } }
                }),
            ),
            Rule::schedule("Tend", "Makes tests for open findings anew", "rate(15 minutes)", Some(json!({ "trigger": "tend" }))),
        ],
    );
    proofs.fed_by(
        t,
        &[
            Rule::on_bus(
                "SuitesWritten",
                "Suites of tests that were written",
                &bus,
                json!({ "source": ["flywheel"], "detail-type": ["receipt.tests"] }),
            ),
            Rule::schedule("TendProofs", "Looks for tests that wait for a proof", "rate(1 hour)", Some(json!({ "trigger": "tend" }))),
        ],
    );

    planning.fed_by(
        t,
        &[Rule::on_bus(
            "UnresolvedIntents",
            "Findings about conversations that are resolved more rarely",
            &bus,
            json!({ "source": ["flywheel"], "detail-type": ["finding.opened"], "detail": { "detail": { "metric": ["resolution"] } } }),
        )],
    );
    experimenting.fed_by(
        t,
        &[
            Rule::on_bus(
                "Outcomes",
                "Batches of signals with conversations, which may take part in experiments",
                &bus,
                json!({ "source": ["flywheel"], "detail-type": ["signal.batch"], "detail": { "detail": { "kinds": ["conversation"] } } }),
            ),
            Rule::schedule("ReviewExperiments", "Looks at every experiment", "rate(5 minutes)", Some(json!({ "trigger": "review" }))),
            Rule::on_bus(
                "Undos",
                "Promotions that are taken back",
                &bus,
                json!({ "source": ["flywheel"], "detail-type": ["decision.undo"], "detail": { "detail": { "what": ["promotion"] } } }),
            ),
        ],
    );
    verifying.fed_by(
        t,
        &[
            Rule::on_bus(
                "ActionsTaken",
                "Actions that took effect",
                &bus,
                json!({ "source": ["flywheel"], "detail-type": ["outcome.refresh", "receipt.experiment", "decision.preflight"] }),
            ),
            Rule::schedule("GradeActions", "Measures what actions did", "rate(15 minutes)", Some(json!({ "trigger": "review" }))),
        ],
    );
    alarms.tell_of_escalations(t, &bus);

    let mut track = Function::new(TRACK.name, TRACK.parameter, 128);
    track.consume(&changes, Batches { size: 100, at_once: None });
    track.allow(state.items(&[ItemAction::Get, ItemAction::Put, ItemAction::Update]));

    let mut sync = Function::new(SYNC.name, SYNC.parameter, 256);
    sync.consume(&wakes, Batches { size: 10, at_once: Some(2) });
    sync.may_wake_itself();
    sync.allow(state.query());
    sync.allow(state.items(&[ItemAction::Get, ItemAction::Put, ItemAction::Update]));
    sync.allow(knowledge_bases.sync());
    for grant in documents.list() {
        sync.allow(grant);
    }

    let mut count = Function::new(COUNT.name, COUNT.parameter, 512);
    count.consume(&incoming, Batches { size: 100, at_once: None });
    count.allow(signals.items(&[ItemAction::Get, ItemAction::Put, ItemAction::Update]));
    count.allow(evidence.put("observations"));
    count.env("FLYWHEEL_SIGNALS_TABLE", signals.name());
    count.env("FLYWHEEL_EVIDENCE_BUCKET", evidence.name());

    let mut read = Function::new(READ.name, READ.parameter, 256);
    read.take_logs();
    read.allow(signals.items(&[ItemAction::Get, ItemAction::Put]));
    read.allow(incoming.send());
    read.allow(conversations.send());
    read.env("FLYWHEEL_SIGNALS_TABLE", signals.name());
    read.env("FLYWHEEL_SIGNALS_QUEUE_URL", incoming.url());
    read.env("FLYWHEEL_CONVERSATIONS_QUEUE_URL", conversations.url());
    if let Some(bucket) = &policy.signals.invocation_log_bucket {
        read.allow(Grant::new(
            "InvocationLogBodies",
            ["s3:GetObject"],
            vec![crate::cfn::sub(format!("arn:${{AWS::Partition}}:s3:::{bucket}/*"))],
        ));
        read.env("FLYWHEEL_INVOCATION_LOG_BUCKET", Exp::from(bucket.as_str()));
    }

    if let Some(guardrail) = &policy.signals.guardrail {
        for function in [&mut count, &mut read] {
            let arn = format!("arn:${{AWS::Partition}}:bedrock:${{AWS::Region}}:${{AWS::AccountId}}:guardrail/{}", guardrail.id);
            function.allow(Grant::new("ApplyGuardrail", ["bedrock:ApplyGuardrail"], vec![crate::cfn::sub(arn)]));
        }
    }

    let mut assemble = Function::new(ASSEMBLE.name, ASSEMBLE.parameter, 256);
    assemble.consume(&conversations, Batches { size: 10, at_once: None });
    assemble.allow(signals.query());
    assemble.allow(incoming.send());
    assemble.allow(conversations.send());
    assemble.may_wake_itself();
    assemble.env("FLYWHEEL_CONVERSATIONS_QUEUE_URL", conversations.url());
    assemble.env("FLYWHEEL_SIGNALS_TABLE", signals.name());
    assemble.env("FLYWHEEL_SIGNALS_QUEUE_URL", incoming.url());

    let mut detect = Function::new(DETECT.name, DETECT.parameter, 512);
    detect.consume(&looks, Batches { size: 10, at_once: Some(2) });
    detect.allow(signals.query());
    detect.allow(signals.items(&[ItemAction::Get, ItemAction::Put, ItemAction::Update]));
    detect.env("FLYWHEEL_SIGNALS_TABLE", signals.name());

    let mut refresh = Function::new(REFRESH.name, REFRESH.parameter, 256);
    refresh.consume(&findings, Batches { size: 10, at_once: None });
    refresh.allow(state.query());
    refresh.allow(state.items(&[ItemAction::Get, ItemAction::Update]));
    refresh.allow(signals.items(&[ItemAction::Get, ItemAction::Put]));
    refresh.allow(evidence.get("observations"));
    refresh.allow(knowledge_bases.retrieve());
    refresh.env("FLYWHEEL_SIGNALS_TABLE", signals.name());
    refresh.env("FLYWHEEL_EVIDENCE_BUCKET", evidence.name());

    let mut capture = Function::new(CAPTURE.name, CAPTURE.parameter, 512);
    capture.consume(&captures, Batches { size: 5, at_once: Some(5) });
    capture.allow(signals.items(&[ItemAction::Get, ItemAction::GetMany]));
    capture.allow(evidence.get("observations"));
    capture.allow(state.query());
    capture.allow(cases.query());
    capture.allow(cases.items(&[ItemAction::Get, ItemAction::Put, ItemAction::Update, ItemAction::Delete, ItemAction::WriteMany]));
    capture.allow(datasets.get("cases"));
    capture.allow(datasets.put("cases"));
    capture.allow(datasets.delete("cases"));
    capture.allow(datasets.list_all());
    capture.env("FLYWHEEL_SIGNALS_TABLE", signals.name());
    capture.env("FLYWHEEL_EVIDENCE_BUCKET", evidence.name());
    capture.env("FLYWHEEL_STATE_TABLE", state.name());
    capture.env("FLYWHEEL_CASES_TABLE", cases.name());
    capture.env("FLYWHEEL_DATASETS_BUCKET", datasets.name());

    let mut adjust = Function::new(ADJUST.name, ADJUST.parameter, 256);
    adjust.consume(&runs, Batches { size: 10, at_once: Some(2) });
    adjust.allow(signals.query());
    adjust.allow(signals.items(&[ItemAction::Get, ItemAction::GetMany, ItemAction::Put]));
    adjust.allow(evidence.get("observations"));
    for grant in Settings::of(policy).adjust() {
        adjust.allow(grant);
    }
    adjust.env("FLYWHEEL_SIGNALS_TABLE", signals.name());
    adjust.env("FLYWHEEL_EVIDENCE_BUCKET", evidence.name());
    let mut learn = Function::new(LEARN.name, LEARN.parameter, 256);
    learn.consume(&releasing, Batches { size: 100, at_once: Some(2) });
    learn.allow(releases.query());
    learn.allow(releases.items(&[ItemAction::Put]));
    learn.allow(signals.items(&[ItemAction::Get, ItemAction::Put]));
    learn.allow(checks.get_object(CHECKS));
    learn.allow(checks.put_object(CHECKS));
    learn.allow(checks.list_all());
    // Messages have no resource that a grant could name.
    learn.allow(Grant::new("DecodeDenials", ["sts:DecodeAuthorizationMessage"], vec!["*".into()]));
    learn.env("FLYWHEEL_RELEASES_TABLE", releases.name());
    learn.env("FLYWHEEL_SIGNALS_TABLE", signals.name());
    learn.env("FLYWHEEL_CHECKS_BUCKET", checks.name());

    let mut check = Function::new(CHECK.name, CHECK.parameter, 256);
    check.allow(checks.get_object(CHECKS));
    check.allow(checks.list_all());
    let surroundings = Surroundings::of(policy);
    for grant in surroundings.look() {
        check.allow(grant);
    }
    check.allow(surroundings.answer_jobs());
    check.env("FLYWHEEL_CHECKS_BUCKET", checks.name());

    let mut generate = Function::new(GENERATE.name, GENERATE.parameter, 512);
    generate.consume(&testing, Batches { size: 5, at_once: Some(5) });
    generate.allow(signals.query());
    generate.allow(signals.items(&[ItemAction::Get, ItemAction::GetMany, ItemAction::Put, ItemAction::WriteMany]));
    generate.allow(evidence.get("observations"));
    generate.allow(datasets.get("tests"));
    generate.allow(datasets.put("tests"));
    generate.allow(datasets.delete("tests"));
    generate.allow(datasets.list_all());
    if let Some(grant) = Assistants::of(policy).propose() {
        generate.allow(grant);
    }
    generate.env("FLYWHEEL_SIGNALS_TABLE", signals.name());
    generate.env("FLYWHEEL_EVIDENCE_BUCKET", evidence.name());
    generate.env("FLYWHEEL_DATASETS_BUCKET", datasets.name());

    let mut prove = Function::new(PROVE.name, PROVE.parameter, 256);
    prove.may_take(PROOF_SECONDS);
    prove.consume(&proofs, Batches { size: 1, at_once: Some(2) });
    prove.allow(datasets.get("tests"));
    prove.allow(datasets.put("tests"));
    prove.allow(datasets.delete("tests"));
    prove.allow(datasets.list_all());
    for grant in Assistants::of(policy).ask() {
        prove.allow(grant);
    }
    prove.env("FLYWHEEL_DATASETS_BUCKET", datasets.name());

    let mut plan = Function::new(PLAN.name, PLAN.parameter, 256);
    plan.consume(&planning, Batches { size: 5, at_once: Some(2) });
    plan.allow(signals.query());
    plan.allow(signals.items(&[ItemAction::Get, ItemAction::GetMany, ItemAction::Put]));
    plan.allow(evidence.get("observations"));
    plan.allow(datasets.get("prompts"));
    plan.allow(datasets.list_all());
    for grant in Flags::of(policy).read() {
        plan.allow(grant);
    }
    if let Some(grant) = Assistants::of(policy).write() {
        plan.allow(grant);
        plan.allow(datasets.put("prompts"));
    }
    plan.env("FLYWHEEL_SIGNALS_TABLE", signals.name());
    plan.env("FLYWHEEL_EVIDENCE_BUCKET", evidence.name());
    plan.env("FLYWHEEL_DATASETS_BUCKET", datasets.name());

    let mut run = Function::new(RUN.name, RUN.parameter, 256);
    run.consume(&experimenting, Batches { size: 5, at_once: Some(2) });
    run.allow(signals.items(&[ItemAction::Get, ItemAction::GetMany, ItemAction::Put]));
    run.allow(evidence.get("observations"));
    run.allow(datasets.get("prompts"));
    run.allow(datasets.list_all());
    for grant in Flags::of(policy).read().into_iter().chain(Flags::of(policy).change()) {
        run.allow(grant);
    }
    run.env("FLYWHEEL_SIGNALS_TABLE", signals.name());
    run.env("FLYWHEEL_EVIDENCE_BUCKET", evidence.name());
    run.env("FLYWHEEL_DATASETS_BUCKET", datasets.name());

    let mut verify = Function::new(VERIFY.name, VERIFY.parameter, 256);
    verify.consume(&verifying, Batches { size: 10, at_once: Some(2) });
    verify.allow(signals.query());
    verify.allow(signals.items(&[ItemAction::Get, ItemAction::Put, ItemAction::Update, ItemAction::WriteMany]));
    verify.allow(ledger.items(&[ItemAction::GetMany]));
    verify.env("FLYWHEEL_SIGNALS_TABLE", signals.name());
    verify.env("FLYWHEEL_LEDGER_TABLE", ledger.name());
    verify.env("FLYWHEEL_LEDGER_BUCKET", kept.name());
    let mut ask = Function::new(ASK.name, ASK.parameter, 128);
    ask.consume(&questions, Batches { size: 10, at_once: None });
    ask.allow(answers.items(&[ItemAction::Get, ItemAction::Update]));
    for grant in alarms.tell() {
        ask.allow(grant);
    }
    ask.env("FLYWHEEL_NOTICE_TOPIC", alarms.topic());
    ask.env("FLYWHEEL_STACK", reference("AWS::StackName"));

    // Whoever has changes of high risk.
    for function in [&mut adjust, &mut run] {
        function.allow(answers.items(&[ItemAction::Get, ItemAction::Update]));
        function.allow(machine.start());
        function.env("FLYWHEEL_APPROVALS_MACHINE", machine.arn());
    }
    for function in [&mut adjust, &mut run, &mut ask] {
        function.env("FLYWHEEL_APPROVALS_TABLE", answers.name());
    }

    for function in [&mut track, &mut sync, &mut refresh] {
        function.allow(wakes.send());
        function.env("FLYWHEEL_STATE_TABLE", state.name());
        function.env("FLYWHEEL_WAKES_QUEUE_URL", wakes.url());
    }
    for function in [
        &mut track,
        &mut sync,
        &mut count,
        &mut read,
        &mut detect,
        &mut refresh,
        &mut capture,
        &mut adjust,
        &mut learn,
        &mut check,
        &mut generate,
        &mut prove,
        &mut plan,
        &mut run,
        &mut verify,
        &mut ask,
    ] {
        function.allow(bus.put_events());
        function.env("FLYWHEEL_BUS", bus.name());
    }
    for function in [
        &mut track,
        &mut sync,
        &mut count,
        &mut read,
        &mut assemble,
        &mut detect,
        &mut refresh,
        &mut capture,
        &mut adjust,
        &mut learn,
        &mut check,
        &mut generate,
        &mut prove,
        &mut plan,
        &mut run,
        &mut verify,
    ] {
        function.allow(store.read());
        for (name, id) in store.ids() {
            function.env(format!("FLYWHEEL_POLICY_{}", name.to_uppercase()), id);
        }
    }

    // Whoever changes something of the team's, or has it changed.
    for function in [&mut sync, &mut refresh, &mut adjust, &mut learn, &mut generate, &mut plan, &mut run, &mut verify] {
        function.allow(switch.items(&[ItemAction::Get]));
        function.env("FLYWHEEL_SWITCH_TABLE", switch.name());
    }

    let mut record = Function::new(RECORD.name, RECORD.parameter, 128);
    record.consume(&entries, Batches { size: 100, at_once: None });
    record.allow(ledger.items(&[ItemAction::Get, ItemAction::GetMany, ItemAction::Put]));
    record.allow(kept.put("entries"));
    record.env("FLYWHEEL_LEDGER_TABLE", ledger.name());
    record.env("FLYWHEEL_LEDGER_BUCKET", kept.name());

    // It needs no leave: AppConfig hands it all that it looks at.
    let validate = Function::new(VALIDATE.name, VALIDATE.parameter, 128);

    let functions = [
        track, sync, record, count, read, assemble, detect, refresh, capture, adjust, learn, check, generate, prove, plan, run, verify,
        ask, validate,
    ];
    let mut memories = Vec::new();
    for (mut function, code) in functions.into_iter().zip(FUNCTIONS) {
        for (name, value) in &options.environment {
            function.env(name, Exp::from(value.as_str()));
        }
        let added = function.add(t, &alarms);
        if added.role_size > ROLE_CHARACTERS {
            return Err(format!(
                "the policy needs about {} characters of permissions for {}, and IAM allows {ROLE_CHARACTERS}: give buckets the same prefixes, or deploy two stacks",
                added.role_size, code.name
            ));
        }
        t.output(code.output, "Name of the function", &added.name());
        memories.push((code.name, added.memory_mb));
    }
    let queues: Vec<&str> = [
        &changes,
        &wakes,
        &entries,
        &incoming,
        &conversations,
        &looks,
        &findings,
        &captures,
        &runs,
        &releasing,
        &testing,
        &proofs,
        &planning,
        &experimenting,
        &verifying,
        &questions,
    ]
    .map(Queue::name)
    .into();
    let shown = dashboards::Stack {
        functions: memories,
        // Logs run it without a queue.
        dead_letters: queues.iter().chain([&READ.name]).map(|name| dead_letters_name(name)).collect(),
        queues,
        tables: vec!["state", "ledger", "switch", "approvals", "signals", "cases", "releases"],
        alarms: alarms.names(),
    };
    dashboards::add(t, policy, &shown);
    t.output("StateTable", "Table of changes, leases and quotas", &state.name());
    t.output("LedgerTable", "Table of every event that passed over the bus", &ledger.name());
    t.output("SwitchTable", "Table of the switch that stops all actions", &switch.name());
    t.output("ApprovalsTable", "Table of questions to people, and of their answers", &answers.name());
    t.output("ApprovalsMachine", "ARN of the state machine that waits for people", &machine.arn());
    t.output("ApprovalsQueueUrl", "Queue of questions to people", &questions.url());
    t.output("LedgerBucket", "Bucket in which the ledger is kept for good", &kept.name());
    t.output("SignalsTable", "Table of counts, histories and findings", &signals.name());
    t.output("EvidenceBucket", "Bucket of observations", &evidence.name());
    t.output("CasesTable", "Table of evaluation cases", &cases.name());
    t.output("DatasetsBucket", "Bucket of data sets of evaluation cases, and of suites of tests", &datasets.name());
    t.output("CapturesQueueUrl", "Queue of batches to capture from", &captures.url());
    t.output("ChecksBucket", "Bucket of the checks file", &checks.name());
    t.output("ReleasesTable", "Table of releases", &releases.name());
    t.output("ReleasesQueueUrl", "Queue that releases are told to", &releasing.url());
    t.output("ReleasesDeadLetterQueueUrl", "News of releases that were given up", &releasing.dead_letters_url());
    t.output("TestsQueueUrl", "Queue of conversations and findings that tests are made of", &testing.url());
    t.output("OutcomesQueueUrl", "Queue of actions that took effect and of reviews of them", &verifying.url());
    t.output("ExperimentsQueueUrl", "Queue of outcomes and reviews of experiments", &experimenting.url());
    t.output("Bus", "Event bus", &bus.name());
    t.output("ChangesQueueUrl", "Queue of document changes", &changes.url());
    t.output("ChangesDeadLetterQueueUrl", "Document changes that were given up", &changes.dead_letters_url());
    t.output("WakesQueueUrl", "Queue of wakes", &wakes.url());
    t.output("WakesDeadLetterQueueUrl", "Wakes that were given up", &wakes.dead_letters_url());
    t.output("LedgerQueueUrl", "Queue of events for the ledger", &entries.url());
    t.output("LedgerDeadLetterQueueUrl", "Events for the ledger that were given up", &entries.dead_letters_url());
    t.output("SignalsQueueUrl", "Queue that applications send signals to", &incoming.url());
    t.output("SignalsDeadLetterQueueUrl", "Signals that were given up", &incoming.dead_letters_url());
    t.output("LooksQueueUrl", "Queue of the times to look for changes at", &looks.url());
    t.output("RunsQueueUrl", "Queue of workflow runs and of reviews of limits", &runs.url());
    t.output("AlarmTopic", "ARN of the topic that alarms go to", &reference("AlarmTopic"));
    for (output, (_, id)) in ["PolicyApplication", "PolicyEnvironment", "PolicyProfile"].into_iter().zip(store.ids()) {
        t.output(output, "AppConfig id", &id);
    }
    Ok(template)
}

/// What tells of releases, and of the checks that were made before them.
fn release_rules<'a>(policy: &Policy, bus: &'a Bus) -> Vec<Rule<'a>> {
    let on_default_bus = |id: &'static str, description, source: &str, kinds: &[&str]| {
        Rule::on_default_bus(id, description, json!({ "source": [source], "detail-type": kinds }))
    };
    let mut rules = vec![
        on_default_bus(
            "StackChanges",
            "Stacks and their resources",
            "aws.cloudformation",
            &["CloudFormation Stack Status Change", "CloudFormation Resource Status Change"],
        ),
        on_default_bus(
            "PipelineChanges",
            "Pipelines and their actions",
            "aws.codepipeline",
            &["CodePipeline Pipeline Execution State Change", "CodePipeline Action Execution State Change"],
        ),
        on_default_bus("DeploymentChanges", "CodeDeploy", "aws.codedeploy", &["CodeDeploy Deployment State-change Notification"]),
        Rule::on_bus(
            "ChecksMade",
            "Checks made before releases",
            bus,
            json!({ "source": ["flywheel"], "detail-type": ["outcome.preflight"] }),
        ),
    ];
    if !policy.preflight.roles.is_empty() {
        rules.push(Rule::on_default_bus(
            "DeniedCalls",
            "Calls of the deploying roles that were denied",
            json!({
                "detail-type": ["AWS API Call via CloudTrail"],
                "detail": {
                    "errorCode": [{ "exists": true }],
                    "userIdentity": { "sessionContext": { "sessionIssuer": { "arn": policy.preflight.roles } } }
                }
            }),
        ));
    }
    rules
}

/// The buckets in as many groups as patterns have to be.
fn in_patterns<'a>(buckets: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut groups = vec![Vec::new()];
    let mut characters = 0;
    for bucket in buckets {
        let more = bucket.len() + 3;
        if characters + more > BUCKETS_CHARACTERS {
            groups.push(Vec::new());
            characters = 0;
        }
        characters += more;
        if let Some(group) = groups.last_mut() {
            group.push(*bucket);
        }
    }
    groups
}
