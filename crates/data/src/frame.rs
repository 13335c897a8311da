use std::sync::Arc;

use tapeloom_core::{Fingerprint, Segment, Timestamp, WindowSpec};

use crate::engine::Computed;
use crate::pipeline::PipelineConfig;
use crate::validation::ValidationReport;
use crate::{Error, Result};

/// What is known of the bars behind a frame.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) report: ValidationReport,
    pub(crate) inputs: Vec<(String, Fingerprint)>,
    pub(crate) fingerprint: Fingerprint,
}

/// Features and labels of every symbol, unscaled: one row-major f32 matrix for each symbol.
#[derive(Clone, Debug)]
pub struct FeatureFrame {
    spec: WindowSpec,
    symbols: Vec<String>,
    left_out: Vec<String>,
    segments: Arc<[Segment]>,
    report: ValidationReport,
    inputs: Vec<(String, Fingerprint)>,
    fingerprint: Fingerprint,
}

impl FeatureFrame {
    pub(crate) fn new(config: &PipelineConfig, computed: Computed, checked: Checked) -> Result<Self> {
        let names = config.feature_names();
        let look_back = config.look_back() as i64;
        let (mut symbols, mut segments): (Vec<String>, Vec<Segment>) = (Vec::new(), Vec::new());
        for row in (0..computed.times.len()).filter(|row| computed.age[*row] >= look_back) {
            if symbols.last() != Some(&computed.symbols[row]) {
                let symbol = symbols.len() as u32;
                symbols.push(computed.symbols[row].clone());
                let (features, targets, times, target_ends) = Default::default();
                segments.push(Segment { symbol, features, targets, times, target_ends });
            }
            let Some(segment) = segments.last_mut() else { continue };
            let time = Timestamp::from_micros(computed.times[row]);
            for (name, column) in names.iter().zip(&computed.features) {
                if !column[row].is_finite() {
                    let place = format!("feature {name} of {} at {time}", computed.symbols[row]);
                    return Err(Error::invalid(place, column[row], "raise its look-back, or mend the expression"));
                }
                segment.features.push(column[row] as f32);
            }
            segment.times.push(time);
            // A row whose target lies beyond the data stays, for it can be forecast; it is no sample.
            segment.targets.push(computed.labels[row] as f32);
            segment.target_ends.push(computed.label_ends[row].map_or(time, Timestamp::from_micros));
        }
        if segments.iter().all(|s| s.times.len() < config.window_steps) {
            let longest = segments.iter().map(|s| s.times.len()).max().unwrap_or(0);
            let remedy =
                format!("no symbol has that many rows: the longest has {longest} behind a look-back of {look_back}");
            return Err(Error::invalid("window_steps", config.window_steps, remedy));
        }
        let mut left_out = computed.symbols;
        left_out.dedup();
        left_out.retain(|symbol| symbols.binary_search(symbol).is_err());
        let spec = WindowSpec {
            steps: config.window_steps,
            features: names,
            targets: vec![config.label.name()],
            scaler: None,
        };
        let Checked { report, inputs, fingerprint } = checked;
        Ok(Self { spec, symbols, left_out, segments: segments.into(), report, inputs, fingerprint })
    }

    /// The shape of windows; without a scaler, for nothing is scaled yet.
    #[must_use]
    pub const fn spec(&self) -> &WindowSpec {
        &self.spec
    }

    /// Names of the symbols, sorted.
    #[must_use]
    pub fn symbols(&self) -> &[String] {
        &self.symbols
    }

    /// Symbols whose history is too short for one whole row; they are not among [`FeatureFrame::symbols`].
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// One matrix for each symbol.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// What validation saw.
    #[must_use]
    pub const fn report(&self) -> &ValidationReport {
        &self.report
    }

    /// What was read: file or batch, and the fingerprint of the file as stored or of the batch's bars.
    #[must_use]
    pub fn inputs(&self) -> &[(String, Fingerprint)] {
        &self.inputs
    }

    /// Identifies the config and every bar, but not the container that held the bars.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Rows over all symbols.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.segments.iter().map(|s| s.times.len()).sum()
    }

    /// Every moment at which some symbol has a row, in order.
    #[must_use]
    pub fn times(&self) -> Vec<Timestamp> {
        let mut times: Vec<Timestamp> = self.segments.iter().flat_map(|s| &s.times).copied().collect();
        times.sort_unstable();
        times.dedup();
        times
    }

    /// The newest window of a symbol, raw and row-major `[steps, features]`, and the time of its last row.
    #[must_use]
    pub fn last_window(&self, symbol: &str) -> Option<(Timestamp, Vec<f32>)> {
        let at = self.symbols.iter().position(|s| s == symbol)?;
        let segment = &self.segments[at];
        let from = segment.features.len().checked_sub(self.spec.window_len())?;
        Some((*segment.times.last()?, segment.features[from..].to_vec()))
    }

    /// The same frame with the targets dealt out anew at random among all rows that have one. Nothing can be learned from
    /// it, so whatever a model then shows is the test's own noise, or a leak.
    #[must_use]
    pub fn shuffle_targets(&self, seed: u64) -> Self {
        let mut segments = self.segments.to_vec();
        let places: Vec<(usize, usize)> = segments
            .iter()
            .enumerate()
            .flat_map(|(s, segment)| (0..segment.targets.len()).map(move |row| (s, row)))
            .filter(|(s, row)| segments[*s].targets[*row].is_finite())
            .collect();
        let order = tapeloom_core::Permutation::new(places.len().max(1) as u64, seed);
        for (i, (s, row)) in places.iter().enumerate() {
            let (from_segment, from_row) = places[order.at(i as u64) as usize];
            segments[*s].targets[*row] = self.segments[from_segment].targets[from_row];
        }
        Self { segments: segments.into(), ..self.clone() }
    }
}
