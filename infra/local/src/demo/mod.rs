//! The demo: the whole loop at work on real files, on this machine.

mod ask;
mod audit;
mod cases;
mod documents;
mod experiments;
mod launch;
mod ledger;
mod policy;
pub mod releases;
mod summary;
mod tables;
mod tests;
mod timeouts;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use aws_sdk_s3::primitives::ByteStream;
use flywheel_deploy::Deployed;
use flywheel_model::DataSourceId;
use jiff::SignedDuration;
use tokio::task::JoinSet;

use crate::terminal::{Terminal, seconds};
use crate::{Config, LocalAws, Quotas, Shop, Speed};
use ask::{Asker, best};
use audit::{Audit, Snapshot};
use documents::{Document, Documents, SOURCES};
use summary::Summary;

const BUCKET: &str = "flywheel-demo-documents";

/// The picture of the slow workflow's runs.
const CURVE: &str = "timeouts.svg";

/// The page of the day.
const REPORT: &str = "report.html";

/// Uploads under way at once.
const BURST: usize = 16;

/// A word that no document has, so that only the edit can answer for it.
const EDIT_WORD: &str = "quillwort";

/// Nothing moved for this long: what is not done by now will not be.
const STUCK_AFTER: Duration = Duration::from_secs(45);

/// What a demo is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of documents.
    pub documents: PathBuf,
    /// Where `summary.json` and the logs go.
    pub output: PathBuf,
    /// The folder with the functions' binaries; beside this program if not set.
    pub functions: Option<PathBuf>,
}

/// Runs the demo. Whether everything that changed was accounted for.
///
/// # Errors
/// If the folder has no documents, or something does not start.
pub async fn run(options: &Options, terminal: &mut Terminal) -> Result<bool> {
    let started = Instant::now();
    let documents = Documents::read(&options.documents)?;
    std::fs::create_dir_all(&options.output).with_context(|| format!("cannot create {}", options.output.display()))?;
    terminal.title("Flywheel: documents change, knowledge bases follow");
    let mut demo = Demo::set_up(options, documents, terminal).await?;
    demo.summary.seconds_to_start = started.elapsed().as_secs_f64();
    let result = demo.play(terminal).await;
    demo.summary.seconds = started.elapsed().as_secs_f64();
    demo.aws.stop();
    result?;
    demo.summary.write(&options.output.join("summary.json"))?;
    report(&demo.summary, options, terminal);
    Ok(demo.summary.good())
}

struct Demo {
    aws: LocalAws,
    documents: Documents,
    sources: [DataSourceId; SOURCES],
    launch: DataSourceId,
    deployed: Deployed,
    audit: Audit,
    asker: Asker,
    /// The address of the shop's assistant that is in production: the broken one.
    production: String,
    /// Where the shop's feature flags are.
    flags: experiments::Place,
    output: PathBuf,
    summary: Summary,
}

