//! What each kind of plot draws.

use plotters::prelude::*;

use super::draw::{Drawn, Frame, PIXEL, Plot, ZERO, color, svg, zero_lines};
use super::numbers::{binned, clipped, drawable, extent, finite, least_squares, thinned_cloud, thinned_line};
use super::scale::{Span, nice_step};
use super::{Axis, Guide, Marks, Scale, Series};
use crate::words::count;

/// Points of a line that are drawn at most: about one a pixel.
const LINE_POINTS: usize = 1600;
const CLOUD_POINTS: usize = 1500;
/// Lines with no more points than this show them as dots.
const DOTS: usize = 40;
const BINS: usize = 60;
/// In pixels.
const HEIGHT: u32 = 340;
const BAR: u32 = 30;
/// Characters of a bar's name that are shown.
const NAME: usize = 32;

/// A plot, ready for the page.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) svg: String,
    /// Names and the numbers of their colours.
    pub(super) legend: Vec<(String, Option<usize>)>,
}

/// None when nothing can be drawn. `name` is escaped already.
pub(super) fn chart(name: &str, x: &Axis, y: &Axis, marks: &Marks) -> Result<Option<Chart>, String> {
    match marks {
        Marks::Lines(series) => lines(name, x, y, series),
        Marks::Area(series) => area(name, x, y, series),
        Marks::Scatter(points, guide) => scatter(name, x, y, points, *guide),
        Marks::Bars(bars) => self::bars(name, x, bars),
        Marks::Histogram(values) => histogram(name, x, values),
    }
}

fn frame(x: &Axis, y: &Axis, points: &[(f64, f64)], to_zero: bool, air: f64) -> Option<Frame> {
    let (left, right) = extent(points.iter().map(|p| p.0))?;
    let (mut low, mut high) = extent(points.iter().map(|p| p.1))?;
    if to_zero {
        (low, high) = (low.min(0.0), high.max(0.0));
    }
    Some(Frame {
        x: Span::around(x.scale, left, right, air, if x.scale == Scale::Date { 9 } else { 10 }),
        y: Span::around(y.scale, low, high, 0.05, 6),
        height: HEIGHT,
        vertical_grid: false,
        horizontal_grid: true,
    })
}

fn lines(name: &str, x: &Axis, y: &Axis, series: &[Series]) -> Result<Option<Chart>, String> {
    let drawn: Vec<Vec<(f64, f64)>> = series.iter().map(|s| finite(&s.points)).collect();
    let Some(frame) = frame(x, y, &drawn.concat(), false, 0.01) else { return Ok(None) };
    let svg = svg(name, &frame, |plot| {
        zero_lines(plot, &frame, false, true)?;
        // The first series is the one the reader came for: it goes on top.
        for (index, points) in drawn.iter().enumerate().rev() {
            line(plot, points, color(index))?;
        }
        Ok(())
    })?;
    let named = |(index, s): (usize, &Series)| (s.name.clone(), Some(index));
    let legend = if series.len() > 1 { series.iter().enumerate().map(named).collect() } else { vec![] };
    Ok(Some(Chart { svg, legend }))
}

fn line(plot: &mut Plot<'_, '_>, points: &[(f64, f64)], color: RGBColor) -> Drawn {
    plot.draw_series([PathElement::new(thinned_line(points, LINE_POINTS), color.stroke_width(PIXEL * 19 / 10))])?;
    if points.len() <= DOTS {
        plot.draw_series(points.iter().map(|point| Circle::new(*point, PIXEL * 3, color.filled())))?;
    }
    Ok(())
}

fn area(name: &str, x: &Axis, y: &Axis, series: &Series) -> Result<Option<Chart>, String> {
    let points = finite(&series.points);
    let Some(mut frame) = frame(x, y, &points, true, 0.01) else { return Ok(None) };
    // Zero is the edge that the area hangs from or stands on.
    if points.iter().all(|p| p.1 <= 0.0) && frame.y.low < 0.0 {
        frame.y = Span::exactly(y.scale, frame.y.low, 0.0, 6);
    } else if points.iter().all(|p| p.1 >= 0.0) && frame.y.high > 0.0 {
        frame.y = Span::exactly(y.scale, 0.0, frame.y.high, 6);
    }
    let svg = svg(name, &frame, |plot| {
        let thin = thinned_line(&points, LINE_POINTS);
        plot.draw_series(AreaSeries::new(thin.iter().copied(), 0.0, color(1).mix(0.22)))?;
        plot.draw_series([PathElement::new(thin, color(1).stroke_width(PIXEL * 13 / 10))])?;
        zero_lines(plot, &frame, false, true)
    })?;
    Ok(Some(Chart { svg, legend: vec![] }))
}

