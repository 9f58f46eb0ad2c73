//! The other side of a desk: where jobs are put and reports come in.

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::worker::{Desk, Report};
use crate::rollout::Job;

pub(super) struct Counter {
    urgent: Sender<Job>,
    jobs: Sender<Job>,
    pub reports: Receiver<Report>,
}

impl Counter {
    /// A new one, with its desk for the workers. What was asked and said at another one goes with that.
    pub fn open() -> (Counter, Desk) {
        let ((urgent, urgent_jobs), (jobs, other_jobs), (reports, heard)) = (unbounded(), unbounded(), unbounded());
        (Counter { urgent, jobs, reports: heard }, Desk { urgent: urgent_jobs, jobs: other_jobs, reports })
    }

    /// Puts a job there, before all others if it is urgent.
    pub fn put(&self, job: Job, urgent: bool) {
        // Fails when the last worker has ended, which is found out elsewhere.
        let _ = if urgent { self.urgent.send(job) } else { self.jobs.send(job) };
    }
}
