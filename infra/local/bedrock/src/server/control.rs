//! What tests and the local runner steer and inspect a server by: JSON under `/_control/`, not part of AWS's API.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::wire::json_response;
use super::{Config, Server};
use crate::core::Fault;

pub(super) fn router() -> Router<Server> {
    Router::new()
        .route("/_control/health", get(health))
        .route("/_control/calls", get(calls).delete(forget_calls))
        .route("/_control/violations", get(violations))
        .route("/_control/documents", get(documents))
        .route("/_control/jobs", get(jobs))
        .route("/_control/faults", get(faults).post(inject).delete(clear_faults))
        .route("/_control/reset", post(reset))
}

async fn health(State(server): State<Server>) -> Response {
    let data_sources = server.account().data_sources().count();
    ok(&json!({ "status": "ok", "data_sources": data_sources }))
}

async fn calls(State(server): State<Server>) -> Response {
    ok(&json!({ "calls": server.account().calls() }))
}

async fn forget_calls(State(server): State<Server>) -> Response {
    server.account().forget_calls();
    ok(&json!({}))
}

async fn violations(State(server): State<Server>) -> Response {
    ok(&json!({ "violations": server.account().violations() }))
}

async fn documents(State(server): State<Server>) -> Response {
    let mut account = server.account();
    account.advance(Timestamp::now());
    let mut list = Vec::new();
    for source in account.data_sources() {
        for (key, document) in account.documents(&source.knowledge_base, &source.id) {
            let mut shape = json!(document);
            shape["knowledge_base"] = json!(source.knowledge_base);
            shape["data_source"] = json!(source.id);
            shape["key"] = json!(key);
            list.push(shape);
        }
    }
    ok(&json!({ "documents": list }))
}

async fn jobs(State(server): State<Server>) -> Response {
    let mut account = server.account();
    account.advance(Timestamp::now());
    let list: Vec<Value> = account.jobs().map(|job| json!(job)).collect();
    ok(&json!({ "jobs": list }))
}

async fn faults(State(server): State<Server>) -> Response {
    ok(&json!({ "faults": server.account().faults() }))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    More(Vec<Fault>),
    One(Fault),
}

async fn inject(State(server): State<Server>, body: Bytes) -> Response {
    let faults = match serde_json::from_slice(&body) {
        Ok(OneOrMore::One(fault)) => vec![fault],
        Ok(OneOrMore::More(faults)) => faults,
        Err(problem) => return bad(format!("neither a fault nor a list of faults: {problem}")),
    };
    let mut account = server.account();
    for fault in faults {
        account.inject(fault);
    }
    ok(&json!({ "faults": account.faults() }))
}

async fn clear_faults(State(server): State<Server>) -> Response {
    server.account().clear_faults();
    ok(&json!({}))
}

/// Starts over; the body may hold another configuration.
async fn reset(State(server): State<Server>, body: Bytes) -> Response {
    let config: Option<Config> = match body.is_empty() {
        true => None,
        false => match serde_json::from_slice(&body) {
            Ok(config) => Some(config),
            Err(problem) => return bad(format!("not a configuration: {problem}")),
        },
    };
    match server.reset(config.as_ref()).await {
        Ok(()) => ok(&json!({})),
        Err(problem) => bad(format!("{problem:#}")),
    }
}

fn ok(value: &Value) -> Response {
    json_response(StatusCode::OK, value)
}

fn bad(problem: impl Into<String>) -> Response {
    json_response(StatusCode::BAD_REQUEST, &json!({ "error": problem.into() }))
}
