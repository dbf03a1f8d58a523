//! `flywheel cases`: evaluation cases, as people look at them and decide about them.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use capture_retrievals::{History, publish};
use clap::{Args, Subcommand};
use flywheel_adapters::{CaseTable, S3Datasets, S3Observations, S3Suites, SignalTable, SpanTable};
use flywheel_engine::cases::{Decision, Verdict, cases};
use flywheel_engine::erasure::Whose;
use flywheel_exports::{Export, Format, Options, export};
use flywheel_model::{Case, CaseState, Decided, Key, ReferenceOrigin};
use flywheel_ports::{CaseStore, Salt, ShelfState, Suites};
use flywheel_redaction::Redactor;
use jiff::Timestamp;
use serde::Serialize;

use crate::output::{Output, asked};
use crate::site::Site;

/// Characters of a question that a table shows.
const SHOWN: usize = 70;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The cases, those that failed most often first
    List(List),
    /// All that is known of a case
    Show {
        /// Its id, or the first characters of it
        case: String,
    },
    /// Says that a case is worth keeping
    Confirm {
        #[command(flatten)]
        decision: Deciding,
        /// What the answer should be
        #[arg(long)]
        reference: Option<String>,
    },
    /// Says that it is no case
    Reject {
        #[command(flatten)]
        decision: Deciding,
    },
    /// Says that a case is no longer needed
    Retire {
        #[command(flatten)]
        decision: Deciding,
    },
    /// Writes cases in the form that an evaluation tool reads
    Export {
        /// bedrock-retrieve, bedrock-generate, bedrock-byoi-retrieve, bedrock-byoi-generate, promptfoo, ragas or csv
        #[arg(long)]
        format: Format,
        /// The folder to write into
        #[arg(long, default_value = ".")]
        out: PathBuf,
        /// Only those of this knowledge base
        #[arg(long)]
        knowledge_base: Option<String>,
        /// Candidates as well as confirmed cases
        #[arg(long)]
        candidates: bool,
    },
    /// Erases everything that came from one conversation or one user
    Erase(Erase),
}

#[derive(Args)]
pub(crate) struct List {
    /// Only those of this knowledge base
    #[arg(long)]
    knowledge_base: Option<String>,
    /// Only those in this state: candidate, confirmed, rejected or retired
    #[arg(long, value_parser = ["candidate", "confirmed", "rejected", "retired"])]
    state: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    most: usize,
}

#[derive(Args)]
pub(crate) struct Deciding {
    /// The case's id, or the first characters of it
    case: String,
    /// Who decides
    #[arg(long, env = "USER")]
    by: String,
    /// Why
    #[arg(long)]
    why: Option<String>,
}

#[derive(Args)]
#[group(skip)]
pub(crate) struct Erase {
    /// The conversation, by the name that the application gave it
    #[arg(long, required_unless_present = "user", conflicts_with = "user")]
    conversation: Option<String>,
    /// The user, by the name that the application gave them
    #[arg(long)]
    user: Option<String>,
    /// Does not ask
    #[arg(long)]
    yes: bool,
}

/// The cases of a deployed Flywheel.
pub(crate) struct Cases<'s> {
    site: &'s Site,
    output: &'s Output,
    table: CaseTable,
    datasets: S3Datasets,
}

impl<'s> Cases<'s> {
    pub(crate) fn new(site: &'s Site, output: &'s Output) -> Result<Self> {
        let table = CaseTable::new(&site.sdk, site.output("CasesTable")?.to_owned());
        let datasets = S3Datasets::new(&site.sdk, site.output("DatasetsBucket")?.to_owned());
        Ok(Self { site, output, table, datasets })
    }

