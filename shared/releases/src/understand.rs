//! Reads the text of a failure.
//!
//! AWS words a denial in few ways ("Troubleshoot access denied error messages", IAM user guide), and each tool puts its own
//! around them. So what is looked for is AWS's wording: first whether access was denied, then whose policy is the reason,
//! then the names. Texts about anything else are told apart by their error codes and by the words of the services.

use crate::action::{action_of, literal, passed_to, prefix_of_operation, prefix_of_service};
use crate::cause::{Cause, Kind};
use crate::name;
use crate::plain::Plain;
use crate::quota;

/// The most bytes of a text that are read: messages are shorter, and what surrounds a longer one says nothing of it.
pub const LONGEST: usize = 16 * 1024;

/// Why something failed, as far as its text tells. A text that says nothing of it is [`Kind::Other`].
#[must_use]
pub fn understand(text: &str) -> Cause {
    let text = &text[..text.floor_char_boundary(LONGEST)];
    let plain = Plain::of(text);
    let cause = read(&plain);
    if cause.action.is_some() || !matches!(cause.kind, Kind::Other | Kind::OpaqueDenial) || !plain.text.contains('\n') {
        return cause;
    }
    // A terminal may have broken lines within words. What is joined names an action only where AWS's words follow it.
    let joined = plain.joined();
    let found = read(&joined);
    let is_sure = |action: &String| {
        let action = action.to_ascii_lowercase();
        [" on resource", " because", " action", " with an explicit"].iter().any(|next| joined.has(&format!("{action}{next}")))
    };
    let names_one = found.action.as_ref().is_some_and(is_sure);
    if names_one || cause.kind == Kind::Other && found.action.is_none() { found } else { cause }
}

fn read(whole: &Plain) -> Cause {
    let (rest, cascade) = without_cascade(whole);
    let text = rest.as_ref().unwrap_or(whole);
    if text.has_any(NO_MODEL_ACCESS) {
        let action = named_action(text).map(|(action, _)| action);
        return Cause { action, resource: name::arn(text), ..Cause::of(Kind::ModelAccess) };
    }
    if text.has_any(BAD_CREDENTIALS) {
        return Cause::of(Kind::BadCredentials);
    }
    if text.has_any(NEEDED_FIRST) && named_action(text).is_none() && !text.has("insufficient permission") {
        return Cause { resource: name::missing(text), ..Cause::of(Kind::MissingPrerequisite) };
    }
    if let Some(cause) = denial(text) {
        return cause;
    }
    let is_other = |kind: &Kind| text.has_any(words_of(*kind));
    let kind = match [Kind::Throttling, Kind::Quota].into_iter().find(is_other) {
        Some(kind) => kind,
        None if missing_of_the_release(text) => Kind::Cascade,
        None => match [Kind::MissingPrerequisite, Kind::Conflict, Kind::InvalidRequest].into_iter().find(is_other) {
            Some(kind) => kind,
            None if cascade || text.has_any(CASCADES) => Kind::Cascade,
            None => Kind::Other,
        },
    };
    let resource = match kind {
        Kind::Cascade => name::arn(whole),
        Kind::MissingPrerequisite => name::missing(text),
        Kind::Conflict => name::existing(text),
        Kind::Other => name::resource_type(text),
        _ => None,
    };
    let quota = if kind == Kind::Quota { quota::named(text) } else { None };
    let version = if kind == Kind::MissingPrerequisite { bootstrap_version(text) } else { None };
    Cause { resource, quota, version, ..Cause::of(kind) }
}

/// The version of the CDK's bootstrap that a release asks for: `requires bootstrap stack version '14'`, `CDK bootstrap stack
/// version 6 required`.
fn bootstrap_version(text: &Plain) -> Option<u32> {
    let at = text.after("bootstrap stack version ", 0)?;
    let rest = text.flat[at..].trim_start_matches(['\'', '"', ' ']);
    rest[..rest.bytes().take_while(u8::is_ascii_digit).count()].parse().ok()
}

