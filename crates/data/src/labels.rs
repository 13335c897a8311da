//! Labels from a path of prices: which of three barriers is met first, whether a bet on a side paid, and how much of a label
//! is its own (Lopez de Prado, "Advances in financial machine learning", 2018, chapters 3 and 4).

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Two barriers around an entry price and one at the end of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TripleBarrier {
    /// Distance of the upper barrier, in units of the row's width.
    pub take_profit: f64,
    /// Distance of the lower barrier, in units of the row's width.
    pub stop_loss: f64,
    /// Rows after the entry at which the wait ends.
    pub horizon: usize,
}

/// What came of an entry at one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Barrier {
    /// The lower barrier first.
    Lower,
    /// Neither in time.
    Time,
    /// The upper barrier first.
    Upper,
}

/// The label of one row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BarrierLabel {
    /// Which barrier was met first.
    pub barrier: Barrier,
    /// The row at which it was met.
    pub end: usize,
    /// Log return from the entry to there.
    pub log_return: f64,
}

impl BarrierLabel {
    /// As a class number: 0 for the lower barrier, 1 for time, 2 for the upper one.
    #[must_use]
    pub const fn class(&self) -> u8 {
        match self.barrier {
            Barrier::Lower => 0,
            Barrier::Time => 1,
            Barrier::Upper => 2,
        }
    }
}

impl TripleBarrier {
    /// Labels each row of closing prices. `widths` is the unit of the barriers at each row, as a share of the price, such as
    /// a volatility that was known then. Rows whose wait is cut short by the end of the data and that met no barrier have no
    /// label. Barriers are looked for at closes.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a horizon of 0, a distance that is not positive, lengths that differ, or a price or width that is
    /// not a positive number.
    pub fn label(&self, closes: &[f64], widths: &[f64]) -> Result<Vec<Option<BarrierLabel>>> {
        if self.horizon == 0 {
            return Err(Error::invalid("triple_barrier.horizon", 0, "give at least 1 row"));
        }
        for (field, value) in [("take_profit", self.take_profit), ("stop_loss", self.stop_loss)] {
            if !is_positive(value) {
                return Err(Error::invalid(format!("triple_barrier.{field}"), value, "give a positive number"));
            }
        }
        if closes.len() != widths.len() {
            return Err(Error::invalid(
                "widths",
                widths.len(),
                format!("give one for each of {} prices", closes.len()),
            ));
        }
        for (field, values) in [("close", closes), ("width", widths)] {
            if let Some(row) = values.iter().position(|value| !is_positive(*value)) {
                return Err(Error::invalid(format!("{field} of row {row}"), values[row], "give positive numbers"));
            }
        }
        Ok((0..closes.len()).map(|row| self.label_row(closes, row, widths[row])).collect())
    }

    fn label_row(&self, closes: &[f64], row: usize, width: f64) -> Option<BarrierLabel> {
        let entry = closes[row];
        let last = row + self.horizon;
        let met = |at: usize| {
            let change = closes[at] / entry - 1.0;
            if change >= self.take_profit * width {
                return Some(Barrier::Upper);
            }
            (change <= -self.stop_loss * width).then_some(Barrier::Lower)
        };
        let label = |barrier, end: usize| BarrierLabel { barrier, end, log_return: (closes[end] / entry).ln() };
        let first = (row + 1..=last.min(closes.len() - 1)).find_map(|at| met(at).map(|barrier| label(barrier, at)));
        first.or_else(|| (last < closes.len()).then(|| label(Barrier::Time, last)))
    }
}

/// Whether a bet on the side of a first model paid: 1 where side and return agree, 0 otherwise. A second model that learns
/// these decides how much to bet.
///
/// # Errors
/// [`Error::Invalid`] when lengths differ.
pub fn meta_labels(sides: &[f64], log_returns: &[f64]) -> Result<Vec<u8>> {
    if sides.len() != log_returns.len() {
        return Err(Error::invalid(
            "log_returns",
            log_returns.len(),
            format!("give one for each of {} sides", sides.len()),
        ));
    }
    Ok(sides.iter().zip(log_returns).map(|(side, ret)| u8::from(side * ret > 0.0)).collect())
}

