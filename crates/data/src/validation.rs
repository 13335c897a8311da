use std::fmt;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Float64Type, TimestampMicrosecondType, UInt64Type};
use datafusion::prelude::{DataFrame, SessionContext};
use serde::{Deserialize, Serialize};
use tapeloom_core::Timestamp;

use crate::bars::VALUES;
use crate::error::Asked;
use crate::{Error, Result};

/// What happens to a row that breaks a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The run ends with an error that names the first such row.
    #[default]
    Fail,
    /// The row is left out.
    Drop,
    /// The row is left out and handed back with rule, file and row.
    Quarantine,
    /// The row stays and is counted.
    Warn,
}

/// One action for each rule; all of them fail by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValidationConfig {
    /// `close` must be there.
    pub missing_close: Action,
    /// Prices and volume are numbers, not NaN or infinite.
    pub not_finite: Action,
    /// Prices are above 0.
    pub not_positive: Action,
    /// Volume is 0 or more.
    pub negative_volume: Action,
    /// `high` is the highest and `low` the lowest of the four prices.
    pub ohlc_order: Action,
    /// A symbol's rows come in order of time.
    pub unsorted: Action,
    /// A symbol has one row for a time.
    pub duplicate: Action,
    /// The absolute log return from the row before is at most `max_log_return`.
    pub extreme_return: Action,
    /// Limit of `extreme_return`; absent turns the rule off. 0.5 is a move of 65 % up or 39 % down.
    pub max_log_return: Option<f64>,
}

/// A rule: its name, its column, what is wrong with a row that breaks it, and the condition that is true then.
struct Rule {
    name: &'static str,
    action: Action,
    problem: &'static str,
    broken: String,
}

/// A row that broke a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offence {
    /// The rule.
    pub rule: String,
    /// The file, or the name of the batch.
    pub file: String,
    /// Data row, from 1.
    pub row: u64,
    /// The symbol.
    pub symbol: String,
    /// Time of the bar.
    pub time: Timestamp,
    /// The column that broke the rule.
    pub column: String,
    /// What stands there.
    pub value: String,
    /// What became of the row.
    pub action: Action,
}

/// What validation saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ValidationReport {
    /// Rows that came in.
    pub rows_in: u64,
    /// Rows that went on.
    pub rows_out: u64,
    /// Every row that broke a rule, by file and row.
    pub offences: Vec<Offence>,
}

impl ValidationReport {
    /// How many rows broke the rule.
    #[must_use]
    pub fn count(&self, rule: &str) -> usize {
        self.offences.iter().filter(|o| o.rule == rule).count()
    }

    /// Quarantined rows as CSV with a header.
    #[must_use]
    pub fn quarantine_csv(&self) -> String {
        let mut text = String::from("rule,file,row,symbol,time,column,value\n");
        for o in self.offences.iter().filter(|o| o.action == Action::Quarantine) {
            let quoted = |s: &str| format!("\"{}\"", s.replace('"', "\"\""));
            let (file, symbol, value) = (quoted(&o.file), quoted(&o.symbol), quoted(&o.value));
            text += &format!("{},{file},{},{symbol},{},{},{value}\n", o.rule, o.row, o.time, o.column);
        }
        text
    }
}

impl fmt::Display for ValidationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows in, {} out", self.rows_in, self.rows_out)?;
        let mut names: Vec<&str> = self.offences.iter().map(|o| o.rule.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.iter().try_for_each(|name| write!(f, ", {name} {}", self.count(name)))
    }
}

impl ValidationConfig {
    fn rules(&self) -> Vec<Rule> {
        let any = |condition: &dyn Fn(&str) -> String, columns: &[&str]| {
            columns.iter().map(|c| format!("coalesce({}, false)", condition(c))).collect::<Vec<_>>().join(" OR ")
        };
        let prices = &VALUES[..4];
        let rule = |name, action, problem, broken| Rule { name, action, problem, broken };
        let by_time = "OVER (PARTITION BY symbol ORDER BY _file, _row)";
        let mut rules = vec![
            rule("missing_close", self.missing_close, "is missing", "close IS NULL".into()),
            rule(
                "not_finite",
                self.not_finite,
                "is not a finite number",
                any(&|c| format!("isnan({c}) OR abs({c}) > 1.7976931348623157e308"), &VALUES),
            ),
            rule("not_positive", self.not_positive, "is not above 0", any(&|c| format!("{c} <= 0"), prices)),
            rule("negative_volume", self.negative_volume, "is below 0", any(&|c| format!("{c} < 0"), &["volume"])),
            rule(
                "ohlc_order",
                self.ohlc_order,
                "is not the highest and lowest of the four prices",
                format!(
                    "{} OR {}",
                    any(&|c| format!("high < {c}"), &["open", "low", "close"]),
                    any(&|c| format!("low > {c}"), &["open", "close"]),
                ),
            ),
            rule(
                "unsorted",
                self.unsorted,
                "is earlier than the row before",
                format!("coalesce(ts < lag(ts) {by_time}, false)"),
            ),
            rule(
                "duplicate",
                self.duplicate,
                "comes twice",
                "row_number() OVER (PARTITION BY symbol, ts ORDER BY _file, _row) > 1".into(),
            ),
        ];
        if let Some(limit) = self.max_log_return {
            let jump = format!("coalesce(abs(ln(close / lag(close) {by_time})) > {limit:?}, false)");
            rules.push(rule("extreme_return", self.extreme_return, "moved more than the limit", jump));
        }
        rules
    }