/// The text without CloudFormation's lists of resources that failed, whose names say nothing; and whether there were any.
fn without_cascade(text: &Plain) -> (Option<Plain>, bool) {
    const LIST: &str = "the following resource(s) failed to ";
    let mut kept = String::new();
    let mut from = 0;
    while let Some(end) = text.after(LIST, from) {
        kept.push_str(&text.text[from..end - LIST.len()]);
        let list = &text.text[end..];
        from = end + list.find(']').map_or(list.len(), |close| close + 1);
    }
    if from == 0 {
        return (None, false);
    }
    kept.push_str(&text.text[from..]);
    (Some(Plain::of(&kept)), true)
}

/// What was denied to whom, if the text says that access was denied.
fn denial(text: &Plain) -> Option<Cause> {
    let named = named_action(text).or_else(|| called_action(text));
    // Where AWS names the action, its words say whose policy it is.
    let trust = text.has_any(NOT_TRUSTED)
        && (named.is_none() || text.has_any(&["trust relationship", "trust polic", "perform assumerole on role"]));
    if !trust && !text.has_any(DENIED) && !DENIED_WORDS.iter().any(|word| text.has_word(word)) {
        return None;
    }
    let action = named.as_ref().map(|(action, _)| action.clone());
    let is_assuming = action.as_deref().is_some_and(|action| action.starts_with("sts:AssumeRole"));
    let kind = if text.has_any(&[
        "explicit deny in a permissions boundary",
        "explicit deny in a session policy",
        "no permissions bound",
        "no session polic",
    ]) {
        Kind::BoundaryDeny
    } else if text.has_any(&[
        "with an explicit",
        "explicit deny",
        "no service control",
        "no resource control",
        "service control policy denies",
    ]) {
        Kind::ExplicitDeny
    } else if text.has_any(&["no role trust polic"]) || text.has("no resource-based") && is_assuming {
        Kind::TrustPolicy
    } else if text.has_any(&["no resource-based", "no vpc endpoint polic"]) || text.has_any(OF_THE_RESOURCE) {
        Kind::ResourcePolicy
    } else if action.as_deref().is_some_and(|action| matches!(action, "sts:AssumeRoleWithWebIdentity" | "sts:AssumeRoleWithSAML")) {
        // Whoever asks for these has no identity in the account yet: only the role's trust policy can allow them.
        Kind::TrustPolicy
    } else if trust && (is_assuming || action.is_none()) {
        Kind::TrustPolicy
    } else if action.is_some() {
        Kind::MissingPermission
    } else {
        Kind::OpaqueDenial
    };
    let action = match kind {
        Kind::TrustPolicy => action.or_else(|| Some("sts:AssumeRole".to_owned())),
        _ => action,
    };
    let resource = name::denied(text, named.map_or(0, |(_, end)| end));
    let (principal, resource) = match kind {
        Kind::TrustPolicy => (name::principal(text).or_else(|| service_to_be_trusted(text)), resource.or_else(|| name::role(text))),
        _ => (name::principal(text), resource),
    };
    let mut cause = Cause { principal, action, resource, encoded: name::encoded(text), ..Cause::of(kind) };
    if cause.action.as_deref() == Some("iam:PassRole")
        && let Some(service) = calling_service(text).and_then(passed_to)
    {
        cause.tell("iam:PassedToService", std::iter::once(service));
    }
    Some(cause)
}

/// The prefix of the service that was called, as AWS's SDKs write it behind or before a message: `(Service: Lambda,`,
/// `operation error Lambda: CreateFunction`.
fn calling_service(text: &Plain) -> Option<&'static str> {
    let at = text.after("(service: ", 0).or_else(|| text.after("operation error ", 0))?;
    prefix_of_service(text.text[at..].split([',', ';', ':', ')']).next()?)
}

/// The service that wants to assume a role: `cannot be assumed by Lambda`.
fn service_to_be_trusted(text: &Plain) -> Option<String> {
    let at = text.after("assumed by ", 0)?;
    let name: &str = text.text[at..].split(['.', ',', ';', '(', '\n', '"']).next()?;
    prefix_of_service(name).map(|prefix| format!("{prefix}.amazonaws.com"))
}

