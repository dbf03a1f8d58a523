//! The records of a deployment that has only a text log.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::assemble::CAUSES;
use crate::cause::Cause;
use crate::log::{LogReader, Said};
use crate::record::{Ending, Record, What};

/// What is known of a deployment beside its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// An id of its own, such as the number of the pipeline's run.
    pub release: String,
    /// What was released.
    pub service: String,
    /// The ARN of who deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// When it ended.
    pub at: Timestamp,
    /// How it ended, if that is known. Otherwise the log has to say so, for each writer that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ending>,
}

/// Releases that one log may tell of.
const RELEASES: usize = 32;

/// Reads a deployment's log into records, in memory that does not grow with it.
#[derive(Debug)]
pub struct DeploymentLog {
    deployment: Deployment,
    reader: LogReader,
    told: Told,
}

/// Of each writer what failed, in order, and whether it ended well after that.
#[derive(Debug, Default)]
struct Told {
    one_release: bool,
    by_writer: BTreeMap<Option<String>, (Vec<Cause>, Option<Ending>)>,
}

impl DeploymentLog {
    /// Begins.
    #[must_use]
    pub fn new(deployment: Deployment) -> Self {
        let one_release = deployment.ended.is_some();
        Self { deployment, reader: LogReader::default(), told: Told { one_release, by_writer: BTreeMap::new() } }
    }

    /// Reads on.
    pub fn read(&mut self, bytes: &[u8]) {
        let told = &mut self.told;
        self.reader.read(bytes, &mut |said| told.take(said));
    }

    /// The records, once all is read.
    #[must_use]
    pub fn end(mut self) -> Vec<Record> {
        let told = &mut self.told;
        self.reader.end(&mut |said| told.take(said));
        let Deployment { release, service, role, at, ended } = self.deployment;
        let mut by_writer = self.told.by_writer;
        if by_writer.is_empty() {
            by_writer.insert(None, (Vec::new(), None));
        }
        let mut records = Vec::new();
        for (writer, (causes, said)) in by_writer {
            let id = writer.as_ref().map_or_else(|| release.clone(), |writer| format!("{release}/{writer}"));
            let record = |place: usize, what: What| Record {
                release: Some(id.clone()),
                service: Some(writer.clone().unwrap_or_else(|| service.clone())),
                role: role.clone(),
                // In the order of the log.
                at: at + SignedDuration::from_millis(i64::try_from(place).unwrap_or_default()),
                what,
            };
            let ending = ended.or(said).or_else(|| causes.iter().any(|cause| cause.kind.is_root()).then_some(Ending::Failed));
            let count = causes.len();
            records.extend(causes.into_iter().enumerate().map(|(place, cause)| record(place, What::Failed(cause))));
            records.push(record(count, ending.map_or(What::Began, What::Ended)));
        }
        records
    }
}

impl Told {
    fn take(&mut self, said: Said) {
        let (writer, cause) = match said {
            Said::Failed { tag, cause, .. } => (tag, Some(cause.without_session())),
            Said::Succeeded { tag } => (tag, None),
        };
        let writer = writer.filter(|_| !self.one_release);
        if self.by_writer.len() == RELEASES && !self.by_writer.contains_key(&writer) {
            return;
        }
        let (causes, ending) = self.by_writer.entry(writer).or_default();
        match cause {
            None => *ending = Some(Ending::Succeeded),
            Some(cause) => {
                if cause.kind.is_root() {
                    *ending = None;
                }
                if causes.len() < CAUSES && !causes.contains(&cause) {
                    causes.push(cause);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::assemble;

    fn releases(log: &str, ended: Option<Ending>) -> Vec<(String, Option<Ending>, usize)> {
        let deployment =
            Deployment { release: "run-7".to_owned(), service: "shop".to_owned(), role: None, at: Timestamp::UNIX_EPOCH, ended };
        let mut reader = DeploymentLog::new(deployment);
        reader.read(log.as_bytes());
        assemble(reader.end()).into_iter().map(|release| (release.service, release.ending, release.causes.len())).collect()
    }

    const DENIED: &str = "Error: User: arn:aws:iam::1:user/ci is not authorized to perform: sqs:CreateQueue on resource: *\n";

    #[test]
    fn a_log_says_how_its_deployment_ended() {
        for (log, ended, expected) in [
            (DENIED.to_owned(), None, Some(Ending::Failed)),
            (format!("{DENIED}retrying\nApply complete! Resources: 1 added\n"), None, Some(Ending::Succeeded)),
            (format!("Apply complete!\n{DENIED}"), None, Some(Ending::Failed)),
            ("nothing of note\n".to_owned(), None, None),
            ("nothing of note\n".to_owned(), Some(Ending::Failed), Some(Ending::Failed)),
            (DENIED.to_owned(), Some(Ending::Succeeded), Some(Ending::Succeeded)),
        ] {
            let found = releases(&log, ended);
            assert_eq!(found.iter().map(|(_, ending, _)| *ending).collect::<Vec<_>>(), [expected], "{log}");
        }
    }

    #[test]
    fn a_log_of_several_releases_is_told_apart_unless_it_is_said_to_be_one() {
        let log = format!("[api] {DENIED}[web] ✅  deployed\n");
        let apart = [("api".to_owned(), Some(Ending::Failed), 1), ("web".to_owned(), Some(Ending::Succeeded), 0)];
        assert_eq!(releases(&log, None), apart);
        assert_eq!(releases(&log, Some(Ending::Failed)), [("shop".to_owned(), Some(Ending::Failed), 1)]);
    }
}
