use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// An average of a network's weights, as a network of its own without autodiff.
#[derive(Clone, Debug)]
pub(crate) struct Averages<N> {
    network: N,
    /// Weights that went in.
    count: u64,
}

impl<N: Module> Averages<N> {
    /// Nothing yet; `network` lends its shape.
    pub(crate) fn new(network: &N) -> Self {
        Self { network: network.valid(), count: 0 }
    }

    /// As it was saved.
    pub(crate) const fn restored(network: N, count: u64) -> Self {
        Self { network, count }
    }

    /// Takes in `live`, keeping `decay` of the average so far; the first weights are taken as they are.
    pub(crate) fn decayed(&mut self, live: &N, decay: f64) {
        self.blend(live, if self.count == 0 { 1.0 } else { 1.0 - decay });
    }

    /// Takes in `live` so that all weights that went in count alike.
    pub(crate) fn mean(&mut self, live: &N) {
        self.blend(live, 1.0 / (self.count + 1) as f64);
    }

    /// The average, once there is one.
    pub(crate) fn network(&self) -> Option<&N> {
        (self.count > 0).then_some(&self.network)
    }

    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    fn blend(&mut self, live: &N, share: f64) {
        let mut rows = Rows(Vec::new());
        live.visit(&mut rows);
        let mut blend = Blend { live: rows.0.into_iter(), share };
        self.network = self.network.clone().map(&mut blend);
        self.count += 1;
    }
}

struct Rows(Vec<Tensor<1>>);

impl ModuleVisitor for Rows {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().inner().flatten(0, D - 1));
    }
}

struct Blend<I> {
    live: I,
    share: f64,
}

impl<I: Iterator<Item = Tensor<1>>> ModuleMapper for Blend<I> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let live = self.live.next().expect("both networks have the same parameters");
        let (id, old, mapper) = param.consume();
        let live = live.reshape(old.dims());
        // A copy: on CUDA the live weights move where they lie.
        let new = if self.share == 1.0 { live * 1.0 } else { old.clone() + (live - old) * self.share };
        Param::from_mapped_value(id, new, mapper)
    }
}
