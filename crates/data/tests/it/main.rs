//! From files to windows: what comes in is checked, what comes out has not seen the future.

mod features;
mod inputs;
mod splits;
mod support;
