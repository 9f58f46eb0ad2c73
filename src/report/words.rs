//! How numbers and kinds of questions are written for people.

use crate::evaluation::{AgainstBaseline, RunInfo, Touched};
use crate::knowledge::{Form, Set, TaskId};

/// A share as a percentage. Nothing but all is 100 % and nothing but none is 0 %. The space does not break, so
/// that number and sign stay on one line.
pub fn percent(share: f64) -> String {
    let rounded = (share * 100.0).round();
    match share {
        _ if share > 0.0 && rounded == 0.0 => "<1\u{a0}%".into(),
        _ if share < 1.0 && rounded == 100.0 => ">99\u{a0}%".into(),
        _ => format!("{rounded:.0}\u{a0}%"),
    }
}

/// A share that may be below 0 or above 1.
pub fn whole_percent(share: f64) -> String {
    format!("{}\u{a0}%", (100.0 * share).round() + 0.0)
}

/// An interval of shares in percent: "76–87".
pub fn range(low: f64, high: f64) -> String {
    format!("{:.0}–{:.0}", low * 100.0, high * 100.0)
}

/// A difference of shares in points: "+3.2", "−0.7".
pub fn points(difference: f64) -> String {
    let points = format!("{:.1}", difference.abs() * 100.0);
    match difference {
        _ if points == "0.0" => points,
        _ if difference < 0.0 => format!("−{points}"),
        _ => format!("+{points}"),
    }
}

/// A p-value as it stands in a sentence: "p = 0.012".
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "p\u{a0}<\u{a0}0.001".into() } else { format!("p\u{a0}=\u{a0}{p:.3}") }
}

/// Whether an arm differs from the baseline by more than chance explains, corrected for the number of arms: "+", "−" or
/// nothing.
pub fn sign(pair: Option<AgainstBaseline>) -> &'static str {
    match pair.map(|pair| pair.verdict(pair.holm)) {
        Some(1) => "+",
        Some(-1) => "−",
        _ => "",
    }
}

/// What stands in a table of arms.
pub fn legend(run: &RunInfo) -> String {
    let test = "better or worse than fine-tuned on the same questions (exact McNemar test, corrected for the number of arms \
                by Holm's method, p < 0.05";
    match run.runs.len() {
        0 | 1 => format!("Answers right in percent, with the 95 % Wilson interval over questions. + or −: {test})."),
        runs => format!(
            "Answers right in percent: the mean over {runs} runs, each with seeds of its own, with a 95 % interval that holds \
             what comes from the questions and what comes from the seeds (Wilson's, for the effective number of questions by \
             the variance between runs). + or −: {test}, and the interval of the difference, made the same way, leaves out 0)."
        ),
    }
}

/// A kind of question: "reversal, candidates shown".
pub fn kind(task: TaskId, form: Form) -> String {
    let task = if task.free_text { task.plural } else { task.name };
    format!("{task}, {}", form.title)
}

/// What a set is for, after "Set B".
pub fn set_purpose(set: Set, run: &RunInfo) -> &'static str {
    match (set, run.touched) {
        (Set::A, _) => "RL asks about it",
        (Set::B, Touched::Never) => "RL never touches it",
        (Set::B, Touched::Unknown) => "what RL has seen of it is not known",
        (Set::B, Touched::Questions(_)) => "RL was trained on some of it",
        (Set::C, _) => "known to the base model",
    }
}

/// Floating-point operations: "32.1 T".
pub fn operations(count: f64) -> String {
    const UNITS: [&str; 8] = ["", " k", " M", " G", " T", " P", " E", " Z"];
    let mut scaled = (count, 0);
    while scaled.0 >= 999.5 && scaled.1 + 1 < UNITS.len() {
        scaled = (scaled.0 / 1000.0, scaled.1 + 1);
    }
    let digits = if scaled.0 < 9.995 { 2 } else { usize::from(scaled.0 < 99.95) };
    format!("{:.digits$}{}", scaled.0, UNITS[scaled.1])
}

/// A time: "8.3 s", "4 min 05 s".
pub fn seconds(seconds: f64) -> String {
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match whole {
        0..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::Pairs;

    #[test]
    fn only_all_is_all_and_only_none_is_none() {
        let texts = [0.0, 0.002, 0.164, 0.998, 1.0].map(|share| percent(share).replace('\u{a0}', " "));
        assert_eq!(texts, ["0 %", "<1 %", "16 %", ">99 %", "100 %"]);
    }

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!([0.25, 59.96, 245.2, 7_260.0].map(seconds), ["0.2 s", "1 min 00 s", "4 min 05 s", "2 h 01 min"]);
        assert_eq!([5.0, 31.24e12, 999.6e12, 123.4e30].map(operations), ["5.00", "31.2 T", "1.00 P", "123400000000 Z"]);
        assert_eq!([0.032, -0.0074, -0.0001].map(points), ["+3.2", "−0.7", "0.0"]);
        assert_eq!([0.0004, 0.0123].map(p_value), ["p\u{a0}<\u{a0}0.001", "p\u{a0}=\u{a0}0.012"]);
    }

    #[test]
    fn a_sign_needs_evidence() {
        let pair = |won, lost, holm| {
            Some(AgainstBaseline { holm, ..AgainstBaseline::from_runs(&[Pairs { won, lost, n: 40 }]) })
        };
        assert_eq!(sign(pair(20, 2, 0.001)), "+");
        assert_eq!(sign(pair(2, 20, 0.001)), "−");
        assert_eq!(sign(pair(4, 2, 0.6)), "");
        assert_eq!(sign(None), "");
    }
}
