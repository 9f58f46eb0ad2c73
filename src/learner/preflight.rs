//! What cannot work together in an algorithm, found before a model is loaded.

use super::{
    Advantage, Aggregation, Algorithm, Clip, ClipRange, CreditAssignment, Critic, Estimator, Gae, HeadLoss, Keep,
    Penalty, Ratio,
};
use crate::strict_toml::Problem;

/// Every field, and every pair of fields, that makes no sense: a line each.
pub fn problems(algorithm: &Algorithm) -> Vec<Problem> {
    let mut found = weights(algorithm);
    found.extend(clip(algorithm));
    found.extend(objective(algorithm));
    found.extend(comparison(algorithm));
    found.extend(critic(algorithm));
    found.extend(credit(algorithm));
    found
}

fn problem(key: &str, found: impl Into<String>, remedy: &str) -> Problem {
    Problem::new(key, found, remedy)
}

fn weights(algorithm: &Algorithm) -> Vec<Problem> {
    let numbers = [
        ("kl", algorithm.kl),
        ("entropy", algorithm.entropy),
        ("tis_cap", algorithm.tis_cap),
        ("filter.tolerance", algorithm.filter.tolerance),
    ];
    let wrong = numbers.into_iter().filter(|(_, value)| !(*value >= 0.0 && value.is_finite()));
    wrong.map(|(key, value)| problem(key, format!("found {value}"), "allowed is 0 or a positive number")).collect()
}

fn clip(algorithm: &Algorithm) -> Option<Problem> {
    let Clip::Range(ClipRange { low, high, dual, detached }) = algorithm.clip else { return None };
    if algorithm.ratio == Ratio::None {
        let remedy = "there is nothing to clip: set ratio = \"token\" or clip = \"none\"";
        return Some(problem("clip", "clip without ratio", remedy));
    }
    if !(low > 0.0 && low <= 1.0 && high > 0.0 && high.is_finite()) {
        let found = format!("found {{ low = {low}, high = {high} }}");
        return Some(problem("clip", found, "allowed is 0 < low <= 1 and 0 < high"));
    }
    if dual != 0.0 && detached {
        let remedy = "a clip cannot be detached and dual: leave one of them out";
        return Some(problem("clip", "found both", remedy));
    }
    let within = dual == 0.0 || (dual > 1.0 + high && dual.is_finite());
    (!within)
        .then(|| problem("clip.dual", format!("found {dual}"), "allowed is 0 for none, or a number above 1 + high"))
}

fn objective(algorithm: &Algorithm) -> Vec<Problem> {
    let mut found = Vec::new();
    let likelihood = algorithm.advantage == Advantage::One;
    match algorithm.inner_epochs {
        0 => found.push(problem("inner_epochs", "found 0", "allowed is at least 1")),
        2.. if algorithm.ratio == Ratio::None && !likelihood => {
            let remedy = "after the first the policy is no longer the one that sampled: set ratio = \"token\"";
            found.push(problem("inner_epochs", format!("found {} without ratio", algorithm.inner_epochs), remedy));
        }
        _ => {}
    }
    if algorithm.ratio == Ratio::Sequence && algorithm.aggregation == Aggregation::Token {
        let remedy = "a sequence ratio makes one loss for all tokens of a completion, which the mean over tokens would \
                      count by its length: set aggregation = \"sequence\" (GSPO) or \"fixed\"";
        found.push(problem("aggregation", "found \"token\" with ratio = \"sequence\"", remedy));
    }
    if algorithm.kl > 0.0 && algorithm.kl_in == Penalty::Loss && algorithm.kl_estimator == Estimator::K1 {
        let remedy = "the gradient of k1 has mean zero and holds nothing back: set kl_estimator = \"k2\" or \"k3\", or \
                      kl_in = \"reward\"";
        found.push(problem("kl_estimator", "found \"k1\" in the loss", remedy));
    }
    if algorithm.kl > 0.0 && algorithm.kl_in == Penalty::Reward && algorithm.kl_estimator == Estimator::K3Unbiased {
        let remedy = "a reward has no gradient to correct: set kl_estimator = \"k3\" or \"k1\"";
        found.push(problem("kl_estimator", "found \"k3-unbiased\" in the reward", remedy));
    }
    found
}

