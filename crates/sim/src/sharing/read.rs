//! Reading nodes and pods as the openb traces list them: CSV with a header, plain or packed with gzip.
//!
//! Columns are found by name, in any order; others are passed over. Bad input names line, column and what would mend it.
use super::{Ask, Estate, GpuAsk, MOST_GPUS, Models, Node, Pod, Pods, WHOLE};
use std::fmt;
use std::io::Read as _;

/// What is wrong with a file, where, and what would mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Line, from 1; 0 if it is not about one line.
    pub line: usize,
    /// The column's name; empty if it is not about one.
    pub column: String,
    /// What is wrong.
    pub what: String,
    /// What would mend it.
    pub mend: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column.as_str()) {
            (0, _) => f.write_str(&self.what),
            (line, "") => write!(f, "line {line}: {}", self.what),
            (line, column) => write!(f, "line {line}, column {column}: {}", self.what),
        }
    }
}

impl std::error::Error for Wrong {}

/// Nodes: `sn, cpu_milli, memory_mib, gpu, model`.
pub fn nodes(bytes: &[u8]) -> Result<Estate, Wrong> {
    let text = unpack(bytes)?;
    let mut estate = Estate::default();
    let table = Table::new(&text, &["sn", "cpu_milli", "memory_mib", "gpu", "model"])?;
    for row in table.rows() {
        let row = row?;
        let gpus = row.figure(3)?;
        if gpus as usize > MOST_GPUS {
            return Err(row.wrong(3, format!("{gpus} GPUs"), format!("a node has {MOST_GPUS} GPUs at most")));
        }
        let model = row.cell(4);
        if gpus > 0 && model.is_empty() {
            return Err(row.wrong(4, "no model".to_owned(), "a node with GPUs names their model".to_owned()));
        }
        let known = estate.models.iter().position(|known| known == model);
        let index = known.unwrap_or(estate.models.len());
        if known.is_none() {
            estate.models.push(model.to_owned());
        }
        // Bit 63 stands for models no node has.
        if index > 62 {
            return Err(row.wrong(4, "a 64th model".to_owned(), "a cluster has 63 models at most".to_owned()));
        }
        estate.nodes.push(Node {
            name: row.cell(0).to_owned(),
            cpu_milli: row.figure(1)?,
            memory_mib: row.figure(2)?,
            gpus: gpus as u8,
            model: index as u8,
        });
    }
    if estate.gpu_milli() == 0 {
        return Err(whole(
            "no node has a GPU",
            "is this the list of nodes? its columns are sn,cpu_milli,memory_mib,gpu,model",
        ));
    }
    Ok(estate)
}

/// Pods: `cpu_milli, memory_mib, num_gpu, gpu_milli` and, where some demand a model, `gpu_spec`.
pub fn pods(bytes: &[u8], estate: &Estate) -> Result<Pods, Wrong> {
    let text = unpack(bytes)?;
    let table = Table::new(&text, &["cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec?"])?;
    let mut pods = Vec::new();
    for row in table.rows() {
        let row = row?;
        let (gpus, milli) = (row.figure(2)?, row.figure(3)?);
        let asked = match (gpus, milli) {
            (0, _) => GpuAsk::None,
            (1, 1..1000) => GpuAsk::Share(milli as u16),
            (_, _) if milli == u32::from(WHOLE) && gpus as usize <= MOST_GPUS => GpuAsk::Whole(gpus as u8),
            (_, _) if milli == u32::from(WHOLE) => {
                return Err(row.wrong(2, format!("{gpus} GPUs"), format!("a pod asks {MOST_GPUS} GPUs at most")));
            }
            (1, _) => {
                let mend = "thousandths of each GPU: 1 to 999 for a share, 1000 for a whole one";
                return Err(row.wrong(3, format!("{milli} of a GPU"), mend.to_owned()));
            }
            (_, _) => {
                let mend = "several GPUs are asked whole: gpu_milli 1000";
                return Err(row.wrong(3, format!("{milli} of each of {gpus} GPUs"), mend.to_owned()));
            }
        };
        let models = models(row.cell(4), estate);
        let ask = Ask { cpu_milli: row.figure(0)?, gpus: asked, models };
        pods.push(Pod { ask, memory_mib: row.figure(1)? });
    }
    if pods.is_empty() {
        return Err(whole("no pods", "the file has a header and no line below it"));
    }
    Ok(Pods::new(&pods))
}

