//! Each kind of event in one sentence, with its numbers. A new kind is one more arm, and the compiler asks for it.

use std::collections::BTreeMap;

use flywheel_model::{
    Action, ActionOutcome, Answer, ApprovalDecided, ApprovalRequest, AskedAgain, Body, CaptureHold, CaptureHoldReason, Captured,
    ChangeKind, Control, DocumentChange, DocumentOutcome, Escalation, Event, Evidence, ExperimentAction, ExperimentDecision,
    ExperimentHold, ExperimentHoldReason, ExperimentOutcome, ExperimentReceipt, ExperimentVerdict, Fate, Finding, FindingHold, Hold,
    HoldReason, JobEnd, Metric, Outcome, PreflightChange, PreflightHold, PreflightReceipt, PreflightRun, Rates, Receipt, Refresh,
    RefreshHold, Refreshed, Refusal, Scope, SettingChange, SignalBatch, SuiteChangeKind, SuiteDecision, SuiteHold, SuiteReceipt,
    TestProved, TimeoutAnswer, TimeoutChange, TimeoutHold, TimeoutHoldReason, TimeoutOutcome, TimeoutPurpose, TimeoutReceipt,
    TimeoutVerdict, Undo,
};

use crate::words::{count, listed, minute, number, percent, points, quoted, seconds, short, time, words};

/// What an event says, in a sentence. It is text: whoever puts it into a page has to escape it, since users, models and AWS
/// wrote parts of it.
#[must_use]
pub fn describe(event: &Event) -> String {
    match &event.body {
        Body::DocumentChanged(change) => document_changed(change),
        Body::InputRefused(refusal) => input_refused(refusal),
        Body::SignalsKept(batch) => signals_kept(batch),
        Body::SyncDecided(action) => sync_decided(action),
        Body::SyncHeld(hold) => sync_held(hold),
        Body::SyncAnswered(receipt) => sync_answered(receipt),
        Body::SyncEnded(outcome) => sync_ended(outcome),
        Body::DocumentSettled(outcome) => document_settled(outcome),
        Body::FindingOpened(finding) => found("Found", finding),
        Body::FindingUpdated(finding) => found("Still so", finding),
        Body::FindingClosed(finding) => finding_closed(finding),
        Body::FindingHeld(hold) => finding_held(hold),
        Body::RefreshDecided(refresh) => refresh_decided(refresh),
        Body::RefreshHeld(hold) => refresh_held(hold),
        Body::RefreshEnded(refreshed) => refresh_ended(refreshed),
        Body::AskedAgain(asked) => asked_again(asked),
        Body::TimeoutDecided(change) => timeout_decided(change),
        Body::TimeoutHeld(hold) => timeout_held(hold),
        Body::TimeoutAnswered(receipt) => timeout_answered(receipt),
        Body::TimeoutVerified(outcome) => timeout_verified(outcome),
        Body::CaseCaptured(captured) => case_captured(captured),
        Body::CaptureHeld(hold) => capture_held(hold),
        Body::PreflightDecided(change) => preflight_decided(change),
        Body::PreflightHeld(hold) => preflight_held(hold),
        Body::PreflightWritten(receipt) => preflight_written(receipt),
        Body::PreflightMade(run) => preflight_made(run),
        Body::TestsDecided(decision) => tests_decided(decision),
        Body::TestsHeld(hold) => tests_held(hold),
        Body::TestsKept(receipt) => tests_kept(receipt),
        Body::TestProved(proved) => test_proved(proved),
        Body::ExperimentDecided(decision) => experiment_decided(decision),
        Body::ExperimentHeld(hold) => experiment_held(hold),
        Body::FlagChanged(receipt) => flag_changed(receipt),
        Body::ExperimentConcluded(outcome) => experiment_concluded(outcome),
        Body::ActionGraded(outcome) => action_graded(outcome),
        Body::UndoDecided(undo) => undo_decided(undo),
        Body::Escalated(escalation) => escalated(escalation),
        Body::ApprovalRequested(request) => approval_requested(request),
        Body::ApprovalGranted(decided) => approval_decided(decided, "approved"),
        Body::ApprovalRejected(decided) => approval_decided(decided, "rejected"),
        Body::ApprovalExpired(request) => approval_expired(request),
        Body::ActionsStopped(control) => control_said(control, "stopped all actions"),
        Body::ActionsResumed(control) => control_said(control, "let actions go on"),
    }
}

