//! A policy behind OpenAI's protocol over HTTP (feature `serve`): `/v1/completions` and `/v1/chat/completions` with
//! log-probabilities and streams, so that what speaks to such servers can measure it.
//!
//! One thread speaks HTTP; engines on threads of their own take requests from one queue, as many at once as they have
//! slots. A client that goes away frees the slots of its request with the next token.

mod answer;
mod call;
mod detokenizer;
mod engines;
mod failure;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_core::Stream;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use self::answer::Answering;
use self::call::Endpoint;
use self::engines::EngineThreads;
use self::failure::ApiError;
use crate::evaluate::OpenPolicy;
use crate::interrupt::Interrupt;
use crate::language::Tokenizer;
use crate::policy::Policy;
use crate::rollout::Limits;
use crate::{Error, Result};

/// The largest body of a request.
const LARGEST_BODY: usize = 16 << 20;
/// The most prompts that wait for an engine.
const MOST_WAITING: usize = 8192;
/// How long an engine may say nothing about a request that is not streamed.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long requests that are underway have when the server is to end.
const GRACE: Duration = Duration::from_secs(5);
/// How often it is looked whether the server is to end.
const LOOK: Duration = Duration::from_millis(50);

/// How a policy is served.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// What clients call the model.
    pub name: String,
    pub address: IpAddr,
    /// 0: any that is free.
    pub port: u16,
    /// Engines on the processor, one for each core unless told.
    pub workers: Option<usize>,
    /// Tokens that a prompt and a completion may have together; as many as the model has positions unless told.
    pub max_tokens: Option<usize>,
    /// Of requests that name none: each has another one, from this and its number.
    pub seed: u64,
}

/// What a server has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStats {
    /// Calls that were answered.
    pub answered: u64,
    /// Calls that were refused or failed.
    pub refused: u64,
    /// Tokens that were sampled for clients.
    pub tokens: u64,
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    served: Arc<Served>,
}

/// What all calls share.
struct Served {
    name: String,
    tokenizer: Arc<Tokenizer>,
    policy: Arc<Policy>,
    engines: EngineThreads,
    /// Whose turn it is to have a prompt scored.
    scoring: Semaphore,
    limits: Limits,
    seed: u64,
    /// Seconds since 1970.
    started: u64,
    calls: AtomicU64,
    answered: AtomicU64,
    refused: AtomicU64,
    tokens: AtomicU64,
}

impl Served {
    /// The number of a call, if so many more prompts may wait.
    fn begin(&self, prompts: usize) -> Result<u64, ApiError> {
        if self.engines.waiting() + prompts > MOST_WAITING {
            return Err(ApiError::busy());
        }
        Ok(self.calls.fetch_add(1, Ordering::Relaxed))
    }

    fn tally(&self) -> ServerStats {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ServerStats { answered: of(&self.answered), refused: of(&self.refused), tokens: of(&self.tokens) }
    }

    fn count(&self, tokens: usize) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.tokens.fetch_add(tokens as u64, Ordering::Relaxed);
    }
}

