use burn::module::Param;
use burn::tensor::{Tensor, TensorData};

use super::TorchWeights;
use crate::Result;
use crate::layers::{Dense, EncoderBlock, Gru, LayerNorm, Lstm, SelfAttention};

/// A module that has a counterpart in PyTorch.
pub trait TorchModule {
    /// Takes the weights whose names begin with `prefix`, such as `"encoder."`; the rest of the file may hold anything.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) that names the array that is missing or has another shape; nothing has
    /// changed then.
    fn import(&mut self, prefix: &str, weights: &TorchWeights) -> Result<()>;

    /// Adds the weights under PyTorch's names behind `prefix`.
    fn export(&self, prefix: &str, weights: &mut TorchWeights);
}

fn read<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
    let data = param.val().into_data().convert::<f32>();
    data.try_to_vec().expect("the data was just made f32")
}

/// The parameter with new numbers; it stays on its device, and a leaf of the graph.
fn replaced<const D: usize>(param: &Param<Tensor<D>>, values: Vec<f32>) -> Param<Tensor<D>> {
    let old = param.val();
    let tensor = Tensor::from_data(TensorData::new(values, old.dims()), &old.device());
    Param::initialized(param.id, tensor.set_require_grad(old.is_require_grad()))
}

fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns * rows).map(|i| values[i % rows * columns + i / rows]).collect()
}

/// Input and hidden weight as they stand here, and PyTorch's two biases.
type Found<'w> = ([Vec<f32>; 2], [&'w [f32]; 2]);

/// Where one direction of one layer stands in a PyTorch module.
struct Place<'a> {
    prefix: &'a str,
    index: usize,
    directions: usize,
}

impl Place<'_> {
    /// Input weight, hidden weight and the two biases.
    fn names(&self) -> [String; 4] {
        let (layer, backward) = (self.index / self.directions, self.index % self.directions == 1);
        let suffix = if backward { "_reverse" } else { "" };
        ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map(|name| format!("{}{name}_l{layer}{suffix}", self.prefix))
    }

    fn read<'w>(
        &self,
        weights: &'w TorchWeights,
        input: &Param<Tensor<2>>,
        hidden: &Param<Tensor<2>>,
    ) -> Result<Found<'w>> {
        let names = self.names();
        let ([inputs, wide], [width, _]) = (input.val().dims(), hidden.val().dims());
        let input = transposed(weights.expect(&names[0], &[wide, inputs])?, wide, inputs);
        let hidden = transposed(weights.expect(&names[1], &[wide, width])?, wide, width);
        Ok(([input, hidden], [weights.expect(&names[2], &[wide])?, weights.expect(&names[3], &[wide])?]))
    }

    fn write(
        &self,
        weights: &mut TorchWeights,
        input: &Param<Tensor<2>>,
        hidden: &Param<Tensor<2>>,
        biases: [Vec<f32>; 2],
    ) {
        let [input_name, hidden_name, first, second] = self.names();
        let ([inputs, wide], [width, _]) = (input.val().dims(), hidden.val().dims());
        weights.insert(input_name, &[wide, inputs], transposed(&read(input), inputs, wide));
        weights.insert(hidden_name, &[wide, width], transposed(&read(hidden), width, wide));
        for (name, bias) in [first, second].into_iter().zip(biases) {
            weights.insert(name, &[wide], bias);
        }
    }
}