/// The paragraph in which whoever decided gave the reasons, where there is one.
#[must_use]
pub fn explanation(event: &Event) -> Option<&str> {
    let text = match &event.body {
        Body::TimeoutDecided(change) => &change.explanation,
        Body::TimeoutHeld(hold) => &hold.explanation,
        Body::TimeoutVerified(outcome) => &outcome.explanation,
        Body::ExperimentDecided(decision) => &decision.explanation,
        Body::ExperimentHeld(hold) => &hold.explanation,
        Body::ExperimentConcluded(outcome) => &outcome.conclusion.explanation,
        Body::PreflightDecided(change) => &change.reason,
        Body::ActionGraded(outcome) => &outcome.explanation,
        Body::UndoDecided(undo) => &undo.explanation,
        Body::Escalated(escalation) => &escalation.explanation,
        Body::ApprovalRequested(request) => &request.why,
        _ => return None,
    };
    Some(text.as_str()).filter(|text| !text.is_empty())
}

/// Says first that something is decided only.
fn decided(dry_run: bool, sentence: String) -> String {
    if dry_run { format!("Decided only (dry run): {sentence}") } else { sentence }
}

fn action_graded(outcome: &ActionOutcome) -> String {
    let rates = outcome.effect.as_ref().map_or_else(
        || "nothing was counted to tell it by".to_owned(),
        |effect| format!("{} instead of {} without it", percent(effect.after), percent(effect.expected[1])),
    );
    format!(
        "What {} did to {} of {}: {} ({rates}).",
        outcome.what.in_words(),
        outcome.metric,
        quoted(&outcome.scope.to_string()),
        outcome.verdict
    )
}

fn undo_decided(undo: &Undo) -> String {
    decided(
        undo.dry_run,
        format!("Take back {}, the winner of {}: it made it worse.", undo.what.in_words(), quoted(undo.experiment.as_str())),
    )
}

fn escalated(escalation: &Escalation) -> String {
    let tried = count(escalation.tried.len() as u64, "action");
    format!("A person has to look at {} of {}: {tried} did not help.", escalation.metric, quoted(&escalation.scope.to_string()))
}

fn document_changed(change: &DocumentChange) -> String {
    let what = match change.change {
        ChangeKind::Written => "was written",
        ChangeKind::Deleted => "was deleted",
        ChangeKind::VersionDeleted => "lost a version for good",
        ChangeKind::MetadataChanged => "got other metadata",
        ChangeKind::Emptied => "was overwritten with nothing",
    };
    let size = change.size.filter(|size| *size > 0).map_or_else(String::new, |size| format!(" ({})", count(size, "byte")));
    format!("{} {what}{size}.", quoted(&change.document.uri()))
}

fn input_refused(refusal: &Refusal) -> String {
    format!("Input of {} was refused: {}.", count(refusal.length as u64, "byte"), quoted(&refusal.reason))
}

fn signals_kept(batch: &SignalBatch) -> String {
    let kinds = listed(batch.kinds.iter().map(|kind| format!("{}s", words(kind))));
    format!("A batch of signals was kept as evidence and counted: {}.", quoted(&kinds))
}

fn sync_decided(action: &Action) -> String {
    match action {
        Action::StartJob { data_source, covers, dry_run, .. } => {
            decided(*dry_run, format!("Synchronise {data_source} with a job that covers all changes up to {}.", time(*covers)))
        }
        Action::SendDocuments { data_source, documents, dry_run } => {
            let again = documents.iter().filter(|document| document.attempt > 1).count() as u64;
            let again = if again == 0 { String::new() } else { format!(", {} of them not for the first time", number(again)) };
            decided(*dry_run, format!("Send {} of {data_source} directly{again}.", count(documents.len() as u64, "document")))
        }
    }
}

