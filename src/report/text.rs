//! The report as text: for a terminal, and as Markdown for the appendix of a paper.

use std::fmt::Write;

use super::findings::Findings;
use super::table::{ShownTable, escaped};
use super::tables;
use super::words::legend;
#[cfg(feature = "cli")]
use super::words::{percent, seconds};
use crate::evaluation::Summary;
#[cfg(feature = "cli")]
use crate::evaluation::{Arm, StageBudget};
use crate::text::printable;
#[cfg(feature = "cli")]
use crate::text::wrapped;

/// Columns of a line of text.
#[cfg(feature = "cli")]
const WIDTH: usize = 96;

/// What came of a run, for a terminal: a row for each kind of question and a column for each arm, or the other way round
/// where there are many arms, and beneath it what the numbers say. At most 100 columns wide. `styled` adds bold type for a
/// terminal; without it the text is plain.
#[cfg(feature = "cli")]
pub fn table(summary: &Summary, styled: bool) -> String {
    let (mut tables, costs) = if summary.arms.iter().all(|row| Arm::STANDARD.contains(&row.arm)) {
        (vec![tables::by_kind(summary)], String::new())
    } else {
        ([tables::by_arm(summary), tables::likelihood(summary)].concat(), tables::costs_legend(summary))
    };
    tables.push(tables::thoughts(summary));
    let at_k = if summary.at_k.is_empty() { "" } else { tables::AT_K_LEGEND };
    let (answering, all) = summary.run.answering();
    let took = format!("Answering took {} of {}: {}.", seconds(answering), seconds(all), percent(answering / all));
    let took = (answering > 0.0).then_some(took);
    let closing = took.into_iter().chain(estimated(&summary.run.budget)).collect::<Vec<_>>().join("\n\n");
    let legends = [costs, legend(&summary.run), at_k.to_owned()];
    terminal(&tables, &legends, Findings::new(summary), (!closing.is_empty()).then_some(closing), styled)
}

/// What stages were thought to take and took, where both are known.
#[cfg(feature = "cli")]
fn estimated(stages: &[StageBudget]) -> Option<String> {
    let both =
        |stage: &StageBudget| Some(format!("{} {} / {}", stage.stage, seconds(stage.estimated), seconds(stage.took?)));
    let all: Vec<String> = stages.iter().filter_map(both).collect();
    (!all.is_empty()).then(|| wrapped(&format!("Estimated / took: {}.", all.join(", ")), WIDTH))
}

/// The two policies of an evaluation, asked the same way.
#[cfg(feature = "cli")]
pub fn matched_arms_table(summary: &Summary) -> String {
    if summary.matched_arms.is_empty() {
        return "No question was asked of both the same way.".into();
    }
    let legend = "Right answers in percent. difference: of the checkpoint from the baseline in points, with its 95 % \
                  interval (paired bootstrap); won, lost: questions that only the checkpoint, only the baseline got right; \
                  exact McNemar test with Holm's correction over all rows.";
    format!("{}\n\n{}", tables::matched_arms(&summary.matched_arms).terminal(false), wrapped(legend, WIDTH))
}

/// Tables with what their numbers are, what these say, and whatever comes last and is not to be broken.
#[cfg(feature = "cli")]
pub(super) fn terminal(
    tables: &[ShownTable],
    legends: &[String],
    findings: Findings,
    closing: Option<String>,
    styled: bool,
) -> String {
    let Findings { headline, lead, evidence, notes } = findings;
    let shown: Vec<&ShownTable> = tables.iter().filter(|table| !table.rows.is_empty()).collect();
    let titled = |table: &&ShownTable| match shown.len() {
        1 => table.terminal(styled),
        _ => format!("{}\n{}", table.title, table.terminal(styled)),
    };
    let told = if lead.is_empty() { headline + "." } else { lead.join(" ") };
    let legends = legends.iter().filter(|_| !shown.is_empty()).cloned();
    let paragraphs = legends.chain([told, evidence.join(" ")]).chain(notes).filter(|words| !words.is_empty());
    let parts = shown.iter().map(titled).chain(paragraphs.map(|words| wrapped(&words, WIDTH))).chain(closing);
    parts.collect::<Vec<_>>().join("\n\n") + "\n"
}