/// The action that the text writes out, and where it ends.
fn named_action(text: &Plain) -> Option<(String, usize)> {
    let mut from_leads = LEADS.iter().filter_map(|lead| {
        let mut from = 0;
        while let Some(at) = text.after(lead, from) {
            if let Some(found) = action_at(text, past_fillers(text, at)) {
                return Some(found);
            }
            from = at;
        }
        None
    });
    from_leads.next().or_else(|| {
        let bytes = text.text.as_bytes();
        let begins = |at: &usize| {
            bytes[*at].is_ascii_lowercase()
                && !at.checked_sub(1).is_some_and(|before| bytes[before].is_ascii_alphanumeric() || b":-._/@$".contains(&bytes[before]))
        };
        (0..bytes.len()).filter(begins).find_map(|at| {
            let (action, length) = literal(&text.text[at..], true)?;
            (!is_cut(text, at + length)).then_some((action, at + length))
        })
    })
}

/// The action written at a place, also if the line was broken within it.
fn action_at(text: &Plain, at: usize) -> Option<(String, usize)> {
    let rest = text.text.get(at..)?;
    let (action, length) = literal(rest, false)?;
    let end = at + length;
    if is_cut(text, end) {
        return None;
    }
    // What follows an action is known; anything else after a line break is the rest of it.
    if text.text[end..].starts_with('\n') {
        let more = text.text[end + 1..].bytes().take_while(u8::is_ascii_alphanumeric).count();
        let after = end + 1 + more;
        let goes_on = AFTER_ACTION.iter().any(|word| text.flat[end + 1..].starts_with(word));
        let ends_well = AFTER_ACTION.iter().any(|word| text.flat[after..].trim_start().starts_with(word));
        if more > 0 && !goes_on && ends_well {
            return Some((format!("{action}{}", &text.text[end + 1..after]), after));
        }
    }
    Some((action, end))
}

const AFTER_ACTION: &[&str] = &["on ", "because", "with ", "action", "(", "in ", "for ", "permission"];

/// Whether a name ends in the dots of someone who cut the text.
fn is_cut(text: &Plain, end: usize) -> bool {
    let rest = &text.text[end..];
    rest.starts_with("...") || rest.starts_with('…') || rest.starts_with("[...")
}

fn past_fillers(text: &Plain, mut at: usize) -> usize {
    const FILLERS: &[&str] =
        &["the ", "following ", "required ", "action ", "actions ", "operation ", "iam ", "api ", "permission ", "permissions "];
    loop {
        let rest = &text.flat[at..];
        let skipped = rest.bytes().take_while(|byte| b" :='\"([{*\\<-".contains(byte)).count();
        let filler = FILLERS.iter().find(|filler| rest[skipped..].starts_with(**filler));
        // `iam ` and `api ` are fillers, `iam:` and `api:` begin an action.
        match (skipped, filler) {
            (0, None) => return at,
            (skipped, filler) => at += skipped + filler.map_or(0, |filler| filler.len()),
        }
    }
}

/// The action of a call that the text names without its service's prefix, if the service is certain.
fn called_action(text: &Plain) -> Option<(String, usize)> {
    for lead in CALLS {
        let mut from = 0;
        while let Some(at) = text.after(lead, from) {
            from = at;
            let start = past_fillers(text, at);
            let length = text.text[start..].bytes().take_while(u8::is_ascii_alphanumeric).count();
            let (operation, end) = (&text.text[start..start + length], start + length);
            // A word of prose has one capital at most.
            if operation.bytes().skip(1).filter(u8::is_ascii_uppercase).count() == 0 || is_cut(text, end) {
                continue;
            }
            let on = text.flat[end..].strip_prefix(" on ").map(|_| &text.text[end + 4..]);
            let service = on.and_then(|service| prefix_of_service(service.split(['(', ',', '.', ';', '\n', ':']).next()?.trim()));
            let of_arn = || name::arn(text).and_then(|arn| prefix_of_service(arn.split(':').nth(2)?));
            let of_ec2 = || text.has("unauthorizedoperation").then_some("ec2");
            let prefix = service.or_else(|| prefix_of_operation(operation)).or_else(of_ec2).or_else(of_arn);
            if let Some(prefix) = prefix {
                return Some((action_of(prefix, operation), end));
            }
        }
    }
    // The SDK for Go, and so Terraform: `operation error IAM: CreateRole, https response error …`.
    let at = text.after("operation error ", 0)?;
    let (service, rest) = text.text[at..].split_once(": ")?;
    let operation: &str = rest.split(|letter: char| !letter.is_ascii_alphanumeric()).next().filter(|name| !name.is_empty())?;
    Some((action_of(prefix_of_service(service)?, operation), at + service.len() + 2 + operation.len()))
}

