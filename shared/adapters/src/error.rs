//! What an SDK error means.

use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use flywheel_model::Answer;
use flywheel_ports::{NoAnswer, Unavailable};

pub(crate) fn unavailable<E, R>(what: &'static str) -> impl FnOnce(SdkError<E, R>) -> Unavailable
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    move |error| Unavailable { what, why: described(&error) }
}

/// The service's error and words, or what went wrong on the way.
pub(crate) fn described<E, R>(error: &SdkError<E, R>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    match error.as_service_error() {
        Some(service) => format!("{}: {}", service.code().unwrap_or("unnamed error"), service.message().unwrap_or("no message")),
        None => DisplayErrorContext(error).to_string(),
    }
}

/// What an error of a request that changes something means for the one who sent it.
pub(crate) fn answer<E, R>(error: &SdkError<E, R>) -> Answer
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    let message = described(error);
    let Some(service) = error.as_service_error() else { return Answer::Lost { message } };
    match service.code() {
        Some("ThrottlingException" | "TooManyRequestsException") => Answer::Throttled { message },
        Some("ConflictException" | "ServiceQuotaExceededException") => Answer::Conflict { message },
        // Direct ingestion has no ConflictException in its model: while a job runs it says so in a ValidationException.
        Some("ValidationException") if message.to_ascii_lowercase().contains("ongoing") => Answer::Conflict { message },
        Some("AccessDeniedException" | "ResourceNotFoundException" | "ValidationException") => Answer::Refused { message },
        // The same in the words of Parameter Store, Lambda, AppConfig and SQS.
        Some("ParameterNotFound" | "InvalidParameterValueException" | "BadRequestException" | "AccessDenied") => {
            Answer::Refused { message }
        }
        Some("QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue") => Answer::Refused { message },
        // The service failed on the way; what it had done by then is not known.
        _ => Answer::Lost { message },
    }
}

/// What an error of a question means.
pub(crate) fn no_answer<E, R>(error: &SdkError<E, R>) -> NoAnswer
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    match answer(error) {
        Answer::Refused { message } => NoAnswer::Refused(message),
        _ => NoAnswer::Later(described(error)),
    }
}
