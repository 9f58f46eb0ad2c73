//! Who works for a pool: threads of this process, or other ranks.

use std::sync::Arc;

use super::crew::Crew;
#[cfg(feature = "mpi")]
use super::mpi::Ranks;
use super::worker::{Command, Desk, name};
use crate::Result;
use crate::policy::Snapshot;
use crate::rollout::{PackedWeights, Published};

pub(super) enum Team {
    /// A worker is a thread. With the weights that they sample from.
    Threads(Crew, Option<Arc<PackedWeights>>),
    /// One thread, whose engine is on a card.
    Card(Crew),
    /// A worker is a rank with workers of its own.
    #[cfg(feature = "mpi")]
    Ranks(Ranks),
}

impl Team {
    /// How many workers report.
    pub fn len(&self) -> usize {
        match self {
            Team::Threads(crew, _) | Team::Card(crew) => crew.len(),
            #[cfg(feature = "mpi")]
            Team::Ranks(ranks) => ranks.len(),
        }
    }

    /// How messages name a worker.
    pub fn name(&self, worker: usize) -> String {
        match self {
            Team::Threads(..) | Team::Card(_) => name(worker),
            #[cfg(feature = "mpi")]
            Team::Ranks(ranks) => ranks.name(worker),
        }
    }

    /// Has all of them sample from these weights from now on.
    pub fn publish(&mut self, snapshot: &Snapshot) -> Result<()> {
        match self {
            Team::Threads(crew, published) => {
                let panels = Arc::new(PackedWeights::pack_after(snapshot, published.as_deref())?);
                *published = Some(panels.clone());
                crew.tell(|| Command::Load(Published::Packed(panels.clone())));
                crew.check()
            }
            Team::Card(crew) => {
                // The copy goes as soon as the engine has its own.
                crew.tell(|| Command::Load(Published::OnCard(snapshot.clone())));
                crew.check()
            }
            #[cfg(feature = "mpi")]
            Team::Ranks(ranks) => ranks.publish(snapshot),
        }
    }

    /// Has all of them drop everything and work for this desk.
    pub fn serve(&self, desk: &Desk) {
        match self {
            Team::Threads(crew, _) | Team::Card(crew) => crew.tell(|| Command::Serve(desk.clone())),
            #[cfg(feature = "mpi")]
            Team::Ranks(ranks) => ranks.serve(desk.clone()),
        }
    }

    /// Has all of them say how far they are.
    pub fn tell(&self) {
        match self {
            Team::Threads(crew, _) | Team::Card(crew) => crew.tell(|| Command::Tell),
            #[cfg(feature = "mpi")]
            Team::Ranks(ranks) => ranks.tell(),
        }
    }

    /// Waits for none of them any more, because one hangs.
    pub fn give_up(&mut self) {
        match self {
            Team::Threads(crew, _) | Team::Card(crew) => crew.give_up(),
            #[cfg(feature = "mpi")]
            Team::Ranks(_) => {}
        }
    }

    /// An error if one of them has ended.
    pub fn check(&self) -> Result<()> {
        match self {
            Team::Threads(crew, _) | Team::Card(crew) => crew.check(),
            // A rank that has died is told of as a worker that has failed.
            #[cfg(feature = "mpi")]
            Team::Ranks(_) => Ok(()),
        }
    }
}
