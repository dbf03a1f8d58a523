//! A small shop's assistant, to try regression tests on: it finds and cancels orders, by rules and not by a model, so that it
//! does the same each time. It comes in the version of last week, one that a careless change broke, and versions with one
//! deliberate fault each.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use flywheel_model::{Role, ToolCall, ToolResult, Turn};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A version of the assistant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shop {
    /// It looks an order up by its number without the letter, which the shop's tool does not know.
    pub drops_letter: bool,
    /// It says that an order is cancelled, and does not cancel it.
    pub only_says_cancelled: bool,
    /// It hands everybody over who asks for a refund.
    pub hands_refunds_over: bool,
    /// How it greets: nothing that anybody tests.
    pub greeting: &'static str,
}

impl Shop {
    /// As it was last week, and is again once it is mended.
    pub const MENDED: Self = Self { drops_letter: false, only_says_cancelled: false, hands_refunds_over: false, greeting: "Hello!" };

    /// As the careless change left it.
    pub const BROKEN: Self = Self { drops_letter: true, only_says_cancelled: true, hands_refunds_over: true, ..Self::MENDED };

    /// Its next turn after these.
    #[must_use]
    pub fn reply(self, turns: &[Turn]) -> Turn {
        let Some(asked) = turns.iter().rposition(|turn| turn.role == Role::User) else { return says(self.greeting.to_owned()) };
        let text = turns[asked].text.as_deref().unwrap_or_default().to_lowercase();
        let since = &turns[asked + 1..];
        let results: Vec<&ToolResult> = since.iter().flat_map(|turn| &turn.tool_results).collect();
        let called = |tool: &str| since.iter().flat_map(|turn| &turn.tool_calls).any(|call| call.name == tool);
        let Some(order) = order_in(&turns[..=asked]) else {
            return says(format!("{} Which order is it about?", self.greeting));
        };
        if text.contains("thank") {
            return says("You are welcome.".to_owned());
        }
        if text.contains("refund") && self.hands_refunds_over {
            return if called("transfer_to_human") { says("I connect you.".to_owned()) } else { calls("transfer_to_human", json!({})) };
        }
        if !called("find_order") {
            let number = if self.drops_letter && !text.contains("cancel") { order[1..].to_owned() } else { order };
            return calls("find_order", json!({ "order": number }));
        }
        if results.iter().any(|result| result.error) {
            return says("I could not find your order.".to_owned());
        }
        if text.contains("cancel") {
            return match (called("cancel_order"), self.only_says_cancelled) {
                (false, false) => calls("cancel_order", json!({ "order": order, "reason": "customer" })),
                _ => says(format!("Your order {order} has been cancelled.")),
            };
        }
        if text.contains("refund") {
            return match called("refund_order") {
                false => calls("refund_order", json!({ "order": order })),
                true => says(format!("Your order {order} has been refunded.")),
            };
        }
        says(format!("{} Your order {order} is on its way.", self.greeting))
    }

    /// A conversation with the shop's own tools: what the user says, and all that came of it.
    #[must_use]
    pub fn converse(self, said: &[&str]) -> Vec<Turn> {
        let mut turns = Vec::new();
        for text in said {
            turns.push(Turn { text: Some((*text).to_owned()), ..turn(Role::User) });
            loop {
                let mut reply = self.reply(&turns);
                for (place, call) in reply.tool_calls.iter_mut().enumerate() {
                    call.id = Some(format!("call-{}-{place}", turns.len()));
                }
                let results: Vec<ToolResult> = reply.tool_calls.iter().map(answer).collect();
                turns.push(reply);
                if results.is_empty() {
                    break;
                }
                turns.push(Turn { tool_results: results, ..turn(Role::Tool) });
            }
        }
        turns
    }

    /// Serves it on a free port of 127.0.0.1 until the handle is aborted.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn serve(self) -> Result<(SocketAddr, JoinHandle<()>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot serve the shop's assistant")?;
        let address = listener.local_addr()?;
        let app = Router::new().route("/turn", post(turn_of)).with_state(self);
        let serving = tokio::spawn(async move {
            // It ends with the task.
            let _ = axum::serve(listener, app).await;
        });
        Ok((address, serving))
    }
}

#[derive(Deserialize)]
struct Asked {
    messages: Vec<Turn>,
}

async fn turn_of(State(shop): State<Shop>, Json(asked): Json<Asked>) -> Json<Turn> {
    Json(shop.reply(&asked.messages))
}

fn turn(role: Role) -> Turn {
    Turn { role, text: None, tool_calls: Vec::new(), tool_results: Vec::new(), at: None }
}

fn says(text: String) -> Turn {
    Turn { text: Some(text), ..turn(Role::Assistant) }
}

fn calls(tool: &str, arguments: Value) -> Turn {
    Turn { tool_calls: vec![ToolCall { id: None, name: tool.to_owned(), arguments }], ..turn(Role::Assistant) }
}

/// The order that was named last: a letter and at least three digits.
fn order_in(turns: &[Turn]) -> Option<String> {
    let texts = turns.iter().rev().filter(|turn| turn.role == Role::User).filter_map(|turn| turn.text.as_deref());
    texts.flat_map(|text| text.split(|char: char| !char.is_ascii_alphanumeric())).find_map(|word| {
        let (letter, digits) = word.split_at_checked(1)?;
        let is_order =
            letter.bytes().all(|byte| byte.is_ascii_alphabetic()) && digits.len() >= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_order.then(|| word.to_uppercase())
    })
}

/// The shop's tools.
fn answer(call: &ToolCall) -> ToolResult {
    let order = call.arguments.get("order").and_then(Value::as_str).unwrap_or_default();
    let known = order.starts_with(|char: char| char.is_ascii_alphabetic());
    let (text, error) = match (call.name.as_str(), known) {
        ("transfer_to_human", _) => ("connected".to_owned(), false),
        (_, false) => (format!("Error: order {order} not found"), true),
        ("find_order", true) => (json!({ "order": order, "state": "shipped" }).to_string(), false),
        _ => ("done".to_owned(), false),
    };
    ToolResult { call: call.id.clone(), name: Some(call.name.clone()), text: Some(text), error }
}
