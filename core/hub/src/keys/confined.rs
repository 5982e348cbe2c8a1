//! Edits that reach any key, but not those that are the hub's own.

use std::any::Any;
use std::sync::Arc;

use switchboard_engine::keys::{Cells, Edit, Reach};
use switchboard_engine::{Answer, Bucket, EngineError, Key, Keys};

use super::is_of_topics;

/// An edit whose keys are known only when it runs.
struct Confined {
    edit: Box<dyn Edit>,
    bucket: Arc<Bucket>,
}

/// Runs an edit that reaches any key of a bucket, but none that shows the last value of a topic.
pub(super) fn edit(keys: &dyn Keys, bucket: &Bucket, edit: Box<dyn Edit>) -> Answer<Box<dyn Edit>> {
    let confined = Confined {
        edit,
        bucket: Arc::new(bucket.clone()),
    };
    keys.edit(bucket, Box::new(confined)).try_map(|edit| {
        let edit: Box<dyn Any> = edit;
        let confined = edit.downcast::<Confined>();
        confined
            .map(|confined| confined.edit)
            .map_err(|_| EngineError::Failed("the engine gave back another edit".to_owned()))
    })
}

impl Edit for Confined {
    fn reach(&self) -> Reach<'_> {
        self.edit.reach()
    }

    fn changes(&self) -> bool {
        self.edit.changes()
    }

    fn narrow(&mut self) -> bool {
        let is_of_topics = |key: &Key| is_of_topics(&self.bucket, key.as_ref());
        self.edit.narrow() && matches!(self.edit.reach(), Reach::Keys(keys) if !keys.iter().any(is_of_topics))
    }

    fn run(&mut self, cells: &mut Cells<'_>) {
        let bucket = Arc::clone(&self.bucket);
        cells.confine(Box::new(move |key: &Key| {
            if is_of_topics(&bucket, key.as_ref()) {
                return Err(EngineError::Invalid(format!(
                    "key {} shows the last value of a topic: it cannot be used among others",
                    key.as_bytes().escape_ascii()
                )));
            }
            Ok(())
        }));
        self.edit.run(cells);
    }
}
