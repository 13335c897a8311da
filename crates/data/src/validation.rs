use std::fmt;
use std::path::PathBuf;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Float64Type, TimestampMicrosecondType, UInt64Type};
use datafusion::prelude::{DataFrame, SessionContext};
use serde::{Deserialize, Serialize};
use tapeloom_core::{BlobStore, FsStore, RunId, Timestamp};

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
///
/// The first five rules look at single rows, in one scan; the other three compare rows with each other, and only those that
/// the first five left.
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
    /// No row of a symbol is older than one that came before it, in the order of sources and rows.
    pub unsorted: Action,
    /// A symbol has one row for a time; the first is the one that may stay. Can't be [`Action::Warn`].
    pub duplicate: Action,
    /// The absolute log return from the bar before is at most `max_log_return`.
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
    /// Open, high, low, close and volume as read; empty where there was nothing.
    pub bar: [String; 5],
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
    /// Every row that broke a rule, once for each rule: first the rules for single rows, then those that compare; each in
    /// order of sources and rows.
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
        let mut text = format!("rule,file,row,symbol,time,column,value,{}\n", VALUES.join(","));
        for o in self.offences.iter().filter(|o| o.action == Action::Quarantine) {
            let quoted = |s: &str| format!("\"{}\"", s.replace('"', "\"\""));
            let (file, symbol, value) = (quoted(&o.file), quoted(&o.symbol), quoted(&o.value));
            let (rule, row, time, column, bar) = (&o.rule, o.row, o.time, &o.column, o.bar.join(","));
            text += &format!("{rule},{file},{row},{symbol},{time},{column},{value},{bar}\n");
        }
        text
    }

    /// Writes [`ValidationReport::quarantine_csv`] to `{run}.csv` in `folder`, whole or not at all, and says where; nothing
    /// is written when no row was quarantined.
    ///
    /// # Errors
    /// [`Error::Core`] when the file can't be written.
    pub fn write_quarantine(&self, folder: impl Into<PathBuf>, run: &RunId) -> Result<Option<PathBuf>> {
        if self.offences.iter().all(|o| o.action != Action::Quarantine) {
            return Ok(None);
        }
        let (store, name) = (FsStore::open(folder)?, format!("{run}.csv"));
        store.put(&name, self.quarantine_csv().as_bytes())?;
        Ok(Some(store.path(&name)?))
    }
}

/// One line; `{:#}` adds a line for each rule with the first row that broke it.
impl fmt::Display for ValidationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows in, {} out", self.rows_in, self.rows_out)?;
        let mut names: Vec<&str> = self.offences.iter().map(|o| o.rule.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        if !f.alternate() {
            return names.iter().try_for_each(|name| write!(f, ", {name} {}", self.count(name)));
        }
        let firsts = names.iter().filter_map(|name| self.offences.iter().find(|o| o.rule == **name));
        firsts.into_iter().try_for_each(|o| {
            let (rule, action, count) = (&o.rule, o.action.name(), self.count(&o.rule));
            write!(
                f,
                "\n{count:>8}  {rule:<15}  {action:<10}  first: {} row {}, {} {}",
                o.file, o.row, o.column, o.value
            )
        })
    }
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Drop => "drop",
            Self::Quarantine => "quarantine",
            Self::Warn => "warn",
        }
    }

    const fn leaves_out(self) -> bool {
        matches!(self, Self::Drop | Self::Quarantine)
    }
}

impl ValidationConfig {
    pub(crate) fn validate(&self) -> Result<()> {
        if self.duplicate == Action::Warn {
            return Err(Error::invalid(
                "duplicate",
                "warn",
                "two rows at one time have no order: fail, drop or quarantine",
            ));
        }
        match self.max_log_return {
            Some(limit) if !(limit > 0.0 && limit.is_finite()) => {
                Err(Error::invalid("max_log_return", limit, "give a number above 0, or leave it out"))
            }
            _ => Ok(()),
        }
    }