/// What the release itself was to make is not there: its stack, or a function, resource or change set of it.
fn missing_of_the_release(text: &Plain) -> bool {
    let is_missing = text.has_any(&["not found", "does not exist", "notfound", "cannot find", "could not find"]);
    let of_a_stack = text.has_any(&["for stack ", "changeset", "change set", "stack with id ", "stack '", "stack ["]);
    let reads =
        text.has_any(&["when calling the get", "when calling the describe", "when calling the list", "operation error lambda: get"]);
    is_missing && (of_a_stack && !text.has_any(&["toolkit", "bootstrap"]) || reads && text.has("function not found"))
}

/// Before a written action.
const LEADS: &[&str] = &[
    "authorized to perform",
    "authorised to perform",
    "permission to perform",
    "permissions to perform",
    "allowed to perform",
    "policy allows the",
    "boundary allows the",
    "policies allow the",
    "authorized to call",
    "authorized to invoke",
    "permission to call",
    "permissions to call",
    "permission to invoke",
    "allowed to call",
    "missing permission",
    "missing permissions",
    "missing required permission",
    "requires permission",
    "requires the permission",
    "lacks permission",
    "lacks the permission",
    "lack permission",
    "permission for",
    "permissions for",
    "access denied for operation",
    "api:",
];

/// Before an operation without its service's prefix.
const CALLS: &[&str] = &[
    "permissions to call",
    "permission to call",
    "permissions to perform",
    "permission to perform",
    "authorized to call",
    "authorized to perform",
    "authorized to invoke",
    "credentials have permission to",
    "have permission to",
    "can perform the",
    "when calling the",
];

/// Someone was denied.
const DENIED: &[&str] = &[
    "not authorized",
    "not authorised",
    "unauthorizedoperation",
    "accessdenied",
    "access denied",
    "access is denied",
    "access to the resource",
    "authorization failure",
    "authorizationerror",
    "notauthorized",
    "bad authorization",
    "insufficient permission",
    "insufficient privilege",
    "not have permission",
    "n't have permission",
    "not have the permission",
    "not have sufficient permission",
    "not have the required permission",
    "not have required permission",
    "not have necessary permission",
    "not have the necessary permission",
    "not have access",
    "n't have access",
    "missing permission",
    "lacks permission",
    "lack permission",
    "lacks the",
    "no permission",
    "permissions error",
    "not permitted to perform",
    "pass role is not allowed",
    "not allowed to perform",
    "not allowed to access",
    "based policy allows the",
    "boundary allows the",
    "policy denies",
    "explicit deny",
    "role can perform the",
    "is denied",
    "been denied",
    "does not allow aws",
    "forbiddenexception",
    "invalid permissions",
    "unauthorizedexception",
    "unauthorizedaccess",
    "httpstatuscode: 403",
    "status code: 403",
    "statuscode: 403",
    "s3bucketpermission",
    "insufficients3bucketpolicy",
];

/// The same, as words that are parts of others.
const DENIED_WORDS: &[&str] = &["forbidden", "accessdeniedexception"];

/// The policy of what was asked for is the reason.
const OF_THE_RESOURCE: &[&str] = &[
    "insufficients3bucketpolicy",
    "incorrect s3 bucket policy",
    "access denied for bucket",
    "bucket policy does not",
    "key policy does not",
    "resource policy does not",
    "repository policy does not",
    "topic policy does not",
    "queue policy does not",
];

/// A role does not trust who wants to be it.
const NOT_TRUSTED: &[&str] = &[
    "cannot be assumed",
    "can not be assumed",
    "can't be assumed",
    "cannot assume role",
    "cannot assume the",
    "could not assume role",
    "could not be assumed",
    "not authorized to assume",
    "perform assumerole on role",
    "not authorised to assume",
    "unable to assume",
    "failed to assume role",
    "permission to assume",
    "trust relationship",
    "trust policy",
    "assumable by",
    "not allow to assume",
    "be used to assume",
    "can assume the role",
    "can assume the provided role",
    "does not trust",
    "assumerolewithwebidentity",
    "assumerolewithsaml",
];

