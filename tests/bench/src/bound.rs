//! The soonest that a burst can be in step, computed from the quotas alone.
//!
//! A burst of changed objects is spread evenly over data sources. Each data source takes one of two roads:
//!
//! - direct: its documents in requests of at most so many, at a rate that the whole account shares;
//! - a job: one start, at a rate that the whole account shares, a number of jobs at once in the account and one in each
//!   knowledge base.
//!
//! All data sources have the same number of documents, so a schedule is told by how many of them go by job; the best one
//! is found by trying each number. Everything else is taken to cost nothing: events arrive at once, nobody waits for a
//! burst to settle, every answer is known at once, and all tokens of a rate are there when the burst begins. What remains
//! is what the quotas and Bedrock's own speed leave to nobody. A data source that is split between the roads could end a
//! little sooner still; no such schedule is tried, since direct ingestion and a job exclude each other on a data source.

/// What the account may do, and how long Bedrock takes. Times are in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// Job starts a second, one at a time.
    pub(crate) job_starts_per_second: f64,
    /// Jobs at once in the account.
    pub(crate) running_jobs: usize,
    /// Direct requests a second; as many may be made at once after a pause.
    pub(crate) direct_requests_per_second: f64,
    /// Documents in a direct request.
    pub(crate) documents_per_request: usize,
    /// What a job takes before its first document.
    pub(crate) job_overhead: f64,
    /// What a job takes for each changed document.
    pub(crate) job_per_document: f64,
    /// From a direct request until its documents are in the index.
    pub(crate) direct_latency: f64,
}

/// A burst: `objects` spread evenly over `data_sources` in turn, written at a steady rate from 0 on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Burst {
    /// Objects changed.
    pub(crate) objects: usize,
    /// Data sources they belong to.
    pub(crate) data_sources: usize,
    /// Knowledge bases that these data sources belong to, as many to each.
    pub(crate) knowledge_bases: usize,
    /// Objects written a second.
    pub(crate) per_second: f64,
}

/// The best schedule found.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(crate) struct Bound {
    /// When the last document is in step.
    pub(crate) seconds: f64,
    /// How many data sources go by job; the others go directly.
    pub(crate) by_job: usize,
}

impl Burst {
    /// Documents of one data source: of the fullest, should they not come out even.
    pub(crate) fn documents_each(&self) -> usize {
        self.objects.div_ceil(self.data_sources)
    }

    /// When an object is written, counted from 0.
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn written(&self, object: usize) -> f64 {
        object as f64 / self.per_second
    }

    /// Before this no data source has had its last change.
    fn first_complete(&self) -> f64 {
        self.written(self.objects.saturating_sub(self.data_sources))
    }

    fn last_written(&self) -> f64 {
        self.written(self.objects.saturating_sub(1))
    }
}

/// The soonest end over both roads.
pub(crate) fn any_road(limits: &Limits, burst: &Burst) -> Bound {
    (0..=burst.data_sources)
        .map(|by_job| Bound { seconds: end(limits, burst, by_job), by_job })
        .min_by(|a, b| a.seconds.total_cmp(&b.seconds))
        .unwrap_or(Bound { seconds: 0.0, by_job: 0 })
}

/// The soonest end if every data source takes the road that a threshold chooses: directly up to so many documents, by job
/// above.
pub(crate) fn same_roads(limits: &Limits, burst: &Burst, direct_at_most: usize) -> Bound {
    let by_job = if burst.documents_each() > direct_at_most { burst.data_sources } else { 0 };
    Bound { seconds: end(limits, burst, by_job), by_job }
}

/// When everything is in step if so many data sources go by job.
fn end(limits: &Limits, burst: &Burst, by_job: usize) -> f64 {
    let jobs = jobs_end(limits, burst, by_job);
    let direct = direct_end(limits, burst, burst.data_sources - by_job);
    jobs.max(direct).max(burst.last_written())
}

/// When the last of so many equal jobs ends. A job reads what is in the bucket when it starts, so none starts before its
/// data source had its last change.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn jobs_end(limits: &Limits, burst: &Burst, jobs: usize) -> f64 {
    let takes = limits.job_per_document.mul_add(burst.documents_each() as f64, limits.job_overhead);
    let at_once = limits.running_jobs.min(burst.knowledge_bases).max(1);
    let mut starts: Vec<f64> = Vec::with_capacity(jobs);
    for job in 0..jobs {
        let rate = starts.last().map_or(0.0, |last| last + 1.0 / limits.job_starts_per_second);
        let slot = job.checked_sub(at_once).map_or(0.0, |earlier| starts[earlier] + takes);
        starts.push(burst.first_complete().max(rate).max(slot));
    }
    starts.last().map_or(0.0, |last| last + takes)
}

