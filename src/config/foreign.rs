//! What other trainers call the keys of a config: whoever comes from there is told what they are called here.

use super::reference;
use crate::strict_toml::Problem;

/// Names of TRL (`GRPOConfig`, `ModelConfig`, `LoraConfig` of PEFT) and prime-rl, and the key here that says the same.
const NAMES: [(&str, &str); 52] = [
    ("adam_beta1", "train.adam.beta1"),
    ("adam_beta2", "train.adam.beta2"),
    ("adam_epsilon", "train.adam.epsilon"),
    ("batch_size", "train.questions_per_step"),
    ("beta", "train.algorithm.kl"),
    ("betas1", "train.adam.beta1"),
    ("betas2", "train.adam.beta2"),
    ("bf16", "run.precision"),
    ("dataset", "world.jsonl.documents"),
    ("dataset_name", "world.jsonl.documents"),
    ("delta", "train.algorithm.clip.dual"),
    ("do_eval", "train.evaluate_every"),
    ("dtype", "run.precision"),
    ("epsilon", "train.algorithm.clip.low"),
    ("epsilon_high", "train.algorithm.clip.high"),
    ("eval_dataset", "world.jsonl.questions"),
    ("eval_steps", "train.evaluate_every"),
    ("gradient_accumulation_steps", "train.questions_per_step"),
    ("grad_clip", "train.max_gradient_norm"),
    ("interval", "train.checkpoint_every"),
    ("kl_coef", "train.algorithm.kl"),
    ("kl_tau", "train.algorithm.kl"),
    ("loss_type", "train.algorithm.aggregation"),
    ("lora_alpha", "lora.alpha"),
    ("lora_r", "lora.rank"),
    ("lora_target_modules", "lora.target_modules"),
    ("lr", "train.learning_rate"),
    ("mask_truncated_completions", "train.algorithm.filter.keep"),
    ("max_async_level", "train.max_off_policy_steps"),
    ("max_completion_length", "train.max_new_tokens"),
    ("max_grad_norm", "train.max_gradient_norm"),
    ("max_norm", "train.max_gradient_norm"),
    ("max_steps", "train.steps"),
    ("max_tokens", "train.max_new_tokens"),
    ("model_name", "base.path"),
    ("model_name_or_path", "base.path"),
    ("num_generations", "train.group_size"),
    ("num_iterations", "train.algorithm.inner_epochs"),
    ("num_train_epochs", "train.steps"),
    ("output_dir", "run.dir"),
    ("per_device_train_batch_size", "train.questions_per_step"),
    ("reward_funcs", "train.reward"),
    ("reward_weights", "train.reward"),
    ("rollouts_per_example", "train.group_size"),
    ("save_steps", "train.checkpoint_every"),
    ("save_total_limit", "train.keep_last"),
    ("scale_rewards", "train.algorithm.advantage"),
    ("system_prompt", "prompt.system"),
    ("train_dataset", "world.jsonl.questions"),
    ("vllm_importance_sampling_cap", "train.algorithm.tis_cap"),
    ("vllm_importance_sampling_correction", "train.algorithm.tis_cap"),
    ("wd", "train.weight_decay"),
];

/// The same problem, where it is a key by another trainer's name, with the key that says the same here: in its own section where
/// that has one of this name.
pub(super) fn translated(problem: Problem) -> Problem {
    if problem.found != "unknown key" {
        return problem;
    }
    let (section, name) = problem.key.rsplit_once('.').unwrap_or(("", &problem.key));
    let Some((_, here)) = NAMES.iter().find(|(there, _)| *there == name) else { return problem };
    let last = here.rsplit('.').next().unwrap_or(here);
    let beside = Some(format!("{section}.{last}")).filter(|own| reference::find(own).is_ok());
    let remedy = format!("here that is {}", beside.as_deref().unwrap_or(here));
    Problem { remedy, ..problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn whoever_comes_from_another_trainer_is_told_what_a_key_is_called_here() {
        for (there, here) in NAMES {
            reference::find(here).unwrap_or_else(|error| panic!("{error}"));
            assert!(reference::find(there).is_err(), "{there} is a section here");
            let error = Config::parse("", "x", "x", &[format!("train.{there}=1")]).unwrap_err().to_string();
            let known = error.contains(&format!("here that is {here}"));
            assert!(known, "{there}: {error}");
        }
        for (set, here) in [
            ("finetune.lr=1e-4", "finetune.learning_rate"),
            ("warmup.max_steps=5", "warmup.steps"),
            ("lr=1e-4", "train.learning_rate"),
            ("pretrain.max_grad_norm=1", "pretrain.max_gradient_norm"),
        ] {
            let error = Config::parse("[warmup]", "x", "x", &[set.into()]).unwrap_err().to_string();
            assert!(error.contains(here), "{set}: {error}");
        }
    }

    #[test]
    fn fields_of_an_algorithm_are_told_as_well() {
        let config = Config::parse("", "x", "x", &["train.algorithm.beta=0.1".into()]).unwrap();
        let error = config.train.algorithm.resolve().unwrap_err().to_string();
        assert!(error.contains("here that is train.algorithm.kl"), "{error}");
    }

    #[test]
    fn what_no_trainer_knows_stays_as_it_is() {
        let error = Config::parse("", "x", "x", &["train.stepz=1".into()]).unwrap_err().to_string();
        assert!(error.contains("did you mean train.steps?"), "{error}");
    }
}
