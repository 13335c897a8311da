use std::fmt::Write;

/// A chart in the making: points in the units of its axes, drawn into a box of fixed size.
#[derive(Debug)]
pub(super) struct Chart {
    title: String,
    x: Scale,
    y: Scale,
    body: String,
}

/// From where to where an axis goes, and what stands beside it.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    pub(super) label: String,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) log: bool,
}

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 40.0;
const TOP: f64 = 28.0;
const RIGHT: f64 = 14.0;

impl Scale {
    /// Around all finite values.
    pub(super) fn around(label: &str, values: impl Iterator<Item = f64>) -> Self {
        let finite = values.filter(|x| x.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let pad = if low == high { low.abs().max(1.0) * 0.1 } else { (high - low) * 0.04 };
        Self { label: label.to_owned(), low: low - pad, high: high + pad, log: false }
    }

    /// Labels are the exponentials of places.
    pub(super) fn log(mut self, log: bool) -> Self {
        self.log = log;
        self
    }

    fn share(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(-0.02, 1.02)
    }

    fn tick(&self, share: f64) -> String {
        let value = self.low + share * (self.high - self.low);
        short(if self.log { value.exp() } else { value })
    }
}

impl Chart {
    pub(super) fn new(title: &str, x: Scale, y: Scale) -> Self {
        Self { title: title.to_owned(), x, y, body: String::new() }
    }

    pub(super) fn dot(&mut self, x: f64, y: f64, class: &str, tip: &str) {
        if x.is_finite() && y.is_finite() {
            let (x, y) = self.place(x, y);
            let tip = escape(tip);
            _ = write!(
                self.body,
                r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="3"><title>{tip}</title></circle>"#
            );
        }
    }

    pub(super) fn line(&mut self, points: &[(f64, f64)], class: &str, tip: &str) {
        let finite = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let text: Vec<String> =
            finite.map(|(x, y)| self.place(*x, *y)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let (text, tip) = (text.join(" "), escape(tip));
        _ = write!(self.body, r#"<polyline class="{class}" points="{text}"><title>{tip}</title></polyline>"#);
    }

    /// From the left edge, at a height of its own.
    pub(super) fn bar(&mut self, from: f64, to: f64, middle: f64, half: f64, class: &str, tip: &str) {
        let ((left, top), (right, bottom)) = (self.place(from, middle + half), self.place(to, middle - half));
        let (width, height, tip) = ((right - left).max(0.5), (bottom - top).abs().max(1.0), escape(tip));
        let top = top.min(bottom);
        _ = write!(
            self.body,
            r#"<rect class="{class}" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}"><title>{tip}</title></rect>"#
        );
    }

    pub(super) fn text(&mut self, x: f64, y: f64, text: &str) {
        let (x, y) = self.place(x, y);
        _ = write!(self.body, r#"<text class="note" x="{x:.1}" y="{y:.1}">{}</text>"#, escape(text));
    }

    pub(super) fn finish(self) -> String {
        let mut svg = format!(
            r#"<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><text class="title" x="{LEFT}" y="18">{}</text>"#,
            escape(&self.title)
        );
        for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let (x, bottom) = (LEFT + share * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM);
            let y = bottom - share * (bottom - TOP);
            _ = write!(svg, r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{bottom}"/>"#);
            _ = write!(svg, r#"<line class="grid" x1="{LEFT}" x2="{}" y1="{y:.1}" y2="{y:.1}"/>"#, WIDTH - RIGHT);
            _ = write!(
                svg,
                r#"<text class="tick" text-anchor="middle" x="{x:.1}" y="{}">{}</text>"#,
                bottom + 14.0,
                self.x.tick(share)
            );
            _ = write!(
                svg,
                r#"<text class="tick" text-anchor="end" x="{}" y="{:.1}">{}</text>"#,
                LEFT - 4.0,
                y + 3.0,
                self.y.tick(share)
            );
        }
        _ = write!(
            svg,
            r#"<text class="label" text-anchor="end" x="{}" y="{}">{}</text>"#,
            WIDTH - RIGHT,
            HEIGHT - 8.0,
            escape(&self.x.label)
        );
        _ = write!(
            svg,
            r#"<text class="label" x="4" y="{}">{}</text>{}</svg></figure>"#,
            TOP - 2.0,
            escape(&self.y.label),
            self.body
        );
        svg
    }

    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM - TOP);
        (LEFT + self.x.share(x) * width, HEIGHT - BOTTOM - self.y.share(y) * height)
    }
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// With few digits.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e5).contains(&size) {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
