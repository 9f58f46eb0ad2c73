//! The few completions that are worth reading.

use crate::reward::{Record, Score};

/// A completion that two rewards put in different places of its group.
#[derive(Clone, Debug)]
pub struct Moved {
    pub record: Record,
    /// What each of the two pays.
    pub paid: [f64; 2],
    /// How many of the group each puts before it, ties counted half.
    pub ranks: [f64; 2],
    /// Completions in the group.
    pub of: usize,
}

/// A wrong answer that is paid well.
#[derive(Clone, Debug)]
pub struct Caught {
    pub record: Record,
    pub score: Score,
    /// Completions like this one to the same question.
    pub times: u64,
}

impl Moved {
    /// Places that it moved.
    pub fn distance(&self) -> f64 {
        (self.ranks[0] - self.ranks[1]).abs()
    }
}

/// A list of the most of something, most first. Of equals, the first ones stay.
#[derive(Clone, Debug)]
pub struct Most<T> {
    room: usize,
    list: Vec<(f64, T)>,
}

impl<T> Most<T> {
    pub fn new(room: usize) -> Most<T> {
        Most { room, list: Vec::new() }
    }

    /// Whether something of this size would get a place.
    pub fn wants(&self, size: f64) -> bool {
        self.list.len() < self.room || self.list.last().is_some_and(|(least, _)| size > *least)
    }

    /// Makes it one of the list if it is wanted.
    pub fn offer(&mut self, size: f64, item: T) {
        if self.wants(size) {
            let at = self.list.partition_point(|(other, _)| *other >= size);
            self.list.insert(at, (size, item));
            self.list.truncate(self.room);
        }
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.list.iter_mut().map(|(_, item)| item)
    }

    pub fn into_vec(self) -> Vec<T> {
        self.list.into_iter().map(|(_, item)| item).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_are_kept_in_order_and_the_first_of_equals_stays() {
        let mut most = Most::new(3);
        for (size, name) in [(1.0, "a"), (3.0, "b"), (1.0, "c"), (2.0, "d"), (3.0, "e"), (0.0, "f")] {
            most.offer(size, name);
        }
        assert_eq!(most.into_vec(), ["b", "e", "d"]);
        let mut none = Most::new(0);
        none.offer(1.0, "a");
        assert!(none.into_vec().is_empty());
    }
}
