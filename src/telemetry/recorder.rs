//! A recorder for the `metrics` facade that writes `metrics.jsonl`.
//!
//! Code that measures says `gauge!("grad_norm").set(norm)` and knows nothing of files. A line holds what was
//! touched since the line before and nothing older, so what it says does not depend on whether the run was
//! stopped and continued in between.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

use super::MetricsLine;
use crate::{Error, Result, files};

/// Collects metrics and writes one line for each step. Clones share what they collect; usable as the global
/// recorder (`metrics::set_global_recorder`) and as a local one (`metrics::with_local_recorder`).
///
/// A gauge `x` becomes `x`, its latest value. A counter `x` becomes `x`, what was added since the last line. A
/// histogram `x` becomes `x/mean` and `x/std` (of the population) of what was recorded since the last line.
/// Labels become part of the name: `x{kind=y}`.
#[derive(Clone)]
pub struct JsonlRecorder {
    pending: Arc<Pending>,
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

/// What was recorded since the last line.
#[derive(Default)]
struct Pending(Mutex<BTreeMap<String, Metric>>);

#[derive(Default)]
struct Metric {
    gauge: f64,
    /// What was counted, and how much of that stands in a line.
    total: u64,
    written: u64,
    values: Vec<f64>,
    /// What was recorded since the last line.
    touched: Option<MetricKind>,
}

enum MetricKind {
    Gauge,
    Counter,
    Histogram,
}

impl JsonlRecorder {
    /// Opens or makes the file, to which lines are appended.
    pub fn open(path: &Path) -> Result<JsonlRecorder> {
        path.parent().map_or(Ok(()), files::create_dir)?;
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::io(path, "open"))?;
        Ok(JsonlRecorder { pending: Arc::default(), path: path.into(), file: Arc::new(Mutex::new(file)) })
    }

    /// Writes the line of one step and starts the next. Returns what was written, which is with the operating system then.
    pub fn write_step(&self, step: u64) -> Result<MetricsLine> {
        let line = self.pending.take(step);
        lock(&self.file).write_all(line.to_json()?.as_bytes()).map_err(Error::io(&self.path, "write"))?;
        Ok(line)
    }

    fn handle(&self, key: &Key) -> Arc<Handle> {
        Arc::new(Handle { name: column(key), pending: self.pending.clone() })
    }
}

impl Recorder for JsonlRecorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.handle(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.handle(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.handle(key))
    }
}

impl Pending {
    fn take(&self, step: u64) -> MetricsLine {
        let mut line = MetricsLine { step, ..MetricsLine::default() };
        let mut put = |name: &str, value: f64| {
            let (column, name) = match timing(name) {
                Some(short) => (&mut line.time, short),
                None => (&mut line.values, name),
            };
            column.insert(name.to_owned(), value.is_finite().then_some(value));
        };
        for (name, metric) in lock(&self.0).iter_mut() {
            match metric.touched.take() {
                None => {}
                Some(MetricKind::Gauge) => put(name, metric.gauge),
                Some(MetricKind::Counter) => {
                    put(name, (metric.total - metric.written) as f64);
                    metric.written = metric.total;
                }
                Some(MetricKind::Histogram) => {
                    // Threads record in any order; a sum in a fixed order is the same sum every time.
                    let mut values = std::mem::take(&mut metric.values);
                    values.sort_by(f64::total_cmp);
                    let n = values.len() as f64;
                    let mean = values.iter().sum::<f64>() / n;
                    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
                    put(&format!("{name}/mean"), mean);
                    put(&format!("{name}/std"), variance.sqrt());
                }
            }
        }
        line
    }
}

/// What the facade's macros write to.
struct Handle {
    name: String,
    pending: Arc<Pending>,
}

impl Handle {
    fn update(&self, kind: MetricKind, change: impl FnOnce(&mut Metric)) {
        let mut all = lock(&self.pending.0);
        let metric = all.entry(self.name.clone()).or_default();
        change(metric);
        metric.touched = Some(kind);
    }
}

impl GaugeFn for Handle {
    fn increment(&self, by: f64) {
        self.update(MetricKind::Gauge, |metric| metric.gauge += by);
    }

    fn decrement(&self, by: f64) {
        GaugeFn::increment(self, -by);
    }

    fn set(&self, to: f64) {
        self.update(MetricKind::Gauge, |metric| metric.gauge = to);
    }
}

impl CounterFn for Handle {
    fn increment(&self, by: u64) {
        self.update(MetricKind::Counter, |metric| metric.total += by);
    }