impl Server {
    /// Starts engines for a policy and listens.
    ///
    /// # Errors
    ///
    /// An address that is taken, more tokens than the model has positions, or weights that do not fit into memory.
    pub fn bind(open: OpenPolicy, options: &ServeOptions) -> Result<Server> {
        let OpenPolicy { policy, tokenizer, .. } = open;
        let longest = policy.config.longest_sequence();
        let max_tokens = options.max_tokens.unwrap_or(longest);
        if max_tokens > longest {
            let remedy = format!("the model has {longest} positions");
            return Err(Error::invalid("max_tokens", max_tokens.to_string(), remedy));
        }
        let wanted = SocketAddr::new(options.address, options.port);
        let refuse = |error: std::io::Error| {
            Error::invalid(wanted.to_string(), format!("cannot listen there: {error}"), "name another address or port")
        };
        let listener = TcpListener::bind(wanted).map_err(refuse)?;
        listener.set_nonblocking(true).map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        let engines = EngineThreads::start(&policy, options.workers, max_tokens)?;
        let served = Served {
            name: options.name.clone(),
            tokenizer: Arc::new(tokenizer),
            limits: Limits { max_tokens, vocab_size: policy.config.vocab_size },
            policy: Arc::new(policy),
            engines,
            scoring: Semaphore::new(1),
            seed: options.seed,
            started: now(),
            calls: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
        };
        Ok(Server { listener, address, served: Arc::new(served) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is to end. Every `often` it says what it has done, if that is anything more.
    ///
    /// # Errors
    ///
    /// The system takes the listener away.
    pub fn run(self, interrupt: &Interrupt, often: Duration, told: &mut dyn FnMut(ServerStats)) -> Result<ServerStats> {
        let served = self.served.clone();
        let failed = |error: std::io::Error| {
            Error::invalid("server", error.to_string(), "start it again, with fewer connections at a time")
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let outcome = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener)?;
            let asked_to_end = ended(interrupt.clone(), Duration::ZERO);
            let serving = axum::serve(listener, router(served.clone())).with_graceful_shutdown(asked_to_end);
            let telling = async {
                let mut last = ServerStats::default();
                loop {
                    tokio::time::sleep(often).await;
                    let now = served.tally();
                    if now != last {
                        told(now);
                        last = now;
                    }
                }
            };
            tokio::select! {
                done = async { serving.await } => done,
                () = ended(interrupt.clone(), GRACE) => Ok(()),
                () = telling => Ok(()),
            }
        });
        // What is scored in the background is not waited for.
        runtime.shutdown_background();
        outcome.map(|()| served.tally()).map_err(failed)
    }
}

/// Comes back when the server is to end and this time is over.
async fn ended(interrupt: Interrupt, after: Duration) {
    while !interrupt.requested() {
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep(after).await;
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

type Body = Result<Bytes, BytesRejection>;

fn router(served: Arc<Served>) -> Router {
    let nothing_there = || async { ApiError::not_found("unknown_url", "no such path: try /v1/models").into_response() };
    Router::new()
        .route("/health", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/v1/models", get(models))
        .route("/v1/completions", post(|state, body| answer(Endpoint::Completions, state, body)))
        .route("/v1/chat/completions", post(|state, body| answer(Endpoint::Chat, state, body)))
        .fallback(nothing_there)
        .method_not_allowed_fallback(|| async { ApiError::wrong_method().into_response() })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(served)
}

async fn models(State(served): State<Arc<Served>>) -> Json<Value> {
    let Served { name, started, limits, .. } = &*served;
    let model = json!({
        "id": name, "object": "model", "created": started, "owned_by": "recollect", "max_model_len": limits.max_tokens,
    });
    Json(json!({ "object": "list", "data": [model] }))
}

async fn answer(endpoint: Endpoint, State(served): State<Arc<Served>>, body: Body) -> Response {
    match begin(endpoint, served.clone(), body).await {
        Ok(response) => response,
        Err(error) => {
            served.refused.fetch_add(1, Ordering::Relaxed);
            error.into_response()
        }
    }
}

async fn begin(endpoint: Endpoint, served: Arc<Served>, body: Body) -> Result<Response, ApiError> {
    let body = body.map_err(|error| match error.status() {
        axum::http::StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::too_large(format!("the body is larger than {LARGEST_BODY} bytes"))
        }
        _ => ApiError::invalid(None, error.body_text()),
    })?;
    let call = call::read(endpoint, &body, &served.name, &served.tokenizer)?;
    let stream = call.stream;
    let mut answering = Answering::begin(served.clone(), call).await?;
    if stream {
        let chunks = ChunkStream::new(answering, served);
        return Ok(Sse::new(chunks).keep_alive(KeepAlive::default()).into_response());
    }
    while !answering.is_over() {
        let silent = |_| ApiError::failed(format!("the engines said nothing for {} s", PATIENCE.as_secs()));
        let event = tokio::time::timeout(PATIENCE, answering.events.recv()).await.map_err(silent)?;
        let event = event.ok_or_else(|| ApiError::failed("the engine has ended: start the server again"))?;
        answering.observe(event)?;
    }
    served.count(answering.tokens());
    Ok(Json(answering.object()).into_response())
}

/// The chunks of an answer that is streamed.
struct ChunkStream {
    answering: Answering,
    served: Arc<Served>,
    /// What is to be sent next.
    ready: VecDeque<String>,
    is_done: bool,
}

impl ChunkStream {
    fn new(answering: Answering, served: Arc<Served>) -> ChunkStream {
        let ready = answering.opening().iter().map(Value::to_string).collect();
        ChunkStream { answering, served, ready, is_done: false }
    }

    /// Takes in what an engine says; none means that it has ended.
    fn observe(&mut self, event: Option<engines::StreamEvent>) {
        let event = event.ok_or_else(|| ApiError::failed("the engine has ended: start the server again"));
        match event.and_then(|event| self.answering.observe(event)) {
            Ok(None) => {}
            Ok(Some(choice)) => {
                let text = self.answering.take_text(choice);
                self.ready.extend(self.answering.news(choice, &text).map(|chunk| chunk.to_string()));
            }
            Err(error) => {
                self.served.refused.fetch_add(1, Ordering::Relaxed);
                self.ready.push_back(error.body().to_string());
                self.is_done = true;
            }
        }
        if !self.is_done && self.answering.is_over() {
            self.served.count(self.answering.tokens());
            if self.answering.call.counts {
                self.ready.push_back(self.answering.counted().to_string());
            }
            self.ready.push_back("[DONE]".into());
            self.is_done = true;
        }
    }
}

impl Stream for ChunkStream {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Event::default().data(chunk))));
            }
            if self.is_done {
                return Poll::Ready(None);
            }
            match self.answering.events.poll_recv(context) {
                Poll::Ready(event) => self.observe(event),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
