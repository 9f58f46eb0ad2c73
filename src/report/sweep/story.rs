//! What the ranks say, in sentences that follow the numbers.

use super::super::words::{p_value, percent, points, range};
use super::described;
use crate::evaluation::SweepSummary;
use crate::evaluation::sweep::{Lead, OnB, RankedCell};

/// A sweep in plain words.
pub struct SweepFindings {
    pub headline: String,
    pub lead: Vec<String>,
    /// How far all this may be believed.
    pub evidence: Vec<String>,
}

/// From here on two cells count as different.
pub fn is_clear(lead: &Lead) -> bool {
    lead.p < 0.05
}

/// "+3.2 points (−1.0 to +7.4)".
pub fn ahead(lead: &Lead) -> String {
    format!("{} points ({} to {})", points(lead.difference), points(lead.low), points(lead.high))
}

impl SweepFindings {
    pub fn new(summary: &SweepSummary) -> SweepFindings {
        let Some(winner) = summary.ranking.first() else {
            return SweepFindings { headline: "No cell was measured".into(), lead: Vec::new(), evidence: Vec::new() };
        };
        let name = described(&summary.labels, &winner.settings);
        let next = summary.ranking.get(1).and_then(|next| Some((next, next.behind?)));
        let score = percent(winner.score.accuracy);
        let headline = match next {
            Some((_, lead)) if is_clear(&lead) => format!("{name}: {score} right, clearly ahead of the next"),
            Some((_, lead)) if lead.difference > 0.0 => {
                format!("{name}: {score} right, ahead of the next but not clearly")
            }
            Some(_) => format!("{name}: {score} right, level with the next"),
            None => format!("{name}: {score} right"),
        };
        let lead = [Some(judged(summary, winner, &name)), next.map(|(next, lead)| against(summary, next, &lead))];
        let b = summary.b.as_ref().map(on_b);
        let failed = (!summary.failed.is_empty())
            .then(|| format!("{} of all cells could not be trained, and have no rank.", summary.failed.len()));
        let flattered = format!(
            "The ranks come from questions about set A that no training asked, and nothing else. The winner's score is the \
             best of {}, so it is somewhat flattered, and p-values do not know of how many cells it is the best; what it \
             answers about B is not flattered by the choice.",
            summary.ranking.len()
        );
        SweepFindings {
            headline,
            lead: lead.into_iter().flatten().chain(b).collect(),
            evidence: [Some(flattered).filter(|_| summary.ranking.len() > 1), failed].into_iter().flatten().collect(),
        }
    }
}

fn judged(summary: &SweepSummary, winner: &RankedCell, name: &str) -> String {
    let seeds: Vec<String> = summary.seeds.iter().map(u64::to_string).collect();
    let score = &winner.score;
    format!(
        "Of {}, each with {} {}, the best is {name}: it answers {} of {} questions that no training asked right ({}, \
         interval {} %, guessing gives {}).",
        summary.search,
        if seeds.len() == 1 { "seed" } else { "seeds" },
        seeds.join(", "),
        score.correct,
        score.n,
        percent(score.accuracy),
        range(score.low, score.high),
        percent(score.chance),
    )
}

fn against(summary: &SweepSummary, next: &RankedCell, lead: &Lead) -> String {
    let unclear = summary.ranking.iter().filter_map(|cell| cell.behind).filter(|lead| !is_clear(lead)).count();
    let others = summary.ranking.len() - 1;
    let told = match unclear {
        0 => "Every other cell is clearly behind.".to_owned(),
        1 if others == 1 => "The two cannot be told apart on so many questions.".to_owned(),
        _ if unclear == others => {
            format!("None of the {others} other cells can be told apart from it on so many questions.")
        }
        _ => format!("{unclear} of the {others} other cells cannot be told apart from it on so many questions."),
    };
    format!(
        "The next, {}, answers {}; the winner is ahead by {} on the same questions, {}. {told}",
        described(&summary.labels, &next.settings),
        percent(next.score.accuracy),
        ahead(lead),
        p_value(lead.p),
    )
}

fn on_b(b: &OnB) -> String {
    let test = b
        .after
        .against_baseline
        .map_or(String::new(), |pair| format!("; {} questions won and {} lost, {}", pair.b, pair.c, p_value(pair.p)));
    format!(
        "On set B, which was first asked about when the winner was known, it answers {} right ({} %), where the fine-tuned \
         model answers {} ({} %{test}).",
        percent(b.after.accuracy),
        range(b.after.low, b.after.high),
        percent(b.fine_tuned.accuracy),
        range(b.fine_tuned.low, b.fine_tuned.high),
    )
}
