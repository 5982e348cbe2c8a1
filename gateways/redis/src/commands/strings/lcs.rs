//! What two values have in common: LCS.

use crate::args::Args;
use crate::call::Call;
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::long;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// Most cells of the table, which has the product of both lengths: 64 MiB, and some tens of milliseconds.
const CELLS_MAX: usize = 16 * 1024 * 1024;

pub(super) const LCS: Command = Command {
    name: "lcs",
    arity: -3,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST_TWO,
    since: "7.0.0",
    summary: "Finds the longest sequence of bytes that two values have in common, gaps allowed.",
    complexity: "O(N*M), N and M bytes of the values",
    syntax: "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
    support: Support::Differs("the product of both lengths is at most 16,777,216"),
    run: Run::Keys(lcs),
};

#[derive(Default)]
struct Options {
    length_only: bool,
    places: bool,
    with_length: bool,
    length_min: usize,
}

impl Options {
    fn of(args: &Args) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let mut index = 3;
        while index < args.len() {
            if args.is(index, "IDX") {
                options.places = true;
            } else if args.is(index, "LEN") {
                options.length_only = true;
            } else if args.is(index, "WITHMATCHLEN") {
                options.with_length = true;
            } else if args.is(index, "MINMATCHLEN") && args.len() > index + 1 {
                options.length_min = usize::try_from(args.integer(index + 1)?).unwrap_or(0);
                index += 1;
            } else {
                return Err(Refusal::SYNTAX);
            }
            index += 1;
        }
        if options.places && options.length_only {
            return Err(Refusal::new(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

fn lcs(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let mut values = [Vec::new(), Vec::new()];
    for (index, value) in values.iter_mut().enumerate() {
        let cell = call.cells.cell(&call.args.key(index + 1)?)?;
        let plain =
            (cell.plain()).map_err(|_| Refusal::new("ERR The specified keys must contain string values"))?;
        *value = plain.unwrap_or_default().to_vec();
    }
    let options = Options::of(call.args)?;
    let [first, second] = &values;
    let cells = first.len().saturating_mul(second.len());
    long::through_bytes(cells, || tell(call.reply, &options, first, second))
}

fn tell(reply: &mut Reply, options: &Options, first: &[u8], second: &[u8]) -> Result<(), Refusal> {
    let table = Table::of(first, second)?;
    if options.length_only {
        reply.count(table.at(first.len(), second.len()));
        return Ok(());
    }
    let matches = table.matches(first, second);
    if options.places {
        tell_places(reply, options, &matches, table.at(first.len(), second.len()));
        return Ok(());
    }
    let mut common = Vec::new();
    for found in matches.iter().rev() {
        common.extend_from_slice(
            first
                .get(found.first..found.first + found.length)
                .unwrap_or_default(),
        );
    }
    reply.bulk(&common);
    Ok(())
}

fn tell_places(reply: &mut Reply, options: &Options, matches: &[Match], length: usize) {
    let told = || matches.iter().filter(|found| found.length >= options.length_min);
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(told().count());
    for found in told() {
        reply.array(if options.with_length { 3 } else { 2 });
        for start in [found.first, found.second] {
            reply.array(2);
            reply.count(start);
            reply.count(start + found.length - 1);
        }
        if options.with_length {
            reply.count(found.length);
        }
    }
    reply.bulk(b"len");
    reply.count(length);
}

/// A run of bytes that both have.
struct Match {
    first: usize,
    second: usize,
    length: usize,
}

/// How long the longest common sequence of each two beginnings is.
struct Table {
    cells: Vec<u32>,
    width: usize,
}

impl Table {
    fn of(first: &[u8], second: &[u8]) -> Result<Self, Refusal> {
        let width = second.len() + 1;
        let cells = (first.len() + 1)
            .checked_mul(width)
            .filter(|cells| *cells <= CELLS_MAX)
            .ok_or(Refusal::new(
                "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
            ))?;
        let mut cells = vec![0_u32; cells];
        for (row, byte) in first.iter().enumerate() {
            let (above, below) = cells.split_at_mut((row + 1) * width);
            let above = above.get(row * width..).unwrap_or_default();
            let mut left = 0;
            let columns = second.iter().zip(above.windows(2));
            for ((other, above), cell) in columns.zip(below.iter_mut().skip(1)) {
                left = match above {
                    [diagonal, _] if byte == other => diagonal + 1,
                    [_, above] => left.max(*above),
                    _ => left,
                };
                *cell = left;
            }
        }
        Ok(Self { cells, width })
    }

    fn at(&self, first: usize, second: usize) -> usize {
        let cell = self.cells.get(first * self.width + second);
        cell.map_or(0, |length| *length as usize)
    }

    /// The runs of a longest common sequence, the last first. Of several, that which Redis takes.
    fn matches(&self, first: &[u8], second: &[u8]) -> Vec<Match> {
        let mut matches: Vec<Match> = Vec::new();
        let (mut i, mut j) = (first.len(), second.len());
        while i > 0 && j > 0 {
            if first.get(i - 1) == second.get(j - 1) {
                match matches.last_mut() {
                    Some(run) if run.first == i && run.second == j => {
                        (run.first, run.second) = (i - 1, j - 1);
                        run.length += 1;
                    }
                    _ => matches.push(Match {
                        first: i - 1,
                        second: j - 1,
                        length: 1,
                    }),
                }
                (i, j) = (i - 1, j - 1);
            } else if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        matches
    }
}
