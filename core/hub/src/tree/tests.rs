use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::filter::Filter;

/// The rule as the specification words it, on whole vectors of levels: slow, and of another shape than the tree.
fn naive(filter: &[&str], topic: &[&str]) -> bool {
    fn below(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            ([wanted, filter @ ..], [level, topic @ ..]) => {
                (*wanted == "+" || wanted == level) && below(filter, topic)
            }
            _ => false,
        }
    }
    let wild = matches!(filter, ["+" | "#", ..]);
    !(wild && topic[0].starts_with('$')) && below(filter, topic)
}

fn naive_text(filter: &str, topic: &str) -> bool {
    let levels = |text: &'_ str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
    let (filter, topic) = (levels(filter), levels(topic));
    naive(
        &filter.iter().map(String::as_str).collect::<Vec<_>>(),
        &topic.iter().map(String::as_str).collect::<Vec<_>>(),
    )
}

fn level() -> impl Strategy<Value = String> {
    // Few distinct levels, so that filters and topics meet often; the odd ones are what goes wrong.
    prop_oneof![3 => "[ab]", 1 => Just(String::new()), 1 => Just("$x".to_owned()), 1 => Just("$".to_owned())]
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..6)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("empty", |t| !t.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    let levels = prop::collection::vec(prop_oneof![3 => level(), 2 => Just("+".to_owned())], 0..6);
    (levels, any::<bool>())
        .prop_map(|(mut levels, rest)| {
            if rest {
                levels.push("#".to_owned());
            }
            levels.join("/")
        })
        .prop_filter("empty", |filter| !filter.is_empty())
}

fn tree_of(paths: &BTreeSet<String>) -> LevelTree<String> {
    let mut tree = LevelTree::new();
    for path in paths {
        tree.edit(path, |place| *place = Some(path.clone()));
    }
    tree
}

proptest! {
    #[test]
    fn filters_found_for_a_topic_are_those_that_match(
        filters in prop::collection::btree_set(filter(), 0..40),
        removed in prop::collection::btree_set(filter(), 0..20),
        topic in topic(),
    ) {
        let mut tree = tree_of(&filters);
        for filter in &removed {
            tree.edit(filter, |place| *place = None);
        }
        let mut found = Vec::new();
        tree.for_each_matching(&topic, &mut |filter| found.push(filter.clone()));
        found.sort();
        let expected: Vec<_> =
            filters.difference(&removed).filter(|filter| naive_text(filter, &topic)).cloned().collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn topics_found_for_a_filter_are_those_that_it_matches(
        topics in prop::collection::btree_set(topic(), 0..40),
        filter in filter(),
    ) {
        let mut found = Vec::new();
        tree_of(&topics).for_each_matched_by(&filter, &mut |topic| found.push(topic.clone()));
        found.sort();
        let expected: Vec<_> = topics.iter().filter(|topic| naive_text(&filter, topic)).cloned().collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_filter_by_itself_matches_as_the_specification_says(filter in filter(), topic in topic()) {
        let parsed = Filter::parse(&filter).unwrap();
        prop_assert_eq!(parsed.matches(&topic), naive_text(&filter, &topic));
    }

    #[test]
    fn what_is_removed_leaves_no_branch(paths in prop::collection::btree_set(filter(), 0..40)) {
        let mut tree = tree_of(&paths);
        for path in &paths {
            prop_assert!(!tree.is_empty());
            prop_assert_eq!(tree.edit(path, Option::take), Some(path.clone()));
        }
        prop_assert!(tree.is_empty());
    }

    #[test]
    fn no_text_makes_a_filter_that_the_tree_cannot_hold(text in "[+#/$ab\0]{0,8}") {
        if let Ok(filter) = Filter::parse(&text) {
            let mut tree = LevelTree::new();
            tree.edit(filter.as_str(), |place| *place = Some(()));
            prop_assert!(!tree.is_empty());
        }
    }
}

#[test]
fn looking_for_a_path_that_is_not_there_grows_nothing() {
    let mut tree = LevelTree::<u8>::new();
    assert_eq!(tree.edit("a/+/b/#", Option::take), None);
    assert!(tree.is_empty());
}
