//! Who works for a pool: threads of this process, or other ranks.

use std::sync::Arc;

#[cfg(feature = "mpi")]
use super::mpi::MpiRanks;
use super::threads::WorkerThreads;
use super::worker::{JobReceiver, WorkerCommand, name};
use crate::Result;
use crate::policy::Snapshot;
use crate::rollout::{PackedWeights, Published};

pub(super) enum WorkerBackend {
    /// A worker is a thread. With the weights that they sample from.
    Threads(WorkerThreads, Option<Arc<PackedWeights>>),
    /// One thread, whose engine is on a card.
    Card(WorkerThreads),
    /// A worker is a rank with workers of its own.
    #[cfg(feature = "mpi")]
    Ranks(MpiRanks),
}

impl WorkerBackend {
    /// How many workers report.
    pub fn len(&self) -> usize {
        match self {
            WorkerBackend::Threads(crew, _) | WorkerBackend::Card(crew) => crew.len(),
            #[cfg(feature = "mpi")]
            WorkerBackend::Ranks(ranks) => ranks.len(),
        }
    }

    /// How messages name a worker.
    pub fn name(&self, worker: usize) -> String {
        match self {
            WorkerBackend::Threads(..) | WorkerBackend::Card(_) => name(worker),
            #[cfg(feature = "mpi")]
            WorkerBackend::Ranks(ranks) => ranks.name(worker),
        }
    }

    /// Has all of them sample from these weights from now on.
    pub fn publish(&mut self, snapshot: &Snapshot) -> Result<()> {
        match self {
            WorkerBackend::Threads(crew, published) => {
                let panels = Arc::new(PackedWeights::pack(snapshot, published.as_deref(), crew.len())?);
                *published = Some(panels.clone());
                crew.tell(|| WorkerCommand::Load(Published::Packed(panels.clone())));
                crew.check()
            }
            WorkerBackend::Card(crew) => {
                // The copy goes as soon as the engine has its own.
                crew.tell(|| WorkerCommand::Load(Published::OnCard(snapshot.clone())));
                crew.check()
            }
            #[cfg(feature = "mpi")]
            WorkerBackend::Ranks(ranks) => ranks.publish(snapshot),
        }
    }

    /// Has all of them drop everything and draw from this queue.
    pub fn serve(&self, desk: &JobReceiver) {
        match self {
            WorkerBackend::Threads(crew, _) | WorkerBackend::Card(crew) => {
                crew.tell(|| WorkerCommand::Reset(desk.clone()))
            }
            #[cfg(feature = "mpi")]
            WorkerBackend::Ranks(ranks) => ranks.serve(desk.clone()),
        }
    }

    /// Has all of them say how far they are.
    pub fn tell(&self) {
        match self {
            WorkerBackend::Threads(crew, _) | WorkerBackend::Card(crew) => crew.tell(|| WorkerCommand::ReportPartial),
            #[cfg(feature = "mpi")]
            WorkerBackend::Ranks(ranks) => ranks.tell(),
        }
    }

    /// Waits for none of them any more, because one hangs.
    pub fn give_up(&mut self) {
        match self {
            WorkerBackend::Threads(crew, _) | WorkerBackend::Card(crew) => crew.give_up(),
            #[cfg(feature = "mpi")]
            WorkerBackend::Ranks(_) => {}
        }
    }

    /// An error if one of them has ended.
    pub fn check(&self) -> Result<()> {
        match self {
            WorkerBackend::Threads(crew, _) | WorkerBackend::Card(crew) => crew.check(),
            // A rank that has died is told of as a worker that has failed.
            #[cfg(feature = "mpi")]
            WorkerBackend::Ranks(_) => Ok(()),
        }
    }
}
