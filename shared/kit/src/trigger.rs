//! What the stack's schedules send.

use serde::Deserialize;

/// What a schedule asks for with `{"trigger": "…"}`; nothing if a message is not one of a schedule.
#[must_use]
pub fn trigger(message: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Scheduled {
        trigger: String,
    }
    serde_json::from_str(message).ok().map(|Scheduled { trigger }| trigger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_says_what_it_asks_for_and_other_messages_ask_for_nothing() {
        assert_eq!(trigger(r#"{"trigger":"publish"}"#).as_deref(), Some("publish"));
        for other in ["", "publish", "[]", r#"{"trigger":1}"#, r#"{"detail":{"trigger":"publish"}}"#] {
            assert_eq!(trigger(other), None, "{other}");
        }
    }
}
