//! Plain tables: columns wide enough, two spaces between, no lines.

use comfy_table::{ContentArrangement, Table, presets};

use super::render;

/// A table with these headings.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    table
}

/// The table as lines without trailing blanks.
pub(crate) fn lines(table: &mut Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// The table as lines, and below each row what there is to say of it: dim, in `width` columns.
pub(crate) fn with_remarks(table: &mut Table, remarks: impl IntoIterator<Item = Vec<String>>, width: usize) -> String {
    let rows = lines(table);
    let mut rows = rows.lines();
    let mut text: Vec<String> = rows.next().map(str::to_owned).into_iter().collect();
    for (row, remarks) in rows.zip(remarks) {
        text.push(row.to_owned());
        let dim = render::DIM;
        text.extend(remarks.iter().map(|line| format!("{dim}    {}{dim:#}", render::clip(line, width.max(24) - 4))));
    }
    text.join("\n")
}

/// The terminal's width in columns; `None` where what is printed goes elsewhere.
pub(crate) fn width() -> Option<usize> {
    use std::io::IsTerminal;
    let stdout = std::io::stdout();
    let size = stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout).ok()).flatten();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}
