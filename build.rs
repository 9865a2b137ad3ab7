//! Prepares the Node binding and assembles the Lua scripts.

#[path = "build/scripts.rs"]
mod scripts;

fn main() {
    #[cfg(feature = "node")]
    napi_build::setup();
    scripts::assemble("lua");
}
