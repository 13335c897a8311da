//! Every crate forbids unsafe code, but for the three that the plan names.

use super::Finding;
use crate::tree::Tree;

/// Crates whose lib.rs may say `deny` instead, so that one module can lift it: FFI in `nccl`, the fused kernels in `model`, and
/// in `core` the promise of whoever names an address of device memory.
const MAY_DENY: &[&str] = &["core", "model", "nccl"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in tree.packages() {
        let path = format!("{}src/lib.rs", package.folder);
        let text = tree.text(&path).unwrap_or_default();
        let says = |level: &str| text.lines().any(|line| line.trim() == format!("#![{level}(unsafe_code)]"));
        if says("forbid") || (MAY_DENY.contains(&package.name) && says("deny")) {
            continue;
        }
        findings.push(Finding::new(path, "unsafe code is not forbidden", "add #![forbid(unsafe_code)]"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    #[test]
    fn a_crate_without_the_line_is_named() {
        let lib = "//! A crate.\n#![forbid(unsafe_code)]\n";
        assert_eq!(found(check, &[("crates/dist/Cargo.toml", ""), ("crates/dist/src/lib.rs", lib)]), [""; 0]);
        let commented = "//! A crate.\n// #![forbid(unsafe_code)]\n";
        let findings = found(check, &[("crates/dist/Cargo.toml", ""), ("crates/dist/src/lib.rs", commented)]);
        assert!(findings[0].starts_with("crates/dist/src/lib.rs: unsafe code is not forbidden"));
    }

    #[test]
    fn the_root_package_is_a_crate_too() {
        assert_eq!(found(check, &[("Cargo.toml", ""), ("src/lib.rs", "")]).len(), 1);
    }

    #[test]
    fn deny_is_enough_only_where_the_plan_says() {
        let lib = "#![deny(unsafe_code)]\n";
        assert_eq!(found(check, &[("crates/nccl/Cargo.toml", ""), ("crates/nccl/src/lib.rs", lib)]), [""; 0]);
        assert_eq!(found(check, &[("crates/seal/Cargo.toml", ""), ("crates/seal/src/lib.rs", lib)]).len(), 1);
    }
}
