//! Whole tables, a page at a time, for moving a centre from one store to another.

use super::link::Link;
use super::rows::{ALONE, FENCE};
use super::tables::numbered;
use crate::store::rows::{Cell, Kind, Table};
use crate::trouble::Trouble;
use ::postgres::Row;
use ::postgres::types::ToSql;

/// The values of one column of several rows, as an array.
pub(super) type Column = Box<dyn ToSql + Sync>;

/// At most so many rows after the one of this key.
pub(super) fn dump(link: &Link, table: &Table, after: Option<&[Cell]>, rows: u32) -> Result<Vec<Vec<Cell>>, Trouble> {
    let sql = numbered(&table.page(after.is_none()));
    let limit = i64::from(rows);
    let mut values: Vec<&(dyn ToSql + Sync)> = after.unwrap_or_default().iter().map(as_value).collect();
    values.push(&limit);
    let found = link.read("read", |session| session.query(&sql, &values))?;
    let row = |row: &Row| table.columns.iter().enumerate().map(|(at, (_, kind))| cell(row, at, *kind)).collect();
    Ok(found.iter().map(row).collect())
}

/// The statement that writes rows in place of those of the same key, and its values after the epoch.
pub(super) fn load(table: &Table, rows: Vec<Vec<Cell>>) -> (String, Vec<Column>) {
    let array = |at: usize, kind: Kind| match kind {
        Kind::Integers => format!("${at}::bigint[]"),
        Kind::Texts => format!("${at}::text[]"),
        Kind::Bytes => format!("${at}::bytea[]"),
    };
    let arrays: Vec<String> = table.columns.iter().enumerate().map(|(at, (_, kind))| array(at + 2, *kind)).collect();
    let quoted = |(name, _): &(&str, Kind)| format!("\"{name}\"");
    let keys: Vec<String> = table.columns[..table.keys].iter().map(quoted).collect();
    let set: Vec<String> = table.columns.iter().map(quoted).map(|name| format!("{name} = excluded.{name}")).collect();
    let sql = format!(
        "{FENCE}, new AS (INSERT INTO {} ({}) SELECT new.* FROM fence, unnest({}) AS new ON CONFLICT ({}) DO UPDATE \
         SET {}){ALONE}",
        table.name,
        table.names(),
        arrays.join(", "),
        keys.join(", "),
        set.join(", ")
    );
    (sql, columns(table, rows))
}

fn columns(table: &Table, rows: Vec<Vec<Cell>>) -> Vec<Column> {
    let mut columns: Vec<Vec<Cell>> = table.columns.iter().map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        columns.iter_mut().zip(row).for_each(|(column, cell)| column.push(cell));
    }
    columns.into_iter().zip(table.columns).map(|(cells, (_, kind))| column(cells, *kind)).collect()
}

fn column(cells: Vec<Cell>, kind: Kind) -> Column {
    match kind {
        Kind::Integers => {
            let number = |cell| if let Cell::Integer(number) = cell { Some(number) } else { None };
            Box::new(cells.into_iter().map(number).collect::<Vec<Option<i64>>>())
        }
        Kind::Texts => {
            let text = |cell| if let Cell::Text(text) = cell { Some(text) } else { None };
            Box::new(cells.into_iter().map(text).collect::<Vec<Option<String>>>())
        }
        Kind::Bytes => {
            let bytes = |cell| if let Cell::Bytes(bytes) = cell { Some(bytes) } else { None };
            Box::new(cells.into_iter().map(bytes).collect::<Vec<Option<Vec<u8>>>>())
        }
    }
}

fn cell(row: &Row, at: usize, kind: Kind) -> Cell {
    match kind {
        Kind::Integers => row.get::<_, Option<i64>>(at).map_or(Cell::Null, Cell::Integer),
        Kind::Texts => row.get::<_, Option<String>>(at).map_or(Cell::Null, Cell::Text),
        Kind::Bytes => row.get::<_, Option<Vec<u8>>>(at).map_or(Cell::Null, Cell::Bytes),
    }
}

fn as_value(cell: &Cell) -> &(dyn ToSql + Sync) {
    match cell {
        Cell::Null => &None::<i64>,
        Cell::Integer(number) => number,
        Cell::Text(text) => text,
        Cell::Bytes(bytes) => bytes,
    }
}