fn sum(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

impl TorchModule for Dense {
    fn import(&mut self, prefix: &str, weights: &TorchWeights) -> Result<()> {
        let [inputs, outputs] = self.weight.val().dims();
        let weight = weights.expect(&format!("{prefix}weight"), &[outputs, inputs])?;
        let bias = weights.expect(&format!("{prefix}bias"), &[outputs])?;
        self.weight = replaced(&self.weight, transposed(weight, outputs, inputs));
        self.bias = replaced(&self.bias, bias.to_vec());
        Ok(())
    }

    fn export(&self, prefix: &str, weights: &mut TorchWeights) {
        let [inputs, outputs] = self.weight.val().dims();
        let weight = transposed(&read(&self.weight), inputs, outputs);
        weights.insert(format!("{prefix}weight"), &[outputs, inputs], weight);
        weights.insert(format!("{prefix}bias"), &[outputs], read(&self.bias));
    }
}

impl TorchModule for LayerNorm {
    fn import(&mut self, prefix: &str, weights: &TorchWeights) -> Result<()> {
        let shape = self.scale.val().dims();
        let scale = weights.expect(&format!("{prefix}weight"), &shape)?;
        let shift = weights.expect(&format!("{prefix}bias"), &shape)?;
        self.scale = replaced(&self.scale, scale.to_vec());
        self.shift = replaced(&self.shift, shift.to_vec());
        Ok(())
    }

    fn export(&self, prefix: &str, weights: &mut TorchWeights) {
        let shape = self.scale.val().dims();
        weights.insert(format!("{prefix}weight"), &shape, read(&self.scale));
        weights.insert(format!("{prefix}bias"), &shape, read(&self.shift));
    }
}

impl TorchModule for Lstm {
    fn import(&mut self, prefix: &str, weights: &TorchWeights) -> Result<()> {
        let directions = self.directions();
        let mut found = Vec::new();
        for (index, layer) in self.layers().iter().enumerate() {
            let place = Place { prefix, index, directions };
            found.push(place.read(weights, &layer.input_weight, &layer.hidden_weight)?);
        }
        for (layer, ([input, hidden], [first, second])) in self.layers_mut().iter_mut().zip(found) {
            layer.input_weight = replaced(&layer.input_weight, input);
            layer.hidden_weight = replaced(&layer.hidden_weight, hidden);
            layer.bias = replaced(&layer.bias, sum(first, second));
        }
        Ok(())
    }

    fn export(&self, prefix: &str, weights: &mut TorchWeights) {
        for (index, layer) in self.layers().iter().enumerate() {
            let bias = read(&layer.bias);
            let none = vec![0.0; bias.len()];
            let place = Place { prefix, index, directions: self.directions() };
            place.write(weights, &layer.input_weight, &layer.hidden_weight, [bias, none]);
        }
    }
}

impl TorchModule for Gru {
    fn import(&mut self, prefix: &str, weights: &TorchWeights) -> Result<()> {
        let directions = self.directions();
        let mut found = Vec::new();
        for (index, layer) in self.layers().iter().enumerate() {
            let place = Place { prefix, index, directions };
            found.push(place.read(weights, &layer.input_weight, &layer.hidden_weight)?);
        }
        for (layer, ([input, hidden], [first, second])) in self.layers_mut().iter_mut().zip(found) {
            // The reset gate stands between the new gate's biases; the others add up.
            let new = first.len() / 3 * 2;
            let bias = [sum(&first[..new], &second[..new]), first[new..].to_vec()].concat();
            layer.input_weight = replaced(&layer.input_weight, input);
            layer.hidden_weight = replaced(&layer.hidden_weight, hidden);
            layer.bias = replaced(&layer.bias, bias);
            layer.new_bias = replaced(&layer.new_bias, second[new..].to_vec());
        }
        Ok(())
    }

    fn export(&self, prefix: &str, weights: &mut TorchWeights) {
        for (index, layer) in self.layers().iter().enumerate() {
            let new_bias = read(&layer.new_bias);
            let second = [vec![0.0; 2 * new_bias.len()], new_bias].concat();
            let place = Place { prefix, index, directions: self.directions() };
            place.write(weights, &layer.input_weight, &layer.hidden_weight, [read(&layer.bias), second]);
        }
    }
}

impl TorchModule for SelfAttention {
    fn import(&mut self, prefix: &str, weights: &TorchWeights) -> Result<()> {
        let [width, wide] = self.qkv.weight.val().dims();
        let weight = weights.expect(&format!("{prefix}in_proj_weight"), &[wide, width])?;
        let bias = weights.expect(&format!("{prefix}in_proj_bias"), &[wide])?;
        self.output.import(&format!("{prefix}out_proj."), weights)?;
        self.qkv.weight = replaced(&self.qkv.weight, transposed(weight, wide, width));
        self.qkv.bias = replaced(&self.qkv.bias, bias.to_vec());
        Ok(())
    }

    fn export(&self, prefix: &str, weights: &mut TorchWeights) {
        let [width, wide] = self.qkv.weight.val().dims();
        let weight = transposed(&read(&self.qkv.weight), width, wide);
        weights.insert(format!("{prefix}in_proj_weight"), &[wide, width], weight);
        weights.insert(format!("{prefix}in_proj_bias"), &[wide], read(&self.qkv.bias));
        self.output.export(&format!("{prefix}out_proj."), weights);
    }
}

impl TorchModule for EncoderBlock {
    fn import(&mut self, prefix: &str, weights: &TorchWeights) -> Result<()> {
        // On a copy, so that a missing part leaves this block as it is.
        let mut block = self.clone();
        block.attention.import(&format!("{prefix}self_attn."), weights)?;
        block.expand.import(&format!("{prefix}linear1."), weights)?;
        block.contract.import(&format!("{prefix}linear2."), weights)?;
        block.attention_norm.import(&format!("{prefix}norm1."), weights)?;
        block.feedforward_norm.import(&format!("{prefix}norm2."), weights)?;
        *self = block;
        Ok(())
    }

    fn export(&self, prefix: &str, weights: &mut TorchWeights) {
        self.attention.export(&format!("{prefix}self_attn."), weights);
        self.expand.export(&format!("{prefix}linear1."), weights);
        self.contract.export(&format!("{prefix}linear2."), weights);
        self.attention_norm.export(&format!("{prefix}norm1."), weights);
        self.feedforward_norm.export(&format!("{prefix}norm2."), weights);
    }
}