    pub(crate) async fn run(&self, command: Command) -> Result<()> {
        match command {
            Command::List(which) => self.list(&which).await,
            Command::Show { case } => self.show(&case).await,
            Command::Confirm { decision, reference } => self.decide(decision, Verdict::Confirmed, reference).await,
            Command::Reject { decision } => self.decide(decision, Verdict::Rejected, None).await,
            Command::Retire { decision } => self.decide(decision, Verdict::Retired, None).await,
            Command::Export { format, out, knowledge_base, candidates } => {
                self.export(format, out, knowledge_base.as_deref(), candidates).await
            }
            Command::Erase(whose) => self.erase(whose).await,
        }
    }

    /// All cases, those that failed most often first.
    async fn all(&self, knowledge_base: Option<&str>) -> Result<Vec<Case>> {
        let mut all = Vec::new();
        for ShelfState { knowledge_base: of, .. } in self.table.shelves().await? {
            if knowledge_base.is_none_or(|wanted| wanted == of.as_str()) {
                all.extend(cases(&of, &self.table.shelf(&of).await?));
            }
        }
        all.sort_by(|one, other| (other.times, &one.case).cmp(&(one.times, &other.case)));
        Ok(all)
    }

    async fn one(&self, id: &str) -> Result<Case> {
        let mut found = self.all(None).await?;
        found.retain(|case| case.case.as_str().starts_with(id));
        match found.len() {
            0 => bail!("there is no case {id}\nnext: `flywheel cases list` shows those there are"),
            1 => Ok(found.remove(0)),
            several => bail!("{several} cases begin with {id}\nnext: write more of the id"),
        }
    }

    async fn list(&self, which: &List) -> Result<()> {
        let mut listed = self.all(which.knowledge_base.as_deref()).await?;
        listed.retain(|case| which.state.as_deref().is_none_or(|state| state == case.state.word()));
        let all = listed.len();
        listed.truncate(which.most);
        let columns = ["CASE", "STATE", "TIMES", "LAST SEEN", "KNOWLEDGE BASE", "BECAUSE", "REFERENCE", "QUESTION"];
        let rows = listed.iter().map(|case| {
            let because: Vec<String> = case.reasons.iter().map(|reason| format!("{} {:.2}", reason.reason, reason.strength)).collect();
            vec![
                case.case.as_str()[..8].to_owned(),
                case.state.word().to_owned(),
                case.times.to_string(),
                case.last_seen.strftime("%Y-%m-%d %H:%M").to_string(),
                case.knowledge_base.to_string(),
                because.join(", "),
                case.reference.as_ref().map_or("needs one", |reference| origin(reference.from)).to_owned(),
                shortened(&case.query),
            ]
        });
        self.output.list(&columns, &listed, rows)?;
        if all > listed.len() {
            self.output.hint(&format!("{} more: --most {all}", all - listed.len()));
        } else if all == 0 {
            self.output.hint("no cases: none was captured yet, or none is as you asked for");
        }
        Ok(())
    }

    async fn show(&self, id: &str) -> Result<()> {
        let case = self.one(id).await?;
        self.output.show(&case, &told(&case))
    }

    async fn decide(&self, deciding: Deciding, verdict: Verdict, reference: Option<String>) -> Result<()> {
        let Deciding { case, by, why } = deciding;
        let case = self.one(&case).await?;
        // A person's words may name a person as well.
        let redactor = self.redactor().await?;
        let redacted = |text: String| redactor.redact(&text).into_owned();
        let decided = Decided { by, at: Timestamp::now(), why: why.map(redacted) };
        let decision = Decision { question: case.case.clone(), verdict, decided, reference: reference.map(redacted) };
        self.table.keep_decision(&case.knowledge_base, &decision).await?;
        self.publish(Some(&case.knowledge_base), History::Kept).await?;
        self.show(case.case.as_str()).await
    }

