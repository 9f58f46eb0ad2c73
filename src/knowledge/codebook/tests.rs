use std::collections::HashSet;

use super::*;
use crate::knowledge::Set;
use crate::knowledge::world::tests::full;

#[test]
fn held_out_entries_are_in_no_message_and_every_other_entry_is_in_one() {
    for seed in 0..5 {
        let world = full(seed);
        let mut used = HashSet::new();
        for document in world.documents() {
            for (stated, _) in &document.statements {
                let of_message = stated.task == CODEBOOK && *stated != CodeEntry::from(stated.words).into();
                used.extend(of_message.then(|| CodeEntry::from(stated.words)));
            }
        }
        for set in [Set::A, Set::B] {
            let codes: &Codebooks = world.data(set);
            for entry in &codes.entries {
                assert_ne!(codes.is_held_out(entry), used.contains(entry), "{entry:?}");
            }
            assert_eq!(codes.entries.iter().filter(|entry| codes.is_held_out(entry)).count(), 8 * 3);
        }
    }
}

#[test]
fn each_answer_is_one_of_all_messages_of_its_length_in_held_out_words() {
    let world = full(0);
    let questions = world.questions(Set::B);
    let mut lengths = [0; 2];
    for question in questions.iter().filter(|q| q.task == CODEBOOK) {
        let length = question.needed.len();
        lengths[length - 1] += 1;
        assert_eq!(question.choices.len(), [3, 6][length - 1], "{question:?}");
        assert_eq!(question.choices.iter().filter(|choice| **choice == question.answer).count(), 1);
        assert_eq!(question.answer.matches(" : ").count(), length);
        assert_eq!(question.context.len(), 6);
        let order = if question.form == ENCODE { "encode in " } else { "decode in " };
        assert!(question.text.starts_with(order));
    }
    assert_eq!(lengths, [48, 48]);
}

#[test]
fn messages_are_no_recitations() {
    let world = full(0);
    let entry = world.data::<Codebooks>(Set::A).entries[0];
    for used in [Use::Encoded, Use::Decoded] {
        let text = world.grammar.text(entry.with(used), 0);
        assert_eq!(world.grammar.read(text.strip_suffix(" .").unwrap()), None, "{text}");
    }
}

#[test]
fn impossible_codes_are_refused() {
    let refused = |config: CodebookConfig| config.check(1).unwrap_err().to_string();
    let config = CodebookConfig::default();
    assert!(refused(CodebookConfig { held_out: 7, ..config.clone() }).contains("held_out = 7 of entries = 6"));
    assert!(refused(CodebookConfig { lengths: vec![1, 4], ..config.clone() }).contains("from 1 to 3"));
    assert!(refused(CodebookConfig { lengths: vec![], ..config }).contains("lengths = []"));
}