impl Demo {
    async fn set_up(options: &Options, documents: Documents, terminal: &mut Terminal) -> Result<Self> {
        let step = Instant::now();
        terminal.now("starting the local AWS");
        let quotas = Quotas { job_starts_per_second: policy::JOB_STARTS_PER_SECOND, ..Quotas::default() };
        let mut config = Config::new(options.output.clone());
        config.functions = options.functions.clone();
        config.quotas = quotas;
        config.speed =
            Speed { job_overhead: SignedDuration::from_secs(3), direct_latency: SignedDuration::from_secs(1), ..Speed::default() };
        let aws = LocalAws::start(config).await?;
        terminal.done(
            "Local AWS",
            &format!("{}, Bedrock stand-in on {}  ({})", aws.endpoint(), aws.bedrock_endpoint(), seconds(step.elapsed())),
        );
        terminal.detail("Signatures and roles are checked. No call leaves this machine.");

        aws.create_bucket(BUCKET).await?;
        let handbook = aws.create_knowledge_base("handbook")?;
        let catalogue = aws.create_knowledge_base("catalogue")?;
        let mut sources = Vec::new();
        for (place, prefix) in documents.prefixes.iter().enumerate() {
            let knowledge_base = if place + 1 < SOURCES { &handbook } else { &catalogue };
            sources.push(aws.create_data_source(knowledge_base, prefix.trim_end_matches('/'), BUCKET, prefix)?);
        }
        let sources: [DataSourceId; SOURCES] = sources.try_into().map_err(|_| anyhow!("not {SOURCES} data sources"))?;
        terminal.done("Knowledge bases", "2, with 3 data sources on one bucket; two of them share one and take turns");
        for (place, files) in documents.per_source().into_iter().enumerate() {
            terminal.detail(&format!("{}  s3://{BUCKET}/{}  {files} documents", sources[place], documents.prefixes[place]));
        }
        for file in &documents.left_out {
            terminal.warn(&format!("left out: {file}"));
        }

        aws.create_bucket(launch::BUCKET).await?;
        timeouts::create(&aws).await?;
        let launch = launch::create(&aws)?;
        let step = Instant::now();
        let read: Vec<(DataSourceId, &str)> = sources.iter().cloned().zip(documents.prefixes.iter().map(String::as_str)).collect();
        // It is served until this process ends.
        let (address, _) = Shop::BROKEN.serve().await?;
        let production = format!("http://{address}/turn");
        let flags = experiments::create(&aws).await?;
        let text = policy::write(BUCKET, &read, &launch, &production, &flags);
        let file = options.output.join("policy.toml");
        std::fs::write(&file, &text).with_context(|| format!("cannot write {}", file.display()))?;
        let deployed = aws.deploy("flywheel", &text, &mut |line| terminal.now(&format!("deploying: {line}"))).await?;
        terminal.done(
            "Stack deployed",
            &format!("{} functions and all around them  ({})", flywheel_infra::FUNCTIONS.len(), seconds(step.elapsed())),
        );
        terminal.detail(&format!("policy: {}", file.display()));
        terminal.detail(&format!(
            "Time is compressed: {} job starts a second instead of Bedrock's 0.1, jobs of a few seconds instead of minutes.",
            policy::JOB_STARTS_PER_SECOND
        ));
        let audit = Audit::new(&aws, &deployed, BUCKET, sources.to_vec())?;
        let asker = Asker::new(&aws);
        let output = options.output.clone();
        Ok(Self { aws, documents, sources, launch, deployed, audit, asker, production, flags, output, summary: Summary::default() })
    }

    async fn play(&mut self, terminal: &mut Terminal) -> Result<()> {
        let asked = self.documents.to_ask_about().cloned();
        if let Some(document) = &asked {
            self.ask(document, false, terminal).await?;
        }
        let step = Instant::now();
        self.upload(terminal).await?;
        let uploaded = Instant::now();
        terminal.done("Uploaded in a burst", &format!("{} documents in {}", self.documents.all.len(), seconds(step.elapsed())));
        let snapshot = self.settle("Synchronised", terminal).await?;
        self.summary.seconds_to_consistency = uploaded.elapsed().as_secs_f64();
        for (key, reason) in &snapshot.quarantined {
            terminal.detail(&format!("quarantined: {key}: {reason}"));
        }
        if let Some(document) = &asked {
            self.ask(document, true, terminal).await?;
        }

        let snapshot = if snapshot.settled() { self.change(asked.as_ref(), snapshot, terminal).await? } else { snapshot };
        self.count(&snapshot, terminal).await?;
        let day = launch::Day::new(&self.aws, &self.asker, self.launch.clone(), &self.deployed);
        self.summary.launch = day.play(&self.output, terminal).await?;
        let (timeouts, picture) = timeouts::Day::new(&self.aws, &self.deployed).play(terminal).await?;
        self.summary.timeouts = timeouts;
        let file = self.output.join(CURVE);
        std::fs::write(&file, picture).with_context(|| format!("cannot write {}", file.display()))?;
        self.summary.releases = releases::Pipeline::new(&self.aws, &self.deployed).await?.play(terminal).await?;
        self.summary.tests = tests::Day::new(&self.aws, &self.deployed).play(&self.production, &self.output, terminal).await?;
        let day = experiments::Day::new(&self.aws, &self.deployed, &self.flags);
        self.summary.experiments = day.play(&self.output, terminal).await?;
        let tool = cases::Tool::new(&self.aws)?;
        self.summary.ledger = ledger::verify(&tool, terminal).await?;
        self.summary.replay = ledger::replay(&tool, &self.output.join("policy.toml"), terminal).await?;
        self.summary.loops = ledger::report(&tool, &self.output.join(REPORT), terminal).await?;
        Ok(())
    }

