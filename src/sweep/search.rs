//! Which cells a sweep has, and which of them go on.

use serde::Deserialize;
use toml::Value;

use super::axes::{Axis, AxisValues};
use crate::random;
use crate::strict_toml::Problem;

/// The most cells of a sweep.
const MOST: usize = 1000;
/// Draws for each cell that is wanted, until one is new.
const TRIES: usize = 100;

/// Where cells come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SearchMethod {
    /// Every combination of the values.
    #[default]
    Grid,
    /// Values drawn by a seed.
    Random,
    /// Successive halving (Jamieson and Talwalkar 2016): all cells are trained for a few steps, the best go on.
    Halving,
}

/// How cells are found, and which of them go on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Search {
    /// Where cells come from.
    pub kind: SearchMethod,
    /// Cells to draw. Required for `random`; where `halving` has none it begins with the grid.
    pub cells: Option<usize>,
    /// Seed of the draws; 0 unless given.
    pub seed: Option<u64>,
    /// Of so many cells one goes on to the next rung, which has so many times the steps; 3 unless given.
    pub eta: Option<usize>,
    /// How often cells are trained and measured; the last time for `train.steps`. 3 unless given.
    pub rungs: Option<usize>,
}

impl Search {
    /// What does not go together, by key.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut demand = |holds: bool, key: &str, found: String, allowed: &str| {
            if !holds {
                problems.push(Problem::new(format!("search.{key}"), format!("found {found}"), allowed));
            }
        };
        let shown = |value: Option<usize>| value.map_or("none".into(), |value| value.to_string());
        let (draws, halves) = (self.kind != SearchMethod::Grid, self.kind == SearchMethod::Halving);
        demand(self.cells.is_none() || draws, "cells", shown(self.cells), "allowed with kind random or halving");
        demand(
            self.seed.is_none() || draws,
            "seed",
            shown(self.seed.map(|s| s as usize)),
            "allowed with kind random or halving",
        );
        demand(self.eta.is_none() || halves, "eta", shown(self.eta), "allowed with kind halving");
        demand(self.rungs.is_none() || halves, "rungs", shown(self.rungs), "allowed with kind halving");
        let wanted = self.kind != SearchMethod::Random || self.cells.is_some();
        demand(wanted, "cells", "none".into(), "kind random needs a number of cells to draw");
        let count = self.cells.is_none_or(|cells| (1..=MOST).contains(&cells));
        demand(count, "cells", shown(self.cells), &format!("allowed is 1 to {MOST}"));
        demand(self.eta.is_none_or(|eta| (2..=100).contains(&eta)), "eta", shown(self.eta), "allowed is 2 to 100");
        demand(self.rungs.is_none_or(|n| (1..=10).contains(&n)), "rungs", shown(self.rungs), "allowed is 1 to 10");
        problems
    }

    /// The cells, in their order: a value for each axis.
    pub fn cells(&self, axes: &[Axis]) -> Result<Vec<Vec<Value>>, Vec<Problem>> {
        match self.cells {
            Some(count) => random(axes, count, self.seed.unwrap_or(0)),
            None => grid(axes),
        }
    }

    /// The steps of each rung, rising: one rung of all the steps unless cells are halved.
    pub fn rungs(&self, steps: usize) -> Vec<usize> {
        let count = if self.kind == SearchMethod::Halving { self.rungs.unwrap_or(3) } else { 1 };
        let shorter = |rung: &usize| self.eta().checked_pow((count - 1 - rung) as u32).map_or(0, |by| steps / by);
        (0..count).map(|rung| shorter(&rung).max(1)).collect()
    }

    /// Which go on to the next rung: of `eta` one, the best by score, the first of equals; in their old order.
    pub fn survivors(&self, scores: &[f64]) -> Vec<usize> {
        let mut best: Vec<usize> = (0..scores.len()).collect();
        best.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        best.truncate(scores.len().div_ceil(self.eta()));
        best.sort_unstable();
        best
    }

    fn eta(&self) -> usize {
        self.eta.unwrap_or(3)
    }

    /// In words. `steps` are those of the config, where they are the same for all cells.
    pub fn describe(&self, cells: usize, steps: Option<usize>) -> String {
        let drawn = format!("{cells} cells drawn with seed {}", self.seed.unwrap_or(0));
        let from = if self.cells.is_some() { drawn } else { format!("a grid of {cells} cells") };
        match (self.kind, steps) {
            (_, None) => from,
            (SearchMethod::Halving, Some(steps)) => {
                let rungs: Vec<String> = self.rungs(steps).iter().map(usize::to_string).collect();
                format!("{from}, trained for {} steps, the best 1 of {} each time", rungs.join(", then "), self.eta())
            }
            (_, Some(steps)) => format!("{from}, trained for {steps} steps"),
        }
    }
}

/// Every combination, the last axis changing fastest.
fn grid(axes: &[Axis]) -> Result<Vec<Vec<Value>>, Vec<Problem>> {
    let mut cells = vec![Vec::new()];
    for axis in axes {
        let AxisValues::List(values) = &axis.values else {
            let remedy = "list its values, or draw cells: [search] with kind = \"random\" and a number of cells";
            return Err(vec![Problem::new(format!("axes.{}", axis.key), "a range in a grid", remedy)]);
        };
        if cells.len().saturating_mul(values.len()) > MOST {
            let remedy = format!("allowed are {MOST}; draw some of them: [search] with kind = \"random\"");
            return Err(vec![Problem::new("axes", format!("more than {MOST} cells"), remedy)]);
        }
        let with = |cell: &Vec<Value>, value: &Value| cell.iter().chain([value]).cloned().collect();
        cells = cells.iter().flat_map(|cell| values.iter().map(move |value| with(cell, value))).collect();
    }
    Ok(cells)
}

