//! Edits, as far as a session may.

use std::any::Any;

use super::*;

/// An edit that is a closure.
struct Act<F> {
    keys: Option<Vec<Key>>,
    changes: bool,
    act: F,
    outcome: Result<(), EngineError>,
}

impl<F: FnMut(&mut Cells<'_>) -> Result<(), EngineError> + Send + 'static> Edit for Act<F> {
    fn reach(&self) -> Reach<'_> {
        self.keys.as_deref().map_or(Reach::Any, Reach::Keys)
    }

    fn changes(&self) -> bool {
        self.changes
    }

    fn run(&mut self, cells: &mut Cells<'_>) {
        self.outcome = (self.act)(cells);
    }
}

/// Runs an edit; the fault is the session's or the engine's, the error what the edit came to.
async fn edit<F>(
    session: &Session,
    bucket: &Bucket,
    keys: Option<&[&str]>,
    changes: bool,
    act: F,
) -> Result<Result<(), EngineError>, Fault>
where
    F: FnMut(&mut Cells<'_>) -> Result<(), EngineError> + Send + 'static,
{
    let edit = Act {
        keys: keys.map(|keys| keys.iter().map(|name| key(name)).collect()),
        changes,
        act,
        outcome: Ok(()),
    };
    let edit: Box<dyn Any> = session.keys()?.edit(bucket, Box::new(edit))?.await?;
    Ok(edit.downcast::<Act<F>>().expect("the same edit").outcome)
}

#[tokio::test]
async fn an_edit_changes_the_keys_that_it_names() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    let bucket = Bucket::default();
    put(&session, "plain", "1").await;
    let edited = edit(&session, &bucket, Some(&["plain", "list"]), true, |cells| {
        let value = cells.cell(&key("plain"))?.plain()?.unwrap_or_default().to_vec();
        cells.cell(&key("list"))?.list_mut()?.push_back(&value);
        cells.cell(&key("plain"))?.put("2");
        assert!(matches!(cells.cell(&key("other")), Err(EngineError::Invalid(_))));
        Ok(())
    });
    assert_eq!(edited.await, Ok(Ok(())));
    let keys = session.keys().unwrap();
    let list = keys.get(&bucket, &key("list")).unwrap().await.unwrap().unwrap();
    assert_eq!(list.kind, Kind::List);
    assert_eq!(json::readable(&list).unwrap(), "[\"1\"]");
    let plain = keys.get(&bucket, &key("plain")).unwrap().await.unwrap();
    assert_eq!(plain.unwrap().value, "2");
}

#[tokio::test]
async fn an_edit_of_what_is_not_ones_own_is_denied_and_not_run() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    retain(&session, "home/lamp", "on").await;
    let own = Bucket::new("hub.retained").unwrap();
    let default = Bucket::default();
    for (bucket, keys, changes) in [
        (&own, Some(&["home/lamp"][..]), false),
        (&own, Some(&["home/lamp"]), true),
        (&own, None, false),
        (&own, None, true),
        (&default, Some(&["topic:home/lamp"]), true),
        (&default, Some(&["a", "topic:home/lamp"]), true),
    ] {
        let edited = edit(&session, bucket, keys, changes, |_| panic!("it is not run"));
        let denied = edited.await.expect_err("it is denied");
        assert_eq!(kind(&denied), Some(ErrorKind::Denied), "{bucket} {keys:?}");
    }
}

#[tokio::test]
async fn last_values_are_looked_at_by_edits_that_change_nothing() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    retain(&session, "home/lamp", "on").await;
    put(&session, "a", "1").await;
    let names = ["topic:home/lamp", "a", "topic:none"];
    let bucket = Bucket::default();
    let looked = edit(&session, &bucket, Some(&names), false, |cells| {
        assert_eq!(cells.cell(&key("topic:home/lamp"))?.plain()?, Some(&b"on"[..]));
        assert_eq!(cells.cell(&key("a"))?.plain()?, Some(&b"1"[..]));
        assert!(!cells.cell(&key("topic:none"))?.is_present());
        // It is of no avail.
        cells.cell(&key("a"))?.put("2");
        Ok(())
    });
    assert_eq!(looked.await, Ok(Ok(())));
    let found = session.keys().unwrap().get(&Bucket::default(), &key("a"));
    assert_eq!(found.unwrap().await.unwrap().unwrap().value, "1");
}

#[tokio::test]
async fn an_edit_of_any_key_is_kept_from_those_of_topics() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    retain(&session, "home/lamp", "on").await;
    let elsewhere = Bucket::new("elsewhere").unwrap();
    for (bucket, is_confined) in [(Bucket::default(), true), (elsewhere, false)] {
        let edited = edit(&session, &bucket, None, true, move |cells| {
            cells.cell(&key("any"))?.put("1");
            let refused = cells.cell(&key("topic:home/lamp")).err();
            assert_eq!(matches!(refused, Some(EngineError::Invalid(_))), is_confined);
            Ok(())
        });
        assert_eq!(edited.await, Ok(Ok(())));
        let found = session.keys().unwrap().get(&bucket, &key("any"));
        assert_eq!(found.unwrap().await.unwrap().unwrap().value, "1");
    }
}
