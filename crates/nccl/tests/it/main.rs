//! What a group says where it can't be made. What it does where it can is measured between GPUs, in `benches/distributed`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tapeloom_dist::{Error, Rendezvous, Result, World};
use tapeloom_nccl::{NcclConfig, NcclGroup};

fn join(library: PathBuf) -> Result<NcclGroup> {
    let rendezvous = Rendezvous::join(&World::solo(), b"a token of 16 bytes or more", Duration::from_secs(5))?;
    NcclGroup::join(&Arc::new(rendezvous), &NcclConfig { library: Some(library), ..NcclConfig::new(0) })
}

#[test]
fn a_library_that_is_not_there_is_named_with_what_to_install() {
    let error = join("/nowhere/libnccl.so.2".into()).expect_err("there is none");
    assert!(matches!(&error, Error::System { action, .. } if action == "opening NCCL"), "{error}");
    assert!(error.to_string().contains("/nowhere/libnccl.so.2") && error.to_string().contains("libnccl2"), "{error}");
}

#[test]
fn a_library_that_is_not_nccl_is_refused() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let error = join(file.path().into()).expect_err("an empty file");
    assert!(matches!(&error, Error::System { action, .. } if action == "opening NCCL"), "{error}");
    // The C library is there on every system that can load one.
    let error = join("libc.so.6".into()).expect_err("another library");
    assert!(matches!(&error, Error::System { action, .. } if action == "looking up ncclGetVersion"), "{error}");
}
