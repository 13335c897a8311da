//! The drawing surface: plotters' SVG backend at ten units a pixel, because it places things at whole units.

use std::io;

use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::*;

use super::scale::Span;

/// Units of a pixel.
pub(super) const PIXEL: u32 = 10;
/// In pixels.
pub(super) const WIDTH: u32 = 920;
const FONT: u32 = 13;
/// plotters sets type at 1 / 1.24 of the size it is given.
const TYPE: f64 = (FONT * PIXEL) as f64 * 1.24;

/// Text and lines that are not data. The page's style sheet maps these very colours to those of light and dark mode.
pub(super) const TEXT: RGBColor = RGBColor(0x5B, 0x64, 0x70);
pub(super) const GRID: RGBColor = RGBColor(0xE3, 0xE6, 0xEA);
pub(super) const ZERO: RGBColor = RGBColor(0x9A, 0xA3, 0xAD);
/// After Okabe and Ito, told apart by colour-blind readers.
pub(super) const SERIES: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xA8, 0x5C, 0x93),
    RGBColor(0xB8, 0x86, 0x0B),
    RGBColor(0x6B, 0x72, 0x80),
];

pub(super) type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Span, Span>>;
pub(super) type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

/// How a plot is framed.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) x: Span,
    pub(super) y: Span,
    /// In pixels.
    pub(super) height: u32,
    pub(super) vertical_grid: bool,
    pub(super) horizontal_grid: bool,
}

/// The SVG of a plot, without size, so that it fits its column; `name` is for screen readers and is escaped already.
pub(super) fn svg(name: &str, frame: &Frame, marks: impl FnOnce(&mut Plot<'_, '_>) -> Drawn) -> Result<String, String> {
    let (width, height) = (WIDTH * PIXEL, frame.height * PIXEL);
    let mut drawing = String::new();
    {
        let root = SVGBackend::with_string(&mut drawing, (width, height)).into_drawing_area();
        plot(&root, frame, marks).and_then(|()| root.present()).map_err(|e| e.to_string())?;
    }
    // The surface's own head has a fixed size.
    let body = drawing.split_once('>').map_or("", |(_, body)| body);
    Ok(format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{name}\">{body}"))
}

fn plot<'b>(
    root: &DrawingArea<SVGBackend<'b>, Shift>,
    frame: &Frame,
    marks: impl FnOnce(&mut Plot<'_, 'b>) -> Drawn,
) -> Drawn {
    let longest = |span: &Span| span.ticks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0) as u32;
    // Two thirds of an em a character, which wide fonts need, and the gap to the plot.
    let left = (longest(&frame.y) * FONT * 2 / 3 + 20) * PIXEL;
    let right = (longest(&frame.x) * FONT / 3 + 6) * PIXEL;
    let mut chart = ChartBuilder::on(root)
        .margin_top(10 * PIXEL)
        .margin_right(right)
        .set_label_area_size(LabelAreaPosition::Left, left)
        .set_label_area_size(LabelAreaPosition::Bottom, 30 * PIXEL)
        .build_cartesian_2d(frame.x.clone(), frame.y.clone())?;
    let font = ("sans-serif", TYPE).into_font().color(&TEXT);
    let mut mesh = chart.configure_mesh();
    if !frame.vertical_grid {
        mesh.disable_x_mesh();
    }
    if !frame.horizontal_grid {
        mesh.disable_y_mesh();
    }
    mesh.bold_line_style(GRID.stroke_width(PIXEL))
        .light_line_style(TRANSPARENT)
        .axis_style(TRANSPARENT)
        .set_all_tick_mark_size(8 * PIXEL)
        .label_style(font)
        .draw()?;
    marks(&mut chart)
}

/// A straight line over the whole width or height, where the value 0 is in the frame.
pub(super) fn zero_lines(plot: &mut Plot<'_, '_>, frame: &Frame, x: bool, y: bool) -> Drawn {
    let style = ZERO.stroke_width(PIXEL);
    let spans = |span: &Span| span.low <= 0.0 && 0.0 <= span.high;
    if y && spans(&frame.y) {
        plot.draw_series([PathElement::new([(frame.x.low, 0.0), (frame.x.high, 0.0)], style)])?;
    }
    if x && spans(&frame.x) {
        plot.draw_series([PathElement::new([(0.0, frame.y.low), (0.0, frame.y.high)], style)])?;
    }
    Ok(())
}

/// The colour of the n-th series.
pub(super) fn color(series: usize) -> RGBColor {
    SERIES[series % SERIES.len()]
}

impl Ranged for Span {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        (f64::from(from) + share * f64::from(to - from)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, hint: H) -> Vec<f64> {
        if hint.weight().allow_light_points() { vec![] } else { self.ticks.iter().map(|(at, _)| *at).collect() }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Span {
    fn format(value: &f64) -> String {
        value.to_string()
    }

    fn format_ext(&self, value: &f64) -> String {
        self.label(*value)
    }
}
