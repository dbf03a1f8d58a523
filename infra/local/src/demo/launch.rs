//! A product-launch day: a topic's questions find nothing, the rate of failed responses rises, Flywheel finds it, has the
//! knowledge base synchronised, asks the failed questions again, and closes the finding when the rate is back.
//!
//! The launch's documents come by a data source that Flywheel cannot see changing. The four weeks before are written into
//! the table of histories as if they had been counted; everything after that takes the whole way.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aws_sdk_s3::primitives::ByteStream;
use flywheel_deploy::Deployed;
use flywheel_model::{AskedAgain, Body, DataSourceId, Event, Evidence, Finding, Hour, Metric, Rates, Series};
use jiff::Timestamp;
use serde_json::json;

use super::ask::Asker;
use super::cases::{self, Captured, Tool};
use super::tables::{self, Usual};
use crate::LocalAws;
use crate::terminal::{Terminal, seconds};

pub(crate) const BUCKET: &str = "flywheel-demo-launch";

/// The topic that the launch is about, and one that goes on as before.
pub(crate) const TOPICS: [&str; 2] = ["product-launch", "orders"];

/// Days of history before the launch.
const DAYS: i64 = 30;

/// Responses of a topic in an hour, and how many of them usually fail.
const RESPONSES: u64 = 240;
const USUAL_FAILURES: u64 = 12;

/// Of the launch topic's responses, every how manyth asks about the launch.
const ABOUT_LAUNCH: usize = 3;

/// Signals in a message: the cheap road.
const IN_A_MESSAGE: usize = 100;

/// Nothing came for this long: it will not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What people ask about the launch, and the documents that answer.
const QUESTIONS: [(&str, &str); 4] = [
    (
        "battery life of the Zephyrine speaker",
        "The Zephyrine speaker plays for 19 hours; its battery life drops to 14 hours at full volume.",
    ),
    ("Zephyrine price", "The Zephyrine price is 249 at launch and 279 from the second month on."),
    ("does the Zephyrine pair with two phones", "The Zephyrine can pair with two phones at once and switches to the one that rings."),
    ("Zephyrine warranty", "The Zephyrine warranty lasts three years and covers the battery for two."),
];

/// What people ask about everything else. One gives more of herself away than she has to.
const USUAL_QUESTIONS: [&str; 6] = [
    "Where is my order?",
    "Do you deliver on Saturdays?",
    "Can I change the delivery address of an order?",
    "I am jane.doe@example.com, do you ship to islands?",
    "How long can I return an order?",
    "Is gift wrapping offered?",
];

/// How the day went, for the summary.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub(crate) struct Launch {
    /// Signals sent, each counted once if all is well.
    pub(crate) signals_sent: usize,
    pub(crate) signals_counted: u64,
    pub(crate) findings_opened: usize,
    pub(crate) findings_closed: usize,
    /// The usual rate of failed responses, at the worst, and at the end.
    pub(crate) rates: [f64; 3],
    pub(crate) questions_asked_again: u32,
    pub(crate) found_before: u32,
    pub(crate) found_after: u32,
    /// What the day's failed retrievals came to.
    pub(crate) cases: Captured,
    pub(crate) seconds: f64,
}

impl Launch {
    pub(crate) fn good(&self) -> bool {
        self.signals_counted == self.signals_sent as u64
            && (self.findings_opened, self.findings_closed) == (1, 1)
            && self.questions_asked_again > 0
            && self.found_after == self.questions_asked_again
            && self.cases.good()
    }
}

/// The knowledge base of the launch.
pub(crate) fn create(aws: &LocalAws) -> Result<DataSourceId> {
    let knowledge_base = aws.create_knowledge_base("launch")?;
    aws.create_data_source(&knowledge_base, "launch", BUCKET, "")
}

pub(crate) struct Day<'a> {
    aws: &'a LocalAws,
    asker: &'a Asker,
    source: DataSourceId,
    sqs: aws_sdk_sqs::Client,
    outputs: BTreeMap<String, String>,
    /// The first hour of the launch; what came before is history.
    start: Hour,
    /// Retrievals that were sent without a passage.
    failed: usize,
    summary: Launch,
}

impl<'a> Day<'a> {
    pub(crate) fn new(aws: &'a LocalAws, asker: &'a Asker, source: DataSourceId, deployed: &Deployed) -> Self {
        // The launch's two hours and the two after it end with the present one.
        let start = Hour(Hour::of(Timestamp::now()).0 - 3);
        let sqs = aws_sdk_sqs::Client::new(aws.config());
        Self { aws, asker, source, sqs, outputs: deployed.outputs.clone(), start, failed: 0, summary: Launch::default() }
    }

