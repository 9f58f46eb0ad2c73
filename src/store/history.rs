//! The files that training writes step by step, as a checkpoint knows them: every line of metrics and every evaluation,
//! so that both can be restored, and a digest of the rollouts of each step, so that damage to them is told.
//!
//! What is later than the checkpoint is written anew when a run goes on, whatever it says; what is earlier has to be
//! what it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::run_dir::CONFIG;
use super::{RunDir, checkpoint};
use crate::evaluation::ArmResult;
use crate::telemetry::MetricsLine;
use crate::{Error, Result, files};

/// What was written of the steps so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The lines of `metrics.jsonl`.
    #[serde(default)]
    metrics: String,
    /// SHA-256 of the file with the rollouts of a step, by step.
    #[serde(default)]
    rollouts: BTreeMap<usize, String>,
    /// What `evaluations.json` says.
    #[serde(default)]
    pub evaluations: Vec<ArmResult>,
}

/// The part of a checkpoint's notes that is read here.
#[derive(Deserialize)]
struct Noted {
    #[serde(default)]
    history: History,
}

/// A file that is not what it was when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    pub path: PathBuf,
    /// "the line of step 7 is missing", for example.
    pub found: String,
    /// What was done about it, or can be done.
    pub remedy: &'static str,
}

const RESTORED: &str = "it was restored from the newest checkpoint";
const RESTORABLE: &str = "the next `recollect run` or `recollect train` restores it from the newest checkpoint";
const LOST: &str = "no checkpoint keeps rollouts: put the file back if there is a copy of it";

impl Damaged {
    /// One line for a person.
    pub fn words(&self) -> String {
        format!("warning: {}: {}; {}", self.path.display(), self.found, self.remedy)
    }
}

impl History {
    /// Notes what was written of a step, with the digest of its rollouts where they are kept.
    ///
    /// # Errors
    /// A line that cannot be written as JSON.
    pub fn add(&mut self, line: &MetricsLine, rollouts: Option<String>) -> Result<()> {
        self.metrics += &line.to_json()?;
        self.rollouts.extend(rollouts.map(|digest| (line.step as usize, digest)));
        Ok(())
    }

    /// What a branch takes over from the run that it leaves: what was measured, and none of the files.
    pub fn without_files(self) -> History {
        History { evaluations: self.evaluations, ..History::default() }
    }

    /// Whether it says anything of metrics: an older program's does not.
    pub fn has_metrics(&self) -> bool {
        !self.metrics.is_empty()
    }

    /// The metrics of the steps so far.
    ///
    /// # Errors
    /// A line that is none, which this program has not written.
    pub fn lines(&self, path: &Path) -> Result<Vec<MetricsLine>> {
        MetricsLine::parse_all(path, &self.metrics)
    }

    /// What the newest checkpoint of a run's reinforcement learning knows; `None` without one.
    pub fn newest(run: &RunDir) -> Option<History> {
        checkpoint::newest_notes::<Noted>(run).map(|noted| noted.history)
    }