/// The account has no access to a model of Bedrock.
const NO_MODEL_ACCESS: &[&str] = &[
    "the model with the specified model id",
    "account is not authorized to invoke this api operation",
    "account is not authorized to invoke this model",
    "not authorized to access this model",
    "model access is denied",
    "model access has not been",
    "model access not granted",
    "access to this model is not available",
    "access to this model has not been",
    "access to bedrock models is not allowed",
    "not been granted access to the model",
    "don't have access to the model",
    "do not have access to the model",
    "does not have access to the model",
    "doesn't have access to the model",
    "have access to this model",
    "use case details have not been submitted",
    "use case details",
    "request access to the model",
    "request model access",
    "enable model access",
    "enable access to this model",
    "this model is marked by provider as legacy",
    "model is not enabled",
    "invalid_payment_instrument",
];

/// The credentials are the reason.
const BAD_CREDENTIALS: &[&str] = &[
    "expiredtoken",
    "token has expired",
    "token is expired",
    "token included in the request is expired",
    "security token included in the request is invalid",
    "security token expired",
    "invalidclienttokenid",
    "invalidaccesskeyid",
    "signaturedoesnotmatch",
    "signature we calculated does not match",
    "incompletesignature",
    "signature expired",
    "requestexpired",
    "unrecognizedclient",
    "missingauthenticationtoken",
    "authfailure",
    "not able to validate the provided access credentials",
    "access key id you provided does not exist",
    "unable to locate credentials",
    "could not load credentials",
    "couldn't load credentials",
    "failed to load credentials",
    "cannot load credentials",
    "unable to load credentials",
    "no credentials have been configured",
    "no valid credential",
    "no credential providers",
    "nocredentialproviders",
    "nocredentials",
    "credentialserror",
    "credentialsprovidererror",
    "credentialunavailable",
    "missing credentials in config",
    "unable to resolve aws account",
    "invalid credentials",
    "credentials were refreshed",
    "failed to refresh cached credentials",
    "partial credentials found",
    "must be logged in",
    "the sso session",
    "sso session associated with this profile",
    "error loading sso token",
    "the config profile",
    "invalididentitytoken",
    "invalid grant",
];

/// What a release needs and a denial does not explain, though its words may be near.
const NEEDED_FIRST: &[&str] = &[
    "service linked role",
    "service-linked role",
    "servicelinkedrole",
    "insufficientcapabilities",
    "requires capabilities",
    "no openidconnect provider found",
    "subscriptionrequired",
    "needs a subscription",
    "optinrequired",
    "not subscribed to",
    "pending verification",
    "cloudwatch logs role arn must be set",
];

/// What failed since something before it did.
const CASCADES: &[&str] = &[
    "resource creation cancelled",
    "resource update cancelled",
    "resource deletion cancelled",
    "creation cancelled",
    "update cancelled",
    "rollback requested by user",
    "was not successfully created",
    "was not successfully updated",
    "was not successfully deleted",
    "embedded stack",
    "nested stack",
    "failed creation, it may need to be manually deleted",
    "rollback_complete",
    "rollback_in_progress",
    "rollback_failed",
    "rolled back",
    "dependent job",
    "upstream",
    "previous step failed",
    "a dependency failed",
    "dependency failed",
    "did not run because",
    "skipped because",
];

