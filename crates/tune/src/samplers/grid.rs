use std::collections::BTreeMap;

use tapeloom_core::{Fingerprinter, Permutation, hash_words};

use super::{Proposal, Request, Sampler};
use crate::{Domain, Error, ParamValue, Params, Result, Space};

/// Tries every combination of values once, in an order that the study's seed shuffles.
///
/// Parameters that are not active in a combination do not multiply it. A trial's cell follows from its place among those that
/// were not enqueued, so workers never repeat one another's.
///
/// ```
/// use tapeloom_tune::{Grid, Sampler, Space};
///
/// let space = Space::builder().log_float("lr", 1e-4..=1e-2).categorical("cell", ["lstm", "gru"]).build()?;
/// let grid = Grid::over(&space).points("lr", 3).build()?; // 1e-4, 1e-3 and 1e-2
/// assert_eq!(grid.len(), 6);
/// # Ok::<(), tapeloom_tune::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Grid {
    space: Space,
    /// Per parameter.
    points: Vec<Vec<ParamValue>>,
    /// Per combination and parameter an index into the points.
    cells: Vec<Vec<Option<u32>>>,
    identity: String,
}

/// Says how finely a [`Grid`] covers each range.
#[derive(Clone, Debug)]
pub struct GridBuilder {
    space: Space,
    counts: BTreeMap<String, u32>,
}

impl Grid {
    /// More combinations than this are refused: nobody trains that many models.
    pub const MAX_CELLS: usize = 1_000_000;

    /// Starts a grid over all of `space`.
    #[must_use]
    pub fn over(space: &Space) -> GridBuilder {
        GridBuilder { space: space.clone(), counts: BTreeMap::new() }
    }

    /// Combinations in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Never: a space has a parameter, and a parameter has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    fn cell(&self, cell: &[Option<u32>]) -> Params {
        let parameters = self.space.parameters().iter().zip(&self.points).zip(cell);
        let values = parameters.filter_map(|((parameter, points), index)| {
            index.map(|index| (parameter.name().to_owned(), points[index as usize].clone()))
        });
        values.collect()
    }
}

impl Sampler for Grid {
    fn propose(&self, request: &Request<'_>) -> Result<Option<Proposal>> {
        let len = self.cells.len() as u64;
        // Trials whose parameters a person chose take no cell.
        let before = request.history.trials().iter().take(request.trial as usize);
        let place = request.trial - before.filter(|trial| trial.by == "enqueued").count() as u64;
        if place >= len {
            return Ok(None);
        }
        let order = Permutation::new(len, hash_words(&[request.history.header().seed, len]));
        let cell = self.cells.get(order.at(place) as usize);
        Ok(cell.map(|cell| Proposal::new(self.cell(cell), "grid")))
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn check(&self, space: Option<&Space>, _: usize) -> Result<()> {
        if space == Some(&self.space) {
            return Ok(());
        }
        Err(Error::invalid("sampler", "grid", "build the grid over the space of the study"))
    }
}

impl GridBuilder {
    /// Takes `count` values of the range `name`, evenly from its low end to its high end, in the logarithm of log ranges.
    /// Needed for continuous ranges; a range of whole numbers or steps is otherwise taken whole.
    #[must_use]
    pub fn points(mut self, name: impl Into<String>, count: u32) -> Self {
        self.counts.insert(name.into(), count);
        self
    }

