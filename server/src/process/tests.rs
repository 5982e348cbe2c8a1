//! Real programs, run by `/bin/sh`. Whether a process is gone is seen by a [`Witness`]: a pipe that ends when the last
//! process that inherited it has ended.

use std::{convert::Infallible, io::ErrorKind, path::PathBuf, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Context, Fault, GRACE, Job, RETRY_WAIT, STDERR_BYTES_MAX, collect, run, start_fault};

/// More than any test needs: passing it means that something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than a result of these tests is large.
const BYTES_MAX: usize = 1 << 20;

fn shell(script: &str) -> Job {
    shell_with(script, &[])
}

fn shell_with(script: &str, arguments: &[&str]) -> Job {
    let fixed = ["-c", script, "sh"];
    let arguments = fixed.iter().chain(arguments).map(Into::into).collect();
    Job {
        program: "/bin/sh".into(),
        arguments,
        context: Context::default(),
        deadline: None,
    }
}

fn once(text: &'static str) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::iter([Ok(Bytes::from_static(text.as_bytes()))])
}

fn endless() -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::repeat(Ok(Bytes::from_static(&[b'x'; 4096])))
}

fn never() -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::pending()
}

async fn result_of(job: &Job, input: impl Stream<Item = Result<Bytes, Infallible>>) -> Result<String, Fault> {
    let cancel = CancellationToken::new();
    let result = timeout(PATIENCE, collect(job, input, BYTES_MAX, &cancel))
        .await
        .expect("it ends");
    result.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn failed(message: &str) -> Result<String, Fault> {
    Err(Fault::Failed {
        message: message.to_owned(),
    })
}

/// A named pipe held open by the processes of a job: its scripts begin with `exec 9>"$1"`.
struct Witness {
    _folder: tempfile::TempDir,
    path: PathBuf,
    reader: pipe::Receiver,
    /// Keeps the pipe from ending before the job has opened it.
    writer: pipe::Sender,
}

impl Witness {
    /// Needs a runtime.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("witness");
        let made = std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .expect("mkfifo runs");
        assert!(made.success());
        let reader = pipe::OpenOptions::new()
            .open_receiver(&path)
            .expect("a reading end");
        let writer = pipe::OpenOptions::new()
            .open_sender(&path)
            .expect("a writing end");
        Self {
            _folder: folder,
            path,
            reader,
            writer,
        }
    }

    fn job(&self, script: &str) -> Job {
        let path = self.path.to_str().expect("a plain path");
        shell_with(&format!("exec 9>\"$1\"; {script}"), &[path])
    }

    /// The file beside the pipe, for what a script wants to leave.
    fn note(&self) -> PathBuf {
        self.path.with_extension("note")
    }

    /// Waits until every process that inherited the pipe has ended.
    async fn all_gone(mut self) {
        drop(self.writer);
        let end = timeout(PATIENCE, self.reader.read_u8())
            .await
            .expect("all its processes are gone");
        assert_eq!(end.map_err(|error| error.kind()), Err(ErrorKind::UnexpectedEof));
    }
}

#[tokio::test]
async fn stdin_goes_in_and_stdout_comes_out() {
    assert_eq!(
        result_of(&shell("tr a-z A-Z"), once("hello")).await,
        Ok("HELLO".into())
    );
    assert_eq!(result_of(&shell("cat"), stream::empty()).await, Ok(String::new()));
    assert_eq!(
        result_of(&shell("echo warned >&2; echo ok"), once("")).await,
        Ok("ok\n".into())
    );
}

#[tokio::test]
async fn the_exit_status_is_the_verdict() {
    let verdict = async |script: &'static str| result_of(&shell(script), once("")).await;
    assert_eq!(
        verdict("echo no such lamp >&2; exit 1").await,
        failed("no such lamp")
    );
    assert_eq!(verdict("echo partly; exit 3").await, failed("exit status 3"));
    assert_eq!(verdict("kill -9 $$").await, failed("killed by signal 9"));
    let busy = Fault::Retry {
        wait: RETRY_WAIT,
        message: "busy".into(),
    };
    assert_eq!(verdict("echo busy >&2; exit 75").await, Err(busy));
    let silent = Fault::Retry {
        wait: RETRY_WAIT,
        message: "exit status 75".into(),
    };
    assert_eq!(verdict("exit 75").await, Err(silent));
}

