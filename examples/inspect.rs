//! What is in a checkpoint set: verifies it and prints its manifest and tensors, without building the model.
//!
//! `cargo run --example inspect -- <run folder> [set] [key file]`
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use std::sync::Arc;

use tapeloom::core::{BlobStore, FsStore};
use tapeloom::seal::{Key, SealedStore};
use tapeloom::train::Checkpointer;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("name the folder of a run; a set and a key file may follow")?;
    let (set, key) = (arguments.next(), arguments.next());
    let plain = FsStore::open(folder)?;
    let store: Arc<dyn BlobStore> = match key {
        Some(file) => Arc::new(SealedStore::new(plain, Key::load(file)?)),
        None => Arc::new(plain),
    };
    let checkpointer = Checkpointer::new(store);
    let sets = checkpointer.sets()?;
    println!("sets: {}", sets.join(", "));
    let set = set.or_else(|| sets.last().cloned()).ok_or("there is no set in this folder")?;
    let inspection = checkpointer.inspect(&set)?;
    let (manifest, progress) = (&inspection.manifest, &inspection.manifest.progress);
    println!(
        "{set}: format {}, by {} on {}, of run {}",
        manifest.format, manifest.writer, manifest.device, manifest.run
    );
    println!("written {}, {}", manifest.written, if manifest.sealed { "sealed" } else { "in clear" });
    println!("config {}\ndata   {}", manifest.config, manifest.data);
    println!("epoch {}, step {}, {} steps in all", progress.epoch, progress.step, progress.global_step);
    println!("{} rollbacks, {:.0} s of training", progress.rollbacks(), progress.seconds);
    for part in &inspection.parts {
        println!("{} ({} bytes, hash good)", part.name, part.bytes);
        for tensor in &part.tensors {
            println!("  {:<48} {:<5} {:?}", tensor.name, tensor.dtype, tensor.shape);
        }
    }
    Ok(())
}