fn sync_held(hold: &Hold) -> String {
    let why = match &hold.reason {
        HoldReason::Settling => "changes are still coming".to_owned(),
        HoldReason::JobRunning => "its own job is running".to_owned(),
        HoldReason::KnowledgeBaseBusy { data_source } => format!("{data_source} of the same knowledge base has its turn"),
        HoldReason::AccountFull => "as many jobs run in the account as may".to_owned(),
        HoldReason::Rate => "the rate of requests is used up for the moment".to_owned(),
        HoldReason::DirectIngestionRunning => "documents that were sent directly are under way".to_owned(),
        HoldReason::Cooldown => "the policy wants a pause between two jobs".to_owned(),
        HoldReason::HourlyCap => "the policy's cap for an hour is reached".to_owned(),
        HoldReason::Conflict => "something else is at work on it".to_owned(),
        HoldReason::Throttled => "Bedrock said that requests come too fast".to_owned(),
        HoldReason::Backoff { reason, attempts } => format!("it failed {} ({})", count(u64::from(*attempts), "time"), quoted(reason)),
        HoldReason::DryRun => "the policy says dry run".to_owned(),
        HoldReason::Quarantined { reason } => format!("it was tried as often as the policy allows ({})", quoted(reason)),
    };
    let until = hold.until.map_or_else(String::new, |until| format!(" until {}", time(until)));
    format!("{} waits{until}: {why}.", hold.data_source)
}

fn sync_answered(receipt: &Receipt) -> String {
    let source = &receipt.data_source;
    match &receipt.answer {
        Answer::JobStarted { job } => format!("Bedrock started the job {} on {source}.", quoted(job)),
        Answer::DocumentsAccepted { documents } => {
            format!("Bedrock took in {} of {source}.", count(u64::from(*documents), "document"))
        }
        Answer::Conflict { message } => format!("Bedrock is busy with {source}: {}.", quoted(message)),
        Answer::Throttled { message } => format!("Bedrock wants fewer requests for {source}: {}.", quoted(message)),
        Answer::Refused { message } => format!("Bedrock refused the request for {source}: {}.", quoted(message)),
        Answer::Lost { message } => format!("No answer came about {source}, it may have been done: {}.", quoted(message)),
    }
}

fn sync_ended(outcome: &Outcome) -> String {
    let end = match outcome.end {
        JobEnd::Complete => "is complete",
        JobEnd::CompleteWithFailures => "is complete, with failures",
        JobEnd::Failed => "failed",
        JobEnd::Stopped => "was stopped",
    };
    let counts = &outcome.statistics;
    let told = format!(
        "{} looked at, {} new, {} changed, {} deleted, {} failed",
        count(counts.scanned, "document"),
        number(counts.added),
        number(counts.modified),
        number(counts.deleted),
        number(counts.failed)
    );
    let why = outcome.reasons.first().map_or_else(String::new, |reason| format!(" ({})", quoted(reason)));
    format!("The job {} on {} {end}: {told}{why}.", quoted(&outcome.job), outcome.data_source)
}

fn document_settled(outcome: &DocumentOutcome) -> String {
    let document = quoted(&outcome.document.uri());
    let source = &outcome.data_source;
    match &outcome.fate {
        Fate::Indexed => format!("{source} has the present content of {document}."),
        Fate::Deleted => format!("{source} no longer has {document}."),
        Fate::Quarantined { reason } => format!("{document} cannot be indexed in {source}: {}.", quoted(reason)),
    }
}

/// What a rate counts, of a place.
pub(crate) fn rate_of(metric: Metric, scope: &Scope) -> String {
    let what = match metric {
        Metric::FailedResponses => "failed responses",
        Metric::Resolution => "resolved conversations",
        Metric::ConversationFailures => "failed conversations",
        Metric::RetrievalFailures => "failed retrievals",
        Metric::Timeouts => "runs that time out",
        Metric::FailedReleases => "failed releases",
    };
    match scope {
        Scope::Everywhere => format!("{what} everywhere"),
        Scope::Key(_) | Scope::Cause { .. } => format!("{what} of {scope}"),
    }
}

fn rates(rates: &Rates) -> String {
    format!(
        "{} → {} ({} of {} since {}; relative change {:+.0}%, between {:+.0}% and {:+.0}%)",
        percent(rates.baseline.rate),
        percent(rates.current.rate),
        number(rates.current.events),
        number(rates.current.trials),
        minute(rates.since),
        100.0 * rates.change,
        100.0 * rates.interval[0],
        100.0 * rates.interval[1]
    )
}

