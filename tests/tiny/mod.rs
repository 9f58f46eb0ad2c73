//! The smallest experiment that has every stage, and a way to stop it anywhere.

use recollect::experiment::Interrupt;
use recollect::telemetry::{Meter, Progress};

/// Everything that the real experiment has, as small as it can be.
pub const TINY: &str = "
[known]
persons = 120
creatures = 150
towns = 24
terms = 160
facts = 10
chains = 4

[world]
a = { facts = 10, chains = 8, documents = 90 }
b = { facts = 10, chains = 4, documents = 60 }

[model]
hidden_size = 32
intermediate_size = 48
num_hidden_layers = 2
num_attention_heads = 2
num_key_value_heads = 2
head_dim = 16
max_position_embeddings = 256

[pretrain]
tokens_per_step = 512
warmup_steps = 2
init = { embedding_std = 0.1, matrix_gain = 0.5 }
phases = [{ steps = 30 }]
scales = {}

[finetune]
steps = 12
tokens_per_step = 512
scales = {}

[train]
steps = 6
questions_per_step = 6
group_size = 4
max_new_tokens = 32
replay_tokens = 256
evaluate_every = 2
checkpoint_every = 4
scales = {}

[evaluation]
max_new_tokens = 32
questions_during_training = 3
";

/// Asks to stop as soon as a piece of work has got so far.
pub struct StopAt {
    pub interrupt: Interrupt,
    pub work: &'static str,
    pub done: u64,
}

struct Watch(Option<(Interrupt, u64)>);

impl Progress for StopAt {
    fn begin(&self, name: &str, _: &str, _: u64, _: u64) -> Box<dyn Meter> {
        Box::new(Watch((name == self.work).then(|| (self.interrupt.clone(), self.done))))
    }

    fn tell(&self, _: &str) {}
}

impl Meter for Watch {
    fn set(&mut self, done: u64) {
        if let Some((interrupt, _)) = self.0.as_ref().filter(|(_, stop)| done == *stop) {
            interrupt.request();
        }
    }

    fn note(&mut self, _: &str) {}
}
