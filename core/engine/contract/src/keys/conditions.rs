//! Writes on a condition.

use switchboard_engine::keys::{Change, Condition, Revision, Write, Written};

use super::Store;
use crate::TestBed;

/// Each condition is met exactly where it should be, for each kind of key.
pub async fn conditions_are_met_or_nothing_changes(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    for (kind, there) in [("never", false), ("deleted", false), ("there", true)] {
        for (number, named) in ["always", "absent", "present", "old", "now", "future"]
            .into_iter()
            .enumerate()
        {
            let name = format!("{kind} {number}");
            let mut old = Revision(1);
            let mut now = Revision(1);
            if kind != "never" {
                old = store.put(&name, "1").await.revision;
                now = store.put(&name, "2").await.revision;
            }
            if kind == "deleted" {
                store.delete(&name).await;
            }
            let (condition, met) = match named {
                "always" => (Condition::Always, true),
                "absent" => (Condition::Absent, !there),
                "present" => (Condition::Present, there),
                "old" => (Condition::At(old), false),
                "now" => (Condition::At(now), there),
                _ => (Condition::At(Revision(u64::MAX)), false),
            };
            check(&store, &name, condition, met).await;
        }
    }
}

async fn check(store: &Store, name: &str, condition: Condition, met: bool) {
    let had = store.get(name).await;
    match store.write(name, Write::put("new").when(condition)).await {
        Written::Done { before, after } => {
            assert!(met, "{condition:?} is not met by {had:?}");
            assert_eq!(before, had);
            assert_eq!(after, store.get(name).await);
            assert_eq!(after.expect("it was put").value, "new");
        }
        Written::Unmet { current } => {
            assert!(!met, "{condition:?} is met by {had:?}");
            assert_eq!(current, had);
            assert_eq!(store.get(name).await, had);
        }
    }
}

/// Conditions hold for every kind of change, not only for puts.
pub async fn every_change_can_have_a_condition(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    for change in [
        Change::Put("2".into()),
        Change::Delete,
        Change::Increment(1),
        Change::IncrementFloat(0.5),
        Change::Append("0".into()),
        Change::Touch,
    ] {
        let entry = store.put("a", "1").await;
        let unmet = Write::change(change.clone()).when(Condition::Absent);
        let current = Some(entry.clone());
        assert_eq!(
            store.write("a", unmet).await,
            Written::Unmet { current },
            "{change:?}"
        );
        assert_eq!(store.get("a").await.as_ref(), Some(&entry), "{change:?}");

        let met = Write::change(change.clone()).when(Condition::At(entry.revision));
        let (before, after) = store.done("a", met).await;
        assert_eq!(before, Some(entry), "{change:?}");
        assert_eq!(store.get("a").await, after, "{change:?}");
    }
}
