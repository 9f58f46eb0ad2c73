//! A recorder for the `metrics` facade that writes `metrics.jsonl`.
//!
//! Code that measures says `gauge!("grad_norm").set(norm)` and knows nothing of files. A line holds what was
//! touched since the line before and nothing older, so what it says does not depend on whether the run was
//! stopped and continued in between.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

use super::{MetricsFile, MetricsLine};
use crate::Result;

/// Collects metrics and writes one line for each step. Clones share what they collect; usable as the global
/// recorder (`metrics::set_global_recorder`) and as a local one (`metrics::with_local_recorder`).
///
/// A gauge `x` becomes `x`, its latest value. A counter `x` becomes `x`, what was added since the last line. A
/// histogram `x` becomes `x/mean` and `x/std` (of the population) of what was recorded since the last line.
/// Labels become part of the name: `x{kind=y}`.
#[derive(Clone)]
pub struct JsonlRecorder {
    pending: Arc<Pending>,
    file: Arc<Mutex<MetricsFile>>,
}

/// What was recorded since the last line.
#[derive(Default)]
struct Pending(Mutex<BTreeMap<String, Metric>>);

struct Metric {
    value: MetricValue,
    /// Something was recorded since the last line.
    touched: bool,
}

enum MetricValue {
    Gauge(f64),
    Counter { total: u64, written: u64 },
    Histogram(Vec<f64>),
}

impl JsonlRecorder {
    /// Opens or makes the file for a run whose next step is `next_step`; see [`MetricsFile::open`].
    pub fn open(path: &Path, next_step: u64) -> Result<JsonlRecorder> {
        let file = Arc::new(Mutex::new(MetricsFile::open(path, next_step)?));
        Ok(JsonlRecorder { pending: Arc::default(), file })
    }

    /// Writes the line of one step and starts the next. Returns what was written.
    pub fn write_step(&self, step: u64) -> Result<MetricsLine> {
        let line = self.pending.take(step);
        lock(&self.file).append(&line)?;
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
    fn update(&self, name: &str, fresh: fn() -> MetricValue, change: impl FnOnce(&mut MetricValue)) {
        let mut all = lock(&self.0);
        let measured = all.entry(name.to_owned()).or_insert_with(|| Metric { value: fresh(), touched: false });
        change(&mut measured.value);
        measured.touched = true;
    }

    fn take(&self, step: u64) -> MetricsLine {
        let mut line = MetricsLine { step, ..MetricsLine::default() };
        let mut put = |name: &str, value: f64| {
            let (column, name) = match timing(name) {
                Some(short) => (&mut line.time, short),
                None => (&mut line.values, name),
            };
            column.insert(name.to_owned(), value.is_finite().then_some(value));
        };
        for (name, measured) in lock(&self.0).iter_mut().filter(|(_, measured)| measured.touched) {
            measured.touched = false;
            match &mut measured.value {
                MetricValue::Gauge(value) => put(name, *value),
                MetricValue::Counter { total, written } => {
                    put(name, (*total - *written) as f64);
                    *written = *total;
                }
                MetricValue::Histogram(values) => {
                    // Threads record in any order; a sum in a fixed order is the same sum every time.
                    values.sort_by(f64::total_cmp);
                    let n = values.len() as f64;
                    let mean = values.iter().sum::<f64>() / n;
                    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
                    put(&format!("{name}/mean"), mean);
                    put(&format!("{name}/std"), variance.sqrt());
                    values.clear();
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

impl GaugeFn for Handle {
    fn increment(&self, by: f64) {
        self.pending.update(
            &self.name,
            || MetricValue::Gauge(0.0),
            |value| {
                if let MetricValue::Gauge(value) = value {
                    *value += by;
                }
            },
        );
    }

    fn decrement(&self, by: f64) {
        GaugeFn::increment(self, -by);
    }

    fn set(&self, to: f64) {
        self.pending.update(&self.name, || MetricValue::Gauge(0.0), |value| *value = MetricValue::Gauge(to));
    }
}

impl CounterFn for Handle {
    fn increment(&self, by: u64) {
        self.pending.update(
            &self.name,
            || MetricValue::Counter { total: 0, written: 0 },
            |value| {
                if let MetricValue::Counter { total, .. } = value {
                    *total += by;
                }
            },
        );
    }

    fn absolute(&self, to: u64) {
        self.pending.update(
            &self.name,
            || MetricValue::Counter { total: 0, written: 0 },
            |value| {
                if let MetricValue::Counter { total, .. } = value {
                    *total = to.max(*total);
                }
            },
        );
    }
}

impl HistogramFn for Handle {
    fn record(&self, one: f64) {
        self.pending.update(
            &self.name,
            || MetricValue::Histogram(Vec::new()),
            |value| {
                if let MetricValue::Histogram(values) = value {
                    values.push(one);
                }
            },
        );
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
    use crate::files;
    use metrics::{counter, gauge, histogram, with_local_recorder};

    /// Runs the measuring code of each step and returns the file.
    fn written(steps: &[fn()]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let recorder = JsonlRecorder::open(&path, 0).unwrap();
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
                let recorder = JsonlRecorder::open(&folder.path().join("metrics.jsonl"), 0).unwrap();
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
