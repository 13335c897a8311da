//! What a study promises, seen from outside.

mod grid;
mod resume;
mod sampling;
mod space;
mod study;
mod support;
