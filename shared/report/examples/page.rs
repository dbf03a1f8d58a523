//! Writes the page of a file of events, as `flywheel ledger list --json` prints them: `page ledger.json report.html`.

use std::error::Error;

use flywheel_model::Event;
use flywheel_report::{Report, page};
use jiff::Timestamp;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(events), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("two arguments are needed: the file of events, and the file to write".into());
    };
    let events: Vec<Event> = serde_json::from_str(&std::fs::read_to_string(events)?)?;
    let times = || events.iter().map(|event| event.at);
    let (from, to) = (times().min().unwrap_or(Timestamp::UNIX_EPOCH), times().max().unwrap_or(Timestamp::UNIX_EPOCH));
    std::fs::write(output, page(&Report::of(&events, from, to)))?;
    Ok(())
}
