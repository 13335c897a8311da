mod schedule;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::{Bytes, Device, Int, Tensor};
use tapeloom_model::{AdamW, Clip, Slot};

use crate::config::OptimizerConfig;

pub use schedule::{ScheduleConfig, Shape};

/// AdamW over all parameters of a network at once. Its state lists the parameters in the network's own order.
#[derive(Debug)]
pub(crate) struct Optimizer {
    state: State,
    time: u64,
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
    pub(crate) fn new<M: Module>(network: &M, device: &Device) -> Self {
        let mut sizes = Sizes(Vec::new());
        network.visit(&mut sizes);
        let time = Param::initialized(ParamId::from(0), Tensor::from_ints([0], device));
        let mut state = State { first: Vec::new(), second: Vec::new(), time };
        for size in sizes.0 {
            state.push([0, 1].map(|_| Tensor::zeros([size], device)));
        }
        Self { state, time: 0 }
    }

    /// One update. Nothing moves, and nothing is read from the device, where a gradient is not finite.
    pub(crate) fn step<M: Module>(
        &mut self,
        config: &OptimizerConfig,
        learning_rate: f64,
        network: M,
        gradients: GradientsParams,
        clip: &Clip,
    ) -> M {
        self.time += 1;
        let rule = AdamW {
            learning_rate,
            betas: config.betas,
            epsilon: config.epsilon,
            weight_decay: config.weight_decay,
            time: self.time,
        };
        let moments = |params: &mut Vec<Param<Tensor<1>>>| std::mem::take(params).into_iter().map(Param::into_value);
        let mut collect = Collect {
            moments: moments(&mut self.state.first)
                .zip(moments(&mut self.state.second))
                .collect::<Vec<_>>()
                .into_iter(),
            gradients,
            slots: Vec::new(),
            idle: Vec::new(),
        };
        network.visit(&mut collect);
        let Collect { slots, idle, .. } = collect;
        let mut moved = rule.update(slots, clip).into_iter();
        let mut assign = Assign { idle: idle.into_iter(), moved: &mut moved, state: &mut self.state };
        network.map(&mut assign)
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
        Ok(Self { state, time })
    }
}

struct Sizes(Vec<usize>);

impl ModuleVisitor for Sizes {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().shape().num_elements());
    }
}

struct Collect<I> {
    moments: I,
    gradients: GradientsParams,
    slots: Vec<Slot>,
    /// For each parameter its moments when it has no gradient and stays as it is.
    idle: Vec<Option<[Tensor<1>; 2]>>,
}

impl<I: Iterator<Item = (Tensor<1>, Tensor<1>)>> ModuleVisitor for Collect<I> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (first, second) = self.moments.next().expect("the state was made for this network");
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return self.idle.push(Some([first, second]));
        };
        let count = gradient.shape().num_elements();
        let parameter = param.val().inner().reshape([count]);
        self.slots.push([parameter, gradient.reshape([count]), first, second]);
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
