use std::cmp::Ordering;

use super::{Proposal, Request, Sampler};
use crate::pareto::ranks;
use crate::{Draws, History, ParamValue, Result, TrialRecord};

/// NSGA-II: evolves a population towards the front of several objectives, for thousands of cheap trials (Deb and others, "A
/// fast and elitist multiobjective genetic algorithm", 2002).
///
/// The parents of a trial are drawn from the best `population` complete trials so far, so workers never wait for a generation.
/// A child takes each parameter from either parent; each is then drawn anew with a chance of one over their number. Knows
/// conditional and categorical parameters, and constraints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nsga2 {
    population: usize,
}

impl Nsga2 {
    /// With a population of this size; 50 is usual.
    #[must_use]
    pub const fn new(population: usize) -> Self {
        Self { population: if population < 2 { 2 } else { population } }
    }

    /// The best trials with a value for each objective: how far each breaks constraints, its front, and how alone it is there.
    fn parents<'a>(&self, history: &'a History) -> Vec<Parent<'a>> {
        let complete = history.trials().iter().filter_map(|t| Some((t, history.losses(t.values()?))));
        let complete: Vec<(&TrialRecord, Vec<f64>)> = complete.collect();
        let violation = |trial: &TrialRecord| trial.violation().unwrap_or(0.0);
        let (feasible, broken): (Vec<_>, Vec<_>) = complete.into_iter().partition(|(trial, _)| violation(trial) <= 0.0);
        let points: Vec<&[f64]> = feasible.iter().map(|(_, losses)| losses.as_slice()).collect();
        let ranks = ranks(&points, self.population);
        let mut parents: Vec<Parent<'_>> = Vec::new();
        for rank in 0..=ranks.iter().copied().max().unwrap_or(0) {
            let front: Vec<usize> = (0..points.len()).filter(|i| ranks[*i] == rank).collect();
            let crowding = crowding(&front.iter().map(|i| points[*i]).collect::<Vec<_>>());
            let of = |(i, alone): (&usize, f64)| Parent { trial: feasible[*i].0, violation: 0.0, rank, alone };
            parents.extend(front.iter().zip(crowding).map(of));
            if parents.len() >= self.population {
                break;
            }
        }
        let broken = broken.iter().map(|(trial, _)| Parent { trial, violation: violation(trial), rank: 0, alone: 0.0 });
        parents.extend(broken);
        parents.sort_by(Parent::order);
        parents.truncate(self.population);
        parents
    }
}

impl Default for Nsga2 {
    fn default() -> Self {
        Self::new(50)
    }
}

#[derive(Debug)]
struct Parent<'a> {
    trial: &'a TrialRecord,
    violation: f64,
    rank: usize,
    alone: f64,
}

impl Parent<'_> {
    /// Who is less than another is the better parent.
    fn order(&self, other: &Self) -> Ordering {
        let order = self.violation.total_cmp(&other.violation).then(self.rank.cmp(&other.rank));
        order.then(other.alone.total_cmp(&self.alone)).then(self.trial.number.cmp(&other.trial.number))
    }
}

/// How much room each point of a front has between its neighbours, in each objective.
fn crowding(front: &[&[f64]]) -> Vec<f64> {
    let mut alone = vec![0.0; front.len()];
    for j in 0..front.first().map_or(0, |point| point.len()) {
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|a, b| front[*a][j].total_cmp(&front[*b][j]));
        let (first, last) = (order[0], order[order.len() - 1]);
        let range = front[last][j] - front[first][j];
        for i in [first, last] {
            alone[i] = f64::INFINITY;
        }
        if range > 0.0 && range.is_finite() {
            order.windows(3).for_each(|w| alone[w[1]] += (front[w[2]][j] - front[w[0]][j]) / range);
        }
    }
    alone
}

fn tournament<'a, 'b>(parents: &'b [Parent<'a>], draws: &mut Draws) -> &'b Parent<'a> {
    let mut pick = || &parents[draws.below(parents.len() as u64) as usize];
    let (a, b) = (pick(), pick());
    if a.order(b).is_le() { a } else { b }
}

impl Sampler for Nsga2 {
    fn propose(&self, request: &Request<'_>) -> Result<Option<Proposal>> {
        const CROSSOVER: f64 = 0.9;
        let parents = self.parents(request.history);
        if parents.len() < self.population {
            let params = request.fill(|name, domain| Ok(domain.sample(&mut request.draws(name))))?;
            return Ok(Some(Proposal::new(params, "random, to start with")));
        }
        let mut draws = request.draws("nsga2");
        let mother = tournament(&parents, &mut draws);
        let mut father = tournament(&parents, &mut draws);
        for _ in 0..10 {
            if father.trial.number != mother.trial.number {
                break;
            }
            father = tournament(&parents, &mut draws);
        }
        let crossed = draws.unit() < CROSSOVER;
        let change = 1.0 / request.history.domains().len().max(1) as f64;
        let inherited = |name: &str, draws: &mut Draws| -> Option<&ParamValue> {
            let (one, other) = if crossed && draws.unit() < 0.5 { (father, mother) } else { (mother, father) };
            one.trial.params.value(name).or_else(|| other.trial.params.value(name))
        };
        let params = request.fill(|name, domain| {
            let value = inherited(name, &mut draws).filter(|value| domain.contains(value));
            match value {
                Some(value) if draws.unit() >= change => Ok(value.clone()),
                _ => Ok(domain.sample(&mut request.draws(name))),
            }
        })?;
        let by = format!("nsga2, from trials {} and {}", mother.trial.number, father.trial.number);
        Ok(Some(Proposal::new(params, by)))
    }

    fn identity(&self) -> String {
        format!("nsga2 (population {})", self.population)
    }
}
