//! What the three dashboards show, each for those who look at it.

use flywheel_model::{Figure, FunctionFigure, IntentFigure, Loop, LoopFigure, OTHER_INTENTS};
use flywheel_policy::{CostPolicy, Policy};

use crate::cfn::Template;
use crate::constructs::{Dashboard, Line, Widget};

/// What the stack has that dashboards look at. All names are without the stack's.
#[derive(Debug)]
pub(crate) struct Stack<'a> {
    /// Functions, each with its memory in MB.
    pub(crate) functions: Vec<(&'a str, i32)>,
    pub(crate) queues: Vec<&'a str>,
    pub(crate) dead_letters: Vec<String>,
    pub(crate) tables: Vec<&'a str>,
    pub(crate) alarms: Vec<String>,
}

/// Adds all three.
pub(crate) fn add(template: &mut Template, policy: &Policy, stack: &Stack<'_>) {
    engineers(stack).add(template);
    product(policy).add(template);
    executives(policy, stack).add(template);
}

/// Errors, times, throttles, queues, what was given up, and where the loops hold back.
fn engineers(stack: &Stack<'_>) -> Dashboard {
    let functions = |metric: &'static str, statistic: &'static str| {
        let line =
            move |(name, _): &(&str, i32)| Line::of_aws("AWS/Lambda", metric, "FunctionName", name).labelled(name).statistic(statistic);
        stack.functions.iter().map(line)
    };
    let queue = |metric: &str, name: &str| Line::of_aws("AWS/SQS", metric, "QueueName", name).labelled(name).statistic("Maximum");
    let queues = |metric: &'static str| stack.queues.iter().map(move |name| queue(metric, name));
    let dead = |metric: &'static str| stack.dead_letters.iter().map(move |name| queue(metric, name));
    let mut board = Dashboard::new("engineers");
    board.row(
        3,
        [Widget::text(
            "# For engineers\nWhether everything works. Each alarm is told to the topic of the output `AlarmTopic`. Dead letters wait \
             for a person: read them, mend the cause, redrive them. A hold is a decision with a reason, which is in the ledger: \
             `flywheel ledger list --kind decision`. Nothing is drawn where nothing was reported.",
        )],
    );
    board.row(8, [Widget::alarms("Alarms", &stack.alarms)]);
    board.row(7, [Widget::graph("Errors", functions("Errors", "Sum")), Widget::graph("Throttles", functions("Throttles", "Sum"))]);
    board.row(
        7,
        [
            Widget::graph("Time of an invocation, p95 (ms)", functions("Duration", "p95")),
            Widget::graph("Longest invocation (ms)", functions("Duration", "Maximum")),
        ],
    );
    board.row(
        7,
        [
            Widget::graph("Invocations", functions("Invocations", "Sum")),
            Widget::graph("At once", functions("ConcurrentExecutions", "Maximum")),
        ],
    );
    board.row(
        7,
        [
            Widget::graph("Dead letters", dead("ApproximateNumberOfMessagesVisible")),
            Widget::graph("Oldest dead letter (s)", dead("ApproximateAgeOfOldestMessage")),
        ],
    );
    // No function reads a stream, so there is no iterator age; what logs send to `read-logs` waits in Lambda.
    let from_logs =
        Line::of_aws("AWS/Lambda", "AsyncEventAge", "FunctionName", "read-logs").labelled("read-logs (ms)").statistic("Maximum");
    board.row(
        7,
        [
            Widget::graph("Oldest message (s)", queues("ApproximateAgeOfOldestMessage")),
            Widget::graph("Messages that wait", queues("ApproximateNumberOfMessagesVisible")),
            Widget::graph("Waiting time of what logs send", [from_logs]),
        ],
    );
    board.row(
        7,
        [
            Widget::graph("Holds by loop", loops(LoopFigure::Holds)),
            Widget::graph("Decisions by loop", loops(LoopFigure::Decisions)),
            Widget::graph("Taken back by loop", loops(LoopFigure::Undone)),
        ],
    );
    board.row(
        7,
        [
            Widget::graph("Receipts by loop", loops(LoopFigure::Receipts)),
            Widget::graph("Outcomes by loop", loops(LoopFigure::Outcomes)),
            Widget::graph(
                "Events",
                figures("record", &[FunctionFigure::EventsRecorded, FunctionFigure::InputsRefused])
                    .chain(figures("count-signals", &[FunctionFigure::MessagesRedelivered]))
                    .chain(figures("track-documents", &[FunctionFigure::MessagesRedelivered])),
            ),
        ],
    );
    use FunctionFigure as F;
    board.row(
        7,
        [
            Widget::graph(
                "Signals",
                figures("count-signals", &[F::SignalsCounted, F::SignalsKnown, F::SignalsUntimely, F::SignalsRefused])
                    .chain(figures("read-logs", &[F::SignalsRead, F::LogEventsRefused])),
            ),
            Widget::graph(
                "Documents",
                figures("track-documents", &[F::ChangesRecorded]).chain(figures(
                    "sync-knowledge-bases",
                    &[F::DocumentsIndexed, F::DocumentsDeleted, F::DocumentsRetried, F::DocumentsQuarantined],
                )),
            ),
            Widget::graph(
                "Bedrock",
                figures("sync-knowledge-bases", &[F::JobsStarted, F::Conflicts, F::Throttled, F::Refused, F::AnswersLost, F::Races]),
            ),
        ],
    );
    board
}

