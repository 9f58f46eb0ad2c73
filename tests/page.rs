//! The page of a run in a real browser: it opens at once with 100,000 answers, filters them, and sets two arms side by
//! side. Skipped where no Chromium is installed.

#[path = "support/browser.rs"]
mod browser;

use std::path::Path;
use std::time::Instant;

use browser::Browser;
use recollect::evaluation::{Answered, Arm, Curves, RunInfo, Summary};
use recollect::knowledge::reversal::{CANDIDATES, OPEN, REVERSAL};
use recollect::knowledge::{Claim, Set};
use recollect::report;
use recollect::verifier::{Grounding, Judgement, Recitation};
use serde_json::json;

const ARMS: u64 = Arm::ALL.len() as u64;
/// 100,000 and what is missing for all arms to answer the last question.
const ANSWERS: u64 = 100_000_u64.div_ceil(ARMS) * ARMS;

/// Every arm answers the same questions. After RL all answers to even questions are right, and no others.
fn answers(count: u64) -> Vec<Answered> {
    // Names that hardly repeat, as in a large world: what they are made of does not pack well.
    let name = |number: u64| -> String {
        let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let letter = |of: &[u8], at: u32| char::from(of[(mixed / 7_u64.pow(at)) as usize % of.len()]);
        (0..8).map(|at| if at % 2 == 0 { letter(b"bdfgklmnprstvz", at) } else { letter(b"aeiou", at) }).collect()
    };
    (0..count)
        .map(|number| {
            let (arm, question) = (Arm::ALL[(number % ARMS) as usize], number / ARMS);
            let correct = arm == Arm::AfterRl && question.is_multiple_of(2);
            let text = format!("in {} {} guards {} .", name(question), name(question * 31), name(question * 57));
            let claim = Claim::Relation {
                group: name(question),
                subject: name(question * 31),
                relation: "guards".into(),
                object: name(question * 57),
            };
            let fact =
                |relevant| Recitation { text: text.clone(), claim: Some(claim.clone()), is_true: relevant, relevant };
            let said = if correct { name(question * 31) } else { name(question * 7 + 1) };
            let hostile = if question == 3 { "<img src=x onerror=\"window.hacked=1\">" } else { "" };
            Answered {
                arm,
                step: 0,
                question,
                task: REVERSAL,
                form: if question.is_multiple_of(3) { OPEN } else { CANDIDATES },
                set: if question.is_multiple_of(2) { Set::B } else { Set::A },
                run: 0,
                sample: 0,
                chance: 0.25,
                asked: format!("who in {} guards {} ? number {question}{hostile}", name(question), name(question * 57)),
                prompt: format!("{} <question> who in {} ? {hostile}", text.repeat(6), name(question)),
                completion: format!("{text} {text} {hostile}</think> <answer> {said} <eos>"),
                judgement: Judgement {
                    answer: Some(said),
                    correct,
                    well_formed: true,
                    recitations: if arm.thinks() { vec![fact(correct), fact(false)] } else { vec![] },
                    needed_found: usize::from(correct),
                    needed: 1,
                    grounding: arm.thinks().then_some(if correct { Grounding::Known } else { Grounding::Guessed }),
                },
                expected: name(question * 31),
                tokens: 20,
                prompt_tokens: 40,
                likeliest: None,
            }
        })
        .collect()
}

fn write(path: &Path, answers: &[Answered]) {
    let summary = Summary::new(answers, Curves::default(), RunInfo::default());
    std::fs::write(path, report::page(&summary, answers).unwrap()).unwrap();
}

const READY: &str = "new Promise(done => { const look = () => document.documentElement.dataset.reader === 'ready' \
    && document.querySelector('.trace[open] p') ? done(performance.now()) : setTimeout(look, 5); look(); })";

/// Sets filters as a hand would, and gives what the page then says about the number of answers.
fn filter(browser: &mut Browser, choices: &[(&str, &str)]) -> String {
    let mut script = String::from("{ const form = document.getElementById('filters'); form.reset(); ");
    for (name, value) in choices {
        script += &format!(
            "form.elements.{name}.value = {}; form.elements.{name}.dispatchEvent(new Event('input', {{bubbles: true}})); ",
            json!(value)
        );
    }
    script += "form.dispatchEvent(new Event('input')); form.querySelector('output').textContent }";
    browser.eval(&script).as_str().unwrap().replace('\u{202f}', "")
}

#[test]
fn the_reader_filters_and_compares_100_000_answers() {
    let Some(mut browser) = Browser::start() else {
        eprintln!("skipped: no Chromium is installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    write(&path, &answers(ANSWERS));
    let megabytes = std::fs::metadata(&path).unwrap().len() as f64 / 1e6;
    for size in [(1280, 900), (390, 844)] {
        browser.open(&path, size);
        let opened = browser.eval(READY).as_f64().unwrap();
        eprintln!("{ANSWERS} answers, {megabytes:.1} MB, {size:?}: readable after {opened:.0} ms");
        let wide = browser.eval("document.documentElement.scrollWidth");
        assert!(wide.as_u64().unwrap() <= u64::from(size.0), "the page is {wide} wide on a screen of {}", size.0);

        assert_eq!(filter(&mut browser, &[]), format!("{ANSWERS} of {ANSWERS}"));
        let right = (ANSWERS / ARMS).div_ceil(2);
        assert_eq!(filter(&mut browser, &[("answer", "right")]), format!("{right} of {ANSWERS}"));
        assert_eq!(filter(&mut browser, &[("arm", "after-rl"), ("grounds", "3")]), format!("{right} of {ANSWERS}"));
        assert_eq!(filter(&mut browser, &[("answer", "right"), ("set", "A")]), format!("0 of {ANSWERS}"));
        let started = Instant::now();
        assert_eq!(filter(&mut browser, &[("words", "NUMBER 3210"), ("arm", "after-rl")]), format!("1 of {ANSWERS}"));
        eprintln!("filtered by words in {} ms", started.elapsed().as_millis());

        let both = [("arm", "after-rl"), ("beside", "fine-tuned"), ("answer", "won")];
        assert_eq!(filter(&mut browser, &both), format!("{right} of {ANSWERS}"));
        let panels = "new Promise(done => { const look = () => { const panels = document.querySelectorAll('.trace[open] .panel'); \
            panels.length === 2 && panels[1].querySelector('pre') ? done([...panels].map(panel => panel.innerText)) : setTimeout(look, 5); }; look(); })";
        let panels = browser.eval(panels);
        let (after, before) = (panels[0].as_str().unwrap(), panels[1].as_str().unwrap());
        assert!(after.contains("after RL") && after.contains("which is right") && after.contains("★"), "{after}");
        assert!(before.contains("fine-tuned") && before.contains("right is"), "{before}");

        // Another trace opens with what was said in it.
        let third = "(() => { const trace = document.querySelectorAll('.trace')[2]; trace.querySelector('summary').click(); \
            return [trace.open, trace.querySelector('pre').textContent.includes('<answer>')]; })()";
        assert_eq!(browser.eval(third), json!([true, true]));
        let more =
            "(() => { document.getElementById('more').click(); return document.querySelectorAll('.trace').length; })()";
        assert_eq!(browser.eval(more), 60);

        // What a model wrote stays text.
        assert_eq!(filter(&mut browser, &[("words", "<img")]), format!("{ARMS} of {ANSWERS}"));
        assert_eq!(browser.eval("[typeof window.hacked, document.images.length]"), json!(["undefined", 0]));
    }
}