    /// The grid.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a range without a finite number of values, a count that does not fit its range, a name that
    /// the space does not have, and more than [`Grid::MAX_CELLS`] combinations.
    pub fn build(self) -> Result<Grid> {
        let parameters = self.space.parameters();
        if let Some(name) = self.counts.keys().find(|name| parameters.iter().all(|p| p.name() != name.as_str())) {
            return Err(Error::invalid("points", name, "name a parameter of the space"));
        }
        let points = parameters.iter().map(|p| points(p.name(), p.domain(), self.counts.get(p.name()).copied()));
        let points = points.collect::<Result<Vec<_>>>()?;
        let mut print = Fingerprinter::default();
        parameters.iter().zip(&points).for_each(|(parameter, points)| {
            print.add(parameter.name().as_bytes());
            points.iter().for_each(|value| {
                print.add(value.to_string().as_bytes());
            });
        });
        let cells = cells(&self.space, &points)?;
        let identity = format!("grid of {} cells, {}", cells.len(), print.finish());
        Ok(Grid { space: self.space, points, cells, identity })
    }
}

fn points(name: &str, domain: &Domain, count: Option<u32>) -> Result<Vec<ParamValue>> {
    let whole = domain.cardinality();
    let Some(count) = count else {
        let Some(len) = whole else {
            return Err(Error::invalid(
                name,
                domain,
                "say with `points` how many values of a continuous range to take",
            ));
        };
        if len > Grid::MAX_CELLS as u64 {
            return Err(Error::invalid(name, domain, "say with `points` how many of so many values to take"));
        }
        return Ok((0..len).filter_map(|i| domain.at(i)).collect());
    };
    let refuse = |remedy: &str| Err(Error::invalid(format!("points of {name}"), count, remedy));
    if matches!(domain, Domain::Categorical { .. }) {
        return refuse("leave it out: choices are always taken whole");
    }
    if count < 2 {
        return refuse("take at least the two ends");
    }
    if count as usize > Grid::MAX_CELLS || whole.is_some_and(|len| u64::from(count) > len) {
        return refuse("take no more than the range has");
    }
    let mut points: Vec<_> = (0..count).filter_map(|i| point(domain, i, count - 1)).collect();
    points.dedup();
    if points.len() < count as usize {
        return refuse("take fewer: neighbours fall on the same value");
    }
    Ok(points)
}

/// The point at `i / last` of the way through a range.
fn point(domain: &Domain, i: u32, last: u32) -> Option<ParamValue> {
    let part = f64::from(i) / f64::from(last);
    let mix = |low: f64, high: f64| if i == last { high } else { low + (high - low) * part };
    let log_mix = |low: f64, high: f64| if i == 0 { low } else { mix(low.ln(), high.ln()).exp().clamp(low, high) };
    Some(match domain {
        Domain::Float { low, high } => ParamValue::Float(mix(*low, *high)),
        Domain::LogFloat { high, .. } if i == last => ParamValue::Float(*high),
        Domain::LogFloat { low, high } => ParamValue::Float(log_mix(*low, *high)),
        Domain::LogInt { low, high } => ParamValue::Int(log_mix(*low as f64, *high as f64).round() as i64),
        Domain::SteppedFloat { .. } | Domain::Int { .. } | Domain::Categorical { .. } => {
            let (i, last, top) = (u128::from(i), u128::from(last), u128::from(domain.cardinality()? - 1));
            return domain.at(((top * i + last / 2) / last) as u64);
        }
    })
}

/// All combinations, parameter by parameter; one that is not active adds none.
fn cells(space: &Space, points: &[Vec<ParamValue>]) -> Result<Vec<Vec<Option<u32>>>> {
    let mut cells = vec![(Vec::new(), Params::default())];
    for (parameter, points) in space.parameters().iter().zip(points) {
        let mut longer = Vec::new();
        for (cell, parents) in cells {
            let active = parameter.is_active(&parents);
            let indices = if active { (0..points.len() as u32).map(Some).collect() } else { vec![None] };
            if longer.len() + indices.len() > Grid::MAX_CELLS {
                let remedy = "take fewer points: the combinations are too many to train";
                return Err(Error::invalid("grid", format!("more than {} cells", Grid::MAX_CELLS), remedy));
            }
            for index in indices {
                let mut cell: Vec<Option<u32>> = cell.clone();
                cell.push(index);
                let mut parents = parents.clone();
                // Only choices can be asked for by conditions.
                if let Some(choice @ ParamValue::Category(_)) = index.map(|i| &points[i as usize]) {
                    parents.insert(parameter.name(), choice.clone());
                }
                longer.push((cell, parents));
            }
        }
        cells = longer;
    }
    Ok(cells.into_iter().map(|(cell, _)| cell).collect())
}
