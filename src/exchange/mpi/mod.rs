//! Several processes, on several machines: rank 0 learns, the others sample for it and compute their share of its
//! gradients.
//!
//! [`join`] says which of them this process is. On rank 0 a thread (the `coordinator`) does all that is said to other
//! ranks: it takes jobs from the same queue that threads would take them from, and puts their events where threads
//! would. Every other rank is an [`ActorRank`]: workers whose jobs come over the `transport`, on the processor or on a
//! card of its own. All of them say that they are alive a few times a second, so that one that dies is named in seconds,
//! whatever MPI does about it.
//!
//! Gradients: a batch is cut into the same parts as on one machine, and each rank takes a run of them as long as it has
//! threads in proportion; rank 0 has the first. All differentiate at the same time (`share`), with the weights that were
//! published and what a setup says of those that are not what they were. Then the sum goes round: rank 0 adds its parts,
//! sends the sum to rank 1, which adds its own one after the other and sends it back, and so on. So the sum is
//! `((p0 + p1) + p2) + …` as it is for threads, bit for bit, and it travels once to each rank and back, however many parts
//! there are. A rank holds the gradients of all its parts until the sum comes. The bits are those of threads where all
//! machines compute with the same instructions.

mod actor;
mod coordinator;
mod gradient;
mod load;
mod message;
mod ranks;
mod share;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use mpi::Threading;
use mpi::environment::Universe;
use mpi::traits::Communicator;

pub use actor::ActorRank;
pub use coordinator::LearnerRank;
pub use ranks::MpiRanks;

use crate::{Error, Result};

/// Between two signs of life.
const BEAT: Duration = Duration::from_millis(100);
/// Between two looks at what has come, while nothing does.
const LOOK: Duration = Duration::from_micros(200);

/// What a process is among others.
pub enum Role {
    /// Rank 0.
    Learner(LearnerRank),
    Actor(ActorRank),
}

/// Joins the other processes that `mpirun` or `srun` has started. None where it was started alone. `stopping` says
/// whether the user, or MPI itself, has asked this process to end.
pub fn join(stopping: impl Fn() -> bool + Send + Sync + 'static) -> Result<Option<Role>> {
    // A process that is started alone needs no MPI, which takes its time to begin.
    let started_by = ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_SIZE"];
    if !started_by.iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok(None);
    }
    let refuse = |found: &str, remedy: &str| Err(Error::invalid("MPI", found, remedy));
    let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Multiple) else {
        return refuse("initialised twice in one process", "join once");
    };
    if threading < Threading::Serialized {
        return refuse("a library that only the main thread may call", "use an Open MPI that is built with threads");
    }
    let world = universe.world();
    let (rank, ranks) = (world.rank() as usize, world.size() as usize);
    let local_rank = world.split_shared(world.rank()).rank() as usize;
    let end = End(Some(universe));
    match (rank, ranks) {
        (_, 1) => Ok(None),
        (0, _) => Ok(Some(Role::Learner(LearnerRank::start(end, ranks, Arc::new(stopping))?))),
        _ => Ok(Some(Role::Actor(ActorRank { end, rank, ranks, local_rank }))),
    }
}

/// The end of MPI in this process: all ranks end together, unless one of them is not there any more.
struct End(Option<Universe>);

impl End {
    /// Does not wait for the others, who would wait for ever.
    fn alone(&mut self) {
        if let Some(universe) = self.0.take() {
            std::mem::forget(universe);
        }
    }
}

/// The name of this machine.
fn host() -> String {
    mpi::environment::processor_name().unwrap_or_else(|_| "an unnamed machine".into())
}

/// Errors as words: what they were made of does not travel.
pub(super) mod failure {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::Error;

    pub fn serialize<S: Serializer>(error: &Error, serializer: S) -> Result<S::Ok, S::Error> {
        let words = match error {
            Error::Invalid { place, found, remedy } => (place.clone(), found.clone(), remedy.clone()),
            other => ("an actor".into(), other.to_string(), "the same command goes on".into()),
        };
        words.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Error, D::Error> {
        let (place, found, remedy) = <(String, String, String)>::deserialize(deserializer)?;
        Ok(Error::Invalid { place, found, remedy })
    }
}
