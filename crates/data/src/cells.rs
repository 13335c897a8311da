use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::csv::ReaderBuilder;
use datafusion::arrow::csv::reader::Format;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::error::ArrowError;
use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

/// A CSV file as cells of text, every one of which can be named in an error.
#[derive(Debug)]
pub(crate) struct Cells<'a> {
    path: &'a Path,
    table: RecordBatch,
}

impl<'a> Cells<'a> {
    /// Parses the bytes of a file, plain or gzip.
    pub(crate) fn parse(path: &'a Path, stored: Vec<u8>) -> Result<Self> {
        let text = unpack(path, stored)?;
        // Spreadsheets put a byte order mark in front of the first header.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        if text.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::bad_file(path, "the file is empty"));
        }
        let broken = |e: ArrowError| Error::bad_file(path, e.to_string());
        let (header, _) =
            Format::default().with_header(true).infer_schema(Cursor::new(text), Some(0)).map_err(broken)?;
        let fields: Vec<Field> =
            header.fields().iter().map(|f| Field::new(f.name().trim(), DataType::Utf8, true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let reader = ReaderBuilder::new(schema.clone()).with_header(true).build(Cursor::new(text)).map_err(broken)?;
        let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().map_err(broken)?;
        let table = concat_batches(&schema, &batches).map_err(broken)?;
        if table.num_rows() == 0 {
            return Err(Error::bad_file(path, "the file has a header and no rows"));
        }
        Ok(Self { path, table })
    }

    pub(crate) fn rows(&self) -> usize {
        self.table.num_rows()
    }

    pub(crate) fn headers(&self) -> Vec<&str> {
        self.table.schema_ref().fields().iter().map(|f| f.name().as_str()).collect()
    }

    /// The column with this header, as written or else whatever its case.
    pub(crate) fn find(&self, header: &str) -> Result<Option<usize>> {
        let headers = self.headers();
        let exact = headers.iter().position(|h| *h == header);
        let at = exact.or_else(|| headers.iter().position(|h| h.eq_ignore_ascii_case(header)));
        at.map_or(Ok(None), |at| self.check_single(at).map(|()| Some(at)))
    }

    /// As [`Cells::find`], where the file can't be read without it.
    pub(crate) fn require(&self, header: &str) -> Result<usize> {
        self.find(header)?.ok_or_else(|| {
            let there = self.headers().join(", ");
            Error::bad_file(self.path, format!("column {header} is missing; there are {there}"))
        })
    }

    /// Refuses a header that has no name or comes twice.
    pub(crate) fn check_single(&self, at: usize) -> Result<()> {
        let headers = self.headers();
        match headers[at] {
            "" => Err(Error::bad_file(self.path, format!("column {} has no name", at + 1))),
            name if headers.iter().filter(|h| **h == name).count() > 1 => {
                Err(Error::bad_file(self.path, format!("column {name} comes twice")))
            }
            _ => Ok(()),
        }
    }

    /// What stands in a cell, trimmed; empty where nothing does.
    pub(crate) fn text(&self, row: usize, column: usize) -> &str {
        let cells = self.table.column(column).as_string::<i32>();
        if cells.is_null(row) { "" } else { cells.value(row).trim() }
    }

    /// The number in a cell, if there is one.
    pub(crate) fn number(&self, row: usize, column: usize) -> Result<Option<f64>> {
        match self.text(row, column) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| self.bad(row, column, "is no number")),
        }
    }

    /// The complaint about a cell.
    pub(crate) fn bad(&self, row: usize, column: usize, problem: impl Into<String>) -> Error {
        let text: String = self.text(row, column).chars().take(40).collect();
        let column = match self.headers()[column] {
            "" => format!("number {}", column + 1),
            name => name.to_owned(),
        };
        let (file, row) = (name(self.path), row as u64 + 1);
        Error::BadRow { file, row, column, value: format!("{text:?}"), problem: problem.into() }
    }
}

/// How errors and reports call a file.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The first bytes say whether a file is gzip; its name does not matter.
fn unpack(path: &Path, stored: Vec<u8>) -> Result<Vec<u8>> {
    if !stored.starts_with(&[0x1f, 0x8b]) {
        return Ok(stored);
    }
    let mut text = Vec::new();
    match MultiGzDecoder::new(&stored[..]).read_to_end(&mut text) {
        Ok(_) => Ok(text),
        Err(e) => Err(Error::bad_file(path, format!("broken gzip: {e}"))),
    }
}
