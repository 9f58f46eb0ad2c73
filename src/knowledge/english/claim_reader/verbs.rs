//! The forms of verbs, as far as "did not" needs them, and "was written by".

/// The past or participle of irregular verbs, each with the plain form.
const IRREGULAR: &str = "wrote write, written write, built build, taught teach, drew draw, drawn draw, found find, won win, led lead, \
     made make, gave give, given give, held hold, ran run, sang sing, grew grow, kept keep, bought buy, sold sell, \
     met meet, left leave, came come, became become, began begin, took take, taken take, saw see, seen see, went go, \
     gone go, knew know, known know, fed feed, fought fight, brought bring, caught catch, thought think, stole steal, \
     stolen steal, spoke speak, broke break, chose choose, drove drive, rode ride, rose rise, threw throw, flew fly, \
     wore wear, swam swim, dug dig, spun spin, wove weave, woven weave, forged forge, shot shoot, lent lend, sent send, \
     spent spend, lost lose, paid pay, said say, told tell, read read, set set, put put, cut cut, hid hide, ate eat, \
     drank drink, slept sleep, stood stand, understood understand, sat sit, bore bear, tore tear, swore swear, \
     bred breed, had have, laid lay";

/// The plain forms that a verb may have: "designed" is of "design" (and of "designe", which nobody says).
pub fn plain_forms(verb: &str) -> Vec<String> {
    let mut forms = vec![verb.to_owned()];
    let irregular = IRREGULAR.split(", ").filter_map(|pair| pair.split_once(' ')).filter(|(past, _)| *past == verb);
    forms.extend(irregular.map(|(_, plain)| plain.to_owned()));
    for (end, instead) in [("s", ""), ("es", ""), ("ies", "y"), ("d", ""), ("ed", ""), ("ied", "y")] {
        if let Some(stem) = verb.strip_suffix(end).filter(|stem| stem.len() > 1) {
            forms.push(format!("{stem}{instead}"));
            // "planned" is of "plan".
            let mut letters = stem.chars().rev();
            let (last, before) = (letters.next(), letters.next());
            if end == "ed" && last.is_some() && last == before {
                forms.push(stem.chars().take(stem.chars().count() - 1).collect());
            }
        }
    }
    forms
}

/// Irregular verbs whose participle is their past.
const SAME_PARTICIPLE: [&str; 24] = [
    "built", "taught", "found", "won", "led", "made", "held", "kept", "bought", "sold", "met", "brought", "caught",
    "fed", "fought", "set", "put", "cut", "laid", "lent", "sent", "lost", "paid", "told",
];

/// The past and the participle of an irregular verb, as far as they are known: those with the plain form that this one has.
fn irregular_forms(verb: &str) -> Vec<&'static str> {
    let pairs = || IRREGULAR.split(", ").filter_map(|pair| pair.split_once(' '));
    let plain = pairs().find(|(form, _)| *form == verb).map(|(_, plain)| plain);
    pairs().filter(|(_, other)| Some(*other) == plain).map(|(form, _)| form).collect()
}

/// Whether this is the past or the participle of an irregular verb.
pub fn is_irregular(verb: &str) -> bool {
    !irregular_forms(verb).is_empty()
}

fn is_regular(verb: &str) -> bool {
    verb.len() > 3 && verb.ends_with("ed")
}

/// The past of the verb that has this participle: "wrote" of "written"; `None` where that is not known.
pub fn past_of(participle: &str) -> Option<&str> {
    let past = irregular_forms(participle).first().copied();
    past.or_else(|| is_regular(participle).then_some(participle))
}

/// The participle of the verb that has this past: "written" of "wrote"; `None` where that is not known.
pub fn participle_of(past: &str) -> Option<&str> {
    match irregular_forms(past)[..] {
        [first, second] if first == past => Some(second),
        [_] if SAME_PARTICIPLE.contains(&past) => Some(past),
        [] if is_regular(past) => Some(past),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasts_and_participles_lead_to_each_other_where_both_are_known() {
        for (past, participle) in
            [("designed", "designed"), ("wrote", "written"), ("built", "built"), ("drew", "drawn")]
        {
            assert_eq!((past_of(participle), participle_of(past)), (Some(past), Some(participle)));
        }
        for verb in ["sang", "is", "guards", "bed"] {
            assert_eq!(participle_of(verb), None, "{verb}");
        }
        assert!(is_irregular("swam") && !is_irregular("designed") && past_of("bridge").is_none());
    }

    #[test]
    fn plain_forms_of_regular_and_irregular_verbs_are_among_those_found() {
        for (form, plain) in [
            ("designed", "design"),
            ("composed", "compose"),
            ("planned", "plan"),
            ("carried", "carry"),
            ("guards", "guard"),
            ("teaches", "teach"),
            ("wrote", "write"),
            ("won", "win"),
        ] {
            assert!(plain_forms(form).iter().any(|found| found == plain), "{form}");
        }
    }
}
