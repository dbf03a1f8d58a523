//! Signature and role checks, borrowed from a local AWS that knows how to make them.
//!
//! The local AWS verifies signatures and enforces roles for the operations of Bedrock too, but knows none of our
//! knowledge bases: what it would allow ends in "not found" or in an empty result, and what it would not allow in 403.
//! So the request goes there first, as it is, and only what it lets through is served here.

use anyhow::{Context, bail};
use axum::body::{Body, Bytes, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, StatusCode, Uri, header};
use axum::response::Response;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::is_loopback;

/// The most that a refusal may say.
const MAX_REFUSAL_BYTES: usize = 1 << 20;

/// Whether a request claims a signature for Bedrock. One without, or one for another service, is taken for another
/// service's request by the local AWS, which then says nothing of whether it may be served here.
fn is_signed_for_bedrock(head: &Parts) -> bool {
    let authorization = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let claim = authorization.and_then(|value| value.strip_prefix("AWS4-HMAC-SHA256 "));
    let scope = claim.and_then(|claim| claim.split([',', ' ']).find_map(|part| part.strip_prefix("Credential=")));
    scope.is_some_and(|scope| scope.ends_with("/bedrock/aws4_request"))
}

/// Where requests are checked.
#[derive(Clone, Debug)]
pub(super) struct Authorizer {
    address: String,
}

impl Authorizer {
    /// Checks requests at this `http://` URL, which must be on this machine.
    pub(super) fn new(url: &str) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
        let host = uri.host().unwrap_or_default();
        if uri.scheme_str() != Some("http") || !is_loopback(host) {
            bail!("requests are authorized over http on this machine only, not at {url}");
        }
        Ok(Self { address: format!("{host}:{}", uri.port_u16().unwrap_or(80)) })
    }

    /// The refusal to pass on, if the request is not allowed.
    pub(super) async fn refusal(&self, head: &Parts, body: Bytes) -> anyhow::Result<Option<Response>> {
        if !is_signed_for_bedrock(head) {
            let mut refusal = Response::new(Body::from(r#"{"message":"Missing Authentication Token"}"#));
            *refusal.status_mut() = StatusCode::FORBIDDEN;
            let name = HeaderValue::from_static("MissingAuthenticationTokenException");
            refusal.headers_mut().insert("x-amzn-errortype", name);
            return Ok(Some(refusal));
        }
        let stream = TcpStream::connect(&self.address).await.with_context(|| format!("cannot reach {}", self.address))?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake::<_, Body>(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = head.method.clone();
        // As it came, escapes and all: the signature covers it.
        *request.uri_mut() = head.uri.path_and_query().map_or("/", |it| it.as_str()).parse()?;
        *request.headers_mut() = head.headers.clone();
        let answer = sender.send_request(request).await?;
        let (answer_head, answer_body) = answer.into_parts();
        let content = to_bytes(Body::new(answer_body), MAX_REFUSAL_BYTES).await?;
        driver.abort();
        if answer_head.status.is_success() || answer_head.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let mut refusal = Response::new(Body::from(content));
        *refusal.status_mut() = answer_head.status;
        for name in ["content-type", "x-amzn-errortype"] {
            if let Some(value) = answer_head.headers.get(name) {
                refusal.headers_mut().insert(name, value.clone());
            }
        }
        // Without a type of the API's own, an SDK could not tell a denial from any other failure.
        if answer_head.status == StatusCode::FORBIDDEN && !refusal.headers().contains_key("x-amzn-errortype") {
            refusal.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static("AccessDeniedException"));
        }
        Ok(Some(refusal))
    }
}
