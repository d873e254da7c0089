//! What the page's worker calls: one function, by a method's name, with a plain object and to a plain object.

mod advice;
mod catalogue;
mod device;
mod probe;
mod settings;
mod wire;

use std::cell::RefCell;

use device::Devices;
use js_sys::Function;
use wasm_bindgen::prelude::*;
use wire::{Answer, Failure, Progress, given, told};

/// What outlasts a call.
#[derive(Default)]
struct State {
    devices: Devices,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = postMessage)]
    fn post(message: &JsValue);
}

/// A panic ends the module for good: what it said goes to whoever started the worker.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        let message = js_sys::Object::new();
        let _ = js_sys::Reflect::set(&message, &"panicked".into(), &panic.to_string().into());
        post(&message);
    }));
}

/// Does what a method's name says, with the arguments that it takes; hands progress on where a function for it
/// is given. By Promise Integration it is put aside whenever it waits, so that it comes to a promise.
///
/// # Errors
/// An `Error`, whose `code` says what kind of failure it is, where the page can do something about it.
// What it is called says that wasm-bindgen may change it.
#[allow(deprecated)]
#[wasm_bindgen(jspi)]
pub fn call(method: &str, args: JsValue, progress: Option<Function>) -> Result<JsValue, JsValue> {
    STATE
        .with(|state| {
            // The worker makes one call after the other.
            let mut state = state
                .try_borrow_mut()
                .map_err(|_| Failure::new("a call is under way: one call at a time"))?;
            answer(&mut state, method, args, &Progress(progress))
        })
        .map_err(Failure::into)
}

fn answer(state: &mut State, method: &str, args: JsValue, progress: &Progress) -> Answer {
    let State { devices } = state;
    let _ = progress;
    match method {
        "about" => told(&catalogue::about()),
        "catalogue" => told(&catalogue::catalogue()),
        "gpu" => told(&devices.gpu()),
        "probe" => told(&probe::probe(devices, given(args)?)?),
        _ => Err(Failure::new(format!("no method `{method}`"))),
    }
}