    /// Rules that a row keeps or breaks alone.
    fn row_rules(&self) -> Vec<Rule> {
        let any = |condition: &dyn Fn(&str) -> String, columns: &[&str]| {
            columns.iter().map(|c| format!("coalesce({}, false)", condition(c))).collect::<Vec<_>>().join(" OR ")
        };
        let prices = &VALUES[..4];
        // In the engine's order NaN is above every number; it has a rule of its own.
        let order = format!(
            "coalesce(NOT isnan(high), false) AND ({}) OR coalesce(NOT isnan(low), false) AND ({})",
            any(&|c| format!("high < {c} AND NOT isnan({c})"), &["open", "low", "close"]),
            any(&|c| format!("low > {c} AND NOT isnan({c})"), &["open", "close"]),
        );
        let infinite = any(&|c| format!("isnan({c}) OR abs({c}) > 1.7976931348623157e308"), &VALUES);
        vec![
            Rule::new("missing_close", self.missing_close, "is missing", "close IS NULL".into()),
            Rule::new("not_finite", self.not_finite, "is not a finite number", infinite),
            Rule::new("not_positive", self.not_positive, "is not above 0", any(&|c| format!("{c} <= 0"), prices)),
            Rule::new("negative_volume", self.negative_volume, "is below 0", any(&|c| format!("{c} < 0"), &["volume"])),
            Rule::new("ohlc_order", self.ohlc_order, "is not the highest and lowest of the four prices", order),
        ]
    }

    /// Rules that compare a row with others.
    fn order_rules(&self) -> Vec<Rule> {
        let before =
            "max(ts) OVER (PARTITION BY symbol ORDER BY _part, _row ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)";
        let twin = "row_number() OVER (PARTITION BY symbol, ts ORDER BY _part, _row) > 1";
        let mut rules = vec![
            Rule::new(
                "unsorted",
                self.unsorted,
                "is earlier than the row before",
                format!("coalesce(ts < {before}, false)"),
            ),
            Rule::new("duplicate", self.duplicate, "comes twice", twin.into()),
        ];
        if let Some(limit) = self.max_log_return {
            let last = "lag(close) OVER (PARTITION BY symbol ORDER BY ts, _part, _row)";
            let jump = format!("coalesce(abs(ln(close / {last})) > {limit:?}, false)");
            rules.push(Rule::new("extreme_return", self.extreme_return, "moved more than the limit", jump));
        }
        rules
    }

    /// Checks the table `raw` of bars and returns the rows that may go on, in order of symbol and time.
    pub(crate) async fn apply(&self, context: &SessionContext) -> Result<(DataFrame, ValidationReport)> {
        let rows = context.table("raw").await.asked("count bars")?.count().await.asked("count bars")? as u64;
        let mut report = ValidationReport { rows_in: rows, ..ValidationReport::default() };
        screen(context, "raw", "screened", &self.row_rules(), &mut report.offences).await?;
        screen(context, "screened", "valid", &self.order_rules(), &mut report.offences).await?;
        let query = format!("SELECT symbol, ts, {} FROM valid ORDER BY symbol, ts", VALUES.join(", "));
        let kept = context.sql(&query).await.asked("plan validation")?.cache().await.asked("keep valid bars")?;
        report.rows_out = kept.clone().count().await.asked("count bars")? as u64;
        Ok((kept, report))
    }
}

impl Rule {
    const fn new(name: &'static str, action: Action, problem: &'static str, broken: String) -> Self {
        Self { name, action, problem, broken }
    }
}

