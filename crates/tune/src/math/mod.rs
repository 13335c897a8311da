//! Numbers that samplers and pruners share.

pub(crate) mod eigen;
pub(crate) mod lbfgs;
pub(crate) mod normal;
pub(crate) mod ridge;
pub(crate) mod simd;
