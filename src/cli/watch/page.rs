//! The page: what stands where, and what keys do.

use std::collections::BTreeMap;

use ratatui::Frame;
use ratatui::crossterm::event::KeyCode;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Stylize};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Paragraph, Wrap};
use recollect::Result;
use recollect::evaluation::ArmResult;
use recollect::knowledge::Set;
use recollect::reward::Record;
use recollect::store::watched::WatchedRun;
use recollect::text::one_line;

use super::chart::{self, Curve};
use super::{text, trace};
use crate::cli::output;

/// A run, and how it is looked at.
pub struct WatchPage {
    watched: WatchedRun,
    /// In the right chart.
    metric: String,
    /// Which completion is shown, among those that are.
    completion: usize,
    only_wrong: bool,
    held: bool,
}

impl WatchPage {
    pub fn new(watched: WatchedRun) -> WatchPage {
        WatchPage { watched, metric: "reward".into(), completion: 0, only_wrong: false, held: false }
    }

    /// Reads what the run has written since, unless it is held.
    pub fn look(&mut self) -> Result<()> {
        if !self.held {
            self.watched.poll()?;
        }
        Ok(())
    }

    pub fn press(&mut self, key: KeyCode) {
        match key {
            KeyCode::Right => self.turn(1),
            KeyCode::Left => self.turn(-1),
            KeyCode::Down => self.completion = self.completion.saturating_add(1),
            KeyCode::Up => self.completion = self.completion.saturating_sub(1),
            KeyCode::Char('w') => (self.only_wrong, self.completion) = (!self.only_wrong, 0),
            KeyCode::Char(' ') => self.held = !self.held,
            _ => {}
        }
        self.completion = self.completion.min(self.shown().len().saturating_sub(1));
    }

    /// The chosen metric, or the loss where what goes on has no such metric.
    fn metric(&self) -> String {
        let names = self.watched.names();
        let known = names.is_empty() || names.contains(&self.metric) || !self.watched.curve(&self.metric).is_empty();
        if known { self.metric.clone() } else { "loss".into() }
    }

    /// To the metric so many names further.
    fn turn(&mut self, by: isize) {
        let names = self.watched.names();
        let shown = self.metric();
        let at = names.iter().position(|name| *name == shown).unwrap_or(0) as isize;
        if let Some(name) = names.get((at + by).rem_euclid(names.len().max(1) as isize) as usize) {
            self.metric = name.clone();
        }
    }

    fn shown(&self) -> Vec<&Record> {
        self.watched.rollouts.iter().filter(|record| !self.only_wrong || !record.judgement.correct).collect()
    }

