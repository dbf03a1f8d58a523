//! A stand-in for Amazon Bedrock knowledge bases, for local runs and tests.
//!
//! Local emulators of AWS answer for knowledge bases, but their jobs end at once, never exclude each other, ignore
//! client tokens and count no deletions, so nothing that must live with the real service can be shown against them.
//! This one keeps the semantics that matter to a caller: jobs take time and move through their states, every quota is
//! enforced, tokens are idempotent, documents fail one by one, and what was ingested can be retrieved.
//!
//! [`core`] is the service without transport, clock or bucket, for tests that run it thousands of times in memory.
//! [`server`] puts it behind the HTTP interface that the AWS SDKs speak.

pub mod core;
pub mod server;
