//! Reads the text log of a deployment as it comes, in memory that does not grow with it.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::cause::{Cause, Kind};
use crate::understand::{LONGEST, understand};

/// The most bytes of a line that are looked at; what is beyond is passed over.
const LINE: usize = LONGEST;

/// The most lines of one message: what tools and terminals break one into.
const LINES: usize = 8;

/// How many releases may be interleaved in one log, each with a message that may go on. The one that was quiet longest is
/// taken to be complete where there are more.
const OPEN: usize = 32;

/// What a log said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Something failed.
    Failed {
        /// Whose line it was, if several write into the log: what stands in front, `[api]`, `api |` or `api<TAB>`.
        tag: Option<String>,
        /// The line, from 1, where the message begins.
        line: u64,
        /// Why.
        cause: Cause,
    },
    /// A deployment ended well.
    Succeeded {
        /// Whose line it was.
        tag: Option<String>,
    },
}

/// Reads a log piece by piece.
#[derive(Debug, Default)]
pub struct LogReader {
    /// The beginning of a line that is not complete yet.
    partial: Vec<u8>,
    line: u64,
    /// Messages that may go on in the next line, the last one written to at the end.
    open: Vec<Message>,
}

#[derive(Debug)]
struct Message {
    tag: Option<String>,
    line: u64,
    lines: usize,
    text: String,
}

