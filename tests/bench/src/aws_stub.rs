//! AWS endpoints that say yes to everything the functions ask while they handle a batch, and count it. They keep nothing:
//! no document was known before, no event is refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::http::{Request, Response, serve};

/// The endpoints.
pub(crate) struct AwsStub {
    pub(crate) address: SocketAddr,
    calls: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl AwsStub {
    /// Starts them; AppConfig serves this policy.
    pub(crate) fn start(policy: String) -> std::io::Result<Self> {
        let calls: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
        let seen = calls.clone();
        let address = serve(move |request| {
            let operation = operation(&request);
            *seen.lock().unwrap_or_else(PoisonError::into_inner).entry(operation.clone()).or_default() += 1;
            Some(answer(&operation, &policy))
        })?;
        Ok(Self { address, calls })
    }

    /// The calls since this was last asked, by operation.
    pub(crate) fn take_calls(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The operation's name: in a header, or, for AppConfig, by its path.
fn operation(request: &Request) -> String {
    match request.header("x-amz-target") {
        Some(target) => target.rsplit('.').next().unwrap_or(target).to_owned(),
        None if request.path.starts_with("/configurationsessions") => "StartConfigurationSession".to_owned(),
        None if request.path.starts_with("/configuration") => "GetLatestConfiguration".to_owned(),
        None => format!("{} {}", request.method, request.path),
    }
}

fn answer(operation: &str, policy: &str) -> Response {
    match operation {
        "GetItem" | "PutItem" | "UpdateItem" | "TransactWriteItems" => Response::json("{}"),
        "Query" => Response::json(r#"{"Items":[],"Count":0,"ScannedCount":0}"#),
        "PutEvents" => Response::json(r#"{"FailedEntryCount":0,"Entries":[]}"#),
        "SendMessage" => Response::json(r#"{"MessageId":"00000000-0000-0000-0000-000000000000"}"#),
        "StartConfigurationSession" => Response::json(r#"{"InitialConfigurationToken":"token"}"#),
        "GetLatestConfiguration" => Response {
            status: 200,
            headers: vec![("next-poll-configuration-token", "token".to_owned()), ("next-poll-interval-in-seconds", "60".to_owned())],
            body: policy.as_bytes().to_vec(),
        },
        _ => Response { status: 400, headers: Vec::new(), body: br#"{"__type":"UnknownOperationException"}"#.to_vec() },
    }
}
