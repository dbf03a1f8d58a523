//! `flywheel init`: a first policy, from what stands in the account and the answers to a few questions. It only looks.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use flywheel_policy::{Policy, is_bucket_name, is_prefix};
use jiff::Timestamp;
use serde::Serialize;
use toml_edit::Value;

use crate::discovery::{Discovered, Kind, KnowledgeBase, Source, discover};
use crate::output::{Output, answered, is_asked};
use crate::policy::told_parts;
use crate::site;

/// Names of a kind that a question or a comment shows.
const SHOWN: usize = 20;

/// The longest that Lambda lets a function run.
const LONGEST_SECONDS: u32 = 900;

/// What stands in the file where no knowledge base was found.
const PLACEHOLDER: [&str; 3] = ["KBEXAMPLE0", "DSEXAMPLE0", "example-bucket"];

#[derive(Args)]
pub(crate) struct Init {
    /// The file to write
    #[arg(default_value = "policy.toml")]
    file: PathBuf,
    /// Takes the default of each question
    #[arg(long)]
    yes: bool,
    /// Writes over a file that is there
    #[arg(long)]
    force: bool,
}

/// What the team says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Answers {
    /// The ids of the knowledge bases that Flywheel keeps fresh.
    knowledge_bases: Vec<String>,
    /// What users ask about.
    topics: Vec<String>,
    /// What users want.
    intents: Vec<String>,
    /// The functions whose limits Flywheel may move.
    functions: Vec<String>,
}

/// The policy that was written.
#[derive(Serialize)]
struct Written {
    file: PathBuf,
    version: String,
    discovered: Discovered,
}

impl Init {
    pub(crate) async fn run(self, stack: String, output: &Output) -> Result<()> {
        // Nobody is asked for nothing.
        self.refuse_what_is_there()?;
        let discovered = discover(&site::sdk().await?, &stack).await;
        for refused in &discovered.refused {
            output.hint(&format!("passed over: {refused}"));
        }
        let answers = if self.yes || !is_asked() { Answers::default_of(&discovered) } else { Answers::ask(&discovered)? };
        let text = first_policy(&answers, &discovered, Timestamp::now());
        let policy =
            Policy::parse(&text).map_err(|problems| anyhow!("the answers make no valid policy:\n{problems}\nnext: answer otherwise"))?;
        let mut file = std::fs::OpenOptions::new();
        let file = if self.force { file.write(true).create(true).truncate(true) } else { file.write(true).create_new(true) };
        file.open(&self.file)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", self.file.display()))?;
        let words = told(&policy, &self.file.display().to_string(), &discovered);
        output.show(&Written { file: self.file, version: policy.version, discovered }, &words)
    }

    fn refuse_what_is_there(&self) -> Result<()> {
        if !self.force && self.file.exists() {
            return Err(anyhow!("{} is there already\nnext: name another file, or write over it with --force", self.file.display()));
        }
        Ok(())
    }
}

impl Answers {
    /// All knowledge bases, and no limit is moved.
    fn default_of(discovered: &Discovered) -> Self {
        Self { knowledge_bases: discovered.knowledge_bases.iter().map(|base| base.id.clone()).collect(), ..Self::default() }
    }

    fn ask(discovered: &Discovered) -> Result<Self> {
        let mut answers = Self::default_of(discovered);
        if !discovered.knowledge_bases.is_empty() {
            let named = discovered.knowledge_bases.iter().map(|base| format!("{} ({})", base.id, base.name));
            let question = format!("Knowledge bases to keep fresh, of {}", shown(named));
            answers.knowledge_bases = listed(&answered(&question, &answers.knowledge_bases.join(", "))?);
        }
        answers.topics = listed(&answered("Topics that users ask about (launch, billing …), comma between", "")?);
        answers.intents = listed(&answered("What users want of the assistant (refund, cancel …), comma between", "")?);
        if !discovered.functions.is_empty() {
            let named = discovered.functions.iter().map(|function| format!("{} ({} s)", function.name, function.timeout_seconds));
            let question = format!("Lambda functions whose timeout may be moved, of {}", shown(named));
            answers.functions = listed(&answered(&question, "")?);
        }
        Ok(answers)
    }
}