/// What the page tells and all of its numbers, without curves and traces.
pub fn markdown(summary: &Summary) -> String {
    let Findings { headline, lead, evidence, notes } = Findings::new(summary);
    let mut text = format!("# {}\n\n{headline}.\n", escaped(&summary.run.name));
    for paragraph in lead.into_iter().chain(evidence).chain(notes) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{paragraph}\n");
    }
    let mut section = |title: &str, table: &ShownTable, legend: &str| {
        if !table.rows.is_empty() {
            let _ = write!(text, "\n## {title}\n\n{}", table.markdown());
            let _ = if legend.is_empty() { Ok(()) } else { write!(text, "\n{legend}\n") };
        }
    };
    for table in tables::by_task(summary) {
        section(&table.title, &table, "");
    }
    let by_kind = tables::by_kind(summary);
    section(&by_kind.title, &by_kind, &format!("{} {}", legend(&summary.run), tables::costs_legend(summary)));
    section("Every number", &tables::results(&summary.arms), tables::RESULTS_LEGEND);
    section("What it recites", &tables::recited(summary), "");
    section("Accuracy against tokens", &tables::at_k(&summary.at_k), tables::AT_K_LEGEND);
    section("What makes it harder", &tables::scaling(&summary.scaling), "");
    section("The arms", &tables::arms(summary), "Tokens are the mean for an answer, seconds those for all answers.");
    section("Provenance", &tables::provenance(&summary.run), "");
    let _ = write!(text, "\n```toml\n{}\n```\n", summary.run.config.trim_end());
    // People read it in a terminal, too.
    printable(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::super::words::range;
    use super::*;
    use crate::evaluation::{Answered, Curves, RunInfo, RunResult, merge_runs};
    use crate::knowledge::Set;
    use crate::knowledge::reversal::{CANDIDATES, REVERSAL};

    fn widest(text: &str) -> usize {
        text.lines().map(|line| line.chars().count()).max().unwrap()
    }

    #[test]
    fn a_terminal_has_every_arm_with_its_interval_in_at_most_100_columns() {
        let summary = fixture::summary();
        let text = table(&summary, false);
        assert!(widest(&text) <= 100 && !text.contains('\u{1b}'), "{text}");
        assert!(table(&summary, true).contains('\u{1b}'));
        assert!(text.contains("thinking") && text.contains("→"), "{text}");
        for row in summary.latest() {
            assert!(text.contains(&range(row.low, row.high)), "{} is missing in\n{text}", range(row.low, row.high));
        }
        let one = RunResult { answered: fixture::answers(), curves: Curves::default(), info: summary.run };
        let (summary, _) = merge_runs("three", "", vec![one; 3]);
        let text = table(&summary, false);
        assert!(widest(&text) <= 100 && text.contains("over 3 runs"), "{text}");
        let row = summary.find(Arm::AfterRl, REVERSAL, CANDIDATES, Set::B).unwrap();
        assert!(text.contains(&format!("{}+", percent(row.accuracy))), "{text}");
        let text = table(&Summary::new(&[], Curves::default(), RunInfo::default()), false);
        assert_eq!(text, "No question was answered in this run.\n");
        let mut summary = fixture::summary();
        let stage = |stage: &str, took| StageBudget { stage: stage.into(), estimated: 1020.0, took };
        summary.run.budget = vec![stage("fine-tuning", Some(980.0)), stage("warm-up", None)];
        let text = table(&summary, false);
        assert!(text.ends_with("\n\nEstimated / took: fine-tuning 17 min 00 s / 16 min 20 s.\n"), "{text}");
        let text = markdown(&summary);
        assert!(text.contains("| estimate for fine-tuning | 17 min 00 s, took 16 min 20 s |"), "{text}");
        assert!(text.contains("| estimate for warm-up | 17 min 00 s, took not known |"), "{text}");
    }

    #[test]
    fn many_arms_fit_a_terminal_one_below_the_other() {
        let mut answers = fixture::answers();
        for further in Arm::ALL.into_iter().filter(|arm| !Arm::STANDARD.contains(arm)) {
            let like: Vec<Answered> = answers.iter().filter(|one| one.arm == Arm::InContext).cloned().collect();
            let likeliest = |one: &Answered| Some(one.expected.clone()).filter(|_| one.form != CANDIDATES);
            answers.extend(like.into_iter().map(|one| Answered { arm: further, likeliest: likeliest(&one), ..one }));
        }
        let text = table(&Summary::new(&answers, Curves::default(), fixture::summary().run), false);
        assert!(widest(&text) <= 100, "{text}");
        for label in ["oracle", "retrieval after", "gap", "likeliest choice", "100\u{a0}% (9", "†"] {
            assert!(text.contains(label), "{label} is missing in\n{text}");
        }
        let text = matched_arms_table(&fixture::summary());
        // Three ways that both were asked, three kinds of questions, two sets.
        assert_eq!(text.matches("thinking before RL,").count(), 6, "{text}");
        assert!(text.contains("direct after RL") && widest(&text) <= 110, "{text}");
    }

    #[test]
    fn several_thoughts_for_a_question_have_a_table_and_a_sentence_at_equal_tokens() {
        let once = fixture::answers();
        let again = |sample| once.iter().cloned().map(move |one| Answered { sample, ..one });
        let summary = Summary::new(&(0..4).flat_map(again).collect::<Vec<_>>(), Curves::default(), RunInfo::default());
        let text = table(&summary, false);
        assert!(widest(&text) <= 100, "{text}");
        let unbroken = text.replace('\n', " ");
        for words in ["after-rl@4-majority", "thinking-before-rl@2-any", "any: a bound", "at equal tokens: reversal,"] {
            assert!(unbroken.contains(words), "{words} is missing in\n{text}");
        }
        assert!(markdown(&summary).contains("| in-context@4-any | reversal, candidates shown | B |"));
        let text = table(&fixture::summary(), false);
        assert!(!text.contains("@") && !text.contains("equal tokens"), "{text}");
    }

    #[test]
    fn every_table_of_markdown_is_whole_and_holds_every_row() {
        let summary = fixture::summary();
        let text = markdown(&summary);
        let lines: Vec<&str> = text.lines().collect();
        let tables: Vec<&[&str]> =
            lines.split(|line| !line.starts_with('|')).filter(|table| !table.is_empty()).collect();
        // Sets B and A by task, kinds of questions, every number, what is recited, the arms, provenance.
        assert_eq!(tables.len(), 7);
        for table in &tables {
            let cells = |line: &str| line.matches(" | ").count();
            assert!(table.iter().all(|line| cells(line) == cells(table[0])), "{table:#?}");
        }
        assert!(tables[0][0].starts_with("| arm | reversal | syllogism | gap closed |"), "{}", tables[0][0]);
        assert_eq!((tables[0].len(), tables[3].len()), (2 + Arm::STANDARD.len(), 2 + summary.arms.len()));
        let of =
            |row: &&crate::evaluation::TaskResult| (row.set, row.arm, row.task) == (Set::B, Arm::AfterRl, REVERSAL);
        let pooled = summary.by_task.iter().find(of).unwrap().pooled;
        let cell = format!("| {}+ ({}) |", percent(pooled.accuracy), range(pooled.low, pooled.high));
        assert!(tables[0].iter().any(|line| line.starts_with("| after RL |") && line.contains(&cell)), "{cell}");
        let row = summary.find(Arm::AfterRl, REVERSAL, CANDIDATES, Set::B).unwrap();
        let cell = format!("{}+ ({})", percent(row.accuracy), range(row.low, row.high));
        assert!(tables[2].iter().any(|line| line.contains(&cell)), "{cell}");
        assert!(text.find("## Set B").unwrap() < text.find("## Set A").unwrap(), "the headline's set comes first");
        assert!(summary.run.digests.values().all(|digest| text.contains(digest)));
        let run = RunInfo { name: "a|b\nc".into(), hardware: "x | y".into(), ..RunInfo::default() };
        let text = markdown(&Summary::new(&[], Curves::default(), run));
        assert!(text.starts_with("# a\\|b c\n") && text.contains("| hardware | x \\| y |"), "{text}");
    }
}
