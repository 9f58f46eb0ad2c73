//! How numbers, tables and completions look in the terminal.

use std::fmt::Write;

use recollect::reward::rescore::{Distribution, Rescored};
use recollect::reward::scorer::FailedJudgements;
use recollect::reward::{Record, Score};
use recollect::strict_toml::one_line;

/// Most characters of a completion that is shown.
const LONGEST: usize = 400;

/// Two digits and a real minus; a dash for nothing.
pub fn number(value: impl Into<Option<f64>>) -> String {
    match value.into() {
        None => "-".into(),
        // What rounds to nothing has no sign.
        Some(value) if value.abs() < 0.005 => "0.00".into(),
        Some(value) => format!("{value:.2}").replace('-', "−"),
    }
}

/// A share in percent.
pub fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}

/// The histogram of a distribution, a character for each part of its range.
pub fn bars(distribution: &Distribution) -> String {
    let most = distribution.bars().iter().copied().max().unwrap_or(0).max(1);
    let level = |n: u64| match n {
        0 => '·',
        n => ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][((8 * n).div_ceil(most) as usize).clamp(1, 8) - 1],
    };
    distribution.bars().iter().map(|n| level(*n)).collect()
}

/// How many rollouts there are, in a line.
pub fn head(found: &Rescored) -> String {
    let (right, rollouts) = (percent(found.right, found.rollouts), found.rollouts);
    let mut text = format!("{rollouts} rollouts in {} groups, {right} of them right\n", found.groups);
    if found.undecided > 0 && found.rewards.iter().any(|reward| reward.asks_for_grounds) {
        let _ = writeln!(
            text,
            "note: {} rollouts do not say whether the answer follows from the trace; groundedness is 0 for them",
            found.undecided
        );
    }
    text += &of_commands(&found.failed, &found.remarks);
    let unjudged = found.rewards.iter().map(|reward| reward.unjudged).max().unwrap_or(0);
    if unjudged > 0 {
        let _ = writeln!(text, "note: {unjudged} rollouts were not judged and are left out of all numbers");
    }
    text
}

/// What commands of external terms did not answer, and what was wrong with their lines.
pub fn of_commands(failed: &[FailedJudgements], remarks: &[(String, String)]) -> String {
    let mut text = String::new();
    for FailedJudgements { term, failure, times, complaint } in failed {
        let words = complaint.as_ref().map_or(String::new(), |words| format!(" (\"{}\")", one_line(words)));
        text += &format!("note: the command of {term} gave no value {times} times: {}{words}\n", failure.name());
    }
    for (term, words) in remarks {
        text += &format!("note: {term}: {words}\n");
    }
    text
}

/// A rollout in three lines, or four where it was given something.
pub fn rollout(record: &Record) -> String {
    let answer = match (&record.judgement.answer, record.judgement.correct) {
        (None, _) => "no answer".to_string(),
        (Some(answer), true) => format!("{answer} (right)"),
        (Some(answer), false) => format!("{answer} (right is {})", record.answer),
    };
    let given = match record.given.as_str() {
        "" => String::new(),
        given => format!("    given   {}\n", clip(given)),
    };
    format!(
        "  step {}, question {}, sample {}\n    asked   {}\n{given}    wrote   {}\n    answer  {}\n",
        record.step,
        record.question,
        record.sample,
        clip(&record.prompt),
        clip(record.completion.strip_prefix(&record.given).unwrap_or(&record.completion).trim_start()),
        clip(&answer)
    )
}

/// "1.50 = correct 1.00 + recitation 0.50": what is paid, and for what.
pub fn paid(score: &Score) -> String {
    if score.total.is_none() {
        let open = score.terms.iter().filter(|term| term.paid().is_none()).map(|term| term.name.as_str());
        return format!("not judged: no value of {}", open.collect::<Vec<_>>().join(", "));
    }
    let mut text = number(score.total);
    let parts =
        score.terms.iter().filter_map(|term| Some((term, term.paid()?))).filter(|(_, paid)| paid.abs() >= 0.005);
    for (index, (term, paid)) in parts.enumerate() {
        let (sign, paid) = if paid < 0.0 { ("−", -paid) } else { ("+", paid) };
        let sign = match (index, sign) {
            (0, "+") => "=".to_string(),
            (0, sign) => format!("= {sign}"),
            (_, sign) => sign.to_string(),
        };
        let _ = write!(text, " {sign} {} {}", term.name, number(paid));
    }
    text
}

/// A text in one line, its middle left out where it is long.
fn clip(text: &str) -> String {
    let text: Vec<char> = one_line(text).chars().collect();
    if text.len() <= LONGEST {
        return text.into_iter().collect();
    }
    let (start, end) = (&text[..LONGEST / 2], &text[text.len() - LONGEST / 2..]);
    format!("{} … {}", start.iter().collect::<String>(), end.iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use recollect::reward::TermScore;

    #[test]
    fn numbers_are_short() {
        assert_eq!([number(-0.25), number(-0.001), number(1.0), number(None)], ["−0.25", "0.00", "1.00", "-"]);
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(0, 0), "0.0 %");
    }

    #[test]
    fn what_is_paid_is_a_sum() {
        let term = |name: &str, value, weight| TermScore { name: name.into(), value, weight };
        let known = |name: &str, value, weight| term(name, Some(value), weight);
        let terms = vec![known("a", 1.0, -0.5), known("b", 1.0, 0.0), known("c", 0.5, 2.0)];
        assert_eq!(paid(&Score { total: Some(0.5), terms }), "0.50 = − a 0.50 + c 1.00");
        let terms = vec![known("a", 1.0, 1.0), term("b", None, 1.0), term("c", None, 0.0)];
        assert_eq!(paid(&Score { total: None, terms }), "not judged: no value of b");
    }

    #[test]
    fn long_and_hostile_texts_are_one_line() {
        let shown = clip(&"é\n\u{1b}".repeat(100_000));
        assert!(shown.chars().count() < LONGEST + 5 && !shown.contains(['\n', '\u{1b}']));
    }
}
