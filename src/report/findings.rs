//! What the numbers say, in sentences that follow the numbers wherever they go.

use serde::Serialize;

use super::forgetting::forgetting;
use super::words::{kind, p_value, percent, range, whole_percent};
use crate::evaluation::{AgainstBaseline, Arm, AtK, EqualTokens, Pooled, Summary, Touched, at_equal_tokens};
use crate::knowledge::Set;

/// A result in plain words, made once: terminal, Markdown and page set them each in its own way.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Findings {
    /// One line.
    pub headline: String,
    /// Two or three sentences for someone who has never heard of any of this.
    pub lead: Vec<String>,
    /// Why the lead may be believed: what is recited, and what the controls say.
    pub evidence: Vec<String>,
    /// Lines of their own, which are found by whoever looks for them: how many rows of the files were not asked because they
    /// are equal to others, what is forgotten, what failed.
    pub notes: Vec<String>,
}

/// The arms of a run over all kinds of questions of the set that the headline is measured on.
struct HeadlineNumbers<'a> {
    summary: &'a Summary,
    set: Set,
    touched: Touched,
    fine_tuned: Option<Pooled>,
    after: Option<Pooled>,
}

/// How an arm compares with the fine-tuned baseline.
enum VsBaseline {
    Better,
    Worse,
    /// The questions of these runs say so, and the runs differ too much to say what others would give.
    Unsure,
    Unclear,
}

/// What a reader must know of numbers on text that recollect did not make.
const FROM_FILES: &str = "The questions come from files, and the accuracy is whatever this model reached on them. \
    Free text has no grammar, so nothing that a trace says is checked for truth; a question without choices cannot be \
    guessed, so its chance is 0\u{a0}%.";

impl Findings {
    /// Tells the result of a run. An arm that was not evaluated is not spoken of.
    pub fn new(summary: &Summary) -> Findings {
        let equal = equal_questions(summary.run.duplicates).into_iter();
        let notes = equal.chain(forgetting(&summary.run.perplexity)).collect();
        let Some(set) = summary.headline_set() else {
            return Findings { headline: "No question was answered in this run".into(), notes, ..Findings::default() };
        };
        let (fine_tuned, after) = (summary.pooled(Arm::FineTuned, set), summary.pooled(Arm::AfterRl, set));
        let numbers = HeadlineNumbers { summary, set, touched: summary.run.touched, fine_tuned, after };
        let from_files = summary.latest().any(|row| row.task.free_text).then(|| FROM_FILES.to_owned());
        let evidence =
            [numbers.recitation(), numbers.controls(), numbers.at_equal_tokens(), numbers.seen(), from_files];
        Findings {
            headline: numbers.headline(),
            lead: [numbers.baseline(), numbers.context(), numbers.learning()].into_iter().flatten().collect(),
            evidence: evidence.into_iter().flatten().collect(),
            notes,
        }
    }
}

/// The line that counts the rows of files that ask what another row asks, where there are any.
pub fn equal_questions(rows: usize) -> Option<String> {
    let ask = if rows == 1 { "row asks" } else { "rows ask" };
    (rows > 0).then(|| format!("{rows} {ask} what another row asks; equal questions count once."))
}

