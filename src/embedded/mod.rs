//! The engine in this process: what answers commands behind `memory://` instead of a server.

mod lua;
