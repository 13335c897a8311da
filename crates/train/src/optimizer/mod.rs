//! What moves the weights: the rules, the groups of parameters, the schedule of the rate, and averages of the weights.

mod averages;
mod rules;
mod schedule;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::{Bytes, Device, Int, Tensor};
use tapeloom_model::{AdamW, Clip, Dials, Slot};

use crate::config::OptimizerConfig;
use rules::Rule;

pub(crate) use averages::Averages;
pub(crate) use schedule::Plateau;
pub use schedule::{ScheduleConfig, Shape};

/// One rule over all parameters of a network at once. Its state lists the parameters in the network's own order.
#[derive(Clone, Debug)]
pub(crate) struct Optimizer {
    state: State,
    time: u64,
    /// Of each parameter.
    settings: Vec<Settings>,
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
    /// The moments of the next parameter. Ids are places, so that equal states are equal bytes.
    fn push(&mut self, moments: [Tensor<1>; 2]) {
        let place = 2 * self.first.len() as u64 + 1;
        let [first, second] = moments;
        self.first.push(Param::initialized(ParamId::from(place), first).no_grad());
        self.second.push(Param::initialized(ParamId::from(place + 1), second).no_grad());
    }
}

impl Optimizer {
    /// Moments of zero for each parameter of `network`, on the plain `device`.
    pub(crate) fn new<M: Module>(config: &OptimizerConfig, network: &M, device: &Device) -> Self {
        let mut parameters = Parameters { config, path: Vec::new(), sizes: Vec::new(), settings: Vec::new() };
        network.visit(&mut parameters);
        let time = Param::initialized(ParamId::from(0), Tensor::from_ints([0], device));
        let mut state = State { first: Vec::new(), second: Vec::new(), time };
        let kept = rules::moments(config);
        for size in parameters.sizes {
            // A moment that the rule does not keep is one number, so that all states look alike.
            state.push(kept.map(|kept| Tensor::zeros([if kept { size } else { 1 }], device)));
        }
        Self { state, time: 0, settings: parameters.settings }
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

    /// The update that has begun. Nothing moves, and nothing is read from the device, where a gradient is not finite.
    pub(crate) fn step<M: Module>(
        &mut self,
        config: &OptimizerConfig,
        learning_rate: f64,
        network: M,
        gradients: GradientsParams,
        clip: &Clip,
        dials: Option<&Dials>,
    ) -> M {
        let moments = |params: &mut Vec<Param<Tensor<1>>>| std::mem::take(params).into_iter().map(Param::into_value);
        let mut collect = Collect {
            moments: moments(&mut self.state.first)
                .zip(moments(&mut self.state.second))
                .collect::<Vec<_>>()
                .into_iter(),
            settings: self.settings.iter(),
            bound: config.gradient_clip_value,
            gradients,
            slots: Vec::new(),
            of_slot: Vec::new(),
            idle: Vec::new(),
        };
        network.visit(&mut collect);
        let Collect { slots, of_slot, idle, .. } = collect;
        let mut moved = self.update(config, learning_rate, slots, &of_slot, clip, dials).into_iter();
        let mut assign = Assign { idle: idle.into_iter(), moved: &mut moved, state: &mut self.state };
        network.map(&mut assign)
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
        Self { state: fork(self.state.clone()), time: self.time, settings: self.settings.clone() }
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

    /// The state that [`Optimizer::encode`] wrote for a network of the same shape.
    pub(crate) fn decode(&self, bytes: Vec<u8>) -> Result<Self, RecordError> {
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes))?;
        let state = self.state.clone().try_load_record(record)?;
        let time = state.time.val().into_data().iter::<i64>().next().unwrap_or(0) as u64;
        Ok(Self { state, time, settings: self.settings.clone() })
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

struct Collect<'a, I> {
    moments: I,
    settings: std::slice::Iter<'a, Settings>,
    /// Largest absolute value of a gradient's numbers; 0 is no bound.
    bound: f64,
    gradients: GradientsParams,
    slots: Vec<Slot>,
    of_slot: Vec<Settings>,
    /// For each parameter its moments when it has no gradient, or is frozen, and stays as it is.
    idle: Vec<Option<[Tensor<1>; 2]>>,
}

impl<I: Iterator<Item = (Tensor<1>, Tensor<1>)>> ModuleVisitor for Collect<'_, I> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (first, second) = self.moments.next().expect("the state was made for this network");
        let settings = self.settings.next().expect("the settings were made for this network");
        let gradient = self.gradients.remove::<D>(param.id).filter(|_| settings.rate_factor > 0.0);
        let Some(gradient) = gradient else { return self.idle.push(Some([first, second])) };
        let count = gradient.shape().num_elements();
        let mut gradient = gradient.reshape([count]);
        if self.bound > 0.0 {
            gradient = gradient.clamp(-self.bound, self.bound);
        }
        self.slots.push([param.val().inner().reshape([count]), gradient, first, second]);
        self.of_slot.push(*settings);
        self.idle.push(None);
    }
}

struct Assign<'a, I, J> {
    idle: I,
    moved: &'a mut J,
    state: &'a mut State,
}

impl<I, J> ModuleMapper for Assign<'_, I, J>
where
    I: Iterator<Item = Option<[Tensor<1>; 2]>>,
    J: Iterator<Item = [Tensor<1>; 3]>,
{
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let idle = self.idle.next().expect("the network is visited twice in the same order");
        let (param, moments) = match idle {
            Some(moments) => (param, moments),
            None => {
                let [parameter, first, second] = self.moved.next().expect("each slot comes back");
                let (id, old, mapper) = param.consume();
                let new = Tensor::from_inner(parameter.reshape(old.dims())).set_require_grad(old.is_require_grad());
                (Param::from_mapped_value(id, new, mapper), [first, second])
            }
        };
        self.state.push(moments);
        param
    }
}
