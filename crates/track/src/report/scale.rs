//! Where ticks stand and what they say.

use tapeloom_core::Timestamp;

use super::Scale;

/// The part of an axis that a plot shows, and its ticks.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<(f64, String)>,
}

const SECOND: f64 = 1e6;
const DAY: f64 = 86_400.0 * SECOND;

impl Span {
    /// Around `low..=high` with some air, at most about `count` ticks. A span of one value is widened around it.
    pub(super) fn around(scale: Scale, low: f64, high: f64, air: f64, count: usize) -> Self {
        let (low, high) = match (scale, high - low) {
            (Scale::Date, 0.0) => (low - DAY, high + DAY),
            (Scale::Number, 0.0) if low == 0.0 => (-1.0, 1.0),
            (Scale::Percent, 0.0) if low == 0.0 => (-0.01, 0.01),
            (_, 0.0) => (low - low.abs() * 0.1, high + high.abs() * 0.1),
            (_, size) => (low - size * air, high + size * air),
        };
        Self::exactly(scale, low, high, count)
    }

    /// From `low` to `high`.
    pub(super) fn exactly(scale: Scale, low: f64, high: f64, count: usize) -> Self {
        let ticks = match scale {
            Scale::Number => number_ticks(low, high, count, 1.0, ""),
            Scale::Percent => number_ticks(low, high, count, 100.0, "%"),
            Scale::Date => date_ticks(low, high, count),
        };
        Self { low, high, ticks }
    }