/// Resolution and completion by intent, and what the loops found and did.
fn product(policy: &Policy) -> Dashboard {
    use FunctionFigure as F;
    let intents = intents(policy);
    let mut board = Dashboard::new("product");
    board.row(
        4,
        [Widget::text(&format!(
            "# For product\n**Resolution**: of the conversations of which it is known, the share that was resolved. **Completion**: the \
             share of all conversations that nothing speaks for having failed (no error, no escalation, no failed check …). By intents \
             that the policy names, {} at most; all others together are `{OTHER_INTENTS}`. Conversations count when they come in, so a \
             late one counts later than it took place. A finding is a change that the evidence supports; findings are shown with the \
             loop that answers them.",
            Policy::MEASURED_INTENTS
        ))],
    );
    board.row(
        8,
        [
            Widget::graph(
                "Resolution by intent (%)",
                shares(&intents, IntentFigure::ConversationsResolved, IntentFigure::ConversationsKnown, "100*e/n"),
            ),
            Widget::graph(
                "Completion by intent (%)",
                shares(&intents, IntentFigure::ConversationsFailed, IntentFigure::Conversations, "100-100*e/n"),
            ),
        ],
    );
    let conversations = intents.iter().map(|intent| Line::of(IntentFigure::Conversations, intent).labelled(intent));
    board.row(
        7,
        [
            Widget::graph("Conversations by intent", conversations),
            Widget::graph("Findings opened, by loop", loops(LoopFigure::FindingsOpened)),
            Widget::graph("Findings closed, by loop", loops(LoopFigure::FindingsClosed)),
        ],
    );
    let running = Line::of(F::ExperimentsRunning, "run-experiments").labelled("Running").statistic("Maximum");
    board.row(
        7,
        [
            Widget::graph(
                "Experiments",
                [running]
                    .into_iter()
                    .chain(figures("queue-experiments", &[F::ExperimentsQueued]))
                    .chain(figures("record", &[F::ExperimentsConcluded, F::ExperimentsWon])),
            ),
            Widget::graph(
                "Evaluation cases",
                figures("capture-retrievals", &[F::RetrievalsCaptured, F::CapturesHeld, F::DataSetsPublished]),
            ),
            Widget::graph(
                "Regression tests",
                figures("generate-tests", &[F::SuiteChanges]).chain(figures("prove-tests", &[F::TestsProved])),
            ),
        ],
    );
    board.row(
        7,
        [
            Widget::graph("Workflow runs, and those cut at their limit", figures("count-signals", &[F::WorkflowRuns, F::WorkflowRunsCut])),
            Widget::graph(
                "Limits",
                figures("adjust-timeouts", &[F::TimeoutsChanged, F::TimeoutsHeld]).chain(figures("record", &[F::LimitsKept])),
            ),
            Widget::graph(
                "Releases",
                figures("count-signals", &[F::Releases, F::ReleasesFailed])
                    .chain(figures("record", &[F::ReleasesChecked, F::ReleasesStopped])),
            ),
            Widget::graph("Questions to people", figures("ask-approval", &[F::ApprovalsAsked, F::ApprovalsExpired])),
            Widget::graph("Failed questions that find something again", figures("record", &[F::QuestionsFoundAgain])),
        ],
    );
    board.row(
        7,
        [Widget::graph(
            "What actions did",
            figures("verify-outcomes", &[F::ActionsAwaited, F::ActionsGraded, F::ActionsUndone, F::Escalations]),
        )],
    );
    board
}