impl LogReader {
    /// Reads on.
    pub fn read(&mut self, mut bytes: &[u8], said: &mut impl FnMut(Said)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            if self.partial.is_empty() {
                self.take_line(line, said);
            } else {
                self.keep(line);
                let line = std::mem::take(&mut self.partial);
                self.take_line(&line, said);
            }
        }
        self.keep(bytes);
    }

    /// Ends: what was still open is complete.
    pub fn end(mut self, said: &mut impl FnMut(Said)) {
        let line = std::mem::take(&mut self.partial);
        if !line.is_empty() {
            self.take_line(&line, said);
        }
        for message in std::mem::take(&mut self.open) {
            message.tell(said);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn take_line(&mut self, line: &[u8], said: &mut impl FnMut(Said)) {
        self.line += 1;
        let line = &line[..line.len().min(LINE)];
        let speaks = SPEAKING.is_match(line);
        if !speaks && self.open.is_empty() || line.contains(&0) {
            return;
        }
        let text = String::from_utf8_lossy(line);
        let (tag, rest) = tagged(&text);
        if let Some(at) = self.open.iter().position(|message| message.tag.as_deref() == tag) {
            let mut message = self.open.remove(at);
            if message.goes_on(rest, speaks) {
                message.lines += 1;
                message.text.push('\n');
                message.text.push_str(rest);
                self.open.push(message);
                return;
            }
            message.tell(said);
        }
        if !speaks {
            return;
        }
        if SUCCEEDED.is_match(rest) && !FAILED.is_match(rest) {
            said(Said::Succeeded { tag: tag.map(str::to_owned) });
            return;
        }
        if self.open.len() == OPEN {
            self.open.remove(0).tell(said);
        }
        self.open.push(Message { tag: tag.map(str::to_owned), line: self.line, lines: 1, text: rest.to_owned() });
    }
}

impl Message {
    /// Whether the next line of the same writer belongs to it: it is indented, or the message cannot end where it does.
    fn goes_on(&self, next: &str, speaks: bool) -> bool {
        if self.lines == LINES || self.text.len() + next.len() > LONGEST || next.trim().is_empty() {
            return false;
        }
        let text = self.text.trim_end();
        let last_line = text.rsplit('\n').next().unwrap_or_default();
        let last_word = text.rsplit([' ', '\n']).next().unwrap_or_default();
        let is_open = text.ends_with([':', '(', ',', '-', '/', '[']) || UNFINISHED.iter().any(|word| last_word.eq_ignore_ascii_case(word));
        let is_full = last_line.len() >= 76 && NAMES_MORE.is_match(text) && !is_told(next);
        let is_indented = next.starts_with([' ', '\t', '│']) && !is_told(next);
        is_open && (!speaks || !is_told(next) || NAMES_MORE.is_match(text)) || is_full || is_indented
    }

    fn tell(self, said: &mut impl FnMut(Said)) {
        let cause = understand(&self.text);
        // Words such as "not found" say something only where something failed.
        let is_sure = cause.kind.is_denial() && cause.action.is_some() || matches!(cause.kind, Kind::BadCredentials | Kind::ModelAccess);
        if cause.kind != Kind::Other && (is_sure || FAILED.is_match(&self.text)) {
            said(Said::Failed { tag: self.tag, line: self.line, cause });
        }
    }
}

/// Whether a line tells a failure of its own.
fn is_told(line: &str) -> bool {
    FAILED.is_match(line) && understand(line).kind != Kind::Other
}

/// Words after which a message goes on.
const UNFINISHED: &[&str] = &[
    "to",
    "perform",
    "on",
    "resource",
    "because",
    "no",
    "identity-based",
    "resource-based",
    "policy",
    "allows",
    "the",
    "with",
    "an",
    "explicit",
    "deny",
    "in",
    "a",
    "not",
    "is",
    "authorized",
    "calling",
    "when",
    "user",
];

fn finder(words: &[&str]) -> AhoCorasick {
    AhoCorasick::builder().ascii_case_insensitive(true).match_kind(MatchKind::LeftmostFirst).build(words).expect("few short words")
}

/// What a line says that may say why something failed, or that nothing did.
static SPEAKING: LazyLock<AhoCorasick> = LazyLock::new(|| {
    finder(&[
        "error",
        "fail",
        "denied",
        "authoriz",
        "authoris",
        "exception",
        "exceed",
        "expired",
        "credential",
        "throttl",
        "rate exc",
        "quota",
        "permission",
        "already exist",
        "not exist",
        "not found",
        "requires capab",
        "policy allows",
        "forbidden",
        "cancelled",
        "complete!",
        "success",
        "succeeded",
        "deployed",
        "✅",
        "unable to",
        "cannot",
    ])
});

/// That something failed.
static FAILED: LazyLock<AhoCorasick> = LazyLock::new(|| {
    finder(&[
        "error",
        "fail",
        "denied",
        "not authoriz",
        "exception",
        "fatal",
        "❌",
        "✖",
        "status code: 4",
        "status code: 5",
        "unable to",
        "cannot",
        "could not",
        "forbidden",
        "rollback",
        "cancelled",
        "policy allows",
        "requires capab",
    ])
});

/// That a deployment ended well.
static SUCCEEDED: LazyLock<AhoCorasick> = LazyLock::new(|| {
    finder(&[
        "✅",
        "apply complete!",
        "successfully created/updated stack",
        "successfully deployed",
        "deployment succeeded",
        "deployed to stack",
        "deployment complete",
    ])
});

/// A denial, whose names may follow.
static NAMES_MORE: LazyLock<AhoCorasick> =
    LazyLock::new(|| finder(&["not authorized", "resource handler returned message", "policy allows", "on resource"]));

/// The writer in front of a line and what it wrote, both without timestamps.
fn tagged(line: &str) -> (Option<&str>, &str) {
    let line = past_time(line.trim_end_matches('\r'));
    let tag = |tag: &'_ str| {
        tag.len() <= 64 && tag.bytes().any(|byte| byte.is_ascii_alphabetic()) && !LEVELS.iter().any(|level| tag.eq_ignore_ascii_case(level))
    };
    if let Some((name, rest)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        && tag(name)
        && !name.contains(' ')
    {
        return (Some(name), past_time(rest.strip_prefix(' ').unwrap_or(rest)));
    }
    if let Some((name, rest)) = line.split_once(['|', '\t'])
        && tag(name.trim_end())
        && !name.trim_end().is_empty()
        && !name.trim().contains(' ')
        && !name.starts_with(' ')
    {
        return (Some(name.trim_end()), past_time(rest.strip_prefix(' ').unwrap_or(rest)));
    }
    (None, line)
}

const LEVELS: &[&str] =
    &["error", "err", "warn", "warning", "info", "debug", "trace", "fatal", "notice", "stderr", "stdout", "terraform", "command"];

/// Past a time at the beginning of a line: digits and what stands between them, in brackets or not.
fn past_time(line: &str) -> &str {
    let mut rest = line;
    for _ in 0..2 {
        let token = rest.split(' ').next().unwrap_or_default();
        let inner = token.trim_start_matches('[').trim_end_matches(']');
        let is_time = inner.len() >= 5
            && inner.bytes().filter(u8::is_ascii_digit).count() >= 4
            && inner.bytes().any(|byte| byte == b':' || byte == b'-')
            && inner.bytes().all(|byte| byte.is_ascii_digit() || b":-.,/TZ+".contains(&byte));
        if !is_time || token.len() == rest.len() {
            return rest;
        }
        rest = &rest[token.len() + 1..];
    }
    rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(log: &[u8], piece: usize) -> Vec<Said> {
        let mut all = Vec::new();
        let mut reader = LogReader::default();
        for bytes in log.chunks(piece.max(1)) {
            reader.read(bytes, &mut |said| all.push(said));
        }
        reader.end(&mut |said| all.push(said));
        all
    }

    /// Tag, line and action or kind of what failed.
    fn failed(log: &str) -> Vec<(Option<String>, u64, String)> {
        let told = read(log.as_bytes(), 4_096).into_iter().filter_map(|said| match said {
            Said::Failed { tag, line, cause } => Some((tag, line, cause.action.unwrap_or_else(|| cause.kind.name().to_owned()))),
            Said::Succeeded { .. } => None,
        });
        told.collect()
    }

    fn told(tag: Option<&str>, line: u64, what: &str) -> (Option<String>, u64, String) {
        (tag.map(str::to_owned), line, what.to_owned())
    }

    #[test]
    fn a_message_over_several_lines_is_one() {
        let log = "12:00:01 deploying\n\
            2026-01-01T12:00:02Z Error: creating role: AccessDenied: User: arn:aws:iam::1:user/ci is not authorized to\n\
            2026-01-01T12:00:02Z perform: iam:CreateRole on resource: arn:aws:iam::1:role/app\n\
            2026-01-01T12:00:02Z \tstatus code: 403, request id: 1\n\
            12:00:03 done\n";
        assert_eq!(failed(log), [told(None, 2, "iam:CreateRole")]);
    }

    #[test]
    fn interleaved_releases_keep_their_own_messages() {
        let log = "[api] Error: User: arn:aws:iam::1:user/a is not authorized to perform:\n\
            [web] Error: User: arn:aws:iam::1:user/b is not authorized to perform:\n\
            [web] sqs:CreateQueue on resource: arn:aws:sqs:eu-west-1:1:q\n\
            [api] sns:CreateTopic on resource: arn:aws:sns:eu-west-1:1:t\n\
            [web] ✅  web\n";
        let mut all = failed(log);
        all.sort();
        assert_eq!(all, [told(Some("api"), 1, "sns:CreateTopic"), told(Some("web"), 2, "sqs:CreateQueue")]);
        assert!(read(log.as_bytes(), 7).contains(&Said::Succeeded { tag: Some("web".to_owned()) }));
    }

    #[test]
    fn two_failures_in_a_row_are_two() {
        let log = "app | CREATE_FAILED | AWS::SNS::Topic | User: arn:aws:iam::1:user/a is not authorized to perform: sns:CreateTopic on resource: arn:aws:sns:eu-west-1:1:t\n\
            app | CREATE_FAILED | AWS::SQS::Queue | User: arn:aws:iam::1:user/a is not authorized to perform: sqs:CreateQueue on resource: arn:aws:sqs:eu-west-1:1:q\n\
            app | CREATE_FAILED | AWS::S3::Bucket | Resource creation cancelled\n";
        assert_eq!(
            failed(log),
            [told(Some("app"), 1, "sns:CreateTopic"), told(Some("app"), 2, "sqs:CreateQueue"), told(Some("app"), 3, "cascade")]
        );
    }

    #[test]
    fn what_a_build_says_all_day_is_no_failure() {
        let log = "npm WARN optional file not found\n0 vulnerabilities, 12 packages already exist\nwarning: invalid peer range\nUPDATE_COMPLETE\n";
        assert_eq!(failed(log), []);
    }

    #[test]
    fn bytes_that_are_no_text_are_passed_over() {
        let mut log = b"\x7fELF\0\0denied\0\n\xff\xfe error \xc3\n".to_vec();
        log.extend_from_slice(b"ExpiredToken: the token\xff has expired");
        assert_eq!(read(&log, 3).len(), 1);
    }

    #[test]
    fn a_line_without_end_takes_no_more_than_its_share_of_memory() {
        let mut reader = LogReader::default();
        for _ in 0..1_000 {
            reader.read(&[b'x'; 10_000], &mut |_| {});
        }
        assert!(reader.partial.capacity() <= 2 * LINE);
    }

    proptest! {
        #[test]
        fn how_a_log_is_cut_into_pieces_does_not_matter(lines in proptest::collection::vec("(\\[a\\] )?(Error: |AccessDenied: |is not authorized to perform:|iam:PassRole |on resource: |  x|\\PC){0,6}", 0..12), piece in 1..40_usize) {
            let log = lines.join("\n");
            prop_assert_eq!(read(log.as_bytes(), piece), read(log.as_bytes(), 1 << 20));
        }
    }
}