    pub fn draw(&self, frame: &mut Frame) {
        let alarms = text::alarms(&self.watched);
        let [head, charts, rest, foot] = Layout::vertical([
            Constraint::Length(2 + alarms.len() as u16),
            Constraint::Fill(2),
            Constraint::Fill(3),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        self.draw_head(frame, head, alarms);
        let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(charts);
        let accuracy = self.accuracy();
        let mut title = vec!["right answers:".into()];
        title.extend(accuracy.iter().map(|curve| Span::from(format!(" {}", curve.name)).fg(curve.color)));
        chart::draw(frame, left, Line::from(title), &accuracy, Some([0.0, 1.0]));
        let metric = self.metric();
        let curve = Curve { name: "", color: Color::Cyan, points: self.watched.curve(&metric) };
        chart::draw(frame, right, Line::from(format!("< {} >", one_line(&metric))), &[curve], None);
        let [left, right] = Layout::horizontal([Constraint::Length(32), Constraint::Fill(1)]).areas(rest);
        self.draw_numbers(frame, left);
        self.draw_trace(frame, right);
        let keys = "left/right: metric  up/down: completion  w: wrong ones  space: hold  q: leave";
        frame.render_widget(Line::from(keys).dim(), foot);
    }

    fn draw_head(&self, frame: &mut Frame, area: Rect, alarms: Vec<String>) {
        let held = if self.held { " (held)" } else { "" };
        let name = format!("{}{held}", output::shown(self.watched.root()));
        let mut lines = vec![Line::from(vec![name.bold(), "  ".into(), text::progress(&self.watched).into()])];
        let on_b = text::accuracies(&self.watched, Set::B);
        lines.push(Line::from(on_b.unwrap_or_else(|| "no evaluation on the way yet".into())));
        lines.extend(alarms.into_iter().map(|alarm| Line::from(format!("ALARM: {alarm}").red().bold())));
        frame.render_widget(Text::from(lines), area);
    }

    fn draw_numbers(&self, frame: &mut Frame, area: Rect) {
        let row = |(words, value): (String, String)| Line::from(format!("{words:18} {value:>11}"));
        let rows: Vec<Line> = text::numbers(&self.watched).into_iter().map(row).collect();
        let before = self.watched.learning.as_ref().and_then(|stage| stage.lines.last()).map(|line| line.step);
        let title = self.watched.step().or(before).map_or("numbers".into(), |step| format!("step {step}"));
        frame.render_widget(Paragraph::new(rows).block(Block::bordered().title(title)), area);
    }

    fn draw_trace(&self, frame: &mut Frame, area: Rect) {
        let shown = self.shown();
        let which = if self.only_wrong { "wrong " } else { "" };
        let (title, lines) = match shown.get(self.completion.min(shown.len().saturating_sub(1))) {
            Some(record) => {
                let at = self.completion.min(shown.len() - 1) + 1;
                (format!("{which}completion {at} of {}", shown.len()), trace::lines(record))
            }
            None => ("completions".into(), vec![Line::from(format!("no {which}completion to show"))]),
        };
        let page = Paragraph::new(lines).wrap(Wrap { trim: false }).block(Block::bordered().title(title));
        frame.render_widget(page, area);
    }

    /// Of training as it goes, and of the evaluations on the way.
    fn accuracy(&self) -> Vec<Curve> {
        let names = self.watched.names_of_any_step();
        let of_form = |name: &&String| name.starts_with("correct/") && name.ends_with("/mean");
        // The mean over the forms that a step asked for.
        let mut steps: BTreeMap<u64, (f64, Vec<f64>)> = BTreeMap::new();
        for (step, share) in names.iter().filter(of_form).flat_map(|name| self.watched.curve(name)) {
            steps.entry(step as u64).or_insert((step, Vec::new())).1.push(share);
        }
        let mean = |(step, shares): (f64, Vec<f64>)| (step, shares.iter().sum::<f64>() / shares.len() as f64);
        let training = steps.into_values().map(mean).collect();
        let curve = |name, color, points| Curve { name, color, points };
        vec![
            curve("training", Color::DarkGray, training),
            curve("A", Color::Yellow, self.evaluated(Set::A)),
            curve("B", Color::Green, self.evaluated(Set::B)),
        ]
    }

    /// The mean over forms at each evaluation.
    fn evaluated(&self, set: Set) -> Vec<(f64, f64)> {
        let rows: Vec<&ArmResult> = self.watched.evaluations.iter().filter(|row| row.set == set).collect();
        let mean = |of_step: &[&ArmResult]| {
            let sum: f64 = of_step.iter().map(|row| row.accuracy).sum();
            (of_step[0].step as f64, sum / of_step.len() as f64)
        };
        rows.chunk_by(|one, next| one.step == next.step).map(mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use recollect::config::Config;
    use recollect::store::RunDir;

    use super::*;

    const ROLLOUT: &str = r#"{"step":STEP,"question":1,"task":"reversal","form":"open","set":"A","sample":0,
        "prompt":"who in dop guards bilu ?","completion":"in dop mavo guards bilu . in dop runo guards zita . </think>",
        "answer":"mavo","reward":1.25,"terms":[],"advantage":0.5,"version":0,"finish":"stop","tokens":9,
        "judgement":{"answer":"SAID","correct":RIGHT,"well_formed":true,"recitations":[
        {"text":"in dop mavo guards bilu .","claim":null,"is_true":true,"relevant":true},
        {"text":"in dop runo guards zita .","claim":null,"is_true":false,"relevant":false}],"needed_found":1,"needed":1}}"#;

    const EVALUATION: &str = r#"[{"arm":"after-rl","task":"reversal","form":"open","set":"B","step":2,"correct":7,"n":10,
        "questions":10,"accuracy":0.7,"low":0.4,"high":0.9,"chance":0.2,"well_formed":10,"recited":20,"recited_true":18,
        "recited_relevant":9,"true_share":0.9,"relevant_share":0.45,"needed_found_share":0.8,"mean_tokens":30.0,"against_baseline":null}]"#;

    /// A run of which three steps are done.
    fn run(root: &Path) {
        let config = Config::parse("[train]\nsteps = 8\nforms = ['open']", "x.toml", "x", &[]).unwrap();
        let run = RunDir::open(root, &config).unwrap();
        step(&run, 1, 0.5, 0.0);
        step(&run, 2, 0.75, 0.0);
        step(&run, 3, 1.0, 0.0);
        fs::write(run.evaluations(), EVALUATION).unwrap();
    }

    fn step(run: &RunDir, step: u64, reward: f64, hacked: f64) {
        let mut text = fs::read_to_string(run.metrics()).unwrap_or_default();
        text += &format!(
            "{{\"step\":{step},\"alarm/hacked\":{hacked:?},\"correct/open/mean\":0.5,\"reward\":{reward:?},\
             \"time\":{{\"learn\":3.0,\"sample\":1.0,\"step_time\":4.0}}}}\n"
        );
        fs::write(run.metrics(), text).unwrap();
        let rollout = |said: &str, right: &str| {
            let line = ROLLOUT.replace("STEP", &step.to_string()).replace("SAID", said).replace("RIGHT", right);
            line.replace('\n', " ")
        };
        let path = run.rollouts(step as usize);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, [rollout("mavo", "true"), rollout("runo", "false")].join("\n")).unwrap();
    }