/// What a resolved conversation costs, what the loops brought, and what they cost, with how it is computed.
fn executives(policy: &Policy, stack: &Stack<'_>) -> Dashboard {
    use FunctionFigure as F;
    let intents = intents(policy);
    let mut board = Dashboard::new("executives");
    board.row(
        3,
        [Widget::text(
            "# For executives\nAll numbers are for the time that is chosen above. What is counted is marked **counted**, what is \
             concluded from it **estimate**. Nothing here is a bill.",
        )],
    );
    let known = sums(&intents, "k", IntentFigure::ConversationsKnown);
    let resolved = sums(&intents, "r", IntentFigure::ConversationsResolved);
    let all = sums(&intents, "c", IntentFigure::Conversations);
    board.row(
        5,
        [
            Widget::numbers("Conversations (counted)", all.0.into_iter().chain([Line::computed("Conversations", all.1)])),
            Widget::numbers(
                "Resolution (counted, %)",
                known
                    .0
                    .into_iter()
                    .chain(resolved.0)
                    .chain([Line::computed("Resolved of those known", format!("100*{}/{}", resolved.1, known.1))]),
            ),
            cost_of_a_resolved_conversation(&intents, &policy.costs),
        ],
    );
    board.row(
        5,
        [
            Widget::numbers(
                "What the loops brought (counted, but for the estimate of conversations)",
                [
                    Line::of(F::ConversationsGained, "record")
                        .labelled("Conversations resolved more, in experiments that were won (estimate)"),
                    Line::of(F::QuestionsFoundAgain, "record").labelled("Failed questions that find something again"),
                    Line::of(F::ReleasesStopped, "record").labelled("Releases stopped before they started"),
                    Line::of(F::LimitsKept, "record").labelled("Limits moved for good"),
                ],
            ),
            saved(&policy.costs),
            running_costs(stack),
        ],
    );
    board.row(9, [Widget::text(&how_it_is_computed(&policy.costs))]);
    board
}

/// By tokens and the policy's prices, or in tokens where it has none.
fn cost_of_a_resolved_conversation(intents: &[&str], costs: &CostPolicy) -> Widget {
    let read = sums(intents, "i", IntentFigure::InputTokens);
    let written = sums(intents, "o", IntentFigure::OutputTokens);
    let resolved = sums(intents, "r", IntentFigure::ConversationsResolved);
    let (title, label, spent) = match (costs.million_input_tokens, costs.million_output_tokens) {
        (None, None) => ("Tokens for each resolved conversation (counted)", "Tokens", format!("({}+{})", read.1, written.1)),
        (input, output) => (
            "Model cost of each resolved conversation (estimate)",
            "Dollars",
            format!("({}*{}+{}*{})/1000000", read.1, input.unwrap_or_default(), written.1, output.unwrap_or_default()),
        ),
    };
    let lines = read.0.into_iter().chain(written.0).chain(resolved.0);
    Widget::numbers(title, lines.chain([Line::computed(label, format!("{spent}/{}", resolved.1))]))
}

/// In dollars as far as the policy says what things cost.
fn saved(costs: &CostPolicy) -> Widget {
    use FunctionFigure as F;
    let worth =
        [(&[F::ConversationsGained, F::QuestionsFoundAgain][..], costs.failed_conversation), (&[F::ReleasesStopped], costs.failed_release)];
    let (mut lines, mut terms) = (Vec::new(), Vec::new());
    for (figures, dollars) in worth {
        let Some(dollars) = dollars else { continue };
        for figure in figures {
            let (id, term) = (format!("s{}", terms.len()), format!("t{}", terms.len()));
            lines.push(Line::of(*figure, "record").hidden(&id));
            lines.push(Line::computed("", format!("{id}*{dollars}")).hidden(&term));
            terms.push(term);
        }
    }
    if terms.is_empty() {
        return Widget::text(
            "**What the loops saved** is not shown in dollars: the policy does not say what a failed conversation or a failed release \
             costs (`[costs]`, `failed_conversation` and `failed_release`).",
        );
    }
    Widget::numbers("What the loops saved (estimate)", lines.into_iter().chain([Line::computed("Dollars", sum(&terms))]))
}

/// Prices of us-east-1 in November 2026, x86: a GB-second and a request of Lambda (<https://aws.amazon.com/lambda/pricing/>) and
/// a write unit of DynamoDB on demand (<https://aws.amazon.com/dynamodb/pricing/on-demand/>).
const GB_SECOND: f64 = 0.000_016_666_7;
const REQUEST: f64 = 0.000_000_2;
const WRITE_UNIT: f64 = 0.000_000_625;

