//! The checks file: TOML that people read and change. What Flywheel writes in it carries a seal, so that what a person
//! changed is told apart and left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use flywheel_model::{Backtest, Id, Need, PreflightCheck};
use jiff::Timestamp;
use serde::Deserialize;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};

const HEAD: &str = "\
# What each release is checked for before it starts. Flywheel adds the checks that would have stopped failed releases of the
# past, with their figures. Change what you like: a check that you changed is yours and stays as you wrote it. One that you
# set to state = \"veto\", or take out while its id stays in `learned`, does not come back.
#
# `what` is one of permission (role, action, resource, and in `context` what IAM is to be told of the request for conditions
# to compare: context = { \"iam:PassedToService\" = \"lambda.amazonaws.com\" }), trust (role, service), role, bucket, parameter,
# secret, bootstrap (parameter, at_least), model, and quota (service and quota as Service Quotas codes them, or \"iam\" and
# \"Roles\", \"Users\", \"Policies\" …; room, 1 without it). `services` says before whose releases it is made; without it, before
# all.
version = 1
learned = []
";

/// Whether a check is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is made.
    #[default]
    Active,
    /// Flywheel took it out of use, and the file says why.
    Retired,
    /// A person does not want it.
    Veto,
}

/// One check of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The check.
    pub check: PreflightCheck,
    /// Whether it is made.
    pub state: State,
    /// It stands as Flywheel wrote it; otherwise it is a person's, and Flywheel leaves it alone.
    pub is_learned: bool,
    /// When Flywheel added it.
    pub added: Option<Timestamp>,
}

/// Why a checks file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChecksError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there, and what to write.
    pub problem: String,
}

impl fmt::Display for ChecksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the checks file: {}", self.line, self.problem)
    }
}

impl std::error::Error for ChecksError {}

/// The checks file, with everything that people wrote around the checks.
#[derive(Debug, Clone)]
pub struct ChecksFile {
    document: DocumentMut,
    entries: Vec<Entry>,
    learned: BTreeSet<String>,
}

/// The file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    #[serde(default)]
    learned: BTreeSet<String>,
    #[serde(default)]
    check: Vec<toml::Spanned<WrittenCheck>>,
}

#[derive(Deserialize)]
struct WrittenCheck {
    id: String,
    #[serde(default)]
    services: BTreeSet<String>,
    #[serde(default)]
    state: State,
    seal: Option<String>,
    added: Option<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, toml::Value>,
}

/// Figures and reasons, which say nothing of what is checked.
const NOTES: [&str; 4] = ["caught", "blocked", "releases", "retired_because"];

impl Default for ChecksFile {
    fn default() -> Self {
        Self { document: HEAD.parse().unwrap_or_default(), entries: Vec::new(), learned: BTreeSet::new() }
    }
}

impl ChecksFile {
    /// Reads a checks file.
    ///
    /// # Errors
    /// What is wrong, with its line. Such a file is not changed by Flywheel and fails no release: it is for a person to mend.
    pub fn parse(text: &str) -> Result<Self, ChecksError> {
        let error = |offset: usize, problem: String| ChecksError {
            line: 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count(),
            problem,
        };
        let written: Written =
            toml::from_str(text).map_err(|wrong| error(wrong.span().map_or(0, |span| span.start), wrong.message().replace('\n', " ")))?;
        if written.version != 1 {
            return Err(error(0, format!("version: {} is not known; use version = 1", written.version)));
        }
        let mut entries: Vec<Entry> = Vec::new();
        for check in written.check {
            let at = check.span().start;
            let entry = check.into_inner().entry().map_err(|problem| error(at, problem))?;
            if entries.iter().any(|other| other.check.id == entry.check.id) {
                return Err(error(at, format!("the check {} is there twice; keep one of them", entry.check.id)));
            }
            entries.push(entry);
        }
        let document =
            text.parse::<DocumentMut>().map_err(|wrong| error(wrong.span().map_or(0, |span| span.start), wrong.message().to_owned()))?;
        Ok(Self { document, entries, learned: written.learned })
    }

