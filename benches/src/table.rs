//! Markdown tables of outcomes: the first side is the one the others are compared with.

use crate::suite::{Outcome, highest, median, quartiles, ratios};

/// A table whose columns are as wide as their widest cell, so that it also reads well as text.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new<S: Into<String>>(headings: impl IntoIterator<Item = S>) -> Self {
        Self {
            rows: vec![headings.into_iter().map(Into::into).collect()],
        }
    }

    /// Adds a row, as many cells as there are headings.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table as Markdown.
    pub fn render(&self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &[String]| {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        let mut text = line(&self.rows[0]) + &line(&rule);
        text.extend(self.rows[1..].iter().map(|row| line(row)));
        text
    }
}

/// The cells of one suite, as three tables: throughput, latency, processor time.
pub struct Report {
    unit: &'static str,
    what: Vec<&'static str>,
    cells: Vec<(Vec<String>, Vec<Outcome>)>,
}

impl Report {
    /// A report of `unit`, as in "calls a second", whose cells are told apart by `what`.
    pub fn new(unit: &'static str, what: &[&'static str]) -> Self {
        Self {
            unit,
            what: what.to_vec(),
            cells: Vec::new(),
        }
    }

    /// Adds a cell: its label, one word for each of `what`, and the outcome of each side.
    pub fn add(&mut self, label: Vec<String>, outcomes: Vec<Outcome>) {
        self.cells.push((label, outcomes));
    }

    /// All tables as Markdown.
    pub fn render(&self) -> String {
        format!("{}\n{}", self.render_speed(), self.render_cpu())
    }

    /// The same, and what the servers alone take: where callers take a large share of what there is, sides that share
    /// the machine with them look more alike than they are.
    pub fn render_with_servers(&self) -> String {
        format!(
            "{}\nProcessor time in µs for each, servers alone; a ratio above 1 means the first side needs less.\n\n{}",
            self.render(),
            self.cpu(|side| side.server_cpu_us_per_call).render()
        )
    }

    /// Throughput and latency, where not all that works can be counted.
    pub fn render_speed(&self) -> String {
        format!(
            "{}\nLatency in µs, p50 / p99, medians of the rounds; a p99 ratio above 1 means the first side is quicker.\n\n{}",
            self.render_throughput(),
            self.latency().render()
        )
    }

    /// Throughput and processor time, where one operation is too short to be clocked.
    pub fn render_without_latency(&self) -> String {
        format!("{}\n{}", self.render_throughput(), self.render_cpu())
    }

    fn render_cpu(&self) -> String {
        format!(
            "Processor time in µs for each, all processes of a side and the callers together; a ratio above 1 means the \
             first side needs less.\n\n{}",
            self.cpu(|side| side.cpu_us_per_call).render()
        )
    }

    fn render_throughput(&self) -> String {
        format!(
            "{}: median of the rounds; ratios: median (lower–upper quartile) of the ratios within a round.\n\n{}",
            self.unit,
            self.throughput().render()
        )
    }

    fn names(&self) -> Vec<&str> {
        self.cells
            .first()
            .map(|(_, sides)| sides.iter().map(|side| side.name.as_str()).collect())
            .unwrap_or_default()
    }

    fn headings(&self, ratio: &str) -> Vec<String> {
        let names = self.names();
        let mut headings: Vec<String> = self.what.iter().map(|word| (*word).to_owned()).collect();
        headings.extend(names.iter().map(|name| (*name).to_owned()));
        headings.extend(names.iter().skip(1).map(|rival| format!("{ratio}{rival}")));
        headings
    }

    fn throughput(&self) -> Table {
        let several = self.names().len() > 2;
        let mut headings = self.headings("÷ ");
        headings.extend(several.then(|| "÷ the best of a round".to_owned()));
        let mut table = Table::new(headings);
        for (label, sides) in &self.cells {
            let mut row = label.clone();
            row.extend(sides.iter().map(|side| thousands(median(&side.throughput))));
            let rivals: Vec<&[f64]> = sides
                .iter()
                .skip(1)
                .map(|side| side.throughput.as_slice())
                .collect();
            row.extend(
                rivals
                    .iter()
                    .map(|rival| spread(&ratios(&sides[0].throughput, rival))),
            );
            row.extend(several.then(|| spread(&ratios(&sides[0].throughput, &highest(&rivals)))));
            table.row(row);
        }
        table
    }

    fn latency(&self) -> Table {
        let mut table = Table::new(self.headings("p99 against "));
        for (label, sides) in &self.cells {
            let mut row = label.clone();
            row.extend(
                sides
                    .iter()
                    .map(|s| format!("{:.0} / {:.0}", median(&s.p50_us), median(&s.p99_us))),
            );
            row.extend(
                sides
                    .iter()
                    .skip(1)
                    .map(|rival| spread(&ratios(&rival.p99_us, &sides[0].p99_us))),
            );
            table.row(row);
        }
        table
    }

    fn cpu(&self, us_per_call: impl Fn(&Outcome) -> f64) -> Table {
        let mut table = Table::new(self.headings("against "));
        for (label, sides) in &self.cells {
            let mut row = label.clone();
            row.extend(sides.iter().map(|side| micros(us_per_call(side))));
            let ours = us_per_call(&sides[0]);
            let ratio = |rival: &Outcome| format!("{:.2}×", us_per_call(rival) / ours);
            row.extend(sides.iter().skip(1).map(ratio));
            table.row(row);
        }
        table
    }
}

