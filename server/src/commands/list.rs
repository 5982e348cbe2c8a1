//! `ops` and `sessions`: what the hub knows, as tables.

use std::fmt::Write as _;

use serde_json::{Value, json};
use switchboard_peer::{HubOperation, HubSession};

use crate::{
    cli::inspect::ListArgs,
    client::Client,
    exit::Failure,
    output::{self, plain},
};

/// Spaces between two columns.
const GAP: usize = 2;

/// `switchboard ops`
pub(super) async fn ops(args: ListArgs, client: Client) -> anyhow::Result<()> {
    let operations = client
        .visit(async |peer| Ok(peer.at_hub().ops().await.map_err(Failure::from)?))
        .await?;
    let header = [
        "OPERATION",
        "RESPONDERS",
        "CALLS",
        "IN FLIGHT",
        "SAFE",
        "RESULT TYPE",
    ];
    show(&args, &operations, header, operation_json, |operation| {
        [
            plain(&operation.operation).into_owned(),
            operation.responders.to_string(),
            operation.calls.to_string(),
            operation.in_flight.to_string(),
            if operation.safe { "yes" } else { "no" }.to_owned(),
            plain(operation.result_type.as_deref().unwrap_or("-")).into_owned(),
        ]
    })
}

/// `switchboard sessions`
pub(super) async fn sessions(args: ListArgs, client: Client) -> anyhow::Result<()> {
    let sessions = client
        .visit(async |peer| Ok(peer.at_hub().sessions().await.map_err(Failure::from)?))
        .await?;
    let header = [
        "ID",
        "ACCOUNT",
        "DOOR",
        "ADDRESS",
        "CLIENT",
        "SERVES",
        "SUBSCRIPTIONS",
    ];
    show(&args, &sessions, header, session_json, |session| {
        [
            session.id.to_string(),
            plain(&session.account).into_owned(),
            plain(&session.door).into_owned(),
            plain(&session.address).into_owned(),
            plain(session.client.as_deref().unwrap_or("-")).into_owned(),
            session.serves.to_string(),
            session.subscriptions.to_string(),
        ]
    })
}

fn operation_json(operation: &HubOperation) -> Value {
    json!({
        "op": operation.operation,
        "safe": operation.safe,
        "result_type": operation.result_type,
        "responders": operation.responders,
        "calls": operation.calls,
        "in_flight": operation.in_flight,
    })
}

fn session_json(session: &HubSession) -> Value {
    json!({
        "id": session.id,
        "account": session.account,
        "door": session.door,
        "address": session.address,
        "client": session.client,
        "since_unix_ms": session.since_unix_ms,
        "serves": session.serves,
        "subscriptions": session.subscriptions,
    })
}

fn show<T, const N: usize>(
    args: &ListArgs,
    entries: &[T],
    header: [&str; N],
    as_json: fn(&T) -> Value,
    as_row: impl Fn(&T) -> [String; N],
) -> anyhow::Result<()> {
    let text = if args.json {
        let all: Vec<Value> = entries.iter().map(as_json).collect();
        format!("{:#}\n", Value::from(all))
    } else {
        table(header, &entries.iter().map(as_row).collect::<Vec<_>>())
    };
    Ok(output::print(text.as_bytes())?)
}

/// Columns as wide as what is in them; the last one is not padded.
fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = header.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut write_row = |cells: [&str; N]| {
        let mut line = String::new();
        for (cell, width) in cells.into_iter().zip(widths) {
            // Writing into a String cannot fail.
            let _ = write!(line, "{cell:<0$}", width + GAP);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    write_row(header);
    for row in rows {
        write_row(row.each_ref().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_what_is_in_them() {
        let rows = [
            ["größer".to_owned(), "1".to_owned()],
            ["a".to_owned(), "1000000".to_owned()],
        ];
        assert_eq!(
            table(["OP", "CALLS"], &rows),
            "OP      CALLS\ngrößer  1\na       1000000\n"
        );
        assert_eq!(table(["OP"], &[]), "OP\n");
    }
}
