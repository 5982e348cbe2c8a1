//! A tree of levels: the filters that match a topic, or the topics that match a filter, without looking at the rest.
//!
//! Paths are topics or filters with at most [`TREE_LEVELS_MAX`](crate::names::TREE_LEVELS_MAX) levels, which bounds
//! the recursion below.

use foldhash::{HashMap, HashMapExt};

use crate::names;

/// Values by path.
#[derive(Debug)]
pub(crate) struct LevelTree<T> {
    root: Node<T>,
}

#[derive(Debug)]
struct Node<T> {
    /// Of the path that ends here.
    value: Option<T>,
    /// Of the path that ends here with a `#` level.
    rest: Option<T>,
    /// Below a `+` level.
    any: Option<Box<Node<T>>>,
    /// Below a level of that name.
    children: HashMap<Box<str>, Node<T>>,
}

impl<T> LevelTree<T> {
    pub(crate) fn new() -> Self {
        Self { root: Node::new() }
    }

    /// Whether nothing is in the tree.
    pub(crate) fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    /// Hands the place of a path to `edit`, which fills, changes or empties it. No empty branch stays behind.
    pub(crate) fn edit<R>(&mut self, path: &str, edit: impl FnOnce(&mut Option<T>) -> R) -> R {
        self.root.edit(Some(path), edit)
    }

    /// Visits the values of all filters that match the topic.
    pub(crate) fn for_each_matching(&self, topic: &str, visit: &mut impl FnMut(&T)) {
        self.root
            .visit_filters(Some(topic), names::is_reserved_topic(topic), visit);
    }

    /// Visits the values of all topics that the filter matches, in no order.
    pub(crate) fn for_each_matched_by(&self, filter: &str, visit: &mut impl FnMut(&T)) {
        self.root.visit_topics(Some(filter), true, visit);
    }
}

impl<T> Node<T> {
    fn new() -> Self {
        Self {
            value: None,
            rest: None,
            any: None,
            children: HashMap::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.value.is_none() && self.rest.is_none() && self.any.is_none() && self.children.is_empty()
    }

    fn edit<R>(&mut self, path: Option<&str>, edit: impl FnOnce(&mut Option<T>) -> R) -> R {
        let Some(path) = path else {
            return edit(&mut self.value);
        };
        match names::split_level(path) {
            ("#", None) => edit(&mut self.rest),
            ("+", below) => {
                let mut child = self.any.take().unwrap_or_else(|| Box::new(Self::new()));
                let result = child.edit(below, edit);
                self.any = (!child.is_empty()).then_some(child);
                result
            }
            (level, below) => {
                if let Some(child) = self.children.get_mut(level) {
                    let result = child.edit(below, edit);
                    if child.is_empty() {
                        self.children.remove(level);
                    }
                    return result;
                }
                let mut child = Self::new();
                let result = child.edit(below, edit);
                if !child.is_empty() {
                    self.children.insert(level.into(), child);
                }
                result
            }
        }
    }

    /// `reserved`: this is the first level, and the topic one that no wildcard may match there.
    fn visit_filters(&self, topic: Option<&str>, reserved: bool, visit: &mut impl FnMut(&T)) {
        if let (Some(value), false) = (&self.rest, reserved) {
            visit(value);
        }
        let Some(topic) = topic else {
            self.value.iter().for_each(visit);
            return;
        };
        let (level, below) = names::split_level(topic);
        if let Some(child) = self.children.get(level) {
            child.visit_filters(below, false, visit);
        }
        if let (Some(child), false) = (&self.any, reserved) {
            child.visit_filters(below, false, visit);
        }
    }

    fn visit_topics(&self, filter: Option<&str>, first: bool, visit: &mut impl FnMut(&T)) {
        let Some(filter) = filter else {
            self.value.iter().for_each(visit);
            return;
        };
        match names::split_level(filter) {
            ("#", None) => {
                self.value.iter().for_each(&mut *visit);
                self.wild_children(first).for_each(|child| child.visit_all(visit));
            }
            ("+", below) => {
                self.wild_children(first)
                    .for_each(|child| child.visit_topics(below, false, visit));
            }
            (level, below) => {
                if let Some(child) = self.children.get(level) {
                    child.visit_topics(below, false, visit);
                }
            }
        }
    }

    /// The children that a wildcard reaches: at the first level not those that begin with `$`.
    fn wild_children(&self, first: bool) -> impl Iterator<Item = &Self> {
        let reached = move |level: &str| !(first && names::is_reserved_topic(level));
        self.children
            .iter()
            .filter_map(move |(level, child)| reached(level).then_some(child))
    }

    fn visit_all(&self, visit: &mut impl FnMut(&T)) {
        self.value.iter().for_each(&mut *visit);
        self.children.values().for_each(|child| child.visit_all(visit));
    }
}

#[cfg(test)]
mod tests;
