//! Bytes and texts to values and back.

pub(crate) mod option_date;
pub(crate) mod option_text;
pub mod resp;
