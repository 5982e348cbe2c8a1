//! Scripts that may run for long, beside others who want the same thread.

use std::sync::mpsc;

use switchboard_hub::keys::{Cell, EngineError, Key};

use super::*;

/// Another task of the runtime must have its turn before there is an answer.
fn find(_: &Key) -> Result<Cell<'static>, EngineError> {
    let (sender, receiver) = mpsc::channel();
    tokio::spawn(async move { sender.send(()) });
    match receiver.recv_timeout(Duration::from_secs(20)) {
        Ok(()) => Ok(Cell::absent()),
        Err(error) => Err(EngineError::Failed(error.to_string())),
    }
}

fn run(scripts: &Scripts, script: &Script) -> String {
    let mut reply = Reply::new(Protocol::Resp2);
    let outcome = scripts.run(Work {
        script,
        keys: WordSlice::default(),
        args: WordSlice::default(),
        is_read_only: false,
        cells: &mut Cells::new(Timestamp::from_millis(1), Some(Box::new(find))),
        effects: &mut Effects::default(),
        reply: &mut reply,
    });
    match outcome {
        Ok(()) => String::from_utf8_lossy(reply.bytes()).into_owned(),
        Err(refusal) => refusal.as_str().to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_may_run_long_lets_others_have_their_turn() {
    let answers = tokio::spawn(async {
        let scripts = Scripts::new(ScriptLimits::default());
        let source = b"return redis.call('EXISTS', 'a')";
        let new = scripts.of_source(source).unwrap();
        let first = run(&scripts, &new);
        // However long that took: it once took longer.
        let known = scripts.of_source(source).unwrap();
        known.longest.fetch_max(2_000_000, Ordering::Relaxed);
        [first, run(&scripts, &known)]
    });
    assert_eq!(answers.await.unwrap(), [":0\r\n", ":0\r\n"]);
}

#[test]
fn how_long_it_ran_is_kept_with_a_script() {
    let scripts = Scripts::new(ScriptLimits::default());
    let script = scripts.of_source(b"for i = 1, 1000 do end").unwrap();
    assert_eq!(script.longest.load(Ordering::Relaxed), 0);
    run(&scripts, &script);
    let longest = script.longest.load(Ordering::Relaxed);
    assert_ne!(longest, 0);
    run(&scripts, &script);
    let known = scripts.of_digest(script.digest.hex().as_bytes()).unwrap();
    assert!(known.longest.load(Ordering::Relaxed) >= longest);
}
