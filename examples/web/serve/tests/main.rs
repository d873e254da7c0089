//! The page in a browser: headless Chromium, whose WebGPU is SwiftShader's, asked and looked at through the
//! DevTools protocol.

mod browser;
mod engine;
mod native;
mod page;
mod without;