/// Different cells. A greater count gives the same ones and more, and another axis leaves the values of the rest alone.
fn random(axes: &[Axis], count: usize, seed: u64) -> Result<Vec<Vec<Value>>, Vec<Problem>> {
    let mut cells: Vec<Vec<Value>> = Vec::new();
    for draw in 0..count * TRIES {
        let value = |axis: &Axis| axis.draw(&mut random::named(seed, &format!("{draw} {}", axis.key)));
        let cell: Vec<Value> = axes.iter().filter_map(value).collect();
        if !cells.contains(&cell) {
            cells.push(cell);
        }
        if cells.len() == count {
            return Ok(cells);
        }
    }
    let found = format!("found {count}, and the axes have only {} different cells", cells.len());
    Err(vec![Problem::new("search.cells", found, "ask for fewer, or give the axes more values")])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::axes::AxisRange;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn list(key: &str, count: i64) -> Axis {
        Axis { key: key.into(), values: AxisValues::List((0..count).map(Value::from).collect()) }
    }

    fn range(key: &str) -> Axis {
        Axis { key: key.into(), values: AxisValues::Range(AxisRange { from: 1e-5, to: 1e-2, log: true, whole: false }) }
    }

    fn search(kind: SearchMethod, cells: Option<usize>) -> Search {
        Search { kind, cells, ..Search::default() }
    }

    proptest! {
        #[test]
        fn a_grid_has_every_combination_once(sizes in prop::collection::vec(1i64..5, 1..4)) {
            let axes: Vec<Axis> = sizes.iter().enumerate().map(|(at, size)| list(&at.to_string(), *size)).collect();
            let cells = search(SearchMethod::Grid, None).cells(&axes).unwrap();
            let different: HashSet<String> = cells.iter().map(|cell| format!("{cell:?}")).collect();
            prop_assert_eq!(cells.len() as i64, sizes.iter().product::<i64>());
            prop_assert_eq!(different.len(), cells.len());
            prop_assert!(cells.iter().all(|cell| cell.len() == axes.len()));
        }

        #[test]
        fn draws_are_reproducible_different_and_extended_by_more(count in 1usize..12, more in 1usize..5, seed: u64) {
            let axes = [list("a", 3), range("b")];
            let draw = |count| Search { seed: Some(seed), ..search(SearchMethod::Random, Some(count)) }.cells(&axes).unwrap();
            let (fewer, all) = (draw(count), draw(count + more));
            prop_assert_eq!(&fewer[..], &all[..count]);
            prop_assert_eq!(fewer, draw(count));
            let different: HashSet<String> = all.iter().map(|cell| format!("{cell:?}")).collect();
            prop_assert_eq!(different.len(), count + more);
        }

        #[test]
        fn halving_keeps_the_best(scores in prop::collection::vec(0.0f64..1.0, 1..40), eta in 2usize..6) {
            let halving = Search { eta: Some(eta), ..search(SearchMethod::Halving, None) };
            let kept = halving.survivors(&scores);
            prop_assert_eq!(kept.len(), scores.len().div_ceil(eta));
            prop_assert!(kept.is_sorted());
            let worst = kept.iter().map(|at| scores[*at]).fold(f64::INFINITY, f64::min);
            prop_assert!((0..scores.len()).all(|at| kept.contains(&at) || scores[at] <= worst));
        }
    }

    #[test]
    fn rungs_end_with_all_the_steps() {
        let halving = |eta, rungs| Search { eta: Some(eta), rungs: Some(rungs), ..search(SearchMethod::Halving, None) };
        assert_eq!(halving(3, 3).rungs(90), [10, 30, 90]);
        assert_eq!(halving(2, 4).rungs(5), [1, 1, 2, 5]);
        assert_eq!(halving(100, 10).rungs(7), [1, 1, 1, 1, 1, 1, 1, 1, 1, 7]);
        assert_eq!(search(SearchMethod::Grid, None).rungs(90), [90]);
        assert_eq!(search(SearchMethod::Halving, None).survivors(&[0.5, 0.7, 0.7, 0.7]), [1, 2], "the first of equals");
    }

    #[test]
    fn what_cannot_be_is_named() {
        let problem = |search: Search| -> String {
            search.problems().into_iter().map(|problem| problem.at("x").to_string()).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(
            problem(search(SearchMethod::Random, None)),
            "x: search.cells: found none; kind random needs a number of cells to draw"
        );
        assert_eq!(
            problem(search(SearchMethod::Grid, Some(3))),
            "x: search.cells: found 3; allowed with kind random or halving"
        );
        assert_eq!(
            problem(Search { eta: Some(1), ..search(SearchMethod::Halving, None) }),
            "x: search.eta: found 1; allowed is 2 to 100"
        );
        let few = search(SearchMethod::Random, Some(4)).cells(&[list("a", 3)]).unwrap_err();
        assert!(few[0].found.ends_with("only 3 different cells"), "{few:?}");
        assert_eq!(search(SearchMethod::Grid, None).cells(&[range("b")]).unwrap_err()[0].found, "a range in a grid");
        let many = [list("a", 50), list("b", 50)];
        assert_eq!(search(SearchMethod::Grid, None).cells(&many).unwrap_err()[0].found, "more than 1000 cells");
    }
}
