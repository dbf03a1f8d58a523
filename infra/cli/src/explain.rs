//! `flywheel explain`: the whole story of an event or a subject, in sentences.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;
use flywheel_model::{Event, Id};
use flywheel_report::{describe, explanation};
use jiff::Timestamp;
use serde::Serialize;

use crate::ledger::{FOLLOWED, causes_of, effects_of, events_about, ledger};
use crate::output::Output;
use crate::site::Site;

#[derive(Args)]
pub(crate) struct Explain {
    /// An event's id, or a subject as events name it: experiment/…, rate/…, data-source/KB/DS
    what: String,
}

/// One part of a story.
#[derive(Serialize)]
struct Told {
    at: Timestamp,
    id: Id,
    kind: &'static str,
    subject: String,
    /// Whether it is what was asked about, or what that came of or led to.
    part: Part,
    sentence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<String>,
    causes: Vec<Id>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    CameOf,
    Itself,
    LedTo,
}

impl Explain {
    pub(crate) async fn run(self, site: &Site, output: &Output) -> Result<()> {
        let ledger = ledger(site)?;
        let itself = events_about(&ledger, &self.what).await?;
        let (came_of, cut) = causes_of(&ledger, &itself).await?;
        let (led_to, more) = effects_of(&ledger, &itself).await?;
        let mut known = BTreeSet::new();
        let parts = [(Part::Itself, itself), (Part::CameOf, came_of), (Part::LedTo, led_to)];
        let mut story: Vec<(Part, Event)> =
            parts.into_iter().flat_map(|(part, events)| events.into_iter().map(move |event| (part, event))).collect();
        // What is both a cause and an effect of a subject is told once.
        story.retain(|(_, event)| known.insert(event.id.clone()));
        story.sort_by(|(_, one), (_, other)| one.by_time(other));
        let story: Vec<Told> = story.into_iter().map(|(part, event)| tell(part, event)).collect();
        output.show(&story, &words(&story, cut || more))
    }
}

fn tell(part: Part, event: Event) -> Told {
    let (sentence, explanation) = (describe(&event), explanation(&event).map(str::to_owned));
    Told { at: event.at, kind: event.kind(), part, sentence, explanation, id: event.id, subject: event.subject, causes: event.causes }
}

fn words(story: &[Told], cut: bool) -> String {
    let mut lines = Vec::new();
    let mut day = String::new();
    for told in story {
        let date = told.at.strftime("%Y-%m-%d").to_string();
        if date != day {
            lines.push(format!("{}{date} (UTC)", if day.is_empty() { "" } else { "\n" }));
            day = date;
        }
        let mark = match told.part {
            Part::CameOf => "came of",
            Part::Itself => "       ",
            Part::LedTo => "led to ",
        };
        lines.push(format!("  {}  {mark}  {}", told.at.strftime("%H:%M:%S"), told.sentence));
        lines.push(format!("                     {} {}", told.kind, told.id));
        if let Some(explanation) = &told.explanation {
            lines.push(format!("                     {explanation}"));
        }
    }
    if cut {
        lines.push(format!("\nNot all of it: the first {FOLLOWED} each way"));
    }
    lines.join("\n")
}
