//! What a server costs beside the engines that it has: `cargo bench --bench serve`; with another model and fewer requests
//! `cargo bench --bench serve -- models/smollm2.gguf 64`.
//!
//! Must hold: 1,000 requests of 32 clients go through at 0.9 of the rate of the engines alone, at least.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use recollect::evaluate::OpenPolicy;
use recollect::exchange::{WorkerPool, on_cores};
use recollect::interrupt::Interrupt;
use recollect::kernels::DeviceChoice;
use recollect::rollout::{Request, SamplingParams, slots};
use recollect::serve::{ServeOptions, Server};
use recollect::telemetry::machine;

const CLIENTS: usize = 32;
const PROMPT: usize = 24;
const NEW: usize = 64;
const REPEATS: usize = 5;

fn prompt(number: usize, words: usize) -> Vec<u32> {
    (0..PROMPT).map(|at| (8 + (number * 97 + at * 31) % (words - 8)) as u32).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut told = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let named = told.next().unwrap_or("embedded".into());
    let requests: usize = told.next().map_or(Ok(1000), |count| count.parse())?;
    let open = || OpenPolicy::open(&named, DeviceChoice::Cpu);
    let OpenPolicy { policy, .. } = open()?;
    let words = policy.config.vocab_size;
    let mut pool = WorkerPool::start(on_cores(None), &policy.config, slots(&policy.config), PROMPT + NEW)?;
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
    println!("{}: {requests} requests of {PROMPT} + {NEW} tokens, {CLIENTS} clients", machine::describe());
    println!("{:>16} {:>16} {:>8}", "engines, tok/s", "server, tok/s", "ratio");
    for _ in 0..REPEATS {
        let engines = rate(requests, || alone(&mut pool, words, requests))?;
        let served = rate(requests, || asked(address, words, requests))?;
        println!("{engines:>16.0} {served:>16.0} {:>8.3}", served / engines);
        ratios.push(served / engines);
    }
    interrupt.request();
    let done = serving.join().map_err(|_| "the server panicked")??;
    assert_eq!((done.answered, done.refused), ((REPEATS * requests) as u64, 0));
    ratios.sort_by(f64::total_cmp);
    println!("median {:.3}", ratios[REPEATS / 2]);
    Ok(())
}

fn rate(requests: usize, work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let began = Instant::now();
    work()?;
    Ok((requests * NEW) as f64 / began.elapsed().as_secs_f64())
}

fn alone(pool: &mut WorkerPool, words: usize, requests: usize) -> Result<(), Box<dyn Error>> {
    let request = |number| Request {
        prompt: prompt(number, words),
        samples: 1,
        sampling: SamplingParams::at(1.0),
        max_new_tokens: NEW,
        stop: Vec::new(),
        seed: number as u64,
        key: [0, 0],
    };
    let completions = pool.generate((0..requests).map(request).collect())?;
    assert!(completions.iter().all(|completion| completion.tokens.len() == NEW));
    Ok(())
}

fn asked(address: SocketAddr, words: usize, requests: usize) -> Result<(), Box<dyn Error>> {
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || -> std::io::Result<()> {
                    // As clients do: one connection for all requests.
                    let mut stream = BufReader::new(TcpStream::connect(address)?);
                    for number in (client..requests).step_by(CLIENTS) {
                        let body = format!(
                            r#"{{"prompt": {:?}, "max_tokens": {NEW}, "ignore_eos": true, "seed": {number}}}"#,
                            prompt(number, words)
                        );
                        let head = "POST /v1/completions HTTP/1.1\r\nhost: bench\r\ncontent-length:";
                        let request = format!("{head} {}\r\n\r\n{body}", body.len());
                        stream.get_mut().write_all(request.as_bytes())?;
                        let answer = answer(&mut stream)?;
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

/// The body of an answer, whose head says how long it is.
fn answer(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}
