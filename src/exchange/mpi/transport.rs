//! Messages of any length between ranks. Nothing here ever blocks: a rank that has died never takes its message, and
//! waiting for that would be waiting for ever.

use std::collections::VecDeque;
use std::os::raw::{c_int, c_void};
use std::sync::Arc;

use mpi::ffi;

use crate::{Error, Result};

/// Longest piece of a message: MPI counts in 32 bits.
const PIECE: usize = 1 << 30;
/// Tags of a piece that others follow, and of the last.
const MORE: c_int = 0;
const LAST: c_int = 1;

/// One end of the connections of a rank to all others. It stays on the thread that made it.
pub(super) struct MpiTransport {
    comm: ffi::MPI_Comm,
    sending: Vec<Sending>,
    /// By the rank that they come from, in their order.
    receiving: Vec<VecDeque<Receiving>>,
    /// What has come of a message of which pieces are missing, by rank.
    begun: Vec<Vec<u8>>,
}

struct Sending {
    request: ffi::MPI_Request,
    /// MPI reads from it until the request is complete.
    message: Arc<[u8]>,
}

struct Receiving {
    request: ffi::MPI_Request,
    /// MPI writes to it until the request is complete.
    piece: Vec<u8>,
    last: bool,
    complete: bool,
}

impl MpiTransport {
    /// The connections of this process, which MPI has been initialised in, to `ranks` ranks.
    pub fn new(ranks: usize) -> MpiTransport {
        // SAFETY: the communicator of all ranks exists from initialisation to the end. Errors are to be returned, not
        // to end the process: what has been done so far is to be saved first.
        let comm = unsafe {
            ffi::MPI_Comm_set_errhandler(ffi::RSMPI_COMM_WORLD, ffi::RSMPI_ERRORS_RETURN);
            ffi::RSMPI_COMM_WORLD
        };
        let receiving = (0..ranks).map(|_| VecDeque::new()).collect();
        MpiTransport { comm, sending: Vec::new(), receiving, begun: vec![Vec::new(); ranks] }
    }

    /// Sends a message to a rank, while other things go on. Messages to one rank arrive in their order.
    pub fn send(&mut self, rank: usize, message: Arc<[u8]>) -> Result<()> {
        let pieces = message.chunks(PIECE).count();
        for (number, piece) in message.chunks(PIECE).enumerate() {
            let tag = if number + 1 == pieces { LAST } else { MORE };
            let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
            let (data, count) = (piece.as_ptr().cast::<c_void>(), piece.len() as c_int);
            // SAFETY: `sending` holds the message until the request is complete, or for ever.
            let code =
                unsafe { ffi::MPI_Isend(data, count, ffi::RSMPI_UINT8_T, rank as c_int, tag, self.comm, &mut request) };
            check(code, || format!("send to rank {rank}"))?;
            self.sending.push(Sending { request, message: message.clone() });
        }
        Ok(())
    }

    /// Whether everything that was sent is under way, so that its memory is free again.
    pub fn is_quiet(&self) -> bool {
        self.sending.is_empty()
    }

    /// The next message that has come, with the rank that it comes from.
    pub fn next(&mut self) -> Result<Option<(usize, Vec<u8>)>> {
        self.advance()?;
        for (rank, queue) in self.receiving.iter_mut().enumerate() {
            while let Some(Receiving { piece, last, .. }) = queue.pop_front_if(|next| next.complete) {
                let begun = &mut self.begun[rank];
                if begun.is_empty() {
                    *begun = piece
                } else {
                    begun.extend(piece)
                }
                if last {
                    return Ok(Some((rank, std::mem::take(begun))));
                }
            }
        }
        Ok(None)
    }

    /// Moves everything on that is being sent and received.
    pub fn advance(&mut self) -> Result<()> {
        let mut failed = Ok(());
        self.sending.retain_mut(|sending| match complete(&mut sending.request) {
            Ok(complete) => !complete,
            Err(error) => {
                failed = Err(error);
                true
            }
        });
        failed?;
        while let Some((rank, receiving)) = self.probe()? {
            if let Some(queue) = self.receiving.get_mut(rank) {
                queue.push_back(receiving);
            }
        }
        for receiving in self.receiving.iter_mut().flatten().filter(|receiving| !receiving.complete) {
            receiving.complete = complete(&mut receiving.request)?;
        }
        Ok(())
    }

    /// Begins to receive a piece that somebody has sent, if there is one.
    fn probe(&self) -> Result<Option<(usize, Receiving)>> {
        // SAFETY: plain calls with places for their results; `piece` is kept until the request is complete, or for ever.
        unsafe {
            let (mut found, mut count, mut request) = (0, 0, ffi::RSMPI_REQUEST_NULL);
            let mut message = ffi::RSMPI_MESSAGE_NULL;
            let mut status: ffi::MPI_Status = std::mem::zeroed();
            let (any_rank, any_tag) = (ffi::RSMPI_ANY_SOURCE, ffi::RSMPI_ANY_TAG);
            let code = ffi::MPI_Improbe(any_rank, any_tag, self.comm, &mut found, &mut message, &mut status);
            check(code, || "look for messages".into())?;
            if found == 0 {
                return Ok(None);
            }
            let rank = status.MPI_SOURCE;
            check(ffi::MPI_Get_count(&status, ffi::RSMPI_UINT8_T, &mut count), || format!("read from rank {rank}"))?;
            let mut piece = vec![0u8; count.max(0) as usize];
            let into = piece.as_mut_ptr().cast::<c_void>();
            let code = ffi::MPI_Imrecv(into, count, ffi::RSMPI_UINT8_T, &mut message, &mut request);
            check(code, || format!("read from rank {rank}"))?;
            let last = status.MPI_TAG == LAST;
            Ok(Some((rank.max(0) as usize, Receiving { request, piece, last, complete: false })))
        }
    }
}

impl Drop for MpiTransport {
    fn drop(&mut self) {
        // MPI may still write to and read from what is not complete: such memory is never given back.
        self.sending.drain(..).for_each(|sending| std::mem::forget(sending.message));
        let open = self.receiving.iter_mut().flat_map(|queue| queue.drain(..)).filter(|receiving| !receiving.complete);
        open.for_each(|receiving| std::mem::forget(receiving.piece));
    }
}

fn complete(request: &mut ffi::MPI_Request) -> Result<bool> {
    let mut done = 0;
    // SAFETY: a request that is complete is null from then on, which counts as complete.
    let code = unsafe {
        let mut status: ffi::MPI_Status = std::mem::zeroed();
        ffi::MPI_Test(request, &mut done, &mut status)
    };
    check(code, || "move messages on".into())?;
    Ok(done != 0)
}

fn check(code: c_int, what: impl FnOnce() -> String) -> Result<()> {
    match code {
        0 => Ok(()),
        code => Err(Error::invalid("MPI", format!("cannot {} (code {code})", what()), "the same command goes on")),
    }
}
