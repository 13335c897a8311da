//! What may happen to a run from outside: it is killed, its disk fills up, its clock jumps, another one wants its folder.

mod clock;
mod process;
mod store;
