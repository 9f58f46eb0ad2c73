//! The page of a run: one file that needs nothing else.

use minijinja::{Environment, value::Serde};
use serde::Serialize;

use super::by_task::{ByTask, by_task};
use super::findings::Findings;
use super::reader::Reader;
use super::words::{gap_legend, grouped, legend, seconds, set_purpose};
use super::{bars, curves, numbers};
use crate::evaluation::{Answered, Arm, RunInfo, Summary};
use crate::text::printable;
use crate::{Error, Result};

/// The page and what it includes. A name that ends in `.html` turns escaping on.
const TEMPLATES: [(&str, &str); 6] = [
    ("page.html", include_str!("page.html")),
    ("sweep.html", include_str!("sweep/page.html")),
    ("gaps.html", include_str!("gaps.html")),
    ("page.css", include_str!("page.css")),
    ("page.js", include_str!("page.js")),
    ("reader.js", include_str!("reader/reader.js")),
];

/// Everything about a run in one self-contained HTML document: it loads nothing, and all text that a model or a
/// file supplied is escaped. The same input gives the same document, byte for byte. `answered` are the answers
/// behind the summary; all of them can be read in the page.
pub fn page(summary: &Summary, answered: &[Answered]) -> Result<String> {
    fill("page.html", RunPage::new(summary, answered)?)
}

/// A template filled with what it shows.
pub(super) fn fill(template: &str, page: impl Serialize) -> Result<String> {
    render(template, page).map_err(|e| {
        Error::invalid("report page", format!("the template failed ({e})"), "report this as a bug of recollect")
    })
}

fn render(template: &str, page: impl Serialize) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    environment.get_template(template)?.render(Serde(page)).map(|text| printable(&text).into_owned())
}

/// What the template is filled with.
#[derive(Serialize)]
struct RunPage {
    headline: String,
    lead: Vec<String>,
    evidence: Vec<String>,
    set: Option<String>,
    purpose: Option<&'static str>,
    /// Empty where nothing was answered in context.
    gap_legend: &'static str,
    gaps: Vec<bars::Gap>,
    by_task: Vec<ByTask>,
    arms: Vec<Legend>,
    cards: Vec<bars::Card>,
    legend: String,
    figures: Vec<curves::Figure>,
    scaling: Vec<curves::Figure>,
    recited: Vec<numbers::RecitedRow>,
    results: Vec<numbers::ResultRow>,
    traces: Option<Traces>,
    run: Provenance,
}

impl RunPage {
    fn new(summary: &Summary, answered: &[Answered]) -> Result<RunPage> {
        let Findings { headline, lead, evidence, equal } = Findings::new(summary);
        let set = summary.headline_set();
        let traces = Traces { count: grouped(answered.len() as u64), reader: Reader::new(answered)? };
        Ok(RunPage {
            headline,
            lead,
            evidence: evidence.into_iter().chain(equal).collect(),
            set: set.map(|set| set.to_string()),
            purpose: set.map(|set| set_purpose(set, &summary.run)),
            gap_legend: gap_legend(summary),
            gaps: bars::gaps(summary),
            by_task: by_task(summary),
            arms: present(summary),
            cards: bars::cards(summary, answered),
            legend: legend(&summary.run),
            figures: curves::figures(summary),
            scaling: curves::scaling(summary),
            recited: numbers::recited(summary),
            results: numbers::results(summary),
            traces: (!answered.is_empty()).then_some(traces),
            run: Provenance::new(&summary.run),
        })
    }
}

/// What the reader of traces is made of.
#[derive(Serialize)]
struct Traces {
    /// How many answers it holds.
    count: String,
    reader: Reader,
}

/// An arm in the legend.
#[derive(Serialize)]
struct Legend {
    class: &'static str,
    name: &'static str,
    label: &'static str,
    description: &'static str,
}

fn present(summary: &Summary) -> Vec<Legend> {
    let there = |arm: &Arm| summary.arms.iter().any(|row| row.arm == *arm);
    let legend = |arm: Arm| Legend {
        class: bars::class(arm),
        name: arm.name(),
        label: arm.label(),
        description: arm.description(),
    };
    Arm::ALL.into_iter().filter(there).map(legend).collect()
}