    pub(crate) async fn play(mut self, output: &Path, terminal: &mut Terminal) -> Result<Launch> {
        let begun = Instant::now();
        terminal.title("A product launch: a topic's responses fail");
        self.write_history().await?;
        for (place, (question, answer)) in QUESTIONS.iter().enumerate() {
            let text = format!("# {question}\n\n{answer}\n");
            let put = self.aws.s3().put_object().bucket(BUCKET).key(format!("{place}.md")).body(ByteStream::from(text.into_bytes()));
            put.send().await.context("cannot upload a document of the launch")?;
        }
        terminal
            .done("History", &format!("{DAYS} days of {} topics, {USUAL_FAILURES} of {RESPONSES} responses an hour fail", TOPICS.len()));

        self.send_hours([0, 1]).await?;
        self.counted(terminal).await?;
        terminal.done(
            "Signals",
            &format!("{} sent in messages of {IN_A_MESSAGE}, {} counted", self.summary.signals_sent, self.summary.signals_counted),
        );
        let opened = self.look(1, "finding.opened", terminal).await?;
        let (finding, rates) = rates_of(&opened)?;
        terminal.done("Finding", &told(finding, rates));
        (self.summary.rates[0], self.summary.rates[1]) = (rates.baseline.rate, rates.current.rate);

        let asked =
            self.wait_for("the questions to be asked again", PATIENCE, terminal, |event| matches!(event.body, Body::AskedAgain(_))).await?;
        let Body::AskedAgain(AskedAgain { asked, found_before, found_now, .. }) = asked.body else { bail!("another event") };
        (self.summary.questions_asked_again, self.summary.found_before, self.summary.found_after) = (asked, found_before, found_now);
        terminal.done("Synchronised", &format!("{}, since the finding asked for it", self.source));
        terminal.done("Asked again", &format!("of {asked} failed questions, {found_before} found something before, {found_now} now"));

        self.send_hours([2, 3]).await?;
        self.counted(terminal).await?;
        let closed = self.look(3, "finding.closed", terminal).await?;
        let (finding, rates) = rates_of(&closed)?;
        self.summary.rates[2] = rates.current.rate;
        terminal.done("Closed", &told(finding, rates));
        for (name, rate) in ["as usual", "at launch", "after the synchronisation"].into_iter().zip(self.summary.rates) {
            terminal.detail(&format!("{name:<26}{:>6.1}%  {}", 100.0 * rate, "█".repeat((100.0 * rate).round() as usize)));
        }
        terminal.title("Failed retrievals become evaluation cases");
        self.summary.cases = cases::show(&Tool::new(self.aws)?, self.failed, &QUESTIONS, output, terminal).await?;
        let events = self.events().await?;
        let count = |kind: &str| events.iter().filter(|event| event.kind() == kind).count();
        (self.summary.findings_opened, self.summary.findings_closed) = (count("finding.opened"), count("finding.closed"));
        self.summary.seconds = begun.elapsed().as_secs_f64();
        Ok(self.summary)
    }

    fn output(&self, name: &str) -> Result<&str> {
        self.outputs.get(name).map(String::as_str).with_context(|| format!("the stack has no output {name}"))
    }

    /// What would have been counted in the weeks before.
    async fn write_history(&self) -> Result<()> {
        for topic in TOPICS {
            let series = Series { metric: Metric::FailedResponses, key: topic.try_into()? };
            let usual = Usual { trials: RESPONSES, events: USUAL_FAILURES, spread: 3 };
            tables::write_history(self.aws.dynamodb(), self.output("SignalsTable")?, &series, &usual, DAYS, self.start).await?;
        }
        Ok(())
    }