    fn screen(page: &WatchPage, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| page.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn fine_tuning_is_watched_like_what_comes_after_it() {
        let home = tempfile::tempdir().unwrap();
        let config = Config::parse("[finetune]\nsteps = 40", "x.toml", "x", &[]).unwrap();
        let run = RunDir::open(home.path(), &config).unwrap();
        let path = run.learning("finetune");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let line = |step: u64, loss: f64| {
            format!(
                "{{\"step\":{step},\"grad_norm\":0.5,\"loss\":{loss:?},\"time\":{{\"step_time\":4.0,\"tokens_per_second\":250.0}}}}\n"
            )
        };
        fs::write(&path, [line(1, 3.5), line(2, 2.25)].concat()).unwrap();
        let mut page = WatchPage::new(WatchedRun::open(home.path()).unwrap());
        let shown = screen(&page, 80, 24);
        for words in ["fine-tuning: step 2 of 40, 4.00 s each", "2 min 32 s left", "< loss >", "2.250", "step 2", "250"]
        {
            assert!(shown.contains(words), "{words}: {shown}");
        }
        page.press(KeyCode::Right);
        assert!(screen(&page, 80, 24).contains("< time/step_time >"), "{}", screen(&page, 80, 24));
        let rest: String = (3..=40).map(|step| line(step, 1.0)).collect();
        fs::write(&path, [line(1, 3.5), line(2, 2.25), rest].concat()).unwrap();
        page.look().unwrap();
        assert!(screen(&page, 80, 24).contains("fine-tuning is over"));
        step(&run, 1, 0.5, 0.0);
        page.look().unwrap();
        let shown = screen(&page, 80, 24);
        assert!(shown.contains("step 1 of") && shown.contains("25 %, 75 %"), "{shown}");
    }

    #[test]
    fn everything_has_its_place_on_small_and_large_screens() {
        let home = tempfile::tempdir().unwrap();
        run(home.path());
        let page = WatchPage::new(WatchedRun::open(home.path()).unwrap());
        for (width, height) in [(80, 24), (200, 50)] {
            let screen = screen(&page, width, height);
            for words in [
                "step 3 of 8",
                "B at step 2: open 0.70",
                "right answers: training A B",
                "< reward >",
                "25 %, 75 %",
                "who in dop guards bilu ?",
                "* in dop mavo guards bilu .",
                "- in dop runo guards zita .",
                "mavo: right   reward 1.25",
                "completion 1 of 2",
                "q: leave",
            ] {
                assert!(screen.contains(words), "{width}x{height} lacks {words:?}:\n{screen}");
            }
            assert!(!screen.contains("ALARM"));
        }
        // Too small for anything is no reason to fail.
        for (width, height) in [(1, 1), (20, 3), (10, 60)] {
            screen(&page, width, height);
        }
    }

    #[test]
    fn an_asynchronous_run_says_who_waits_for_whom_and_how_old_its_tokens_are() {
        let home = tempfile::tempdir().unwrap();
        run(home.path());
        let metrics = home.path().join("metrics.jsonl");
        let line = r#"{"step":4,"queue/begun":16.0,"queue/finished":40.0,"queue/waiting":136.0,"reward":1.0,"staleness/0":0.1,
            "staleness/1":0.8,"staleness/2":0.1,"time":{"wait_for_batch":0.25,"wait_for_weights":0.0}}"#;
        let text = fs::read_to_string(&metrics).unwrap() + &line.replace('\n', " ") + "\n";
        fs::write(&metrics, text).unwrap();
        let page = WatchPage::new(WatchedRun::open(home.path()).unwrap());
        let screen = screen(&page, 200, 60);
        for words in [
            "learner waited           0.250",
            "actors waited                0",
            "ready to learn            40.0",
            "being sampled             16.0",
            "to be sampled            136.0",
            "tokens behind 0-2",
            "▁█▁││",
        ] {
            assert!(screen.contains(words), "{words:?} is missing:\n{screen}");
        }
    }