fn found(word: &str, finding: &Finding) -> String {
    let what = rate_of(finding.metric, &finding.scope);
    match &finding.evidence {
        Evidence::Rates(seen) => {
            let mut parts: Vec<_> = seen.parts.iter().collect();
            parts.sort_by(|one, other| other.1.cmp(one.1).then_with(|| one.0.cmp(other.0)));
            let parts = listed(parts.iter().take(3).map(|(part, many)| format!("{} {}", quoted(&words(part)), number(**many))));
            let parts = if parts.is_empty() { parts } else { format!("; {parts}") };
            format!("{word}: {what} {}{parts}.", rates(seen))
        }
        Evidence::Alarm { name, reason } => {
            let reason = reason.as_ref().map_or_else(String::new, |reason| format!(" ({})", quoted(reason)));
            format!("{word}: {what}, by the alarm {name}{reason}.")
        }
    }
}

fn finding_closed(finding: &Finding) -> String {
    let what = rate_of(finding.metric, &finding.scope);
    let since = minute(finding.opened_at);
    match &finding.evidence {
        Evidence::Rates(seen) => format!(
            "Over: {what} are back at {} ({} of {}; expected {}); the finding stood since {since}.",
            percent(seen.current.rate),
            number(seen.current.events),
            number(seen.current.trials),
            percent(seen.baseline.rate)
        ),
        Evidence::Alarm { name, .. } => format!("Over: {what}, the alarm {name} is quiet; the finding stood since {since}."),
    }
}

fn finding_held(hold: &FindingHold) -> String {
    format!("No finding about {}: {}.", rate_of(hold.metric, &hold.scope), quoted(&hold.reason))
}

fn refresh_decided(refresh: &Refresh) -> String {
    let sources = listed(&refresh.data_sources);
    decided(
        refresh.dry_run,
        format!(
            "Synchronise {sources}, since a topic fails that they answer; {} will be asked again.",
            count(refresh.examples.len() as u64, "failed question")
        ),
    )
}

fn refresh_held(hold: &RefreshHold) -> String {
    let source = hold.data_source.as_ref().map_or_else(String::new, |source| format!(" {source}"));
    format!("Synchronising{source} would not help: {}.", quoted(&hold.reason))
}

fn refresh_ended(refreshed: &Refreshed) -> String {
    format!("{} is synchronised, as the finding {} asked.", refreshed.data_source, short(refreshed.finding.as_str()))
}

fn asked_again(asked: &AskedAgain) -> String {
    let without = match asked.without_question {
        0 => String::new(),
        many => format!("; {} had no question that is kept", count(u64::from(many), "signal")),
    };
    format!(
        "Of {} asked again of {}, {} found something before and {} find something now{without}.",
        count(u64::from(asked.asked), "failed question"),
        quoted(&asked.knowledge_base),
        number(u64::from(asked.found_before)),
        number(u64::from(asked.found_now))
    )
}

fn changes(changes: &[SettingChange]) -> String {
    listed(changes.iter().map(|change| format!("{} from {} to {}", quoted(&change.setting.to_string()), change.from, change.to)))
}

fn timeout_decided(change: &TimeoutChange) -> String {
    let timeout = &change.timeout;
    let made = changes(&change.changes);
    let predicted = change.prediction.as_ref().map_or_else(String::new, |told| {
        format!(
            "; {} of the runs are cut now, {} are expected to be ({} to {})",
            percent(told.timeouts_now),
            percent(told.timeouts[1]),
            percent(told.timeouts[0]),
            percent(told.timeouts[2])
        )
    });
    let sentence = match change.purpose {
        TimeoutPurpose::Raise => format!("Raise the limit of {timeout}: {made}{predicted}."),
        TimeoutPurpose::Lower => format!("Proposed for a person: lower the limit of {timeout}: {made}{predicted}."),
        TimeoutPurpose::Explore => {
            format!("Let a share of the runs of {timeout} go on for longer, to learn when they end: {made}{predicted}.")
        }
        TimeoutPurpose::EndExploration => format!("All runs of {timeout} have the same limit again: {made}."),
        TimeoutPurpose::Undo => format!("Take the change of the limit of {timeout} back: {made}."),
    };
    decided(change.dry_run, sentence)
}

