//! An experiment that takes a fraction of a second.

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
