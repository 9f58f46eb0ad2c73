//! Several runs of one experiment with different seeds, put together.

use std::collections::{BTreeMap, BTreeSet};

use super::perplexity::{PolicyPerplexity, together};
use super::{Answered, Arm, ArmCost, Curves, LearningPoint, RunInfo, StageBudget, StageTime, Summary, TrainingPoint};

/// What one of the runs has to say.
#[derive(Clone, Debug, Default)]
pub struct RunResult {
    pub answered: Vec<Answered>,
    pub curves: Curves,
    pub info: RunInfo,
}

/// The summary of all, and all answers of the arms that answered in every run. Questions of different runs are different
/// questions, and intervals hold what comes from the questions and what comes from the seeds. `name` and `config` are
/// those of the whole.
pub fn merge_runs(name: &str, config: &str, runs: Vec<RunResult>) -> (Summary, Vec<Answered>) {
    let arms = |run: &RunResult| -> BTreeSet<Arm> { run.answered.iter().map(|one| one.arm).collect() };
    let common = runs.iter().map(arms).reduce(|all, of_run| &all & &of_run).unwrap_or_default();
    let info = info(name, config, &runs.iter().map(|run| &run.info).collect::<Vec<_>>());
    let curves = curves(&runs.iter().map(|run| &run.curves).collect::<Vec<_>>());
    let answers = |(index, run): (usize, RunResult)| {
        let of_run = move |one: Answered| Answered { run: index, ..one.told_apart(index) };
        run.answered.into_iter().map(of_run).collect::<Vec<_>>()
    };
    let answered: Vec<Answered> =
        runs.into_iter().enumerate().flat_map(answers).filter(|one| common.contains(&one.arm)).collect();
    (Summary::new(&answered, curves, info), answered)
}

/// Evaluations on the way side by side, and the mean over runs of what training measured.
fn curves(runs: &[&Curves]) -> Curves {
    let mut steps: BTreeMap<u64, Vec<&TrainingPoint>> = BTreeMap::new();
    runs.iter().flat_map(|run| &run.training).for_each(|point| steps.entry(point.step).or_default().push(point));
    let training = steps.into_iter().map(|(step, points)| {
        let mean = |of: fn(&TrainingPoint) -> Option<f64>| mean(points.iter().filter_map(|point| of(point)).collect());
        TrainingPoint {
            step,
            reward: mean(|point| point.reward),
            mean_length: mean(|point| point.mean_length),
            true_share: mean(|point| point.true_share),
            loss: mean(|point| point.loss),
            entropy: mean(|point| point.entropy),
            kl: mean(|point| point.kl),
        }
    });
    Curves {
        evaluation: runs.iter().flat_map(|run| run.evaluation.clone()).collect(),
        training: training.collect(),
        learning: learning(runs),
    }
}

/// The mean over runs of what each stage measured.
fn learning(runs: &[&Curves]) -> BTreeMap<String, Vec<LearningPoint>> {
    let mut stages: BTreeMap<&str, BTreeMap<u64, Vec<f64>>> = BTreeMap::new();
    for (stage, points) in runs.iter().flat_map(|run| &run.learning) {
        let steps = stages.entry(stage).or_default();
        points.iter().for_each(|point| steps.entry(point.step).or_default().extend(point.loss));
    }
    let point = |(step, losses): (u64, Vec<f64>)| LearningPoint { step, loss: mean(losses) };
    let stage =
        |(stage, steps): (&str, BTreeMap<u64, Vec<f64>>)| (stage.to_owned(), steps.into_iter().map(point).collect());
    stages.into_iter().map(stage).collect()
}

/// Where all of it comes from: what is the same everywhere once, and the rest by the name of the run.
fn info(name: &str, config: &str, runs: &[&RunInfo]) -> RunInfo {
    let mut stages: Vec<StageTime> = Vec::new();
    for stage in runs.iter().flat_map(|run| &run.stages) {
        match stages.iter_mut().find(|other| other.name == stage.name) {
            Some(other) => other.seconds += stage.seconds,
            None => stages.push(stage.clone()),
        }
    }
    let first = runs.first().copied().cloned().unwrap_or_default();
    let perplexity: Vec<&[PolicyPerplexity]> = runs.iter().map(|run| &run.perplexity[..]).collect();
    let hardware: BTreeSet<&str> = runs.iter().map(|run| run.hardware.as_str()).collect();
    RunInfo {
        name: name.to_owned(),
        config: config.to_owned(),
        runs: runs.iter().map(|run| run.name.clone()).collect(),
        digests: apart(runs, |run| &run.digests),
        seeds: apart(runs, |run| &run.seeds),
        stages,
        peak_memory: runs.iter().filter_map(|run| run.peak_memory).max(),
        hardware: hardware.into_iter().collect::<Vec<_>>().join("; "),
        costs: costs(runs),
        duplicates: runs.iter().map(|run| run.duplicates).max().unwrap_or(0),
        perplexity: together(&perplexity),
        budget: budget(runs),
        touched: runs.iter().map(|run| run.touched).max().unwrap_or_default(),
        ..first
    }
}

/// What each stage was thought to take and took, in all runs that know both.
fn budget(runs: &[&RunInfo]) -> Vec<StageBudget> {
    let mut all: Vec<StageBudget> = Vec::new();
    for stage in runs.iter().flat_map(|run| &run.budget).filter(|stage| stage.took.is_some()) {
        match all.iter_mut().find(|other| other.stage == stage.stage) {
            Some(other) => {
                other.estimated += stage.estimated;
                other.took = other.took.zip(stage.took).map(|(one, other)| one + other);
            }
            None => all.push(stage.clone()),
        }
    }
    all
}

