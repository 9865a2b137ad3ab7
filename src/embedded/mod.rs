//! The engine in this process: what answers commands behind `memory://` instead of a server.

#[allow(dead_code, unused_imports, reason = "the commands that call it come next")]
mod lua;
#[allow(dead_code, reason = "the commands that call it come next")]
mod number;
