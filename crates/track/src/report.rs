use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use tapeloom_core::Timestamp;

use crate::{Error, Result};

mod chart;
mod draw;
mod numbers;
mod page;
mod scale;

/// A page about a run for people: plain words first, then tables and plots.
///
/// The page is one HTML file without scripts and without anything from elsewhere; its plots are inline SVG. It follows the
/// reader's light or dark mode and prints in light. Blocks appear in the order of the calls. All text is escaped.
/// Points that are not finite are skipped, and what is too dense to be seen is thinned: lines keep the lowest and highest
/// point of each stretch, scatters keep at most 1500 points and say so.
///
/// ```
/// use tapeloom_core::Timestamp;
/// use tapeloom_track::{Axis, Report, Series, Verdict};
/// let day = |n: i64| Timestamp::from_micros(n * 86_400_000_000);
/// let equity = (17_000..17_365).map(|n| (day(n), (n - 17_000) as f64 * 1e-4));
/// let html = Report::new("LSTM on daily bars")
///     .verdict(Verdict::Caution, "No edge found: the forecast does not beat the last price.")
///     .table("Test period", ["measure", "model", "last price"], [["RMSE", "1.02%", "1.01%"]])
///     .lines("Return since the start", Axis::date(""), Axis::percent("return"), [Series::dated("model", equity)])
///     .render();
/// assert!(html.contains("No edge found"));
/// ```
#[derive(Clone, Debug)]
pub struct Report {
    title: String,
    blocks: Vec<Block>,
}

/// What a [`Report`] makes of the run at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds up.
    Good,
    /// Said without judgement.
    Neutral,
    /// Not enough to rely on.
    Caution,
    /// It went wrong.
    Bad,
}

/// One axis of a plot: what it shows and how its numbers are written.
#[derive(Clone, Debug)]
pub struct Axis {
    label: String,
    scale: Scale,
}

/// Points under one name, joined in the order given.
#[derive(Clone, Debug)]
pub struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

/// The line to judge a scatter by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guide {
    /// None.
    None,
    /// y = x, where a perfect forecast would lie.
    Identity,
    /// The least-squares line through all points, with its slope and the correlation in the legend.
    Regression,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    Number,
    Percent,
    Date,
}

#[derive(Clone, Debug)]
enum Block {
    Lead(String),
    Verdict(Verdict, String),
    Section(String),
    Table { caption: String, headers: Vec<String>, rows: Vec<Vec<String>> },
    Figure { title: String, x: Axis, y: Axis, marks: Marks },
    Notes(Vec<String>),
}

#[derive(Clone, Debug)]
enum Marks {
    Lines(Vec<Series>),
    Area(Series),
    Scatter(Vec<(f64, f64)>, Guide),
    Bars(Vec<(String, f64)>),
    Histogram(Vec<f64>),
}

impl Report {
    /// An empty page under this title.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), blocks: vec![] }
    }

    /// A paragraph.
    #[must_use]
    pub fn lead(self, text: impl Into<String>) -> Self {
        self.add(Block::Lead(text.into()))
    }

    /// A banner that says plainly what came out.
    #[must_use]
    pub fn verdict(self, verdict: Verdict, text: impl Into<String>) -> Self {
        self.add(Block::Verdict(verdict, text.into()))
    }

    /// A heading over what follows.
    #[must_use]
    pub fn section(self, heading: impl Into<String>) -> Self {
        self.add(Block::Section(heading.into()))
    }

    /// A table. Columns of numbers are set flush right; a short row ends in empty cells.
    #[must_use]
    pub fn table<H, R, C>(self, caption: impl Into<String>, headers: H, rows: R) -> Self
    where
        H: IntoIterator<Item: Into<String>>,
        R: IntoIterator<Item = C>,
        C: IntoIterator<Item: Into<String>>,
    {
        let headers = headers.into_iter().map(Into::into).collect();
        let rows = rows.into_iter().map(|row| row.into_iter().map(Into::into).collect()).collect();
        self.add(Block::Table { caption: caption.into(), headers, rows })
    }

    /// Lines over numbers or dates, one colour each. Six colours can be told apart, by colour-blind readers too.
    #[must_use]
    pub fn lines(self, title: impl Into<String>, x: Axis, y: Axis, series: impl IntoIterator<Item = Series>) -> Self {
        self.figure(title, x, y, Marks::Lines(series.into_iter().collect()))
    }

    /// One line, filled to zero: drawdowns, exposures.
    #[must_use]
    pub fn area(self, title: impl Into<String>, x: Axis, y: Axis, series: Series) -> Self {
        self.figure(title, x, y, Marks::Area(series))
    }

    /// Points, with a line to judge them by.
    #[must_use]
    pub fn scatter(
        self,
        title: impl Into<String>,
        x: Axis,
        y: Axis,
        points: impl IntoIterator<Item = (f64, f64)>,
        guide: Guide,
    ) -> Self {
        self.figure(title, x, y, Marks::Scatter(points.into_iter().collect(), guide))
    }

    /// One horizontal bar per name, from zero, top to bottom.
    #[must_use]
    pub fn bars<N: Into<String>>(
        self,
        title: impl Into<String>,
        value: Axis,
        bars: impl IntoIterator<Item = (N, f64)>,
    ) -> Self {
        let bars = bars.into_iter().map(|(name, value)| (name.into(), value)).collect();
        self.figure(title, value, Axis::number(""), Marks::Bars(bars))
    }

    /// How often values fall where, in up to 60 bins of equal width.
    #[must_use]
    pub fn histogram(self, title: impl Into<String>, value: Axis, values: impl IntoIterator<Item = f64>) -> Self {
        self.figure(title, value, Axis::number("count"), Marks::Histogram(values.into_iter().collect()))
    }

    /// What a reader should keep in mind, as a list in small print.
    #[must_use]
    pub fn notes(self, notes: impl IntoIterator<Item: Into<String>>) -> Self {
        self.add(Block::Notes(notes.into_iter().map(Into::into).collect()))
    }

    /// The page.
    #[must_use]
    pub fn render(&self) -> String {
        page::render(self)
    }

    /// Writes the page to `path`, whole or not at all: a reader never sees half of it.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder does not exist or the disk refuses.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        let written = File::create(&temporary)
            .and_then(|mut file| file.write_all(self.render().as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, path))
            .map_err(|e| Error::io("write", path, e));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn figure(self, title: impl Into<String>, x: Axis, y: Axis, marks: Marks) -> Self {
        self.add(Block::Figure { title: title.into(), x, y, marks })
    }

    fn add(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }
}

impl Axis {
    /// Plain numbers.
    pub fn number(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Number }
    }

    /// Fractions, written as percents: 0.05 as 5%.
    pub fn percent(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Percent }
    }

    /// Moments in UTC, for [`Series::dated`].
    pub fn date(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Date }
    }
}

impl Series {
    /// Points of x and y.
    pub fn new(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { name: name.into(), points: points.into_iter().collect() }
    }

    /// Values over time, for an [`Axis::date`].
    pub fn dated(name: impl Into<String>, points: impl IntoIterator<Item = (Timestamp, f64)>) -> Self {
        Self::new(name, points.into_iter().map(|(at, value)| (at.micros() as f64, value)))
    }
}
