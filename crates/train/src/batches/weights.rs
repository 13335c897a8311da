use std::sync::Arc;

use tapeloom_core::WindowSource;

use super::batch::each_target;
use crate::{Error, Result};

/// How much each sample counts in the training loss, by its number; none means all alike.
///
/// A class weight multiplies the weight of each sample of that class.
pub(crate) fn sample_weights(
    source: &dyn WindowSource,
    samples: Option<&Arc<[f32]>>,
    classes: &[f32],
) -> Result<Option<Arc<[f32]>>> {
    if let Some(weights) = samples {
        let sound = weights.len() == source.len() && weights.iter().all(|w| *w >= 0.0 && w.is_finite());
        if !sound {
            let remedy = format!("give {} finite numbers from 0, one for each sample", source.len());
            return Err(Error::invalid("sample_weights", format!("{} numbers", weights.len()), remedy));
        }
    }
    if classes.is_empty() {
        return Ok(samples.cloned());
    }
    let mut weights = samples.map_or_else(|| vec![1.0; source.len()], |weights| weights.to_vec());
    let (mut rest, mut unknown) = (weights.iter_mut(), None);
    each_target(source, |targets| {
        for (class, weight) in targets.iter().zip(rest.by_ref()) {
            match classes.get(*class as usize).filter(|_| *class >= 0.0) {
                Some(of_class) => *weight *= of_class,
                None => unknown = Some(*class),
            }
        }
    })?;
    match unknown {
        Some(class) => Err(Error::invalid("target", class, format!("classes are 0 to {}", classes.len() - 1))),
        None => Ok(Some(weights.into())),
    }
}
