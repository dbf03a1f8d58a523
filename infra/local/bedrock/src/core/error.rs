//! How a call can end other than well.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The errors that the Bedrock agent API models, by the names it gives them on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ErrorCode {
    /// Over a rate.
    #[serde(rename = "ThrottlingException")]
    Throttling,
    /// The target is busy with something that excludes this.
    #[serde(rename = "ConflictException")]
    Conflict,
    /// Over a number of things that may exist or run at once.
    #[serde(rename = "ServiceQuotaExceededException")]
    ServiceQuotaExceeded,
    /// The request is malformed, or (direct ingestion only) the data source is busy.
    #[serde(rename = "ValidationException")]
    Validation,
    /// No such knowledge base, data source or job.
    #[serde(rename = "ResourceNotFoundException")]
    ResourceNotFound,
    /// The caller may not do this. The core raises it only when a fault says so.
    #[serde(rename = "AccessDeniedException")]
    AccessDenied,
    /// The service's own failure. The core raises it only when a fault says so.
    #[serde(rename = "InternalServerException")]
    InternalServer,
}

impl ErrorCode {
    /// The name on the wire, as in the `x-amzn-errortype` header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Throttling => "ThrottlingException",
            Self::Conflict => "ConflictException",
            Self::ServiceQuotaExceeded => "ServiceQuotaExceededException",
            Self::Validation => "ValidationException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::AccessDenied => "AccessDeniedException",
            Self::InternalServer => "InternalServerException",
        }
    }

    /// The HTTP status that the API's model gives this error.
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::Throttling => 429,
            Self::Conflict => 409,
            Self::ServiceQuotaExceeded | Self::Validation => 400,
            Self::ResourceNotFound => 404,
            Self::AccessDenied => 403,
            Self::InternalServer => 500,
        }
    }

    /// What the service says when a fault gives no words of its own.
    pub(crate) fn default_message(self) -> &'static str {
        match self {
            Self::Throttling => "Rate exceeded",
            Self::Conflict => "There was a conflict performing an operation.",
            Self::ServiceQuotaExceeded => "The number of requests exceeds the service quota.",
            Self::Validation => "Input validation failed.",
            Self::ResourceNotFound => "The specified resource was not found.",
            Self::AccessDenied => "The request is denied because of missing access permissions.",
            Self::InternalServer => "An internal server error occurred. Retry your request.",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// An answer that says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// Which of the modelled errors.
    pub code: ErrorCode,
    /// The service's words. Callers must not decide by them, except where the API leaves nothing else.
    pub message: String,
}

impl ApiError {
    /// An error with these words.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ApiError {}

/// Why a caller has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The service answered with an error.
    Api(ApiError),
    /// No answer came. Whether the request took effect cannot be told from here, which is the point of it.
    ConnectionLost,
}

impl CallError {
    /// The modelled error, if there was an answer.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Api(error) => Some(error.code),
            Self::ConnectionLost => None,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(error) => error.fmt(out),
            Self::ConnectionLost => out.write_str("the connection was lost before an answer came"),
        }
    }
}

impl std::error::Error for CallError {}

/// A refusal inside the core: the answer, and the limit that the caller ran into, if it was one.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: ApiError,
    pub(crate) limit: Option<super::quotas::Limit>,
}

impl Refusal {
    pub(crate) fn of(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { error: ApiError::new(code, message), limit: None }
    }

    pub(crate) fn over(limit: super::quotas::Limit, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { error: ApiError::new(code, message), limit: Some(limit) }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::of(ErrorCode::Validation, message)
    }

    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        Self::of(ErrorCode::ResourceNotFound, format!("{what} with id {id} does not exist."))
    }
}