impl HeadlineNumbers<'_> {
    fn pooled(&self, arm: Arm) -> Option<Pooled> {
        self.summary.pooled(arm, self.set)
    }

    /// Whether it is measured on what reinforcement learning has had nothing to do with.
    fn is_untouched(&self) -> bool {
        self.set == Set::B && self.touched == Touched::Never
    }

    fn headline(&self) -> String {
        let on = if self.is_untouched() {
            "on knowledge that reinforcement learning never touched".to_owned()
        } else {
            format!("on set {}", self.set)
        };
        if let Some(arm) = [&self.fine_tuned, &self.after].into_iter().flatten().find(|arm| is_silent(arm)) {
            return format!("Too few answers to say anything {on}: {} of {} are empty", arm.unanswered, arm.n);
        }
        match (&self.fine_tuned, &self.after) {
            (Some(before), Some(after)) => {
                let (from, to) = (percent(before.accuracy), percent(after.accuracy));
                match change(after) {
                    VsBaseline::Better => format!("From {from} to {to} {on}"),
                    VsBaseline::Worse => format!("From {from} down to {to} {on}"),
                    VsBaseline::Unsure => format!("From {from} to {to} {on}, in too few runs to be sure"),
                    VsBaseline::Unclear => format!("No clear change {on}: {from} before, {to} after"),
                }
            }
            (_, Some(after)) => format!("{} right {on}", percent(after.accuracy)),
            (Some(before), None) => format!("The fine-tuned model: {} right {on}", percent(before.accuracy)),
            (None, None) => format!("What was measured {on}"),
        }
    }

    /// What the fine-tuned model can do with what it learned.
    fn baseline(&self) -> Option<String> {
        let arm = self.fine_tuned?;
        let verdict = match guessing(&arm) {
            _ if is_silent(&arm) => format!("and {}", silence(&arm)),
            Guessing::Beyond => "better than guessing: it can use some of what it was trained on".into(),
            Guessing::Within => "no better than guessing: it cannot use what it was trained on".into(),
            Guessing::Unclear => "which cannot be told from guessing on so few questions".into(),
        };
        let counts = format!("{} of {}, 95\u{a0}% interval {}\u{a0}%", arm.correct, arm.n, range(arm.low, arm.high));
        Some(format!(
            "Trained on the documents, the model answers {} of the questions about set {} ({counts}; guessing gives {}), \
             {verdict}.",
            percent(arm.accuracy),
            self.set,
            percent(arm.chance),
        ))
    }

    /// What it could do if it had the facts at hand.
    fn context(&self) -> Option<String> {
        let arm = self.pooled(Arm::InContext)?;
        let verdict = match (change(&arm), guessing(&arm)) {
            _ if is_silent(&arm) => format!(", and {}.", silence(&arm)),
            (VsBaseline::Better, Guessing::Beyond) => {
                " of the same questions: the skill is there, what is missing is the recall.".into()
            }
            (VsBaseline::Better, _) => ", which is more and cannot be told from guessing.".into(),
            (VsBaseline::Unsure, _) => ", in runs that differ too much to be sure of it.".into(),
            (_, Guessing::Within) => {
                ", which is no better than guessing: it lacks the skill, not only the recall.".into()
            }
            (VsBaseline::Worse, _) => ", which is less.".into(),
            (VsBaseline::Unclear, _) => ", which is not clearly more, nor clearly as little as guessing gives.".into(),
        };
        Some(format!("With the same documents in its prompt it answers {}{verdict}", percent(arm.accuracy)))
    }

    /// What reinforcement learning changed.
    fn learning(&self) -> Option<String> {
        let (arm, share) = (self.after?, percent(self.after?.accuracy));
        if is_silent(&arm) {
            return Some(format!("After reinforcement learning (RL) it answers {share}, and {}.", silence(&arm)));
        }
        let how = if arm.recited > 0 { "it recites what it knows before it answers" } else { "it thinks first" };
        let on = if self.is_untouched() { " on the questions of set A alone" } else { "" };
        let from = self.fine_tuned.map(|before| format!("{} → {share}", percent(before.accuracy)));
        let interval = Some(format!("interval {}\u{a0}%", range(arm.low, arm.high)));
        let test = arm.against_baseline.map(|pair| format!("exact McNemar test {}", p_value(pair.p)));
        let aside = [from, interval, test].into_iter().flatten().collect::<Vec<_>>().join("; ");
        let (only, verdict) = match change(&arm) {
            VsBaseline::Better => {
                let gap = match arm.gap_closed {
                    Some(gap) if gap > 1.0 => " That is more than with the documents in its prompt.".into(),
                    Some(gap) => {
                        format!(
                            " That closes {} of the gap between the baseline and answering in context.",
                            percent(gap)
                        )
                    }
                    None => String::new(),
                };
                ("", format!("right ({aside}).{gap}"))
            }
            VsBaseline::Worse => ("only ", format!("right ({aside}).")),
            VsBaseline::Unsure => {
                ("", format!("right ({aside}), but the runs differ too much, or are too few, to be sure of it."))
            }
            VsBaseline::Unclear => ("", format!("right, which cannot be told from no change ({aside}).")),
        };
        Some(format!(
            "After reinforcement learning (RL){on}, {how} and gets {only}{share} of the same questions {verdict}"
        ))
    }

    fn recitation(&self) -> Option<String> {
        let true_share = |arm: Pooled| (arm.recited > 0).then(|| arm.recited_true as f64 / arm.recited as f64);
        let after = self.after.and_then(true_share)?;
        let before = self.pooled(Arm::ThinkingBeforeRl).and_then(true_share);
        let before = before.map_or(String::new(), |before| format!(", against {} before", percent(before)));
        Some(format!("Of the facts that it recites after reinforcement learning, {} are true{before}.", percent(after)))
    }

    /// What reinforcement learning may have seen of the set that is to measure it.
    fn seen(&self) -> Option<String> {
        match self.touched {
            _ if self.set != Set::B => None,
            Touched::Never => None,
            Touched::Unknown => Some(
                "Whether reinforcement learning has asked these questions before is not known: a policy or a question \
                 comes from elsewhere."
                    .to_owned(),
            ),
            Touched::Questions(count) => Some(format!(
                "Reinforcement learning was trained on {count} of the questions of set B, so that they do not measure what \
                 carries over."
            )),
        }
    }

    /// What reinforcement learning buys beyond tokens, where the policy before it was asked several times.
    fn at_equal_tokens(&self) -> Option<String> {
        let told = |pair: &EqualTokens| {
            let of = |row: &AtK| {
                let gap = row.gap_closed.map(|gap| format!(", {} of the gap", whole_percent(gap)));
                let share = percent(row.accuracy);
                format!("{share} with {:.0} tokens{}", row.tokens, gap.unwrap_or_default())
            };
            let fewer = if pair.is_fair() { "" } else { ", which are fewer" };
            let (after, before) = (of(pair.after), of(pair.before));
            let kind = kind(pair.after.task, pair.after.form);
            // Some of them are questions themselves.
            let colon = if kind.ends_with('?') { "" } else { ":" };
            format!("{kind}{colon} {after}, against {before} ({}{fewer})", pair.before.name())
        };
        let pairs: Vec<String> = at_equal_tokens(&self.summary.at_k, self.set).iter().map(told).collect();
        (!pairs.is_empty()).then(|| {
            let words = "After reinforcement learning, against the policy before it at equal tokens:";
            format!("{words} {}.", pairs.join("; "))
        })
    }

    fn controls(&self) -> Option<String> {
        let swapped = self.pooled(Arm::SwappedTraces).map(|arm| {
            let about = match guessing(&arm) {
                Guessing::Beyond => "more than guessing",
                Guessing::Within => "no more than guessing",
                Guessing::Unclear => "which cannot be told from guessing",
            };
            let (share, chance) = (percent(arm.accuracy), percent(arm.chance));
            format!("given the trace of another question it answers {share}, {about} ({chance})")
        });
        let direct = self.pooled(Arm::DirectAfterRl);
        let direct = direct.map(|arm| format!("answering at once it still gets {}", percent(arm.accuracy)));
        let controls: Vec<String> = swapped.into_iter().chain(direct).collect();
        (!controls.is_empty()).then(|| format!("Controls: {}.", controls.join("; ")))
    }
}