/// Checks table `from` by all rules in one scan and makes what they leave the table `to`.
async fn screen(
    context: &SessionContext,
    from: &str,
    to: &str,
    rules: &[Rule],
    offences: &mut Vec<Offence>,
) -> Result<()> {
    let query = |query: String| async move { context.sql(&query).await.asked("plan validation") };
    let flags: Vec<String> = rules.iter().map(|r| format!("({}) AS {}", r.broken, r.name)).collect();
    let flagged = query(format!("SELECT *, {} FROM {from}", flags.join(", "))).await?;
    let flagged = flagged.cache().await.asked("validate bars")?;
    let table = format!("{from}_flagged");
    context.register_table(&table, flagged.into_view()).asked("register bars")?;
    let any = |kept: &dyn Fn(&Rule) -> bool| {
        rules.iter().filter(|r| kept(r)).map(|r| r.name).collect::<Vec<_>>().join(" OR ")
    };
    let broken = query(format!("SELECT * FROM {table} WHERE {} ORDER BY _part, _row", any(&|_| true))).await?;
    let seen = offences.len();
    for batch in &broken.collect().await.asked("collect broken rows")? {
        for row in 0..batch.num_rows() {
            rules.iter().try_for_each(|rule| note(batch, rule, row, offences))?;
        }
    }
    if let Some(first) = offences[seen..].iter().find(|o| o.action == Action::Fail) {
        let problem = rules.iter().find(|r| r.name == first.rule).map_or("", |r| r.problem);
        let problem = format!("{problem} (rule {})", first.rule);
        let Offence { file, row, column, value, .. } = first.clone();
        return Err(Error::BadRow { file, row, column, value, problem });
    }
    let left_out = any(&|r| r.action.leaves_out());
    let keep = if left_out.is_empty() { String::new() } else { format!(" WHERE NOT ({left_out})") };
    let columns =
        ["symbol", "ts", "_file", "_row", "_part"].iter().chain(&VALUES).copied().collect::<Vec<_>>().join(", ");
    let kept = query(format!("SELECT {columns} FROM {table}{keep}")).await?;
    context.register_table(to, kept.into_view()).asked("register bars")?;
    Ok(())
}

/// Notes a row if it broke the rule.
fn note(batch: &RecordBatch, rule: &Rule, at: usize, offences: &mut Vec<Offence>) -> Result<()> {
    let missing = || Error::invalid("validation column", rule.name, "the query must return every column of a bar");
    let column = |name: &str| batch.column_by_name(name).ok_or_else(missing);
    let broken = column(rule.name)?.as_boolean();
    if broken.is_null(at) || !broken.value(at) {
        return Ok(());
    }
    let mut bar = [None; 5];
    for (value, name) in bar.iter_mut().zip(VALUES) {
        let values = column(name)?.as_primitive::<Float64Type>();
        *value = values.is_valid(at).then(|| values.value(at));
    }
    let time = Timestamp::from_micros(column("ts")?.as_primitive::<TimestampMicrosecondType>().value(at));
    let (column_name, value) = blame(rule.name, &bar, time);
    offences.push(Offence {
        rule: rule.name.into(),
        file: text(column("_file")?, at),
        row: column("_row")?.as_primitive::<UInt64Type>().value(at),
        symbol: text(column("symbol")?, at),
        time,
        column: column_name.into(),
        value,
        bar: bar.map(|value| value.map(|x| x.to_string()).unwrap_or_default()),
        action: rule.action,
    });
    Ok(())
}

/// The column that broke a rule and what stands there.
fn blame(rule: &str, bar: &[Option<f64>; 5], time: Timestamp) -> (&'static str, String) {
    let first = |bad: &dyn Fn(usize, f64) -> bool| {
        let found =
            bar.iter().enumerate().find_map(|(i, x)| x.filter(|x| bad(i, *x)).map(|x| (VALUES[i], x.to_string())));
        found.unwrap_or_else(|| ("close", "nothing".into()))
    };
    match rule {
        "not_finite" => first(&|_, x| !x.is_finite()),
        "not_positive" => first(&|i, x| i < 4 && x <= 0.0),
        "negative_volume" => first(&|i, x| i == 4 && x < 0.0),
        "ohlc_order" => {
            let text = |x: Option<f64>| x.map_or_else(|| "nothing".into(), |x| x.to_string());
            ("high and low", format!("{} and {}", text(bar[1]), text(bar[2])))
        }
        "unsorted" | "duplicate" => ("ts", time.to_string()),
        _ => first(&|i, _| i == 3),
    }
}

/// A cell of text, whichever of Arrow's string layouts the engine chose.
pub(crate) fn text(column: &dyn Array, at: usize) -> String {
    match column.as_string_view_opt() {
        Some(view) => view.value(at).to_owned(),
        None => column.as_string::<i32>().value(at).to_owned(),
    }
}
