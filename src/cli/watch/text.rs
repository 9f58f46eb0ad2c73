//! How a run is, in words and numbers.

use std::fmt::Write;
use std::time::Duration;

use recollect::evaluation::ArmResult;
use recollect::knowledge::Set;
use recollect::monitor::RULES;
use recollect::store::watched::WatchedRun;
use recollect::text::one_line;

use crate::cli::output;
use crate::cli::progress::{span, three_digits};

/// A run whose last step is longer ago is said to stand still, unless its steps take that long.
const STILL: Duration = Duration::from_secs(60);

/// Metrics that are worth a place of their own: name, and what people call it. On a small screen the first are seen.
const FIRST: [(&str, &str); 9] = [
    ("reward", "reward"),
    ("reward_std", "its deviation"),
    ("recited/true_share", "recited, true"),
    ("recited/needed_found", "needed found"),
    ("completions/mean_length", "tokens each"),
    ("completions/clipped_ratio", "cut off"),
    ("frac_reward_zero_std", "flat groups"),
    ("entropy", "entropy"),
    ("time/tokens_per_second", "tokens/s"),
];
const THEN: [(&str, &str); 5] = [
    ("loss", "loss"),
    ("grad_norm", "gradient"),
    ("mismatch_kl", "mismatch kl"),
    ("learning_rate", "learning rate"),
    ("time/step_time", "seconds a step"),
];

/// In asynchronous mode: seconds that one waited for the other, and completions that wait for either.
const WAITS: [(&str, &str); 5] = [
    ("time/wait_for_batch", "learner waited"),
    ("time/wait_for_weights", "actors waited"),
    ("queue/finished", "ready to learn"),
    ("queue/begun", "being sampled"),
    ("queue/waiting", "to be sampled"),
];
/// From nothing to all.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Where the run is: "step 120 of 250, 2.10 s each, 4 min 33 s left".
pub fn progress(watched: &WatchedRun) -> String {
    let stage = watched.learning.as_ref().filter(|stage| watched.lines.is_empty() && !stage.lines.is_empty());
    let (step, total, name) = match (watched.step(), stage) {
        (Some(step), _) => (step, watched.config.train.steps as u64, String::new()),
        (None, _) if watched.finished() => return "over".into(),
        (None, Some(stage)) => {
            let step = stage.lines.last().map_or(0, |line| line.step);
            let total = stage.steps(&watched.config);
            if step >= total {
                return format!("{} is over; questions before reinforcement learning come next", stage.words());
            }
            (step, total, format!("{}: ", stage.words()))
        }
        (None, None) => return "no step of reinforcement learning yet; fine-tuning and the baseline come first".into(),
    };
    let mut parts = vec![format!("{name}step {step} of {total}")];
    let seconds = pace(watched);
    match (watched.finished(), watched.idle()) {
        (true, _) => parts.push("over".into()),
        (false, Some(idle)) if idle > STILL.max(Duration::from_secs_f64(5.0 * seconds.unwrap_or(0.0))) => {
            parts.push(format!("nothing new for {}", span(idle.as_secs_f64())));
        }
        _ => {
            if let Some(seconds) = seconds {
                parts.push(format!("{} s each", three_digits(seconds)));
                parts.push(format!("{} left", span(total.saturating_sub(step) as f64 * seconds)));
            }
        }
    }
    parts.join(", ")
}

/// Median seconds of the last steps: an evaluation on the way does not count.
fn pace(watched: &WatchedRun) -> Option<f64> {
    let mut last: Vec<f64> = watched.curve("time/step_time").iter().rev().take(20).map(|(_, s)| *s).collect();
    last.sort_by(f64::total_cmp);
    // Casting saturates a duration that no clock could hold.
    last.get(last.len() / 2).map(|seconds| seconds.clamp(0.0, 1e9))
}

/// What the last step says, a number a line.
pub fn numbers(watched: &WatchedRun) -> Vec<(String, String)> {
    let known = |(name, words): (&str, &str)| Some((words.to_owned(), number(watched.newest(name)?)));
    let mut rows: Vec<(String, String)> = FIRST.into_iter().filter_map(known).collect();
    if let (Some(sample), Some(learn)) = (watched.newest("time/sample"), watched.newest("time/learn"))
        && sample + learn > 0.0
    {
        let share = |part: f64| format!("{:.0} %", 100.0 * part / (sample + learn));
        rows.push(("sampling, learning".into(), format!("{}, {}", share(sample), share(learn))));
    }
    rows.extend(WAITS.into_iter().filter_map(known));
    rows.extend(staleness(watched));
    rows.extend(THEN.into_iter().filter_map(known));
    rows
}

/// How many tokens are how many versions behind, as bars from none to most.
fn staleness(watched: &WatchedRun) -> Option<(String, String)> {
    let share = |behind: usize| watched.newest(&format!("staleness/{behind}"));
    let shares: Vec<f64> = (0..).map_while(share).collect();
    let most = shares.iter().copied().fold(0.0, f64::max);
    let bar = |share: &f64| BARS[(share / most * (BARS.len() - 1) as f64).ceil() as usize];
    let bars: String = shares.iter().map(bar).collect();
    (most > 0.0).then(|| (format!("tokens behind 0-{}", shares.len() - 1), bars))
}

/// A number in few characters, whatever its size.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if !(0.001..1e6).contains(&size) => format!("{value:.1e}"),
        size if size < 10.0 => format!("{value:.3}"),
        size if size < 1000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// What rings: every alarm of the last step, and files that are not what they were.
pub fn alarms(watched: &WatchedRun) -> Vec<String> {
    let words = |name: String| {
        let rule = RULES.iter().find(|rule| rule.metric() == name);
        // Those that the machine gives, not the run, stand among the times. Another version may know more of them.
        let other = name.strip_prefix("time/").unwrap_or(&name).strip_prefix("alarm/").map(one_line);
        let words = rule.map(|rule| rule.short.to_owned()).or(other)?;
        watched.newest(&name).is_some_and(|value| value > 0.0).then_some(words)
    };
    let damaged = watched.damage.iter().map(|damaged| format!("{}: {}", damaged.path.display(), damaged.found));
    watched.names().into_iter().filter_map(words).chain(damaged).collect()
}

/// The newest evaluation of a set: "candidates 0.94, open 0.90".
pub fn accuracies(watched: &WatchedRun, set: Set) -> Option<String> {
    let newest = watched.evaluations.last()?.step;
    let rows: Vec<&ArmResult> = watched.evaluations.iter().filter(|row| row.step == newest && row.set == set).collect();
    let words: Vec<String> = rows.iter().map(|row| format!("{} {:.2}", row.form, row.accuracy)).collect();
    (!rows.is_empty()).then(|| format!("{set} at step {newest}: {}", words.join(", ")))
}

/// All of it as plain text.
pub fn summary(watched: &WatchedRun) -> String {
    let mut text = format!("{}: {}\n", output::shown(watched.root()), progress(watched));
    // Writing to a string cannot fail.
    for words in [Set::A, Set::B].into_iter().filter_map(|set| accuracies(watched, set)) {
        let _ = writeln!(text, "{words}");
    }
    for (words, value) in numbers(watched) {
        let _ = writeln!(text, "{words:20} {value:>12}");
    }
    for alarm in alarms(watched) {
        let _ = writeln!(text, "ALARM: {alarm}");
    }
    text
}
