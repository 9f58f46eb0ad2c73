//! How the threads of a process sample on the processor: an engine each, or several on one.

use std::fmt;

use gemm_common::cache::CACHE_INFO;

use crate::kernels::simd::Level;
use crate::policy::ModelConfig;

/// Fewest and most slots of a thread that pay. Fewer rows leave registers of a product empty; of more, one step takes so
/// long that reading the weights is no longer seen in it.
const FEWEST: usize = 8;
const MOST: usize = 32;

/// Tokens of a usual prompt with its completion.
const USUAL: usize = 128;

/// Panels of the narrowest product that are worth a thread of their own: with fewer, one of them more or less would have
/// the others wait.
const PANELS: usize = 8;

/// The engines of a process. What is sampled does not depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineLayout {
    /// The threads of each engine.
    pub threads: Vec<usize>,
    /// Completions at once of every thread.
    pub slots: usize,
}

impl EngineLayout {
    /// What suits a model on so many threads. Where the processor's cache holds the weights, each thread has an engine of
    /// its own; where it does not, threads share an engine, so that each reads its part of the weights from memory and not
    /// all of them.
    pub fn for_model(config: &ModelConfig, threads: usize) -> EngineLayout {
        let weights = config.parameter_count() * size_of::<f32>();
        let cache = CACHE_INFO.iter().map(|level| level.cache_bytes).max().unwrap_or_default();
        let together = if weights > cache { config.hidden_size / (2 * Level::best().lanes() * PANELS) } else { 1 };
        EngineLayout::sharing(threads, together.max(1), slots(config))
    }

    /// `engines` engines of one thread.
    pub fn separate(engines: usize, slots: usize) -> EngineLayout {
        EngineLayout { threads: vec![1; engines], slots }
    }

    /// As few engines as there are with at most `together` of the threads each, as even as can be.
    fn sharing(threads: usize, together: usize, slots: usize) -> EngineLayout {
        let engines = threads.div_ceil(together);
        let of = |engine: usize| threads / engines + usize::from(engine < threads % engines);
        EngineLayout { threads: (0..engines).map(of).collect(), slots }
    }

    /// Of all engines.
    pub fn all_threads(&self) -> usize {
        self.threads.iter().sum()
    }
}

/// As in "1 engine of 2 threads, 64 completions at once".
impl fmt::Display for EngineLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (engines, most) = (self.threads.len(), self.threads.iter().max().unwrap_or(&0));
        let s = |count: usize| if count == 1 { "" } else { "s" };
        let slots = self.slots * self.all_threads();
        write!(f, "{engines} engine{} of {most} thread{}, {slots} completions at once", s(engines), s(*most))
    }
}

/// A step reads the weights once for all slots, and the keys and values of every slot: as many as make the latter as much
/// as the former. With more, a small model's would no longer fit the processor's cache.
fn slots(config: &ModelConfig) -> usize {
    let read_by_each = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * USUAL;
    (config.parameter_count() / read_by_each.max(1)).next_multiple_of(FEWEST).clamp(FEWEST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Family;
    use crate::rollout::tests::tiny;

    #[test]
    fn threads_share_an_engine_where_no_cache_holds_the_weights() {
        let small = tiny(Family::Llama);
        assert_eq!(EngineLayout::for_model(&small, 3), EngineLayout::separate(3, 8));
        // More than any processor's cache, and wide enough for as many threads.
        let large = ModelConfig { hidden_size: 4096, intermediate_size: 8192, vocab_size: 200_000, ..small };
        let layout = EngineLayout::for_model(&large, 3);
        assert_eq!((&layout.threads, layout.slots), (&vec![3], 32));
        assert_eq!(layout.to_string(), "1 engine of 3 threads, 96 completions at once");
    }

    #[test]
    fn every_thread_is_in_an_engine_and_none_has_two_more_than_another() {
        for threads in 0..20 {
            for together in 1..6 {
                let layout = EngineLayout::sharing(threads, together, 8);
                assert_eq!(layout.all_threads(), threads);
                let (least, most) = (layout.threads.iter().min(), layout.threads.iter().max());
                assert!(most.is_none_or(|most| *most <= together && *most <= least.unwrap() + 1), "{layout:?}");
            }
        }
    }
}
