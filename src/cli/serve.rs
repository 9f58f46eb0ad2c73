//! `recollect serve`.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use recollect::Result;
use recollect::evaluate::OpenPolicy;
use recollect::serve::{ServeOptions, Server, ServerStats};
use recollect::text::{grouped, one_line};

use super::arguments::SamplerArgs;
use super::output;

/// How often the server says what it has done.
const OFTEN: Duration = Duration::from_secs(10);

/// Let other programs ask a policy, by OpenAI's protocol over HTTP
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct ServeArgs {
    /// A run (its last policy), RUN@STEP, a checkpoint (in the Hugging Face layout, or a GGUF file), or "embedded"
    policy: String,
    /// Where to listen; 0.0.0.0 lets other machines ask
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port (0: any that is free)
    #[arg(long, value_name = "N", default_value_t = 8000)]
    port: u16,
    /// What clients call the model [default: the last part of POLICY]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Tokens of a prompt and its completion together [default: as many as the model has positions]
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    #[command(flatten)]
    sampler: SamplerArgs,
}

const HELP: &str = "\
Answers /v1/completions and /v1/chat/completions, with n, seed, stop, stream, logprobs, echo, temperature, top_p, top_k, min_p,
no_repeat_ngram_size and penalties, and /v1/models and /health. Chat puts messages into the model's template; a model without one
takes a question in the plain format. What ends a completion is left out of its text, other special tokens are shown unless
`skip_special_tokens` is true. Requests without a seed are drawn differently each, all from the server's --seed. Log-probabilities are the model's own,
before temperature and truncation.

Examples:
  recollect serve runs/quickstart
  recollect serve models/recalls --port 8080 --name recalls
  curl http://127.0.0.1:8000/v1/completions -H 'content-type: application/json' -d '{\"prompt\": \"Once\", \"max_tokens\": 20}'
  lm_eval --model local-completions --tasks arc_easy \\
    --model_args model=recalls,base_url=http://127.0.0.1:8080/v1/completions,tokenizer=models/recalls

Ctrl-C ends it, after what is underway or five seconds.";

pub fn main(args: &ServeArgs) -> Result<()> {
    let last = Path::new(&args.policy).file_name().map(|name| name.to_string_lossy().into_owned());
    let options = ServeOptions {
        name: args.name.clone().or(last).unwrap_or_else(|| args.policy.clone()),
        address: args.host,
        port: args.port,
        workers: args.sampler.workers(),
        max_tokens: args.max_tokens,
        seed: args.sampler.seed,
    };
    let interrupt = output::interruptible()?;
    let server = Server::bind(OpenPolicy::open(&args.policy, args.sampler.device)?, &options)?;
    output::say(&format!("{} at http://{}/v1 (Ctrl-C ends)", one_line(&options.name), server.address()))?;
    let mut lost = Ok(());
    let done = server.run(&interrupt, OFTEN, &mut |tally| lost = output::say(&words(tally)))?;
    lost?;
    output::say(&format!("ended: {}", words(done)))
}

fn words(ServerStats { answered, refused, tokens }: ServerStats) -> String {
    let refused = if refused > 0 { format!(", {} refused", grouped(refused)) } else { String::new() };
    format!("{} answered{refused}, {} tokens sampled", grouped(answered), grouped(tokens))
}
