use std::collections::BTreeMap;
use std::path::Path;

use burn_store::{ModuleStore, PytorchStore, SafetensorsStore};

use crate::{Error, Result};

/// Named arrays, as a PyTorch `state_dict` has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TorchWeights {
    arrays: BTreeMap<String, Array>,
}

#[derive(Clone, Debug, PartialEq)]
struct Array {
    shape: Vec<usize>,
    values: Vec<f32>,
}

fn refused(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Weights { detail: format!("{}: {reason}", path.display()) }
}

impl TorchWeights {
    /// Reads a `.safetensors` file, or a `.pt` or `.pth` file that holds a `state_dict`.
    ///
    /// # Errors
    /// [`Error::Weights`] that names the file, when it cannot be read or is of another kind.
    pub fn open(path: &Path) -> Result<Self> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("safetensors") => Self::collect(path, SafetensorsStore::from_file(path)),
            Some("pt" | "pth") => Self::collect(path, PytorchStore::from_file(path)),
            other => Err(refused(path, format!("{other:?} is none of safetensors, pt, pth"))),
        }
    }

    fn collect<S: ModuleStore>(path: &Path, mut store: S) -> Result<Self>
    where
        S::Error: std::fmt::Display,
    {
        let tensors = store.get_all_tensors().map_err(|e| refused(path, e))?;
        let mut arrays = BTreeMap::new();
        for (name, tensor) in tensors {
            let data = burn_store::bridge::to_data(tensor).map_err(|e| refused(path, e))?;
            let values = data.convert::<f32>().try_to_vec().map_err(|e| refused(path, format!("{e:?}")))?;
            arrays.insert(name.clone(), Array { shape: tensor.shape.to_vec(), values });
        }
        Ok(Self { arrays })
    }

    /// Writes a safetensors file that PyTorch loads; it replaces one of the same name in one step.
    ///
    /// # Errors
    /// [`Error::Weights`] that names the file.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes: BTreeMap<&String, Vec<u8>> = self
            .arrays
            .iter()
            .map(|(name, array)| (name, array.values.iter().flat_map(|v| v.to_le_bytes()).collect()))
            .collect();
        let views = self.arrays.iter().map(|(name, array)| {
            let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, array.shape.clone(), &bytes[name]);
            view.map(|view| (name, view))
        });
        let views: Vec<_> = views.collect::<std::result::Result<_, _>>().map_err(|e| refused(path, e))?;
        let file = safetensors::serialize(views, None).map_err(|e| refused(path, e))?;
        let beside = path.with_extension("safetensors.part");
        std::fs::write(&beside, file)
            .and_then(|()| std::fs::File::open(&beside)?.sync_all())
            .and_then(|()| std::fs::rename(&beside, path))
            .map_err(|e| refused(path, e))
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// The shape of an array.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.arrays.get(name).map(|array| array.shape.as_slice())
    }

    /// The numbers of an array, row-major.
    #[must_use]
    pub fn values(&self, name: &str) -> Option<&[f32]> {
        self.arrays.get(name).map(|array| array.values.as_slice())
    }

    /// Adds or replaces an array.
    ///
    /// # Panics
    /// When `values` does not fill `shape`.
    pub fn insert(&mut self, name: impl Into<String>, shape: &[usize], values: Vec<f32>) {
        assert_eq!(values.len(), shape.iter().product::<usize>(), "the numbers do not fill the shape");
        self.arrays.insert(name.into(), Array { shape: shape.to_vec(), values });
    }

    /// The array `name`, which has to have `shape`.
    pub(super) fn expect(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        match self.arrays.get(name) {
            Some(array) if array.shape == shape => Ok(&array.values),
            Some(array) => Err(Error::Weights {
                detail: format!("{name} has shape {:?}: this module takes {shape:?}", array.shape),
            }),
            None => Err(Error::Weights { detail: format!("{name} is missing") }),
        }
    }
}
