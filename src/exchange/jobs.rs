//! The queue of jobs: where they are put, and where the reports of workers come in.

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::worker::{JobReceiver, WorkerReport};
use crate::rollout::Job;

pub(super) struct JobSender {
    urgent: Sender<Job>,
    jobs: Sender<Job>,
    pub reports: Receiver<WorkerReport>,
}

impl JobSender {
    /// A new one, with the end that workers draw from. What was asked and said over another one goes with that.
    pub fn open() -> (JobSender, JobReceiver) {
        let ((urgent, urgent_jobs), (jobs, other_jobs), (reports, heard)) = (unbounded(), unbounded(), unbounded());
        (JobSender { urgent, jobs, reports: heard }, JobReceiver { urgent: urgent_jobs, jobs: other_jobs, reports })
    }

    /// Puts a job there, before all others if it is urgent.
    pub fn put(&self, job: Job, urgent: bool) {
        // Fails when the last worker has ended, which is found out elsewhere.
        let _ = if urgent { self.urgent.send(job) } else { self.jobs.send(job) };
    }
}
