//! A strict reader of the Prometheus text format 0.0.4, as far as this crate writes it.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug)]
pub(crate) struct Exposition {
    pub(crate) families: BTreeMap<String, Family>,
}

#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) help: String,
    pub(crate) kind: String,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug)]
pub(crate) struct Sample {
    name: String,
    pub(crate) labels: BTreeMap<String, String>,
    value: f64,
}

impl Exposition {
    /// Each family has one HELP, one TYPE and then its samples; no sample comes twice; buckets grow.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let (name, help) =
                line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')).ok_or(format!("no HELP: {line}"))?;
            let kind = lines
                .next()
                .and_then(|line| line.strip_prefix("# TYPE ")?.strip_prefix(name)?.strip_prefix(' '))
                .ok_or(format!("no TYPE after HELP of {name}"))?;
            let mut family = Family { help: help.into(), kind: kind.into(), samples: vec![] };
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                let sample = Sample::parse(line)?;
                let suffix = sample.name.strip_prefix(name).ok_or(format!("{line} is not of {name}"))?;
                let allowed: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                if !allowed.contains(&suffix) {
                    return Err(format!("{line} does not suit a {kind}"));
                }
                if !seen.insert((sample.name.clone(), sample.labels.clone())) {
                    return Err(format!("{line} comes twice"));
                }
                family.samples.push(sample);
            }
            let buckets: Vec<f64> =
                family.samples.iter().filter(|s| s.name.ends_with("_bucket")).map(|s| s.value).collect();
            if !buckets.is_sorted() {
                return Err(format!("the buckets of {name} are not cumulative"));
            }
            if family.samples.is_empty() || families.insert(name.into(), family).is_some() {
                return Err(format!("{name} is empty or comes twice"));
            }
        }
        Ok(Self { families })
    }

    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let samples = self.families.values().flat_map(|family| &family.samples);
        samples.into_iter().find(|sample| sample.name == name && sample.labels == labels).map(|sample| sample.value)
    }
}

impl Sample {
    fn parse(line: &str) -> Result<Self, String> {
        let bad = || format!("not a sample: {line}");
        let (series, value) = line.rsplit_once(' ').ok_or_else(bad)?;
        let (name, rest) = series.split_once('{').unwrap_or((series, "}"));
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(bad());
        }
        let mut labels = BTreeMap::new();
        for pair in rest.strip_suffix('}').ok_or_else(bad)?.split(',').filter(|pair| !pair.is_empty()) {
            let (label, value) = pair.split_once('=').ok_or_else(bad)?;
            let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).ok_or_else(bad)?;
            if labels.insert(label.to_owned(), value.to_owned()).is_some() {
                return Err(bad());
            }
        }
        Ok(Self { name: name.into(), labels, value: value.parse().map_err(|_| bad())? })
    }
}
