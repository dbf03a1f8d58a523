//! `flywheel tests`: the regression tests of each intent, as people look at them, decide about them and run them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};
use flywheel_adapters::{Assistants, BedrockProposer, ConversationTable, EventBridgeBus, S3Observations, S3Suites, SignalTable};
use flywheel_engine::regression::{Gate, Verdict};
use flywheel_exports::{SuiteFormat, export_suite};
use flywheel_model::{Decided, Key, Passing, RegressionTest, Suite, SuiteChange, SuiteChangeKind, TestState};
use flywheel_policy::{Assistant, TestPolicy, TestTarget};
use flywheel_ports::{AssistantUnderTest, Suites};
use generate_tests::World;
use jiff::{SignedDuration, Timestamp};
use prove_tests::rehearse;
use serde::Serialize;

use crate::junit::{Junit, Outcome};
use crate::output::Output;
use crate::site::Site;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The tests, by intent
    List {
        /// Only those of this intent
        #[arg(long)]
        intent: Option<String>,
        /// Only those in this state: proposed, active, flickering or retired
        #[arg(long, value_parser = ["proposed", "active", "flickering", "retired"])]
        state: Option<String>,
    },
    /// All that is known of a test
    Show {
        /// Its id, or the first characters of it
        test: String,
    },
    /// Makes tests of the conversations of an intent that failed
    Generate {
        /// The intent
        #[arg(long)]
        intent: String,
        /// Of those since then: a time, or so many hours ago (`24h`); all that are kept if not given
        #[arg(long, value_parser = since)]
        since: Option<Timestamp>,
    },
    /// Runs a suite against an assistant, and fails if the assistant may not be released
    Run(Run),
    /// Writes a suite in the form that another tool runs
    Export {
        /// The intent
        #[arg(long)]
        intent: String,
        /// What for
        #[arg(long)]
        format: Format,
        /// The folder to write into
        #[arg(long, default_value = ".")]
        out: PathBuf,
        /// Proposed tests as well as active ones
        #[arg(long)]
        proposed: bool,
    },
    /// Says that a test counts
    Activate(Deciding),
    /// Says that a test is no longer needed
    Retire(Deciding),
}