    /// Everything in a run directory that is not what it was when it was written.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn damage(&self, run: &RunDir) -> Result<Vec<Damaged>> {
        let mut all = Vec::new();
        all.extend(self.metrics_damage(run)?);
        all.extend(self.evaluations_damage(run)?);
        for step in self.rollouts.keys() {
            all.extend(self.rollouts_damage(run, *step)?);
        }
        Ok(all)
    }

    /// Restores metrics and evaluations where they are damaged, and says what is or was. What is later than this history is
    /// cut off as well: steps that are done again, or lines behind the last step of a training that has ended.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn restore(&self, run: &RunDir) -> Result<Vec<Damaged>> {
        let mut damage = self.damage(run)?;
        let is_damaged = |path: &Path| damage.iter().any(|damaged| damaged.path == path);
        let (metrics, evaluations) = (run.metrics(), run.evaluations());
        let longer = |path: &Path| fs::metadata(path).is_ok_and(|file| file.len() > self.metrics.len() as u64);
        if is_damaged(&metrics) || longer(&metrics) {
            files::write_atomic(&metrics, self.metrics.as_bytes())?;
        }
        if is_damaged(&evaluations) {
            write_evaluations(run, &self.evaluations)?;
        }
        damage.iter_mut().filter(|damaged| damaged.remedy == RESTORABLE).for_each(|damaged| damaged.remedy = RESTORED);
        Ok(damage)
    }

    fn metrics_damage(&self, run: &RunDir) -> Result<Option<Damaged>> {
        let path = run.metrics();
        let found = match read(&path)? {
            _ if self.metrics.is_empty() => return Ok(None),
            None => "it is gone".to_owned(),
            Some(bytes) if bytes.starts_with(self.metrics.as_bytes()) => return Ok(None),
            Some(bytes) => difference(&self.metrics, &String::from_utf8_lossy(&bytes)),
        };
        Ok(Some(Damaged { path, found, remedy: RESTORABLE }))
    }

    fn evaluations_damage(&self, run: &RunDir) -> Result<Option<Damaged>> {
        let path = run.evaluations();
        if self.evaluations.is_empty() {
            return Ok(None);
        }
        let found = match read(&path)?.map(|bytes| serde_json::from_slice::<Vec<ArmResult>>(&bytes)) {
            None => "it is gone".to_owned(),
            Some(Err(error)) => format!("no evaluations any more ({error})"),
            Some(Ok(rows)) if rows.starts_with(&self.evaluations) => return Ok(None),
            Some(Ok(rows)) => {
                let same = self.evaluations.iter().zip(&rows).take_while(|(then, now)| then == now).count();
                // Fewer rows differ behind their end.
                let step = self.evaluations.get(same).map_or(0, |row| row.step);
                format!("the evaluation of step {step} is not what it was")
            }
        };
        Ok(Some(Damaged { path, found, remedy: RESTORABLE }))
    }

    /// What is wrong with the rollouts of a step; nothing is known of steps that are later than this history.
    fn rollouts_damage(&self, run: &RunDir, step: usize) -> Result<Option<Damaged>> {
        let path = run.rollouts(step);
        let Some(expected) = self.rollouts.get(&step) else { return Ok(None) };
        let found = match path.is_file() {
            false => format!("the rollouts of step {step} are gone"),
            true if files::digest_file(&path)? == *expected => return Ok(None),
            true => format!("the rollouts of step {step} were changed since they were written"),
        };
        Ok(Some(Damaged { path, found, remedy: LOST }))
    }
}

/// Everything in a run directory that is not what it was, to be told by whoever reads it; in those of its seeds as well,
/// where it is one of several. Nothing, where a run has no checkpoint.
///
/// # Errors
/// A file that cannot be read.
pub fn damage(root: &Path) -> Result<Vec<Damaged>> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let of_seed = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seed-"));
    let mut runs: Vec<PathBuf> = entries.filter(of_seed).collect();
    runs.sort();
    runs.insert(0, root.to_path_buf());
    let mut all = Vec::new();
    for run in runs.iter().map(|run| RunDir::at(run)) {
        if let Some(history) = History::newest(&run) {
            all.extend(history.damage(&run)?);
        }
    }
    Ok(all)
}

/// The same of what is shown of a run while it goes on: of the rollouts those of one step, so that a long run is seen as
/// soon as a short one.
///
/// # Errors
/// A file that cannot be read.
pub fn damage_to_shown(run: &RunDir, step: Option<u64>) -> Result<Vec<Damaged>> {
    let Some(history) = History::newest(run) else { return Ok(Vec::new()) };
    let shown = step.map_or(Ok(None), |step| history.rollouts_damage(run, step as usize))?;
    Ok([history.metrics_damage(run)?, history.evaluations_damage(run)?, shown].into_iter().flatten().collect())
}

/// The same of recorded rollouts alone. A path is a run directory, its `rollouts/`, or a file in there.
///
/// # Errors
/// A file that cannot be read.
pub fn damage_to_rollouts(path: &Path) -> Result<Vec<Damaged>> {
    // Where we are, a path may be too short to have two parents.
    let path = std::path::absolute(path).map_err(Error::io(path, "read"))?;
    let is_run = |dir: &&Path| dir.join(CONFIG).is_file();
    let Some(root) = path.ancestors().take(3).find(is_run) else { return Ok(Vec::new()) };
    let run = RunDir::at(root);
    let Some(history) = History::newest(&run) else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for step in history.rollouts.keys().filter(|step| path.is_dir() || run.rollouts(**step) == path) {
        all.extend(history.rollouts_damage(&run, *step)?);
    }
    Ok(all)
}

/// Writes the evaluations on the way, for whoever watches.
///
/// # Errors
/// A file that cannot be written.
pub fn write_evaluations(run: &RunDir, evaluations: &[ArmResult]) -> Result<()> {
    files::write_json(&run.evaluations(), evaluations)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, "read")(error)),
    }
}

