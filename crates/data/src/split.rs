use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tapeloom_core::{MatrixWindows, Scaler, Segment, Timestamp, WindowSource};

use crate::frame::FeatureFrame;
use crate::{Error, Result};

/// How time is cut into training, validation and test, for all symbols at once and always in this order.
///
/// Purge: a sample whose target looks into a later block is dropped. Embargo: the first `embargo_bars` moments of a
/// validation or test block are dropped too, for what echoes across the border. The inputs of a window may reach back over
/// a border, since a forecaster at that moment knew them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    kind: Kind,
    /// Newest moments of training that are used; absent means all.
    train_bars: Option<usize>,
    embargo_bars: usize,
    /// Data from here on takes no part.
    until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Kind {
    Dates { train_until: Timestamp, valid_until: Timestamp, test_until: Timestamp },
    WalkForward { folds: usize, valid_bars: usize, test_bars: usize },
}

/// Training, validation and test samples of one fold. Features are scaled by what training rows alone gave.
#[derive(Clone, Debug)]
pub struct Fold {
    /// For the optimizer.
    pub train: MatrixWindows,
    /// For early stopping and choices.
    pub valid: MatrixWindows,
    /// For the verdict.
    pub test: MatrixWindows,
}

/// Half-open spans of time.
#[derive(Clone, Copy, Debug)]
struct Borders {
    train_from: Timestamp,
    train_to: Timestamp,
    valid_from: Timestamp,
    valid_to: Timestamp,
    test_from: Timestamp,
    test_to: Timestamp,
    /// No target of the test looks at this moment or beyond.
    end: Timestamp,
}

impl Split {
    /// One fold: training before `train_until`, validation before `valid_until`, test before `test_until`.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless the three are in order.
    pub fn by_date(train_until: Timestamp, valid_until: Timestamp, test_until: Timestamp) -> Result<Self> {
        Self::new(Kind::Dates { train_until, valid_until, test_until })
    }

    /// `folds` folds whose test blocks of `test_bars` moments follow each other up to the end of the data; each is tested on
    /// a model trained on all that came before, but for the `valid_bars` moments in front of the test.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a count of 0.
    pub fn walk_forward(folds: usize, valid_bars: usize, test_bars: usize) -> Result<Self> {
        Self::new(Kind::WalkForward { folds, valid_bars, test_bars })
    }

    fn new(kind: Kind) -> Result<Self> {
        Self { kind, train_bars: None, embargo_bars: 0, until: None }.checked()
    }

    /// Lets training blocks roll: only the newest `bars` moments are used, or all where there are fewer.
    #[must_use]
    pub const fn rolling(mut self, bars: usize) -> Self {
        self.train_bars = Some(bars);
        self
    }

    /// Moments dropped at the start of each validation and test block.
    #[must_use]
    pub const fn embargo(mut self, bars: usize) -> Self {
        self.embargo_bars = bars;
        self
    }

    /// Leaves out all data from `until` on, such as the time after most symbols end; no target looks at it either.
    #[must_use]
    pub const fn until(mut self, until: Timestamp) -> Self {
        self.until = Some(until);
        self
    }

    /// Cuts a frame by a split that has one fold.
    ///
    /// # Errors
    /// As [`Split::folds`]; [`Error::Invalid`] when the split has several.
    pub fn fold(&self, frame: &FeatureFrame) -> Result<Fold> {
        match &self.kind {
            Kind::WalkForward { folds, .. } if *folds != 1 => {
                Err(Error::invalid("folds", folds, "call folds() for a split that has several"))
            }
            _ => self.folds(frame).map(|mut folds| folds.swap_remove(0)),
        }
    }

    /// Cuts a frame. Folds come in order of time.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a block holds no samples, naming fold and block; [`Error::Overlap`] never, or the purge is
    /// broken.
    pub fn folds(&self, frame: &FeatureFrame) -> Result<Vec<Fold>> {
        let mut times = frame.times();
        times.retain(|time| self.until.is_none_or(|until| *time < until));
        let borders = self.borders(&times)?;
        borders.iter().enumerate().map(|(i, borders)| cut(frame, borders, i)).collect()
    }