    /// What the tick at `value` says.
    pub(super) fn label(&self, value: f64) -> String {
        let near = |(at, _): &&(f64, String)| (at - value).abs() <= (self.high - self.low) * 1e-9;
        self.ticks.iter().find(near).map_or_else(String::new, |(_, label)| label.clone())
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that cuts `size` into at most `count` parts.
pub(super) fn nice_step(size: f64, count: usize) -> f64 {
    let rough = size / count.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= rough * 0.999).unwrap_or(rough)
}

fn number_ticks(low: f64, high: f64, count: usize, factor: f64, unit: &str) -> Vec<(f64, String)> {
    let step = nice_step(high - low, count);
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    let largest = low.abs().max(high.abs()) * factor;
    (first..=last.min(first.saturating_add(100)))
        .map(|n| n as f64 * step)
        .map(|at| (at, format!("{}{unit}", written(at * factor, step * factor, largest))))
        .collect()
}

/// A multiple of `step`, with the digits that tell it from its neighbours.
fn written(value: f64, step: f64, largest: f64) -> String {
    let power = 10_f64.powf(largest.log10().floor());
    let (scale, suffix) = match largest {
        l if !(1e-4..1e9).contains(&l) => (power, format!("e{}", power.log10().round())),
        l if l >= 1e6 => (1e6, "M".to_owned()),
        l if l >= 1e4 => (1e3, "k".to_owned()),
        _ => (1.0, String::new()),
    };
    let decimals = (-(step / scale).log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
    match value {
        0.0 => "0".to_owned(),
        v if v < 0.0 => format!("\u{2212}{:.decimals$}{suffix}", -v / scale),
        v => format!("{:.decimals$}{suffix}", v / scale),
    }
}

fn date_ticks(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let days = (high - low) / DAY / count.max(1) as f64;
    if days > 190.0 {
        let step =
            [1, 2, 5, 10, 20, 50, 100].into_iter().find(|years| f64::from(*years) * 366.0 >= days).unwrap_or(500);
        months(low, high)
            .filter(|(year, month, _)| *month == 1 && year % step == 0)
            .map(|(y, _, at)| (at, y.to_string()))
            .collect()
    } else if days > 16.0 {
        let step = [1, 2, 3, 6].into_iter().find(|months| f64::from(*months) * 31.0 >= days).unwrap_or(6);
        let due = move |month: i32| (month - 1) % step == 0;
        months(low, high).filter(|(_, month, _)| due(*month)).map(|(y, m, at)| (at, format!("{y}-{m:02}"))).collect()
    } else {
        let seconds = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 10_800.0, 21_600.0, 43_200.0];
        let whole_days = [1.0, 2.0, 5.0, 10.0, 20.0].map(|n| n * 86_400.0);
        let step = seconds.into_iter().chain(whole_days).find(|s| *s >= days * 86_400.0).unwrap_or(20.0 * 86_400.0);
        let first = (low / SECOND / step).ceil() as i64;
        (first..first + 100)
            .map(|n| n as f64 * step * SECOND)
            .take_while(|at| *at <= high)
            .map(|at| (at, clock(Timestamp::from_micros(at as i64), step)))
            .collect()
    }
}

/// Year, month and start of every month that starts in the span.
fn months(low: f64, high: f64) -> impl Iterator<Item = (i32, i32, f64)> {
    let year = |at: f64| Timestamp::from_micros(at as i64).to_string().split('-').next().and_then(|y| y.parse().ok());
    // RFC 3339 has years of four digits.
    let (first, last): (i32, i32) = (year(low).unwrap_or(0), year(high).unwrap_or(9999));
    (first.max(0)..=last.min(9999))
        .flat_map(|year| (1..=12).map(move |month| (year, month)))
        .filter_map(|(y, m)| Timestamp::parse(&format!("{y:04}-{m:02}-01")).ok().map(|at| (y, m, at.micros() as f64)))
        .filter(move |(_, _, at)| (low..=high).contains(at))
}

fn clock(at: Timestamp, step_seconds: f64) -> String {
    let text = at.to_string();
    let part = |from, to| text.get(from..to).unwrap_or_default().to_owned();
    match step_seconds {
        s if s >= 86_400.0 => part(0, 10),
        s if s >= 60.0 => part(11, 16),
        _ => part(11, 19),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(scale: Scale, low: f64, high: f64) -> Vec<String> {
        Span::exactly(scale, low, high, 6).ticks.into_iter().map(|(_, label)| label).collect()
    }

    fn dates(low: &str, high: &str) -> Vec<String> {
        let at = |text| Timestamp::parse(text).map(|t| t.micros() as f64).expect("a date");
        said(Scale::Date, at(low), at(high))
    }

    #[test]
    fn ticks_of_numbers_are_round_and_short() {
        assert_eq!(said(Scale::Number, -0.013, 0.021), ["\u{2212}0.01", "0", "0.01", "0.02"]);
        assert_eq!(said(Scale::Number, 0.0, 11.0), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(said(Scale::Number, 0.0, 60_000.0), ["0", "10k", "20k", "30k", "40k", "50k", "60k"]);
        assert_eq!(said(Scale::Percent, -0.31, 0.0), ["\u{2212}30%", "\u{2212}20%", "\u{2212}10%", "0%"]);
        assert_eq!(said(Scale::Percent, 0.0, 0.004), ["0%", "0.1%", "0.2%", "0.3%", "0.4%"]);
        assert_eq!(said(Scale::Number, 0.0, 4e-9), ["0", "1e-9", "2e-9", "3e-9", "4e-9"]);
        assert_eq!(
            said(Scale::Number, 1_249_900.0, 1_251_000.0),
            ["1.2500M", "1.2502M", "1.2504M", "1.2506M", "1.2508M", "1.2510M"]
        );
    }

    #[test]
    fn ticks_of_dates_are_years_then_months_then_days_then_hours() {
        assert_eq!(dates("2008-03-01", "2018-12-31"), ["2010", "2012", "2014", "2016", "2018"]);
        assert_eq!(dates("2015-03-01", "2018-12-31"), ["2016", "2017", "2018"]);
        assert_eq!(dates("2018-01-15", "2018-12-31").first().map(String::as_str), Some("2018-03"));
        assert_eq!(dates("2018-01-01", "2018-01-06").len(), 6);
        assert_eq!(dates("2018-01-01T09:30:00Z", "2018-01-01T16:00:00Z").first().map(String::as_str), Some("12:00"));
    }

    #[test]
    fn one_value_still_has_a_span_and_a_tick() {
        for value in [0.0, 1.0, -3e-7, 5e12, 1e149] {
            let span = Span::around(Scale::Number, value, value, 0.05, 5);
            assert!(span.low < value && value < span.high && !span.ticks.is_empty(), "{span:?}");
        }
    }
}
