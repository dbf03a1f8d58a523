//! Events as EventBridge delivers them to a queue (EventBridge user guide, "Events"), and CloudWatch alarms among them
//! (CloudWatch user guide, "Alarm events and EventBridge").

use flywheel_model::{Alarm, AlarmState, Event, Fact, Id, Key, RunStatus, Signal, WorkflowRun};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::signals::read_signal;
use crate::{explained, shortened};

/// The fields that tell what an object is. All are optional, so that any object can be looked at.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "detail-type")]
    detail_type: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    /// What an alarm that invokes a function by itself has in place of `detail`.
    #[serde(borrow, rename = "alarmData")]
    alarm_data: Option<&'a RawValue>,
    #[serde(borrow, rename = "alarmArn")]
    alarm_arn: Option<&'a RawValue>,
    #[serde(rename = "Records")]
    records: Option<IgnoredAny>,
    awslogs: Option<IgnoredAny>,
    #[serde(rename = "TopicArn")]
    topic: Option<IgnoredAny>,
}

/// Reads an event with a signal inside. Nothing if the record is no event: then it should be a signal itself.
pub(crate) fn read(record: &str) -> Option<Result<Signal, String>> {
    let envelope: Envelope = serde_json::from_str(record).ok()?;
    let misled = |reason: &str| Some(Err(reason.to_owned()));
    if envelope.records.is_some() {
        return misled("Records: a notification or a batch of another service; send signals to this queue, see events/signals");
    }
    if envelope.awslogs.is_some() {
        return misled("awslogs: a delivery of CloudWatch Logs; subscribe the function that reads logs, not this queue");
    }
    if envelope.topic.is_some() {
        return misled("TopicArn: SNS has put its own envelope around the message; turn on raw message delivery for the subscription");
    }
    if envelope.detail_type.is_none() && (envelope.source.is_none() || (envelope.detail.is_none() && envelope.alarm_data.is_none())) {
        return None;
    }
    Some(envelope.signal())
}

impl Envelope<'_> {
    fn signal(&self) -> Result<Signal, String> {
        let source = text("source", self.source)?;
        if source == "aws.cloudwatch" && self.names_alarm()? {
            return self.alarm();
        }
        let detail_type = text("detail-type", self.detail_type)?;
        if source == "aws.states" && detail_type == "Step Functions Execution Status Change" {
            return self.execution();
        }
        let advice = "check the rule's event pattern";
        if source == Event::SOURCE {
            return Err(format!("source is {source:?}, so it is an event of Flywheel itself; {advice}"));
        }
        if source.starts_with("aws.") {
            let found = shortened(&detail_type);
            return Err(format!(
                "source is {:?} and detail-type {found:?}; of AWS only \"CloudWatch Alarm State Change\" and \"Step Functions Execution Status Change\" are signals: {advice}",
                shortened(&source)
            ));
        }
        let kind = detail_type.strip_prefix("signal.").filter(|kind| Fact::KINDS.contains(kind));
        let Some(kind) = kind else {
            let kinds = Fact::KINDS.map(|kind| format!("signal.{kind}")).join(", ");
            return Err(format!("detail-type is {:?}; expected one of {kinds}: {advice}", shortened(&detail_type)));
        };
        let detail = self.detail.ok_or("detail is missing; put the signal there")?;
        let signal = read_signal(detail.get(), "detail")?;
        let told = signal.fact.kind();
        if told != kind {
            return Err(format!("detail-type is {detail_type:?}, but detail tells a {told}; send it as signal.{told}"));
        }
        Ok(signal)
    }

    /// An execution of a state machine that ended (AWS Step Functions developer guide, "Automating Step Functions event
    /// delivery with EventBridge"). The state machine is the workflow.
    fn execution(&self) -> Result<Signal, String> {
        let detail = self.detail.ok_or("detail is missing; expected the execution's status")?;
        let mut deserializer = serde_json::Deserializer::from_str(detail.get());
        let change: ExecutionChange = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let wrong = error.inner().to_string();
            let wrong = wrong.split(" at line ").next().unwrap_or_default();
            format!("detail.{}: {}; see events/eventbridge for what Step Functions sends", error.path(), shortened(wrong))
        })?;
        let status = match change.status.as_str() {
            "SUCCEEDED" => RunStatus::Succeeded,
            "FAILED" => RunStatus::Failed,
            "TIMED_OUT" => RunStatus::TimedOut,
            other => {
                return Err(format!(
                    "detail.status is {:?}; expected SUCCEEDED, FAILED or TIMED_OUT: check the rule's event pattern",
                    shortened(other)
                ));
            }
        };
        let stopped = change.stop_date.ok_or("detail.stopDate is missing; expected the time at which the execution ended")?;
        let at =
            Timestamp::from_millisecond(stopped).map_err(|_| format!("detail.stopDate is {stopped}; expected milliseconds since 1970"))?;
        let name = change.state_machine_arn.rsplit(':').next().unwrap_or_default();
        let run = WorkflowRun {
            workflow: Key::try_from(name).map_err(|error| format!("detail.stateMachineArn: {error}"))?,
            status,
            seconds: Some(SignedDuration::from_millis(stopped.saturating_sub(change.start_date)).as_secs_f64()),
            limit_seconds: None,
            tool_calls: None,
            trace: None,
            error: change.error.filter(|_| status == RunStatus::Failed),
        };
        let id = Id::of("execution", &[&change.execution_arn]).to_string();
        Ok(Signal { id: Key::try_from(id).map_err(|error| error.to_string())?, at, fact: Fact::WorkflowRun(run) })
    }

    /// An alarm that invokes a function by itself has no detail-type.
    fn names_alarm(&self) -> Result<bool, String> {
        match self.detail_type {
            None => Ok(self.alarm_data.is_some()),
            given => Ok(text("detail-type", given)? == "CloudWatch Alarm State Change"),
        }
    }

    fn alarm(&self) -> Result<Signal, String> {
        let (name, detail) = match (self.detail, self.alarm_data) {
            (Some(detail), _) => ("detail", detail),
            (None, Some(detail)) => ("alarmData", detail),
            (None, None) => return Err("detail is missing; expected the alarm's state".to_owned()),
        };
        let mut deserializer = serde_json::Deserializer::from_str(detail.get());
        let change: AlarmChange = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let wrong = error.inner().to_string();
            let wrong = wrong.split(" at line ").next().unwrap_or_default();
            format!("{name}.{}: {}; see events/eventbridge for what CloudWatch sends", error.path(), explained(wrong))
        })?;
        // The state's own time is exact to the millisecond, the event's to the second.
        let (field, time) = match change.state.timestamp {
            Some(time) => ("state.timestamp", time),
            None => ("time", text("time", self.time)?),
        };
        let at: Timestamp =
            time.parse().map_err(|_| format!("{field} is {:?}; expected a time such as 2026-11-23T12:00:00Z", shortened(&time)))?;
        let id = match (self.id, self.alarm_arn) {
            (None, Some(arn)) => Id::of("alarm", &[arn.get(), &time]).to_string(),
            (given, _) => text("id", given)?,
        };
        let id = Key::try_from(id).map_err(|error| format!("id: {error}"))?;
        let alarm = Alarm {
            name: change.alarm_name,
            state: change.state.value,
            previous: change.previous_state.map(|previous| previous.value),
            reason: change.state.reason,
        };
        Ok(Signal { id, at, fact: Fact::Alarm(alarm) })
    }
}