    /// Sends the responses of some hours since the launch. Those about the launch ask the knowledge base, here and now.
    async fn send_hours(&mut self, hours: [i64; 2]) -> Result<()> {
        let mut found = Vec::new();
        for (question, _) in QUESTIONS {
            let hits = self.asker.ask(&self.source.knowledge_base, question).await?;
            found.push(hits.iter().map(|hit| json!({ "text": hit.text, "score": hit.score, "location": hit.key })).collect::<Vec<_>>());
        }
        let now = Timestamp::now();
        let mut signals = Vec::new();
        for hour in hours {
            let hour = Hour(self.start.0 + hour);
            for topic in TOPICS {
                for place in 0..RESPONSES as usize {
                    let at = (hour.start() + jiff::SignedDuration::from_secs(place as i64 * 3_600 / RESPONSES as i64)).min(now);
                    let launch = topic == TOPICS[0] && place % ABOUT_LAUNCH == 0;
                    let asked = place / ABOUT_LAUNCH % QUESTIONS.len();
                    let (query, passages) = if launch {
                        let question = QUESTIONS[asked].0;
                        let politely = place / ABOUT_LAUNCH / QUESTIONS.len() % 2 == 1;
                        let query = if politely { format!("Hello, could you please tell me: {question}?") } else { question.to_owned() };
                        (query, json!(found[asked]))
                    } else {
                        let usual = if place as u64 % (RESPONSES / USUAL_FAILURES) == 1 {
                            json!([])
                        } else {
                            json!([{ "text": "…", "score": 1.2 }])
                        };
                        (USUAL_QUESTIONS[place % USUAL_QUESTIONS.len()].to_owned(), usual)
                    };
                    self.failed += usize::from(passages == json!([]));
                    let retrieval =
                        json!({ "topic": topic, "knowledge_base": self.source.knowledge_base, "query": query, "passages": passages });
                    signals.push(
                        json!({ "id": format!("{}-{topic}-{place}", hour.0), "at": at.to_string(), "retrieval": retrieval }).to_string(),
                    );
                }
            }
        }
        self.summary.signals_sent += signals.len();
        for batch in signals.chunks(IN_A_MESSAGE) {
            let send = self.sqs.send_message().queue_url(self.output("SignalsQueueUrl")?).message_body(batch.join("\n"));
            send.send().await.context("cannot send signals")?;
        }
        Ok(())
    }

    /// Waits until everything that was sent is counted.
    async fn counted(&mut self, terminal: &mut Terminal) -> Result<()> {
        let begun = Instant::now();
        loop {
            let mut counted = 0;
            for hour in self.start.0..self.start.0 + 4 {
                counted += tables::responses(self.aws.dynamodb(), self.output("SignalsTable")?, Hour(hour)).await?;
            }
            self.summary.signals_counted = counted;
            if counted >= self.summary.signals_sent as u64 {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!("{counted} of {} signals counted after {PATIENCE:?}: see the log of count-signals", self.summary.signals_sent);
            }
            terminal.now(&format!("{counted} of {} signals counted  {}", self.summary.signals_sent, seconds(begun.elapsed())));
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Has Flywheel look at the end of an hour since the launch, as its schedule does every minute.
    async fn look(&self, hour: i64, kind: &'static str, terminal: &mut Terminal) -> Result<Event> {
        let end = Hour(self.start.0 + hour).start() + jiff::SignedDuration::from_secs(3_599);
        let begun = Instant::now();
        loop {
            let look = json!({ "time": end.min(Timestamp::now()).to_string() }).to_string();
            let send = self.sqs.send_message().queue_url(self.output("LooksQueueUrl")?).message_body(look);
            send.send().await.context("cannot ask for a look")?;
            // One look at a time: this one is passed over if the schedule's own is under way.
            match self.wait_for(kind, Duration::from_secs(10), terminal, |event| event.kind() == kind).await {
                Err(_) if begun.elapsed() < PATIENCE => {}
                result => return result,
            }
        }
    }

    async fn wait_for(&self, what: &str, patience: Duration, terminal: &mut Terminal, is_it: impl Fn(&Event) -> bool) -> Result<Event> {
        let begun = Instant::now();
        loop {
            if let Some(event) = self.events().await?.into_iter().find(|event| is_it(event)) {
                return Ok(event);
            }
            if begun.elapsed() > patience {
                bail!("nothing came of {what} in {patience:?}: see the logs of detect-changes and refresh-topics");
            }
            terminal.now(&format!("waiting for {what}  {}", seconds(begun.elapsed())));
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    async fn events(&self) -> Result<Vec<Event>> {
        tables::events(self.aws.dynamodb(), self.output("LedgerTable")?).await
    }
}

fn rates_of(event: &Event) -> Result<(&Finding, &Rates)> {
    let (Body::FindingOpened(finding) | Body::FindingClosed(finding)) = &event.body else { bail!("not a finding") };
    let Evidence::Rates(rates) = &finding.evidence else { bail!("not a finding of rates") };
    Ok((finding, rates))
}

fn told(finding: &Finding, rates: &Rates) -> String {
    format!(
        "{} of {} {:.1}% → {:.1}% ({:+.0}%, {} of {} since {})",
        finding.metric,
        finding.scope,
        100.0 * rates.baseline.rate,
        100.0 * rates.current.rate,
        100.0 * rates.change,
        rates.current.events,
        rates.current.trials,
        rates.since
    )
}