#[tokio::test]
async fn the_last_of_stderr_is_kept() {
    let script = "i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1";
    let Err(Fault::Failed { message }) = result_of(&shell(script), once("")).await else {
        panic!("it fails");
    };
    assert!(message.ends_with("\nline 2999"), "{message}");
    assert!(
        message.len() <= STDERR_BYTES_MAX && message.len() > STDERR_BYTES_MAX - 20,
        "{}",
        message.len()
    );
}

#[tokio::test]
async fn what_cannot_be_started_says_so() {
    let job = Job {
        program: "/nonexistent/program".into(),
        ..shell("")
    };
    let expected = failed("cannot start `/nonexistent/program`: No such file or directory (os error 2)");
    assert_eq!(result_of(&job, once("")).await, expected);
    let job = Job {
        program: "/".into(),
        ..shell("")
    };
    assert!(matches!(
        result_of(&job, once("")).await,
        Err(Fault::Failed { .. })
    ));
}

#[test]
fn lack_of_resources_passes() {
    let fault = |errno: rustix::io::Errno| start_fault(&shell(""), &errno.into());
    assert!(matches!(fault(rustix::io::Errno::AGAIN), Fault::Retry { .. }));
    assert!(matches!(fault(rustix::io::Errno::MFILE), Fault::Retry { .. }));
    assert!(matches!(fault(rustix::io::Errno::ACCESS), Fault::Failed { .. }));
}

#[tokio::test]
async fn the_program_knows_its_call() {
    let script = "echo $SWITCHBOARD_OPERATION ${SWITCHBOARD_ACCOUNT-none} ${SWITCHBOARD_DOOR-none}; \
                  echo ${SWITCHBOARD_CONTENT_TYPE-none}; echo ${SWITCHBOARD_DEADLINE_MS-none}";
    let mut job = shell(script);
    job.context.operation = "upper".into();
    assert_eq!(
        result_of(&job, once("")).await,
        Ok("upper none none\nnone\nnone\n".into())
    );

    job.context.account = Some("ann".into());
    job.context.door = Some("gotalk".into());
    job.context.content_type = Some("text/plain; charset=utf-8".into());
    job.deadline = Some(Instant::now() + PATIENCE);
    let said = result_of(&job, once("")).await.expect("it ends well");
    let (known, milliseconds) = said.trim().rsplit_once('\n').expect("three lines");
    assert_eq!(known, "upper ann gotalk\ntext/plain; charset=utf-8");
    let milliseconds: u64 = milliseconds.parse().expect("a number");
    assert!((1..=20_000).contains(&milliseconds), "{milliseconds}");
}

#[tokio::test]
async fn a_program_may_ignore_its_input() {
    assert_eq!(result_of(&shell("echo hi"), endless()).await, Ok("hi\n".into()));
    assert_eq!(result_of(&shell("echo hi"), never()).await, Ok("hi\n".into()));
    assert_eq!(result_of(&shell("head -c 3"), endless()).await, Ok("xxx".into()));
    let large = result_of(&shell("head -c 300000 /dev/zero"), endless())
        .await
        .expect("it ends well");
    assert_eq!(large.len(), 300_000);
}

#[tokio::test]
async fn a_program_may_close_its_output_and_go_on() {
    let witness = Witness::new();
    let note = witness.note();
    let script = format!("exec >&- 2>&-; cat >{}", note.display());
    assert_eq!(
        result_of(&witness.job(&script), once("kept")).await,
        Ok(String::new())
    );
    let noted = std::fs::read_to_string(note).ok();
    witness.all_gone().await;
    assert_eq!(noted.as_deref(), Some("kept"));
}