/// Why a limit stays, in words.
pub(crate) const fn why_limit_stays(reason: TimeoutHoldReason) -> &'static str {
    match reason {
        TimeoutHoldReason::Suits => "it suits what the runs need",
        TimeoutHoldReason::FewRuns => "too few runs are known",
        TimeoutHoldReason::UnusableRuns => "too many runs tell no time that can be used",
        TimeoutHoldReason::NothingKnownBeyond => "it is not known what comes after it",
        TimeoutHoldReason::Stuck => "what is cut is stuck",
        TimeoutHoldReason::MoreEvidence => "not surely enough yet",
        TimeoutHoldReason::LargestStep => "the largest step helps too little",
        TimeoutHoldReason::OtherLimit => "another limit would cut the runs",
        TimeoutHoldReason::QueueVisibility => "a queue would deliver again what is worked on",
        TimeoutHoldReason::Costs => "the waiting costs more than the runs are worth",
        TimeoutHoldReason::Cooldown => "the last change is too recent",
        TimeoutHoldReason::FailedBefore => "a change failed before",
        TimeoutHoldReason::OutOfBounds => "it is outside of what the policy allows",
        TimeoutHoldReason::Unreadable => "it cannot be read",
        TimeoutHoldReason::Approval => "a person must approve the change",
        TimeoutHoldReason::Declined => "a person did not approve the change",
    }
}

fn timeout_held(hold: &TimeoutHold) -> String {
    format!("The limit of {} stays as it is: {}.", hold.timeout, why_limit_stays(hold.reason))
}

fn timeout_answered(receipt: &TimeoutReceipt) -> String {
    let timeout = &receipt.timeout;
    match &receipt.answer {
        TimeoutAnswer::Made => {
            format!("The limit of {timeout} is changed; {} can be taken back.", count(receipt.undo.len() as u64, "setting"))
        }
        TimeoutAnswer::ChangedMeanwhile(found) => {
            format!("The limit of {timeout} was not changed, somebody else had changed it: {}.", quoted(found))
        }
        TimeoutAnswer::Refused(why) => format!("The limit of {timeout} was not changed, AWS refused it: {}.", quoted(why)),
    }
}

fn timeout_verified(outcome: &TimeoutOutcome) -> String {
    let verdict = match outcome.verdict {
        TimeoutVerdict::Kept => "It stays",
        TimeoutVerdict::Undone => "It did not do what it should, and is taken back",
        TimeoutVerdict::Inconclusive => "What it did cannot be told; it stays",
    };
    let share = outcome.timed_out as f64 / (outcome.runs as f64).max(1.0);
    format!(
        "Of {} of {} under the new limit, {} were cut ({}), in {} on average. {verdict}.",
        count(outcome.runs, "run"),
        outcome.timeout,
        number(outcome.timed_out),
        percent(share),
        seconds(outcome.mean_seconds)
    )
}

fn case_captured(captured: &Captured) -> String {
    let reasons = listed(captured.reasons.iter().map(|(reason, strength)| format!("{} ({strength:.2})", words(reason.as_str()))));
    format!("A retrieval of {} became an evaluation case: {reasons}.", captured.knowledge_base)
}

fn capture_held(hold: &CaptureHold) -> String {
    let why = match &hold.reason {
        CaptureHoldReason::Learning { scale } => {
            format!("too few retrievals of {} are known yet to tell a low score", quoted(scale))
        }
        CaptureHoldReason::Full => "as many questions are kept as the policy allows".to_owned(),
    };
    format!("Some retrievals of {} are not captured: {why}.", hold.knowledge_base)
}

fn preflight_decided(change: &PreflightChange) -> String {
    let services = if change.check.services.is_empty() { "all services".to_owned() } else { quoted(&listed(&change.check.services)) };
    let back = &change.backtest;
    let backtest = format!(
        "of {} it would have stopped {} that failed and {} that were good",
        count(u64::from(back.releases), "release"),
        number(u64::from(back.caught)),
        number(u64::from(back.blocked))
    );
    let what = if change.added { "Check before releases of" } else { "No longer check before releases of" };
    decided(change.dry_run, format!("{what} {services} that {}; {backtest}.", quoted(&change.check.need.to_string())))
}

