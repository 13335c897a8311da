use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tapeloom_core::Fingerprint;
use tapeloom_data::arrow::array::AsArray;
use tapeloom_data::arrow::datatypes::{Float64Type, TimestampMicrosecondType};
use tapeloom_data::{Column, CsvSource};

use crate::support::{DAY, Outcome, Sheet};

const TWO_DAYS: &str =
    "Date,Open,High,Low,Close,Adj Close,Volume\n1970-01-02,1,4,0.5,2,1,7\n1970-01-03,2,3,2,3,1.5,8\n";

fn complaint(source: &CsvSource) -> String {
    source.read().err().map(|e| e.to_string()).unwrap_or_default()
}

fn closes(source: &CsvSource) -> Outcome<Vec<f64>> {
    Ok(source.read()?.0.column_by_name("close").expect("close").as_primitive::<Float64Type>().values().to_vec())
}

fn times(source: &CsvSource) -> Outcome<Vec<i64>> {
    Ok(source.read()?.0.column_by_name("ts").expect("ts").as_primitive::<TimestampMicrosecondType>().values().to_vec())
}

#[test]
fn plain_and_gzip_files_hold_the_same_bars() -> Outcome {
    let plain = Sheet::new("x.csv", TWO_DAYS)?;
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(TWO_DAYS.as_bytes())?;
    // The name does not decide: the first bytes do.
    let packed = Sheet::new("x.csv", packed.finish()?)?;
    assert_eq!(plain.bars().read()?.0, packed.bars().read()?.0);
    assert_eq!(times(&plain.bars())?, [DAY, 2 * DAY]);
    Ok(())
}

#[test]
fn a_gzip_file_cut_short_is_refused() -> Outcome {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(TWO_DAYS.as_bytes())?;
    let mut bytes = packed.finish()?;
    bytes.truncate(bytes.len() - 9);
    assert!(complaint(&Sheet::new("x.csv.gz", bytes)?.bars()).contains("broken gzip"));
    Ok(())
}

#[test]
fn adjusting_scales_every_price_and_leaves_volume() -> Outcome {
    let sheet = Sheet::new("x.csv", TWO_DAYS)?;
    let (bars, _) = sheet.bars().adjusted().read()?;
    let first = |name: &str| bars.column_by_name(name).expect("column").as_primitive::<Float64Type>().value(0);
    assert_eq!(["open", "high", "low", "close", "volume"].map(first), [0.5, 2.0, 0.25, 1.0, 7.0]);
    Ok(())
}

#[test]
fn columns_can_be_mapped_and_a_mapped_column_must_be_there() -> Outcome {
    let sheet = Sheet::new("x.csv", "day,last,turnover\n1970-01-02,5,9\n")?;
    let source = sheet.bars().column(Column::Date, "day").column(Column::Close, "last");
    assert_eq!(closes(&source)?, [5.0]);
    let error = complaint(&source.column(Column::Volume, "size"));
    assert!(error.contains("size") && error.contains("day, last, turnover"), "{error}");
    Ok(())
}

#[test]
fn a_panel_takes_its_first_column_for_the_date_and_skips_empty_cells() -> Outcome {
    let sheet = Sheet::new("panel.csv", ",SPY,spy,TLT\n1970-01-02,1,,3\n1970-01-03,2,8,\n")?;
    let (bars, _) = CsvSource::panel(sheet.path()).read()?;
    let symbols = bars.column_by_name("symbol").expect("symbol").as_string::<i32>();
    let pairs: Vec<(&str, f64)> = symbols.iter().flatten().zip(closes(&CsvSource::panel(sheet.path()))?).collect();
    assert_eq!(pairs, [("SPY", 1.0), ("SPY", 2.0), ("spy", 8.0), ("TLT", 3.0)]);
    Ok(())
}

