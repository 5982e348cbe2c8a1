//! Side by side with Redis: thousands of made-up commands go to our door and to a `redis-server`, and each must be
//! answered the same, byte by byte.
//!
//! A [group](groups) is a list of [templates](template); add a file for it, and a line in `groups.rs`. What may differ
//! stands in [`exceptions`], each with its reason. The commands depend on a seed only: `SEED=7 cargo nextest run …`
//! takes others.

mod events;
mod exceptions;
mod groups;
mod reply;
mod scripts;
mod servers;
mod template;

use groups::Group;
use reply::Reply;
use servers::{Client, Servers};
use template::{Asked, Compare};

/// Commands of one test.
const COMMANDS: usize = 6_000;

/// Both begin with no keys again after so many commands, so that what led to a difference is not long.
const ROUND: usize = 300;

/// Commands that are sent at once.
const PIPELINE: usize = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_group_in_resp2() {
    let servers = Servers::start().await;
    for group in groups::ALL {
        compare(&servers, 2, group.name, &[group]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_group_in_resp3() {
    let servers = Servers::start().await;
    for group in groups::ALL {
        compare(&servers, 3, group.name, &[group]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_groups_on_the_same_keys() {
    let servers = Servers::start().await;
    compare(&servers, 3, "all", groups::ALL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_hear_the_same() {
    let servers = Servers::start().await;
    for group in groups::ALL {
        events::compare(&servers, group, seed(), COMMANDS / 6).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_do_the_same() {
    let servers = Servers::start().await;
    scripts::compare(&servers, 2).await;
    scripts::compare(&servers, 3).await;
}

fn seed() -> u64 {
    std::env::var("SEED").map_or(1, |seed| seed.parse().expect("SEED is a number"))
}

async fn compare(servers: &Servers, protocol: u8, name: &str, groups: &[&Group]) {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut ours = Client::connect(&servers.ours, protocol).await;
    let mut theirs = Client::connect(&servers.theirs, protocol).await;
    for round in 0..COMMANDS / ROUND {
        ours.ask("FLUSHALL").await;
        theirs.ask("FLUSHALL").await;
        let commands: Vec<Asked> = (0..ROUND)
            .map(|_| {
                let group = random.choice(groups).expect("there are groups");
                group.command(&mut random)
            })
            .collect();
        for (index, batch) in commands.chunks(PIPELINE).enumerate() {
            let (ours, theirs) = tokio::join!(ours.ask_all(batch), theirs.ask_all(batch));
            for (place, asked) in batch.iter().enumerate() {
                let before = &commands[..index * PIPELINE + place];
                check(asked, &ours[place], &theirs[place], || {
                    format!(
                        "{name}, RESP{protocol}, seed {seed}, round {round}:\n{}",
                        history(before, asked)
                    )
                });
            }
        }
    }
}

fn check(asked: &Asked, ours: &Reply, theirs: &Reply, describe: impl FnOnce() -> String) {
    let is_same = match asked.compare {
        Compare::Exact => ours == theirs,
        Compare::Unordered => ours.sorted() == theirs.sorted(),
        Compare::Near(most) => ours.is_near(theirs, most),
        Compare::Shape => ours.shape() == theirs.shape(),
    };
    assert!(
        is_same || exceptions::is_excused(asked, ours, theirs),
        "{}\n  Redis: {theirs}\n  ours:  {ours}",
        describe()
    );
}

/// The commands that had to do with the same keys.
fn history(before: &[Asked], asked: &Asked) -> String {
    let related = before.iter().filter(|other| {
        let is_key = |word: &Vec<u8>| template::KEYS.iter().any(|key| key.as_bytes() == word);
        other
            .words
            .iter()
            .any(|word| is_key(word) && asked.words.contains(word))
    });
    let lines: Vec<String> = related.chain([asked]).map(ToString::to_string).collect();
    let skipped = lines.len().saturating_sub(25);
    lines[skipped..].join("\n")
}