    /// Refuses what no constructor lets through, for a split can come out of a file.
    fn checked(self) -> Result<Self> {
        match &self.kind {
            Kind::Dates { train_until, valid_until, test_until } => {
                if train_until >= valid_until || valid_until >= test_until {
                    let value = format!("{train_until}, {valid_until}, {test_until}");
                    return Err(Error::invalid("split dates", value, "give them in order of time"));
                }
            }
            Kind::WalkForward { folds, valid_bars, test_bars } => {
                for (field, value) in [("folds", folds), ("valid_bars", valid_bars), ("test_bars", test_bars)] {
                    if *value == 0 {
                        return Err(Error::invalid(field, value, "give at least 1"));
                    }
                }
            }
        }
        if self.train_bars == Some(0) {
            return Err(Error::invalid("rolling", 0, "give at least 1 moment to train on"));
        }
        Ok(self)
    }

    fn borders(&self, times: &[Timestamp]) -> Result<Vec<Borders>> {
        self.clone().checked()?;
        let end = self.until.unwrap_or(Timestamp::from_micros(i64::MAX));
        let moment = |at: usize| times.get(at).copied().unwrap_or(end);
        let position = |border: Timestamp| times.partition_point(|t| *t < border);
        let block = |train_to: Timestamp, valid_to: Timestamp, test_to: Timestamp| {
            let (train, valid) = (position(train_to), position(valid_to));
            let oldest = self.train_bars.map_or(0, |bars| train.saturating_sub(bars));
            Borders {
                train_from: moment(oldest),
                train_to: train_to.min(end),
                valid_from: moment(train.saturating_add(self.embargo_bars)),
                valid_to: valid_to.min(end),
                test_from: moment(valid.saturating_add(self.embargo_bars)),
                test_to: test_to.min(end),
                end,
            }
        };
        match &self.kind {
            Kind::Dates { train_until, valid_until, test_until } => {
                Ok(vec![block(*train_until, *valid_until, *test_until)])
            }
            Kind::WalkForward { folds, valid_bars, test_bars } => {
                let needed = folds.saturating_mul(*test_bars).saturating_add(*valid_bars).saturating_add(1);
                if times.len() < needed {
                    let remedy = format!("these blocks need {needed} moments, the data has {}", times.len());
                    return Err(Error::invalid("folds", folds, remedy));
                }
                let fold = |number: usize| {
                    let test = times.len() - (folds - number) * test_bars;
                    block(moment(test - valid_bars), moment(test), moment(test + test_bars))
                };
                Ok((0..*folds).map(fold).collect())
            }
        }
    }
}

fn cut(frame: &FeatureFrame, borders: &Borders, number: usize) -> Result<Fold> {
    let scaler = fit_scaler(frame, borders.train_from, borders.train_to)?;
    let mut segments = frame.segments().to_vec();
    for segment in &mut segments {
        scaler.apply(&mut segment.features)?;
    }
    let segments: Arc<[Segment]> = segments.into();
    let mut spec = frame.spec().clone();
    spec.scaler = Some(scaler);
    let block = |name: &str, from: Timestamp, to: Timestamp, horizon: Timestamp| {
        let index = samples(&segments, spec.steps, from, to, horizon);
        if index.is_empty() {
            let place = format!("fold {number} {name}");
            return Err(Error::invalid(place, "0 samples", "move the borders, or shorten window and embargo"));
        }
        Ok(MatrixWindows::new(spec.clone(), frame.symbols().to_vec(), segments.clone(), index)?)
    };
    let fold = Fold {
        train: block("train", borders.train_from, borders.train_to, borders.train_to)?,
        valid: block("valid", borders.valid_from, borders.valid_to, borders.valid_to)?,
        test: block("test", borders.test_from, borders.test_to, borders.end)?,
    };
    check_no_overlap(&fold.train, &fold.valid, &fold.test)?;
    Ok(fold)
}

