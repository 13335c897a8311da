use std::io::Write;

use proptest::prelude::*;
use tapeloom_core::Fingerprint;
use tapeloom_data::{Action, CsvSource, Error, Feature, PipelineConfig, Result, ValidationConfig};

use crate::support::{day, file, pipeline, plain};

const HEADER: &str = "Date,Open,High,Low,Close,Volume\n";

/// Twenty good days, with one line put in the place of a day.
fn days(at: usize, line: &str) -> String {
    let good = |i: usize| format!("{},10,12,9,{},1000", day(i), 10.0 + (i % 3) as f64);
    let line = |i: usize| if i == at { line.to_owned() } else { good(i) };
    HEADER.to_owned() + &(0..20).map(|i| line(i) + "\n").collect::<String>()
}

fn run(text: &str, validation: ValidationConfig) -> Result<tapeloom_data::FeatureFrame> {
    let file = file(text);
    let config = PipelineConfig { validation, ..plain(vec![Feature::LogReturn { bars: 1 }]) };
    pipeline(config, CsvSource::bars(&file.path, "X")).run_blocking()
}

fn refusal(text: &str) -> String {
    run(text, ValidationConfig::default()).expect_err("the input is bad").to_string()
}

#[test]
fn bad_rows_are_named_by_file_row_and_column() {
    let at = |line: &str| refusal(&days(7, line));
    let date = day(7);
    assert_eq!(at(&format!("{date},10,12,9,oops,1000")), "prices.csv row 8, column Close: \"oops\" is no number");
    assert_eq!(
        at("yesterday,10,12,9,10,1"),
        "prices.csv row 8, column Date: \"yesterday\" is no date written as %Y-%m-%d"
    );
    assert_eq!(
        at(&format!("{date},10,12,9,,1000")),
        "prices.csv row 8, column close: nothing is missing (rule missing_close)"
    );
    assert_eq!(
        at(&format!("{date},10,12,9,NaN,1000")),
        "prices.csv row 8, column close: NaN is not a finite number (rule not_finite)"
    );
    assert!(at(&format!("{date},10,12,inf,10,1000")).contains("column low: inf is not a finite number"));
    assert_eq!(
        at(&format!("{date},10,12,-9,10,1000")),
        "prices.csv row 8, column low: -9 is not above 0 (rule not_positive)"
    );
    assert!(at(&format!("{date},10,12,9,10,-1")).contains("column volume: -1 is below 0"));
    assert!(at(&format!("{date},10,9.5,9,10,1")).contains("row 8, column high and low"));
    assert!(at(&format!("{},10,12,9,10,1", day(3))).contains("row 8, column ts"), "earlier than the row before");
    assert!(at(&format!("{},10,12,9,10,1", day(6))).contains("comes twice (rule duplicate)"));
    assert!(at(&format!("{date},10,12")).contains("prices.csv"), "a short row");
}

#[test]
fn bad_files_are_named_with_what_is_there() {
    assert!(refusal("").contains("the file is empty"));
    assert!(refusal(" \n ").contains("the file is empty"));
    assert!(refusal(HEADER).contains("a header and no rows"));
    let error = refusal("Date,Price\n2020-01-01,10\n");
    assert!(error.contains("column Close is missing; there are Date, Price"), "{error}");
    let source = CsvSource::bars("no/such/file.csv", "X");
    let error = pipeline(plain(vec![Feature::Calendar]), source).run_blocking().expect_err("no file");
    assert!(matches!(&error, Error::Io { .. }) && error.to_string().contains("no/such/file.csv"), "{error}");
}

#[test]
fn a_changed_file_is_refused() {
    let file = file(days(99, ""));
    let digest = Fingerprint::of(&std::fs::read(&file.path).expect("there")).to_string();
    let source = || CsvSource::bars(&file.path, "X").sha256(digest.clone());
    assert!(source().read().is_ok());
    std::fs::write(&file.path, days(3, &format!("{},10,12,9,11.5,1000", day(3)))).expect("written");
    let error = source().read().expect_err("changed").to_string();
    assert!(error.contains("the file has changed") && error.contains(&digest), "{error}");
}

#[test]
fn gzip_and_plain_give_the_same_bars() -> Result<()> {
    let text = days(99, "");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).expect("in memory");
    let packed = gzip.finish().expect("in memory");
    let (plain, zipped) = (file(&text), file(&packed));
    let read = |f: &crate::support::File| CsvSource::bars(&f.path, "X").read().map(|(bars, _)| bars);
    assert_eq!(read(&plain)?, read(&zipped)?);
    let torn = file(&packed[..packed.len() / 2]);
    assert!(read(&torn).is_err_and(|e| e.to_string().contains("broken gzip")));
    Ok(())
}

#[test]
fn bad_rows_are_dropped_quarantined_or_counted_as_configured() -> Result<()> {
    let text = days(7, &format!("{},10,12,9,-5,1000", day(7)));
    let with = |action| ValidationConfig { not_positive: action, ohlc_order: action, ..ValidationConfig::default() };
    let dropped = run(&text, with(Action::Drop))?;
    assert_eq!((dropped.report().rows_in, dropped.report().rows_out), (20, 19));
    assert!(dropped.segments()[0].features.iter().all(|x| x.is_finite()));
    let frame = run(&text, with(Action::Quarantine))?;
    let csv = frame.report().quarantine_csv();
    assert!(
        csv.contains(&format!("not_positive,\"prices.csv\",8,\"X\",{}T00:00:00.000000Z,close,\"-5\"", day(7))),
        "{csv}"
    );
    assert_eq!(frame.report().to_string(), "20 rows in, 19 out, not_positive 1, ohlc_order 1");
    Ok(())
}

#[test]
fn an_extreme_return_is_found_when_a_limit_is_set() {
    let text = days(7, &format!("{},10,100,9,90,1000", day(7)));
    let limited = ValidationConfig { max_log_return: Some(0.5), ..ValidationConfig::default() };
    let error = run(&text, limited).expect_err("a jump").to_string();
    assert!(error.contains("row 8, column close: 90 moved more than the limit"), "{error}");
    assert!(run(&text, ValidationConfig::default()).is_ok());
}

#[test]
fn prices_are_adjusted_on_request() -> Result<()> {
    let text = "Date,Close,Adj Close,High\n2020-01-01,10,5,12\n2020-01-02,10,10,12\n2020-01-03,10,10,12\n2020-01-04,10,10,12\n";
    let file = file(text);
    let (bars, _) = CsvSource::bars(&file.path, "X").adjusted().read()?;
    let column = |name: &str| {
        use tapeloom_data::arrow::array::AsArray;
        let column =
            bars.column_by_name(name).expect("there").as_primitive::<tapeloom_data::arrow::datatypes::Float64Type>();
        column.values().to_vec()
    };
    assert_eq!((column("close")[..2].to_vec(), column("high")[..2].to_vec()), (vec![5.0, 10.0], vec![6.0, 12.0]));
    Ok(())
}

#[test]
fn run_blocking_inside_a_runtime_is_an_error_and_run_works_there() {
    let file = file(days(99, ""));
    let pipeline = pipeline(plain(vec![Feature::Calendar]), CsvSource::bars(&file.path, "X"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let error = pipeline.run_blocking().expect_err("inside a runtime");
        assert!(error.to_string().contains("await run()"), "{error}");
        assert!(pipeline.run().await.is_ok());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), header: bool) {
        let text = if header { [HEADER.as_bytes(), &bytes].concat() } else { bytes };
        let file = file(text);
        let _ = CsvSource::bars(&file.path, "X").read();
        let _ = CsvSource::panel(&file.path).read();
    }
}