/// When the last document of so many data sources that go directly is in the index.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn direct_end(limits: &Limits, burst: &Burst, data_sources: usize) -> f64 {
    if data_sources == 0 {
        return 0.0;
    }
    let requests = (data_sources * burst.documents_each().div_ceil(limits.documents_per_request)) as f64;
    let at_once = limits.direct_requests_per_second.max(1.0);
    let last_request = ((requests - at_once) / limits.direct_requests_per_second).max(burst.first_complete()).max(0.0);
    last_request + limits.direct_latency
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        job_starts_per_second: 0.1,
        running_jobs: 5,
        direct_requests_per_second: 5.0,
        documents_per_request: 10,
        job_overhead: 5.0,
        job_per_document: 0.02,
        direct_latency: 3.0,
    };

    fn burst(objects: usize, data_sources: usize, knowledge_bases: usize) -> Burst {
        // So fast that writing takes no time.
        Burst { objects, data_sources, knowledge_bases, per_second: 1e12 }
    }

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-6
    }

    #[test]
    fn ten_requests_at_five_a_second_take_one_second_more_than_the_first_five() {
        let found = same_roads(&LIMITS, &burst(100, 1, 1), 100);
        assert!(close(found.seconds, 1.0 + 3.0) && found.by_job == 0, "{found:?}");
    }

    #[test]
    fn requests_are_not_shared_by_data_sources() {
        // 50 data sources with 2 documents each need 50 requests, not 10.
        let found = same_roads(&LIMITS, &burst(100, 50, 50), 100);
        assert!(close(found.seconds, 9.0 + 3.0), "{found:?}");
    }

    #[test]
    fn jobs_start_ten_seconds_apart() {
        let found = same_roads(&LIMITS, &burst(1_000, 5, 5), 100);
        assert!(close(found.seconds, 40.0 + 5.0 + 4.0) && found.by_job == 5, "{found:?}");
    }

    #[test]
    fn jobs_of_one_knowledge_base_follow_each_other() {
        let found = same_roads(&LIMITS, &burst(10_000, 5, 1), 100);
        assert!(close(found.seconds, 5.0 * (5.0 + 40.0)), "{found:?}");
    }

    #[test]
    fn no_more_than_five_jobs_run_at_once() {
        // 12 jobs of 205 s: the sixth waits for the first to end, the eleventh for the sixth.
        let found = same_roads(&LIMITS, &burst(120_000, 12, 12), 100);
        assert!(close(found.seconds, 2.0 * 205.0 + 10.0 + 205.0), "{found:?}");
    }

    #[test]
    fn the_best_mix_uses_both_roads() {
        // One job alone takes 9 s, the other 4 data sources directly 75 requests more than the first 5.
        let found = any_road(&LIMITS, &burst(1_000, 5, 5));
        assert!(found.by_job == 1 && close(found.seconds, 15.0 + 3.0), "{found:?}");
        assert!(found.seconds < same_roads(&LIMITS, &burst(1_000, 5, 5), 100).seconds);
    }

    #[test]
    fn nothing_ends_before_the_last_object_was_written() {
        let slow = Burst { per_second: 1.0, ..burst(100, 1, 1) };
        let found = any_road(&LIMITS, &slow);
        assert!(close(found.seconds, 99.0 + 3.0), "{found:?}");
        assert!(close(same_roads(&LIMITS, &slow, 50).seconds, 99.0 + 7.0));
    }

    #[test]
    fn higher_quotas_never_make_it_later() {
        for (objects, data_sources) in [(100, 1), (1_000, 5), (10_000, 50)] {
            let burst = burst(objects, data_sources, data_sources);
            let before = any_road(&LIMITS, &burst).seconds;
            for limits in [
                Limits { job_starts_per_second: 1.0, ..LIMITS },
                Limits { running_jobs: 10, ..LIMITS },
                Limits { direct_requests_per_second: 20.0, ..LIMITS },
                Limits { documents_per_request: 25, ..LIMITS },
            ] {
                assert!(any_road(&limits, &burst).seconds <= before);
            }
        }
    }
}