fn scatter(name: &str, x: &Axis, y: &Axis, points: &[(f64, f64)], guide: Guide) -> Result<Option<Chart>, String> {
    let points = finite(points);
    let Some(frame) = frame(x, y, &points, false, 0.03) else { return Ok(None) };
    let frame = Frame { height: HEIGHT + 80, vertical_grid: true, ..frame };
    let (cloud, mut legend) = (thinned_cloud(&points, CLOUD_POINTS), vec![]);
    let guide = match guide {
        Guide::None => None,
        Guide::Identity => {
            legend.push(("y = x".to_owned(), Some(1)));
            Some((0.0, 1.0))
        }
        Guide::Regression => least_squares(&points).map(|(intercept, slope, correlation)| {
            legend.push((format!("least squares: slope {slope:.3}, r = {correlation:.3}"), Some(1)));
            (intercept, slope)
        }),
    };
    if cloud.len() < points.len() {
        let (shown, all) = (count(cloud.len() as u64), count(points.len() as u64));
        legend.push((format!("{shown} of {all} points shown"), None));
    }
    let svg = svg(name, &frame, |plot| {
        zero_lines(plot, &frame, true, true)?;
        plot.draw_series(cloud.iter().map(|point| Circle::new(*point, PIXEL * 26 / 10, color(0).mix(0.4).filled())))?;
        let ends = guide.and_then(|(intercept, slope)| {
            clipped(intercept, slope, (frame.x.low, frame.x.high), (frame.y.low, frame.y.high))
        });
        if let Some(ends) = ends {
            plot.draw_series([PathElement::new(ends, color(1).stroke_width(PIXEL * 2))])?;
        }
        Ok(())
    })?;
    Ok(Some(Chart { svg, legend }))
}

fn bars(name: &str, value: &Axis, bars: &[(String, f64)]) -> Result<Option<Chart>, String> {
    let bars: Vec<&(String, f64)> = bars.iter().filter(|(_, value)| drawable(*value)).collect();
    let Some((low, high)) = extent(bars.iter().map(|bar| bar.1).chain([0.0])).filter(|_| !bars.is_empty()) else {
        return Ok(None);
    };
    let rows = bars.len() as f64;
    // The first bar is the topmost.
    let place = |index: usize| rows - 0.5 - index as f64;
    let ticks = bars.iter().enumerate().map(|(index, bar)| (place(index), shortened(&bar.0))).collect();
    let air = (high - low) * 0.02;
    let x = if high == low {
        Span::around(value.scale, low, high, 0.0, 8)
    } else {
        let edge = |v: f64, by: f64| if v == 0.0 { 0.0 } else { v + by };
        Span::exactly(value.scale, edge(low, -air), edge(high, air), 8)
    };
    let frame = Frame {
        x,
        y: Span { low: 0.0, high: rows, ticks },
        height: BAR * bars.len() as u32 + 40,
        vertical_grid: true,
        horizontal_grid: false,
    };
    let svg = svg(name, &frame, |plot| {
        plot.draw_series(bars.iter().enumerate().map(|(index, bar)| {
            let at = place(index);
            Rectangle::new([(0.0, at + 0.34), (bar.1, at - 0.34)], color(0).filled())
        }))?;
        zero_lines(plot, &frame, true, false)
    })?;
    Ok(Some(Chart { svg, legend: vec![] }))
}

fn histogram(name: &str, value: &Axis, values: &[f64]) -> Result<Option<Chart>, String> {
    let values: Vec<f64> = values.iter().copied().filter(|v| drawable(*v)).collect();
    let Some((low, high)) = extent(values.iter().copied()) else { return Ok(None) };
    let step = if high > low { nice_step(high - low, BINS) } else { low.abs().max(1.0) / 10.0 };
    let start = (low / step).floor() * step;
    let bins = (((high - start) / step).floor() as usize + 1).min(BINS + 2);
    let counts = binned(&values, start, step, bins);
    let most = counts.iter().copied().max().unwrap_or(1) as f64;
    let frame = Frame {
        x: Span::exactly(value.scale, start - step, start + step * (bins + 1) as f64, 10),
        y: Span::exactly(Scale::Number, 0.0, most * 1.04, 6),
        height: HEIGHT - 40,
        vertical_grid: false,
        horizontal_grid: true,
    };
    let svg = svg(name, &frame, |plot| {
        let bar = |(bin, count): (usize, &u64)| {
            let left = start + step * bin as f64;
            let corners = [(left + step * 0.06, *count as f64), (left + step * 0.94, 0.0)];
            Rectangle::new(corners, color(0).filled())
        };
        plot.draw_series(counts.iter().enumerate().filter(|(_, count)| **count > 0).map(bar))?;
        let ground = [(frame.x.low, 0.0), (frame.x.high, 0.0)];
        plot.draw_series([PathElement::new(ground, ZERO.stroke_width(PIXEL))])?;
        Ok(())
    })?;
    Ok(Some(Chart { svg, legend: vec![] }))
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME {
        name.to_owned()
    } else {
        name.chars().take(NAME - 1).chain(['\u{2026}']).collect()
    }
}
