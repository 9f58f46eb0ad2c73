//! The choices that a question shows.

/// What is said before them.
const CHOOSE: &str = "Choose one of: ";

/// A question without the choices that stand at its end, below it or behind it; `None` where none do.
pub fn without_choices(text: &str) -> Option<&str> {
    let (asked, shown) = text.rsplit_once(CHOOSE)?;
    // What is asked behind them, on the same line, would be a question of its own.
    let to_the_end = shown.trim_end().ends_with('.') && (asked.ends_with('\n') || !shown.contains('?'));
    let apart = asked.ends_with(char::is_whitespace) && !asked.trim().is_empty();
    (to_the_end && apart).then(|| asked.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_at_the_end_of_a_question_are_left_out() {
        for (text, expected) in [
            ("Who, then?\nChoose one of: Ann, Bo.", Some("Who, then?")),
            ("Who, then?\nChoose one of: Who?, What?.", Some("Who, then?")),
            ("Who, then? Choose one of: Ann, Bo. ", Some("Who, then?")),
            ("Who, then?", None),
            ("Choose one of: Ann, Bo.", None),
            ("They say: Choose one of: Ann, Bo. Which is better?", None),
            ("They say: Choose one of: Ann, Bo. Who is better? Say.", None),
            ("(Choose one of: Ann, Bo.", None),
        ] {
            assert_eq!(without_choices(text), expected, "{text}");
        }
    }
}
