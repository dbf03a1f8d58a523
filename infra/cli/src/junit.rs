//! JUnit's XML, as far as CI servers read it.

use std::fmt::Write as _;

/// A suite of cases.
#[derive(Debug)]
pub(crate) struct Junit {
    name: String,
    cases: String,
    count: usize,
    failed: usize,
    skipped: usize,
}

/// What came of a case.
#[derive(Debug)]
pub(crate) enum Outcome<'t> {
    Passed,
    Failed(&'t str),
    /// It could not be tried.
    Skipped(&'t str),
}

impl Junit {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: escaped(name), cases: String::new(), count: 0, failed: 0, skipped: 0 }
    }

    pub(crate) fn case(&mut self, name: &str, outcome: &Outcome<'_>) {
        self.count += 1;
        let name = escaped(name);
        let _ = match outcome {
            Outcome::Passed => writeln!(self.cases, "  <testcase name=\"{name}\"/>"),
            Outcome::Failed(why) => {
                self.failed += 1;
                writeln!(self.cases, "  <testcase name=\"{name}\"><failure message=\"{}\"/></testcase>", escaped(why))
            }
            Outcome::Skipped(why) => {
                self.skipped += 1;
                writeln!(self.cases, "  <testcase name=\"{name}\"><skipped message=\"{}\"/></testcase>", escaped(why))
            }
        };
    }

    pub(crate) fn xml(&self) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">\n{}</testsuite>\n",
            self.name, self.count, self.failed, self.skipped, self.cases
        )
    }
}

/// Text within XML; characters that XML 1.0 does not have give way to U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