    #[test]
    fn keys_choose_what_is_shown() {
        let home = tempfile::tempdir().unwrap();
        run(home.path());
        let mut page = WatchPage::new(WatchedRun::open(home.path()).unwrap());
        page.press(KeyCode::Right);
        assert!(screen(&page, 100, 30).contains("< time/learn >"));
        page.press(KeyCode::Left);
        page.press(KeyCode::Left);
        assert!(screen(&page, 100, 30).contains("< correct/open/mean >"));
        (0..5).for_each(|_| page.press(KeyCode::Down));
        assert!(screen(&page, 100, 30).contains("runo: wrong, mavo was asked for"));
        page.press(KeyCode::Up);
        assert!(screen(&page, 100, 30).contains("completion 1 of 2"));
        page.press(KeyCode::Char('w'));
        assert!(screen(&page, 100, 30).contains("wrong completion 1 of 1"));
    }

    #[test]
    fn what_a_run_writes_is_seen_unless_the_page_is_held() {
        let home = tempfile::tempdir().unwrap();
        let nothing = tempfile::tempdir().unwrap();
        assert!(WatchedRun::open(nothing.path()).is_err());
        let config = Config::parse("[train]\nsteps = 8\nforms = ['open']", "x.toml", "x", &[]).unwrap();
        let run = RunDir::open(home.path(), &config).unwrap();
        let mut page = WatchPage::new(WatchedRun::open(home.path()).unwrap());
        assert!(screen(&page, 120, 30).contains("fine-tuning and the baseline come first"));
        step(&run, 1, 0.5, 0.0);
        page.press(KeyCode::Char(' '));
        page.look().unwrap();
        assert!(!screen(&page, 120, 30).contains("step 1 of 8"));
        page.press(KeyCode::Char(' '));
        step(&run, 2, 0.5, 1.0);
        page.look().unwrap();
        let screen = screen(&page, 120, 30);
        assert!(screen.contains("step 2 of 8") && screen.contains("ALARM: the reward rises"), "{screen}");
        let summary = text::summary(&page.watched);
        assert!(summary.contains("step 2 of 8, 4.00 s each, 24 s left") && summary.contains("ALARM"), "{summary}");
    }
}
