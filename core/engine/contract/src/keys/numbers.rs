//! Increments.

use proptest::prelude::*;
use switchboard_engine::EngineError;
use switchboard_engine::keys::{Change, Expiry, Write};

use super::Store;
use crate::TestBed;
use crate::tools::{explore, millis};

fn add(by: i64) -> Write {
    Write::change(Change::Increment(by))
}

fn add_float(by: f64) -> Write {
    Write::change(Change::IncrementFloat(by))
}

async fn text(store: &Store, name: &str) -> String {
    let value = store.value(name).await.expect("it is there");
    String::from_utf8(value.to_vec()).expect("numbers are text")
}

/// Increments add to a decimal integer of 64 bits; an absent value counts as 0.
pub async fn integers_are_added(bed: &mut dyn TestBed) {
    explore(bed, &any::<(i64, i64)>(), async |bed, (start, by)| {
        let store = Store::new(bed);
        store.done("a", add(start)).await;
        assert_eq!(text(&store, "a").await, start.to_string());
        let outcome = store.try_write("a", add(by)).await;
        let sum = match start.checked_add(by) {
            Some(sum) => sum,
            None => {
                assert_eq!(outcome, Err(EngineError::Overflow));
                start
            }
        };
        assert_eq!(text(&store, "a").await, sum.to_string());
    });
}

/// The range of integers is that of 64 bits, to its ends; over them is an overflow, which changes nothing.
pub async fn integers_overflow_at_their_ends(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    for (end, over) in [(i64::MAX, 1), (i64::MIN, -1)] {
        store.put("a", (end - over).to_string()).await;
        store.done("a", add(over)).await;
        assert_eq!(text(&store, "a").await, end.to_string());
        let entry = store.get("a").await;
        assert_eq!(store.try_write("a", add(over)).await, Err(EngineError::Overflow));
        assert_eq!(store.get("a").await, entry);
    }
}

/// What is not an integer of 64 bits cannot be incremented, and stays as it was.
pub async fn only_integers_are_incremented(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    for bad in [
        "",
        " 1",
        "1 ",
        "one",
        "1.5",
        "1e3",
        "0x10",
        "9223372036854775808",
        "-",
        "1\u{0}",
        "NaN",
    ] {
        let entry = store.put("a", bad).await;
        let outcome = store.try_write("a", add(1)).await;
        assert_eq!(outcome, Err(EngineError::NotAnInteger), "{bad:?}");
        assert_eq!(store.get("a").await, Some(entry));
    }
    store.put("a", vec![0xff, 0x31]).await;
    assert_eq!(store.try_write("a", add(1)).await, Err(EngineError::NotAnInteger));
}

/// The sum of floats is written shortest, so that it reads back the same, and never with an exponent.
pub async fn floats_are_added_and_written_shortest(bed: &mut dyn TestBed) {
    let finite = prop_oneof![
        4 => any::<f64>().prop_filter("finite", |number| number.is_finite()),
        2 => -1.0e6..1.0e6,
        1 => prop::sample::select(vec![0.1, 0.2, 1e21, 1e22, 1e-7, 5e-324, f64::MAX, f64::MIN_POSITIVE, 3.0]),
    ];
    explore(bed, &(finite.clone(), finite), async |bed, (start, by)| {
        let store = Store::new(bed);
        store.done("a", add_float(start)).await;
        expect_float(&store, start).await;
        let outcome = store.try_write("a", add_float(by)).await;
        let sum = start + by;
        if sum.is_finite() {
            expect_float(&store, sum).await;
        } else {
            assert_eq!(outcome, Err(EngineError::Overflow));
            expect_float(&store, start).await;
        }
    });
}

async fn expect_float(store: &Store, number: f64) {
    let text = text(store, "a").await;
    assert!(!text.contains(['e', 'E']), "{text} has an exponent");
    let back: f64 = text.parse().expect("a float reads back");
    assert_eq!(back, number, "{text} reads back as another number");
    if number != 0.0 {
        // Rust's own text is the shortest without an exponent; that of 0 may have a sign.
        assert_eq!(text, number.to_string());
    }
}

/// A float can be added to any decimal number, also to one that an integer's increment left.
pub async fn floats_are_added_to_integers(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    store.done("a", add(10)).await;
    store.done("a", add_float(0.5)).await;
    assert_eq!(text(&store, "a").await, "10.5");
    store.done("a", add_float(0.5)).await;
    assert_eq!(text(&store, "a").await, "11");
    store.done("a", add(1)).await;
    assert_eq!(text(&store, "a").await, "12");
}

/// What is not a finite number can have no float added, and adding what is not finite changes nothing.
pub async fn only_finite_numbers_are_added(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    for bad in [
        "", " 1", "one", "NaN", "nan", "inf", "-inf", "infinity", "1.5.5", "0x10", "1,5",
    ] {
        let entry = store.put("a", bad).await;
        let outcome = store.try_write("a", add_float(1.0)).await;
        assert_eq!(outcome, Err(EngineError::NotANumber), "{bad:?}");
        assert_eq!(store.get("a").await, Some(entry));
    }
    let entry = store.put("a", "1").await;
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(store.try_write("a", add_float(bad)).await.is_err(), "{bad}");
        assert!(store.try_write("never", add_float(bad)).await.is_err(), "{bad}");
    }
    assert_eq!(store.get("a").await, Some(entry));
    assert_eq!(store.get("never").await, None);
}

/// An increment keeps the expiry, unless it brings one.
pub async fn increments_keep_the_expiry(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let expires = bed.now().after(millis(3_600_000));
    for (name, write) in [("integer", add(1)), ("float", add_float(0.5))] {
        store
            .done(name, write.clone().expiring(Expiry::At(expires)))
            .await;
        let (_, after) = store.done(name, write.clone()).await;
        assert_eq!(after.expect("it is there").expires, Some(expires));
        let (_, after) = store.done(name, write.expiring(Expiry::Never)).await;
        assert_eq!(after.expect("it is there").expires, None);
    }
}