/// Names as they were typed, each once.
fn listed(answer: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in answer.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Some of the names, and how many more there are.
fn shown(names: impl ExactSizeIterator<Item = String>) -> String {
    let all = names.len();
    let some = names.take(SHOWN).collect::<Vec<_>>().join(", ");
    if all > SHOWN { format!("{some} and {} more", all - SHOWN) } else { some }
}

/// The first policy: valid whatever was found, and in dry run.
fn first_policy(answers: &Answers, discovered: &Discovered, now: Timestamp) -> String {
    let mut file = format!(
        "# What Flywheel watches, and how far it may go. Written by `flywheel init` on {} from what stands in the account: read it,\n\
         # and take out what is not meant. What is not said has its default; infra/policy.toml shows every field with its meaning.\n\n\
         # Everything is decided and recorded, and nothing that changes AWS is called. When the decisions are right: \"act\".\n\
         mode = \"dry_run\"\n",
        now.strftime("%Y-%m-%d")
    );
    let bases: Vec<&KnowledgeBase> =
        discovered.knowledge_bases.iter().filter(|base| answers.knowledge_bases.contains(&base.id) && !base.sources.is_empty()).collect();
    for base in &bases {
        for source in &base.sources {
            file += &data_source(base, source);
        }
    }
    if bases.is_empty() {
        let [knowledge_base, data_source, bucket] = PLACEHOLDER;
        let _ = write!(
            file,
            "\n# No data source was found, and a policy needs one. These names stand for yours: put in the ids that Bedrock gave them.\n\
             [[data_source]]\nknowledge_base = \"{knowledge_base}\"\ndata_source = \"{data_source}\"\nbucket = \"{bucket}\"\n"
        );
    }
    file += &topics(&answers.topics, &bases);
    file += &intents(&answers.intents);
    for function in &answers.functions {
        file += &limit(function, discovered);
    }
    file + &to_look_at(answers, discovered)
}

/// Topics by their own names, served by all knowledge bases.
fn topics(names: &[String], bases: &[&KnowledgeBase]) -> String {
    let mut tables = String::new();
    if !names.is_empty() {
        tables += "\n# Retrievals that name no topic get one by its words. Where its responses fail, its knowledge bases are made fresh.\n";
    }
    let ids: toml_edit::Array = bases.iter().map(|base| base.id.as_str()).collect();
    let served = if bases.is_empty() { String::new() } else { format!("knowledge_bases = {ids}\n") };
    for name in names.iter().map(|name| quoted(name)) {
        let _ = write!(tables, "[[topic]]\nname = {name}\nwords = [{name}]\n{served}");
    }
    tables
}

/// Intents by their own names.
fn intents(names: &[String]) -> String {
    let mut tables = String::new();
    if !names.is_empty() {
        tables += "\n# Conversations that name no intent get one by its words, or by a tool that was called: tools = [\"…\"].\n";
    }
    for name in names.iter().map(|name| quoted(name)) {
        let _ = write!(tables, "[[intent]]\nname = {name}\nwords = [{name}]\n");
    }
    tables
}

/// A data source, watched if its changes can be seen.
fn data_source(base: &KnowledgeBase, source: &Source) -> String {
    let ids = format!("knowledge_base = {}\ndata_source = {}\n", quoted(&base.id), quoted(&source.id));
    let called = format!("{} of {}", remark(&source.name), remark(&base.name));
    match &source.kind {
        Kind::S3 { bucket, prefix } if is_bucket_name(bucket) && is_prefix(prefix) => {
            let prefix = if prefix.is_empty() { String::new() } else { format!("prefix = {}\n", quoted(prefix)) };
            format!(
                "\n# {called}. The bucket must send its events to EventBridge: `deploy` says so if it does not.\n[[data_source]]\n{ids}bucket = {}\n{prefix}",
                quoted(bucket)
            )
        }
        Kind::S3 { bucket, prefix } => format!(
            "\n# {called}. It reads {} in a way that Flywheel cannot watch: it is synchronised when a finding asks for it.\n[[unseen_source]]\n{ids}",
            remark(&format!("s3://{bucket}/{prefix}"))
        ),
        Kind::Other(kind) => format!(
            "\n# {called}, of type {}: its changes cannot be seen, and it is synchronised when a finding asks for it.\n[[unseen_source]]\n{ids}",
            remark(kind)
        ),
    }
}

/// A limit that may be moved, up to twice what it is.
fn limit(function: &str, discovered: &Discovered) -> String {
    let seconds = discovered.functions.iter().find(|known| known.name == function).map_or(LONGEST_SECONDS, |known| known.timeout_seconds);
    format!(
        "\n# Its timeout moves to where its runs complete. Its runs must be told: subscribe its log group, or send them as signals.\n\
         [[timeout]]\nworkflow = {name}\ntarget = {{ function = {name} }}\n# No limit above, in seconds. It was {seconds} when this was written.\n\
         ceiling_seconds = {}\n# queue = \"…\"  # the queue that starts it, if one does: its visibility timeout goes along\n",
        seconds.saturating_mul(2).clamp(1, LONGEST_SECONDS),
        name = quoted(function)
    )
}

/// What else was found, as remarks: what to subscribe, and what to think of.
fn to_look_at(answers: &Answers, discovered: &Discovered) -> String {
    let mut remarks = String::new();
    let mut remember = |what: &str, names: &[String]| {
        if !names.is_empty() {
            let _ = write!(remarks, "\n# {what}:\n");
            names.iter().take(SHOWN).for_each(|name| {
                let _ = writeln!(remarks, "#   {}", remark(name));
            });
            if names.len() > SHOWN {
                let _ = writeln!(remarks, "#   and {} more", names.len() - SHOWN);
            }
        }
    };
    remember("Log groups that may tell of model calls, agents and runs; subscribe those to read-logs that do", &discovered.log_groups);
    if !answers.functions.is_empty() {
        remember("Queues, one of which may start a function above", &discovered.queues);
    }
    remember("Not looked at", &discovered.refused);
    remarks
}

fn told(policy: &Policy, file: &str, discovered: &Discovered) -> String {
    let mut words = format!("{file}: version {}, dry run{}", policy.version, told_parts(policy));
    if !discovered.log_groups.is_empty() {
        let _ = write!(words, "\n  {} log groups to subscribe, as remarks", discovered.log_groups.len());
    }
    if policy.data_sources.iter().any(|source| source.id.knowledge_base == PLACEHOLDER[0]) {
        let _ = write!(words, "\nnext: put your data source in place of the names that stand for it");
    }
    words + &format!("\nnext: read it, `flywheel policy check {file}`, then `make deploy POLICY={file} DRY_RUN=1`")
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A text from elsewhere in a remark: on its line, and nothing but that.
fn remark(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use flywheel_policy::{Mode, oddities};

    use super::*;
    use crate::discovery::Function;

    fn now() -> Timestamp {
        "2026-11-27T20:00:00Z".parse().expect("a time")
    }

    fn s3(id: &str, bucket: &str, prefix: &str) -> Source {
        let kind = Kind::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() };
        Source { id: id.to_owned(), name: format!("source-{id}"), kind }
    }

    fn base(id: &str, sources: Vec<Source>) -> KnowledgeBase {
        KnowledgeBase { id: id.to_owned(), name: format!("base-{id}"), sources }
    }

    /// A shop with a handbook, manuals, a website, and two functions.
    fn shop() -> Discovered {
        let website = Source { id: "DSWEBSITE1".to_owned(), name: "website".to_owned(), kind: Kind::Other("WEB".to_owned()) };
        let function = |name: &str, timeout_seconds| Function { name: name.to_owned(), timeout_seconds };
        Discovered {
            knowledge_bases: vec![
                base("KBHANDBOOK", vec![s3("DSHANDBOOK", "example-handbook", "")]),
                base("KBPRODUCTS", vec![s3("DSMANUALS1", "example-products", "manuals/"), website]),
            ],
            queues: vec!["trips".to_owned()],
            functions: vec![function("trip-planner", 30), function("import", 900)],
            log_groups: vec!["aws/spans".to_owned()],
            refused: Vec::new(),
        }
    }

    fn parsed(answers: &Answers, discovered: &Discovered) -> Policy {
        let text = first_policy(answers, discovered, now());
        Policy::parse(&text).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
    }

    #[test]
    fn what_was_found_is_watched_and_nothing_is_done() {
        let policy = parsed(&Answers::default_of(&shop()), &shop());
        assert_eq!((policy.mode, policy.data_sources.len(), policy.unseen_sources.len()), (Mode::DryRun, 2, 1));
        assert_eq!(policy.data_sources[1].prefix, "manuals/");
        assert!(policy.timeouts.is_empty() && policy.topics.is_empty());
    }

    #[test]
    fn answers_become_topics_intents_and_limits() {
        let answers = Answers {
            knowledge_bases: vec!["KBPRODUCTS".to_owned()],
            topics: listed("launch, billing"),
            intents: listed("refund"),
            functions: listed("trip-planner, import"),
        };
        let policy = parsed(&answers, &shop());
        assert_eq!((policy.data_sources.len(), policy.topics.len(), policy.intents.len()), (1, 2, 1));
        assert_eq!(policy.topics[0].knowledge_bases, ["KBPRODUCTS"]);
        let ceilings: Vec<u32> = policy.timeouts.iter().map(|timeout| timeout.ceiling_seconds).collect();
        assert_eq!(ceilings, [60, 900]);
        assert!(oddities(&policy, now()).is_empty(), "{:?}", oddities(&policy, now()));
    }

    #[test]
    fn an_account_without_anything_gets_names_that_stand_for_its_own() {
        let policy = parsed(&Answers::default(), &Discovered::default());
        assert_eq!(policy.data_sources[0].bucket, "example-bucket");
        assert!(told(&policy, "policy.toml", &Discovered::default()).contains("put your data source in place"));
    }

    #[test]
    fn a_knowledge_base_without_data_sources_is_none_to_watch() {
        let empty = Discovered { knowledge_bases: vec![base("KBEMPTY000", Vec::new())], ..Discovered::default() };
        assert_eq!(parsed(&Answers::default_of(&empty), &empty).data_sources[0].id.knowledge_base, PLACEHOLDER[0]);
    }

    #[test]
    fn what_a_policy_cannot_say_of_a_bucket_is_synchronised_on_demand() {
        let old = Discovered {
            knowledge_bases: vec![base("KBOLD00000", vec![s3("DSOLD00000", "Legacy_Bucket", ""), s3("DSSLASH000", "docs", "/a")])],
            ..Discovered::default()
        };
        assert_eq!(parsed(&Answers::default_of(&old), &old).unseen_sources.len(), 2);
    }

    #[test]
    fn names_from_elsewhere_stay_names() {
        let answers = Answers { topics: listed("it's \"new\" \\ # 新"), ..Answers::default_of(&shop()) };
        let mut shop = shop();
        shop.knowledge_bases[0].name = "evil\nmode = \"act\"".to_owned();
        shop.log_groups = vec!["a\nmode = \"act\"".to_owned()];
        shop.refused = vec!["Lambda:\r\nmode = \"act\"".to_owned()];
        let policy = parsed(&answers, &shop);
        assert_eq!((policy.mode, policy.topics[0].name.as_str()), (Mode::DryRun, "it's \"new\" \\ # 新"));
    }

    #[test]
    fn many_of_a_kind_are_counted_and_not_listed() {
        let many = Discovered { log_groups: (0..200).map(|number| format!("/aws/lambda/f{number}")).collect(), ..shop() };
        assert!(first_policy(&Answers::default_of(&many), &many, now()).contains("#   and 180 more"));
    }
}