    /// Edits some documents, deletes some, and asks about them.
    async fn change(&mut self, asked: Option<&Document>, snapshot: Snapshot, terminal: &mut Terminal) -> Result<Snapshot> {
        let (edited, deleted) = self.choose(asked, &snapshot);
        if edited.is_empty() && deleted.is_empty() {
            terminal.warn("no more text documents to edit or delete");
            return Ok(snapshot);
        }
        if let Some(document) = deleted.first() {
            self.ask(document, true, terminal).await?;
        }
        self.edit(&edited).await?;
        self.delete(&deleted).await?;
        terminal.done("Edited and deleted", &format!("{} edited, {} deleted", edited.len(), deleted.len()));
        let snapshot = self.settle("Synchronised again", terminal).await?;
        if let Some(document) = edited.first() {
            self.ask_for_edit(document, terminal).await?;
        }
        if let Some(document) = deleted.first() {
            self.ask(document, false, terminal).await?;
        }
        Ok(snapshot)
    }

    async fn upload(&mut self, terminal: &mut Terminal) -> Result<()> {
        let mut under_way = JoinSet::new();
        let all = self.documents.all.len();
        for (place, document) in self.documents.all.iter().enumerate() {
            if under_way.len() >= BURST
                && let Some(result) = under_way.join_next().await
            {
                result??;
            }
            under_way.spawn(put(self.aws.s3().clone(), document.key.clone(), document.file.clone(), None));
            terminal.now(&format!("uploading {} of {all}", place + 1));
        }
        while let Some(result) = under_way.join_next().await {
            result??;
        }
        self.summary.documents_changed += all;
        Ok(())
    }

    /// Documents to edit, few enough to be ingested directly, and documents to delete, of another data source where
    /// there is one.
    fn choose(&self, asked: Option<&Document>, snapshot: &Snapshot) -> (Vec<Document>, Vec<Document>) {
        let free = |document: &&Document| {
            document.is_text()
                && document.heading.is_some()
                && asked.is_none_or(|asked| asked.key != document.key)
                && !snapshot.quarantined.contains_key(&document.key)
        };
        let edited: Vec<Document> = self.documents.all.iter().filter(free).take(3).cloned().collect();
        let taken: BTreeSet<&str> = edited.iter().map(|document| document.key.as_str()).collect();
        // A question of one word would show little.
        let telling = |document: &&Document| document.heading.as_ref().is_some_and(|text| text.contains(' '));
        let others = self.documents.all.iter().rev().filter(free).filter(|document| !taken.contains(document.key.as_str()));
        let deleted = others.filter(telling).take(2).cloned().collect();
        (edited, deleted)
    }

    async fn edit(&mut self, documents: &[Document]) -> Result<()> {
        for document in documents {
            let addition = format!("\n\nChange notice {EDIT_WORD}: this paragraph was added to {} while the demo ran.\n", document.key);
            put(self.aws.s3().clone(), document.key.clone(), document.file.clone(), Some(addition)).await?;
        }
        self.summary.documents_changed += documents.len();
        Ok(())
    }

    async fn delete(&mut self, documents: &[Document]) -> Result<()> {
        for document in documents {
            self.aws.s3().delete_object().bucket(BUCKET).key(&document.key).send().await?;
        }
        self.summary.documents_changed += documents.len();
        self.summary.documents_deleted += documents.len();
        Ok(())
    }

