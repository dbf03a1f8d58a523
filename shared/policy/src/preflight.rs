//! What the policy says of checks before releases.

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::file::Check;

/// When releases fail often enough for checks before them, and how such checks work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PreflightPolicy {
    /// The share of releases that fail for preventable causes from which on checks are added. 0.01 to 1, default 0.4.
    pub failed_share: f64,
    /// With 95% confidence the share must be at least this much: few releases show a large share by chance. 0 to 1, default
    /// 0.2.
    pub surely: f64,
    /// With fewer releases nothing is concluded. 1 to 10,000, default 10.
    pub minimum_releases: u32,
    /// How many releases a cause must have failed before it becomes a check. 1 to 100, default 2.
    pub recurs: u32,
    /// Days of the past that are looked at. 1 to 365, default 90.
    pub window_days: u32,
    /// A check that has caught nothing for this many days is retired. 1 to 3,650, default 180.
    pub retire_days: u32,
    /// What a check that cannot be made does to the release.
    pub when_unable: WhenUnable,
    /// ARNs of the roles that deploy: their denied calls are read from CloudTrail, and checks may ask IAM about them. Empty
    /// for none and all roles and users of the account respectively.
    pub roles: Vec<String>,
}

/// What a check that cannot be made does to a release.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenUnable {
    /// The release starts, and the report says what was not checked: fail open.
    #[default]
    Warn,
    /// The release does not start: fail closed.
    Stop,
}

/// The table `[preflight]` as written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Preflight {
    failed_share: Option<Spanned<f64>>,
    surely: Option<Spanned<f64>>,
    minimum_releases: Option<Spanned<u32>>,
    recurs: Option<Spanned<u32>>,
    window_days: Option<Spanned<u32>>,
    retire_days: Option<Spanned<u32>>,
    when_unable: WhenUnable,
    roles: Vec<Spanned<String>>,
}

impl Check<'_> {
    pub(crate) fn preflight(&mut self, table: Preflight) -> PreflightPolicy {
        for role in &table.roles {
            let arn = role.get_ref();
            if !arn.starts_with("arn:") || !arn.contains(":iam::") || !arn.contains(":role/") || arn.contains(['*', '"', '$']) {
                let fix = "write the role's ARN, such as \"arn:aws:iam::111122223333:role/deploy\"";
                self.problem(role.span(), "preflight.roles", format!("{arn:?} is not the ARN of a role"), fix);
            }
        }
        PreflightPolicy {
            failed_share: self.number("preflight.failed_share", table.failed_share, 0.4, 0.01..=1.0),
            surely: self.number("preflight.surely", table.surely, 0.2, 0.0..=1.0),
            minimum_releases: self.number("preflight.minimum_releases", table.minimum_releases, 10, 1..=10_000),
            recurs: self.number("preflight.recurs", table.recurs, 2, 1..=100),
            window_days: self.number("preflight.window_days", table.window_days, 90, 1..=365),
            retire_days: self.number("preflight.retire_days", table.retire_days, 180, 1..=3_650),
            when_unable: table.when_unable,
            roles: table.roles.into_iter().map(Spanned::into_inner).collect(),
        }
    }
}
