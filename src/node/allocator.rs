//! The allocator of the addon.
//!
//! Jobs and values are many small pieces that one thread makes and another one frees, and so is all that scripts touch in the
//! engine of this process: with the C library's allocator a quarter of the I/O thread's time went into it.

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;