#[tokio::test]
async fn chunks_flow_both_ways_while_it_runs() {
    let (ask, questions) = mpsc::channel::<Bytes>(1);
    let (output, mut answers) = mpsc::channel(1);
    let input = stream::unfold(questions, async |mut questions| {
        Some((questions.recv().await?, questions))
    });
    let (job, cancel) = (shell("cat"), CancellationToken::new());
    let running = run(&job, input.map(Ok::<_, Infallible>), output, &cancel);
    let talking = async move {
        for word in ["one", "two", "three"] {
            ask.send(Bytes::from_static(word.as_bytes()))
                .await
                .expect("it listens");
            assert_eq!(answers.recv().await.as_deref(), Some(word.as_bytes()));
        }
        drop(ask);
        assert_eq!(answers.recv().await, None);
    };
    let (ran, ()) = timeout(PATIENCE, async { tokio::join!(running, talking) })
        .await
        .expect("it ends");
    assert_eq!(ran, Ok(()));
}

#[tokio::test]
async fn a_reader_who_leaves_cancels() {
    let witness = Witness::new();
    let (output, mut chunks) = mpsc::channel(1);
    let (job, cancel) = (witness.job("yes"), CancellationToken::new());
    let reading = async move {
        for _ in 0..3 {
            assert!(
                chunks
                    .recv()
                    .await
                    .is_some_and(|chunk: Bytes| chunk.starts_with(b"y\n") || chunk.starts_with(b"\n"))
            );
        }
    };
    let (ran, ()) = tokio::join!(run(&job, once(""), output, &cancel), reading);
    assert_eq!(ran, Err(Fault::Cancelled));
    witness.all_gone().await;
}

#[tokio::test]
async fn too_much_output_is_refused() {
    let cancel = CancellationToken::new();
    let collected = collect(&shell("yes"), once(""), 1000, &cancel).await;
    assert_eq!(collected, Err(Fault::OutputTooLarge { bytes_max: 1000 }));
    let exact = collect(&shell("head -c 1000 /dev/zero"), once(""), 1000, &cancel).await;
    assert_eq!(exact.map(|bytes| bytes.len()), Ok(1000));
}

#[tokio::test]
async fn input_that_breaks_off_stops_the_program() {
    let witness = Witness::new();
    let input = stream::iter([Ok(Bytes::from_static(b"half")), Err("caller went away")]);
    let cancel = CancellationToken::new();
    let ran = collect(&witness.job("cat; sleep 1000"), input, BYTES_MAX, &cancel).await;
    assert_eq!(
        ran,
        Err(Fault::InputBroken {
            reason: "caller went away".into()
        })
    );
    witness.all_gone().await;
}

/// Runs a job whose first line of output says that it is ready, then cancels it; tells how long the end took.
async fn cancelled_after_first_line(job: &Job) -> (Result<(), Fault>, Duration) {
    let (output, mut chunks) = mpsc::channel(1);
    let cancel = CancellationToken::new();
    let cancelling = async {
        assert!(chunks.recv().await.is_some());
        cancel.cancel();
        Instant::now()
    };
    let (ran, cancelled) = tokio::join!(run(job, never(), output, &cancel), cancelling);
    (ran, cancelled.elapsed())
}

#[tokio::test]
async fn cancelling_ends_children_and_grandchildren() {
    let witness = Witness::new();
    let job = witness.job("(sleep 1000 & sleep 1000) & sleep 1000 & echo ready; wait");
    let (ran, took) = cancelled_after_first_line(&job).await;
    assert_eq!(ran, Err(Fault::Cancelled));
    assert!(took < GRACE, "SIGTERM is enough: {took:?}");
    witness.all_gone().await;
}

#[tokio::test]
async fn cancelling_lets_a_program_tidy_up() {
    let witness = Witness::new();
    let note = witness.note();
    let script = format!(
        "trap 'echo tidy >{}; exit 0' TERM; echo ready; sleep 1000 & wait",
        note.display()
    );
    let (ran, _) = cancelled_after_first_line(&witness.job(&script)).await;
    assert_eq!(ran, Err(Fault::Cancelled));
    let noted = std::fs::read_to_string(note).ok();
    witness.all_gone().await;
    assert_eq!(noted.as_deref(), Some("tidy\n"));
}