/// `12.3k`, or `45` below a thousand.
pub fn thousands(value: f64) -> String {
    if value < 1e3 {
        format!("{value:.0}")
    } else {
        format!("{:.1}k", value / 1e3)
    }
}

/// `12.3`, or `0.45` below one.
fn micros(value: f64) -> String {
    let decimals = if value < 1.0 { 2 } else { 1 };
    format!("{value:.decimals$}")
}

/// `median× (lower–upper quartile)`.
pub fn spread(values: &[f64]) -> String {
    let (lower, upper) = quartiles(values);
    format!("{:.2}× ({lower:.2}–{upper:.2})", median(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(name: &str, throughput: &[f64]) -> Outcome {
        Outcome {
            name: name.into(),
            throughput: throughput.into(),
            p50_us: vec![10.0; throughput.len()],
            p99_us: vec![20.0; throughput.len()],
            cpu_us_per_call: 5.0,
            server_cpu_us_per_call: 2.0,
        }
    }

    #[test]
    fn what_the_servers_take_is_told_apart() {
        let mut report = Report::new("Calls a second", &["payload"]);
        let rival = Outcome {
            server_cpu_us_per_call: 3.0,
            ..side("a", &[1.0])
        };
        report.add(vec!["16 B".into()], vec![side("us", &[1.0]), rival]);
        let text = report.render_with_servers();
        let last = text.lines().last().unwrap().split('|').map(str::trim);
        assert_eq!(last.collect::<Vec<_>>()[1..5], ["16 B", "2.0", "3.0", "1.50×"]);
    }

    #[test]
    fn the_first_side_is_compared_with_each_and_with_the_best() {
        let mut report = Report::new("Calls a second", &["payload"]);
        let sides = vec![
            side("us", &[4000.0, 200.0]),
            side("a", &[2000.0, 50.0]),
            side("b", &[1000.0, 100.0]),
        ];
        report.add(vec!["16 B".into()], sides);
        let text = report.throughput().render();
        let cells: Vec<&str> = text.lines().nth(2).unwrap().split('|').map(str::trim).collect();
        assert_eq!(
            cells[1..8],
            [
                "16 B",
                "2.1k",
                "1.0k",
                "550",
                "3.00× (2.00–4.00)",
                "3.00× (2.00–4.00)",
                "2.00× (2.00–2.00)"
            ]
        );
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["a", "long"]);
        table.row(vec!["wide×".into(), "b".into()]);
        assert_eq!(
            table.render(),
            "| a     | long |\n| ----- | ---- |\n| wide× | b    |\n"
        );
    }
}