    /// All checks, in the order of the file.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.clone()
    }

    /// The checks that are made before a release of a service; of all services without one.
    #[must_use]
    pub fn active(&self, service: Option<&str>) -> Vec<PreflightCheck> {
        let is_active = |entry: &&Entry| entry.state == State::Active && service.is_none_or(|service| entry.check.concerns(service));
        self.entries.iter().filter(is_active).map(|entry| entry.check.clone()).collect()
    }

    /// Whether a check is in the file, or was and a person took it out.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.learned.contains(id) || self.entries.iter().any(|entry| entry.check.id == id)
    }

    /// Adds a check with its figures, at the end.
    pub fn add(&mut self, check: &PreflightCheck, backtest: Backtest, now: Timestamp) {
        let mut table = Table::new();
        table.insert("id", value(&check.id));
        for (name, written) in fields(&check.need) {
            table.insert(name, value(written));
        }
        table.insert("services", value(check.services.iter().collect::<Array>()));
        table.insert("added", value(now.to_string()));
        figures(&mut table, backtest);
        table.insert("seal", value(seal(check)));
        if !self.document.contains_key("check") {
            self.document.insert("check", Item::ArrayOfTables(ArrayOfTables::new()));
        }
        let Some(checks) = self.document.get_mut("check").and_then(Item::as_array_of_tables_mut) else { return };
        checks.push(table);
        self.learned.insert(check.id.clone());
        self.document.insert("learned", value(self.learned.iter().collect::<Array>()));
        self.entries.push(Entry { check: check.clone(), state: State::Active, is_learned: true, added: Some(now) });
    }

    /// Takes a check of Flywheel's own out of use.
    pub fn retire(&mut self, id: &str, reason: &str, backtest: Backtest) {
        let checks = self.document.get_mut("check").and_then(Item::as_array_of_tables_mut);
        let table = checks.and_then(|checks| checks.iter_mut().find(|table| table.get("id").and_then(Item::as_str) == Some(id)));
        let (Some(table), Some(entry)) = (table, self.entries.iter_mut().find(|entry| entry.check.id == id && entry.is_learned)) else {
            return;
        };
        table.insert("state", value("retired"));
        table.insert("retired_because", value(reason));
        figures(table, backtest);
        entry.state = State::Retired;
    }
}

impl fmt::Display for ChecksFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.document.fmt(f)
    }
}

impl WrittenCheck {
    fn entry(mut self) -> Result<Entry, String> {
        let id = self.id;
        if id.is_empty() || id.len() > 64 {
            return Err(format!("id: {id:?} is not one; use 1 to 64 characters"));
        }
        for note in NOTES {
            self.rest.remove(note);
        }
        let need: Need = toml::Value::Table(self.rest.clone().into_iter().collect())
            .try_into()
            .map_err(|error: toml::de::Error| format!("the check {id}: {}", error.message()))?;
        let known = fields(&need);
        let is_empty_context = |name: &String| name == "context" && matches!(need, Need::Permission { .. });
        if let Some(unknown) = self.rest.keys().find(|name| known.iter().all(|(field, _)| field != name) && !is_empty_context(name)) {
            return Err(format!(
                "the check {id}: {unknown} is no field of it; use {}",
                known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
            ));
        }
        let added =
            self.added.as_deref().map(|at| at.parse().map_err(|_| format!("the check {id}: added: {at:?} is not a time"))).transpose()?;
        let check = PreflightCheck { id, need, services: self.services };
        let is_learned = self.seal.as_deref() == Some(seal(&check).as_str());
        Ok(Entry { check, state: self.state, is_learned, added })
    }
}

fn figures(table: &mut Table, backtest: Backtest) {
    table.insert("caught", value(i64::from(backtest.caught)));
    table.insert("blocked", value(i64::from(backtest.blocked)));
    table.insert("releases", value(i64::from(backtest.releases)));
}