fn preflight_held(hold: &PreflightHold) -> String {
    format!(
        "No new check before releases: {} ({} looked at, of {} a look at the account could have told).",
        quoted(&hold.reason),
        count(u64::from(hold.releases), "release"),
        count(u64::from(hold.preventable), "failure")
    )
}

fn preflight_written(receipt: &PreflightReceipt) -> String {
    format!("The file of checks was written, with {} changed.", count(receipt.changed.len() as u64, "check"))
}

fn preflight_made(run: &PreflightRun) -> String {
    let may = if run.may_start { "may start" } else { "was stopped before it began" };
    let failed = if run.failed.is_empty() { String::new() } else { format!(" ({})", quoted(&listed(&run.failed))) };
    format!(
        "A release of {} {may}: {} passed, {} failed{failed}, {} could not be made.",
        quoted(&run.service),
        count(u64::from(run.passed), "check"),
        number(run.failed.len() as u64),
        number(run.unable.len() as u64)
    )
}

fn tests_decided(decision: &SuiteDecision) -> String {
    let mut kinds = BTreeMap::<&str, u64>::new();
    for change in &decision.changes {
        let kind = match change.what {
            SuiteChangeKind::Added => "added",
            SuiteChangeKind::Covered => "stand for more conversations",
            SuiteChangeKind::Activated => "activated",
            SuiteChangeKind::Flickers => "found to flicker",
            SuiteChangeKind::Retired => "retired",
            SuiteChangeKind::RetirementProposed => "proposed to be retired",
        };
        *kinds.entry(kind).or_default() += 1;
    }
    let made = listed(kinds.iter().map(|(kind, many)| format!("{} {kind}", number(*many))));
    let made = if made.is_empty() { "no change".to_owned() } else { made };
    let groups = match decision.failed {
        0 => String::new(),
        failed => format!(
            "; {} fell into {}, {} are covered",
            count(failed, "failed conversation"),
            count(decision.groups, "group"),
            number(decision.covered)
        ),
    };
    decided(decision.dry_run, format!("Regression tests of {}: {made}{groups}.", decision.intent))
}

fn tests_held(hold: &SuiteHold) -> String {
    format!("No regression tests of {} now: {}.", hold.intent, quoted(&hold.reason))
}

fn tests_kept(receipt: &SuiteReceipt) -> String {
    let tests = listed(receipt.tests.iter().map(|(state, many)| format!("{} {}", number(*many), quoted(state))));
    format!("The suite of {} was written: {}.", receipt.intent, if tests.is_empty() { "no tests".to_owned() } else { tests })
}

fn test_proved(proved: &TestProved) -> String {
    format!(
        "A test of {} failed in {} of {} against {}, the version that it is to catch; it is {} now.",
        proved.intent,
        number(u64::from(proved.runs.failed)),
        count(u64::from(proved.runs.runs), "run"),
        quoted(&proved.runs.target),
        quoted(&proved.state)
    )
}

fn experiment_decided(decision: &ExperimentDecision) -> String {
    let experiment = &decision.experiment;
    let intent = &decision.intent;
    let sentence = match &decision.action {
        ExperimentAction::Queue { variants, plan } => {
            let names = listed(variants.iter().map(|variant| quoted(&variant.name)));
            format!(
                "Queue {experiment} on {intent}: {names}; a difference of {} shows after {} an arm, {:.1} days.",
                points(plan.effect).trim_start_matches('+'),
                count(plan.units_an_arm, "unit"),
                plan.days
            )
        }
        ExperimentAction::Split { share, dropped, .. } => {
            let dropped = if dropped.is_empty() { String::new() } else { format!("; {} no longer", quoted(&listed(dropped))) };
            format!("{} of the conversations about {intent} take part in {experiment}{dropped}.", percent(*share))
        }
        ExperimentAction::CleanUp => format!("End {experiment}: everybody who asks about {intent} gets the control again."),
        ExperimentAction::Promote { variant, strategy } => {
            format!("Promote {} to everybody who asks about {intent}, step by step with {}.", quoted(&variant.name), quoted(strategy))
        }
    };
    decided(decision.dry_run, sentence)
}

