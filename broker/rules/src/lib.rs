//! Event patterns.