/// Named values of all runs: under its own name what is the same in all, under that of its run what is not.
fn apart<T: Clone + PartialEq>(runs: &[&RunInfo], of: fn(&RunInfo) -> &BTreeMap<String, T>) -> BTreeMap<String, T> {
    let mut all = BTreeMap::new();
    for run in runs {
        for (key, value) in of(run) {
            let same = runs.iter().all(|other| of(other).get(key) == Some(value));
            let key = if same { key.clone() } else { format!("{key} in {}", run.name) };
            all.insert(key, value.clone());
        }
    }
    all
}

/// The mean of what each arm took.
fn costs(runs: &[&RunInfo]) -> BTreeMap<Arm, ArmCost> {
    let arms: BTreeSet<Arm> = runs.iter().flat_map(|run| run.costs.keys().copied()).collect();
    let of_arm = |arm: Arm| {
        let costs: Vec<ArmCost> = runs.iter().filter_map(|run| run.costs.get(&arm).copied()).collect();
        // What is not known of one run is not known of all.
        let known = |of: fn(&ArmCost) -> Option<f64>| costs.iter().map(of).collect::<Option<Vec<f64>>>().and_then(mean);
        let cost = ArmCost {
            training_flops: known(|cost| cost.training_flops),
            seconds: known(|cost| cost.seconds),
            read: known(|cost| Some(cost.read)).unwrap_or_default(),
            sampled: known(|cost| Some(cost.sampled)).unwrap_or_default(),
        };
        (arm, cost)
    };
    arms.into_iter().map(of_arm).collect()
}

fn mean(values: Vec<f64>) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::fixture::answer;
    use crate::knowledge::Set;
    use crate::knowledge::reversal::{OPEN, REVERSAL};
    use crate::statistics::Interval;

    /// Even numbers: one form. The same ids in all runs are different questions.
    fn run(name: &str, arms: &[(Arm, u64)]) -> RunResult {
        let of = |&(arm, right): &(Arm, u64)| (0..20).map(move |id| answer(arm, Set::B, 2 * id, id < right));
        let cost = |&(arm, right): &(Arm, u64)| (arm, ArmCost { read: right as f64, ..ArmCost::default() });
        let info = RunInfo {
            name: name.into(),
            seeds: BTreeMap::from([("world".into(), name.len() as u64), ("evaluation".into(), 0)]),
            costs: arms.iter().map(cost).collect(),
            stages: vec![StageTime { name: "training".into(), seconds: 2.0 }],
            ..RunInfo::default()
        };
        let training = vec![TrainingPoint { step: 1, reward: Some(name.len() as f64), ..TrainingPoint::default() }];
        RunResult {
            answered: arms.iter().flat_map(of).collect(),
            curves: Curves { training, ..Curves::default() },
            info,
        }
    }

    #[test]
    fn runs_are_put_together_with_the_baseline_of_each() {
        let one = run("one", &[(Arm::FineTuned, 4), (Arm::AfterRl, 18)]);
        let two = run("other", &[(Arm::FineTuned, 2), (Arm::AfterRl, 12), (Arm::InContext, 20)]);
        let (summary, answered) = merge_runs("both", "", vec![one.clone(), two]);
        assert_eq!(answered.len(), 80, "only arms that answered in every run");
        let row = summary.find(Arm::AfterRl, REVERSAL, OPEN, Set::B).unwrap();
        assert_eq!((row.correct, row.n, row.questions, row.accuracy), (30, 40, 40, 0.75));
        assert_eq!(row.in_runs.iter().map(|run| run.accuracy).collect::<Vec<_>>(), [0.9, 0.6]);
        assert!(row.low < 0.5, "two runs say little: {row:?}");
        let pair = row.against_baseline.unwrap();
        assert_eq!((pair.b, pair.c, pair.n, pair.difference), (24, 0, 40, 0.6));
        assert!(pair.low < pair.difference && pair.p == pair.holm && pair.p < 1e-6);
        let pooled = summary.pooled(Arm::AfterRl, Set::B).unwrap();
        assert_eq!((pooled.low, pooled.high), (row.low, row.high), "there is one kind of question");
        assert_eq!(pooled.against_baseline.unwrap().low, pair.low);
        let (alone, _) = merge_runs("alone", "", vec![one]);
        let row = alone.find(Arm::AfterRl, REVERSAL, OPEN, Set::B).unwrap();
        assert_eq!((row.accuracy, row.low), (0.9, Interval::wilson(0.9, 20).low));
        assert!(row.in_runs.is_empty());
        assert_eq!(merge_runs("none", "", Vec::new()).0.arms, []);
    }

    #[test]
    fn what_differs_is_told_by_run_and_what_was_spent_is_added() {
        let (summary, _) =
            merge_runs("both", "c = 1", vec![run("one", &[(Arm::FineTuned, 4)]), run("other", &[(Arm::FineTuned, 2)])]);
        let RunInfo { name, config, runs, seeds, stages, costs, .. } = summary.run;
        assert_eq!((name.as_str(), config.as_str(), runs.join(" ").as_str()), ("both", "c = 1", "one other"));
        let seeds: Vec<(&str, u64)> = seeds.iter().map(|(of, seed)| (of.as_str(), *seed)).collect();
        assert_eq!(seeds, [("evaluation", 0), ("world in one", 3), ("world in other", 5)]);
        assert_eq!((stages.len(), stages[0].seconds, costs[&Arm::FineTuned].read), (1, 4.0, 3.0));
        assert_eq!(summary.curves.training[0].reward, Some(4.0));
    }
}
