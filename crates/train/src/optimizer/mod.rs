//! What moves the weights: the rules, the groups of parameters, the schedule of the rate, and averages of the weights.

mod averages;
mod pieces;
mod rules;
mod schedule;
mod sharded;

use std::ops::Range;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::store::RecordError;
use burn::tensor::{Bytes, Device, Int, Tensor};
use tapeloom_model::{AdamW, Clip, Dials, Slot};

use crate::config::OptimizerConfig;
use rules::Rule;

pub(crate) use averages::Averages;
pub(crate) use pieces::Pieces;
pub(crate) use schedule::Plateau;
pub use schedule::{ScheduleConfig, Shape};
pub(crate) use sharded::rows;

/// One rule over all parameters of a network at once. Its state lists the parameters in the network's own order.
#[derive(Clone, Debug)]
pub(crate) struct Optimizer {
    state: State,
    time: u64,
    /// Of each parameter.
    settings: Vec<Settings>,
    /// What of each parameter it moves; the state is of that.
    pieces: Pieces,
}

/// What may differ from parameter to parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Settings {
    /// Factor on the learning rate; 0 is frozen.
    rate_factor: f64,
    weight_decay: f64,
}

/// As a module of Burn, so that it is stored as the weights are.
#[derive(Module, Debug)]
struct State {
    first: Vec<Param<Tensor<1>>>,
    second: Vec<Param<Tensor<1>>>,
    /// Updates done.
    time: Param<Tensor<1, Int>>,
}

impl State {
    fn zeros(config: &OptimizerConfig, pieces: &Pieces, device: &Device) -> Self {
        let time = Param::initialized(ParamId::from(0), Tensor::from_ints([0], device));
        let mut state = Self { first: Vec::new(), second: Vec::new(), time };
        let kept = rules::moments(config);
        for piece in pieces.iter() {
            // A moment that the rule does not keep is one number, so that all states look alike.
            state.push(kept.map(|kept| Tensor::zeros([if kept { piece.len().max(1) } else { 1 }], device)));
        }
        state
    }

    /// The moments of all parameters; none are left.
    fn take(&mut self) -> Vec<[Tensor<1>; 2]> {
        let values = |params: &mut Vec<Param<Tensor<1>>>| std::mem::take(params).into_iter().map(Param::into_value);
        let (first, second) = (values(&mut self.first), values(&mut self.second));
        first.zip(second).map(|(first, second)| [first, second]).collect()
    }

    /// The moments of the next parameter. Ids are places, so that equal states are equal bytes.
    fn push(&mut self, moments: [Tensor<1>; 2]) {
        let place = 2 * self.first.len() as u64 + 1;
        let [first, second] = moments;
        self.first.push(Param::initialized(ParamId::from(place), first).no_grad());
        self.second.push(Param::initialized(ParamId::from(place + 1), second).no_grad());
    }
}

impl Optimizer {
    /// Moments of zero for what rank `rank` of `world_size` moves of `network`, on the plain `device`.
    pub(crate) fn new<M: Module>(
        config: &OptimizerConfig,
        network: &M,
        device: &Device,
        (rank, world_size): (usize, usize),
    ) -> Self {
        let mut parameters = Parameters { config, path: Vec::new(), sizes: Vec::new(), settings: Vec::new() };
        network.visit(&mut parameters);
        let pieces = Pieces::new(parameters.sizes, rank, world_size);
        let state = State::zeros(config, &pieces, device);
        Self { state, time: 0, settings: parameters.settings, pieces }
    }

    /// Counts the update to come.
    pub(crate) const fn begin_update(&mut self) {
        self.time += 1;
    }

    /// The rule of the update that has begun, when dials can stand for what changes in it: one rate for all parameters. What they
    /// decay by does not change.
    pub(crate) fn dialled(&self, config: &OptimizerConfig, learning_rate: f64) -> Option<AdamW> {
        let first =
            self.settings.first().filter(|first| self.settings.iter().all(|s| s.rate_factor == first.rate_factor))?;
        let fused = |s: &Settings| self.rule(config, learning_rate, *s).fused();
        self.settings.iter().all(|s| fused(s).is_some()).then(|| fused(first))?
    }