    /// Checks the table `raw` of bars in one scan and returns the rows that may go on, in order of symbol and time.
    pub(crate) async fn apply(&self, context: &SessionContext) -> Result<(DataFrame, ValidationReport)> {
        let rules = self.rules();
        let flags = rules.iter().map(|r| format!("({}) AS \"{}\"", r.broken, r.name)).collect::<Vec<_>>().join(", ");
        let query = format!("SELECT *, {flags} FROM raw");
        let flagged = context.sql(&query).await.asked("plan validation")?.cache().await.asked("validate bars")?;
        let rows_in = flagged.clone().count().await.asked("count bars")? as u64;
        context.register_table("flagged", flagged.into_view()).asked("register bars")?;
        let names = |kept: &dyn Fn(&Rule) -> bool| {
            rules.iter().filter(|r| kept(r)).map(|r| format!("\"{}\"", r.name)).collect::<Vec<_>>().join(" OR ")
        };
        let query = format!("SELECT * FROM flagged WHERE {} ORDER BY _file, _row", names(&|_| true));
        let broken =
            context.sql(&query).await.asked("plan validation")?.collect().await.asked("collect broken rows")?;
        let mut report = ValidationReport { rows_in, ..ValidationReport::default() };
        for batch in &broken {
            for rule in &rules {
                collect(batch, rule, &mut report.offences)?;
            }
        }
        report.offences.sort_by(|a, b| (&a.file, a.row).cmp(&(&b.file, b.row)));
        if let Some(first) = report.offences.iter().find(|o| o.action == Action::Fail) {
            let problem = rules.iter().find(|r| r.name == first.rule).map_or("", |r| r.problem);
            let problem = format!("{problem} (rule {})", first.rule);
            let Offence { file, row, column, value, .. } = first.clone();
            return Err(Error::BadRow { file, row, column, value, problem });
        }
        let left_out = names(&|r| matches!(r.action, Action::Drop | Action::Quarantine));
        let columns = ["symbol", "ts"].iter().chain(&VALUES).copied().collect::<Vec<_>>().join(", ");
        let keep = if left_out.is_empty() { String::new() } else { format!("WHERE NOT ({left_out})") };
        let query = format!("SELECT {columns} FROM flagged {keep} ORDER BY symbol, ts");
        let kept = context.sql(&query).await.asked("plan validation")?.cache().await.asked("keep valid bars")?;
        report.rows_out = kept.clone().count().await.asked("count bars")? as u64;
        Ok((kept, report))
    }
}

/// Notes the rows of a batch that broke a rule.
fn collect(batch: &RecordBatch, rule: &Rule, offences: &mut Vec<Offence>) -> Result<()> {
    let missing = || Error::invalid("validation column", rule.name, "the query must return every column of a bar");
    let column = |name: &str| batch.column_by_name(name).ok_or_else(missing);
    let flags = column(rule.name)?.as_boolean();
    let (symbols, files) = (column("symbol")?, column("_file")?);
    let (times, rows) =
        (column("ts")?.as_primitive::<TimestampMicrosecondType>(), column("_row")?.as_primitive::<UInt64Type>());
    for at in (0..batch.num_rows()).filter(|at| flags.is_valid(*at) && flags.value(*at)) {
        let time = Timestamp::from_micros(times.value(at));
        let (column, value) = blame(batch, rule.name, at, time);
        offences.push(Offence {
            rule: rule.name.into(),
            file: text(files, at),
            row: rows.value(at),
            symbol: text(symbols, at),
            time,
            column,
            value,
            action: rule.action,
        });
    }
    Ok(())
}

/// The column that broke a rule and what stands there.
fn blame(batch: &RecordBatch, rule: &str, at: usize, time: Timestamp) -> (String, String) {
    let number = |name: &str| {
        let column = batch.column_by_name(name)?.as_primitive::<Float64Type>();
        column.is_valid(at).then(|| column.value(at))
    };
    let first = |columns: &[&str], bad: fn(f64) -> bool| {
        let found =
            columns.iter().find_map(|c| number(c).filter(|x| bad(*x)).map(|x| ((*c).to_owned(), x.to_string())));
        found.unwrap_or_else(|| ("close".into(), "nothing".into()))
    };
    match rule {
        "not_finite" => first(&VALUES, |x| !x.is_finite()),
        "not_positive" => first(&VALUES[..4], |x| x <= 0.0),
        "negative_volume" => first(&["volume"], |x| x < 0.0),
        "ohlc_order" => {
            ("high and low".into(), format!("{:?}, {:?}", number("high"), number("low")).replace("Some", ""))
        }
        "unsorted" | "duplicate" => ("ts".into(), time.to_string()),
        "extreme_return" => ("close".into(), number("close").map_or_else(String::new, |x| x.to_string())),
        _ => ("close".into(), "nothing".into()),
    }
}

/// A cell of text, whichever of Arrow's string layouts the engine chose.
pub(crate) fn text(column: &dyn Array, at: usize) -> String {
    match column.as_string_view_opt() {
        Some(view) => view.value(at).to_owned(),
        None => column.as_string::<i32>().value(at).to_owned(),
    }
}
