//! Writes every event on the bus to the ledger.

use flywheel_model::Event;
use serde_json::Value;

/// Reads the event that a queue message carries: EventBridge's envelope with ours as its detail.
///
/// # Errors
/// Why it is not one, naming what is wrong.
pub fn read(body: &str) -> Result<Event, String> {
    let mut envelope: Value = serde_json::from_str(body).map_err(|error| format!("not JSON: {error}"))?;
    let detail = envelope.get_mut("detail").map(Value::take).ok_or("detail is missing; expected an event from the bus")?;
    serde_json::from_value(detail).map_err(|error| format!("detail: {error}"))
}