    /// The update that has begun, of a network that is moved as a whole. Nothing moves, and nothing is read from the device, where
    /// a gradient is not finite.
    pub(crate) fn step<M: Module>(
        &mut self,
        config: &OptimizerConfig,
        learning_rate: f64,
        network: M,
        gradients: GradientsParams,
        clip: &Clip,
        dials: Option<&Dials>,
    ) -> M {
        let mut rows = Rows { gradients, rows: Vec::new() };
        network.visit(&mut rows);
        let moved = self.advance(config, learning_rate, &network, rows.rows, clip, dials);
        network.map(&mut Assign(moved.into_iter()))
    }

    /// Moves the pieces of the parameters whose gradients are there, in the network's order, and gives them; and the state.
    fn advance<M: Module>(
        &mut self,
        config: &OptimizerConfig,
        learning_rate: f64,
        network: &M,
        gradients: Vec<Option<Tensor<1>>>,
        clip: &Clip,
        dials: Option<&Dials>,
    ) -> Vec<Option<Tensor<1>>> {
        let parameters = Parameter::of(network, &self.pieces);
        let (mut slots, mut of_slot) = (Vec::new(), Vec::new());
        let old = self.state.take();
        let mut idle = Vec::with_capacity(old.len());
        for (((parameter, gradient), settings), [first, second]) in
            parameters.into_iter().zip(gradients).zip(&self.settings).zip(old)
        {
            match parameter.zip(gradient).filter(|_| settings.rate_factor > 0.0) {
                Some((parameter, mut gradient)) => {
                    if config.gradient_clip_value > 0.0 {
                        gradient = gradient.clamp(-config.gradient_clip_value, config.gradient_clip_value);
                    }
                    slots.push([parameter, gradient, first, second]);
                    of_slot.push(*settings);
                    idle.push(None);
                }
                None => idle.push(Some([first, second])),
            }
        }
        let mut moved = self.update(config, learning_rate, slots, &of_slot, clip, dials).into_iter();
        idle.into_iter()
            .map(|idle| {
                let (parameter, moments) = match idle {
                    Some(moments) => (None, moments),
                    None => {
                        let [parameter, first, second] = moved.next().expect("each slot comes back");
                        (Some(parameter), [first, second])
                    }
                };
                self.state.push(moments);
                parameter
            })
            .collect()
    }

    /// One call of the rule for each different setting; as a rule there is one.
    fn update(
        &self,
        config: &OptimizerConfig,
        learning_rate: f64,
        slots: Vec<Slot>,
        settings: &[Settings],
        clip: &Clip,
        dials: Option<&Dials>,
    ) -> Vec<[Tensor<1>; 3]> {
        let rule = |s: Settings| self.rule(config, learning_rate, s);
        let Some(first) = settings.first() else { return Vec::new() };
        if settings.iter().all(|s| s == first) {
            return rule(*first).update(slots, clip, dials);
        }
        let mut groups: Vec<(Settings, Vec<usize>, Vec<Slot>)> = Vec::new();
        for (place, (slot, s)) in slots.into_iter().zip(settings).enumerate() {
            let at = groups.iter().position(|group| group.0 == *s).unwrap_or(groups.len());
            if at == groups.len() {
                groups.push((*s, Vec::new(), Vec::new()));
            }
            groups[at].1.push(place);
            groups[at].2.push(slot);
        }
        let moved = groups
            .into_iter()
            .flat_map(|(s, places, slots)| places.into_iter().zip(rule(s).update(slots, clip, dials)));
        let mut moved: Vec<(usize, [Tensor<1>; 3])> = moved.collect();
        moved.sort_unstable_by_key(|(place, _)| *place);
        moved.into_iter().map(|(_, slot)| slot).collect()
    }