/// Windows whose forecast lies in `[from, to)` and whose target ends before `horizon`.
fn samples(segments: &[Segment], steps: usize, from: Timestamp, to: Timestamp, horizon: Timestamp) -> Vec<(u32, u32)> {
    let rows = |(number, segment): (u32, &Segment)| {
        let good = |row: &usize| {
            let (time, end) = (segment.times[*row], segment.target_ends[*row]);
            segment.targets[*row].is_finite() && from <= time && time < to && end < horizon
        };
        let rows: Vec<(u32, u32)> =
            (steps - 1..segment.times.len()).filter(good).map(|row| (number, row as u32)).collect();
        rows
    };
    (0..).zip(segments).flat_map(rows).collect()
}

/// Mean and standard deviation of each feature over the rows in `[from, to)`, summed in double precision.
fn fit_scaler(frame: &FeatureFrame, from: Timestamp, to: Timestamp) -> Result<Scaler> {
    let width = frame.spec().features.len();
    let rows = || {
        frame.segments().iter().flat_map(|segment| {
            let span = segment.times.partition_point(|t| *t < from)..segment.times.partition_point(|t| *t < to);
            span.map(|row| (segment.times[row], &segment.features[row * width..(row + 1) * width]))
        })
    };
    let count = rows().count();
    let Some((fitted_from, fitted_to)) = rows().map(|(t, _)| t).min().zip(rows().map(|(t, _)| t).max()) else {
        return Err(Error::invalid("train", "0 rows", "move the border of training to a later date"));
    };
    let average = |f: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
        let mut sums = vec![0.0; width];
        for (_, row) in rows() {
            sums.iter_mut().enumerate().for_each(|(i, sum)| *sum += f(i, f64::from(row[i])));
        }
        sums.into_iter().map(|sum| sum / count as f64).collect()
    };
    let mean = average(&|_, x| x);
    let std = average(&|i, x| (x - mean[i]).powi(2)).into_iter().map(f64::sqrt);
    Ok(Scaler {
        std: std.map(|s| if s > 1e-12 { s as f32 } else { 1.0 }).collect(),
        mean: mean.into_iter().map(|m| m as f32).collect(),
        fitted_from,
        fitted_to,
        rows: count as u64,
    })
}

/// Refuses blocks in which a target of an earlier one looks at a moment at which a later one already forecasts, and a scaler
/// that was fitted beyond training.
///
/// # Errors
/// [`Error::Overlap`] that names the blocks and moments.
pub fn check_no_overlap(train: &dyn WindowSource, valid: &dyn WindowSource, test: &dyn WindowSource) -> Result<()> {
    let span = |source: &dyn WindowSource| -> Result<Option<(Timestamp, Timestamp)>> {
        let stamps = (0..source.len()).map(|id| source.stamp(id)).collect::<Result<Vec<_>, _>>()?;
        let first = stamps.iter().map(|s| s.time).min();
        Ok(first.zip(stamps.iter().map(|s| s.target_end).max()))
    };
    let spans = [("train", span(train)?), ("valid", span(valid)?), ("test", span(test)?)];
    let ordered = |earlier: &'static str, until: Timestamp, later: &'static str, from: Timestamp| {
        if until < from {
            return Ok(());
        }
        Err(Error::Overlap { earlier, until: until.to_string(), later, from: from.to_string() })
    };
    for (i, (earlier, early)) in spans.iter().enumerate() {
        for (later, late) in &spans[i + 1..] {
            if let Some(((_, until), (from, _))) = early.zip(*late) {
                ordered(earlier, until, later, from)?;
            }
        }
    }
    match (&train.spec().scaler, spans[1].1) {
        (Some(scaler), Some((from, _))) => ordered("scaler", scaler.fitted_to, "valid", from),
        _ => Ok(()),
    }
}
