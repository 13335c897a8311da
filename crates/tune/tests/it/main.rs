//! What a study promises, seen from outside.