    async fn export(&self, format: Format, out: PathBuf, knowledge_base: Option<&str>, candidates: bool) -> Result<()> {
        #[derive(Serialize)]
        struct Exported {
            files: Vec<PathBuf>,
            exported: usize,
            left_out: Vec<(String, usize)>,
        }
        let cases = self.all(knowledge_base).await?;
        let policy = self.site.policy().await?;
        let Export { files, exported, left_out } = export(&cases, format, &Options { candidates, no_answer: &policy.failures.no_answer });
        std::fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
        let mut written = Vec::new();
        for file in files {
            let path = out.join(&file.name);
            std::fs::write(&path, &file.bytes).with_context(|| format!("cannot write {}", path.display()))?;
            written.push(path);
        }
        let left_out: Vec<(String, usize)> = left_out.into_iter().map(|(why, cases)| (why.to_string(), cases.len())).collect();
        let mut words = format!("{exported} of {} cases exported", cases.len());
        for (why, count) in &left_out {
            let _ = write!(words, "\n  left out: {count}, {why}");
        }
        for path in &written {
            let _ = write!(words, "\n{}", path.display());
        }
        if exported == 0 {
            words.push_str("\nnext: `flywheel cases confirm ID --reference \"…\"`, or --candidates for those that nobody looked at");
        }
        self.output.show(&Exported { files: written, exported, left_out }, &words)
    }

    async fn erase(&self, Erase { conversation, user, yes }: Erase) -> Result<()> {
        #[derive(Serialize)]
        struct Erased {
            observations: usize,
            sightings_and_inquiries: usize,
            span_rows: usize,
            suites: usize,
        }
        let redactor = self.redactor().await?;
        let kept_as = |name: &str| Key::try_from(redactor.redact_id(name).as_ref()).context("that is no name of a conversation");
        let whose = match (&conversation, &user) {
            (Some(name), _) => Whose::Conversation(kept_as(name)?),
            (None, user) => Whose::User(Key::try_from(redactor.user(user.as_deref().unwrap_or_default()))?),
        };
        if !yes && !asked("Erase all that came from it, for good?")? {
            bail!("nothing was erased\nnext: answer yes, or pass --yes");
        }
        let signals = SignalTable::new(&self.site.sdk, self.site.output("SignalsTable")?.to_owned());
        let evidence = S3Observations::new(&self.site.sdk, self.site.output("EvidenceBucket")?.to_owned(), signals);
        // The evidence first: what is made anew meanwhile is made without it.
        let observations = evidence.erase(&whose, |read| self.output.progress(&format!("{read} objects of evidence read"))).await?;
        let span_rows = match &whose {
            Whose::Conversation(name) => {
                SpanTable::new(&self.site.sdk, self.site.output("SignalsTable")?.to_owned()).erase(name.as_str()).await?
            }
            Whose::User(_) => 0,
        };
        let rows = self.table.erase(&whose).await?;
        self.publish(None, History::Erased).await?;
        let suites = self.erase_from_suites(&whose).await?;
        let erased = Erased { observations, sightings_and_inquiries: rows, span_rows, suites };
        let mut words = format!(
            "erased: {observations} observations, {rows} rows of cases and conversations, {span_rows} rows of spans, from {suites} suites of \
             tests; data sets and suites stand without them, and without their earlier versions"
        );
        if user.is_some() {
            words.push_str("\nSpans carry no user; those of the last two days expire by themselves.");
        }
        words.push_str("\nCounts, and the ledger's ids, stay: they hold no words of anybody.");
        self.output.show(&erased, &words)
    }

    /// Erases what is theirs from the suites of tests, and says from how many that was.
    async fn erase_from_suites(&self, whose: &Whose) -> Result<usize> {
        let suites = S3Suites::new(&self.site.sdk, self.site.output("DatasetsBucket")?.to_owned());
        let mut erased = 0;
        for intent in suites.intents().await? {
            let Some((suite, tag)) = suites.suite(&intent).await? else { continue };
            if let Some(without) = whose.out_of_suite(&suite) {
                if suites.put_suite(&without, Some(&tag), Timestamp::now()).await?.is_none() {
                    bail!("the suite of {intent} was written meanwhile\nnext: erase again, which goes on");
                }
                erased += 1;
            }
            // A version before may have had it, whoever took it out.
            suites.forget_earlier(&intent).await?;
        }
        Ok(erased)
    }

