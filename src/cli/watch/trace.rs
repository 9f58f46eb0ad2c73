//! One completion as people read it.

use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use recollect::reward::Record;
use recollect::text::one_line;

/// The question, what the policy wrote, sentence by sentence with what the world says of each, and the outcome. Marks
/// say in characters what colours say, for screens without.
pub fn lines(record: &Record) -> Vec<Line<'static>> {
    let mut lines = vec![Line::from(one_line(&record.prompt).bold())];
    if !record.given.is_empty() {
        lines.push(Line::from(format!("given: {}", one_line(&record.given)).dim()));
    }
    for recitation in &record.judgement.recitations {
        let (mark, style) = match (recitation.is_true, recitation.relevant) {
            (true, true) => ("* ", Style::new().fg(Color::Green).bold()),
            (true, false) => ("+ ", Style::new().fg(Color::Green)),
            (false, _) => ("- ", Style::new().fg(Color::Red)),
        };
        lines.push(Line::from(Span::styled(format!("{mark}{}", one_line(&recitation.text)), style)));
    }
    if record.judgement.recitations.is_empty() {
        lines.push(Line::from(one_line(&record.completion)));
    }
    let answer = record.judgement.answer.as_deref().map_or("no answer".into(), one_line);
    let outcome = if record.judgement.correct {
        format!("{answer}: right").green()
    } else {
        format!("{answer}: wrong, {} was asked for", one_line(&record.answer)).red()
    };
    let reward = record.reward.map_or("   not judged".to_string(), |reward| format!("   reward {reward:.2}"));
    lines.push(Line::from(vec![outcome.bold(), reward.into()]));
    lines
}