    const fn rule<'a>(&self, config: &'a OptimizerConfig, learning_rate: f64, s: Settings) -> Rule<'a> {
        let learning_rate = learning_rate * s.rate_factor;
        Rule { config, learning_rate, weight_decay: s.weight_decay, time: self.time }
    }

    /// The same state in memory of its own.
    pub(crate) fn fork(&self) -> Self {
        Self { state: fork(self.state.clone()), ..self.clone() }
    }

    /// Takes back the count of an update that did nothing, since a gradient was not finite.
    pub(crate) fn forget_update(&mut self) {
        self.time -= 1;
    }

    /// In Burn's burnpack format.
    pub(crate) fn encode(&self) -> Result<Bytes, RecordError> {
        let mut state = self.state.clone();
        let device = state.time.val().device();
        state.time = Param::initialized(state.time.id, Tensor::from_ints([self.time as i64], &device));
        state.into_record().into_bytes()
    }
}

/// The same module, its numbers in memory that nothing else holds.
pub(crate) fn fork<M: Module>(module: M) -> M {
    struct Copy;
    impl ModuleMapper for Copy {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, old, mapper) = param.consume();
            let tracked = old.is_require_grad();
            // Times one, which alone is the same number for every number, minus zero among them.
            let new = if old.device().is_autodiff() {
                Tensor::from_inner(old.inner() * 1.0).set_require_grad(tracked)
            } else {
                old * 1.0
            };
            Param::from_mapped_value(id, new, mapper)
        }
    }
    module.map(&mut Copy)
}

/// Size and settings of each parameter.
struct Parameters<'a> {
    config: &'a OptimizerConfig,
    path: Vec<String>,
    sizes: Vec<usize>,
    settings: Vec<Settings>,
}

impl ModuleVisitor for Parameters<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (config, path) = (self.config, self.path.join("."));
        let group = config.groups.iter().find(|group| path.contains(&group.path));
        let plain = if config.decay_matrices_only && D < 2 { 0.0 } else { config.weight_decay };
        self.sizes.push(param.val().shape().num_elements());
        self.settings.push(Settings {
            rate_factor: group.map_or(1.0, |group| group.rate_factor),
            weight_decay: group.and_then(|group| group.weight_decay).unwrap_or(plain),
        });
    }
}

/// The gradient of each parameter as a row, none where it has none.
struct Rows {
    gradients: GradientsParams,
    rows: Vec<Option<Tensor<1>>>,
}

impl ModuleVisitor for Rows {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.rows.push(self.gradients.remove::<D>(param.id).map(|gradient| gradient.flatten(0, D - 1)));
    }
}

/// The piece of each parameter, none where it is empty.
struct Parameter<'a> {
    pieces: std::slice::Iter<'a, Range<usize>>,
    rows: Vec<Option<Tensor<1>>>,
}

impl<'a> Parameter<'a> {
    fn of<M: Module>(network: &M, pieces: &'a Pieces) -> Vec<Option<Tensor<1>>> {
        let mut parameters = Self { pieces: pieces.iter(), rows: Vec::new() };
        network.visit(&mut parameters);
        parameters.rows
    }
}

impl ModuleVisitor for Parameter<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let piece = self.pieces.next().expect("the pieces were made for this network");
        let row = param.val().inner().flatten::<1>(0, D - 1);
        let len = row.dims()[0];
        self.rows.push(match piece.len() {
            0 => None,
            all if all == len => Some(row),
            _ => Some(row.slice([piece.clone()])),
        });
    }
}

/// Puts whole parameters in their places.
struct Assign<I>(I);

impl<I: Iterator<Item = Option<Tensor<1>>>> ModuleMapper for Assign<I> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(row) = self.0.next().expect("the network is visited in the same order") else { return param };
        let (id, old, mapper) = param.consume();
        let new = Tensor::from_inner(row.reshape(old.dims())).set_require_grad(old.is_require_grad());
        Param::from_mapped_value(id, new, mapper)
    }
}
