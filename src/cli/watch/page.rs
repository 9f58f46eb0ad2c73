//! The page: what stands where, and what keys do.

use ratatui::Frame;
use ratatui::crossterm::event::KeyCode;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Stylize};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Paragraph, Wrap};
use recollect::Result;
use recollect::evaluation::ArmResult;
use recollect::experiment::watched::Watched;
use recollect::knowledge::Set;
use recollect::reward::Record;

use super::chart::{self, Curve};
use super::{text, trace};

/// A run, and how it is looked at.
pub struct Page {
    watched: Watched,
    /// In the right chart.
    metric: String,
    /// Which completion is shown, among those that are.
    completion: usize,
    only_wrong: bool,
    held: bool,
}

impl Page {
    pub fn new(watched: Watched) -> Page {
        Page { watched, metric: "reward".into(), completion: 0, only_wrong: false, held: false }
    }

    /// Reads what the run has written since, unless it is held.
    pub fn look(&mut self) -> Result<()> {
        if !self.held {
            self.watched.look()?;
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

    /// To the metric so many names further.
    fn turn(&mut self, by: isize) {
        let names = self.watched.names();
        let at = names.iter().position(|name| *name == self.metric).unwrap_or(0) as isize;
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
        chart::draw(frame, left, "right answers", &self.accuracy(), Some([0.0, 1.0]));
        let curve = Curve { name: String::new(), color: Color::Cyan, points: self.watched.curve(&self.metric) };
        chart::draw(frame, right, &format!("< {} >", self.metric), &[curve], None);
        let [left, right] = Layout::horizontal([Constraint::Length(32), Constraint::Fill(1)]).areas(rest);
        self.draw_numbers(frame, left);
        self.draw_trace(frame, right);
        let keys = "left right: metric   up down: completion   w: wrong ones   space: hold   q: leave";
        frame.render_widget(Line::from(keys).dim(), foot);
    }

    fn draw_head(&self, frame: &mut Frame, area: Rect, alarms: Vec<String>) {
        let held = if self.held { " (held)" } else { "" };
        let name = format!("{}{held}", self.watched.root().display());
        let mut lines = vec![Line::from(vec![name.bold(), "  ".into(), text::progress(&self.watched).into()])];
        let on_b = text::accuracies(&self.watched, Set::B);
        lines.push(Line::from(on_b.unwrap_or_else(|| "no evaluation on the way yet".into())));
        lines.extend(alarms.into_iter().map(|alarm| Line::from(format!("ALARM: {alarm}").red().bold())));
        frame.render_widget(Text::from(lines), area);
    }

    fn draw_numbers(&self, frame: &mut Frame, area: Rect) {
        let row = |(words, value): (String, String)| Line::from(format!("{words:18} {value:>11}"));
        let rows: Vec<Line> = text::numbers(&self.watched).into_iter().map(row).collect();
        let title = self.watched.step().map_or("numbers".into(), |step| format!("step {step}"));
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
        let forms = &self.watched.config.train.forms;
        let curves = forms.iter().map(|form| self.watched.curve(&format!("correct/{form}/mean")));
        // As many questions of each form are asked in every step.
        let sums = curves.reduce(|sum, curve| sum.iter().zip(&curve).map(|(a, b)| (a.0, a.1 + b.1)).collect());
        let mut training = sums.unwrap_or_default();
        training.iter_mut().for_each(|(_, sum)| *sum /= forms.len() as f64);
        let curve = |name: &str, color, points| Curve { name: name.into(), color, points };
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
