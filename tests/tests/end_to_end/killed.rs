//! The daemon is killed with -9 while parties write by every door: what is there after that was acknowledged early
//! enough, or came after it, in order and whole.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Mutex,
    time::{Duration, Instant},
};

use switchboard_tests::{Daemon, LIMIT, Launch, Signal, single, tcp_address, until};

/// How often it is killed.
const KILLS: usize = 2;

/// Fewest writes of each party before that.
const WRITES_MIN: usize = 100;

/// A party that writes one number after the other, each when the one before was acknowledged.
struct Writer {
    /// Its door, and what its keys begin with.
    name: &'static str,
    /// Makes one write; an error is the end of the connection.
    write: fn(&mut BufReader<TcpStream>, u64) -> io::Result<()>,
    /// All numbers that are there.
    read: fn(&Daemon) -> Vec<String>,
}

const WRITERS: [Writer; 3] = [
    Writer {
        name: "gotalk",
        write: write_by_gotalk,
        read: |daemon| values(daemon, "gotalk"),
    },
    Writer {
        name: "http",
        write: write_by_http,
        read: |daemon| values(daemon, "http"),
    },
    Writer {
        name: "redis",
        write: write_by_redis,
        read: list,
    },
];

/// Long enough that half of it could be missing.
fn value(number: u64) -> String {
    format!("<{number}>").repeat(20)
}

/// Numbers in the order of texts are in order.
fn key(name: &str, number: u64) -> String {
    format!("{name}/{number:08}")
}

fn write_by_gotalk(stream: &mut BufReader<TcpStream>, number: u64) -> io::Result<()> {
    let put = serde_json::json!({ "key": key("gotalk", number), "value": value(number) });
    stream
        .get_mut()
        .write_all(&single(b"0001", "keys.put", put.to_string()))?;
    loop {
        // The kind, the id and the length in hex; a heartbeat is as long.
        let mut head = [0; 13];
        stream.read_exact(&mut head)?;
        let head = String::from_utf8_lossy(&head).into_owned();
        if head.starts_with('h') {
            continue;
        }
        let length = usize::from_str_radix(&head[5..], 16).expect("a length");
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer)?;
        assert!(
            head.starts_with("R0001"),
            "{head}{}",
            String::from_utf8_lossy(&answer)
        );
        return Ok(());
    }
}

fn write_by_http(stream: &mut BufReader<TcpStream>, number: u64) -> io::Result<()> {
    let (key, value) = (key("http", number), value(number));
    let length = value.len();
    let put =
        format!("PUT /keys/{key} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{value}");
    stream.get_mut().write_all(put.as_bytes())?;
    let status = line(stream)?;
    let mut length = 0;
    loop {
        let header = line(stream)?.to_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(text) = header.strip_prefix("content-length:") {
            length = text.trim().parse().expect("a length");
        }
    }
    stream.read_exact(&mut vec![0; length])?;
    assert!(status.starts_with("HTTP/1.1 201"), "{status}");
    Ok(())
}

fn write_by_redis(stream: &mut BufReader<TcpStream>, number: u64) -> io::Result<()> {
    let value = value(number);
    let push = format!(
        "*3\r\n$5\r\nRPUSH\r\n$5\r\nredis\r\n${}\r\n{value}\r\n",
        value.len()
    );
    stream.get_mut().write_all(push.as_bytes())?;
    assert_eq!(line(stream)?, format!(":{}", number + 1));
    Ok(())
}

/// A line without its end.
fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn address(daemon: &Daemon, name: &str) -> SocketAddr {
    let scheme = match name {
        "gotalk" => "tcp",
        name => name,
    };
    let door = daemon
        .doors
        .iter()
        .find(|door| door.starts_with(&format!("{scheme}://")));
    tcp_address(door.expect("a door"))
}

fn connect(daemon: &Daemon, name: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address(daemon, name)).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("an option");
    stream.set_nodelay(true).expect("an option");
    if name == "gotalk" {
        stream.write_all(b"01").expect("it reads");
        let mut version = [0; 2];
        stream.read_exact(&mut version).expect("it writes");
        assert_eq!(&version, b"01");
    }
    BufReader::new(stream)
}