/// Why an experiment waits, in words.
pub(crate) const fn why_experiment_waits(reason: ExperimentHoldReason) -> &'static str {
    match reason {
        ExperimentHoldReason::NoFlag => "the policy names no flag",
        ExperimentHoldReason::NoVariants => "there is no variant to try",
        ExperimentHoldReason::TooSlow => "it could not decide in time",
        ExperimentHoldReason::AlreadyThere => "one of the intent waits or runs already",
        ExperimentHoldReason::QueueFull => "the queue is full",
        ExperimentHoldReason::Approval => "a person must approve it",
        ExperimentHoldReason::Cooling => "what was promoted the last time made it worse",
        ExperimentHoldReason::Conflict => "one that it would disturb runs",
        ExperimentHoldReason::AtOnce => "as many run as may",
        ExperimentHoldReason::Frozen => "the policy freezes the application",
        ExperimentHoldReason::Flag => "the flag is not what it should be",
        ExperimentHoldReason::Deployment => "another deployment is under way",
        ExperimentHoldReason::Promotion => "the winner waits for a person",
        ExperimentHoldReason::Declined => "a person did not approve the winner",
    }
}

fn experiment_held(hold: &ExperimentHold) -> String {
    let which = hold.experiment.as_ref().map_or_else(|| "An experiment".to_owned(), ToString::to_string);
    format!("{which} on {} waits: {}.", hold.intent, why_experiment_waits(hold.reason))
}

fn flag_changed(receipt: &ExperimentReceipt) -> String {
    // Versions are counted from 1.
    let back = if receipt.undo > 0 { format!("; version {} takes it back", receipt.undo) } else { String::new() };
    format!("The flag of {} is at version {}, by deployment {}{back}.", receipt.experiment, receipt.version, receipt.deployment)
}

fn experiment_concluded(outcome: &ExperimentOutcome) -> String {
    let conclusion = &outcome.conclusion;
    let what = match conclusion.verdict {
        ExperimentVerdict::Winner => {
            conclusion.winner.as_ref().map_or_else(|| "a variant is better".to_owned(), |name| format!("{} is better", quoted(name)))
        }
        ExperimentVerdict::Loser => "all variants are worse".to_owned(),
        ExperimentVerdict::NoDifference => "no difference worth having".to_owned(),
        ExperimentVerdict::Broken => "it measured something else than it was to".to_owned(),
        ExperimentVerdict::Guardrail => "a variant does harm".to_owned(),
        ExperimentVerdict::Stopped => "a person stopped it".to_owned(),
        ExperimentVerdict::RolledBack => "the winner was rolled back".to_owned(),
    };
    let compared = listed(conclusion.comparisons.iter().map(|one| {
        let broken = listed(one.broken.iter().map(|broken| broken.guardrail.as_str()));
        let broken = if broken.is_empty() { broken } else { format!(", with more {broken}") };
        format!(
            "{} {} ({} to {}) after {}{broken}",
            quoted(&one.variant),
            points(one.difference[1]),
            points(one.difference[0]).trim_end_matches(" points"),
            points(one.difference[2]).trim_end_matches(" points"),
            count(one.treatment[0] + one.control[0], "unit")
        )
    }));
    let compared = if compared.is_empty() { compared } else { format!("; {compared}") };
    format!("{} on {} is decided: {what}{compared}.", outcome.experiment, outcome.intent)
}

fn approval_requested(request: &ApprovalRequest) -> String {
    format!(
        "A person is asked until {} (approval {}): {}. {}.",
        time(request.deadline),
        short(request.approval.as_str()),
        quoted(&request.what),
        quoted(&request.risk)
    )
}

fn approval_decided(decided: &ApprovalDecided, what: &str) -> String {
    let (request, word) = (&decided.request, &decided.word);
    let why = if word.why.is_empty() { String::new() } else { format!(", since {}", quoted(&word.why)) };
    format!(
        "{} {what} on the evidence of {}{why}: {}.",
        quoted(&word.by),
        count(request.evidence.len() as u64, "event"),
        quoted(&request.what)
    )
}

fn approval_expired(request: &ApprovalRequest) -> String {
    format!("Nobody answered by {}, so it is not done: {}.", time(request.deadline), quoted(&request.what))
}

fn control_said(control: &Control, what: &str) -> String {
    let why = if control.why.is_empty() { String::new() } else { format!(": {}", quoted(&control.why)) };
    format!("{} {what}{why}.", quoted(&control.by))
}
