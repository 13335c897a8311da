use std::sync::Arc;

use crate::window::check_gather;
use crate::{Error, Fingerprint, Fingerprinter, Result, Stamp, Timestamp, WindowSource, WindowSpec};

/// An unbroken run of rows of one symbol, in time order.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Index into the symbol table.
    pub symbol: u32,
    /// Row-major `[rows, features]`.
    pub features: Vec<f32>,
    /// Row-major `[rows, targets]`; rows that no sample ends in may hold NaN.
    pub targets: Vec<f32>,
    /// Time of each row.
    pub times: Vec<Timestamp>,
    /// For each row the time of the last row that its target looks at.
    pub target_ends: Vec<Timestamp>,
}

/// Windows over row-major matrices, one per symbol. A window is two integers; nothing is copied until it is gathered.
#[derive(Clone, Debug)]
pub struct MatrixWindows {
    spec: Arc<WindowSpec>,
    symbols: Arc<[String]>,
    segments: Arc<[Segment]>,
    /// Segment and last row of each window.
    index: Vec<(u32, u32)>,
    fingerprint: Fingerprint,
}

impl MatrixWindows {
    /// Windows that end in the given rows, each named by segment and row.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a segment's columns do not fit the spec, time does not increase inside a segment, a
    /// window would start before its segment, or a number in a window or its target is not finite.
    pub fn new(
        spec: WindowSpec,
        symbols: Vec<String>,
        segments: Arc<[Segment]>,
        index: Vec<(u32, u32)>,
    ) -> Result<Self> {
        for (number, segment) in segments.iter().enumerate() {
            check_segment(&spec, &symbols, number, segment)?;
        }
        let mut windows =
            Self { spec: Arc::new(spec), symbols: symbols.into(), segments, index, fingerprint: Fingerprint::of(b"") };
        (0..windows.index.len()).try_for_each(|id| windows.check_window(id))?;
        windows.fingerprint = windows.compute_fingerprint()?;
        Ok(windows)
    }

    /// Every window of every segment.
    ///
    /// # Errors
    /// As [`MatrixWindows::new`].
    pub fn all(spec: WindowSpec, symbols: Vec<String>, segments: Arc<[Segment]>) -> Result<Self> {
        let index = (0_u32..).zip(segments.iter()).flat_map(|(number, segment)| {
            let first = spec.steps.saturating_sub(1);
            (first..segment.times.len()).map(move |row| (number, row as u32))
        });
        let index = index.collect();
        Self::new(spec, symbols, segments, index)
    }

    /// The matrices that the windows look into.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The segment of window `id`, and its last row there.
    ///
    /// # Panics
    /// When there is no such window.
    #[must_use]
    pub fn place(&self, id: usize) -> (usize, usize) {
        let (segment, row) = self.index[id];
        (segment as usize, row as usize)
    }

    fn window(&self, id: usize) -> (&Segment, std::ops::Range<usize>, usize) {
        let (segment, row) = self.place(id);
        let segment = &self.segments[segment];
        let width = self.spec.features.len();
        (segment, (row + 1 - self.spec.steps) * width..(row + 1) * width, row)
    }

    fn check_window(&self, id: usize) -> Result<()> {
        let (segment, row) = self.index[id];
        let rows = self.segments.get(segment as usize).map_or(0, |s| s.times.len());
        let row = row as usize;
        if row >= rows || row + 1 < self.spec.steps {
            let at = format!("segment {segment}, row {row}");
            let remedy = format!("a window of {} rows must end inside its segment of {rows}", self.spec.steps);
            return Err(Error::invalid("window", at, remedy));
        }
        let (segment, span, row) = self.window(id);
        let outputs = self.spec.targets.len();
        let targets = &segment.targets[row * outputs..(row + 1) * outputs];
        if segment.features[span].iter().chain(targets).all(|x| x.is_finite()) {
            return Ok(());
        }
        let symbol = &self.symbols[segment.symbol as usize];
        let at = format!("{symbol} at {}", segment.times[row]);
        Err(Error::invalid("window", at, "holds a number that is not finite; drop or fill such rows first"))
    }

    fn compute_fingerprint(&self) -> Result<Fingerprint> {
        let mut print = Fingerprinter::default();
        let spec = serde_json::to_vec(&*self.spec).map_err(|e| Error::provider("could not encode a spec", e))?;
        print.add(&spec);
        for symbol in self.symbols.iter() {
            print.add(symbol.as_bytes());
        }
        let mut buffer = Vec::new();
        for segment in self.segments.iter() {
            buffer.clear();
            buffer.extend_from_slice(&segment.symbol.to_le_bytes());
            segment.features.iter().chain(&segment.targets).for_each(|x| buffer.extend_from_slice(&x.to_le_bytes()));
            let times = segment.times.iter().chain(&segment.target_ends);
            times.for_each(|t| buffer.extend_from_slice(&t.micros().to_le_bytes()));
            print.add(&buffer);
        }
        buffer.clear();
        for (segment, row) in &self.index {
            buffer.extend_from_slice(&segment.to_le_bytes());
            buffer.extend_from_slice(&row.to_le_bytes());
        }
        Ok(print.add(&buffer).finish())
    }
}

