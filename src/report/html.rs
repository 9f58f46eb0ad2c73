//! The page of a run: one file that needs nothing else.

use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};

use super::findings::Findings;
use super::reader::Reader;
use super::words::{legend, set_purpose};
use super::{bars, curves, tables};
use crate::evaluation::{Answered, Arm, Summary};
use crate::text::{grouped, printable};
use crate::{Error, Result};

/// Pages and what they are made of. A name that ends in `.html` turns escaping on.
const TEMPLATES: [(&str, &str); 8] = [
    ("base.html", include_str!("page/base.html")),
    ("parts.html", include_str!("page/parts.html")),
    ("run.html", include_str!("page/run.html")),
    ("sweep.html", include_str!("page/sweep.html")),
    ("compare.html", include_str!("page/compare.html")),
    ("page.css", include_str!("page/page.css")),
    ("page.js", include_str!("page/page.js")),
    ("reader.js", include_str!("page/reader.js")),
];

/// Everything about a run in one self-contained HTML document: it loads nothing, and all text that a model or a
/// file supplied is escaped. The same input gives the same document, byte for byte. `answered` are the answers
/// behind the summary; all of them can be read in the page.
pub fn page(summary: &Summary, answered: &[Answered]) -> Result<String> {
    let set = summary.headline_set();
    let reader = (!answered.is_empty()).then(|| Reader::new(answered)).transpose()?;
    let page = context! {
        kind => "run",
        name => &summary.run.name,
        findings => Serde(Findings::new(summary)),
        set => set.map(|set| set.to_string()),
        purpose => set.map(|set| set_purpose(set, &summary.run)),
        gaps => Serde(bars::gaps(summary)),
        by_task => Serde(tables::by_task(summary)),
        costs_legend => tables::costs_legend(summary),
        legend => legend(&summary.run),
        cards => Serde(bars::cards(summary, answered)),
        arms => Serde(tables::arms(summary)),
        figures => Serde(curves::figures(summary)),
        scaling => Serde(curves::scaling(summary)),
        tokens => Serde(curves::tokens(summary)),
        at_k => Serde(tables::at_k(&summary.at_k)),
        at_k_legend => tables::AT_K_LEGEND,
        retrieval => summary.arms.iter().any(|row| row.arm.is_retrieval()),
        in_context => summary.arms.iter().any(|row| row.arm == Arm::InContext),
        recited => Serde(tables::recited(summary)),
        results => Serde(tables::results(&summary.arms)),
        results_legend => tables::RESULTS_LEGEND,
        answers => grouped(answered.len() as u64),
        reader => Serde(reader),
        provenance => Serde(tables::provenance(&summary.run)),
        config => &summary.run.config,
    };
    fill("run.html", page)
}

/// A template filled with what it shows.
pub(super) fn fill(template: &str, page: Value) -> Result<String> {
    let render = || -> std::result::Result<String, minijinja::Error> {
        let mut environment = Environment::new();
        for (name, source) in TEMPLATES {
            environment.add_template(name, source)?;
        }
        environment.get_template(template)?.render(page)
    };
    let text = render().map_err(|e| {
        Error::invalid("report page", format!("the template failed ({e})"), "report this as a bug of recollect")
    })?;
    Ok(printable(&text).into_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::fixture;
    use super::*;
    use crate::evaluation::{Curves, RunInfo};

    pub const HOSTILE: &str = "</pre></details><script>alert('x')</script><img onerror=\"y\" &amp; \u{202e}\0";

    /// Holds a page to loading nothing, and to being whole whatever stood in its texts.
    pub fn demand_alone(document: &str, scripts: usize) {
        for way_out in ["http:", "https:", "//www", "src=", "@import", "url("] {
            assert!(!document.contains(way_out), "{way_out}");
        }
        assert_eq!((document.matches("<script>").count(), document.matches("<img").count()), (scripts, 0));
        assert_eq!(document.matches("</details>").count(), document.matches("<details").count());
        assert!(document.trim_end().ends_with("</html>"));
    }

    #[test]
    fn every_part_is_there_and_the_same_every_time() {
        let (summary, answers) = (fixture::summary(), fixture::answers());
        let document = page(&summary, &answers).unwrap();
        assert_eq!(document, page(&summary, &answers).unwrap());
        demand_alone(&document, 2);
        assert!(document.len() < 600_000, "{} bytes", document.len());
        for arm in Arm::STANDARD {
            assert!(document.contains(&format!("</span><bdi>{}</bdi>", arm.label())), "no word about {arm}");
        }
        assert_eq!(document.matches("<svg").count(), 10);
        for part in
            ["set B", "★", "✓", "✗", "chance", "learning_rate = 3e-4", "598\u{202f}400", &summary.run.digests["world"]]
        {
            assert!(document.contains(part), "{part} is missing");
        }
        let document = page(&Summary::new(&[], Curves::default(), RunInfo::default()), &[]).unwrap();
        assert!(document.contains("No question was answered"));
        demand_alone(&document, 1);
    }

    #[test]
    fn hostile_text_stays_text() {
        let mut summary = fixture::summary();
        (summary.run.name, summary.run.config) = (HOSTILE.into(), HOSTILE.into());
        let mut answers = fixture::answers();
        for one in &mut answers {
            for text in [&mut one.asked, &mut one.prompt, &mut one.completion, &mut one.expected] {
                *text = HOSTILE.into();
            }
            one.judgement.answer = Some(HOSTILE.into());
            one.judgement.recitations.iter_mut().for_each(|fact| fact.text = HOSTILE.into());
        }
        let document = page(&summary, &answers).unwrap();
        demand_alone(&document, 2);
        assert!(document.contains("&lt;script&gt;") && !document.contains("<script>alert"));
    }

    /// `cargo test --release example_page -- --ignored` writes a page to look at.
    #[test]
    #[ignore = "writes target/example-report.html"]
    fn example_page() {
        std::fs::create_dir_all("target").unwrap();
        let document = page(&fixture::summary(), &fixture::answers()).unwrap();
        std::fs::write("target/example-report.html", document).unwrap();
        let document = super::super::sweep_page(&super::super::sweep::fixture::summary()).unwrap();
        std::fs::write("target/example-sweep.html", document).unwrap();
    }
}
