//! How much of an account's quotas is used, as Service Quotas, CloudWatch and IAM tell it.

use std::time::{Duration, SystemTime};

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy};
use aws_sdk_iam::types::SummaryKeyType;
use aws_sdk_servicequotas::types::{MetricInfo, ServiceQuota};
use aws_smithy_types::DateTime;
use aws_types::SdkConfig;
use flywheel_engine::preflight::Answer;

use crate::error::described;

/// How far back a use is looked for: services tell CloudWatch of theirs every few minutes.
const LATELY: Duration = Duration::from_secs(3 * 3_600);

/// Seconds of one data point.
const PERIOD: i32 = 300;

/// The quotas of the account that the configuration points to.
#[derive(Debug, Clone)]
pub(crate) struct Quotas {
    quotas: aws_sdk_servicequotas::Client,
    metrics: aws_sdk_cloudwatch::Client,
    iam: aws_sdk_iam::Client,
}

impl Quotas {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self {
            quotas: aws_sdk_servicequotas::Client::new(config),
            metrics: aws_sdk_cloudwatch::Client::new(config),
            iam: aws_sdk_iam::Client::new(config),
        }
    }

    /// Whether so much of a quota is free, or why it cannot be seen.
    pub(crate) async fn room(&self, service: &str, quota: &str, room: u32) -> Result<Answer, String> {
        let (used, of) = if service == "iam" { self.of_iam(quota).await? } else { self.of_service(service, quota).await? };
        // Counts are whole, though both services tell them as floating numbers.
        let answer = if used + f64::from(room) <= of { Answer::Met } else { Answer::Full { used: used as u64, of: of as u64 } };
        Ok(answer)
    }

    async fn of_iam(&self, quota: &str) -> Result<(f64, f64), String> {
        let summary = self.iam.get_account_summary().send().await.map_err(|error| described(&error))?;
        let counts = summary.summary_map.unwrap_or_default();
        let count = |key: &str| counts.get(&SummaryKeyType::from(key)).copied().map(f64::from);
        count(quota).zip(count(&format!("{quota}Quota"))).ok_or_else(|| {
            format!("IAM's account summary has no {quota} with a quota; use Roles, Users, Groups, Policies or InstanceProfiles")
        })
    }

    async fn of_service(&self, service: &str, quota: &str) -> Result<(f64, f64), String> {
        let found = self.quota(service, quota).await?;
        let of = found.value().ok_or("Service Quotas tells no value of it")?;
        if found.period().is_some() {
            return Err("it is a rate: how much of it a release finds free cannot be looked up".to_owned());
        }
        let metric = found.usage_metric().ok_or("Service Quotas names no metric of its use")?;
        Ok((self.used(metric).await?, of))
    }

    /// The quota as applied to the account; AWS's default where none was ever applied.
    async fn quota(&self, service: &str, quota: &str) -> Result<ServiceQuota, String> {
        let missing = || format!("Service Quotas has no quota {quota} of {service} in this Region");
        match self.quotas.get_service_quota().service_code(service).quota_code(quota).send().await {
            Ok(found) => found.quota.ok_or_else(missing),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_resource_exception()) => {
                let default = self.quotas.get_aws_default_service_quota().service_code(service).quota_code(quota).send().await;
                default.map_err(|error| described(&error))?.quota.ok_or_else(missing)
            }
            Err(error) => Err(described(&error)),
        }
    }

    /// The last that CloudWatch was told of a use.
    async fn used(&self, usage: &MetricInfo) -> Result<f64, String> {
        let mut metric = Metric::builder().set_namespace(usage.metric_namespace.clone()).set_metric_name(usage.metric_name.clone());
        for (name, value) in usage.metric_dimensions.iter().flatten() {
            metric = metric.dimensions(Dimension::builder().name(name).value(value).build());
        }
        let statistic = usage.metric_statistic_recommendation().unwrap_or("Maximum");
        let stat = MetricStat::builder().metric(metric.build()).period(PERIOD).stat(statistic).build();
        let now = SystemTime::now();
        let answer = self
            .metrics
            .get_metric_data()
            .metric_data_queries(MetricDataQuery::builder().id("used").metric_stat(stat).build())
            .start_time(DateTime::from(now - LATELY))
            .end_time(DateTime::from(now))
            .scan_by(ScanBy::TimestampDescending)
            .send()
            .await
            .map_err(|error| described(&error))?;
        let last = answer.metric_data_results().first().and_then(|result| result.values().first().copied());
        last.ok_or_else(|| format!("CloudWatch was told of no use in the last {} hours", LATELY.as_secs() / 3_600))
    }
}
