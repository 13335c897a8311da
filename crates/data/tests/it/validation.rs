use tapeloom_core::RunId;
use tapeloom_data::{Action, CsvSource, Feature, FeatureFrame, Pipeline, ValidationConfig};

use crate::support::{Outcome, Sheet, config};

/// Nine good days and one row that takes the place of day 6 (row 5).
fn with_row(row: &str) -> String {
    let day = |d: u32| format!("1970-01-{d:02},{d},{},{},{d},100\n", d + 1, d - 1);
    let rows = (2..=10).map(|d| if d == 6 { format!("{row}\n") } else { day(d) });
    format!("Date,Open,High,Low,Close,Volume\n{}", rows.collect::<String>())
}

fn run(text: &str, validation: ValidationConfig) -> Result<FeatureFrame, Box<dyn std::error::Error>> {
    let sheet = Sheet::new("days.csv", text)?;
    let mut config = config(vec![Feature::LogReturn { bars: 1 }], 1);
    config.validation = validation;
    Ok(Pipeline::new(config)?.csv(sheet.bars()).run_blocking()?)
}

fn complaint(text: &str, validation: ValidationConfig) -> String {
    run(text, validation).err().map(|e| e.to_string()).unwrap_or_default()
}

/// Rule, the row that breaks it, and the column and value to be named.
const BROKEN: [(&str, &str, &str); 9] = [
    ("missing_close", "1970-01-06,6,7,5,,100", "column close: nothing"),
    ("not_finite", "1970-01-06,6,inf,5,6,100", "column high: inf"),
    ("not_finite", "1970-01-06,6,7,5,6,NaN", "column volume: NaN"),
    ("not_positive", "1970-01-06,6,7,0,6,100", "column low: 0"),
    ("negative_volume", "1970-01-06,6,7,5,6,-1", "column volume: -1"),
    ("ohlc_order", "1970-01-06,6,5.5,5,6,100", "column high and low: 5.5 and 5"),
    ("ohlc_order", "1970-01-06,6,7,6.5,7,100", "column high and low: 7 and 6.5"),
    ("unsorted", "1970-01-04,6,7,5,6,100", "column ts: 1970-01-04"),
    ("duplicate", "1970-01-05,6,7,5,6,100", "column ts: 1970-01-05"),
];

fn acting(rule: &str, action: Action) -> ValidationConfig {
    let mut config = ValidationConfig::default();
    match rule {
        "missing_close" => config.missing_close = action,
        "not_finite" => config.not_finite = action,
        "not_positive" => config.not_positive = action,
        "negative_volume" => config.negative_volume = action,
        "ohlc_order" => config.ohlc_order = action,
        "unsorted" => config.unsorted = action,
        "duplicate" => config.duplicate = action,
        "extreme_return" => (config.extreme_return, config.max_log_return) = (action, Some(1.0)),
        other => panic!("no rule {other}"),
    }
    config
}

#[test]
fn each_rule_fails_by_default_and_names_file_row_column_and_value() {
    for (rule, row, place) in BROKEN {
        let error = complaint(&with_row(row), ValidationConfig::default());
        for word in ["days.csv row 5", place, rule] {
            assert!(error.contains(word), "{rule}: {error:?} does not say {word}");
        }
    }
    assert_eq!(complaint(&with_row("1970-01-06,6,7,5,6,100"), ValidationConfig::default()), "");
}

#[test]
fn each_rule_can_leave_its_row_out() -> Outcome {
    for (rule, row, _) in BROKEN {
        // An unsorted row that stands on another's day is a duplicate too.
        let mut config = acting(rule, Action::Drop);
        config.duplicate = Action::Drop;
        let report = run(&with_row(row), config)?.report().clone();
        assert_eq!((report.rows_in, report.rows_out, report.count(rule)), (9, 8, 1), "{rule}");
    }
    Ok(())
}

#[test]
fn a_move_beyond_the_limit_is_extreme_only_when_a_limit_is_given() -> Outcome {
    let text = with_row("1970-01-06,60,70,50,60,100");
    assert_eq!(run(&text, ValidationConfig::default())?.report().rows_out, 9);
    let error = complaint(&text, acting("extreme_return", Action::Fail));
    assert!(error.contains("row 5, column close: 60") && error.contains("extreme_return"), "{error}");
    Ok(())
}

#[test]
fn a_row_that_was_dropped_does_not_make_its_neighbour_extreme_or_twin() -> Outcome {
    let mut config = acting("not_finite", Action::Drop);
    config.max_log_return = Some(1.0);
    assert_eq!(run(&with_row("1970-01-06,6,7,5,NaN,100"), config.clone())?.report().rows_out, 8);
    // Of two rows for one day the first is broken: the second is no duplicate.
    assert_eq!(run(&with_row("1970-01-07,7,8,6,NaN,100"), config)?.report().rows_out, 8);
    Ok(())
}