#[test]
fn a_panel_with_a_nameless_or_repeated_symbol_is_refused() -> Outcome {
    let error = complaint(&CsvSource::panel(Sheet::new("p.csv", "Date,A,A\n1970-01-02,1,2\n")?.path()));
    assert!(error.contains("column A comes twice"), "{error}");
    let error = complaint(&CsvSource::panel(Sheet::new("p.csv", "Date,A,\n1970-01-02,1,2\n")?.path()));
    assert!(error.contains("column 3 has no name"), "{error}");
    Ok(())
}

#[test]
fn a_changed_file_is_refused_naming_both_digests() -> Outcome {
    let sheet = Sheet::new("x.csv", TWO_DAYS)?;
    let (is, other) = (Fingerprint::of(TWO_DAYS.as_bytes()).to_string(), Fingerprint::of(b"").to_string());
    assert!(sheet.bars().sha256(is.to_uppercase()).read().is_ok());
    let error = complaint(&sheet.bars().sha256(&other));
    assert!(error.contains(&is) && error.contains(&other), "{error}");
    assert!(complaint(&sheet.bars().sha256("abc")).contains("64 hex digits"));
    Ok(())
}

#[test]
fn times_of_day_and_offsets_are_kept() -> Outcome {
    let sheet = Sheet::new("x.csv", "Date,Close\n1970-01-02 09:30:00,1\n1970-01-02 09:31:00,2\n")?;
    let minute = 60_000_000;
    let start = DAY + 570 * minute;
    assert_eq!(times(&sheet.bars().date_format("%Y-%m-%d %H:%M:%S"))?, [start, start + minute]);
    let sheet = Sheet::new("x.csv", "Date,Close\n1970-01-02 09:30 -0500,1\n")?;
    assert_eq!(times(&sheet.bars().date_format("%Y-%m-%d %H:%M %z"))?, [start + 300 * minute]);
    let sheet = Sheet::new("x.csv", "Date,Close\n1970-01-02T09:30:00+02:00,1\n")?;
    assert_eq!(times(&sheet.bars())?, [start - 120 * minute]);
    let sheet = Sheet::new("x.csv", "Date,Close\n1/2/1970,1\n")?;
    assert_eq!(times(&sheet.bars().date_format("%m/%d/%Y"))?, [DAY]);
    Ok(())
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_no_harm() -> Outcome {
    let sheet = Sheet::new("x.csv", "\u{feff}Date,Close\r\n1970-01-02,5\r\n")?;
    assert_eq!(closes(&sheet.bars())?, [5.0]);
    Ok(())
}

#[test]
fn bad_input_is_named_by_file_row_and_column() -> Outcome {
    let says = |text: &str, words: &[&str]| -> Outcome {
        let error = complaint(&Sheet::new("bad.csv", text)?.bars());
        assert!(words.iter().all(|word| error.contains(word)), "{error:?} does not say {words:?}");
        Ok(())
    };
    says("Date,Close\n1970-01-02,1\n1970-01-03,1x\n", &["bad.csv row 2, column Close: \"1x\""])?;
    says("Date,Close\n1970-01-02,1\n1970-02-30,1\n", &["bad.csv row 2, column Date: \"1970-02-30\"", "%Y-%m-%d"])?;
    says("Date,Close\n,1\n", &["bad.csv row 1, column Date"])?;
    says("Date,Open\n1970-01-02,1\n", &["column Close is missing", "Date, Open"])?;
    says("Close\n1\n", &["column Date is missing"])?;
    says("Date,Close\n1970-01-02,1,9\n", &["bad.csv", "line 2"])?;
    says("", &["bad.csv", "empty"])?;
    says("  \n\n", &["bad.csv", "empty"])?;
    says("Date,Close\n", &["bad.csv", "no rows"])?;
    let error = complaint(&CsvSource::bars("/nowhere/at/all.csv", "X"));
    assert!(error.contains("/nowhere/at/all.csv"), "{error}");
    Ok(())
}