/// How much of each label is its own: the mean over its rows of one over the labels that look at that row, in (0, 1]. They
/// serve as sample weights, since labels that overlap tell less than they count.
///
/// `spans` holds the first and last row that a label looks at.
///
/// # Errors
/// [`Error::Invalid`] for a span that ends before it begins.
pub fn uniqueness(spans: &[(usize, usize)]) -> Result<Vec<f64>> {
    if let Some((from, to)) = spans.iter().find(|(from, to)| to < from) {
        return Err(Error::invalid("span", format!("{from} to {to}"), "give the first row, then the last"));
    }
    let rows = spans.iter().map(|(_, to)| to + 1).max().unwrap_or(0);
    let mut changes = vec![0_i64; rows + 1];
    for (from, to) in spans {
        changes[*from] += 1;
        changes[to + 1] -= 1;
    }
    // Sums of one over the count, so that a span's mean is one difference.
    let (mut count, mut sums) = (0, vec![0.0; rows + 1]);
    for row in 0..rows {
        count += changes[row];
        sums[row + 1] = sums[row] + if count > 0 { 1.0 / count as f64 } else { 0.0 };
    }
    Ok(spans.iter().map(|(from, to)| (sums[to + 1] - sums[*from]) / (to + 1 - from) as f64).collect())
}

fn is_positive(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_barrier_counts() {
        let closes = [100.0, 101.0, 97.0, 103.0, 103.5, 103.6, 103.7];
        let barriers = TripleBarrier { take_profit: 2.0, stop_loss: 2.0, horizon: 3 };
        let labels = barriers.label(&closes, &[0.01; 7]).expect("sound");
        let got: Vec<Option<(Barrier, usize)>> = labels.iter().map(|l| l.map(|l| (l.barrier, l.end))).collect();
        let want = [
            Some((Barrier::Lower, 2)),
            Some((Barrier::Lower, 2)),
            Some((Barrier::Upper, 3)),
            Some((Barrier::Time, 6)),
            None,
            None,
            None,
        ];
        assert_eq!(got, want);
        let second = labels[2].expect("a label");
        assert!((second.log_return - (103.0_f64 / 97.0).ln()).abs() < 1e-12 && second.class() == 2);
    }

    #[test]
    fn bad_prices_are_named() {
        let barriers = TripleBarrier { take_profit: 1.0, stop_loss: 1.0, horizon: 1 };
        let error = barriers.label(&[1.0, 0.0], &[0.1, 0.1]).expect_err("a price of 0").to_string();
        assert!(error.starts_with("close of row 1 = 0"), "{error}");
        assert!(TripleBarrier { horizon: 0, ..barriers }.label(&[], &[]).is_err());
        assert!(barriers.label(&[1.0], &[]).is_err());
    }

    #[test]
    fn meta_labels_say_whether_a_side_paid() {
        assert_eq!(meta_labels(&[1.0, -1.0, 1.0, 0.0], &[0.1, -0.2, -0.1, 0.3]).expect("sound"), [1, 1, 0, 0]);
        assert!(meta_labels(&[1.0], &[]).is_err());
    }

    #[test]
    fn uniqueness_follows_by_hand() {
        // Rows 0 to 2 and 2 to 3 share row 2; row 5 is alone.
        let got = uniqueness(&[(0, 2), (2, 3), (5, 5)]).expect("sound");
        for (got, want) in got.iter().zip([2.5 / 3.0, 0.75, 1.0]) {
            assert!((got - want).abs() < 1e-12, "{got} {want}");
        }
        assert!(uniqueness(&[(3, 2)]).is_err());
    }

    proptest! {
        #[test]
        fn shares_of_rows_add_up_to_the_rows_that_are_looked_at(spans in prop::collection::vec((0_usize..50, 0_usize..9), 1..30)) {
            let spans: Vec<(usize, usize)> = spans.into_iter().map(|(from, more)| (from, from + more)).collect();
            let shares = uniqueness(&spans).expect("sound");
            let total: f64 = shares.iter().zip(&spans).map(|(share, (from, to))| share * (to + 1 - from) as f64).sum();
            let seen = (0..60).filter(|row| spans.iter().any(|(from, to)| (from..=to).contains(&row))).count();
            prop_assert!((total - seen as f64).abs() < 1e-9);
            prop_assert!(shares.iter().all(|share| *share > 0.0 && *share <= 1.0 + 1e-12));
        }
    }
}
