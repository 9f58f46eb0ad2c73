//! Real signals, in a process of their own.
#![cfg(unix)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use recollect::interrupt::Interrupt;

static AGAIN: AtomicBool = AtomicBool::new(false);

fn raise(signal: i32, arrived: impl Fn() -> bool) -> bool {
    // SAFETY: a handler is installed for the signal, and raising it touches no memory.
    unsafe { libc::raise(signal) };
    let start = Instant::now();
    while !arrived() && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    arrived()
}

#[test]
fn the_first_signal_asks_and_the_second_insists() {
    // Whoever runs the tests in the background may have had interrupts ignored, and what is ignored stays so.
    // SAFETY: no handler is installed yet.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
    let interrupt = Interrupt::install(|| AGAIN.store(true, Ordering::SeqCst)).unwrap();
    assert!(!interrupt.requested());
    assert!(raise(libc::SIGTERM, || interrupt.requested()));
    assert!(!AGAIN.load(Ordering::SeqCst));
    assert!(raise(libc::SIGINT, || AGAIN.load(Ordering::SeqCst)));
    assert!(Interrupt::install(|| ()).is_err(), "one handler in a process");
}
