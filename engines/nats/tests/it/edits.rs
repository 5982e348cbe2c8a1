//! Structures in a cluster: how large they may become, and their way to another one.

use std::any::Any;

use switchboard_engine::keys::{Cell, Cells, Edit, Reach};
use switchboard_engine::structures::Structure;
use switchboard_engine::transfer;
use switchboard_engine::{Bucket, Engine, EngineError, Key, Kind, Result};
use switchboard_engine_nats::{Nats, NatsOptions};

use crate::server::Server;
use crate::tools::{key, open, soon};

/// An edit of one key.
struct Act<F> {
    key: Key,
    act: F,
    outcome: Result<()>,
}

impl<F: FnMut(&mut Cell<'_>) -> Result<()> + Send + 'static> Edit for Act<F> {
    fn reach(&self) -> Reach<'_> {
        Reach::Keys(std::slice::from_ref(&self.key))
    }

    fn changes(&self) -> bool {
        true
    }

    fn run(&mut self, cells: &mut Cells<'_>) {
        self.outcome = cells.cell(&self.key).and_then(&mut self.act);
    }
}

async fn edit<F>(engine: &Nats, name: &str, act: F) -> Result<()>
where
    F: FnMut(&mut Cell<'_>) -> Result<()> + Send + 'static,
{
    let edit = Box::new(Act {
        key: key(name),
        act,
        outcome: Ok(()),
    });
    let edit: Box<dyn Any> = soon("an edit", engine.keys().edit(&Bucket::default(), edit)).await?;
    edit.downcast::<Act<F>>().expect("the same edit").outcome
}

async fn structure(engine: &Nats, name: &str) -> Structure {
    let found = soon(
        "a get",
        engine.keys().get(&Bucket::default(), key(name).as_bytes()),
    );
    let entry = found.await.expect("getting").expect("it is there");
    Structure::decode(entry.kind, &entry.value).expect("an encoding")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_structure_grows_up_to_what_a_message_may_have() {
    let server = Server::start();
    let engine = open(&server).await;
    let part = engine.value_bytes_max() / 4;
    let mut pushed = 0;
    let refused = loop {
        let pushing = edit(&engine, "list", move |cell| {
            cell.list_mut()?.push_back(&vec![b'x'; part]);
            Ok(())
        });
        match pushing.await {
            Ok(()) => pushed += 1,
            Err(refused) => break refused,
        }
    };
    assert!(
        matches!(&refused, EngineError::TooLarge(said) if said.contains("max_payload")),
        "{refused:?}"
    );
    assert_eq!((pushed, structure(&engine, "list").await.len()), (3, 3));
    // It can be made smaller, and grows again.
    let popping = edit(&engine, "list", |cell| {
        cell.list_mut().map(|list| drop(list.pop_front()))
    });
    popping.await.expect("taking away");
    let pushing = edit(&engine, "list", |cell| {
        cell.list_mut()?.push_front(b"small");
        Ok(())
    });
    pushing.await.expect("adding");
    assert_eq!(structure(&engine, "list").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn structures_are_exported_and_imported() {
    let server = Server::start();
    let from = open(&server).await;
    let names = ["a hash", "a list", "a set", "a sorted set"];
    for (name, kind) in names.into_iter().zip(&Kind::ALL[1..]) {
        let kind = *kind;
        let made = edit(&from, name, move |cell| {
            for number in 0..1_000_u32 {
                let name = number.to_be_bytes();
                match kind {
                    Kind::Hash => drop(cell.hash_mut()?.insert(&name, b"value")),
                    Kind::Set => drop(cell.set_mut()?.insert(&name)),
                    Kind::SortedSet => drop(cell.sorted_set_mut()?.insert(&name, f64::from(number % 10))),
                    _ => cell.list_mut()?.push_front(&name),
                }
            }
            Ok(())
        });
        made.await.expect("editing");
    }
    let mut export = Vec::new();
    let totals = transfer::export(&*from, &mut export, &mut |_| {})
        .await
        .expect("exporting");
    assert_eq!(totals.keys, 4);
    let to = Nats::open(NatsOptions {
        prefix: "other".to_owned(),
        ..NatsOptions::new([server.url()])
    });
    let to = to.await.expect("opening");
    transfer::import(&*to, &export[..], &mut |_| {})
        .await
        .expect("importing");
    for name in names {
        assert_eq!(structure(&to, name).await, structure(&from, name).await, "{name}");
    }
}