/// The values of a party, in the order of its keys, which have no hole.
fn values(daemon: &Daemon, name: &str) -> Vec<String> {
    let ran = daemon.run(&["keys", "--values", &format!("{name}/")]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let entries = ran.text().lines().enumerate().map(|(number, line)| {
        let (found, value) = line.split_once('\t').expect("a key and its value");
        assert_eq!(found, key(name, number as u64), "a hole");
        value.to_owned()
    });
    entries.collect()
}

fn list(daemon: &Daemon) -> Vec<String> {
    let mut stream = connect(daemon, "redis");
    let ask = b"*4\r\n$6\r\nLRANGE\r\n$5\r\nredis\r\n$1\r\n0\r\n$2\r\n-1\r\n";
    stream.get_mut().write_all(ask).expect("it reads");
    let mut next = || line(&mut stream).expect("it writes");
    let count: usize = next()
        .strip_prefix('*')
        .expect("an array")
        .parse()
        .expect("its length");
    let element = |_| {
        // The length stands on a line of its own.
        next();
        next()
    };
    (0..count).map(element).collect()
}

/// Writes by every door until the daemon is killed, which is once all have waited for longer than `age`. Tells for each
/// party how many of its writes must be there, and how many may be.
fn kill(daemon: Daemon, present: [u64; 3], age: Duration) -> [(u64, u64); 3] {
    let acknowledged = [(); 3].map(|()| Mutex::new(Vec::new()));
    let killed = std::thread::scope(|scope| {
        for ((writer, acknowledged), present) in WRITERS.iter().zip(&acknowledged).zip(present) {
            let mut stream = connect(&daemon, writer.name);
            scope.spawn(move || {
                for number in present.. {
                    if (writer.write)(&mut stream, number).is_err() {
                        break;
                    }
                    acknowledged.lock().expect("no panic").push(Instant::now());
                }
            });
        }
        until("many were acknowledged long ago", || {
            let many = acknowledged.iter().all(|acknowledged| {
                let acknowledged = acknowledged.lock().expect("no panic");
                let last = acknowledged.get(WRITES_MIN);
                last.is_some_and(|last| last.elapsed() > age)
            });
            many.then_some(())
        });
        let killed = Instant::now();
        daemon.process.send(Signal::SIGKILL);
        assert_eq!(daemon.process.end().status, 137);
        killed
    });
    let mut bounds = present.map(|present| (present, present));
    for (bounds, acknowledged) in bounds.iter_mut().zip(acknowledged) {
        let acknowledged = acknowledged.into_inner().expect("no panic");
        let is_old = |at: &&Instant| killed.saturating_duration_since(**at) >= age;
        bounds.0 += acknowledged.iter().filter(is_old).count() as u64;
        // One more was under way.
        bounds.1 += acknowledged.len() as u64 + 1;
    }
    bounds
}

#[track_caller]
fn keeps_what_was_acknowledged(durability: &str, age: Duration) {
    let start = |launch: Launch| {
        let doors = ["tcp://127.0.0.1:0", "http://127.0.0.1:0", "redis://127.0.0.1:0"];
        let launch = doors.into_iter().fold(launch, Launch::listen);
        launch.arguments(&["--durability", durability]).start()
    };
    let mut daemon = start(Launch::new());
    let mut present = [0; 3];
    for _ in 0..KILLS {
        let place = Launch::beside(&daemon);
        let bounds = kill(daemon, present, age);
        daemon = start(place);
        for ((writer, (least, most)), present) in WRITERS.iter().zip(bounds).zip(&mut present) {
            let found = (writer.read)(&daemon);
            *present = found.len() as u64;
            assert!(
                (least..=most).contains(present),
                "{}: {present} writes are there, at least {least} must be, and at most {most}",
                writer.name
            );
            for (number, found) in (0..).zip(found) {
                assert_eq!(found, value(number), "{}", writer.name);
            }
        }
    }
}

#[test]
fn under_always_all_that_was_acknowledged_is_there() {
    keeps_what_was_acknowledged("always", Duration::ZERO);
}

/// What the page of keys promises: all but the last second.
#[test]
fn under_second_all_but_the_last_second_is_there_and_of_that_no_part_without_what_came_before() {
    keeps_what_was_acknowledged("second", Duration::from_secs(1));
}