    /// Publishes the data set of one knowledge base, or of all.
    async fn publish(&self, of: Option<&Key>, history: History) -> Result<()> {
        let keep_days = self.site.policy().await?.capture.keep_days;
        for shelf in self.table.shelves().await?.iter().filter(|shelf| of.is_none_or(|of| *of == shelf.knowledge_base)) {
            publish(&self.table, &self.datasets, shelf, history, keep_days, Timestamp::now()).await?;
        }
        Ok(())
    }

    async fn redactor(&self) -> Result<Redactor> {
        let signals = SignalTable::new(&self.site.sdk, self.site.output("SignalsTable")?.to_owned());
        Ok(Redactor::new(&signals.salt().await?))
    }
}

/// A case in sentences.
fn told(case: &Case) -> String {
    let mut told = format!("Case {}, {}\n", case.case, case.state.word());
    if let CaseState::Confirmed(decided) | CaseState::Rejected(decided) | CaseState::Retired(decided) = &case.state {
        let why = decided.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        let _ = writeln!(told, "  by {} on {}{why}", decided.by, decided.at.strftime("%Y-%m-%d %H:%M UTC"));
    }
    let topic = case.topic.as_ref().map_or_else(String::new, |topic| format!(", topic {topic}"));
    let _ = writeln!(told, "Knowledge base {}{topic}", case.knowledge_base);
    let _ = writeln!(told, "Asked and failed {} times, from {} to {}", case.times, case.first_seen, case.last_seen);
    if let Some(at) = case.synchronised_at {
        let _ = writeln!(told, "The knowledge base was last synchronised at {at} before that");
    }
    let _ = writeln!(told, "\nQuestion\n  {}", case.query);
    for variant in case.variants.iter().skip(1) {
        let _ = writeln!(told, "  also, {} times: {}", variant.times, variant.query);
    }
    if !case.context.is_empty() {
        told.push_str("\nBefore, in the same conversation\n");
        for turn in &case.context {
            let _ = writeln!(told, "  user: {}", turn.query);
            let _ = writeln!(told, "  assistant: {}", turn.answer.as_deref().unwrap_or("(not known)"));
        }
    }
    told.push_str("\nBecause\n");
    for reason in &case.reasons {
        let _ = writeln!(told, "  {} ({:.2}): {}", reason.reason, reason.strength, reason.detail);
    }
    told.push_str("\nFound\n");
    for passage in &case.passages {
        let score = passage.score.map_or_else(|| "-".to_owned(), |score| format!("{score:.4}"));
        let _ = writeln!(told, "  {score}  {}", passage.location.as_deref().unwrap_or("(no location)"));
        if let Some(text) = &passage.text {
            let _ = writeln!(told, "          {}", shortened(text));
        }
    }
    if case.passages.is_empty() {
        told.push_str("  nothing\n");
    }
    let _ = writeln!(told, "\nAnswered\n  {}", case.answer.as_deref().unwrap_or("(not known)"));
    match &case.reference {
        Some(reference) => drop(writeln!(told, "\nReference ({})\n  {}", origin(reference.from), reference.text)),
        None => told.push_str("\nReference\n  needs one: flywheel cases confirm ID --reference \"…\"\n"),
    }
    told.push_str("\nFrom\n");
    for source in &case.sources {
        let conversation = source.conversation.as_ref().map_or_else(String::new, |name| format!("  conversation {name}"));
        let trace = source.trace.as_ref().map_or_else(String::new, |trace| format!("  trace {trace}"));
        let _ = writeln!(told, "  {}  signal {}{conversation}{trace}", source.at, source.signal);
    }
    told
}

const fn origin(from: ReferenceOrigin) -> &'static str {
    match from {
        ReferenceOrigin::Reviewer => "reviewer",
        ReferenceOrigin::Person => "a person's answer",
        ReferenceOrigin::Feedback => "feedback",
    }
}

fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.char_indices().nth(SHOWN).map_or_else(|| line.clone(), |(end, _)| format!("{}…", &line[..end]))
}