/// What a check is as Flywheel wrote it: another hash means that a person changed it.
fn seal(check: &PreflightCheck) -> String {
    let services: Vec<&str> = check.services.iter().map(String::as_str).collect();
    Id::of("preflight.seal", &[&check.id, &check.need.to_string(), &services.join(" ")]).as_str()[..16].to_owned()
}

/// The fields of a need, as they stand in the file; all that it may have but those that are empty.
fn fields(need: &Need) -> Vec<(&'static str, Value)> {
    let text = |text: &String| Value::from(text.as_str());
    match need {
        Need::Permission { role, action, resource, context } => {
            let mut fields =
                vec![("what", "permission".into()), ("role", text(role)), ("action", text(action)), ("resource", text(resource))];
            let told: InlineTable = context.iter().map(|(key, values)| (key, values.iter().collect::<Array>())).collect();
            if !told.is_empty() {
                fields.push(("context", told.into()));
            }
            fields
        }
        Need::Trust { role, service } => vec![("what", "trust".into()), ("role", text(role)), ("service", text(service))],
        Need::Role { role } => vec![("what", "role".into()), ("role", text(role))],
        Need::Bucket { bucket } => vec![("what", "bucket".into()), ("bucket", text(bucket))],
        Need::Parameter { parameter } => vec![("what", "parameter".into()), ("parameter", text(parameter))],
        Need::Secret { secret } => vec![("what", "secret".into()), ("secret", text(secret))],
        Need::Bootstrap { parameter, at_least } => {
            vec![("what", "bootstrap".into()), ("parameter", text(parameter)), ("at_least", i64::from(*at_least).into())]
        }
        Need::Model { model } => vec![("what", "model".into()), ("model", text(model))],
        Need::Quota { service, quota, room } => {
            vec![("what", "quota".into()), ("service", text(service)), ("quota", text(quota)), ("room", i64::from(*room).into())]
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(action: &str) -> PreflightCheck {
        let need = Need::permission("arn:aws:iam::111122223333:role/deploy", action, "*");
        PreflightCheck::learned(need, BTreeSet::from(["shop".to_owned()]))
    }

    fn file() -> ChecksFile {
        let mut file = ChecksFile::default();
        file.add(&check("sqs:CreateQueue"), Backtest { releases: 20, caught: 8, blocked: 0 }, Timestamp::UNIX_EPOCH);
        file.add(&check("sns:CreateTopic"), Backtest { releases: 20, caught: 3, blocked: 0 }, Timestamp::UNIX_EPOCH);
        file
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = file().to_string();
        let read = ChecksFile::parse(&text).expect("a checks file");
        assert_eq!(read.entries(), file().entries());
        assert_eq!(read.to_string(), text);
        assert_eq!((read.active(Some("shop")).len(), read.active(Some("blog")).len(), read.active(None).len()), (2, 0, 2));
        assert!(text.starts_with("# What each release is checked for") && text.contains("caught = 8"), "{text}");
    }

    #[test]
    fn a_person_may_say_what_iam_is_told_and_how_much_room_a_quota_needs() {
        let text = "version = 1\n[[check]]\nid = \"pass\"\nwhat = \"permission\"\nrole = \"r\"\naction = \"iam:PassRole\"\nresource = \"*\"\ncontext = { \"iam:PassedToService\" = \"lambda.amazonaws.com\", \"aws:TagKeys\" = [\"a\", \"b\"] }\n\n[[check]]\nid = \"vpc\"\nwhat = \"quota\"\nservice = \"vpc\"\nquota = \"L-F678F1CE\"\nroom = 2\n\n[[check]]\nid = \"roles\"\nwhat = \"quota\"\nservice = \"iam\"\nquota = \"Roles\"\n";
        let needs: Vec<String> =
            ChecksFile::parse(text).expect("a checks file").active(None).iter().map(|check| check.need.to_string()).collect();
        assert_eq!(
            needs,
            [
                "r may perform iam:PassRole on * where aws:TagKeys = a, b and iam:PassedToService = lambda.amazonaws.com",
                "the quota L-F678F1CE of vpc has room for 2",
                "the quota Roles of iam has room for 1",
            ]
        );
    }

    #[test]
    fn a_change_of_what_iam_is_told_makes_a_check_a_persons() {
        let mut file = ChecksFile::default();
        let context = BTreeMap::from([("aws:RequestedRegion".to_owned(), vec!["eu-west-1".to_owned()])]);
        let need = Need::Permission { role: "r".to_owned(), action: "sqs:CreateQueue".to_owned(), resource: "*".to_owned(), context };
        file.add(&PreflightCheck::learned(need, BTreeSet::new()), Backtest::default(), Timestamp::UNIX_EPOCH);
        let text = file.to_string();
        assert!(ChecksFile::parse(&text).expect("a checks file").entries()[0].is_learned, "{text}");
        assert!(!ChecksFile::parse(&text.replace("eu-west-1", "us-east-1")).expect("a checks file").entries()[0].is_learned);
    }

    #[test]
    fn a_persons_words_and_changes_stay_as_they_are() {
        let text = file().to_string().replace("[[check]]", "# Ask Ada before you touch this.\n[[check]]").replacen(
            "resource = \"*\"",
            "resource = \"arn:aws:sqs:*\"",
            1,
        );
        let mut read = ChecksFile::parse(&text).expect("a checks file");
        assert_eq!(read.entries().iter().map(|entry| entry.is_learned).collect::<Vec<_>>(), [false, true]);
        let changed = read.entries()[0].check.id.clone();
        read.retire(&changed, "no", Backtest::default());
        assert_eq!(read.to_string(), text, "Flywheel retires no check of a person");
        read.retire(&check("sns:CreateTopic").id, "it caught nothing", Backtest::default());
        let text = read.to_string();
        assert!(
            text.contains("# Ask Ada") && text.contains("arn:aws:sqs:*") && text.contains("retired_because = \"it caught nothing\""),
            "{text}"
        );
        assert_eq!(ChecksFile::parse(&text).expect("a checks file").active(None).len(), 1);
    }

    #[test]
    fn a_veto_and_a_check_taken_out_are_remembered() {
        let text = file().to_string();
        let vetoed = ChecksFile::parse(&text.replacen("services =", "state = \"veto\"\nservices =", 1)).expect("a checks file");
        assert_eq!((vetoed.active(None).len(), vetoed.knows(&check("sqs:CreateQueue").id)), (1, true));
        let first = text.find("[[check]]").expect("a check");
        let second = first + 5 + text[first + 5..].find("[[check]]").expect("another");
        let without = ChecksFile::parse(&format!("{}{}", &text[..first], &text[second..])).expect("a checks file");
        assert_eq!((without.entries().len(), without.knows(&check("sqs:CreateQueue").id)), (1, true));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, told) in [
            ("version = 2\n", "line 1 of the checks file: version: 2 is not known; use version = 1"),
            ("version = 1\n\n[[check]]\nid = \"a\"\nwhat = \"luck\"\n", "line 3 of the checks file: the check a: unknown variant `luck`"),
            (
                "version = 1\n[[check]]\nid = \"a\"\nwhat = \"role\"\nrole = \"r\"\nrolle = \"s\"\n",
                "line 2 of the checks file: the check a: rolle is no field of it; use what, role",
            ),
            ("version = 1\n[[check]]\nid = \"a\"\nwhat = \"bucket\"\n", "line 2 of the checks file: the check a: missing field `bucket`"),
            ("version = \n", "line 1 of the checks file: "),
        ] {
            let error = ChecksFile::parse(text).map(|_| ()).expect_err(text).to_string();
            assert!(error.starts_with(told), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(text in "(\\PC|\n|\\[\\[check\\]\\]|id = \"a\"|version = 1){0,30}", cut in 0..1_200_usize) {
            let _ = ChecksFile::parse(&text);
            let whole = file().to_string();
            let _ = ChecksFile::parse(&whole[..whole.floor_char_boundary(cut)]);
        }
    }
}
