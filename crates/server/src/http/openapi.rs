//! stub
/// x
pub fn openapi() -> String { String::new() }