    /// Waits until the index agrees with the bucket and nothing is pending, or until nothing moves any more.
    async fn settle(&mut self, what: &str, terminal: &mut Terminal) -> Result<Snapshot> {
        let step = Instant::now();
        let mut moved = Instant::now();
        let mut before = String::new();
        loop {
            let snapshot = self.audit.take(&self.aws).await?;
            if snapshot.settled() {
                terminal.done(
                    what,
                    &format!(
                        "{} documents indexed, {} quarantined  ({})",
                        snapshot.indexed,
                        snapshot.quarantined.len(),
                        seconds(step.elapsed())
                    ),
                );
                return Ok(snapshot);
            }
            let line = format!("{snapshot}");
            if line != before {
                moved = Instant::now();
            }
            terminal.now(&format!("{line}  {}", seconds(step.elapsed())));
            before = line;
            if moved.elapsed() > STUCK_AFTER {
                terminal.fail(&format!("{what}: nothing moves any more; {before}"));
                for problem in snapshot.lost.iter().take(10) {
                    terminal.detail(problem);
                }
                return Ok(snapshot);
            }
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }

    async fn ask(&mut self, document: &Document, found: bool, terminal: &mut Terminal) -> Result<()> {
        let Some(question) = &document.heading else { return Ok(()) };
        let hits = self.asker.ask(&self.sources[document.source].knowledge_base, question).await?;
        let hit = hits.iter().find(|hit| hit.key == document.key);
        self.grade(hit.is_some() == found);
        let answer = match (hit, best(&hits)) {
            (Some(hit), _) => format!("{} says: {}", hit.key, hit.excerpt(question)),
            (None, Some(other)) => format!("nothing from {}; the nearest is {}", document.key, other.key),
            (None, None) => "no answer".to_owned(),
        };
        show(question, &answer, hit.is_some() == found, terminal);
        Ok(())
    }

    async fn ask_for_edit(&mut self, document: &Document, terminal: &mut Terminal) -> Result<()> {
        let question = format!("What does change notice {EDIT_WORD} say?");
        let hits = self.asker.ask(&self.sources[document.source].knowledge_base, &question).await?;
        let hit = hits.iter().find(|hit| hit.text.contains(EDIT_WORD));
        self.grade(hit.is_some());
        let answer = hit.map_or_else(|| "no answer".to_owned(), |hit| format!("{} says: {}", hit.key, hit.excerpt(EDIT_WORD)));
        show(&question, &answer, hit.is_some(), terminal);
        Ok(())
    }

    fn grade(&mut self, right: bool) {
        self.summary.questions += 1;
        self.summary.questions_right += usize::from(right);
    }

    async fn count(&mut self, snapshot: &Snapshot, terminal: &mut Terminal) -> Result<()> {
        terminal.now("reading the ledger");
        let events = self.audit.events(self.summary.documents_changed).await?;
        let bedrock = self.aws.bedrock_report();
        let summary = &mut self.summary;
        summary.changes_seen = tables::changes_seen(&events);
        summary.holds = tables::holds(&events).into_iter().map(|(word, count)| (word.to_owned(), count)).collect();
        summary.changes_lost = snapshot.lost.len();
        summary.documents_indexed = snapshot.indexed;
        summary.documents_quarantined = snapshot.quarantined.len();
        summary.documents_failed = bedrock.documents_failed;
        summary.ingestion_jobs_started = bedrock.jobs_started;
        summary.direct_ingestions = bedrock.direct_requests;
        summary.conflicts = bedrock.conflicts;
        summary.throttles = bedrock.throttles;
        summary.quota_violations = bedrock.violations;
        Ok(())
    }
}

fn show(question: &str, answer: &str, as_expected: bool, terminal: &mut Terminal) {
    if as_expected {
        terminal.done("Asked", question);
    } else {
        terminal.fail(&format!("Asked: {question}"));
    }
    terminal.detail(&format!("→ {answer}"));
}

async fn put(s3: aws_sdk_s3::Client, key: String, file: PathBuf, addition: Option<String>) -> Result<()> {
    let mut bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    bytes.extend(addition.unwrap_or_default().into_bytes());
    s3.put_object().bucket(BUCKET).key(&key).body(ByteStream::from(bytes)).send().await.with_context(|| format!("cannot upload {key}"))?;
    Ok(())
}

fn report(summary: &Summary, options: &Options, terminal: &mut Terminal) {
    terminal.title("Summary");
    terminal.line(&format!("  {}  the day on one page: open it in a browser", shown(&options.output.join(REPORT))));
    let holds: Vec<String> = summary.holds.iter().map(|(word, count)| format!("{word} {count}")).collect();
    terminal.table(&[
        ("documents changed", summary.documents_changed.to_string()),
        ("changes seen", summary.changes_seen.to_string()),
        ("changes lost", summary.changes_lost.to_string()),
        ("ingestion jobs started", summary.ingestion_jobs_started.to_string()),
        ("direct ingestion requests", summary.direct_ingestions.to_string()),
        ("conflicts / throttles", format!("{} / {}", summary.conflicts, summary.throttles)),
        ("documents indexed", summary.documents_indexed.to_string()),
        ("documents deleted", summary.documents_deleted.to_string()),
        ("failed / quarantined", format!("{} / {}", summary.documents_failed, summary.documents_quarantined)),
        ("questions answered right", format!("{} of {}", summary.questions_right, summary.questions)),
        ("signals sent / counted", format!("{} / {}", summary.launch.signals_sent, summary.launch.signals_counted)),
        ("findings opened / closed", format!("{} / {}", summary.launch.findings_opened, summary.launch.findings_closed)),
        ("failed questions that find something", format!("{} of {}", summary.launch.found_after, summary.launch.questions_asked_again)),
        ("failed retrievals captured", format!("{} of {}", summary.launch.cases.captured, summary.launch.cases.failed_retrievals)),
        ("evaluation cases / confirmed", format!("{} / {}", summary.launch.cases.cases, summary.launch.cases.confirmed)),
        (
            "limit of the slow / stuck workflow",
            format!("{} s → {} s / {} s", summary.timeouts.limit_before, summary.timeouts.limit_after, summary.timeouts.limit_of_stuck),
        ),
        (
            "timeouts of the slow workflow",
            format!("{:.1}% → {:.1}%", 100.0 * summary.timeouts.timeouts_before, 100.0 * summary.timeouts.timeouts_after),
        ),
        ("failed releases that the check stops", format!("{} of {}", summary.releases.caught, summary.releases.failed)),
        ("failed conversations / tests made of them", format!("{} / {}", summary.tests.conversations_failed, summary.tests.tests)),
        ("tests that the broken / mended assistant passes", format!("{} / {}", summary.tests.broken_passes, summary.tests.mended_passes)),
        (
            "users until the harmful prompt was stopped / the better one won",
            format!("{} / {}", summary.experiments.units_until_stopped, summary.experiments.units_until_won),
        ),
        ("entries of the ledger / problems", format!("{} / {}", summary.ledger.entries, summary.ledger.problems.len())),
        ("burst to consistency", format!("{:.1} s", summary.seconds_to_consistency)),
        ("in all", format!("{:.1} s", summary.seconds)),
    ]);
    terminal.line(&format!("  held back: {}", if holds.is_empty() { "never".to_owned() } else { holds.join(", ") }));
    if summary.changes_seen < summary.documents_changed {
        terminal.fail("The ledger does not have a signal for every change: see the log of the function `record`.");
    }
    if !summary.good() {
        terminal.fail("Something was lost or answered wrongly: see above, and the logs beside the summary.");
    }
    terminal.title("Next");
    terminal.line(&format!("  {}  these numbers", shown(&options.output.join("summary.json"))));
    terminal.line(&format!("  {}  what Flywheel watched, and how far it might go", shown(&options.output.join("policy.toml"))));
    terminal.line(&format!("  {}  the day's evaluation cases", shown(&options.output.join("cases"))));
    terminal.line(&format!("  {}  the tests, for promptfoo and pytest", shown(&options.output.join("tests"))));
    terminal.line(&format!("  {}  when the slow workflow's runs end, with the old and the new limit", shown(&options.output.join(CURVE))));
    terminal.line(&format!("  {}  the prompts' rates over time", shown(&options.output.join("experiment-won.svg"))));
    terminal.line("  make demo DOCS=path/to/your/documents   the same with your own");
    terminal.line("  make local                              the local AWS with the stack, to try things by hand");
    terminal.line("  make watch                              the functions, rebuilt as you edit them");
    terminal.line("  make deploy DRY_RUN=1                   what it would create in your AWS account");
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
