//! What a run says of what its policy has forgotten.

use crate::evaluation::PolicyPerplexity;

/// The rise of the perplexity from which on a warning is due.
const MUCH: f64 = 1.0 / 3.0;

/// The perplexity of held-back text before training and behind it, in a sentence; and a warning where it has risen by more
/// than a third. Nothing where it was not measured.
pub fn forgetting(rows: &[PolicyPerplexity]) -> Vec<String> {
    let Some(before) = rows.first() else { return Vec::new() };
    let list = |of: &dyn Fn(&PolicyPerplexity) -> String| rows.iter().map(of).collect::<Vec<_>>().join(", ");
    let perplexities = list(&|row| format!("{} {}", digits(row.perplexity), row.policy));
    let bits = list(&|row| format!("{:.2}", row.bits_per_character));
    let mut told = vec![format!("Perplexity on held-back text: {perplexities} ({bits} bits per character).")];
    let worst = rows.iter().max_by(|one, other| one.perplexity.total_cmp(&other.perplexity)).unwrap_or(before);
    let rise = worst.perplexity / before.perplexity - 1.0;
    told.extend((rise > MUCH).then(|| {
        format!(
            "Warning: the perplexity of held-back text is {:.0}\u{a0}% higher {} than {}: the model forgets what it could \
             do before; raise finetune.own_text and warmup.own_text, lower the learning rates, or train fewer steps.",
            100.0 * rise,
            worst.policy,
            before.policy,
        )
    }));
    told
}

/// Three digits or so.
fn digits(perplexity: f64) -> String {
    match perplexity {
        ..9.995 => format!("{perplexity:.2}"),
        ..99.95 => format!("{perplexity:.1}"),
        _ => format!("{perplexity:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{fixture, markdown, page};
    use super::*;
    use crate::evaluation::TextScore;

    fn rows(perplexities: &[f64]) -> Vec<PolicyPerplexity> {
        let policies = ["before training", "fine-tuned", "after RL"];
        let score = |perplexity: f64| TextScore { tokens: 100, characters: 400, nats: 100.0 * perplexity.ln() };
        policies.iter().zip(perplexities).map(|(policy, is)| PolicyPerplexity::new(policy, score(*is))).collect()
    }

    #[test]
    fn what_is_forgotten_is_a_sentence_and_a_warning_where_it_is_much() {
        let kept = forgetting(&rows(&[14.2, 15.0, 15.1]));
        let sentence = "Perplexity on held-back text: 14.2 before training, 15.0 fine-tuned, 15.1 after RL (0.96, 0.98, 0.98 \
                        bits per character).";
        assert_eq!(kept, [sentence]);
        assert_eq!(forgetting(&rows(&[9.0, 11.9])).len(), 1);
        let lost = forgetting(&rows(&[9.0, 18.0, 13.0]));
        assert!(
            lost[1]
                .starts_with("Warning: the perplexity of held-back text is 100\u{a0}% higher fine-tuned than before")
        );
        assert!(forgetting(&[]).is_empty());
    }

    #[test]
    fn every_report_has_it() {
        let mut summary = fixture::summary();
        let without = serde_json::to_string(&summary).unwrap();
        assert!(!without.contains("perplexity"));
        summary.run.perplexity = rows(&[14.2, 15.0, 30.0]);
        let json = serde_json::to_string(&summary).unwrap();
        assert_eq!(serde_json::from_str::<crate::evaluation::Summary>(&json).unwrap().run.perplexity.len(), 3);
        let mut texts = vec![markdown(&summary), page(&summary, &[]).unwrap()];
        #[cfg(feature = "cli")]
        texts.push(super::super::table(&summary, false));
        for text in &mut texts {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for words in
                ["held-back text: 14.2 before training, 15.0 fine-tuned, 30.0 after RL", "Warning: the perplexity"]
            {
                assert!(text.contains(words), "{words} is missing in\n{text}");
            }
        }
    }
}