fn comparison(algorithm: &Algorithm) -> Vec<Problem> {
    let (advantage, filter) = (algorithm.advantage, algorithm.filter);
    let mut found = Vec::new();
    let right = filter.keep == Keep::Right;
    if advantage == Advantage::One && !right {
        let remedy = "everything that was sampled would become likelier: set filter.keep = \"right\"";
        found.push(problem("advantage", "found \"one\" with completions that are wrong", remedy));
    }
    if advantage != Advantage::One && right {
        let remedy = "right completions alone are never compared with wrong ones: set advantage = \"one\", or \
                      filter.keep = \"all\"";
        found.push(problem("filter.keep", "found \"right\" with advantages that compare", remedy));
    }
    if advantage == Advantage::One && algorithm.kl > 0.0 && algorithm.kl_in == Penalty::Reward {
        let remedy = "with advantage = \"one\" no reward is looked at: set kl_in = \"loss\"";
        found.push(problem("kl_in", "found \"reward\"", remedy));
    }
    if filter.extra_rounds > 0 && !advantage.needs_spread() {
        let remedy = "groups without spread teach under this advantage and need not be replaced: set it to 0";
        found.push(problem("filter.extra_rounds", format!("found {}", filter.extra_rounds), remedy));
    }
    found
}

fn credit(algorithm: &Algorithm) -> Option<Problem> {
    let (found, remedy) = match algorithm {
        Algorithm { credit: CreditAssignment::Completion, .. } => return None,
        Algorithm { advantage: Advantage::Gae(_), .. } => {
            ("gae", "a value head tells the tokens of a completion apart already: set credit = \"completion\"")
        }
        Algorithm { advantage: Advantage::One, .. } => {
            ("advantage = \"one\"", "no reward is looked at there: set credit = \"completion\"")
        }
        Algorithm { ratio: Ratio::Sequence, .. } => (
            "ratio = \"sequence\"",
            "it tells the tokens of a completion apart, which one ratio for all of them does not: set credit = \"completion\", or \
             ratio = \"token\"",
        ),
        _ => return None,
    };
    Some(problem("credit", format!("found \"sentence\" with {found}"), remedy))
}

fn critic(algorithm: &Algorithm) -> Vec<Problem> {
    let mut found = Vec::new();
    match (algorithm.gae(), algorithm.value) {
        (Some(_), Critic::None) => {
            let remedy = "a value head foretells what they are compared with: set value = { weight = 0.5 }";
            found.push(problem("advantage", "found gae without value", remedy));
        }
        (None, Critic::Head(_)) => {
            let remedy = "nothing asks a value head there: set value = \"none\", or advantage = \"gae\"";
            found.push(problem("value", "found with an advantage that compares completions", remedy));
        }
        _ => {}
    }
    if let Some(Gae { gamma, lambda, .. }) = algorithm.gae() {
        if !(gamma > 0.0 && gamma <= 1.0) {
            found.push(problem("advantage.gamma", format!("found {gamma}"), "allowed is 0 < gamma <= 1"));
        }
        if !(0.0..=1.0).contains(&lambda) {
            found.push(problem("advantage.lambda", format!("found {lambda}"), "allowed is 0 to 1"));
        }
        if algorithm.ratio == Ratio::Sequence {
            let remedy = "it tells the tokens of a completion apart, which one ratio for all of them does not: set ratio = \
                          \"token\"";
            found.push(problem("advantage", "found gae with ratio = \"sequence\"", remedy));
        }
    }
    if let Critic::Head(HeadLoss { weight, clip, rate, .. }) = algorithm.value {
        for (key, value) in [("value.weight", weight), ("value.rate", rate)] {
            if !(value > 0.0 && value.is_finite()) {
                found.push(problem(key, format!("found {value}"), "allowed is a positive number"));
            }
        }
        if !(clip >= 0.0 && clip.is_finite()) {
            found.push(problem("value.clip", format!("found {clip}"), "allowed is 0 for none, or a positive number"));
        }
    }
    found
}