/// The first step whose line is not there as it was, in words.
fn difference(expected: &str, found: &str) -> String {
    #[derive(Deserialize)]
    struct NumberedLine {
        step: u64,
    }
    let step = |line: &str| serde_json::from_str::<NumberedLine>(line).ok().map(|line| line.step);
    let mut there: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    let mut others = 0;
    for line in found.lines() {
        match step(line) {
            Some(step) => there.entry(step).or_default().push(line),
            None => others += 1,
        }
    }
    let words = expected.lines().find_map(|line| {
        let step = step(line)?;
        match there.get(&step).map_or(&[][..], Vec::as_slice) {
            [] => Some(format!("the line of step {step} is missing")),
            [one] if *one == line => None,
            [_] => Some(format!("the line of step {step} was changed")),
            lines => Some(format!("step {step} has {} lines", lines.len())),
        }
    });
    words.unwrap_or_else(|| match others {
        0 => "its lines stand in another order, or are ended in another way".to_owned(),
        _ => format!("{others} of its lines are no metrics"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64) -> MetricsLine {
        MetricsLine { step, values: BTreeMap::from([("reward".into(), Some(step as f64 / 3.0))]), ..Default::default() }
    }

    /// A run with three steps, and what a checkpoint after them knows.
    fn run(home: &Path) -> (RunDir, History) {
        let run = RunDir::at(home);
        let mut history = History::default();
        for step in 1..=3 {
            let rollouts = format!("rollouts of step {step}\n");
            files::write_atomic(&run.rollouts(step), rollouts.as_bytes()).unwrap();
            history.add(&line(step as u64), Some(files::digest(rollouts.as_bytes()))).unwrap();
        }
        files::write_atomic(&run.metrics(), history.metrics.as_bytes()).unwrap();
        (run, history)
    }

    #[test]
    fn whatever_happens_to_metrics_is_told_with_its_step_and_put_right() {
        let home = tempfile::tempdir().unwrap();
        let (run, history) = run(home.path());
        assert_eq!(history.damage(&run).unwrap(), []);
        let whole = files::read_text(&run.metrics()).unwrap();
        let lines: Vec<&str> = whole.lines().collect();
        let of = |lines: &[&str]| lines.join("\n") + "\n";
        let edited = lines[1].replace("0.66", "0.99");
        for (text, words) in [
            (of(&[lines[0], lines[2]]), "the line of step 2 is missing"),
            (of(&[lines[0], lines[1], lines[1], lines[2]]), "step 2 has 2 lines"),
            (of(&[lines[0], &edited, lines[2]]), "the line of step 2 was changed"),
            (of(&[lines[1], lines[0], lines[2]]), "in another order"),
            (of(&["buy milk", lines[0], lines[1], lines[2]]), "1 of its lines are no metrics"),
            (whole.replace('\n', "\r\n"), "ended in another way"),
            (whole[..whole.len() - 4].to_owned(), "the line of step 3 is missing"),
            (String::new(), "the line of step 1 is missing"),
        ] {
            fs::write(run.metrics(), &text).unwrap();
            let told = history.restore(&run).unwrap();
            assert!(told.len() == 1 && told[0].found.contains(words), "{words}: {told:?}");
            assert!(told[0].words().ends_with("; it was restored from the newest checkpoint"), "{told:?}");
            assert_eq!(files::read_text(&run.metrics()).unwrap(), whole, "{words}");
        }
        fs::remove_file(run.metrics()).unwrap();
        assert!(history.damage(&run).unwrap()[0].words().contains("metrics.jsonl: it is gone"));
        history.restore(&run).unwrap();
        // What is later is nobody's damage, and goes: also where it says the last step again.
        let again = line(3).to_json().unwrap();
        for later in [format!("{whole}{}{{\"st", line(4).to_json().unwrap()), format!("{whole}{again}")] {
            fs::write(run.metrics(), &later).unwrap();
            assert_eq!(history.restore(&run).unwrap(), []);
            assert_eq!(files::read_text(&run.metrics()).unwrap(), whole);
        }
    }

    #[test]
    fn damage_to_rollouts_is_told_and_they_are_left_as_they_are() {
        let home = tempfile::tempdir().unwrap();
        let (run, history) = run(home.path());
        fs::write(run.rollouts(2), "rollouts of step 2").unwrap();
        fs::remove_file(run.rollouts(3)).unwrap();
        fs::write(run.rollouts(4), "of a step that is done again").unwrap();
        let told = history.restore(&run).unwrap();
        let words: Vec<String> = told.iter().map(Damaged::words).collect();
        assert!(words.len() == 2 && words[0].contains("step-000002.jsonl: the rollouts of step 2 were changed"));
        assert!(words[1].contains("the rollouts of step 3 are gone; no checkpoint keeps rollouts"), "{words:?}");
        assert_eq!(fs::read(run.rollouts(2)).unwrap(), b"rollouts of step 2");
        // A history survives being noted.
        let text = serde_json::to_string(&history).unwrap();
        assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
        assert_eq!(history.lines(&run.metrics()).unwrap(), [line(1), line(2), line(3)]);
    }
}
