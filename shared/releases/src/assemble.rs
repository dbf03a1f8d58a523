//! Puts records together into releases.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cause::{Cause, Kind};
use crate::record::{Ending, Record, What};

/// Causes of one release that are kept: the rest of a release that fails in more ways says nothing new.
pub const CAUSES: usize = 50;

/// A denied call counts as a release's if it was made while it ran, or this much before and after: CloudTrail's times are
/// those of the call, CloudFormation's those of its own notice of it.
const AROUND: SignedDuration = SignedDuration::from_secs(60);

/// One release, as far as its records tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Which one.
    pub id: String,
    /// What was released.
    pub service: String,
    /// Who deployed, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The first that is known of it.
    pub began: Timestamp,
    /// The last that is known of it.
    pub last: Timestamp,
    /// How it ended; nothing while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// Why it failed: root causes, each once, in the order in which they showed. Empty unless it failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
}

impl Release {
    /// Whether it failed, and looking at the account before could have told.
    #[must_use]
    pub fn is_preventable(&self) -> bool {
        self.ending == Some(Ending::Failed) && self.causes.iter().any(|cause| cause.kind.is_preventable())
    }
}

/// Puts records together, in the order in which the releases began. The order of the records does not matter, nor that
/// some are there twice.
#[must_use]
pub fn assemble(records: impl IntoIterator<Item = Record>) -> Vec<Release> {
    let mut of: BTreeMap<String, BTreeSet<Record>> = BTreeMap::new();
    let mut denied: BTreeSet<Record> = BTreeSet::new();
    for record in records {
        match &record.release {
            Some(release) => drop(of.entry(release.clone()).or_default().insert(record)),
            None => drop(denied.insert(record)),
        }
    }
    let mut releases: Vec<Release> = of.into_iter().flat_map(|(id, records)| runs(&id, records)).collect();
    releases.sort_by(|one, other| (one.began, &one.id).cmp(&(other.began, &other.id)));
    name_the_opaque(&mut releases, &denied);
    releases
}

/// The releases of one key: a stack's operations without tokens follow each other under the stack's own id.
fn runs(id: &str, records: BTreeSet<Record>) -> Vec<Release> {
    let mut runs: Vec<Release> = Vec::new();
    let mut failed: Vec<Vec<Cause>> = Vec::new();
    for Record { at, what, service, role, .. } in records {
        let begins_anew = runs.last().is_none_or(|run| run.ending.is_some() && what == What::Began && run.last < at);
        if begins_anew {
            let place = runs.len();
            let id = if place == 0 { id.to_owned() } else { format!("{id}#{}", place + 1) };
            runs.push(Release { id, service: String::new(), role: None, began: at, last: at, ending: None, causes: Vec::new() });
            failed.push(Vec::new());
        }
        let (Some(run), Some(causes)) = (runs.last_mut(), failed.last_mut()) else { continue };
        run.last = at;
        // A nested stack's name is longer than that of the stack it is part of.
        if let Some(service) = service
            && (run.service.is_empty() || (service.len(), &service) < (run.service.len(), &run.service))
        {
            run.service = service;
        }
        run.role = run.role.take().or(role);
        match what {
            What::Began => {}
            What::Ended(ending) => run.ending = Some(run.ending.map_or(ending, |known| known.max(ending))),
            What::Failed(cause) | What::Denied(cause) => causes.push(cause),
        }
    }
    for (run, causes) in runs.iter_mut().zip(failed) {
        if run.ending == Some(Ending::Failed) {
            run.causes = roots(causes);
        }
    }
    runs
}