#[tokio::test]
async fn who_ignores_sigterm_is_killed_after_the_grace() {
    let witness = Witness::new();
    let job = witness.job("trap '' TERM; sleep 1000 & echo ready; while :; do sleep 1000; done");
    let (ran, took) = cancelled_after_first_line(&job).await;
    assert_eq!(ran, Err(Fault::Cancelled));
    assert!(took >= GRACE, "{took:?}");
    witness.all_gone().await;
}

#[tokio::test]
async fn dropping_the_future_stops_the_program() {
    let witness = Witness::new();
    let job = witness.job("sleep 1000 & echo ready; wait");
    let (output, mut chunks) = mpsc::channel(1);
    let cancel = CancellationToken::new();
    tokio::select! {
        _ = run(&job, never(), output, &cancel) => panic!("it must not end by itself"),
        first = chunks.recv() => assert!(first.is_some()),
    }
    witness.all_gone().await;
}

#[test]
fn the_end_of_the_runtime_kills_the_program() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
    };
    let observer = runtime().expect("a runtime");
    let witness = observer.block_on(async { Witness::new() });
    let job = witness.job("trap '' TERM; echo ready; while :; do sleep 1000; done");

    let hub = runtime().expect("a runtime");
    let (output, mut chunks) = mpsc::channel(1);
    hub.spawn(async move { run(&job, never(), output, &CancellationToken::new()).await });
    assert!(hub.block_on(chunks.recv()).is_some());
    drop(hub);
    observer.block_on(witness.all_gone());
}

#[tokio::test]
async fn the_deadline_stops_the_program() {
    let witness = Witness::new();
    let deadline = Some(Instant::now() + Duration::from_millis(50));
    let job = Job {
        deadline,
        ..witness.job("sleep 1000")
    };
    assert_eq!(result_of(&job, never()).await, Err(Fault::DeadlinePassed));
    witness.all_gone().await;
}

#[tokio::test]
async fn what_a_program_leaves_behind_ends_with_the_job() {
    let witness = Witness::new();
    let job = witness.job("sleep 1000 & echo done");
    assert_eq!(result_of(&job, once("")).await, Ok("done\n".into()));
    witness.all_gone().await;
}

#[tokio::test]
async fn what_a_program_leaves_behind_may_finish_its_output() {
    // The shell takes stdin from what runs in the background, unless it is given under another number.
    let job = shell("exec 3<&0; (read line <&3; echo late $line) & exit 0");
    assert_eq!(result_of(&job, once("words\n")).await, Ok("late words\n".into()));
}

#[tokio::test]
async fn who_escapes_the_group_cannot_hold_the_call() {
    let witness = Witness::new();
    let note = witness.note();
    let script = format!(
        "setsid sh -c 'echo $$ >{}; echo out; exec sleep 1000' & exit 0",
        note.display()
    );
    assert_eq!(
        result_of(&witness.job(&script), once("")).await,
        Ok("out\n".into())
    );
    let escaped = std::fs::read_to_string(note)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let escaped = escaped
        .and_then(rustix::process::Pid::from_raw)
        .expect("its number");
    rustix::process::kill_process(escaped, rustix::process::Signal::KILL).expect("it still runs");
    witness.all_gone().await;
}

#[tokio::test]
async fn many_run_at_once() {
    let jobs = (0..40)
        .map(async |number| result_of(&shell(&format!("cat; exit $(({number} % 2))")), once("x")).await);
    let results = futures_util::future::join_all(jobs).await;
    for (number, result) in results.into_iter().enumerate() {
        let expected = if number % 2 == 0 {
            Ok("x".to_owned())
        } else {
            failed("exit status 1")
        };
        assert_eq!(result, expected);
    }
}
