//! `flywheel approvals`, `approve` and `reject`: what waits for a person, and what they say.

use anyhow::{Result, anyhow, bail};
use clap::Args;
use flywheel_adapters::{ApprovalMachine, ApprovalTable, EventBridgeBus};
use flywheel_model::{Approval, ApprovalAnswer, ApprovalRequest, Word};
use flywheel_ports::{Approvals, Bus, KeptApproval};
use jiff::Timestamp;
use serde::Serialize;

use crate::output::Output;
use crate::site::Site;

#[derive(Args)]
pub(crate) struct List {
    /// Those that are answered as well
    #[arg(long)]
    all: bool,
}

#[derive(Args)]
pub(crate) struct Answer {
    /// The approval, as `flywheel approvals` shows it, or the beginning of it
    approval: String,
    /// Who says so
    #[arg(long, env = "USER")]
    by: String,
    /// Why: it stays in the ledger
    #[arg(long, default_value = "")]
    why: String,
}

/// An approval as it is listed.
#[derive(Serialize)]
struct Listed {
    state: String,
    #[serde(flatten)]
    approval: Approval,
}

pub(crate) async fn list(list: List, site: &Site, output: &Output) -> Result<()> {
    let now = Timestamp::now();
    let all = table(site)?.all().await?.into_iter().map(|kept| Listed { state: state(&kept.approval, now), approval: kept.approval });
    let listed: Vec<Listed> = all.filter(|one| list.all || waits(&one.approval, now)).collect();
    let rows = listed.iter().map(|Listed { state, approval: Approval { request, .. } }| {
        let until = request.deadline.strftime("%Y-%m-%d %H:%M").to_string();
        vec![request.approval.to_string(), request.action.to_string(), until, state.clone(), request.what.clone(), request.risk.clone()]
    });
    output.list(&["APPROVAL", "ACTION", "UNTIL (UTC)", "STATE", "WHAT", "WHY IT WAITS"], &listed, rows)?;
    output.hint(match (listed.is_empty(), list.all) {
        (true, false) => "nothing waits; `flywheel approvals --all` shows what was answered",
        (true, true) => "nothing was ever asked: only what the policy says is of high risk is",
        _ => "next: `flywheel approve ID --why …` or `flywheel reject ID --why …`; `flywheel explain EVENT` tells the evidence",
    });
    Ok(())
}

pub(crate) async fn approve(answer: Answer, site: &Site, output: &Output) -> Result<()> {
    let request = find(&answer.approval, site).await?;
    let word = Word { by: answer.by, why: answer.why, at: Timestamp::now() };
    let approval = record(&request, ApprovalAnswer::Granted(word), site).await?;
    output.show(&approval, &format!("Approved: {}\nIt is done at the next look, within five minutes.", request.what))
}

pub(crate) async fn reject(answer: Answer, site: &Site, output: &Output) -> Result<()> {
    let request = find(&answer.approval, site).await?;
    let word = Word { by: answer.by, why: answer.why, at: Timestamp::now() };
    let approval = record(&request, ApprovalAnswer::Rejected(word), site).await?;
    output.show(&approval, &format!("Rejected: {}\nNothing is done, and the same is not asked again for a week.", request.what))
}

async fn find(named: &str, site: &Site) -> Result<ApprovalRequest> {
    let mut found = table(site)?.all().await?;
    found.retain(|kept| kept.approval.request.approval.as_str().starts_with(named));
    match found.len() {
        1 => Ok(found.swap_remove(0).approval.request),
        0 => Err(anyhow!("there is no approval {named}\nnext: `flywheel approvals` shows those that wait")),
        many => Err(anyhow!("{many} approvals begin with {named}\nnext: give more of the id")),
    }
}

/// Records an answer if it is the first one and in time, tells of it, and ends the task that waits. The first answer stands:
/// whoever comes second is told whose it is.
pub(crate) async fn record(request: &ApprovalRequest, answer: ApprovalAnswer, site: &Site) -> Result<Approval> {
    let table = table(site)?;
    let now = Timestamp::now();
    // What is too late is answered by that, whoever looks first.
    let recorded = if now < request.deadline { &answer } else { &ApprovalAnswer::Expired };
    let KeptApproval { approval, token, .. } = table.answer(request, recorded).await?;
    let bus = EventBridgeBus::new(&site.sdk, site.output("Bus")?.to_owned());
    bus.publish(&approval.answered().into_iter().collect::<Vec<_>>()).await?;
    if let (Some(token), Some(stands)) = (token, &approval.answer) {
        ApprovalMachine::new(&site.sdk, site.output("ApprovalsMachine")?.to_owned()).end(&token, stands).await?;
    }
    if approval.answer.as_ref() != Some(&answer) {
        bail!("it was not recorded: {}\nnext: `flywheel approvals --all`", state(&approval, now));
    }
    Ok(approval)
}

/// What waits for a person's answer.
pub(crate) async fn waiting(site: &Site, now: Timestamp) -> Result<Vec<ApprovalRequest>> {
    let all = table(site)?.all().await?;
    Ok(all.into_iter().filter(|kept| waits(&kept.approval, now)).map(|kept| kept.approval.request).collect())
}

fn table(site: &Site) -> Result<ApprovalTable> {
    Ok(ApprovalTable::new(&site.sdk, site.output("ApprovalsTable")?.to_owned()))
}

fn waits(approval: &Approval, now: Timestamp) -> bool {
    approval.answer.is_none() && now < approval.request.deadline
}

fn state(approval: &Approval, now: Timestamp) -> String {
    let said = |what: &str, word: &Word| format!("{what} by {} at {}", word.by, word.at.strftime("%Y-%m-%d %H:%M"));
    match &approval.answer {
        Some(ApprovalAnswer::Granted(word)) => said("approved", word),
        Some(ApprovalAnswer::Rejected(word)) => said("rejected", word),
        None if waits(approval, now) => "waits".to_owned(),
        Some(ApprovalAnswer::Expired) | None => format!("nobody answered by {}", approval.request.deadline.strftime("%Y-%m-%d %H:%M")),
    }
}
