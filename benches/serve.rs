//! What a server costs beside the engines that it has: `cargo bench --bench serve`.
//!
//! Must hold: 1,000 requests of 32 clients go through at 0.9 of the rate of the engines alone, at least.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use recollect::evaluate::OpenPolicy;
use recollect::exchange::{WorkerPool, on_cores};
use recollect::interrupt::Interrupt;
use recollect::kernels::DeviceChoice;
use recollect::rollout::{Request, SLOTS, SamplingParams};
use recollect::serve::{ServeOptions, Server};
use recollect::telemetry::machine;

const REQUESTS: usize = 1000;
const CLIENTS: usize = 32;
const PROMPT: usize = 24;
const NEW: usize = 64;
const REPEATS: usize = 5;

fn prompt(number: usize, words: usize) -> Vec<u32> {
    (0..PROMPT).map(|at| (8 + (number * 97 + at * 31) % (words - 8)) as u32).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let named = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or("embedded".into());
    let open = || OpenPolicy::open(&named, DeviceChoice::Cpu);
    let OpenPolicy { policy, .. } = open()?;
    let words = policy.config.vocab_size;
    let mut pool = WorkerPool::start(on_cores(None), &policy.config, SLOTS, PROMPT + NEW)?;
    pool.publish(&policy.snapshot(0)?)?;
    let interrupt = Interrupt::default();
    let options = ServeOptions {
        name: "bench".into(),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 0,
        workers: None,
        max_tokens: Some(PROMPT + NEW),
        seed: 0,
    };
    let server = Server::bind(open()?, &options)?;
    let address = server.address();
    let handle = interrupt.clone();
    let serving = std::thread::spawn(move || server.run(&handle, Duration::from_secs(3600), &mut |_| {}));
    let mut ratios = Vec::new();
    println!("{}: {REQUESTS} requests of {PROMPT} + {NEW} tokens, {CLIENTS} clients", machine::describe());
    println!("{:>16} {:>16} {:>8}", "engines, tok/s", "server, tok/s", "ratio");
    for _ in 0..REPEATS {
        let engines = rate(|| alone(&mut pool, words))?;
        let served = rate(|| asked(address, words))?;
        println!("{engines:>16.0} {served:>16.0} {:>8.3}", served / engines);
        ratios.push(served / engines);
    }
    interrupt.request();
    let done = serving.join().map_err(|_| "the server panicked")??;
    assert_eq!((done.answered, done.refused), ((REPEATS * REQUESTS) as u64, 0));
    ratios.sort_by(f64::total_cmp);
    println!("median {:.3}", ratios[REPEATS / 2]);
    Ok(())
}

fn rate(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let began = Instant::now();
    work()?;
    Ok((REQUESTS * NEW) as f64 / began.elapsed().as_secs_f64())
}

fn alone(pool: &mut WorkerPool, words: usize) -> Result<(), Box<dyn Error>> {
    let request = |number| Request {
        prompt: prompt(number, words),
        samples: 1,
        sampling: SamplingParams::at(1.0),
        max_new_tokens: NEW,
        stop: Vec::new(),
        seed: number as u64,
        key: [0, 0],
    };
    let completions = pool.generate((0..REQUESTS).map(request).collect())?;
    assert!(completions.iter().all(|completion| completion.tokens.len() == NEW));
    Ok(())
}

fn asked(address: SocketAddr, words: usize) -> Result<(), Box<dyn Error>> {
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || -> std::io::Result<()> {
                    for number in (client..REQUESTS).step_by(CLIENTS) {
                        let body = format!(
                            r#"{{"prompt": {:?}, "max_tokens": {NEW}, "ignore_eos": true, "seed": {number}}}"#,
                            prompt(number, words)
                        );
                        let mut stream = TcpStream::connect(address)?;
                        let head =
                            "POST /v1/completions HTTP/1.1\r\nhost: bench\r\nconnection: close\r\ncontent-length:";
                        write!(stream, "{head} {}\r\n\r\n{body}", body.len())?;
                        let mut answer = String::new();
                        stream.read_to_string(&mut answer)?;
                        assert!(answer.contains(&format!("\"completion_tokens\":{NEW}")), "{answer}");
                    }
                    Ok(())
                })
            })
            .collect();
        for client in clients {
            client.join().map_err(|_| "a client panicked")??;
        }
        Ok(())
    })
}