fn words_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Throttling => &[
            "throttl",
            "rate exceeded",
            "rate limit",
            "ratelimit",
            "requestlimitexceeded",
            "request limit exceeded",
            "toomanyrequests",
            "too many requests",
            "too many tokens",
            "slowdown",
            "reduce your request rate",
            "provisionedthroughputexceeded",
            "prioranrequestnotcomplete",
            "priorrequestnotcomplete",
            "bandwidthlimitexceeded",
            "requestthrottled",
            "status code: 429",
            "statuscode: 429",
        ],
        Kind::Quota => &[
            "quota",
            "limitexceeded",
            "limit exceeded",
            "limits exceeded",
            "limit has been exceeded",
            "exceeds the limit",
            "exceeded the limit",
            "exceeded the maximum",
            "exceeds the maximum",
            "exceeds maximum",
            "exceed the maximum",
            "maximum number of",
            "maximum limit",
            "limit has been reached",
            "limit was reached",
            "limit reached",
            "reached the limit",
            "reached the maximum",
            "reached your limit",
            "reached maximum",
            "greater than maximum allowed",
            "unreservedconcurrentexecution",
            "unreserved account concurrency",
            "cannot exceed",
            "vcpu limit",
            "toomanybuckets",
            "too many",
            "account limit",
            "service limit",
            "than allowed",
            "has been exceeded",
            "been exceeded",
            "must be smaller than",
        ],
        Kind::MissingPrerequisite => &[
            "does not exist",
            "doesn't exist",
            "do not exist",
            "must exist",
            "not exist",
            "not found",
            "notfound",
            "not be found",
            "n't be found",
            "cannot find",
            "can't find",
            "could not find",
            "couldn't find",
            "unable to find",
            "no such",
            "nosuch",
            "no export named",
            "nonexistent",
            "non-existent",
            "does not have a default",
            "no default vpc",
            "not been bootstrapped",
            "been bootstrapped",
            "bootstrapped?",
            "cdk bootstrap",
            "no bucket named",
            "needs to be bootstrapped",
            "bootstrap stack",
            "run 'cdk bootstrap",
            "unable to fetch parameters",
            "unable to validate the following destination",
            "must be enabled",
            "is not enabled",
            "not subscribed",
            "not opted",
            "not verified",
            "must first",
            "is not registered",
            "no hosted zone",
            "didn't resolve",
            "is not active",
            "not activated",
            "has not been created",
            "is missing in",
        ],
        Kind::Conflict => &[
            "already exist",
            "alreadyexist",
            "already owned",
            "alreadyowned",
            "already in use",
            "already associated",
            "already attached",
            "already registered",
            "already being",
            "already taken",
            "already has",
            "resourceexistencecheck",
            "already in stack",
            "already in progress",
            "currently in progress",
            "update is in progress",
            "is in progress",
            "an update in progress",
            "_in_progress state",
            "_complete state and can",
            "_failed state and can",
            "conflict",
            "concurrentmodification",
            "concurrent modification",
            "concurrent update",
            "operationaborted",
            "operationinprogress",
            "resourceinuse",
            "resource in use",
            "is in use",
            "are in use",
            "still in use",
            "in use by",
            "currently being",
            "deleteconflict",
            "dependencyviolation",
            "dependent object",
            "has dependenc",
            "bucketnotempty",
            "is not empty",
            "not empty",
            "cannot be deleted while",
            "error acquiring the state lock",
            "state lock",
            "is locked",
            "duplicate",
            "another operation",
            "invalidstate",
            "overlaps with",
            "terminationprotection is enabled",
            "termination protection",
        ],
        Kind::InvalidRequest => &[
            "validationexception",
            "validationerror",
            "validation error",
            "validation failure",
            "validation failed",
            "validate the",
            "invalid",
            "malformed",
            "template format error",
            "template error",
            "template validation",
            "unresolved resource dependenc",
            "circular dependenc",
            "extraneous key",
            "is required",
            "required key",
            "required parameter",
            "must be",
            "must have",
            "must specify",
            "must contain",
            "must provide",
            "must match",
            "should be",
            "failed to satisfy constraint",
            "is not supported",
            "isn't supported",
            "not supported",
            "unsupported",
            "unrecognized",
            "unknown parameter",
            "cannot be empty",
            "can not be empty",
            "cannot be updated",
            "cannot be changed",
            "cannot update",
            "encountered unsupported",
            "badrequest",
            "bad request",
            "missing required",
            "missingparameter",
            "parameter validation",
            "not a valid",
            "is not valid",
            "no updates are to be performed",
            "syntax error",
            "expected params",
            "malformed response",
            "status code: 400",
            "statuscode: 400",
        ],
        _ => &[],
    }
}