    fn absolute(&self, to: u64) {
        self.update(MetricKind::Counter, |metric| metric.total = to.max(metric.total));
    }
}

impl HistogramFn for Handle {
    fn record(&self, one: f64) {
        self.update(MetricKind::Histogram, |metric| metric.values.push(one));
    }
}

/// The short name of a metric that differs between two equal runs, which is kept apart from the others:
/// `time/…`, `memory/…`, `step_time` and every rate (`…_per_sec`).
fn timing(name: &str) -> Option<&str> {
    let own = name.strip_prefix("time/");
    own.or_else(|| {
        (name.starts_with("memory/") || name == "step_time" || name.ends_with("_per_second")).then_some(name)
    })
}

/// The name of a metric in the file. `step` and `time` are keys of the line itself.
fn column(key: &Key) -> String {
    let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
    match (key.name(), labels.as_slice()) {
        (reserved @ ("step" | "time"), []) => format!("metric/{reserved}"),
        (name, []) => name.to_owned(),
        (name, labels) => format!("{name}{{{}}}", labels.join(",")),
    }
}

/// A thread that died while it held a metric leaves a number, not a broken invariant.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::{counter, gauge, histogram, with_local_recorder};

    /// Runs the measuring code of each step and returns the file.
    fn written(steps: &[fn()]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let recorder = JsonlRecorder::open(&path).unwrap();
        for (step, measure) in steps.iter().enumerate() {
            with_local_recorder(&recorder, measure);
            recorder.write_step(step as u64).unwrap();
        }
        files::read_text(&path).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn each_kind_of_metric_becomes_a_column() {
        let lines = written(&[|| {
            gauge!("reward").set(0.25);
            gauge!("reward").set(0.5);
            gauge!("rewards/correct/mean").increment(0.75);
            counter!("tokens").increment(3);
            counter!("tokens").increment(4);
            counter!("dropped", "why" => "long").increment(1);
            histogram!("length").record(1.0);
            histogram!("length").record(3.0);
            gauge!("grad_norm").set(f64::NAN);
            gauge!("kl").set(f64::INFINITY);
        }]);
        assert_eq!(
            lines[0],
            "{\"step\":0,\"dropped{why=long}\":1.0,\"grad_norm\":null,\"kl\":null,\"length/mean\":2.0,\
             \"length/std\":1.0,\"reward\":0.5,\"rewards/correct/mean\":0.75,\"tokens\":7.0}"
        );
    }

    #[test]
    fn a_line_holds_only_what_its_step_measured() {
        let lines = written(&[
            || {
                gauge!("eval/accuracy").set(0.5);
                counter!("tokens").absolute(10);
                histogram!("length").record(8.0);
            },
            || {
                counter!("tokens").absolute(25);
                histogram!("length").record(2.0);
            },
        ]);
        assert_eq!(lines[1], "{\"step\":1,\"length/mean\":2.0,\"length/std\":0.0,\"tokens\":15.0}");
    }

    #[test]
    fn times_stand_apart_from_what_can_be_reproduced() {
        let lines = written(&[|| {
            gauge!("time/wait_for_batch").set(0.5);
            gauge!("step_time").set(2.0);
            gauge!("tokens_per_second").set(100.0);
            gauge!("memory/peak").set(1.0);
            gauge!("timeouts").set(0.0);
            gauge!("step").set(9.0);
        }]);
        assert_eq!(
            lines[0],
            "{\"step\":0,\"metric/step\":9.0,\"timeouts\":0.0,\"time\":{\"memory/peak\":1.0,\"step_time\":2.0,\
             \"tokens_per_second\":100.0,\"wait_for_batch\":0.5}}"
        );
    }

    #[test]
    fn threads_in_any_order_give_one_mean() {
        let means: Vec<f64> = [[0.1, 0.2, 0.3, 1e16], [1e16, 0.3, 0.2, 0.1]]
            .into_iter()
            .map(|values| {
                let folder = tempfile::tempdir().unwrap();
                let recorder = JsonlRecorder::open(&folder.path().join("metrics.jsonl")).unwrap();
                for value in values {
                    let recorder = recorder.clone();
                    std::thread::spawn(move || with_local_recorder(&recorder, || histogram!("x").record(value)))
                        .join()
                        .unwrap();
                }
                recorder.write_step(0).unwrap().values["x/mean"].unwrap()
            })
            .collect();
        assert_eq!(means[0].to_bits(), means[1].to_bits());
    }
}