/// Where the numbers come from, as names and values.
#[derive(Serialize)]
struct Provenance {
    name: String,
    config: String,
    facts: Vec<(String, String)>,
    digests: Vec<(String, String)>,
    stages: Vec<(String, String)>,
    total: Option<String>,
}

impl Provenance {
    fn new(run: &RunInfo) -> Provenance {
        let mut facts = vec![("recollect".to_owned(), run.version.clone())];
        if run.model_parameters > 0 {
            facts.push(("model".into(), format!("{} parameters", grouped(run.model_parameters))));
        }
        if !run.runs.is_empty() {
            facts.push(("runs put together".into(), run.runs.join(", ")));
        }
        facts.extend(run.seeds.iter().map(|(of, seed)| (format!("seed of {of}"), seed.to_string())));
        if let Some(bytes) = run.peak_memory {
            facts.push(("peak memory".into(), format!("{} MiB", grouped(bytes >> 20))));
        }
        facts.push(("hardware".into(), run.hardware.clone()));
        facts.retain(|(_, value)| !value.is_empty());
        let total: f64 = run.stages.iter().map(|stage| stage.seconds).sum();
        Provenance {
            name: run.name.clone(),
            config: run.config.clone(),
            facts,
            digests: run.digests.iter().map(|(of, digest)| (of.clone(), digest.clone())).collect(),
            stages: run.stages.iter().map(|stage| (stage.name.clone(), seconds(stage.seconds))).collect(),
            total: (run.stages.len() > 1).then(|| seconds(total)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use crate::evaluation::{Curves, RunInfo};

    #[test]
    fn the_page_loads_nothing_and_is_the_same_every_time() {
        let (summary, answers) = (fixture::summary(), fixture::answers());
        let document = page(&summary, &answers).unwrap();
        assert_eq!(document, page(&summary, &answers).unwrap());
        for way_out in ["http:", "https:", "//www", "src=", "@import", "url("] {
            assert!(!document.contains(way_out), "{way_out}");
        }
        assert!(document.len() < 600_000, "{} bytes", document.len());
    }

    #[test]
    fn every_part_is_there() {
        let (summary, answers) = (fixture::summary(), fixture::answers());
        let document = page(&summary, &answers).unwrap();
        for arm in Arm::STANDARD {
            assert!(document.contains(&format!("</span>{}</dt>", arm.label())), "no word about {arm}");
        }
        assert_eq!(document.matches("<svg").count(), 6);
        for part in
            ["set B", "★", "✓", "✗", "chance", "learning_rate = 3e-4", "598\u{202f}400", &summary.run.digests["world"]]
        {
            assert!(document.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn hostile_text_stays_text() {
        let hostile = "</pre></details><script>alert('x')</script><img onerror=\"y\" &amp; \u{202e}\0";
        let mut summary = fixture::summary();
        summary.run.name = hostile.into();
        summary.run.config = hostile.into();
        let answers: Vec<Answered> = fixture::answers()
            .into_iter()
            .map(|mut one| {
                for text in [&mut one.asked, &mut one.prompt, &mut one.completion, &mut one.expected] {
                    *text = hostile.into();
                }
                one.judgement.answer = Some(hostile.into());
                one.judgement.recitations.iter_mut().for_each(|fact| fact.text = hostile.into());
                one
            })
            .collect();
        let document = page(&summary, &answers).unwrap();
        assert_eq!(document.matches("<script>").count(), 2, "the page's own");
        assert_eq!(document.matches("<img").count(), 0);
        assert!(document.contains("&lt;script&gt;") && !document.contains("<script>alert"));
        assert_eq!(document.matches("</details>").count(), document.matches("<details").count());
    }

    #[test]
    fn an_empty_run_is_still_a_page() {
        let document = page(&Summary::new(&[], Curves::default(), RunInfo::default()), &[]).unwrap();
        assert!(document.contains("No question was answered"));
        assert!(document.trim_end().ends_with("</html>"));
    }

    /// `cargo test --release example_page -- --ignored` writes a page to look at.
    #[test]
    #[ignore = "writes target/example-report.html"]
    fn example_page() {
        let document = page(&fixture::summary(), &fixture::answers()).unwrap();
        std::fs::create_dir_all("target").unwrap();
        std::fs::write("target/example-report.html", document).unwrap();
    }
}
