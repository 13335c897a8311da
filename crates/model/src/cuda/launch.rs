use burn::tensor::{DType, Shape};
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::ir::attributes::BufferIOAttr;
use burn_cubecl::cubecl::ir::settings::Dim3;
use burn_cubecl::cubecl::ir::{AddressType, ElemType, Scope, UIntKind, metadata};
use burn_cubecl::cubecl::prelude::{CubeCount, ExecutionMode, KernelId, KernelSettings};
use burn_cubecl::cubecl::server::{KernelArguments, MetadataBindingInfo};
use burn_cubecl::cubecl::{CubeKernel, PrecompiledSource};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

use crate::Dials;

/// A kernel of one file of `kernels/`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    entry: &'static str,
    text: &'static str,
    hash: u64,
}

const COMMON: &str = include_str!("kernels/common.cuh");

impl Source {
    pub(super) const fn new(entry: &'static str, text: &'static str) -> Self {
        Self { entry, text, hash: hash(COMMON, hash(text, 0xCBF2_9CE4_8422_2325)) }
    }
}

/// FNV-1a: tells texts apart, so that a changed kernel is not served from an old cache.
const fn hash(text: &str, mut state: u64) -> u64 {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        state = (state ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01B3);
        i += 1;
    }
    state
}

macro_rules! source {
    ($file:literal) => {
        source!($file, $file)
    };
    ($file:literal, $entry:literal) => {
        $crate::cuda::launch::Source::new($entry, include_str!(concat!("kernels/", $file, ".cu")))
    };
}
pub(super) use source;

/// One launch in the making: text, macros, buffers and numbers, in the kernel's own order.
#[derive(Debug)]
pub(super) struct Launch {
    kernel: Kernel,
    arguments: KernelArguments,
    numbers: Vec<u64>,
}

#[derive(Clone, Debug)]
struct Kernel {
    source: Source,
    macros: Vec<(&'static str, usize)>,
    threads: usize,
}

impl Launch {
    pub(super) fn new(source: Source, threads: usize) -> Self {
        let kernel = Kernel { source, macros: Vec::new(), threads };
        Self { kernel, arguments: KernelArguments::new(), numbers: Vec::new() }
    }

    /// `#define name value`.
    pub(super) fn define(mut self, name: &'static str, value: usize) -> Self {
        self.kernel.macros.push((name, value));
        self
    }

    /// A flag, defined when it is up.
    pub(super) fn flag(self, name: &'static str, up: bool) -> Self {
        if up { self.define(name, 1) } else { self }
    }

    fn buffer(mut self, tensor: &CubeTensor, io: BufferIOAttr) -> Self {
        self.arguments = self.arguments.with_buffer_io(tensor.handle.clone().binding(), io);
        self
    }

    /// Buffers that the kernel only reads.
    pub(super) fn reads<'a>(self, tensors: impl IntoIterator<Item = &'a CubeTensor>) -> Self {
        tensors.into_iter().fold(self, |launch, tensor| launch.buffer(tensor, BufferIOAttr::ReadOnly))
    }

    /// Buffers that the kernel only writes.
    pub(super) fn writes<'a>(self, tensors: impl IntoIterator<Item = &'a CubeTensor>) -> Self {
        tensors.into_iter().fold(self, |launch, tensor| launch.buffer(tensor, BufferIOAttr::WriteOnly))
    }

    /// Buffers that the kernel updates.
    pub(super) fn updates<'a>(self, tensors: impl IntoIterator<Item = &'a CubeTensor>) -> Self {
        tensors.into_iter().fold(self, |launch, tensor| launch.buffer(tensor, BufferIOAttr::ReadWrite))
    }

    /// The last buffer, of a kernel in a recorded step.
    pub(super) fn dials(self, dials: Option<&Dials>) -> Self {
        match dials {
            Some(dials) => self.define("DIALS", 1).reads([dials.words().tensor()]),
            None => self,
        }
    }

    pub(super) fn number(mut self, value: impl Number) -> Self {
        self.numbers.push(value.bits());
        self
    }

    pub(super) fn numbers<N: Number>(self, values: impl IntoIterator<Item = N>) -> Self {
        values.into_iter().fold(self, Self::number)
    }

    pub(super) fn run(mut self, client: &Client, grid: [usize; 3]) {
        // All numbers ride in the kernel's parameters; nothing of them is uploaded.
        let dynamic_metadata_offset = self.numbers.len();
        self.arguments.info = MetadataBindingInfo { data: self.numbers, dynamic_metadata_offset };
        let [x, y, z] = grid.map(|n| u32::try_from(n).expect("grids are far below 2^32"));
        client.launch(Box::new(self.kernel), CubeCount::Static(x, y, z), self.arguments);
        if client.is_capturing() {
            // A recording may use the memory that the run before it used and no more. How much that is depends on how far the
            // device's thread lags behind this one; so both runs go in step. There is nothing here to fail.
            let _ = client.check([]);
        }
    }
}

/// What a kernel takes as a 64-bit scalar.
pub(super) trait Number {
    fn bits(self) -> u64;
}

impl Number for usize {
    fn bits(self) -> u64 {
        self as u64
    }
}

impl Number for u64 {
    fn bits(self) -> u64 {
        self
    }
}

impl Number for bool {
    fn bits(self) -> u64 {
        u64::from(self)
    }
}

impl Number for f64 {
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

impl burn_cubecl::cubecl::prelude::KernelMetadata for Kernel {
    fn name(&self) -> &'static str {
        self.source.entry
    }

    fn id(&self) -> KernelId {
        let mut key = hash(self.source.entry, self.source.hash);
        for (name, value) in &self.macros {
            key = (hash(name, key) ^ *value as u64).wrapping_mul(0x0100_0000_01B3);
        }
        let mut id = KernelId::new::<Self>().info(key);
        id.cube_dim = Dim3::new_1d(self.threads as u32);
        id
    }

    fn address_type(&self) -> ElemType {
        ElemType::UInt(UIntKind::U64)
    }
}

impl CubeKernel for Kernel {
    fn define(&self) -> burn_cubecl::cubecl::prelude::KernelDefinition {
        let dim = Dim3::new_1d(self.threads as u32);
        let settings = KernelSettings::new(dim, ExecutionMode::Unchecked, AddressType::U64);
        burn_cubecl::cubecl::prelude::KernelDefinition {
            body: Scope::root(settings.clone()),
            settings,
            info: metadata::Info::default(),
        }
    }

    fn source(&self) -> Option<PrecompiledSource> {
        let macros: String = self.macros.iter().map(|(name, value)| format!("#define {name} {value}\n")).collect();
        Some(PrecompiledSource {
            source: format!("{macros}{COMMON}\n{}", self.source.text),
            entrypoint_name: self.source.entry.to_string(),
            lang: "cuda",
        })
    }
}

/// A fresh row-major tensor beside `like`, of numbers that are still to be written.
pub(super) fn empty(like: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), dtype)
}

/// Row-major, and at the start of its buffer.
pub(super) fn plain(tensor: CubeTensor) -> CubeTensor {
    into_contiguous(tensor)
}

pub(super) fn dims<const D: usize>(tensor: &CubeTensor) -> [usize; D] {
    tensor.meta.shape().dims()
}

pub(super) fn is_bf16(tensor: &CubeTensor) -> bool {
    tensor.dtype == DType::BF16
}
