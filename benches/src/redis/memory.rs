//! What a key takes of memory: resident bytes before and after a fill, over the keys that are there then.

use anyhow::{Context, Result};
use switchboard_engine::Durability;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::{Cell, Name, Test};
use crate::address::Address;
use crate::table::Table;

/// Bytes in a value.
const PAYLOADS: [usize; 2] = [16, 1024];

/// Fills each side and tells what a key took.
pub async fn run(names: &[Name], keys: usize, durability: Durability) -> Result<String> {
    let mut headings = vec!["value".to_owned()];
    headings.extend(names.iter().map(|name| format!("{name}: bytes a key")));
    headings.push("first ÷ last".to_owned());
    let mut table = Table::new(headings);
    for payload in PAYLOADS {
        let mut row = vec![format!("{payload} B")];
        let mut all = Vec::new();
        for name in names {
            eprintln!("redis: memory of {name}, {keys} keys, {payload} B");
            all.push(bytes_a_key(*name, keys, payload, durability).await?);
        }
        row.extend(all.iter().map(|bytes| format!("{bytes:.0}")));
        row.push(match (all.first(), all.last()) {
            (Some(first), Some(last)) => format!("{:.2}×", first / last),
            _ => String::new(),
        });
        table.row(row);
    }
    Ok(format!(
        "\nResident memory, after the fill less before, by key (16 bytes) that is there.\n\n{}",
        table.render()
    ))
}

async fn bytes_a_key(name: Name, keys: usize, payload: usize, durability: Durability) -> Result<f64> {
    let server = name.start(durability).await?;
    let before = server.resident_bytes()?;
    let cell = Cell {
        address: server.address().clone(),
        test: Test::Set,
        keys,
        payload,
        clients: 50,
        pipeline: 64,
    };
    cell.fill(Test::Set, keys * 2).await?;
    let there = count(server.address()).await?;
    let after = server.resident_bytes()?;
    server.end().await?;
    Ok(after.saturating_sub(before) as f64 / there as f64)
}

async fn count(address: &Address) -> Result<u64> {
    let (reader, mut writer) = tokio::io::split(address.connect().await?);
    writer.write_all(b"DBSIZE\r\n").await?;
    let line = BufReader::new(reader).lines().next_line().await?;
    let line = line.context("the server is gone")?;
    let count = line.strip_prefix(':').and_then(|count| count.parse().ok());
    count.with_context(|| format!("DBSIZE is {line:?}"))
}