/// `G2|T4` as a set; empty is any. A model no node has serves nobody, but is not nothing.
fn models(spec: &str, estate: &Estate) -> Models {
    let mut set = 0;
    for name in spec.split('|').filter(|name| !name.is_empty()) {
        set |= 1 << estate.models.iter().position(|known| known == name).unwrap_or(63);
    }
    if set == 0 { Models::ANY } else { Models(set) }
}

fn whole(what: &str, mend: &str) -> Wrong {
    Wrong { line: 0, column: String::new(), what: what.to_owned(), mend: mend.to_owned() }
}

fn unpack(bytes: &[u8]) -> Result<String, Wrong> {
    let mut unpacked = Vec::new();
    let plain = if bytes.starts_with(&[0x1f, 0x8b]) {
        let damaged = |error| whole(&format!("the gzip data is damaged: {error}"), "fetch the file once more");
        flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut unpacked).map_err(damaged)?;
        &unpacked
    } else {
        bytes
    };
    Ok(String::from_utf8_lossy(plain).into_owned())
}

/// A CSV file whose header has been found good.
struct Table<'a> {
    lines: Vec<&'a str>,
    names: Vec<&'static str>,
    /// For each name, its place in a line; `None` where it may be missing and is.
    places: Vec<Option<usize>>,
    width: usize,
}

impl<'a> Table<'a> {
    /// Names that end in `?` may be missing.
    fn new(text: &'a str, names: &[&'static str]) -> Result<Table<'a>, Wrong> {
        let lines: Vec<&str> = text.lines().collect();
        let header = lines.first().map_or("", |line| line.trim_start_matches('\u{feff}'));
        let header: Vec<&str> = header.split(',').map(str::trim).collect();
        let mut places = Vec::new();
        for name in names {
            let place = header.iter().position(|found| *found == name.trim_end_matches('?'));
            if place.is_none() && !name.ends_with('?') {
                let wanted: Vec<&str> = names.iter().copied().filter(|name| !name.ends_with('?')).collect();
                return Err(Wrong {
                    line: 1,
                    column: String::new(),
                    what: format!("the header has no column {name}"),
                    mend: format!("the columns needed are {}", wanted.join(",")),
                });
            }
            places.push(place);
        }
        Ok(Table { names: names.to_vec(), places, width: header.len(), lines })
    }

    fn rows(&self) -> impl Iterator<Item = Result<Row<'_>, Wrong>> {
        let filled = self.lines.iter().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty());
        filled.map(|(at, line)| {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            if cells.len() == self.width {
                return Ok(Row { table: self, cells, line: at + 1 });
            }
            let what = format!("{} cells, the header has {}", cells.len(), self.width);
            let mend = "one cell for each column of the header, no commas within".to_owned();
            Err(Wrong { line: at + 1, column: String::new(), what, mend })
        })
    }
}

struct Row<'a> {
    table: &'a Table<'a>,
    cells: Vec<&'a str>,
    line: usize,
}

impl Row<'_> {
    fn cell(&self, name: usize) -> &str {
        self.table.places[name].map_or("", |place| self.cells[place])
    }

    fn figure(&self, name: usize) -> Result<u32, Wrong> {
        let cell = self.cell(name);
        cell.parse().map_err(|_| self.wrong(name, format!("{cell:?}"), "a whole number, 0 or more".to_owned()))
    }

    fn wrong(&self, name: usize, what: String, mend: String) -> Wrong {
        let column = self.table.names[name].trim_end_matches('?').to_owned();
        Wrong { line: self.line, column, what, mend }
    }
}