/// What can be told of Flywheel's own cost by metrics that AWS keeps.
fn running_costs(stack: &Stack<'_>) -> Widget {
    let (mut lines, mut terms) = (Vec::new(), Vec::new());
    let mut term = |lines: &mut Vec<Line>, expression: String| {
        let id = format!("t{}", terms.len());
        lines.push(Line::computed("", expression).hidden(&id));
        terms.push(id);
    };
    for (place, (name, memory)) in stack.functions.iter().enumerate() {
        lines.push(Line::of_aws("AWS/Lambda", "Duration", "FunctionName", name).hidden(&format!("d{place}")));
        lines.push(Line::of_aws("AWS/Lambda", "Invocations", "FunctionName", name).hidden(&format!("n{place}")));
        let millisecond = f64::from(*memory) / 1_024.0 / 1_000.0 * GB_SECOND;
        term(&mut lines, format!("d{place}*{millisecond:.15}+n{place}*{REQUEST:.10}"));
    }
    for (place, name) in stack.tables.iter().enumerate() {
        lines.push(Line::of_aws("AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", name).hidden(&format!("w{place}")));
        term(&mut lines, format!("w{place}*{WRITE_UNIT:.10}"));
    }
    Widget::numbers("Flywheel's functions and writes (estimate)", lines.into_iter().chain([Line::computed("Dollars", sum(&terms))]))
}

fn how_it_is_computed(costs: &CostPolicy) -> String {
    let dollars = |value: Option<f64>| value.map_or_else(|| "not said".to_owned(), |value| format!("${value}"));
    format!(
        "## How it is computed\n\
         - **Resolution**: conversations that were resolved ÷ those of which it is known. Others are in neither.\n\
         - **Model cost of each resolved conversation**: tokens that signals tell, of all conversations, × the policy's prices ÷ \
         resolved conversations. An estimate: conversations that tell no tokens cost nothing here, all models have one price, and \
         embedding, storage and people are left out. Prices: {} for a million tokens read, {} for a million written.\n\
         - **Conversations resolved more**: of each experiment that was won, the winner's units × (its rate − the control's), as \
         measured while it ran. An estimate with chance in it, and a low one: what the winner brings afterwards is not in it.\n\
         - **Saved**: (conversations resolved more + questions that find something again) × what a failed conversation costs ({}) + \
         releases that a check stopped × what a failed release costs ({}). An estimate: a stopped release may have gone well, and of \
         each finding at most 20 questions are asked again. Limits are left out: what a run is worth is not in these metrics.\n\
         - **Flywheel's functions and writes**: seconds × memory and invocations of its functions, and write units of its tables, at \
         prices of us-east-1 in November 2026 (x86). An estimate of a part: queues, events, storage, logs, metrics, dashboards and \
         Bedrock are not in it. See the bill for the rest.",
        dollars(costs.million_input_tokens),
        dollars(costs.million_output_tokens),
        dollars(costs.failed_conversation),
        dollars(costs.failed_release),
    )
}

/// The values of the dimension `Intent`.
fn intents(policy: &Policy) -> Vec<&str> {
    policy.measured_intents().into_iter().map(|intent| intent.as_str()).chain([OTHER_INTENTS]).collect()
}

fn figures<'a>(function: &'a str, figures: &'a [FunctionFigure]) -> impl Iterator<Item = Line> + 'a {
    figures.iter().map(move |figure| Line::of(*figure, function).labelled(&format!("{} ({function})", figure.name())))
}

fn loops(figure: LoopFigure) -> impl Iterator<Item = Line> {
    Loop::ALL.into_iter().map(move |of| Line::of(figure, of.as_str()).labelled(of.as_str()))
}

/// A share for each intent: `n` and `e` of the expression are its trials and events.
fn shares(intents: &[&str], events: IntentFigure, trials: IntentFigure, expression: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    for (place, intent) in intents.iter().enumerate() {
        lines.push(Line::of(trials, intent).hidden(&format!("n{place}")));
        lines.push(Line::of(events, intent).hidden(&format!("e{place}")));
        let expression = expression.replace('n', &format!("n{place}")).replace('e', &format!("e{place}"));
        lines.push(Line::computed(intent, expression));
    }
    lines
}

/// The sum of those that have a value: `+` has none where one of them has none.
fn sum(ids: &[String]) -> String {
    format!("SUM([{}])", ids.join(","))
}

/// A figure of all intents, as hidden lines and the expression of their sum.
fn sums(intents: &[&str], id: &str, figure: IntentFigure) -> (Vec<Line>, String) {
    let ids: Vec<String> = (0..intents.len()).map(|place| format!("{id}{place}")).collect();
    let lines = intents.iter().zip(&ids).map(|(intent, id)| Line::of(figure, intent).hidden(id)).collect();
    (lines, sum(&ids))
}