#[derive(Args)]
pub(crate) struct Run {
    /// The intent whose suite is run
    #[arg(long, required_unless_present = "suite")]
    intent: Option<String>,
    /// A suite in a file, as `export --format json` writes it: then no stack is needed, with --endpoint
    #[arg(long, conflicts_with = "intent")]
    suite: Option<PathBuf>,
    /// The target of the policy; the first that serves the intent if not given
    #[arg(long, conflicts_with = "endpoint")]
    target: Option<String>,
    /// The address of an assistant instead
    #[arg(long)]
    endpoint: Option<String>,
    /// Also writes the result as JUnit XML
    #[arg(long)]
    junit: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Deciding {
    /// The test's id, or the first characters of it
    test: String,
    /// Who decides
    #[arg(long, env = "USER")]
    by: String,
    /// Why
    #[arg(long)]
    why: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// `suite.json`; its schema is published
    Json,
    /// A configuration of promptfoo
    Promptfoo,
    /// A file of pytest
    Pytest,
    /// A dataset of Bedrock's model evaluation
    Bedrock,
}

/// A test as it was run.
#[derive(Serialize)]
struct Ran {
    test: String,
    title: String,
    verdict: &'static str,
    passed: u32,
    runs: u32,
    seconds: f64,
    /// What the first failing run fell short of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shortfalls: Vec<String>,
    /// Calls in that run that nothing is recorded for.
    unrecorded: usize,
}

/// A suite as it was run.
#[derive(Serialize)]
struct Report {
    intent: String,
    may_be_released: bool,
    gate: String,
    tests: Vec<Ran>,
}

/// Runs the command.
pub(crate) async fn run(command: Command, stack: String, output: &Output) -> Result<ExitCode> {
    if let Command::Run(run) = command {
        return run.run(stack, output).await;
    }
    let site = Site::connect(stack).await?;
    let tests = Tests { suites: S3Suites::new(&site.sdk, site.output("DatasetsBucket")?.to_owned()), site: &site, output };
    match command {
        Command::List { intent, state } => tests.list(intent.as_deref(), state.as_deref()).await?,
        Command::Show { test } => tests.show(&test).await?,
        Command::Generate { intent, since } => tests.generate(&intent, since).await?,
        Command::Export { intent, format, out, proposed } => tests.export(&intent, format, &out, proposed).await?,
        Command::Activate(deciding) => tests.decide(deciding, SuiteChangeKind::Activated).await?,
        Command::Retire(deciding) => tests.decide(deciding, SuiteChangeKind::Retired).await?,
        Command::Run(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

struct Tests<'s> {
    site: &'s Site,
    output: &'s Output,
    suites: S3Suites,
}

impl Tests<'_> {
    async fn all(&self) -> Result<Vec<(Suite, String)>> {
        let mut all = Vec::new();
        for intent in self.suites.intents().await? {
            all.extend(self.suites.suite(&intent).await?);
        }
        Ok(all)
    }

    /// A test by the first characters of its id, with its suite and the tag of that.
    async fn one(&self, id: &str) -> Result<(RegressionTest, Suite, String)> {
        let mut found = Vec::new();
        for (suite, tag) in self.all().await? {
            let tests = suite.tests.iter().filter(|test| test.test.as_str().starts_with(id));
            found.extend(tests.map(|test| (test.clone(), suite.clone(), tag.clone())).collect::<Vec<_>>());
        }
        match found.len() {
            0 => bail!("there is no test {id}\nnext: `flywheel tests list` shows those there are"),
            1 => Ok(found.remove(0)),
            several => bail!("{several} tests begin with {id}\nnext: write more of the id"),
        }
    }

    async fn list(&self, intent: Option<&str>, state: Option<&str>) -> Result<()> {
        let mut listed: Vec<RegressionTest> = self.all().await?.into_iter().flat_map(|(suite, _)| suite.tests).collect();
        listed.retain(|test| intent.is_none_or(|intent| test.intent.as_str() == intent));
        listed.retain(|test| state.is_none_or(|state| test.state.word() == state));
        listed.sort_by(|one, other| (&one.intent, other.conversations, &one.test).cmp(&(&other.intent, one.conversations, &other.test)));
        let rows = listed.iter().map(|test| {
            let proof = test.proof.runs.as_ref().map_or_else(|| "-".to_owned(), |runs| format!("{} of {} fail", runs.failed, runs.runs));
            let proposed = test.passing.is_some_and(|passing| passing.retirement_proposed);
            vec![
                test.test.as_str()[..8].to_owned(),
                format!("{}{}", test.state.word(), if proposed { ", retire?" } else { "" }),
                test.conversations.to_string(),
                test.answer_from.as_str().to_owned(),
                proof,
                test.title.clone(),
            ]
        });
        self.output.list(&["TEST", "STATE", "FAILED SO", "ANSWER FROM", "PROOF", "GUARDS"], &listed, rows)?;
        if listed.is_empty() {
            self.output.hint("no tests: none was made yet, or none is as you asked for; `flywheel tests generate --intent …` makes some");
        }
        Ok(())
    }

    async fn show(&self, id: &str) -> Result<()> {
        let (test, suite, _) = self.one(id).await?;
        let changes: Vec<&SuiteChange> = suite.changes.iter().filter(|change| change.test == test.test).collect();
        self.output.show(&test, &told(&test, &changes))
    }

    async fn generate(&self, intent: &str, since: Option<Timestamp>) -> Result<()> {
        let (policy, now) = (self.site.policy().await?, Timestamp::now());
        let intent = Key::try_from(intent)?;
        let table = self.site.output("SignalsTable")?.to_owned();
        let signals = SignalTable::new(&self.site.sdk, table.clone());
        let world = World {
            observations: S3Observations::new(&self.site.sdk, self.site.output("EvidenceBucket")?.to_owned(), signals),
            index: ConversationTable::new(&self.site.sdk, table),
            suites: self.suites.clone(),
            bus: EventBridgeBus::new(&self.site.sdk, self.site.output("Bus")?.to_owned()),
            proposer: BedrockProposer::new(&self.site.sdk),
        };
        let report = world.generate(&intent, since.unwrap_or(Timestamp::UNIX_EPOCH), None, &policy, now).await?;
        self.output.hint(&format!(
            "{} failed conversations looked at, {} changes of the suite{}",
            report.failed,
            report.changes,
            if report.held > 0 { "; none could be made, the ledger has the reason" } else { "" }
        ));
        self.list(Some(intent.as_str()), None).await
    }

    async fn export(&self, intent: &str, format: Format, out: &Path, proposed: bool) -> Result<()> {
        let suite = suite_of(&self.suites, intent).await?;
        let files = export_suite(&suite, format.of(), proposed);
        if files.is_empty() {
            bail!("no test of {intent} counts\nnext: `flywheel tests list --intent {intent}`, or --proposed for those that wait");
        }
        std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
        let mut written = Vec::new();
        for file in files {
            let path = out.join(&file.name);
            std::fs::write(&path, &file.bytes).with_context(|| format!("cannot write {}", path.display()))?;
            written.push(path);
        }
        let words: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
        self.output.show(&written, &words.join("\n"))
    }

    async fn decide(&self, Deciding { test, by, why }: Deciding, what: SuiteChangeKind) -> Result<()> {
        let (test, mut suite, tag) = self.one(&test).await?;
        let now = Timestamp::now();
        for own in suite.tests.iter_mut().filter(|own| own.test == test.test) {
            own.state = match what {
                SuiteChangeKind::Retired => TestState::Retired(Decided { by: by.clone(), at: now, why: why.clone() }),
                _ if own.expects.is_empty() => {
                    bail!("nothing in test {} can fail without a judge\nnext: export it to a tool that has one", own.test)
                }
                _ => TestState::Active,
            };
        }
        let told = why.map_or_else(String::new, |why| format!(": {why}"));
        let change =
            SuiteChange { test: test.test.clone(), what, why: format!("{by}{told}"), finding: None, conversations: Vec::new(), at: now };
        suite.changes.insert(0, change);
        suite.changes.truncate(Suite::CHANGES);
        if self.suites.put_suite(&suite, Some(&tag), now).await?.is_none() {
            bail!("somebody else wrote the suite meanwhile\nnext: look at it, and decide again");
        }
        self.show(test.test.as_str()).await
    }
}

impl Format {
    const fn of(self) -> SuiteFormat {
        match self {
            Self::Json => SuiteFormat::Json,
            Self::Promptfoo => SuiteFormat::Promptfoo,
            Self::Pytest => SuiteFormat::Pytest,
            Self::Bedrock => SuiteFormat::Bedrock,
        }
    }
}

impl Run {
    async fn run(self, stack: String, output: &Output) -> Result<ExitCode> {
        // With a file and an address of one's own no stack is asked for.
        if let (Some(path), Some(url)) = (&self.suite, &self.endpoint) {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let suite: Suite = serde_json::from_str(&text).with_context(|| format!("{} is no suite", path.display()))?;
            let sdk = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
            let assistants = Assistants::new(&sdk, String::new());
            let gate = Gate::new(&TestPolicy::default(), gating(&suite));
            return Ok(self.against(&suite, &assistants.of(&endpoint(url)?), gate, output).await?.code());
        }
        let site = Site::connect(stack).await?;
        let (policy, bucket) = (site.policy().await?, site.output("DatasetsBucket")?.to_owned());
        let suite = match (&self.suite, &self.intent) {
            (Some(path), _) => {
                serde_json::from_str(&std::fs::read_to_string(path)?).with_context(|| format!("{} is no suite", path.display()))?
            }
            (None, intent) => suite_of(&S3Suites::new(&site.sdk, bucket.clone()), intent.as_deref().unwrap_or_default()).await?,
        };
        let target = match &self.endpoint {
            Some(url) => endpoint(url)?,
            None => policy.tests.target(&suite.intent, self.target.as_deref()).cloned().ok_or_else(|| {
                anyhow!(
                    "the policy names no assistant for {}\nnext: add a [[tests.target]] table, or name an address with --endpoint",
                    suite.intent
                )
            })?,
        };
        let assistants = Assistants::new(&site.sdk, bucket.clone());
        let report = self.against(&suite, &assistants.of(&target), Gate::new(&policy.tests, gating(&suite)), output).await?;
        if self.suite.is_none() {
            note_passing(&S3Suites::new(&site.sdk, bucket), &suite.intent, &report).await?;
        }
        Ok(report.code())
    }

    async fn against(&self, suite: &Suite, assistant: &impl AssistantUnderTest, gate: Gate, output: &Output) -> Result<Report> {
        let mut ran = Vec::new();
        let tests: Vec<&RegressionTest> = suite.tests.iter().filter(|test| test.gates()).collect();
        for (place, test) in tests.iter().enumerate() {
            let (mut one, mut verdict) = (Ran::of(test), Verdict::Undecided);
            while verdict == Verdict::Undecided {
                output.progress(&format!("test {} of {}, run {}", place + 1, tests.len(), one.runs + 1));
                let run = format!("{}-{}-{}", test.test, Timestamp::now().as_millisecond(), one.runs);
                let rehearsal = rehearse(test, assistant, &run).await.context("the assistant does not answer, so nothing is said of it")?;
                one.runs += 1;
                one.seconds += rehearsal.seconds;
                if rehearsal.shortfalls.is_empty() {
                    one.passed += 1;
                } else if one.shortfalls.is_empty() {
                    (one.shortfalls, one.unrecorded) = (rehearsal.shortfalls, rehearsal.unrecorded);
                }
                verdict = gate.verdict(one.passed, one.runs);
            }
            one.verdict = if verdict == Verdict::Passes { "passes" } else { "fails" };
            ran.push(one);
        }
        output.progress("");
        let may_be_released = ran.iter().all(|one| one.verdict == "passes");
        let report = Report { intent: suite.intent.to_string(), may_be_released, gate: gate.told(tests.len()), tests: ran };
        if let Some(path) = &self.junit {
            std::fs::write(path, report.junit()).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let rows = report.tests.iter().map(|one| {
            vec![
                one.test[..8].to_owned(),
                one.verdict.to_owned(),
                format!("{} of {}", one.passed, one.runs),
                format!("{:.1}", one.seconds),
                one.title.clone(),
                one.shortfalls.join("; "),
            ]
        });
        output.list(&["TEST", "VERDICT", "PASSED", "SECONDS", "GUARDS", "FALLS SHORT"], &report, rows)?;
        output.hint(&report.gate);
        if tests.is_empty() {
            output.hint("no test of this suite counts: nothing was run");
        }
        Ok(report)
    }
}

/// Notes in a suite since when its tests pass: what has passed for long may be retired.
async fn note_passing(suites: &S3Suites, intent: &Key, report: &Report) -> Result<()> {
    let now = Timestamp::now();
    let Some((mut suite, tag)) = suites.suite(intent).await? else { return Ok(()) };
    let before = suite.clone();
    for test in &mut suite.tests {
        match report.tests.iter().find(|ran| ran.test == test.test.as_str()) {
            Some(ran) if ran.verdict == "passes" => drop(test.passing.get_or_insert(Passing { since: now, retirement_proposed: false })),
            Some(_) => test.passing = None,
            None => {}
        }
    }
    if suite != before {
        // If somebody else writes it meanwhile, the next run notes it.
        suites.put_suite(&suite, Some(&tag), now).await?;
    }
    Ok(())
}

impl Ran {
    fn of(test: &RegressionTest) -> Self {
        let (id, title) = (test.test.to_string(), test.title.clone());
        Self { test: id, title, verdict: "", passed: 0, runs: 0, seconds: 0.0, shortfalls: Vec::new(), unrecorded: 0 }
    }
}

impl Report {
    fn code(&self) -> ExitCode {
        if self.may_be_released { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn junit(&self) -> String {
        let mut junit = Junit::new(&format!("tests {}", self.intent));
        for one in &self.tests {
            let told = format!("{} of {} runs passed: {}", one.passed, one.runs, one.shortfalls.join("; "));
            let outcome = if one.verdict == "passes" { Outcome::Passed } else { Outcome::Failed(&told) };
            junit.case(&format!("{} {}", one.test, one.title), &outcome);
        }
        junit.xml()
    }
}

fn gating(suite: &Suite) -> usize {
    suite.tests.iter().filter(|test| test.gates()).count()
}

fn endpoint(url: &str) -> Result<TestTarget> {
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        bail!("{url:?} is no address\nnext: write it as http://host:port/path");
    }
    Ok(TestTarget {
        name: Key::try_from("endpoint")?,
        intents: Vec::new(),
        assistant: Assistant::Endpoint { url: url.to_owned(), secret: None },
    })
}

async fn suite_of(suites: &S3Suites, intent: &str) -> Result<Suite> {
    let intent = Key::try_from(intent)?;
    let found = suites.suite(&intent).await?.map(|(suite, _)| suite);
    found.with_context(|| {
        format!("{intent} has no suite\nnext: `flywheel tests generate --intent {intent}` makes one of failed conversations")
    })
}

/// A time, or so many hours ago.
fn since(text: &str) -> Result<Timestamp, String> {
    if let Some(hours) = text.strip_suffix('h').and_then(|hours| hours.parse::<u32>().ok()) {
        return Ok(Timestamp::now() - SignedDuration::from_hours(i64::from(hours)));
    }
    text.parse().map_err(|_| format!("{text:?} is no time; write 2026-11-26T08:00:00Z, or 24h for a day ago"))
}

/// A test in sentences.
fn told(test: &RegressionTest, changes: &[&SuiteChange]) -> String {
    let mut told = format!("Test {}, {}\n{}\n", test.test, test.state.word(), test.title);
    let _ =
        writeln!(told, "It stands for {} conversations; the right answer is known from: {}", test.conversations, test.answer_from.as_str());
    for share in &test.shares {
        let _ = writeln!(told, "  {share}");
    }
    if let Some(located) = &test.located {
        let _ = writeln!(told, "\nIt went wrong in turn {}", located.turn);
        for clue in &located.by {
            let _ = writeln!(told, "  {}: {}", clue.kind, clue.detail);
        }
    }
    told.push_str("\nThe user says\n");
    for said in &test.says {
        let _ = writeln!(told, "  {said}");
    }
    if !test.fixtures.is_empty() {
        told.push_str("\nTools answer\n");
        for fixture in &test.fixtures {
            let _ = writeln!(told, "  {}({}) → {}", fixture.tool, fixture.arguments, fixture.result.as_deref().unwrap_or("(nothing)"));
        }
    }
    told.push_str("\nExpected\n");
    for call in &test.expects.calls {
        let _ = writeln!(told, "  a call of {} with {}", call.tool, arguments(&call.arguments));
    }
    for call in &test.expects.no_calls {
        let _ = writeln!(told, "  no call of {} with {}", call.tool, arguments(&call.arguments));
    }
    if !test.expects.nothing_else_by.is_empty() {
        let _ = writeln!(told, "  no other call that succeeds of {}", test.expects.nothing_else_by.join(", "));
    }
    for alternatives in &test.expects.says {
        let _ = writeln!(told, "  it says {}", alternatives.join(" or "));
    }
    for never in &test.expects.never_says {
        let _ = writeln!(told, "  it does not say {never}");
    }
    for question in test.rubric.iter().flat_map(|rubric| &rubric.questions) {
        let _ = writeln!(told, "  a judge says yes to: {question}");
    }
    told.push_str("\nProof\n");
    for shortfall in &test.proof.fails_recorded {
        let _ = writeln!(told, "  the recorded conversation fails: {shortfall}");
    }
    if let Some(passes) = test.proof.passes_good {
        let _ = writeln!(told, "  what is known to be good {}", if passes { "passes" } else { "does not pass" });
    }
    if let Some(runs) = &test.proof.runs {
        let _ = writeln!(told, "  {} of {} runs against {} failed, {}", runs.failed, runs.runs, runs.target, runs.at);
    }
    if let Some(passing) = test.passing {
        let proposed = if passing.retirement_proposed { "; retiring it is proposed" } else { "" };
        let _ = writeln!(told, "  it has passed each run since {}{proposed}", passing.since);
    }
    told.push_str("\nFrom\n");
    for source in &test.sources {
        let _ = writeln!(told, "  {}  conversation {}  signal {}", source.at, source.conversation, source.signal);
    }
    told.push_str("\nHistory\n");
    for change in changes {
        let finding = change.finding.as_ref().map_or_else(String::new, |finding| format!("  finding {finding}"));
        let _ = writeln!(told, "  {}  {:?}: {}{finding}", change.at, change.what, change.why);
    }
    told
}

fn arguments(arguments: &BTreeMap<String, serde_json::Value>) -> String {
    if arguments.is_empty() {
        return "any arguments".to_owned();
    }
    let told = arguments.iter().map(|(name, value)| if value.is_null() { format!("any {name}") } else { format!("{name} {value}") });
    told.collect::<Vec<_>>().join(", ")
}