/// How an arm compares with guessing, by its interval.
enum Guessing {
    /// It lies above.
    Beyond,
    /// It reaches down to guessing, and not far above it.
    Within,
    /// It reaches from guessing to much that would be more.
    Unclear,
}

/// The share of what guessing leaves, up to which an interval that holds guessing is no better than it.
const LITTLE: f64 = 0.25;

fn guessing(arm: &Pooled) -> Guessing {
    match arm {
        arm if arm.low > arm.chance => Guessing::Beyond,
        arm if arm.high <= arm.chance + LITTLE * (1.0 - arm.chance) => Guessing::Within,
        _ => Guessing::Unclear,
    }
}

/// Half of the answers are empty, or more: what a model knows or can do is not seen in what it does not say.
fn is_silent(arm: &Pooled) -> bool {
    2 * arm.unanswered >= arm.n
}

fn silence(arm: &Pooled) -> String {
    format!("{} of {} completions hold no answer, so that nothing follows from it", arm.unanswered, arm.n)
}

fn change(arm: &Pooled) -> VsBaseline {
    match arm.against_baseline.map(|pair: AgainstBaseline| (pair.verdict(pair.p), pair.p)) {
        Some((1, _)) => VsBaseline::Better,
        Some((-1, _)) => VsBaseline::Worse,
        Some((_, p)) if p < 0.05 => VsBaseline::Unsure,
        _ => VsBaseline::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use crate::evaluation::{Answered, Curves, RunInfo, RunResult, merge_runs};
    use crate::knowledge::jsonl::task::{COMPLETION, JSONL};
    use crate::knowledge::reversal::OPEN;

    fn told(answered: &[Answered], run: RunInfo) -> Findings {
        Findings::new(&Summary::new(answered, Curves::default(), run))
    }

    /// The answers of the fixture, changed.
    fn changed(change: impl Fn(&mut Answered)) -> Vec<Answered> {
        let mut answers = fixture::answers();
        answers.iter_mut().for_each(change);
        answers
    }

    /// So many right answers of so many to questions without choices in two arms.
    fn pair(of: usize, right: [usize; 2], arm: Arm) -> Vec<Answered> {
        let answers = fixture::answers();
        let template = answers.iter().filter(|one| (one.arm, one.form, one.set) == (Arm::FineTuned, OPEN, Set::B));
        let answered = |(arm, right): (Arm, usize)| {
            let one = move |(at, one): (usize, &Answered)| {
                let mut one = Answered { arm, chance: 0.0, ..one.clone() };
                one.judgement.correct = at < right;
                one
            };
            template.clone().take(of).enumerate().map(one).collect::<Vec<_>>()
        };
        [(Arm::FineTuned, right[0]), (arm, right[1])].map(answered).concat()
    }

    #[test]
    fn tells_a_newcomer_what_happened() {
        let story = Findings::new(&fixture::summary());
        assert!(story.headline.starts_with("From "), "{}", story.headline);
        assert!(story.headline.ends_with("on knowledge that reinforcement learning never touched"));
        assert_eq!(story.lead.len(), 3);
        for (sentence, words) in [
            (&story.lead[0], "it cannot use"),
            (&story.lead[1], "recall"),
            (&story.lead[2], "p\u{a0}<\u{a0}0.001"),
            (&story.lead[2], "of the gap between the baseline and"),
            (&story.evidence[1], "no more than guessing"),
        ] {
            assert!(sentence.contains(words), "{sentence}");
        }
    }

    #[test]
    fn more_than_the_whole_gap_is_said_in_words() {
        let better = changed(|one| one.judgement.correct |= one.arm == Arm::AfterRl);
        let story = told(&better, RunInfo::default());
        assert!(story.lead[2].ends_with("That is more than with the documents in its prompt."), "{}", story.lead[2]);
    }

    #[test]
    fn does_not_praise_what_did_not_work() {
        let failed = changed(|one| one.judgement.correct &= one.arm != Arm::AfterRl && one.arm != Arm::InContext);
        let story = told(&failed, RunInfo::default());
        assert!(story.headline.contains("down to 0\u{a0}%"), "{}", story.headline);
        assert!(story.lead[1].contains("lacks the skill"), "{}", story.lead[1]);
        assert!(story.lead[2].contains("only 0\u{a0}%"), "{}", story.lead[2]);
        let story = told(&pair(40, [9, 9], Arm::AfterRl), RunInfo::default());
        assert!(story.headline.starts_with("No clear change"), "{}", story.headline);
        assert!(story.lead[1].contains("cannot be told"), "{}", story.lead[1]);
    }

    #[test]
    fn runs_that_disagree_are_no_proof_and_no_failure() {
        let answers = fixture::answers();
        // Reinforcement learning has done nothing in the second run.
        let failed = changed(|one| {
            let before = |other: &&Answered| other.arm == Arm::FineTuned && other.question == one.question;
            if one.arm == Arm::AfterRl {
                one.judgement.correct = answers.iter().find(before).unwrap().judgement.correct;
            }
        });
        let one = |answered| RunResult { answered, ..RunResult::default() };
        let (summary, _) = merge_runs("both", "", vec![one(answers.clone()), one(failed)]);
        let story = Findings::new(&summary);
        assert!(story.headline.ends_with("in too few runs to be sure"), "{}", story.headline);
        assert!(story.lead[1].contains("what is missing is the recall"), "{}", story.lead[1]);
        assert!(story.lead[2].ends_with("to be sure of it."), "{}", story.lead[2]);
    }

    #[test]
    fn what_is_lacking_is_said_where_the_interval_says_so() {
        let lead = |of, right| told(&pair(of, right, Arm::InContext), RunInfo::default()).lead.join(" ");
        assert!(lead(40, [0, 0]).contains("lacks the skill"), "{}", lead(40, [0, 0]));
        assert!(lead(40, [0, 0]).contains("it cannot use"), "{}", lead(40, [0, 0]));
        // Four questions say nothing, and whoever is right without the documents does not lack the skill.
        for (of, right) in [(4, [0, 0]), (4, [1, 1]), (40, [36, 36]), (40, [38, 24])] {
            let lead = lead(of, right);
            assert!(!lead.contains("lacks the skill") && !lead.contains("cannot use"), "{lead}");
        }
        assert!(lead(40, [2, 38]).contains("what is missing is the recall"));
        for arm in [Arm::InContext, Arm::AfterRl] {
            let mut empty = pair(40, [0, 0], arm);
            empty.iter_mut().for_each(|one| one.judgement.answer = Some(" ".into()).filter(|_| one.question % 2 == 0));
            let story = told(&empty, RunInfo::default());
            let text = format!("{} {}", story.headline, story.lead.join(" "));
            assert!(text.contains("40 of 40 completions hold no answer"), "{text}");
            for conclusion in ["lacks the skill", "cannot use", "No clear change", "guessing:"] {
                assert!(!text.contains(conclusion), "{conclusion} in {text}");
            }
        }
    }

    #[test]
    fn what_reinforcement_learning_was_trained_on_is_not_called_untouched() {
        let all = pair(40, [4, 30], Arm::AfterRl);
        let of = |touched| {
            let story = told(&all, RunInfo { touched, ..RunInfo::default() });
            format!("{} {} {}", story.headline, story.lead.join(" "), story.evidence.join(" "))
        };
        assert!(of(Touched::Never).contains("never touched") && of(Touched::Never).contains("set A alone"));
        for (touched, words) in [(Touched::Unknown, "is not known"), (Touched::Questions(7), "trained on 7 of")] {
            let text = of(touched);
            assert!(text.contains(words) && !text.contains("never touched") && !text.contains("alone"), "{text}");
        }
        let story = told(&changed(|one| one.set = Set::A), RunInfo::default());
        assert!(story.headline.ends_with("on set A") && !story.lead.join(" ").contains("never touched"));
    }

    #[test]
    fn equal_questions_are_counted_out_loud_also_where_nothing_was_answered() {
        let notes = |duplicates| told(&[], RunInfo { duplicates, ..RunInfo::default() }).notes;
        assert_eq!(notes(3), ["3 rows ask what another row asks; equal questions count once."]);
        assert_eq!(notes(1), ["1 row asks what another row asks; equal questions count once."]);
        let story = told(&[], RunInfo::default());
        assert_eq!((story.headline.as_str(), story.lead.len()), ("No question was answered in this run", 0));
        assert!(story.notes.is_empty());
    }

    #[test]
    fn without_documents_there_is_no_word_about_a_context() {
        let mut answers = fixture::answers();
        answers.retain(|one| ![Arm::InContext, Arm::InContextAfterRl].contains(&one.arm));
        let summary = Summary::new(&answers, Curves::default(), RunInfo::default());
        let page = super::super::page(&summary, &[]).unwrap();
        let page = page.split("</style>").last().and_then(|page| page.split("<script").next()).unwrap();
        for text in [super::super::table(&summary, false), super::super::markdown(&summary), page.to_owned()] {
            let found = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(!found.contains("in context") && !found.contains("documents in"), "{found}");
        }
    }

    #[test]
    fn says_what_numbers_on_files_are_worth() {
        let from_files = changed(|one| {
            (one.task, one.form) = (JSONL, COMPLETION);
            one.judgement.recitations.clear();
        });
        let story = told(&from_files, RunInfo::default());
        assert!(story.evidence.last().unwrap().contains("whatever this model reached"), "{:?}", story.evidence);
        assert!(!story.evidence.join(" ").contains("facts that it recites"), "{:?}", story.evidence);
        assert!(!Findings::new(&fixture::summary()).evidence.join(" ").contains("files"));
    }
}