#[test]
fn every_late_row_is_unsorted_not_only_the_first() -> Outcome {
    let text = "Date,Close\n1970-01-02,1\n1970-01-07,1\n1970-01-03,1\n1970-01-04,1\n1970-01-08,1\n";
    let report = run(text, acting("unsorted", Action::Warn))?.report().clone();
    assert_eq!((report.rows_out, report.count("unsorted")), (5, 2));
    Ok(())
}

#[test]
fn files_that_follow_each_other_are_sorted_whatever_their_names() -> Outcome {
    let (first, second) = ("Date,Close\n1970-01-02,1\n1970-01-03,2\n", "Date,Close\n1970-01-04,3\n1970-01-05,4\n");
    let new = || Pipeline::new(config(vec![Feature::LogReturn { bars: 1 }], 1));
    let (z, a) = (Sheet::new("z.csv", first)?, Sheet::new("a.csv", second)?);
    assert_eq!(new()?.csv(z.bars()).csv(a.bars()).run_blocking()?.rows(), 3);
    // And when both have one name.
    let a = Sheet::new("z.csv", second)?;
    assert_eq!(new()?.csv(z.bars()).csv(a.bars()).run_blocking()?.rows(), 3);
    let error = new()?.csv(a.bars()).csv(z.bars()).run_blocking().err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("unsorted"), "{error}");
    Ok(())
}

#[test]
fn quarantine_writes_the_rows_beside_rule_file_and_run() -> Outcome {
    let frame = run(&with_row("1970-01-06,6,5.5,5,6,100"), acting("ohlc_order", Action::Quarantine))?;
    let folder = tempfile::tempdir()?;
    let name: RunId = "run-7".parse()?;
    let path = frame.report().write_quarantine(folder.path(), &name)?.expect("one row");
    assert_eq!(path, folder.path().join("run-7.csv"));
    let want = "rule,file,row,symbol,time,column,value,open,high,low,close,volume\n\
                ohlc_order,\"days.csv\",5,\"X\",1970-01-06T00:00:00.000000Z,high and low,\"5.5 and 5\",6,5.5,5,6,100\n";
    assert_eq!(std::fs::read_to_string(path)?, want);
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 1, "no temporary file stays");
    Ok(())
}

#[test]
fn nothing_is_written_when_nothing_is_quarantined() -> Outcome {
    let folder = tempfile::tempdir()?;
    let frame = run(&with_row("1970-01-06,6,5.5,5,6,100"), acting("ohlc_order", Action::Drop))?;
    assert_eq!(frame.report().write_quarantine(folder.path(), &"r".parse()?)?, None);
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);
    Ok(())
}

#[test]
fn the_report_reads_as_a_small_table() -> Outcome {
    let frame = run(&with_row("1970-01-06,6,5.5,5,6,100"), acting("ohlc_order", Action::Drop))?;
    let want = "9 rows in, 8 out\n       1  ohlc_order       drop        first: days.csv row 5, high and low 5.5 and 5";
    assert_eq!(format!("{:#}", frame.report()), want);
    assert_eq!(frame.report().to_string(), "9 rows in, 8 out, ohlc_order 1");
    let json = serde_json::to_string(frame.report())?;
    assert_eq!(&serde_json::from_str::<tapeloom_data::ValidationReport>(&json)?, frame.report());
    Ok(())
}

#[test]
fn settings_that_can_not_work_are_refused() {
    let error = complaint(&with_row("1970-01-06,6,7,5,6,100"), acting("duplicate", Action::Warn));
    assert!(error.contains("duplicate"), "{error}");
    for limit in [0.0, -1.0, f64::NAN] {
        let config = ValidationConfig { max_log_return: Some(limit), ..ValidationConfig::default() };
        assert!(complaint(&with_row("1970-01-06,6,7,5,6,100"), config).contains("max_log_return"));
    }
}

#[test]
fn a_misspelt_rule_in_a_config_is_refused() {
    let error = serde_json::from_str::<ValidationConfig>("{\"not_finit\": \"drop\"}").expect_err("misspelt");
    assert!(error.to_string().contains("not_finit"), "{error}");
}

#[test]
fn a_panel_names_the_row_of_its_file() -> Outcome {
    let sheet = Sheet::new("panel.csv", "Date,A,B\n1970-01-02,1,1\n1970-01-03,1,-4\n")?;
    let pipeline = Pipeline::new(config(vec![Feature::LogReturn { bars: 1 }], 1))?.csv(CsvSource::panel(sheet.path()));
    let error = pipeline.run_blocking().expect_err("a price below 0").to_string();
    assert!(error.contains("panel.csv row 2, column close: -4"), "{error}");
    Ok(())
}