impl WindowSource for MatrixWindows {
    fn spec(&self) -> &WindowSpec {
        &self.spec
    }

    fn len(&self) -> usize {
        self.index.len()
    }

    fn gather(&self, ids: &[usize], inputs: &mut [f32], targets: &mut [f32]) -> Result<()> {
        check_gather(&self.spec, self.len(), ids, inputs.len(), targets.len())?;
        let (len, outputs) = (self.spec.window_len(), self.spec.targets.len());
        for (slot, id) in ids.iter().enumerate() {
            let (segment, span, row) = self.window(*id);
            inputs[slot * len..(slot + 1) * len].copy_from_slice(&segment.features[span]);
            let target = &segment.targets[row * outputs..(row + 1) * outputs];
            targets[slot * outputs..(slot + 1) * outputs].copy_from_slice(target);
        }
        Ok(())
    }

    fn stamp(&self, id: usize) -> Result<Stamp> {
        let len = self.len();
        if id >= len {
            return Err(Error::invalid("sample id", id, format!("this source holds {len} samples")));
        }
        let (segment, _, row) = self.window(id);
        Ok(Stamp { symbol: segment.symbol, time: segment.times[row], target_end: segment.target_ends[row] })
    }

    fn symbols(&self) -> &[String] {
        &self.symbols
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    fn matrix(&self) -> Option<&MatrixWindows> {
        Some(self)
    }
}

fn check_segment(spec: &WindowSpec, symbols: &[String], number: usize, segment: &Segment) -> Result<()> {
    let rows = segment.times.len();
    let shape = [
        ("features", segment.features.len(), rows * spec.features.len()),
        ("targets", segment.targets.len(), rows * spec.targets.len()),
        ("target_ends", segment.target_ends.len(), rows),
    ];
    if let Some((name, got, want)) = shape.into_iter().find(|(_, got, want)| got != want) {
        return Err(Error::invalid(format!("segment {number} {name}"), got, format!("{rows} rows need {want}")));
    }
    if spec.steps == 0 || spec.features.is_empty() || spec.targets.is_empty() {
        let shape = format!("{} steps, {} features, {} targets", spec.steps, spec.features.len(), spec.targets.len());
        return Err(Error::invalid("window spec", shape, "each must be at least 1"));
    }
    if segment.symbol as usize >= symbols.len() {
        return Err(Error::invalid(format!("segment {number} symbol"), segment.symbol, "name a symbol of the table"));
    }
    match segment.times.windows(2).position(|pair| pair[0] >= pair[1]) {
        None => Ok(()),
        Some(row) => Err(Error::invalid(
            format!("segment {number} ({}) time of row {}", symbols[segment.symbol as usize], row + 1),
            segment.times[row + 1],
            "sort rows by time and drop duplicates",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(steps: usize) -> Result<MatrixWindows> {
        let segment = |symbol: u32, rows: i64| Segment {
            symbol,
            features: (0..rows * 2).map(|x| (100 * i64::from(symbol) + x) as f32).collect(),
            targets: (0..rows).map(|x| x as f32).collect(),
            times: (0..rows).map(Timestamp::from_micros).collect(),
            target_ends: (1..=rows).map(Timestamp::from_micros).collect(),
        };
        let spec =
            WindowSpec { steps, features: vec!["a".into(), "b".into()], targets: vec!["y".into()], scaler: None };
        MatrixWindows::all(spec, vec!["X".into(), "Y".into()], vec![segment(0, 5), segment(1, 3)].into())
    }

    #[test]
    fn windows_keep_the_contract() -> Result<()> {
        crate::contract::window_source(&windows(2)?)
    }

    #[test]
    fn windows_never_cross_a_symbol() -> Result<()> {
        let windows = windows(3)?;
        assert_eq!(windows.len(), 3 + 1);
        let (mut x, mut y) = ([0.0; 6], [0.0]);
        windows.gather(&[3], &mut x, &mut y)?;
        assert_eq!((x, y), ([100.0, 101.0, 102.0, 103.0, 104.0, 105.0], [2.0]));
        assert_eq!(windows.stamp(3)?.symbol, 1);
        Ok(())
    }

    #[test]
    fn a_window_before_its_segment_is_refused() -> Result<()> {
        let good = windows(3)?;
        let bad = MatrixWindows::new(good.spec().clone(), good.symbols().to_vec(), good.segments.clone(), vec![(1, 1)]);
        assert!(bad.is_err_and(|e| e.to_string().contains("segment 1, row 1")));
        Ok(())
    }

    #[test]
    fn a_changed_number_changes_the_fingerprint() -> Result<()> {
        let good = windows(2)?;
        let mut segments = good.segments.to_vec();
        segments[1].features[0] += 1.0;
        let other = MatrixWindows::all(good.spec().clone(), good.symbols().to_vec(), segments.into())?;
        assert_ne!(good.fingerprint(), other.fingerprint());
        Ok(())
    }
}
