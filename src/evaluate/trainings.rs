//! The policies of arms that are trained in another way than the run: each is what the run would have trained with a few
//! keys of its config changed, in a directory inside of the run's. Stages that do not differ are shared.

use std::path::Path;

use toml::{Table, Value};

use crate::config::{AlgorithmChoice, Augmentation, AugmentationKind, Config, DocumentObjective};
use crate::evaluation::Training;
use crate::experiment::{Experiment, Purpose};
use crate::knowledge::Set;
use crate::{Error, Result};

/// `cot_style.restoring` of arms whose documents are learned masked, where the config says none.
const RESTORING: f64 = 0.6;

/// An experiment that trains as asked for, beside `of`: what the run in this directory, with this config, would train.
pub(crate) fn experiment(of: &Experiment, run: &Path, config: &Config, training: Training) -> Result<Experiment> {
    let name = format!("{training:?}").to_lowercase();
    let purpose = if reinforces(training) { Purpose::Train } else { Purpose::Measure };
    of.child(&run.join("arms").join(name), changed(config.clone(), training), purpose)
}

/// Refuses a training that the knowledge of a config has nothing for, before any time is spent.
pub(crate) fn check(config: &Config, training: Training) -> Result<()> {
    let place = format!("an arm of {training:?}");
    let problems = changed(config.clone(), training).problems();
    Error::all(problems.into_iter().map(|problem| problem.at(&place)).collect())
}

/// Whether reinforcement learning, or what stands in its place, is part of it.
pub(crate) fn reinforces(training: Training) -> bool {
    matches!(training, Training::Rl | Training::Rejection | Training::AugmentedRl | Training::MaskedRl)
}

/// What the run's config has to say for it.
fn changed(mut config: Config, training: Training) -> Config {
    use AugmentationKind::{Infer, Rephrase, Reverse, WriteOut};
    let augment = |sets: &[Set], kinds: &[AugmentationKind]| {
        Some(Augmentation { sets: sets.to_vec(), kinds: kinds.to_vec(), share: 0.5 })
    };
    let finetune = &mut config.finetune;
    match training {
        Training::Documents | Training::Rl => {}
        Training::AugmentedLocally => finetune.augmentation = augment(&[Set::A], &[Rephrase, Reverse]),
        Training::Augmented | Training::AugmentedRl => {
            finetune.augmentation = augment(&[Set::A], &[Rephrase, Reverse, Infer]);
        }
        Training::AugmentedBoth => finetune.augmentation = augment(&[Set::A, Set::B], &[Rephrase, Reverse, Infer]),
        Training::WrittenOut => finetune.augmentation = augment(&[Set::A], &[WriteOut]),
        Training::Masked | Training::MaskedRl => {
            finetune.objective = DocumentObjective::Masked;
            if finetune.cot_style.restoring == 0.0 {
                finetune.cot_style.restoring = RESTORING;
            }
        }
        // Without masks there is nothing that a thought could restore from.
        Training::ReversedText => {
            (finetune.objective, finetune.cot_style.restoring) = (DocumentObjective::Reversed, 0.0);
        }
        // Which completions are learned from is what this algorithm is about.
        Training::Rejection => {
            config.train.algorithm = rejection(&config.train.algorithm);
            config.train.form_filters.clear();
        }
    }
    config
}

/// Fine-tuning on right completions alone, on the tokens that the run's own algorithm learns from.
fn rejection(algorithm: &AlgorithmChoice) -> AlgorithmChoice {
    let mut table = Table::from_iter([("preset".to_owned(), Value::from("star"))]);
    if let AlgorithmChoice::Custom(own) = algorithm {
        table.extend(own.get("gradient_on").map(|on| ("gradient_on".to_owned(), on.clone())));
    }
    AlgorithmChoice::Custom(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learner::{GradientOn, Keep};

    #[test]
    fn every_training_is_a_config_that_is_valid_and_differs() {
        let text = "[train]\nalgorithm = { preset = 'grpo', gradient_on = 'trace' }\nform_filters = { open = { extra_rounds = 2 } }";
        let config = Config::parse(text, "x.toml", "x", &[]).unwrap();
        let mut seen = vec![config.digest().unwrap()];
        for training in Training::ALL {
            let changed = changed(config.clone(), training);
            check(&config, training).unwrap();
            let again = Config::parse(&changed.to_toml().unwrap(), "again", "x", &[]).unwrap();
            assert_eq!(again, changed);
            let digest = changed.digest().unwrap();
            match training {
                Training::Documents | Training::Rl => assert_eq!(digest, seen[0]),
                // Together with reinforcement learning the same documents are learned.
                Training::AugmentedRl | Training::MaskedRl => assert!(seen.contains(&digest)),
                _ => {
                    assert!(!seen.contains(&digest), "{training:?}");
                    seen.push(digest);
                }
            }
        }
        let files = "[world.jsonl]\ndocuments = ['a']\nquestions = ['b']\n[finetune]\nreplay = 0\n[train]\nreplay_tokens = 0\nforms = ['completion']";
        let files = Config::parse(files, "x.toml", "x", &[]).unwrap();
        assert!(check(&files, Training::Rejection).is_ok());
        let error = check(&files, Training::Masked).unwrap_err().to_string();
        assert!(error.contains("text has no grammar to turn round"), "{error}");
        let rejection = changed(config, Training::Rejection).train.algorithm.resolve().unwrap();
        assert_eq!((rejection.gradient_on, rejection.filter.keep), (GradientOn::Trace, Keep::Right));
    }
}
