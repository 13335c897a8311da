use super::{Gp, Proposal, Request, Sampler, Tpe, sobol};
use crate::samplers::cube::Cube;
use crate::{Domain, History, ParamValue, Result, TrialRecord};

/// Picks a sampler for each trial by the space and by what has worked so far, and says which and why.
///
/// Ten trials spread by a Sobol sequence; then a Gaussian process and TPE take turns, the one whose trials got better than all
/// before them more often, while there are up to 300 trials with results and up to 20 parameters; TPE alone beyond, where a
/// Gaussian process is slow, and in spaces with conditional parameters, which it does not know.
#[derive(Debug, Default)]
pub struct Auto {
    gp: Gp,
    tpe: Tpe,
}

const STARTUP: usize = 10;
const GP_TRIALS: usize = 300;
const GP_PARAMETERS: usize = 20;
/// How many of the last trials of each sampler count.
const MEMORY: usize = 20;

enum Choice {
    Spread,
    Gp(String),
    Tpe(String),
}

impl Auto {
    fn choose(request: &Request<'_>) -> Choice {
        let history = request.history;
        let evidence: Vec<&TrialRecord> = history.trials().iter().filter(|trial| trial.is_evidence()).collect();
        let cube = Cube::of(history);
        if evidence.len() < STARTUP {
            return Choice::Spread;
        }
        if has_conditions(history, &cube) {
            return Choice::Tpe("some parameters are conditional".into());
        }
        if evidence.len() > GP_TRIALS || cube.len() > GP_PARAMETERS {
            return Choice::Tpe(format!("{} trials of {} parameters", evidence.len(), cube.len()));
        }
        let (gp, tpe) = (credit(history, "auto: gp"), credit(history, "auto: tpe"));
        // Both always get a fair share, as what fails now may be what works later.
        let share = ((gp + 1.0) / (gp + tpe + 2.0)).clamp(0.25, 0.8);
        let why = format!("{gp} of its last trials were the best so far, of the other's {tpe}");
        if request.draws("auto").unit() < share { Choice::Gp(why) } else { Choice::Tpe(why) }
    }
}

/// Whether there is more to choose than the cube holds.
fn has_conditions(history: &History, cube: &Cube) -> bool {
    history.domains().values().filter(|domain| domain.cardinality() != Some(1)).count() > cube.len()
}

/// How many of a sampler's newest trials were better than all trials before them; on several objectives, not dominated by them.
fn credit(history: &History, by: &str) -> f64 {
    let (mut wins, mut front): (Vec<bool>, Vec<Vec<f64>>) = (Vec::new(), Vec::new());
    for trial in history.trials() {
        let Some(values) = trial.values() else { continue };
        let losses = history.losses(values);
        let feasible = trial.violation().is_none_or(|violation| violation <= 0.0);
        let beaten = |other: &Vec<f64>| crate::pareto::dominates(other, &losses) || other == &losses;
        let won = feasible && !front.iter().any(beaten);
        if won {
            front.retain(|other| !crate::pareto::dominates(&losses, other));
            front.push(losses);
        }
        if trial.by.starts_with(by) {
            wins.push(won);
        }
    }
    wins.iter().rev().take(MEMORY).filter(|won| **won).count() as f64
}

impl Sampler for Auto {
    fn propose(&self, request: &Request<'_>) -> Result<Option<Proposal>> {
        let (sampler, why): (&dyn Sampler, String) = match Self::choose(request) {
            Choice::Spread => {
                let cube = Cube::of(request.history);
                let point = sobol::point(request.history.header().seed, request.trial, cube.len());
                let other = |name: &str, domain: &Domain| Ok(domain.sample(&mut request.draws(name)));
                let params = cube.params(request, &point, other)?;
                return Ok(Some(Proposal::new(params, "auto: sobol, to start with")));
            }
            Choice::Gp(why) => (&self.gp, why),
            Choice::Tpe(why) => (&self.tpe, why),
        };
        let proposal = sampler.propose(request)?;
        Ok(proposal.map(|Proposal { params, by }| Proposal::new(params, format!("auto: {by}, as {why}"))))
    }

    fn suggest(&self, request: &Request<'_>, name: &str, domain: &Domain) -> Result<ParamValue> {
        self.tpe.suggest(request, name, domain)
    }

    fn identity(&self) -> String {
        "auto".into()
    }

    fn is_slow(&self, history: &History) -> bool {
        let trials = history.trials().len();
        trials > 30 && trials <= GP_TRIALS + 50 && !has_conditions(history, &Cube::of(history))
    }
}