/// The detail of an alarm's change, of a metric alarm and of a composite one alike.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlarmChange {
    alarm_name: Key,
    state: State,
    previous_state: Option<State>,
}

#[derive(Deserialize)]
struct State {
    value: AlarmState,
    reason: Option<String>,
    timestamp: Option<String>,
}

/// An execution of a state machine that changed its status. Times are milliseconds since 1970.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecutionChange {
    execution_arn: String,
    state_machine_arn: String,
    status: String,
    start_date: i64,
    stop_date: Option<i64>,
    error: Option<String>,
}

fn text(field: &str, value: Option<&RawValue>) -> Result<String, String> {
    let value = value.ok_or_else(|| format!("{field} is missing; expected an event as EventBridge delivers it"))?;
    serde_json::from_str(value.get()).map_err(|_| format!("{field} is {}; expected a text", shortened(value.get())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn found(event: &Value) -> Result<Signal, String> {
        read(&event.to_string()).expect("an event")
    }

    fn custom(detail_type: &str, source: &str) -> Value {
        json!({
            "version": "0", "id": "e-1", "detail-type": detail_type, "source": source, "time": "2026-11-23T10:00:00Z",
            "detail": { "id": "r-1", "at": "2026-11-23T10:00:00Z", "retrieval": {} },
        })
    }

    fn alarm() -> Value {
        json!({
            "id": "e-2", "detail-type": "CloudWatch Alarm State Change", "source": "aws.cloudwatch", "time": "2026-11-23T10:00:00Z",
            "detail": {
                "alarmName": "answers-slow",
                "state": { "value": "ALARM", "reason": "Threshold Crossed", "timestamp": "2026-11-23T09:59:59.123+0000" },
                "previousState": { "value": "INSUFFICIENT_DATA" },
                "configuration": { "alarmRule": "ALARM(a) OR ALARM(b)" },
            },
        })
    }

    #[test]
    fn a_custom_event_has_the_signal_as_its_detail() {
        let signal = found(&custom("signal.retrieval", "shop.assistant")).expect("a signal");
        assert_eq!((signal.id.as_str(), signal.fact.kind()), ("r-1", "retrieval"));
        for (detail_type, source, told) in [
            ("signal.conversation", "shop", "but detail tells a retrieval"),
            ("signal.document-changed", "flywheel", "an event of Flywheel itself"),
            ("Object Created", "aws.s3", "source is \"aws.s3\""),
            ("order.placed", "shop", "detail-type is \"order.placed\""),
        ] {
            let reason = found(&custom(detail_type, source)).expect_err(detail_type);
            assert!(reason.contains(told), "{reason}");
        }
        let mut wrong = custom("signal.retrieval", "shop");
        wrong["detail"]["retrieval"] = json!({ "passages": [{ "score": "high" }] });
        assert!(found(&wrong).is_err_and(|reason| reason.starts_with("detail.retrieval.passages[0].score: ")));
    }

    #[test]
    fn an_alarm_takes_its_id_from_the_event() {
        let signal = found(&alarm()).expect("a signal");
        assert_eq!((signal.id.as_str(), signal.at.to_string().as_str()), ("e-2", "2026-11-23T09:59:59.123Z"));
        let Fact::Alarm(told) = signal.fact else { panic!("an alarm") };
        assert_eq!((told.state, told.previous), (AlarmState::Alarm, Some(AlarmState::InsufficientData)));

        let mut odd = alarm();
        odd["detail"]["state"]["value"] = json!("WARNING");
        let reason = found(&odd).expect_err("refused");
        assert!(reason.starts_with("detail.state.value: unknown variant `WARNING`"), "{reason}");

        let mut direct = alarm();
        direct["alarmData"] = direct["detail"].take();
        let fields = direct.as_object_mut().expect("an object");
        ["detail", "detail-type", "id"].into_iter().for_each(|field| drop(fields.remove(field)));
        direct["alarmArn"] = json!("arn:aws:cloudwatch:eu-central-1:111122223333:alarm:answers-slow");
        assert_eq!(found(&direct).expect("a signal").id, found(&direct).expect("again").id);
    }

    #[test]
    fn an_execution_of_a_state_machine_is_a_run() {
        let execution = |status: &str, error: Value| {
            json!({
                "id": "e-3", "detail-type": "Step Functions Execution Status Change", "source": "aws.states", "time": "2026-11-23T10:00:31Z",
                "detail": {
                    "executionArn": "arn:aws:states:eu-central-1:111122223333:execution:trip:run-1",
                    "stateMachineArn": "arn:aws:states:eu-central-1:111122223333:stateMachine:trip",
                    "status": status, "startDate": 1_795_428_000_000_i64, "stopDate": 1_795_428_030_250_i64, "error": error,
                },
            })
        };
        let signal = found(&execution("TIMED_OUT", json!("States.Timeout"))).expect("a signal");
        assert_eq!(signal.at.as_millisecond(), 1_795_428_030_250);
        let Fact::WorkflowRun(run) = &signal.fact else { panic!("a run") };
        assert_eq!((run.workflow.as_str(), run.status, run.seconds, &run.error), ("trip", RunStatus::TimedOut, Some(30.25), &None));
        // Told again it is the same, and another status of the same execution is no other run.
        assert_eq!(found(&execution("FAILED", json!("Boom"))).expect("a signal").id, signal.id);
        let reason = found(&execution("RUNNING", Value::Null)).expect_err("it has not ended");
        assert!(reason.contains("detail.status is \"RUNNING\""), "{reason}");
        let mut broken = execution("FAILED", Value::Null);
        broken["detail"]["startDate"] = json!("now");
        assert!(found(&broken).expect_err("refused").starts_with("detail.startDate: "));
    }

    #[test]
    fn what_was_led_here_by_mistake_is_told_where_to_go() {
        for (record, told) in [
            (json!({ "Records": [] }), "a batch of another service"),
            (json!({ "awslogs": { "data": "" } }), "CloudWatch Logs"),
            (json!({ "Type": "Notification", "TopicArn": "arn" }), "raw message delivery"),
            (json!({ "detail-type": 7, "source": "shop" }), "detail-type is 7"),
        ] {
            assert!(found(&record).is_err_and(|reason| reason.contains(told)), "{record}");
        }
        assert!(read(r#"{"id":"x"}"#).is_none());
    }

    proptest! {
        #[test]
        fn no_strange_field_makes_it_panic(a in ".{0,30}", b in ".{0,30}", time in ".{0,30}", state in ".{0,20}") {
            let mut event = alarm();
            event["detail"]["state"] = json!({ "value": state, "timestamp": time });
            let _ = found(&event);
            let mut event = custom(&a, &b);
            event["id"] = json!(b);
            let _ = found(&event);
        }
    }
}
