//! A table as a value. Whatever is shown in rows and columns is made once, and written for a terminal and as Markdown here,
//! and by the macro `table` of the page.

use std::fmt::Display;

use serde::Serialize;

use super::words::{percent, range, sign};
use crate::evaluation::AgainstBaseline;

/// Rows of cells under named columns. A line break in a text is one in a terminal, where room is scarce, and nowhere else.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ShownTable {
    /// What stands above it, and what follows that in softer type; both may be empty.
    pub title: String,
    pub note: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<TableCell>>,
}

/// A column of a table.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    pub name: String,
    /// Words are aligned to the left, numbers to the right.
    pub left: bool,
    /// A terminal does without it.
    pub detail: bool,
}

/// A column, and what it shows of an entry.
pub type ColumnOf<'a, T> = (Column, &'a dyn Fn(&T) -> TableCell);

/// What stands at one place.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TableCell {
    pub text: String,
    /// "+" or "−" where there is evidence that it differs from the baseline.
    pub sign: &'static str,
    /// The interval, where there is one.
    pub range: String,
    /// It stands out.
    pub strong: bool,
    /// The class of an arm's colour, which a dot in front shows.
    pub dot: &'static str,
}

impl Column {
    /// Of words.
    pub fn left(name: impl Into<String>) -> Column {
        Column { name: name.into(), left: true, detail: false }
    }

    /// Of numbers.
    pub fn right(name: impl Into<String>) -> Column {
        Column { left: false, ..Column::left(name) }
    }

    /// The same where a terminal does without it.
    pub fn detail(self) -> Column {
        Column { detail: true, ..self }
    }
}

impl<T: Display> From<T> for TableCell {
    fn from(value: T) -> TableCell {
        TableCell { text: value.to_string(), ..TableCell::default() }
    }
}

impl TableCell {
    /// A share of right answers with its interval, and whether it differs from the baseline.
    pub(super) fn share(accuracy: f64, low: f64, high: f64, pair: Option<AgainstBaseline>) -> TableCell {
        let (text, range) = (percent(accuracy), range(low, high));
        TableCell { text, sign: sign(pair), range, strong: true, dot: "" }
    }

    /// Nothing where there is nothing.
    pub(super) fn optional(value: Option<impl Display>) -> TableCell {
        value.map_or(TableCell::default(), TableCell::from)
    }

    /// A dash where there is nothing.
    pub(super) fn or_dash(value: Option<impl Into<TableCell>>) -> TableCell {
        value.map_or("—".into(), Into::into)
    }

    pub(super) fn with_dot(self, dot: &'static str) -> TableCell {
        TableCell { dot, ..self }
    }
}

impl ShownTable {
    /// A row for each entry.
    pub fn with_columns<T>(entries: &[T], columns: &[ColumnOf<T>]) -> ShownTable {
        let row = |entry: &T| columns.iter().map(|(_, shows)| shows(entry)).collect();
        ShownTable {
            columns: columns.iter().map(|(column, _)| column.clone()).collect(),
            rows: entries.iter().map(row).collect(),
            ..ShownTable::default()
        }
    }

    /// Names and values, without those that have none.
    pub(super) fn facts(rows: impl IntoIterator<Item = (String, String)>) -> ShownTable {
        let there = rows.into_iter().filter(|(_, value)| !value.is_empty());
        let rows = there.map(|(name, value)| vec![name.into(), value.into()]).collect();
        ShownTable { columns: vec![Column::left("what"), Column::left("value")], rows, ..ShownTable::default() }
    }

    pub(super) fn titled(self, title: impl Into<String>, note: impl Into<String>) -> ShownTable {
        ShownTable { title: title.into(), note: note.into(), ..self }
    }

    /// As Markdown.
    pub(super) fn markdown(&self) -> String {
        let cell = |cell: &TableCell| match cell.range.as_str() {
            "" => escaped(&cell.text) + cell.sign,
            range => format!("{}{} ({range})", escaped(&cell.text), cell.sign),
        };
        let names = self.columns.iter().map(|column| escaped(&column.name)).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(cell).collect());
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        [names, vec!["---".to_owned(); self.columns.len()]].into_iter().chain(rows).map(line).collect()
    }

    /// For a terminal, with a line between rows. `styled` adds bold type; without it the text is plain.
    #[cfg(feature = "cli")]
    pub fn terminal(&self, styled: bool) -> String {
        self.text(comfy_table::presets::UTF8_HORIZONTAL_ONLY, 1, styled)
    }

    /// The same in plain rows, one beneath the other.
    #[cfg(feature = "cli")]
    pub fn compact(&self) -> String {
        self.text(comfy_table::presets::NOTHING, 2, false)
    }

    #[cfg(feature = "cli")]
    fn text(&self, style: comfy_table::TableStyle, padding: u16, styled: bool) -> String {
        use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table};
        let heading = |text: &str| {
            let cell = Cell::new(text);
            if styled { cell.add_attribute(Attribute::Bold) } else { cell }
        };
        let shown: Vec<usize> = (0..self.columns.len()).filter(|at| !self.columns[*at].detail).collect();
        let mut table = Table::new();
        table.load_style(style).set_content_arrangement(ContentArrangement::Disabled);
        if styled {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        if self.columns.iter().any(|column| !column.name.is_empty()) {
            table.set_header(shown.iter().map(|at| heading(&self.columns[*at].name)));
        }
        for row in &self.rows {
            table.add_row(shown.iter().map(|at| match (*at, &row[*at]) {
                (0, first) => heading(&first.text),
                (_, TableCell { text, range, .. }) if range.is_empty() => Cell::new(text),
                // A space that is not trimmed keeps numbers with and without a sign in one column.
                (_, TableCell { text, range, sign: "", .. }) => Cell::new(format!("{text}\u{a0}\n{range}\u{a0}")),
                (_, TableCell { text, range, sign, .. }) => Cell::new(format!("{text}{sign}\n{range}\u{a0}")),
            }));
        }
        for (column, at) in table.column_iter_mut().zip(shown) {
            column.set_padding((0, padding));
            if !self.columns[at].left {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.trim_fmt()
    }
}

/// Text that neither ends a cell nor a row.
pub(super) fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// A label broken at its middle space, so that a column is as narrow as it can be.
pub(super) fn two_lines(label: &str) -> String {
    let middle = label.match_indices(' ').map(|(index, _)| index);
    match middle.min_by_key(|index| index.abs_diff(label.len() / 2)) {
        Some(index) => format!("{}\n{}", &label[..index], &label[index + 1..]),
        None => label.to_owned(),
    }
}