/// What is a cause among what failed: cascades only hide them, and what says nothing counts only where nothing says more.
#[must_use]
pub fn roots(failed: Vec<Cause>) -> Vec<Cause> {
    let mut causes: Vec<Cause> = Vec::new();
    for cause in failed.into_iter().filter(|cause| cause.kind.is_root()) {
        if causes.len() < CAUSES && !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    if causes.iter().any(|cause| cause.kind != Kind::Other) {
        causes.retain(|cause| cause.kind != Kind::Other);
    }
    causes
}

/// A denial that names no action is the call of the same caller that CloudTrail saw denied at that time, if it was one.
fn name_the_opaque(releases: &mut [Release], denied: &BTreeSet<Record>) {
    for release in releases.iter_mut().filter(|release| release.ending == Some(Ending::Failed)) {
        let is_of_it = |record: &&Record| {
            let is_near = record.at >= release.began - AROUND && record.at <= release.last + AROUND;
            is_near && (release.role.is_none() || record.role.is_none() || release.role == record.role)
        };
        let cause = |record: &'_ Record| match &record.what {
            What::Denied(cause) => Some(cause.clone()),
            _ => None,
        };
        let named: BTreeSet<Cause> = denied.iter().filter(is_of_it).filter_map(cause).collect();
        let has_opaque = release.causes.iter().any(|cause| cause.kind == Kind::OpaqueDenial);
        let says_nothing = release.causes.iter().all(|cause| cause.kind == Kind::Other);
        if named.is_empty() || !has_opaque && !says_nothing {
            continue;
        }
        release.causes.retain(|cause| !matches!(cause.kind, Kind::OpaqueDenial | Kind::Other));
        for cause in named {
            if release.causes.len() < CAUSES && !release.causes.contains(&cause) {
                release.causes.push(cause);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::record::{from_event, from_stack_event};

    fn at(second: i64) -> String {
        Timestamp::from_second(1_700_000_000 + second).expect("a time").to_string()
    }

    fn stack_event(second: i64, resource: &str, status: &str, reason: &str) -> Value {
        let stack = "arn:aws:cloudformation:eu-west-1:111122223333:stack/shop/1";
        json!({
            "StackId": stack, "ClientRequestToken": "token-1", "LogicalResourceId": resource,
            "PhysicalResourceId": if resource == "shop" { stack } else { "p" },
            "ResourceType": if resource == "shop" { "AWS::CloudFormation::Stack" } else { "AWS::SQS::Queue" },
            "ResourceStatus": status, "ResourceStatusReason": reason, "Timestamp": at(second),
        })
    }

    fn failed_release() -> Vec<Record> {
        let denied = "User: arn:aws:sts::111122223333:assumed-role/deploy/ci is not authorized to perform: sqs:CreateQueue on resource: arn:aws:sqs:eu-west-1:111122223333:jobs";
        [
            stack_event(0, "shop", "UPDATE_IN_PROGRESS", "User Initiated"),
            stack_event(1, "Jobs", "CREATE_IN_PROGRESS", ""),
            stack_event(2, "Jobs", "CREATE_FAILED", denied),
            stack_event(2, "Mails", "CREATE_FAILED", "Resource creation cancelled"),
            stack_event(3, "shop", "UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Jobs, Mails]."),
            stack_event(4, "shop", "UPDATE_ROLLBACK_COMPLETE", ""),
        ]
        .iter()
        .filter_map(|event| from_stack_event(event).expect("read"))
        .collect()
    }

    #[test]
    fn what_failed_first_is_the_cause_and_the_rest_follows() {
        let releases = assemble(failed_release());
        assert_eq!(releases.len(), 1);
        let Release { service, ending, causes, .. } = &releases[0];
        assert_eq!((service.as_str(), *ending), ("shop", Some(Ending::Failed)));
        assert_eq!(causes.iter().map(|cause| cause.action.as_deref()).collect::<Vec<_>>(), [Some("sqs:CreateQueue")]);
        assert!(releases[0].is_preventable());
    }

    #[test]
    fn operations_without_a_token_follow_each_other() {
        let event = |second, status: &str| {
            json!({ "detail-type": "CloudFormation Stack Status Change", "time": at(second),
                "detail": { "stack-id": "arn:aws:cloudformation:eu-west-1:1:stack/shop/1", "status-details": { "status": status } } })
        };
        let statuses = ["CREATE_IN_PROGRESS", "CREATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"];
        let records =
            (0..).step_by(10).zip(statuses).map(|(second, status)| from_event(&event(second, status)).expect("read").expect("a record"));
        let endings: Vec<_> = assemble(records).into_iter().map(|release| release.ending).collect();
        assert_eq!(endings, [Some(Ending::Succeeded), Some(Ending::Failed)]);
    }

    #[test]
    fn a_pipeline_tells_why_its_action_failed() {
        let event = |kind: &str, detail: Value| json!({ "detail-type": kind, "time": at(0), "detail": detail });
        let records = [
            event("CodePipeline Pipeline Execution State Change", json!({ "pipeline": "shop", "execution-id": "1", "state": "FAILED" })),
            event(
                "CodePipeline Action Execution State Change",
                json!({ "pipeline": "shop", "execution-id": "1", "state": "FAILED", "action": "Deploy",
                    "execution-result": { "error-code": "JobFailed", "external-execution-summary": "Role arn:aws:iam::1:role/a is invalid or cannot be assumed" } }),
            ),
        ];
        let releases = assemble(records.iter().filter_map(|event| from_event(event).expect("read")));
        assert_eq!(releases[0].causes[0].kind, Kind::TrustPolicy);
    }

    #[test]
    fn cloud_trail_names_what_the_message_does_not() {
        let mut records = failed_release();
        for record in &mut records {
            if let What::Failed(cause) = &mut record.what
                && cause.action.is_some()
            {
                *cause = Cause::of(Kind::OpaqueDenial);
            }
        }
        let call = |second, name: &str| {
            json!({ "detail-type": "AWS API Call via CloudTrail", "detail": { "eventTime": at(second), "eventSource": "sqs.amazonaws.com", "eventName": name,
                "errorCode": "AccessDenied", "errorMessage": "Access denied", "userIdentity": { "arn": "arn:aws:sts::1:assumed-role/deploy/x" } } })
        };
        records.extend([call(2, "CreateQueue"), call(5_000, "DeleteQueue")].iter().filter_map(|event| from_event(event).expect("read")));
        let releases = assemble(records);
        assert_eq!(releases[0].causes.iter().map(|cause| cause.action.as_deref()).collect::<Vec<_>>(), [Some("sqs:CreateQueue")]);
    }

    proptest! {
        #[test]
        fn order_and_duplicates_of_records_do_not_matter(order in Just((0..5_usize).collect::<Vec<_>>()).prop_shuffle(), twice in 0..5_usize) {
            let records = failed_release();
            let mut shuffled: Vec<Record> = order.iter().map(|place| records[*place].clone()).collect();
            shuffled.push(records[twice].clone());
            prop_assert_eq!(assemble(shuffled), assemble(records));
        }
    }
}
